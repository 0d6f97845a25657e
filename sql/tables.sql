-- Maps as tables.
SET timezone = 'UTC';
CREATE FOREIGN TABLE m (key text COLLATE "C", value text) SERVER syncmap;
CREATE FOREIGN TABLE n (key bigint NOT NULL, value jsonb NOT NULL, expires_at timestamptz) SERVER syncmap;
\d m
CREATE FUNCTION plan(query text, options text DEFAULT 'VERBOSE OFF') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('EXPLAIN (COSTS OFF, %s) %s', options, query);
END $$;

-- INSERT, and what is read back
INSERT INTO m SELECT 'k' || i, 'v' || i FROM generate_series(1, 2000) i;
INSERT INTO n SELECT i, jsonb_build_object('n', i) FROM generate_series(-5, 2000) i;
SELECT count(*), count(DISTINCT key), count(DISTINCT value), min(value), sum(length(value)) FROM m;
SELECT count(*), sum(key), sum((value->>'n')::int) FROM n;
SELECT syncmap.get('m', 'k7'), syncmap.count('m');
INSERT INTO m (value, key) VALUES ('swapped', 's') RETURNING *, tableoid::regclass;
INSERT INTO m VALUES ('k1', 'again');
INSERT INTO n VALUES (1, '{}');
INSERT INTO m VALUES ('k1', 'again') ON CONFLICT DO NOTHING RETURNING key;
INSERT INTO m SELECT 'k' || i, 'again' FROM generate_series(1999, 2002) i ON CONFLICT DO NOTHING;
SELECT * FROM m WHERE key IN ('k1', 'k2000', 'k2001', 'k2002') ORDER BY key;
INSERT INTO m VALUES ('k1', 'again') ON CONFLICT (key) DO NOTHING;
INSERT INTO m VALUES ('k1', 'v') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value || right(m.value, 1);
INSERT INTO m VALUES ('new', NULL);
INSERT INTO m (value) VALUES ('no key');
INSERT INTO m VALUES (repeat('x', 2049), 'too long');
SELECT syncmap.contains('m', 'new'), syncmap.get('m', 'k1');

-- what is a lookup
SELECT plan($$SELECT * FROM m WHERE key = 'k1'$$);
SELECT plan($$SELECT * FROM m WHERE 'k1' = key AND value <> ''$$);
SELECT plan($$SELECT * FROM m WHERE key IN ('k1', 'k2')$$);
SELECT plan($$SELECT * FROM m WHERE key = ANY(ARRAY['k1', 'k2']) AND key = 'k2'$$);
SELECT plan($$SELECT * FROM n WHERE key = 1::smallint$$);
SELECT plan($$SELECT * FROM n WHERE key = 1.5$$);
SELECT plan($$SELECT * FROM m WHERE key = 'k' || (random() * 10)::int$$);
SELECT plan($$SELECT * FROM m WHERE key > 'k1'$$);
SELECT plan($$SELECT * FROM m WHERE key = value$$);
SELECT plan($$SELECT * FROM m WHERE key = 'k1' OR key = 'k2'$$);
SELECT plan($$SELECT * FROM m WHERE key <> ALL('{k1}')$$);
SELECT plan($$SELECT m.* FROM generate_series(1, 10) i JOIN m ON m.key = 'k' || i$$);
SELECT plan($$SELECT m.* FROM generate_series(1, 10) i LEFT JOIN m ON m.key = 'k' || i AND m.value > ''$$);
SELECT plan($$SELECT * FROM (VALUES (ARRAY['k1', 'k2'])) v (keys), LATERAL (SELECT * FROM m WHERE key = ANY(keys)) l$$);
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT plan($$SELECT * FROM m WHERE key = 'K1' COLLATE any_case$$);

-- lookups find what scans find, once
SELECT * FROM m WHERE key = 'k1';
SELECT * FROM m WHERE key = 'none';
SELECT * FROM m WHERE key = NULL;
SELECT * FROM m WHERE key = repeat('x', 3000);
SELECT * FROM m WHERE key = 'K1' COLLATE any_case;
SELECT key FROM m WHERE key = ANY(ARRAY['k3', 'k1', 'k3', NULL, 'none']) ORDER BY key;
SELECT key FROM m WHERE key = ANY(NULL::text[]);
SELECT key FROM m WHERE key = ANY('{}');
-- more than are prefetched at once, and one that is too long to be there
SELECT syncmap.create('hundreds');
INSERT INTO hundreds SELECT 'k' || i, 'v' || i FROM generate_series(1, 300) i;
SELECT count(*), bool_and(value = 'v' || substr(key, 2)) FROM hundreds
	WHERE key = ANY(ARRAY(SELECT 'k' || i FROM generate_series(101, 400) i) || ARRAY[repeat('k', 2049), NULL, 'k7', 'k101']);
