-- the costly query itself
\set i random(1, 100)
SELECT report(:i);
