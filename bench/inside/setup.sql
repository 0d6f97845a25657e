-- setup.sql
--   What bench/inside/run compares: the same 100,000 pairs in every place for them, with keys
--   of 16 bytes and values of 96, and what drives the lookups.  :socket is where the server is.

CREATE EXTENSION IF NOT EXISTS syncmap;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS pgmemcache;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE FUNCTION lh_get(variant int, key text) RETURNS text
	AS 'locked_hash' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION lh_put(variant int, key text, value text) RETURNS boolean
	AS 'locked_hash' LANGUAGE C VOLATILE STRICT;
CREATE FUNCTION lh_increment(variant int, key text) RETURNS bigint
	AS 'locked_hash' LANGUAGE C VOLATILE STRICT;

-- ---- the pairs ---------------------------------------------------------------

-- in no order, as they come in life; what pglz does not make shorter
SELECT setseed(0.5);
CREATE UNLOGGED TABLE unlogged (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
INSERT INTO unlogged
	SELECT 'key_' || lpad(i::text, 12, '0'), md5('a' || i) || md5('b' || i) || md5('c' || i)
	FROM generate_series(1, 100000) AS i ORDER BY random();
CREATE TABLE logged (LIKE unlogged INCLUDING ALL);
CREATE UNLOGGED TABLE covered (key text COLLATE "C", value text NOT NULL, PRIMARY KEY (key) INCLUDE (value));
INSERT INTO logged SELECT * FROM unlogged;
INSERT INTO covered SELECT * FROM unlogged;

SELECT syncmap.create('map'), syncmap.create('ordered', ordered => true);
INSERT INTO map SELECT * FROM unlogged;
INSERT INTO ordered SELECT * FROM unlogged;

SELECT count(lh_put(0, key, value)), count(lh_put(2, key, value)) FROM unlogged;
SELECT count(memcache_set(key, value)) FROM unlogged;

-- a row for all of them, not compressed
CREATE UNLOGGED TABLE hstore_row (doc hstore NOT NULL);
CREATE UNLOGGED TABLE jsonb_row (doc jsonb NOT NULL);
ALTER TABLE hstore_row ALTER doc SET STORAGE EXTERNAL;
ALTER TABLE jsonb_row ALTER doc SET STORAGE EXTERNAL;
INSERT INTO hstore_row SELECT hstore(array_agg(key), array_agg(value)) FROM unlogged;
INSERT INTO jsonb_row SELECT jsonb_object_agg(key, value) FROM unlogged;

CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host :'socket', dbname 'postgres', use_remote_estimate 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user 'postgres');
CREATE FOREIGN TABLE remote (key text COLLATE "C", value text) SERVER here OPTIONS (table_name 'unlogged');

-- ---- what drives the lookups ---------------------------------------------------

-- ten times all keys, each time in another order; 1,000 to a chunk
CREATE UNLOGGED TABLE probes AS
	SELECT (n - 1) / 1000 AS chunk, n, key
	FROM (SELECT (row_number() OVER ())::int AS n, key
		  FROM (SELECT key::text COLLATE "default" AS key FROM unlogged, generate_series(1, 10) AS time
				ORDER BY time, random()) AS drawn) AS numbered;
CREATE INDEX ON probes (chunk);
-- a million times one of 1,000
CREATE UNLOGGED TABLE few AS SELECT 'key_' || lpad((n % 1000 + 1)::text, 12, '0') AS key
	FROM probes ORDER BY random();
-- keys that 99 or more come after
CREATE UNLOGGED TABLE starts AS SELECT key FROM probes WHERE key <= 'key_000000099901' AND n <= 200000;
-- 1, 16, or 256 to an array
CREATE UNLOGGED TABLE batches1 AS SELECT ARRAY[key] AS keys FROM probes;
CREATE UNLOGGED TABLE batches16 AS SELECT array_agg(key) AS keys FROM probes
	GROUP BY (n - 1) / 100000, (n - 1) % 100000 / 16 HAVING count(*) = 16;
CREATE UNLOGGED TABLE batches256 AS SELECT array_agg(key) AS keys FROM probes
	GROUP BY (n - 1) / 100000, (n - 1) % 100000 / 256 HAVING count(*) = 256;

CREATE FUNCTION expect(got bigint, wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF got IS DISTINCT FROM wanted THEN
		RAISE EXCEPTION 'found %, not %', got, wanted;
	END IF;
END $$;

-- ---- peers that are functions ---------------------------------------------------

-- session variables, as settings of one's own
CREATE FUNCTION variable(key text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN current_setting('bench.' || key);
END $$;
CREATE FUNCTION set_variable(key text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN set_config('bench.' || key, value, false);
END $$;

CREATE FUNCTION set_remote(wanted text, new text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	UPDATE remote SET value = new WHERE key = wanted;
	RETURN FOUND;
END $$;

-- each change of the row is a transaction: it writes the row anew
CREATE PROCEDURE set_in_row(kind text, new text, times int, INOUT got int) LANGUAGE plpgsql AS $$
DECLARE
	k text;
BEGIN
	got := 0;
	FOR k IN SELECT key FROM probes LIMIT times LOOP
		IF kind = 'hstore' THEN
			UPDATE hstore_row SET doc = doc || hstore(k, new);
		ELSE
			UPDATE jsonb_row SET doc = doc || jsonb_build_object(k, new);
		END IF;
		COMMIT;
		got := got + 1;
	END LOOP;
END $$;

-- ---- a hot counter -----------------------------------------------------------------

SELECT syncmap.create('counters', value_type => 'bigint');
CREATE UNLOGGED TABLE unlogged_counter (key text COLLATE "C" PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE logged_counter (LIKE unlogged_counter INCLUDING ALL);
INSERT INTO unlogged_counter VALUES ('hits', 0);
INSERT INTO logged_counter VALUES ('hits', 0);
SELECT memcache_set('hits', '0');
CREATE UNLOGGED SEQUENCE hits;
CREATE FUNCTION increment_variable(name text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN set_config(name, (current_setting(name)::bigint + 1)::text, false);
END $$;

-- count_NAME(n): counts n times in PL/pgSQL and says by how much the counter grew; commits
-- every 100 times, since an update walks over those of its own transaction
DO $do$
DECLARE
	name text;
	statement text;
BEGIN
	FOR name, statement IN VALUES
		('nothing', $$c := i$$),
		('map', $$c := syncmap.increment('counters', 'hits')$$),
		('single', $$c := lh_increment(0, 'hits')$$),
		('partitioned', $$c := lh_increment(2, 'hits')$$),
		('unlogged', $$UPDATE unlogged_counter SET n = n + 1 WHERE key = 'hits' RETURNING n INTO c$$),
		('logged', $$UPDATE logged_counter SET n = n + 1 WHERE key = 'hits' RETURNING n INTO c$$),
		('memcache', $$c := memcache_incr('hits')$$),
		('sequence', $$c := nextval('hits')$$),
		('variable', $$c := increment_variable('bench.hits')$$)
	LOOP
		EXECUTE format($$CREATE PROCEDURE count_%s(times int, INOUT got bigint) LANGUAGE plpgsql AS $body$
			DECLARE
				c bigint;
				before bigint;
			BEGIN
				FOR i IN 1 .. times LOOP
					%s;
					before := coalesce(before, c - 1);
					IF i %% 100 = 0 THEN
						COMMIT;
					END IF;
				END LOOP;
				got := c - before;
			END $body$
		$$, name, statement);
	END LOOP;
END $do$;

VACUUM ANALYZE;
ANALYZE map;
ANALYZE ordered;
