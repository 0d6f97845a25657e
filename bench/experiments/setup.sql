-- setup.sql
--   What bench/experiments/run uses, but for the replay.

CREATE EXTENSION IF NOT EXISTS syncmap;

-- ---- read_share: bench/client's scripts take either by the search path -----------

SELECT syncmap.create('pairs');
CREATE SCHEMA unlogged;
CREATE UNLOGGED TABLE unlogged.pairs (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
INSERT INTO unlogged.pairs SELECT i, repeat('x', 96) FROM generate_series(1, 100000) AS i;
INSERT INTO pairs SELECT * FROM unlogged.pairs;

-- ---- granularity -------------------------------------------------------------------

SELECT syncmap.create('locks_' || n, shards => n) FROM unnest('{1,4,16,64}'::int[]) AS n;
INSERT INTO locks_1 SELECT * FROM unlogged.pairs;
INSERT INTO locks_4 SELECT * FROM unlogged.pairs;
INSERT INTO locks_16 SELECT * FROM unlogged.pairs;
INSERT INTO locks_64 SELECT * FROM unlogged.pairs;

-- ---- deletion, promotion -------------------------------------------------------------

SELECT syncmap.create('churned'), syncmap.create('promoted_0', promote_ratio => 0),
	syncmap.create('promoted_30', promote_ratio => 30), syncmap.create('promoted_100', promote_ratio => 100);

-- ---- growth --------------------------------------------------------------------------

SELECT syncmap.create('growing');
CREATE UNLOGGED TABLE growing_table (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);

-- keys of 16 bytes, in no order; and the first n of them in another order
CREATE UNLOGGED TABLE new_keys AS
	SELECT substr(md5(i::text), 1, 16) AS key FROM generate_series(1, 1000000) AS i;
CREATE UNLOGGED TABLE probes AS
	SELECT n, key FROM unnest('{1000,10000,100000,1000000}'::int[]) AS n,
		LATERAL (SELECT key FROM (SELECT key FROM new_keys LIMIT n) AS first ORDER BY md5(key)) AS drawn;
CREATE INDEX ON probes (n);

-- From nothing to so many keys, and a get of each, as often as it takes to be measured.
CREATE FUNCTION grow(peer text, keys int, OUT put_ns float8, OUT get_ns float8, OUT bytes float8)
	LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	times int := greatest(1, 100000 / keys);
	v text := repeat('x', 96);
	start timestamptz;
	got bigint;
	put_time interval := '0';
	get_time interval := '0';
BEGIN
	FOR i IN 1 .. times LOOP
		IF peer = 'map' THEN
			PERFORM syncmap.clear('growing');
		ELSE
			TRUNCATE growing_table;
		END IF;

		start := clock_timestamp();
		IF peer = 'map' THEN
			SELECT count(*) FILTER (WHERE syncmap.put('growing', key, v)) INTO got
				FROM (SELECT key FROM new_keys LIMIT keys) AS new;
		ELSE
			INSERT INTO growing_table SELECT key, v FROM new_keys LIMIT keys;
			GET DIAGNOSTICS got = ROW_COUNT;
		END IF;
		put_time := put_time + (clock_timestamp() - start);
		ASSERT got = keys, format('%s keys were put, not %s', got, keys);

		start := clock_timestamp();
		IF peer = 'map' THEN
			SELECT count(syncmap.get('growing', key)) INTO got FROM probes WHERE n = keys;
		ELSE
			SELECT count((SELECT t.value FROM growing_table AS t WHERE t.key = p.key)) INTO got
				FROM probes AS p WHERE n = keys;
		END IF;
		get_time := get_time + (clock_timestamp() - start);
		ASSERT got = keys, format('%s keys were found, not %s', got, keys);
	END LOOP;
	put_ns := extract(epoch FROM put_time) * 1e9 / times / keys;
	get_ns := extract(epoch FROM get_time) * 1e9 / times / keys;
	bytes := CASE peer
		WHEN 'map' THEN (SELECT memory FROM syncmap.stat_map WHERE relname = 'growing')
		ELSE pg_total_relation_size('growing_table') END::float8 / keys;
END $$;

VACUUM ANALYZE;
