-- gets, :reads in a hundred, and upserts; search_path says of which table
\set i random(1, 100000)
\set dice random(1, 100)
\if :dice <= :reads
SELECT value FROM pairs WHERE key = :i::text;
\else
INSERT INTO pairs VALUES (:i::text, :value)
ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;
\endif
