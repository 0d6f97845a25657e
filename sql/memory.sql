-- Quotas and eviction, for one session; src/test/t/004_worker.pl has the rest.
-- The server has 64 MB for all maps.
CREATE FUNCTION value_of(key text, size int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT rpad(key, size, md5(key)) $$;
CREATE FUNCTION memory_of(map regclass) RETURNS bigint LANGUAGE sql AS $$
	SELECT memory FROM syncmap.stat_map WHERE relid = map $$;

-- a map stays under its quota, and what it still has is right
SELECT syncmap.create('small', max_memory => '1MB');
SELECT count(syncmap.put('small', 'k' || i, value_of('k' || i, 100))) FROM generate_series(1, 50000) i;
SELECT memory_of('small') <= 1024 * 1024 * 1.05 AS under_its_quota, memory_of('small') >= 1024 * 1024 * 0.8 AS and_full;
SELECT syncmap.count('small') BETWEEN 4000 AND 8000 AS some_are_left;
SELECT bool_and(value = value_of(key, 100)) AS all_right FROM syncmap.range('small');
SELECT shards, max_memory, evicts FROM syncmap.stat_map WHERE relname = 'small';

-- keys that are read survive a scan of ten times as many that are not
SELECT syncmap.clear('small');
SELECT count(syncmap.put('small', 'hot' || i, value_of('hot' || i, 100))) FROM generate_series(1, 1000) i;
SELECT count(syncmap.get('small', 'hot' || i)) FROM generate_series(1, 1000) i, generate_series(1, 3);
SELECT count(syncmap.put('small', 'cold' || i, value_of('cold' || i, 100))) FROM generate_series(1, 50000) i;
SELECT count(syncmap.get('small', 'hot' || i)) > 950 AS nearly_all_hot FROM generate_series(1, 1000) i;

-- values of many pages
SELECT syncmap.clear('small');
SELECT count(syncmap.put('small', 'k' || i, value_of('k' || i, 100000))) FROM generate_series(1, 100) i;
SELECT memory_of('small') <= 1024 * 1024 AS under_its_quota, syncmap.count('small') BETWEEN 5 AND 10 AS some_are_left;
SELECT bool_and(value = value_of(key, 100000)) AS all_right FROM syncmap.range('small');
SELECT syncmap.put('small', 'half', value_of('half', 500000));
SELECT syncmap.get('small', 'half') = value_of('half', 500000) AS there;
\set VERBOSITY terse
SELECT syncmap.put('small', 'too big', value_of('x', 2000000));
\set VERBOSITY default
SELECT syncmap.get('small', 'half') = value_of('half', 500000) AS still_there;

-- without eviction: a full map says so (M2, M3)
SELECT syncmap.create('kept', max_memory => '256kB', eviction => 'none');
DO $$
BEGIN
	FOR i IN 1..10000 LOOP
		PERFORM syncmap.put('kept', 'k' || i, value_of('k' || i, 100));
	END LOOP;
EXCEPTION WHEN out_of_memory THEN
	RAISE NOTICE '%', SQLERRM;
END $$;
SELECT syncmap.count('kept') > 1000 AS many, memory_of('kept') <= 256 * 1024 * 1.05 AS under_its_quota FROM syncmap.stat_map WHERE relname = 'kept';
SELECT bool_and(syncmap.get('kept', 'k' || i) = value_of('k' || i, 100)) AS all_there FROM generate_series(1, syncmap.count('kept')::int) i;
SELECT syncmap.put('kept', 'k1', 'short'), syncmap.delete('kept', 'k2');

-- a larger quota, and eviction, from the next call on
ALTER FOREIGN TABLE kept OPTIONS (SET max_memory '512kB');
SELECT count(syncmap.put('kept', 'more' || i, value_of('more' || i, 100))) FROM generate_series(1, 1000) i;
ALTER FOREIGN TABLE kept OPTIONS (SET eviction 's3fifo');
SELECT count(syncmap.put('kept', 'much' || i, value_of('much' || i, 100))) FROM generate_series(1, 10000) i;
SELECT memory_of('kept') <= 512 * 1024 * 1.05 AS under_its_quota;
-- a change that is rolled back was none
ALTER FOREIGN TABLE kept OPTIONS (SET eviction 'none');
SELECT syncmap.count('kept') AS before \gset
BEGIN;
ALTER FOREIGN TABLE kept OPTIONS (SET eviction 's3fifo', SET max_memory '64kB');
\set VERBOSITY terse
SELECT count(syncmap.put('kept', 'now' || i, value_of('now' || i, 100))) FROM generate_series(1, 10000) i;
\set VERBOSITY default
ROLLBACK;
SELECT syncmap.count('kept') >= :before AS nothing_is_lost, max_memory, evicts FROM syncmap.stat_map WHERE relname = 'kept';

-- a map that fills the arena gives way to another one, and to one that evicts nothing
SELECT syncmap.drop('small'), syncmap.drop('kept');
SELECT syncmap.create('large'), syncmap.create('other'), syncmap.create('safe', eviction => 'none');
SELECT count(syncmap.put('safe', 'k' || i, value_of('k' || i, 100))) FROM generate_series(1, 10000) i;
SELECT count(syncmap.put('large', 'k' || i, value_of('k' || i, 1000))) FROM generate_series(1, 100000) i;
SELECT memory_of('large') > 50 * 1024 * 1024 AS nearly_all;
SELECT count(syncmap.put('other', 'k' || i, value_of('k' || i, 1000))) FROM generate_series(1, 15000) i;
SELECT syncmap.count('other') AS all_of_it;
SELECT count(syncmap.put('large', 'k' || i, value_of('k' || i, 1000))) FROM generate_series(1, 100000) i;
SELECT syncmap.count('other') AS all_of_it, syncmap.count('safe') AS and_of_it;
SELECT bool_and(value = value_of(key, 1000)) AS all_right FROM syncmap.range('large');
SELECT sum(memory) <= 64 * 1024 * 1024 AS m1 FROM syncmap.stat_map;

-- options hold from the commit on, also where nobody uses the map (M3)
SELECT syncmap.count('large') AS before \gset
ALTER FOREIGN TABLE large OPTIONS (ADD eviction 'none');
SELECT count(syncmap.put('other', 'more' || i, value_of('more' || i, 1000))) FROM generate_series(1, 20000) i;
SELECT evicts FROM syncmap.stat_map WHERE relname = 'large';
SELECT syncmap.count('large') = :before AS nothing_is_lost;
BEGIN;
ALTER FOREIGN TABLE large OPTIONS (SET eviction 's3fifo');
SAVEPOINT a;
ALTER FOREIGN TABLE other OPTIONS (ADD eviction 'none');
ROLLBACK TO a;
COMMIT;
SELECT relname, evicts FROM syncmap.stat_map ORDER BY relname;

-- every deletion reclaims at once with a ratio of 0
SELECT syncmap.clear('large');
ALTER SYSTEM SET syncmap.compact_ratio = 0;
SELECT pg_reload_conf();
SELECT pg_sleep(0.2);
SHOW syncmap.compact_ratio;
SELECT count(syncmap.put('large', 'k' || i, value_of('k' || i, 100))) FROM generate_series(1, 10000) i;
SELECT count(syncmap.delete('large', 'k' || i)) FROM generate_series(1, 10000, 2) i;
SELECT dead_bytes, compactions > 4000 AS many_compactions FROM syncmap.stat_map WHERE relname = 'large';
SELECT count(*), bool_and(value = value_of(key, 100)) AS all_right FROM syncmap.range('large');
ALTER SYSTEM RESET syncmap.compact_ratio;
SELECT pg_reload_conf();
SELECT syncmap.drop('large'), syncmap.drop('other'), syncmap.drop('safe');
DROP FUNCTION value_of, memory_of;
