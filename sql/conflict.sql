-- INSERT ... ON CONFLICT (key): each of these gives on a map what it gives on a table,
-- rows that are returned, row counts, errors, and what the triggers were told included.
\pset format unaligned
\pset tuples_only on
CREATE FOREIGN TABLE m (key text COLLATE "C", value integer) SERVER syncmap;
CREATE FOREIGN TABLE e (key integer, value text, expires_at timestamptz) SERVER syncmap;
CREATE TABLE tm (key text COLLATE "C" PRIMARY KEY, value integer NOT NULL);
CREATE TABLE te (key integer PRIMARY KEY, value text NOT NULL, expires_at timestamptz);
CREATE VIEW v AS SELECT value AS n, key AS k FROM m WHERE value < 100 WITH CHECK OPTION;
CREATE VIEW tv AS SELECT value AS n, key AS k FROM tm WHERE value < 100 WITH CHECK OPTION;
CREATE TABLE other (key text, value integer);
INSERT INTO other VALUES ('a', 7), ('b', 8), ('c', 9);
CREATE TABLE said (n serial, what text);

-- Runs statements on the tables, and on the maps; $m, $e, $v are their names.
CREATE FUNCTION on_both(VARIADIC statements text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	found text[] := '{}';
	names text[];
	statement text;
	row record;
	n bigint;
	said_so text;
	rows text;
BEGIN
	FOREACH names SLICE 1 IN ARRAY '{{tm,te,tv},{m,e,v}}'::text[] LOOP
		EXECUTE format('TRUNCATE %I, %I', names[1], names[2]);
		EXECUTE format('INSERT INTO %I VALUES (''a'', 1), (''z'', 26)', names[1]);
		EXECUTE format('INSERT INTO %I VALUES (1, ''one'', NULL), (2, ''two'', ''2100-01-01 UTC'')', names[2]);
		TRUNCATE said RESTART IDENTITY;
		said_so := '';
		FOREACH statement IN ARRAY statements LOOP
			BEGIN
				statement := replace(replace(replace(statement, '$m', names[1]), '$e', names[2]), '$v', names[3]);
				IF statement ~ 'RETURNING' AND statement !~ '^(CREATE|DO)' THEN
					n := 0;
					FOR row IN EXECUTE statement LOOP
						said_so := said_so || row::text || ' ';
						n := n + 1;
					END LOOP;
				ELSE
					EXECUTE statement;
					GET DIAGNOSTICS n = ROW_COUNT;
				END IF;
				said_so := said_so || n || ' rows. ';
			EXCEPTION WHEN OTHERS THEN
				said_so := said_so || SQLSTATE || '. ';
			END;
		END LOOP;
		EXECUTE format('SELECT string_agg(key || ''='' || value, '' '' ORDER BY key) FROM (SELECT * FROM %I UNION ALL SELECT key::text, value FROM (SELECT key, length(value) FROM %I) s(key, value)) s', names[1], names[2]) INTO rows;
		found := found || (said_so || rows || coalesce((SELECT '; ' || string_agg(what, ', ' ORDER BY said.n) FROM said), ''));
	END LOOP;
	RETURN NEXT array_to_string(statements, '; ');
	RETURN NEXT CASE WHEN found[1] = found[2] THEN '    ' || found[1] ELSE '    ' || found[1] || E'\nBUT THE MAP: ' || found[2] END;
END $$;

-- the clause
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('b', 6) ON CONFLICT (key) DO UPDATE SET value = $m.value + EXCLUDED.value$$);
SELECT on_both($$INSERT INTO $m AS x VALUES ('a', 5), ('b', 6) ON CONFLICT (key) DO UPDATE SET value = x.value + EXCLUDED.value RETURNING *, x.value * 10 AS ten$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('b', 6) ON CONFLICT (key) DO NOTHING RETURNING *$$);
SELECT on_both($$INSERT INTO $m AS x VALUES ('a', 5), ('z', 6), ('b', 1) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value WHERE x.value < EXCLUDED.value RETURNING *$$);
SELECT on_both($$INSERT INTO $m AS x VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value WHERE NULL$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET (value) = (SELECT o.value + $m.value FROM other o WHERE o.key = EXCLUDED.key) RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('z', 5) ON CONFLICT (key) DO UPDATE SET value = coalesce((SELECT o.value FROM other o WHERE o.key = $m.key), -1)$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('b', 5) ON CONFLICT (key) DO UPDATE SET value = (SELECT max(value) FROM $m) + 1$$);
SELECT on_both($$INSERT INTO $m VALUES ('b', 5), ('a', 5) ON CONFLICT (key) DO UPDATE SET value = coalesce((SELECT value FROM $m x WHERE x.key = 'b'), -5)$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = DEFAULT$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = NULL$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', NULL) ON CONFLICT (key) DO UPDATE SET value = 1$$);
SELECT on_both($$INSERT INTO $m VALUES (NULL, 1) ON CONFLICT (key) DO UPDATE SET value = 1$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = length(($m.*)::text || (EXCLUDED.*)::text) RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = 10 / ($m.value - EXCLUDED.value + 4)$$, $$INSERT INTO $m VALUES ('a', 4) ON CONFLICT (key) DO NOTHING$$);
SELECT on_both($$INSERT INTO $m SELECT key, sum(value) FROM other GROUP BY key ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value * 2$$);
SELECT on_both($$INSERT INTO $m SELECT key, value + 1 FROM $m ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value * 2$$);
SELECT on_both($$INSERT INTO $e (value, key) VALUES ('uno', 1), ('tre', 3) ON CONFLICT (key) DO UPDATE SET value = $e.value || EXCLUDED.value RETURNING value, key$$);
-- other ways to write the key
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key COLLATE "C") DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key text_ops) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key, key) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT ((key)) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) WHERE value > 10 DO UPDATE SET value = 2$$);
-- what is no key
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (value) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (value) DO NOTHING$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key, value) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (lower(key)) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key text_pattern_ops) DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT ON CONSTRAINT nobody DO UPDATE SET value = 2$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT DO UPDATE SET value = 2$$);
-- a second time
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('a', 6) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value$$);
SELECT on_both($$INSERT INTO $m VALUES ('n', 5), ('n', 6) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value$$);
SELECT on_both($$INSERT INTO $m VALUES ('z', 1), ('z', 1) ON CONFLICT (key) DO UPDATE SET value = $m.value WHERE $m.value = 0$$);
SELECT on_both($$INSERT INTO $m VALUES ('n', 1), ('n', 1) ON CONFLICT (key) DO NOTHING$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 0), ('a', 3), ('b', 2) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value WHERE EXCLUDED.value > 0$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 1), ('b', 2) ON CONFLICT (key) DO UPDATE SET value = 3$$, $$INSERT INTO $m VALUES ('a', 1), ('b', 2) ON CONFLICT (key) DO UPDATE SET value = 4$$);
-- the key is set
SELECT on_both($$INSERT INTO $m VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET key = 'b' RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET key = 'z' RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key, value = 8 RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 1), ('b', 1) ON CONFLICT (key) DO UPDATE SET key = 'b', value = 8$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 1), ('a', 2) ON CONFLICT (key) DO UPDATE SET key = 'b', value = 8$$);
-- in WITH, in a function, prepared
SELECT on_both($$WITH w AS (INSERT INTO $m VALUES ('a', 5), ('b', 6) ON CONFLICT (key) DO UPDATE SET value = $m.value + 1 RETURNING *) SELECT * FROM w ORDER BY key --RETURNING$$);
SELECT on_both($$WITH w AS (INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = 50 RETURNING *) INSERT INTO $e SELECT value, key FROM w ON CONFLICT (key) DO NOTHING RETURNING *$$);
SELECT on_both($$WITH w AS (INSERT INTO $m VALUES ('a', 5) ON CONFLICT (value) DO NOTHING) SELECT 1$$);
SELECT on_both($$WITH o AS (SELECT * FROM other) INSERT INTO $m SELECT * FROM o ON CONFLICT (key) DO UPDATE SET value = (SELECT sum(value) FROM o) RETURNING *$$);
SELECT on_both($$DO $d$ DECLARE x record; BEGIN FOR i IN 1..9 LOOP INSERT INTO $m VALUES ('a', i) ON CONFLICT (key) DO UPDATE SET value = $m.value + EXCLUDED.value RETURNING * INTO x; END LOOP; INSERT INTO said(what) VALUES (x::text); END $d$ $$);
SELECT on_both($$CREATE OR REPLACE FUNCTION upsert(k text, n integer) RETURNS SETOF $m LANGUAGE sql AS 'INSERT INTO $m VALUES (k, n) ON CONFLICT (key) DO UPDATE SET value = $m.value + n RETURNING *'$$,
	$$SELECT upsert(k, 3) FROM unnest('{a,b,a}'::text[]) k --RETURNING$$, $$DROP FUNCTION upsert$$);
