-- Watched maps: what a review has broken, and what is refused.
\set VERBOSITY terse
CREATE SCHEMA w;
SET search_path = w;

-- a trigger that could not be looked up is looked up again
CREATE TABLE t (id text, v text);
INSERT INTO t VALUES ('a', '1');
CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT lower($1)$$;
SELECT syncmap.create('w.m', loader => 'SELECT max(v) FROM w.t WHERE w.f(id) = $1');
SELECT syncmap.watch('m', 't', 'f(id)');
ALTER FUNCTION f(text) VOLATILE;
UPDATE t SET v = '2';
UPDATE t SET v = '2';
ALTER FUNCTION f(text) IMMUTABLE;
UPDATE t SET v = '2';
SELECT syncmap.fetch('m', 'a'), syncmap.get('m', 'a');
UPDATE t SET v = '3';
SELECT syncmap.get('m', 'a'), syncmap.fetch('m', 'a');

-- another function's values are other keys
CREATE OR REPLACE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT upper($1)$$;
SELECT syncmap.get('m', 'a');

-- a function that fits better is not called (S2)
CREATE FUNCTION g(anyelement) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT $1::text$$;
CREATE TABLE u (id integer, v text);
INSERT INTO u VALUES (1, 'x');
SELECT syncmap.create('w.mu', loader => 'SELECT v FROM w.u WHERE id = $1::int');
SELECT syncmap.watch('mu', 'u', 'g(id)');
SELECT syncmap.fetch('mu', '1');
CREATE FUNCTION g(integer) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'another'$$;
\c -
SET search_path = w;
UPDATE u SET v = 'y';
DROP FUNCTION g(integer);
UPDATE u SET v = 'y';
SELECT syncmap.fetch('mu', '1');

-- nothing is locked, or looked at, for who has no right to it (S2)
CREATE ROLE watcher;
GRANT USAGE, CREATE ON SCHEMA w TO watcher;
GRANT USAGE ON FOREIGN SERVER syncmap TO watcher;
SET ROLE watcher;
BEGIN;
SELECT syncmap.unwatch('m', 'pg_authid');
ROLLBACK;
BEGIN;
SELECT syncmap.watch('m', 'u', 'v');
ROLLBACK;
CREATE TABLE mine (id text);
CREATE TRIGGER x AFTER TRUNCATE ON mine EXECUTE FUNCTION syncmap.invalidate('w.u');
CREATE TRIGGER x AFTER TRUNCATE ON mine EXECUTE FUNCTION syncmap.invalidate('w.m');
RESET ROLE;
SELECT syncmap.create('w.other');
SET ROLE watcher;
SELECT syncmap.create('w.of_watcher');
SELECT syncmap.watch('of_watcher', 'mine', $$CASE WHEN 'w.other'::regclass IS NULL THEN '' ELSE id END$$);
RESET ROLE;
SELECT map, source FROM syncmap.watches WHERE source = 'mine'::regclass;
SELECT syncmap.put('other', 'a', 'b');
ALTER FOREIGN TABLE other RENAME TO another;
ALTER FUNCTION f(text) RENAME TO ff;
SET ROLE watcher;
CREATE FUNCTION of_watcher() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION of_watcher() RENAME TO of_watcher_too;
RESET ROLE;

-- a trigger is not replaced (C7)
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER _watch_mu_rows AFTER UPDATE ON u FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER mine AFTER UPDATE ON u FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE OR REPLACE TRIGGER mine AFTER INSERT ON u FOR EACH ROW EXECUTE FUNCTION nothing();

-- every ALTER TABLE, and policies, take the whole map (C7)
CREATE TABLE j (id integer, v text, w text);
INSERT INTO j VALUES (1, 'a', 'b');
SELECT syncmap.create('w.mj', key_type => 'int', loader => 'SELECT to_jsonb(j)::text FROM w.j WHERE id = $1');
SELECT syncmap.watch('mj', 'j', 'id');
SELECT syncmap.fetch('mj', 1);
ALTER TABLE j ADD COLUMN z integer DEFAULT 7;
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1);
ALTER TABLE j DROP COLUMN w;
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1);
ALTER TABLE j ENABLE ROW LEVEL SECURITY;
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1) IS NOT NULL;
CREATE POLICY p ON j USING (false);
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1) IS NOT NULL;
DROP POLICY p ON j;
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1) IS NOT NULL;
-- and so does another loader
ALTER FOREIGN TABLE mj OPTIONS (SET loader 'SELECT v FROM w.j WHERE id = $1');
SELECT syncmap.get('mj', 1), syncmap.fetch('mj', 1);
-- the key's column is gone, and so is the watch
ALTER TABLE j DROP COLUMN id CASCADE;
SELECT syncmap.put('mj', 2, 'x');
SELECT count(*) FROM syncmap.watches WHERE map = 'mj'::regclass;

