-- Rows of a map cannot be locked: SELECT ... FOR UPDATE and its kin are refused, wherever
-- the map stands, and where none is meant they work.
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	hint text;
BEGIN
	EXECUTE command INTO result;
	RETURN command || ': worked, ' || coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN command || ': ' || SQLSTATE || CASE WHEN hint <> '' THEN ', with a hint' ELSE ', ' || SQLERRM END;
END $$;
SELECT syncmap.create('m');
INSERT INTO m VALUES ('k', 'v');
CREATE TABLE t (key text PRIMARY KEY, n integer);
INSERT INTO t VALUES ('k', 1);
CREATE VIEW v AS SELECT * FROM m WHERE key > '';
CREATE VIEW vt AS SELECT t.key, m.value FROM t JOIN m USING (key);
CREATE TABLE parts (key text COLLATE "C", value text) PARTITION BY LIST (key);
CREATE TABLE rest PARTITION OF parts DEFAULT;
CREATE FOREIGN TABLE hot PARTITION OF parts FOR VALUES IN ('h') SERVER syncmap;
CREATE TABLE parent (key text, value text);
CREATE FOREIGN TABLE child () INHERITS (parent) SERVER syncmap;
INSERT INTO parts VALUES ('h', 'in the map'), ('r', 'in the table');

SELECT try('SELECT value FROM m WHERE key = ''k'' FOR ' || strength || how)
	FROM unnest('{UPDATE, NO KEY UPDATE, SHARE, KEY SHARE}'::text[]) strength, unnest(ARRAY['', ' NOWAIT', ' SKIP LOCKED', ' OF m']) how;
SELECT try(c) FROM unnest(ARRAY['SELECT * FROM m FOR UPDATE', 'SELECT * FROM m ORDER BY key LIMIT 1 FOR UPDATE', 'SELECT * FROM m a FOR SHARE OF a',
	'SELECT * FROM v FOR UPDATE', 'SELECT * FROM v WHERE key = ''k'' FOR KEY SHARE', 'SELECT * FROM vt FOR UPDATE',
	'SELECT * FROM parts FOR UPDATE', 'SELECT * FROM parts WHERE key = ''h'' FOR SHARE', 'SELECT * FROM hot FOR UPDATE', 'SELECT * FROM parent FOR UPDATE', 'SELECT * FROM parent FOR NO KEY UPDATE OF parent',
	'SELECT t.n FROM t JOIN m USING (key) FOR UPDATE', 'SELECT t.n FROM t JOIN m USING (key) FOR UPDATE OF t, m', 'SELECT t.n FROM t JOIN m USING (key) FOR UPDATE OF t FOR SHARE OF m', 'SELECT t.n FROM t JOIN v USING (key) FOR SHARE OF v',
	'SELECT * FROM (SELECT * FROM m) s FOR UPDATE', 'SELECT * FROM t, LATERAL (SELECT value FROM m WHERE m.key = t.key) s FOR UPDATE', 'SELECT n FROM t WHERE EXISTS (SELECT FROM m WHERE m.key = t.key FOR UPDATE)',
	'WITH s AS (SELECT * FROM m FOR UPDATE) SELECT * FROM s', 'INSERT INTO t SELECT key || ''2'', 2 FROM m FOR UPDATE RETURNING n']) c;
\set VERBOSITY sqlstate
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM m FOR UPDATE;
ROLLBACK;
COPY (SELECT * FROM m FOR SHARE) TO STDOUT;
DO $$ BEGIN PERFORM * FROM m WHERE key = 'k' FOR UPDATE; END $$;
EXPLAIN SELECT * FROM m FOR UPDATE;
\set VERBOSITY default

-- only the table is meant
SELECT try(c) FROM unnest(ARRAY['SELECT n FROM t FOR UPDATE', 'SELECT n, value FROM t JOIN m USING (key) FOR UPDATE OF t', 'SELECT n, value FROM t, v WHERE t.key = v.key FOR SHARE OF t NOWAIT',
	'SELECT n FROM t WHERE EXISTS (SELECT FROM m WHERE m.key = t.key) FOR UPDATE', 'SELECT n, (SELECT value FROM m WHERE m.key = t.key) FROM t FOR UPDATE SKIP LOCKED',
	'SELECT n, syncmap.get(''m'', key) FROM t FOR UPDATE', 'WITH s AS (SELECT * FROM m) SELECT n, value FROM t JOIN s USING (key) FOR UPDATE', 'SELECT * FROM rest FOR UPDATE',
	'SELECT * FROM ONLY parent FOR UPDATE']) c;
SELECT * FROM m;

DROP VIEW v, vt;
DROP FOREIGN TABLE child;
DROP TABLE parts, parent;
DROP TABLE t;
DROP FOREIGN TABLE m;
DROP FUNCTION try;
