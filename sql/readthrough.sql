-- Reading through: settings, what is remembered of no row, old values, queries of one's own.
\set VERBOSITY terse
CREATE SCHEMA r;
SET search_path = r;
CREATE TABLE t (k integer PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i;

-- a loader runs with the same settings for all, whatever the session or the loader has set
CREATE FUNCTION settings(k integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := concat_ws(' ', current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('extra_float_digits'), current_setting('bytea_output'), current_setting('transform_null_equals'), current_setting('timezone_abbreviations'));
BEGIN
	IF k < 0 THEN
		PERFORM set_config(name, value, k = -1)
		FROM (VALUES ('search_path', 'r'), ('TimeZone', 'Asia/Tokyo'), ('DateStyle', 'German'), ('IntervalStyle', 'iso_8601'), ('extra_float_digits', '-3'), ('bytea_output', 'escape'), ('transform_null_equals', 'on'), ('timezone_abbreviations', 'India')) s(name, value);
	END IF;
	RETURN found;
END $$;
SELECT syncmap.create('r.s', key_type => 'int', loader => 'SELECT r.settings($1)');
CREATE FUNCTION mine() RETURNS text LANGUAGE sql AS
$$SELECT concat_ws(' ', current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('extra_float_digits'), current_setting('bytea_output'), current_setting('transform_null_equals'), current_setting('timezone_abbreviations'))$$;
SELECT syncmap.fetch('s', 1);
SET search_path = pg_catalog, pg_temp;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SELECT syncmap.fetch('r.s', -1);
SELECT r.mine();
SELECT syncmap.fetch('r.s', -2);
SELECT r.mine();
SELECT syncmap.fetch('r.s', 2);
SET search_path = r;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -3;
SET bytea_output = 'escape';
SET transform_null_equals = on;
SET timezone_abbreviations = 'India';
SELECT syncmap.fetch('s', 3);
SELECT syncmap.fetch('s', -3);
SELECT mine();
RESET ALL;
SET search_path = r;

-- what its options say holds from their ALTER on
SELECT syncmap.create('r.o', key_type => 'int', loader => 'SELECT 1');
SELECT syncmap.fetch('o', 1);
ALTER FOREIGN TABLE o OPTIONS (SET loader 'SELECT 2');
SELECT syncmap.fetch('o', 2);
BEGIN;
ALTER FOREIGN TABLE o OPTIONS (SET loader 'SELECT 3');
SELECT syncmap.fetch('o', 3);
ROLLBACK;
SELECT syncmap.fetch('o', 4);
ALTER FOREIGN TABLE o OPTIONS (DROP loader);
SELECT syncmap.fetch('o', 5);

-- times that are none
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (absent_ttl '0');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (absent_ttl '-1 s');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (absent_ttl 'soon');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (absent_ttl '102 years');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (stale '0 s');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (stale 'x');
CREATE FOREIGN TABLE bad (key int, value text) SERVER syncmap OPTIONS (stale '10 s', stale '20 s');

-- that there is no row is remembered, by fetch alone, until the row comes
CREATE FUNCTION look(k integer) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RAISE NOTICE 'load %', k; RETURN (SELECT v FROM r.t WHERE t.k = look.k); END $$;
CREATE FOREIGN TABLE a (key int, value text) SERVER syncmap OPTIONS (absent_ttl '1 h', ordered 'true', loader 'SELECT r.look($1)');
SELECT syncmap.watch('a', 't', 'k');
SELECT syncmap.fetch('a', 100);
SELECT syncmap.fetch('a', 100);
SELECT syncmap.fetch_many('a', ARRAY[1, 100, 101, 1, 101]);
SELECT syncmap.fetch_many('a', ARRAY[1, 100, 101, 1, 101]);
SELECT syncmap.get('a', 100), syncmap.contains('a', 100), syncmap.ttl('a', 100), syncmap.count('a'), syncmap.get_many('a', ARRAY[1, 100]);
TABLE a;
SELECT * FROM a WHERE key >= 50;
SELECT value FROM a WHERE key = 100;
SELECT * FROM syncmap.range('a');
SELECT * FROM syncmap.range('a', consistent => true);
SELECT count(*) FROM a;
SELECT syncmap.delete_range('a', '100', '200');
SELECT syncmap.fetch('a', 100);
SELECT syncmap.delete('a', 100);
SELECT syncmap.fetch('a', 100);
BEGIN;
INSERT INTO t VALUES (100, 'own');
SELECT syncmap.fetch('a', 100);
ROLLBACK;
SELECT syncmap.fetch('a', 100);
SELECT syncmap.fetch('a', 100);
INSERT INTO t VALUES (100, 'new');
SELECT syncmap.fetch('a', 100), syncmap.get('a', 100);
DELETE FROM t WHERE k = 100;
SELECT syncmap.fetch('a', 100), syncmap.get('a', 100);
SELECT syncmap.fetch('a', 100);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT syncmap.fetch('a', 100);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT syncmap.fetch('a', 100);
COMMIT;
TRUNCATE t;
SELECT syncmap.fetch('a', 100), syncmap.fetch('a', 1);
SELECT syncmap.clear('a');
SELECT syncmap.fetch('a', 100);
SET syncmap.enabled = off;
SELECT syncmap.fetch('a', 100);
RESET syncmap.enabled;
-- for so long as it says, and not at all without it
ALTER FOREIGN TABLE a OPTIONS (SET absent_ttl '1 ms');
SELECT syncmap.clear('a');
SELECT syncmap.fetch('a', 100);
SELECT pg_sleep(0.005);
SELECT syncmap.fetch('a', 100);
ALTER FOREIGN TABLE a OPTIONS (SET absent_ttl '1 h');
SELECT pg_sleep(0.005);
SELECT syncmap.fetch('a', 100);
SELECT syncmap.fetch('a', 100);
SELECT entries, hidden_entries FROM syncmap.stat_map WHERE relid = 'a'::regclass;
ALTER FOREIGN TABLE a OPTIONS (DROP absent_ttl);
SELECT syncmap.fetch('a', 100);
-- on a map that is not watched, where all may store
CREATE FOREIGN TABLE p (key int, value text) SERVER syncmap OPTIONS (absent_ttl '1 h', loader 'SELECT r.look($1)');
SELECT syncmap.fetch('p', 1), syncmap.fetch('p', 1), syncmap.fetch('p', 2);
SELECT syncmap.put('p', 1, 'put'), syncmap.fetch('p', 1), syncmap.get_or_put('p', 2, 'put'), syncmap.fetch('p', 2);
SELECT syncmap.fetch('p', 3);
SELECT syncmap.swap('p', 3, 'x'), syncmap.compare_and_swap('p', 4, 'x', 'y'), syncmap.fetch('p', 3);
SELECT syncmap.increment('p', 5), syncmap.fetch('p', 5);
INSERT INTO p VALUES (6, 'inserted');
SELECT syncmap.fetch('p', 6), syncmap.fetch('p', 7);
INSERT INTO p VALUES (7, 'inserted');
UPDATE p SET value = 'updated' WHERE key IN (7, 8);
SELECT syncmap.fetch('p', 7), syncmap.expire('p', 8, '1 h');

-- what was there before, while another session computes: see the spec fetch; here nobody does
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 3) i;
CREATE FOREIGN TABLE s2 (key int, value text) SERVER syncmap OPTIONS (absent_ttl '1 h', stale '1 h', loader 'SELECT r.look($1)');
SELECT syncmap.watch('s2', 't', 'k');
SELECT * FROM syncmap.fetch_stale('s2', 1);
SELECT * FROM syncmap.fetch_stale('s2', 1);
SELECT * FROM syncmap.fetch_stale('s2', 9);
SELECT * FROM syncmap.fetch_stale('s2', 9, NULL::text);
UPDATE t SET v = 'w1' WHERE k = 1;
SELECT syncmap.get('s2', 1), syncmap.contains('s2', 1), syncmap.ttl('s2', 1), syncmap.count('s2'), syncmap.delete('s2', 9);
TABLE s2;
SELECT * FROM syncmap.range('s2');
SELECT * FROM syncmap.fetch_stale('s2', 1);
UPDATE t SET v = 'w2' WHERE k = 1;
SELECT syncmap.fetch('s2', 1);
SELECT * FROM syncmap.fetch_stale('s2', NULL::text);
SELECT * FROM syncmap.fetch_stale(NULL, 1);
SELECT * FROM syncmap.fetch_stale('s2', 1, NULL::int);
SELECT * FROM syncmap.fetch_stale('s2', 'x');
SELECT * FROM syncmap.fetch_stale('s2', '1');
SELECT * FROM syncmap.fetch_stale('o', 77);
SELECT * FROM syncmap.fetch_stale('t', 1);
SELECT (syncmap.fetch_stale('s2', 1)).is_stale;
CREATE ROLE reader;
GRANT USAGE ON SCHEMA r TO reader;
SET ROLE reader;
SELECT * FROM syncmap.fetch_stale('s2', 1);
RESET ROLE;
CREATE FOREIGN TABLE s3 (key text COLLATE "C", value int) SERVER syncmap OPTIONS (stale '1 h', loader 'SELECT pg_catalog.length($1)');
SELECT * FROM syncmap.fetch_stale('s3', 'abc', NULL::int);
SELECT * FROM syncmap.fetch_stale('s3', 'abc');
SELECT syncmap.increment('s3', 'abc'), syncmap.put('s3', 'abc', 7), syncmap.delete('s3', 'abc');

-- a query of one's own
CREATE FOREIGN TABLE q (key int, value text) SERVER syncmap;
SELECT syncmap.watch('q', 't', 'k');
SELECT syncmap.fetch('q', 1);
SELECT syncmap.fetch_query('q', 1, NULL::text, 'SELECT v FROM t WHERE k = $1'), syncmap.get('q', 1), syncmap.fetch('q', 1);
SELECT syncmap.fetch_query('q', 2, NULL::text, 'SELECT v || $2 || $3 || $4::text FROM t WHERE k = $1', 'x', 7, '{"a": 1}'::jsonb), syncmap.get('q', 2);
SELECT syncmap.fetch_query('q', 3, NULL::text, 'SELECT v || $2 || $3 FROM t WHERE k = $1', VARIADIC ARRAY['y', 'z']);
SELECT syncmap.fetch_query('q', 4, NULL::text, 'SELECT coalesce($2, ''none'')', NULL);
-- an array that the query changes is nobody else's, however often it is asked
SELECT array_agg(DISTINCT r) FROM (SELECT syncmap.fetch_query('q', 4000 + i, NULL::text, 'SELECT array_append($2, 7)::text || array_append($2, 8)::text', array_append(array_fill(i * 0, ARRAY[2]), 2)) r FROM generate_series(1, 12) i) x;
-- the settings are those of the call
SET timezone = 'UTC';
SELECT syncmap.fetch_query('q', 4100, NULL::text, 'SELECT extract(epoch FROM ''2026-01-01 00:00''::timestamptz)::bigint::text');
SET timezone = 'Asia/Tokyo';
SELECT syncmap.fetch_query('q', 4101, NULL::text, 'SELECT extract(epoch FROM ''2026-01-01 00:00''::timestamptz)::bigint::text');
RESET timezone;
SELECT syncmap.fetch_query('q', '5', NULL::text, 'SELECT $1 + 1');
SELECT syncmap.fetch_query('q', 6::smallint, NULL::text, 'SELECT pg_typeof($1)::text');
SELECT syncmap.fetch_query('q', 100, NULL::text, 'SELECT v FROM t WHERE k = $1');
SELECT syncmap.fetch_query('q', NULL::int, NULL::text, 'SELECT 1'), syncmap.fetch_query(NULL, 1, NULL::text, 'SELECT 1');
-- what is there is not computed again, and what changes is not kept
SELECT syncmap.fetch_query('q', 1, NULL::text, 'SELECT 1 / 0');
UPDATE t SET v = 'x1' WHERE k = 1;
SELECT syncmap.fetch_query('q', 1, NULL::text, 'SELECT v FROM t WHERE k = $1');
BEGIN;
UPDATE t SET v = 'own' WHERE k = 1;
SELECT syncmap.fetch_query('q', 1, NULL::text, 'SELECT v FROM t WHERE k = $1');
ROLLBACK;
SELECT syncmap.fetch_query('q', 1, NULL::text, 'SELECT v FROM t WHERE k = $1');
BEGIN READ ONLY;
SELECT syncmap.fetch_query('q', 200, NULL::text, 'SELECT ''read only'''), syncmap.get('q', 200);
COMMIT;
-- queries that are none, or of other types
SELECT syncmap.fetch_query('q', 20, NULL::text, NULL);
SELECT syncmap.fetch_query('q', 20, NULL::text, '');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'nonsense');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT 1; SELECT 2');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SET work_mem = 1');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'DELETE FROM t');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'DELETE FROM t RETURNING v');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT v FROM t WHERE k = 1 FOR UPDATE');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT 1, 2');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT v FROM t');
SELECT syncmap.fetch_query('q', 20, NULL::text, 'SELECT $2', 1.5, 'unused');
SELECT syncmap.fetch_query('q', 21, NULL::text, 'SELECT $3');
SELECT syncmap.fetch_query('q', 21, NULL::int, 'SELECT 1');
SELECT syncmap.fetch_query('q', 21, NULL::text, 'SELECT $2', VARIADIC NULL::text[]);
SELECT syncmap.fetch_query('q', 21, NULL::text, 'SELECT $2', VARIADIC 'x'::text);
SELECT syncmap.fetch_query('q', 'x', NULL::text, 'SELECT 1');
SELECT syncmap.fetch_query('t', 21, NULL::text, 'SELECT 1');
SELECT syncmap.fetch_query('s3', 'abc', NULL::int, 'SELECT ''2020-01-01''::date');
SELECT syncmap.fetch_query('s3', 'abc', NULL::int, 'SELECT ''2020-01-01''::date WHERE false');
SELECT syncmap.fetch_query('s3', 'abc', NULL::int, 'SELECT length($1)::smallint');
SELECT syncmap.fetch_query('s3', repeat('x', 3000), NULL::int, 'SELECT length($1)'), syncmap.count('s3');
-- with the caller's rights and settings; what it stores all others get
GRANT SELECT ON q TO reader;
SET ROLE reader;
SELECT syncmap.fetch_query('q', 30, NULL::text, 'SELECT current_user::text');
RESET ROLE;
GRANT INSERT ON q TO reader;
SET ROLE reader;
SELECT syncmap.fetch_query('q', 30, NULL::text, 'SELECT current_user::text');
RESET ROLE;
GRANT UPDATE ON q TO reader;
SET ROLE reader;
SET search_path = pg_catalog;
SELECT syncmap.fetch_query('r.q', 30, NULL::text, 'SELECT current_user || '' '' || current_setting(''search_path'')');
SELECT syncmap.fetch_query('r.q', 31, NULL::text, 'SELECT v FROM r.t WHERE k = $1');
RESET ROLE;
SELECT syncmap.fetch_query('r.q', 31, NULL::text, 'SELECT v FROM t WHERE k = $1');
SET search_path = r;
SELECT syncmap.fetch_query('r.q', 31, NULL::text, 'SELECT v FROM t WHERE k = $1'), syncmap.get('q', 30);
-- the same text under another search_path is another query
CREATE SCHEMA r2;
CREATE TABLE r2.t AS SELECT 3 AS k, 'of r2' AS v;
SELECT syncmap.delete('q', 3), syncmap.fetch_query('q', 3, NULL::text, 'SELECT v FROM t WHERE k = $1');
SET search_path = r2;
SELECT syncmap.delete('r.q', 3), syncmap.fetch_query('r.q', 3, NULL::text, 'SELECT v FROM t WHERE k = $1');
SET search_path = r;
ALTER TABLE t ALTER v TYPE varchar(20);
SELECT syncmap.fetch_query('q', 3, NULL::text, 'SELECT v FROM t WHERE k = $1');
-- more queries than a session keeps, and such that run each other
SELECT sum(syncmap.fetch_query('q', 1000 + i, NULL::text, 'SELECT $1 + ' || i)::int) FROM generate_series(1, 200) i;
CREATE FUNCTION nest(k integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE k WHEN 2100 THEN 'deep' ELSE syncmap.fetch_query('r.q', k + 1, NULL::text, format('SELECT r.nest($1) || %L', k % 80)) END;
END $$;
SELECT length(nest(2000)), syncmap.get('q', 2100), length(syncmap.get('q', 2050));
-- one that comes to its own key, and one that fails, leave nothing behind
CREATE FUNCTION again(k integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN syncmap.fetch_query('r.q', k, NULL::text, 'SELECT ''inner '' || $1');
END $$;
SELECT syncmap.fetch_query('q', 3000, NULL::text, 'SELECT ''outer '' || r.again($1)'), syncmap.get('q', 3000);
DO $$ BEGIN PERFORM syncmap.fetch_query('q', 3001, NULL::text, 'SELECT 1 / ($1 - 3001)'); EXCEPTION WHEN division_by_zero THEN RAISE NOTICE '%', SQLERRM; END $$;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
-- one whose code alters the map under it
CREATE FOREIGN TABLE q2 (key int, value text) SERVER syncmap;
CREATE FUNCTION alters() RETURNS text LANGUAGE plpgsql AS $$ BEGIN ALTER FOREIGN TABLE r.q2 ALTER value TYPE int; RETURN '1'; END $$;
SELECT syncmap.fetch_query('q2', 1, NULL::text, 'SELECT r.alters()');

SET client_min_messages = warning;
DROP SCHEMA r, r2 CASCADE;
DROP ROLE reader;