DROP FOREIGN TABLE hundreds;
SELECT key FROM n WHERE key IN (-5, 3, 3, 99999) ORDER BY key;
SELECT key FROM n WHERE key = 3::smallint;
SELECT count(*), count(m.value) FROM generate_series(1990, 2010) i LEFT JOIN m ON m.key = 'k' || i;
SELECT count(*) FROM m a JOIN m b ON b.key = 'k' || substr(a.value, 2)::int + 1 WHERE a.value ~ '^v\d+$';
SELECT key FROM m WHERE key LIKE 'k100%' ORDER BY key;
CREATE FOREIGN TABLE four (key integer, value integer) SERVER syncmap;
INSERT INTO four VALUES (1, 1), (-1, -1);
SELECT plan($$SELECT * FROM four WHERE key = 4294967297$$);
SELECT * FROM four WHERE key = 4294967297;
SELECT * FROM four WHERE key = ANY('{1,4294967297,-4294967297}'::bigint[]);

-- EXPLAIN ANALYZE counts; estimates are the map's
SELECT * FROM plan($$SELECT * FROM m WHERE key IN ('k1', 'k2', 'none')$$, 'ANALYZE, TIMING OFF, SUMMARY OFF') p WHERE p ~ 'Lookup|Hits';
SELECT * FROM plan($$SELECT m.* FROM generate_series(1999, 2010) i JOIN m ON m.key = 'k' || i$$, 'ANALYZE, TIMING OFF, SUMMARY OFF') p WHERE p ~ 'Lookups|Hits';
EXPLAIN (COSTS OFF) INSERT INTO m VALUES ('a', 'b');
EXPLAIN (COSTS OFF) DELETE FROM m WHERE key = 'k1';
ANALYZE m;
SELECT n_distinct FROM pg_stats WHERE tablename = 'm' AND attname = 'key';
SELECT reltuples FROM pg_class WHERE relname = 'm';

-- UPDATE
UPDATE m SET value = 'new' WHERE key = 'k1' RETURNING *;
UPDATE m SET value = value || '!' WHERE key IN ('k1', 'k2', 'none') RETURNING *;
UPDATE m SET value = 'x' WHERE key = 'none';
UPDATE m SET value = NULL WHERE key = 'k1';
UPDATE n SET value = value || '{"more": true}' WHERE key = 1 RETURNING *;
UPDATE m SET key = 'moved' WHERE key = 'k1' RETURNING *;
UPDATE m SET key = 'k2' WHERE key = 'moved';
SELECT * FROM m WHERE key IN ('k1', 'k2', 'moved') ORDER BY key;
UPDATE m SET value = 'joined' FROM n WHERE n.key = 3 AND m.key = 'k' || n.key RETURNING m.*;
UPDATE m SET key = NULL WHERE key = 'moved';
UPDATE m SET value = i FROM generate_series(1, 2) i WHERE key = 'k2';
UPDATE m SET value = 'v2!' WHERE key = 'k2';
SELECT count(*) FROM m WHERE value = 'joined';

-- DELETE
DELETE FROM m WHERE key = 'moved' RETURNING *;
WITH gone AS (DELETE FROM m WHERE value LIKE 'v19%' RETURNING *) SELECT count(*), min(key) FROM gone;
DELETE FROM n USING generate_series(1, 5) i WHERE n.key = i;
SELECT syncmap.count('m'), syncmap.count('n');

-- effects are immediate, whatever becomes of the transaction
BEGIN;
INSERT INTO m VALUES ('kept', '1');
SAVEPOINT s;
UPDATE m SET value = '2' WHERE key = 'kept';
ROLLBACK TO s;
SELECT * FROM m WHERE key = 'kept';
ROLLBACK;
SELECT * FROM m WHERE key = 'kept';