SELECT on_both($$PREPARE p(text, integer) AS INSERT INTO $m AS x VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = x.value + $2 WHERE x.value < $2 * 10$$,
	'SET plan_cache_mode = force_generic_plan', $$EXECUTE p('a', 4)$$, $$EXECUTE p('a', 4)$$, $$EXECUTE p('a', 0)$$, $$EXECUTE p('n', 4)$$, 'DEALLOCATE p', 'RESET plan_cache_mode');
-- views
SELECT on_both($$INSERT INTO $v AS x VALUES (5, 'a'), (6, 'b') ON CONFLICT (k) DO UPDATE SET n = x.n + EXCLUDED.n RETURNING *$$);
SELECT on_both($$INSERT INTO $v AS x VALUES (5, 'a') ON CONFLICT (k) DO UPDATE SET n = 100$$);
SELECT on_both($$INSERT INTO $v AS x VALUES (100, 'b') ON CONFLICT (k) DO UPDATE SET n = 5$$);
SELECT on_both($$INSERT INTO $v AS x VALUES (100, 'a') ON CONFLICT (k) DO UPDATE SET n = 5$$);
SELECT on_both($$INSERT INTO $v AS x VALUES (5, 'a') ON CONFLICT (n) DO UPDATE SET n = 5$$);
-- triggers
CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO said(what) VALUES (concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, OLD, NEW));
	RETURN CASE WHEN NEW.value = 13 THEN NULL ELSE NEW END;
