-- a new value for a random key of the map
\set i random(1, 100000)
SELECT syncmap.put('pairs', :i::text, :value::text);