-- expires_at
INSERT INTO n VALUES (10000, '1', now() + interval '1 hour'), (10001, '2', 'infinity'), (10002, '3', now() - interval '1 s'), (10003, '4', '-infinity');
SELECT key, value, expires_at > now() AS expires FROM n WHERE key BETWEEN 10000 AND 10003 ORDER BY key;
SELECT syncmap.ttl('n', 10000) BETWEEN '59 min' AND '1 hour', syncmap.ttl('n', 10001);
UPDATE n SET value = '10' WHERE key = 10000 RETURNING key, value, expires_at > now() AS expires;
SELECT syncmap.ttl('n', 10000) > '59 min' AS kept;
UPDATE n SET expires_at = NULL WHERE key = 10000;
UPDATE n SET expires_at = now() + interval '1 day' WHERE key = 10001;
SELECT syncmap.ttl('n', 10000), syncmap.ttl('n', 10001) > '23 hours' AS set;
UPDATE n SET expires_at = now() WHERE key = 10001;
SELECT syncmap.contains('n', 10001);
DELETE FROM n WHERE expires_at IS NULL AND key = 10000 RETURNING key, expires_at;
SELECT syncmap.create('t', ttl => '1 hour', expires_at => true);
INSERT INTO t VALUES ('default', 'v');
INSERT INTO t VALUES ('own', 'v', now() + interval '1 min');
SELECT key, expires_at - now() > '59 min' AS an_hour FROM t ORDER BY key;

-- COPY, TRUNCATE
COPY m FROM STDIN;
copied	from a file
k2	again
\.
COPY m FROM STDIN;
copied2	\N
\.
SELECT * FROM m WHERE key IN ('copied', 'k2');
COPY (SELECT * FROM m WHERE key = 'copied') TO STDOUT;
TRUNCATE m, n;
SELECT syncmap.count('m'), syncmap.count('n'), (SELECT count(*) FROM m);

-- prepared statements, with plans of their own and a generic one
PREPARE one(text) AS SELECT value FROM m WHERE key = $1;
PREPARE many(text[]) AS SELECT key, value FROM m WHERE key = ANY($1) ORDER BY key;
PREPARE store(text, text) AS INSERT INTO m VALUES ($1, $2);
EXECUTE store('a', '1');
EXECUTE store('b', '2');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE one('a');
EXECUTE one('a');
EXECUTE one('b');
EXECUTE many('{b,a,a}');
EXECUTE store('c', '3');
EXECUTE store('c', '3');
RESET plan_cache_mode;
DEALLOCATE ALL;

-- PL/pgSQL, triggers on ordinary tables, views, policies
CREATE TABLE accounts (id text PRIMARY KEY, owner text);
CREATE FUNCTION cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		PERFORM syncmap.delete('m', OLD.id);
		RETURN OLD;
	END IF;
	PERFORM syncmap.put('m', NEW.id, NEW.owner);
	RETURN NEW;
END $$;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION cache();
INSERT INTO accounts VALUES ('acc1', 'alice'), ('acc2', 'bob');
UPDATE accounts SET owner = 'carol' WHERE id = 'acc2';
DELETE FROM accounts WHERE id = 'acc1';
SELECT * FROM m WHERE key LIKE 'acc%';
CREATE VIEW v AS SELECT key, upper(value) AS value FROM m WHERE key LIKE 'acc%';
SELECT * FROM v WHERE key = 'acc2';
SELECT plan('SELECT * FROM v WHERE key = ''acc2''');
INSERT INTO v (key) VALUES ('acc3');
CREATE VIEW plain AS SELECT * FROM m;
INSERT INTO plain VALUES ('acc3', 'dave');
UPDATE plain SET value = 'dora' WHERE key = 'acc3' RETURNING *;
DELETE FROM plain WHERE key = 'acc3' RETURNING *;
DO $$
DECLARE
	r record;
	n int := 0;
BEGIN
	FOR r IN SELECT * FROM m LOOP
		UPDATE m SET value = r.value || '+' WHERE key = r.key;
		n := n + 1;
	END LOOP;
	RAISE NOTICE '% rows', n;
END $$;
SELECT * FROM m ORDER BY key;

