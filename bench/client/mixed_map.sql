-- gets, :reads in a hundred, and puts
\set i random(1, 100000)
\set dice random(1, 100)
\if :dice <= :reads
SELECT syncmap.get('pairs', :i::text);
\else
SELECT syncmap.put('pairs', :i::text, :value::text);
\endif