END $$;
CREATE FUNCTION next() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.value := NEW.value + 1; RETURN NEW; END $$;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON m FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON tm FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER b BEFORE UPDATE ON m FOR EACH ROW EXECUTE FUNCTION next();
CREATE TRIGGER b BEFORE UPDATE ON tm FOR EACH ROW EXECUTE FUNCTION next();
CREATE TRIGGER c AFTER INSERT OR UPDATE ON m FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER c AFTER INSERT OR UPDATE ON tm FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER d AFTER INSERT OR UPDATE ON m EXECUTE FUNCTION say();
CREATE TRIGGER d AFTER INSERT OR UPDATE ON tm EXECUTE FUNCTION say();
CREATE TRIGGER f AFTER UPDATE OF value ON m FOR EACH ROW WHEN (OLD.value IS DISTINCT FROM NEW.value) EXECUTE FUNCTION say();
CREATE TRIGGER f AFTER UPDATE OF value ON tm FOR EACH ROW WHEN (OLD.value IS DISTINCT FROM NEW.value) EXECUTE FUNCTION say();
SELECT on_both($$INSERT INTO $m VALUES ('b', 2), ('a', 5), ('c', 3) ON CONFLICT (key) DO UPDATE SET value = $m.value + EXCLUDED.value RETURNING *$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5), ('b', 13), ('z', 8) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value + 5$$);
SELECT on_both($$INSERT INTO $m VALUES ('a', 5) ON CONFLICT (key) DO UPDATE SET value = 5 WHERE false$$);
SELECT on_both($$INSERT INTO $v VALUES (5, 'a') ON CONFLICT (k) DO UPDATE SET n = 99$$);
DROP TRIGGER c ON m;
DROP TRIGGER c ON tm;
SELECT on_both($$INSERT INTO $m VALUES ('b', 2), ('a', 5), ('c', 3) ON CONFLICT (key) DO UPDATE SET value = $m.value + EXCLUDED.value RETURNING *$$);
CREATE TRIGGER c AFTER INSERT ON m FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER c AFTER INSERT ON tm FOR EACH ROW EXECUTE FUNCTION say();
DROP TRIGGER f ON m;
DROP TRIGGER f ON tm;
SELECT on_both($$INSERT INTO $m VALUES ('b', 2), ('a', 5), ('c', 3), ('z', 1) ON CONFLICT (key) DO UPDATE SET value = $m.value + EXCLUDED.value$$);
DROP TRIGGER a ON m;
DROP TRIGGER b ON m;
DROP TRIGGER c ON m;
DROP TRIGGER d ON m;