-- row triggers of the map itself fire for statements
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % %', TG_WHEN, TG_OP, COALESCE(NEW.key, OLD.key);
	RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON m FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TRIGGER after AFTER INSERT OR UPDATE OR DELETE ON m FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO m VALUES ('t', '1');
UPDATE m SET value = '2' WHERE key = 't';
DELETE FROM m WHERE key = 't';
DROP TRIGGER before ON m;
DROP TRIGGER after ON m;

-- a map as a partition
CREATE TABLE parts (key text COLLATE "C", value text) PARTITION BY LIST (key);
CREATE TABLE rest PARTITION OF parts DEFAULT;
CREATE FOREIGN TABLE hot PARTITION OF parts FOR VALUES IN ('h1', 'h2') SERVER syncmap;
INSERT INTO parts VALUES ('h1', 'in the map'), ('other', 'in the table');
INSERT INTO parts VALUES ('h1', 'again');
UPDATE parts SET key = 'elsewhere' WHERE key = 'h1';
INSERT INTO hot VALUES ('elsewhere', 'x');
UPDATE parts SET value = value || '!' WHERE key IN ('h1', 'other');
SELECT tableoid::regclass, * FROM parts ORDER BY key;
DELETE FROM parts WHERE value LIKE '%!' RETURNING *;
INSERT INTO parts VALUES ('h1', 'in the map');
ALTER TABLE parts ADD CHECK (value <> '');
ALTER TABLE parts ADD more text;
ALTER TABLE parts ALTER value TYPE varchar;
CREATE FOREIGN TABLE IF NOT EXISTS hot (key text, value text) SERVER syncmap;
DROP TABLE parts;

-- cursors; a join in a parallel query
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM m WHERE key = ANY('{a,b,c}') ORDER BY key;
FETCH 2 FROM c;
DELETE FROM m WHERE key = 'c';
FETCH ALL FROM c;
COMMIT;
TRUNCATE m;
INSERT INTO m SELECT 'k' || i, i FROM generate_series(1, 1000) i;
CREATE TABLE big AS SELECT 'k' || i AS key, i FROM generate_series(1, 10000) i;
ALTER TABLE big SET (parallel_workers = 2);
ANALYZE big;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(m.value), sum(i) FROM big LEFT JOIN m ON m.key = big.key;
SELECT plan('SELECT count(syncmap.get(''m'', key)), sum(i) FROM big');
SELECT count(syncmap.get('m', key)), sum(i) FROM big;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- MERGE, FOR UPDATE, whole rows, subselects
MERGE INTO m USING (VALUES ('k1', 'merged'), ('fresh', 'merged')) s (key, value) ON m.key = s.key
	WHEN MATCHED THEN UPDATE SET value = s.value WHEN NOT MATCHED THEN INSERT VALUES (s.key, s.value);
SELECT m FROM m WHERE key = 'k1' FOR UPDATE;
SELECT * FROM big WHERE i < 4 AND EXISTS (SELECT 1 FROM m WHERE m.key = big.key AND m.value::int > 1) ORDER BY i;

-- syncmap.enabled is off: a map is empty, and stays as it is
SET syncmap.enabled = off;
SELECT count(*) FROM m;
SELECT * FROM m WHERE key = 'k1';
INSERT INTO m VALUES ('off', '1');
UPDATE m SET value = '1';
TRUNCATE m;
RESET syncmap.enabled;
SELECT syncmap.count('m'), syncmap.contains('m', 'off');

-- options: per map, at once, or with a notice
-- are new keys of o dirty?  Again and again, since the worker may come and promote them
CREATE FUNCTION becomes_dirty() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..100 LOOP
		PERFORM syncmap.put('o', gen_random_uuid()::text, 'v');
		IF (SELECT dirty_entries FROM syncmap.stat_map WHERE relname = 'o') > 0 THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT syncmap.create('o', shards => 4, promote_ratio => 100);
SELECT becomes_dirty();
ALTER FOREIGN TABLE o OPTIONS (SET shards '8');
SELECT shards FROM syncmap.stat_map WHERE relname = 'o';
SELECT syncmap.clear('o');
ALTER FOREIGN TABLE o OPTIONS (SET shards '64', SET promote_ratio '0');
SELECT becomes_dirty();
SELECT shards FROM syncmap.stat_map WHERE relname = 'o';
SELECT count(*) FROM o;
ALTER FOREIGN TABLE o OPTIONS (SET promote_ratio '50');
SELECT becomes_dirty();
ALTER FOREIGN TABLE o OPTIONS (DROP promote_ratio);
SELECT syncmap.clear('o');
SELECT becomes_dirty();