-- nobody's settings decide what a key is (C1)
CREATE TABLE d (d date, v text);
INSERT INTO d VALUES ('2020-03-01', 'old');
SELECT syncmap.create('w.md', loader => $$SELECT v FROM w.d WHERE (d - date '2020-02-01')::text = $1$$);
SET datestyle = 'SQL, DMY';
SELECT syncmap.watch('md', 'd', $$(d - date '01/02/2020')::text$$);
RESET datestyle;
SELECT key FROM syncmap.watches WHERE map = 'md'::regclass;
SELECT syncmap.fetch('md', '29');
UPDATE d SET v = 'new';
SELECT syncmap.fetch('md', '29');

-- leases: what is read may be rolled back, or older than the lease (C2, C3)
BEGIN;
SELECT syncmap.lease('md') AS lease \gset
UPDATE d SET v = 'dirty';
SELECT syncmap.put_leased('md', '29', 'dirty', :'lease');
ROLLBACK;
SELECT syncmap.put_leased('md', '29', 'dirty', :'lease');
SELECT syncmap.lease('md') AS lease \gset
SELECT v FROM d;
SELECT syncmap.put_leased('md', '29', 'new', :'lease'), syncmap.get('md', '29');
SELECT syncmap.put_leased('mu', '1', 'x', :'lease');
SELECT syncmap.put_leased('md', '29', 'x', '\x00');

-- a key that no map can have
\c -
SET search_path = w;
BEGIN;
INSERT INTO t VALUES (repeat('x', 3000), 'long');
SELECT syncmap.get('m', 'a'), syncmap.fetch('m', 'nobody');
ROLLBACK;

-- who may not TRUNCATE takes nothing (S2)
SELECT syncmap.fetch('md', '29');
SET ROLE watcher;
DO $$BEGIN TRUNCATE w.d; EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE '%', SQLERRM; END$$;
RESET ROLE;
SELECT syncmap.get('md', '29');

-- a key whose function changes the table itself, when it is planned
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('w.depth', true) IS DISTINCT FROM 'in' THEN
		PERFORM set_config('w.depth', 'in', true);
		UPDATE w.again SET v = v || 'x';
	END IF;
END$$;
CREATE FUNCTION h(integer) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM w.change(); RETURN $1; END$$;
CREATE TABLE again (id text, v text);
INSERT INTO again VALUES ('a', 'v');
SELECT syncmap.create('w.magain', loader => 'SELECT v FROM w.again WHERE id || w.h(1) = $1');
SELECT syncmap.watch('magain', 'again', 'id || h(1)');
\c -
SET search_path = w;
UPDATE again SET v = 'w';
UPDATE again SET v = 'w';

-- own changes (C2)
BEGIN;
UPDATE d SET v = 'own';
SELECT syncmap.get('md', '29'), syncmap.contains('md', '29'), syncmap.get_many('md', ARRAY['29']), (SELECT value FROM md WHERE key = '29'), (SELECT count(*) FROM md), syncmap.fetch('md', '29'), syncmap.fetch_many('md', ARRAY['29']);
SAVEPOINT s;
SELECT syncmap.get_or_put('md', '29', 'x');
ROLLBACK TO s;
SELECT syncmap.get_and_delete('md', '29');
ROLLBACK;

-- partitions
CREATE TABLE p (k integer) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
SELECT syncmap.create('w.mp', key_type => 'int', loader => 'SELECT count(*)::text FROM w.p WHERE k = $1');
SELECT syncmap.watch('mp', 'p', 'k');
INSERT INTO p VALUES (1);
SELECT syncmap.fetch('mp', 1);
ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
TRUNCATE p1;
SELECT syncmap.fetch('mp', 1);
ALTER TABLE p DETACH PARTITION p1;
INSERT INTO p1 VALUES (1);
SELECT syncmap.fetch('mp', 1);
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
SELECT syncmap.fetch('mp', 1);

-- loaders that are none
SELECT syncmap.create('w.l1', loader => 'SELECT 1, 2');
SELECT syncmap.create('w.l1', loader => 'DELETE FROM w.t');
SELECT syncmap.create('w.l1', loader => 'SELECT v FROM w.nowhere WHERE id = $1');
SELECT syncmap.create('w.l1', value_type => 'date', loader => 'SELECT 1');
SELECT syncmap.create('w.l1', loader => 'SELECT id FROM w.twice WHERE id = $1');
CREATE TABLE twice (id text);
INSERT INTO twice VALUES ('a'), ('a');
SELECT syncmap.create('w.l1', loader => 'SELECT id FROM w.twice WHERE id = $1');
SELECT syncmap.fetch('l1', 'b');
SELECT syncmap.fetch('l1', 'a');
SELECT syncmap.fetch('another', 'b');
SELECT syncmap.fetch('another', 'a');

SET client_min_messages = warning;
DROP SCHEMA w CASCADE;
REVOKE ALL ON FOREIGN SERVER syncmap FROM watcher;
DROP ROLE watcher;
