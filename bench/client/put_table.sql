-- a new value for a random key of a table; search_path says which
\set i random(1, 100000)
INSERT INTO pairs VALUES (:i::text, :value)
ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;
