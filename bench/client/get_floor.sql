-- no lookup at all: what a statement costs
\set i random(1, 100000)
SELECT length(:i::text);