DROP VIEW v, plain;
DROP FOREIGN TABLE m, n, four, t, o;
DROP TABLE accounts, big;
DROP FUNCTION plan, cache, shout, becomes_dirty;
DROP COLLATION any_case;

-- a join on the key and on another column of the same equivalence class
CREATE FOREIGN TABLE twice (key text, value text) SERVER syncmap;
INSERT INTO twice SELECT 'k' || i, 'k' || i FROM generate_series(1, 5000) i;
CREATE TEMP TABLE few AS SELECT 'k' || i AS x FROM generate_series(1, 3) i;
ANALYZE few;
ANALYZE twice;
SELECT * FROM few o JOIN twice k ON k.value = o.x AND k.key = o.x ORDER BY x;
DROP FOREIGN TABLE twice;

-- rows that an UPDATE would move to a map that it is about
CREATE TABLE moved (key text COLLATE "C", value text) PARTITION BY RANGE (key);
CREATE TABLE moved_a PARTITION OF moved FOR VALUES FROM ('a') TO ('h');
CREATE FOREIGN TABLE moved_h PARTITION OF moved FOR VALUES FROM ('h') TO ('z') SERVER syncmap;
INSERT INTO moved VALUES ('b', '1'), ('k', '2');
UPDATE moved SET key = CASE WHEN key = 'b' THEN 'm' ELSE key END;
SELECT * FROM moved ORDER BY key;
-- and maps with their columns in another order
CREATE FOREIGN TABLE moved_z (value text, key text COLLATE "C") SERVER syncmap;
ALTER TABLE moved ATTACH PARTITION moved_z FOR VALUES FROM ('z') TO ('zz');
INSERT INTO moved VALUES ('z1', '3');
UPDATE moved SET value = value || '!' RETURNING *;
DROP TABLE moved;

-- a statement does not meet the keys that it puts
CREATE FOREIGN TABLE grows (key integer, value text) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO grows SELECT i, 'x' FROM generate_series(1, 3000) i;
SET statement_timeout = '20s';
UPDATE grows SET key = key + 10000 WHERE key > 0;
SELECT count(*), min(key), max(key) FROM grows;
INSERT INTO grows SELECT key + 10000, 'y' FROM grows WHERE key > 0;
SELECT count(*), min(key), max(key) FROM grows;
RESET statement_timeout;
DROP FOREIGN TABLE grows;

-- an UPDATE hands on no value that it has not compared
CREATE FOREIGN TABLE seen (key text, value text, expires_at timestamptz) SERVER syncmap;
INSERT INTO seen VALUES ('a', '1');
CREATE FUNCTION meanwhile(text) RETURNS text VOLATILE LANGUAGE plpgsql AS
	$$ BEGIN PERFORM syncmap.put('seen', 'a', 'new' || $1); RETURN $1; END $$;
UPDATE seen SET expires_at = meanwhile('2100-01-01')::timestamptz WHERE key = 'a' RETURNING value;
UPDATE seen SET key = meanwhile('b') WHERE key = 'a';
UPDATE seen SET value = 'x' || (SELECT value FROM seen WHERE key = 'a') || meanwhile('') WHERE key = 'a';
SELECT * FROM seen ORDER BY key;
CREATE FUNCTION sees() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM syncmap.put('seen', 'a', 'newer'); NEW.value := OLD.value || '+'; RETURN NEW; END $$;
CREATE TRIGGER sees BEFORE UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION sees();
UPDATE seen SET value = 'x' WHERE key = 'a';
SELECT * FROM seen ORDER BY key;
DROP TRIGGER sees ON seen;
-- what a view does not let in is not stored
CREATE VIEW kept AS SELECT * FROM seen WHERE key LIKE 'a%' WITH CHECK OPTION;
INSERT INTO kept VALUES ('zz', '1');
UPDATE kept SET key = 'z' WHERE key = 'a';
SELECT * FROM seen ORDER BY key;
DROP VIEW kept;
DROP FOREIGN TABLE seen;
DROP FUNCTION meanwhile, sees;