-- ---- what a map has of its own ----
\pset tuples_only off
\set VERBOSITY default
INSERT INTO m VALUES ('a', 1) ON CONFLICT (value) DO UPDATE SET value = 2;
INSERT INTO m VALUES ('a', 5), ('a', 6) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;
-- when a key expires: what is left out stays, also to the microsecond, and what is past is absent
SELECT syncmap.create('x', ttl => '1 hour', expires_at => true);
CREATE FUNCTION hours(at timestamptz) RETURNS text LANGUAGE sql AS
	$$SELECT CASE WHEN at = 'infinity' THEN 'never' ELSE round(extract(epoch FROM at - clock_timestamp()) / 3600)::text END$$;
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = 'no' RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('a', '1', now() + interval '9 h') ON CONFLICT (key) DO UPDATE SET value = '2' RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('a', '1', now() + interval '9 h') ON CONFLICT (key) DO UPDATE SET value = '3', expires_at = EXCLUDED.expires_at RETURNING value, hours(expires_at);
-- EXCLUDED is the row that would be stored: with the map's ttl
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = hours(x.expires_at) || hours(EXCLUDED.expires_at), expires_at = EXCLUDED.expires_at RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET expires_at = NULL RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = '5' RETURNING value, hours(expires_at);
SELECT syncmap.expire('x', 'a', '5 h');
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = '6' WHERE x.expires_at > now() + interval '4 h' RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = '7', expires_at = '2001-01-01' RETURNING value, expires_at < now();
INSERT INTO x VALUES ('a', '8') ON CONFLICT (key) DO UPDATE SET value = 'no' RETURNING value, hours(expires_at);
INSERT INTO x VALUES ('p', '1', now() - interval '1 s') ON CONFLICT (key) DO UPDATE SET value = 'no' RETURNING value;
SELECT * FROM m ORDER BY key;
SELECT syncmap.count('x');
-- without such a column an update starts the map's ttl anew, as put does
SELECT syncmap.create('y', ttl => '1 hour');
SELECT syncmap.put('y', 'a', '1', '5 h');
INSERT INTO y VALUES ('a', '2') ON CONFLICT (key) DO UPDATE SET value = y.value || EXCLUDED.value RETURNING *;
SELECT syncmap.get('y', 'a'), round(extract(epoch FROM syncmap.ttl('y', 'a')) / 3600) AS hours;
-- a column that tells seconds only: an update that does not set it leaves the rest, too
CREATE FOREIGN TABLE seconds (id integer, n integer, until bigint OPTIONS (expires 's')) SERVER syncmap;
INSERT INTO seconds SELECT i, 0 FROM generate_series(1, 8) i;
SELECT count(syncmap.expire('seconds', i, '1 hour' + i * interval '0.123 s')) FROM generate_series(1, 8) i;
CREATE TABLE before AS SELECT id, clock_timestamp() + syncmap.ttl('seconds', id) AS at FROM seconds;
UPDATE seconds SET n = n + 1;
INSERT INTO seconds SELECT i, 0 FROM generate_series(1, 8) i ON CONFLICT (id) DO UPDATE SET n = seconds.n + 1;
SELECT count(*), min(n), bool_and(abs(extract(epoch FROM clock_timestamp() + syncmap.ttl('seconds', id) - at)) < 0.3) FROM seconds JOIN before USING (id);
UPDATE seconds SET until = until + 10 WHERE id = 1;
INSERT INTO seconds VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET until = seconds.until + 10;
SELECT round(extract(epoch FROM clock_timestamp() + syncmap.ttl('seconds', id) - at)) IN (19, 20) FROM seconds JOIN before USING (id) WHERE id = 1;
-- rows: columns that are not set stay, nulls, too
CREATE FOREIGN TABLE rows (a integer, id text OPTIONS (key 'true') COLLATE "C", b text DEFAULT 'd', c jsonb, d integer NOT NULL) SERVER syncmap;
INSERT INTO rows (id, d) VALUES ('x', 1), ('y', 2) ON CONFLICT (id) DO UPDATE SET a = 1 RETURNING *;
INSERT INTO rows (id, d, c) VALUES ('x', 10, '{"n": 1}'), ('z', 3, NULL) ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.d, c = EXCLUDED.c RETURNING *;
INSERT INTO rows (id, d) VALUES ('x', 10) ON CONFLICT (id) DO UPDATE SET (a, b, d) = (SELECT rows.a + 1, NULL, length(rows::text)) WHERE rows.c ->> 'n' = '1' RETURNING *, rows;
INSERT INTO rows (id, d) VALUES ('x', NULL) ON CONFLICT (id) DO UPDATE SET a = 7;
INSERT INTO rows (id, d) VALUES ('x', 1) ON CONFLICT (id) DO UPDATE SET d = NULL;
INSERT INTO rows (id, d) VALUES ('x', 1) ON CONFLICT (d) DO UPDATE SET d = 1;
SELECT * FROM rows ORDER BY id;
DROP FOREIGN TABLE seconds, rows;
DROP TABLE before;
-- a partition keeps to its bounds; of the whole PostgreSQL knows no unique index
CREATE TABLE parts (key text COLLATE "C", value integer) PARTITION BY RANGE (key);
CREATE FOREIGN TABLE low PARTITION OF parts FOR VALUES FROM ('a') TO ('m') SERVER syncmap;
INSERT INTO low VALUES ('b', 1), ('c', 2) ON CONFLICT (key) DO UPDATE SET value = 9 RETURNING *;
INSERT INTO low VALUES ('b', 1) ON CONFLICT (key) DO UPDATE SET value = 9 RETURNING *;
INSERT INTO low VALUES ('b', 1) ON CONFLICT (key) DO UPDATE SET key = 'x';
INSERT INTO low VALUES ('x', 1) ON CONFLICT (key) DO UPDATE SET key = 'b';
INSERT INTO parts VALUES ('b', 1) ON CONFLICT DO NOTHING;
INSERT INTO parts VALUES ('b', 1) ON CONFLICT (key) DO UPDATE SET value = 9;
DROP TABLE parts;
-- the policies of the whole hold for rows that go into a part
CREATE TABLE parts (key text COLLATE "C", value integer) PARTITION BY LIST (key);
CREATE FOREIGN TABLE part PARTITION OF parts FOR VALUES IN ('m', 'n') SERVER syncmap;
CREATE TABLE rest PARTITION OF parts DEFAULT;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON parts USING (value < 10) WITH CHECK (value < 10);
CREATE ROLE syncmap_upserter;
GRANT ALL ON parts, part, rest TO syncmap_upserter;
SET ROLE syncmap_upserter;
INSERT INTO parts VALUES ('m', 100);
INSERT INTO parts VALUES ('m', 5), ('r', 5) ON CONFLICT DO NOTHING;
UPDATE parts SET value = 100 WHERE key = 'm';
UPDATE parts SET value = 100, key = 'n' WHERE key = 'r';
UPDATE parts SET value = 6 RETURNING tableoid::regclass, *;
RESET ROLE;
DROP TABLE parts;
DROP OWNED BY syncmap_upserter;
DROP ROLE syncmap_upserter;
-- nothing is stored where nothing may be
SET syncmap.enabled = off;
INSERT INTO m VALUES ('a', 1), ('b', 1) ON CONFLICT (key) DO UPDATE SET value = 9 RETURNING *;
RESET syncmap.enabled;
BEGIN READ ONLY;
INSERT INTO m VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = 9;
ROLLBACK;
INSERT INTO m VALUES (repeat('x', 2049), 1) ON CONFLICT (key) DO UPDATE SET value = 9;
CREATE ROLE syncmap_upserter;
GRANT INSERT, SELECT (key), UPDATE (value) ON m TO syncmap_upserter;
SET ROLE syncmap_upserter;
INSERT INTO m VALUES ('r', 1) ON CONFLICT (key) DO UPDATE SET value = 11;
INSERT INTO m VALUES ('r', 2) ON CONFLICT (key) DO UPDATE SET value = 12;
INSERT INTO m VALUES ('r', 2) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;
INSERT INTO m VALUES ('r', 3) ON CONFLICT (key) DO UPDATE SET value = m.value;
INSERT INTO m VALUES ('r', 3) ON CONFLICT (key) DO UPDATE SET key = 's';
RESET ROLE;
SELECT * FROM m WHERE key = 'r';
DROP OWNED BY syncmap_upserter;
DROP ROLE syncmap_upserter;
-- watched maps, where it would not be known how old a value is
CREATE TABLE source (key text PRIMARY KEY, value integer);
SELECT syncmap.create('w', value_type => 'integer');
SELECT syncmap.watch('w', 'source', 'key');
INSERT INTO w VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = 2;
SELECT syncmap.unwatch('w', 'source');
INSERT INTO w VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = 2 RETURNING *;
INSERT INTO w VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = 2 RETURNING *;
DROP TABLE source;
-- code that changes the same key in between: what it has stored is seen, if that ends
CREATE FUNCTION put_a(n integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM syncmap.put('m', 'a', n); RETURN n; END $$;
CREATE FUNCTION next_a() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN syncmap.increment('m', 'a'); END $$;
TRUNCATE m;
INSERT INTO m VALUES ('a', 1);
INSERT INTO m VALUES ('a', 10) ON CONFLICT (key) DO UPDATE SET value = m.value + put_a(5) RETURNING *;
INSERT INTO m VALUES ('a', 10) ON CONFLICT (key) DO UPDATE SET value = m.value + next_a();
UPDATE m SET value = value + next_a() WHERE key = 'a';
CREATE FUNCTION clears() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM syncmap.clear('m'); RETURN 1; END $$;
INSERT INTO m VALUES ('a', 10) ON CONFLICT (key) DO UPDATE SET value = clears() RETURNING *;
CREATE FUNCTION alters() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN ALTER FOREIGN TABLE m OPTIONS (SET max_memory '8MB'); RETURN 1; END $$;
INSERT INTO m VALUES ('a', 10) ON CONFLICT (key) DO UPDATE SET value = alters() RETURNING *;
\set VERBOSITY terse
CREATE FUNCTION drops() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN DROP FOREIGN TABLE m; RETURN 1; END $$;
INSERT INTO m VALUES ('a', 10) ON CONFLICT (key) DO UPDATE SET value = drops() RETURNING *;
SELECT * FROM m ORDER BY key;
-- a plan that is kept, while the map is altered
PREPARE p AS INSERT INTO m VALUES ('p', 1) ON CONFLICT (key) DO UPDATE SET value = m.value + 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE p;
EXECUTE p;
ALTER FOREIGN TABLE m OPTIONS (ADD max_memory '8MB');
EXECUTE p;
SELECT value FROM m WHERE key = 'p';
TRUNCATE m;
DROP VIEW v;
ALTER FOREIGN TABLE m ALTER COLUMN value TYPE bigint;
EXECUTE p;
EXECUTE p;
SELECT * FROM m;
DEALLOCATE p;
RESET plan_cache_mode;
DROP FOREIGN TABLE m CASCADE;
CREATE FOREIGN TABLE m (key text COLLATE "C", value integer) SERVER syncmap;
-- values of any size and type
CREATE FOREIGN TABLE big (key bytea, value text) SERVER syncmap;
INSERT INTO big SELECT 'k', repeat(i::text, 100000) FROM generate_series(1, 1) i ON CONFLICT (key) DO UPDATE SET value = big.value || EXCLUDED.value;
INSERT INTO big SELECT 'k', repeat(i::text, 100000) FROM generate_series(2, 2) i ON CONFLICT (key) DO UPDATE SET value = big.value || EXCLUDED.value RETURNING length(value), md5(value) = md5(repeat('1', 100000) || repeat('2', 100000));
CREATE FOREIGN TABLE j (key uuid, value jsonb) SERVER syncmap;
INSERT INTO j VALUES ('00000000-0000-0000-0000-000000000001', '{"n": 1}') ON CONFLICT (key) DO UPDATE SET value = j.value || EXCLUDED.value;
INSERT INTO j VALUES ('00000000-0000-0000-0000-000000000001', '{"m": 2}') ON CONFLICT (key) DO UPDATE SET value = j.value || EXCLUDED.value RETURNING value;
-- 100,000 keys, each once, and then one a second time
CREATE FOREIGN TABLE many (key bigint, value integer) SERVER syncmap;
INSERT INTO many SELECT i, 1 FROM generate_series(1, 100000) i ON CONFLICT (key) DO UPDATE SET value = 0;
INSERT INTO many SELECT i, 1 FROM generate_series(50001, 150000) i ON CONFLICT (key) DO UPDATE SET value = many.value + EXCLUDED.value;
SELECT value, count(*) FROM many GROUP BY value ORDER BY value;
INSERT INTO many SELECT i % 140001, 1 FROM generate_series(1, 140002) i ON CONFLICT (key) DO UPDATE SET value = 0;
-- what EXPLAIN shows
EXPLAIN (COSTS OFF, VERBOSE) INSERT INTO m AS x VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET value = x.value + EXCLUDED.value WHERE x.value < EXCLUDED.value;
EXPLAIN (COSTS OFF) INSERT INTO m VALUES ('a', 1) ON CONFLICT (key) DO NOTHING;
INSERT INTO m VALUES ('a', 1), ('b', 2);
-- rows that a join would change twice are changed once, as a table's are
UPDATE m SET value = m.value + i FROM generate_series(1, 3) i WHERE key = 'a' RETURNING m.value IN (2, 3, 4);
SELECT value IN (2, 3, 4) FROM m WHERE key = 'a';
DELETE FROM m USING generate_series(1, 3) i WHERE key = 'a' RETURNING key;
-- was it inserted, or updated?  As clients ask a table
TRUNCATE m;
INSERT INTO m VALUES ('a', 1), ('b', 2) RETURNING key, xmax = 0 AS inserted;
INSERT INTO m VALUES ('b', 1), ('c', 2) ON CONFLICT (key) DO UPDATE SET value = 9 RETURNING key, value, xmax = 0 AS inserted, m, tableoid::regclass;
-- a key that is set to what it is
UPDATE m SET key = 'b', value = value + 1 WHERE key = 'b' RETURNING *;
\set VERBOSITY terse
DROP FOREIGN TABLE m, e, x, y, w, big, j, many CASCADE;
DROP TABLE tm, te, other, said CASCADE;
DROP FUNCTION on_both, say, next, hours, put_a, next_a, clears, alters, drops;
