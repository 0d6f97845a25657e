-- a random key from a table; search_path says which
\set i random(1, 100000)
SELECT value FROM pairs WHERE key = :i::text;
