-- a random key from the map
\set i random(1, 100000)
SELECT syncmap.get('pairs', :i::text);
