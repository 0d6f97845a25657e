-- What a second reading with fresh eyes found: where arguments, plans, and checks meet.

-- arrays whose declared type says nothing of their elements
CREATE TABLE numbers AS SELECT (i % 3)::bigint AS n, ('t' || i % 3) AS t FROM generate_series(1, 999) i;
ANALYZE numbers;
SELECT syncmap.create('m');
SELECT attname, syncmap.put_many('m', ARRAY[attname || 1, attname || 2, attname || 3], most_common_vals)
	FROM pg_stats WHERE tablename = 'numbers' ORDER BY attname;
SELECT count(*), count(*) FILTER (WHERE value ~ CASE WHEN key ~ '^n' THEN '^[012]$' ELSE '^t[012]$' END) FROM m;
SELECT syncmap.create('n', value_type => 'bigint');
SELECT syncmap.put_many('n', '{a,b,c}'::text[], most_common_vals) FROM pg_stats WHERE tablename = 'numbers' AND attname = 'n';
SELECT syncmap.put_many('n', '{a,b,c}'::text[], most_common_vals) FROM pg_stats WHERE tablename = 'numbers' AND attname = 't';
SELECT count(*), max(value) FROM n;

-- a lookup by a partitioned table, a part at a time
CREATE TABLE parts (key text COLLATE "C", value text) PARTITION BY LIST (value);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN ('1', '2');
CREATE FOREIGN TABLE parts2 PARTITION OF parts FOR VALUES IN ('3', '4') SERVER syncmap;
INSERT INTO parts SELECT 'k' || i, i FROM generate_series(1, 4) i;
SET enable_partitionwise_join = on;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT a.key FROM parts a JOIN parts b ON a.value = b.value AND b.key = a.key ORDER BY 1;
RESET enable_partitionwise_join;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- a view's check sees the row as it is stored
SELECT syncmap.create('h', ttl => '1 h', expires_at => true);
CREATE VIEW eternal AS SELECT * FROM h WHERE expires_at = 'infinity' WITH CHECK OPTION;
CREATE VIEW mortal AS SELECT * FROM h WHERE expires_at < 'infinity' WITH CHECK OPTION;
INSERT INTO mortal (key, value) VALUES ('a', '1') RETURNING key, expires_at > now() AS later;
\set VERBOSITY terse
INSERT INTO eternal (key, value) VALUES ('b', '1');
UPDATE mortal SET expires_at = NULL;
UPDATE mortal SET expires_at = 'infinity' WHERE key = 'a' RETURNING key;
INSERT INTO eternal VALUES ('c', '1', 'infinity') RETURNING key, expires_at;
SELECT key, expires_at < 'infinity' AS mortal FROM h ORDER BY key;

-- a cast of a user's that a function of PostgreSQL's finds looks at the map, too
SELECT syncmap.create('j', value_type => 'jsonb');
SELECT syncmap.put('j', 'k', '1');
CREATE TYPE word AS ENUM ('x');
CREATE FUNCTION word_to_json(word) RETURNS json LANGUAGE plpgsql AS
	$$BEGIN PERFORM syncmap.put('j', 'k', (syncmap.get('j', 'k')::integer + 1)::text); RETURN '3'; END$$;
CREATE CAST (word AS json) WITH FUNCTION word_to_json(word);
UPDATE j SET value = to_jsonb('x'::word) WHERE key = 'k';
UPDATE j SET value = to_jsonb(ROW('x'::word)) WHERE key = 'k';
UPDATE j SET value = to_jsonb(key) WHERE key = 'k' RETURNING *;

-- what is read only stays, also where a map of other types would go at once
SELECT syncmap.create('ro', value_type => 'int');
SELECT syncmap.put('ro', 'k', 1);
BEGIN;
TRUNCATE ro;
ALTER FOREIGN TABLE ro ALTER value TYPE text;
SELECT syncmap.put('ro', 'k', 'text');
ROLLBACK;
SELECT syncmap.get('ro', 'k');
BEGIN READ ONLY;
SELECT syncmap.clear('ro');
ROLLBACK;
SELECT syncmap.get('ro', 'k');
SELECT syncmap.clear('ro');
SELECT syncmap.count('ro');

-- what is no map is not locked
BEGIN;
SAVEPOINT s;
SELECT syncmap.get('numbers', 'k');
ROLLBACK TO s;
SELECT syncmap.get(4294967295::oid, 'k');
ROLLBACK TO s;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('numbers'::regclass, 4294967295);
ROLLBACK;

DROP VIEW eternal, mortal;
DROP TABLE parts, numbers;
DROP FOREIGN TABLE m, n, h, j, ro;
DROP TYPE word CASCADE;
