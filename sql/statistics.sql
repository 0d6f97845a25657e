-- The statistics views, and who sees what in them.
SELECT syncmap.create('m', promote_ratio => 100);
SELECT syncmap.put('m', 'k', 'v'), syncmap.delete('m', 'k');
SELECT syncmap.reset_stats('m');
-- without the worker between two looks
ALTER SYSTEM SET syncmap.maintenance_interval = '1 h';
SELECT pg_reload_conf();
SELECT pg_sleep(0.2);
SELECT count(syncmap.put('m', 'k' || i, 'v')) FROM generate_series(1, 100) i;
SELECT count(syncmap.get('m', 'k' || i)) FROM generate_series(1, 150) i;
SELECT syncmap.contains('m', 'k1'), syncmap.get_many('m', '{k1,k2,absent}');
SELECT syncmap.delete('m', 'k1'), syncmap.delete('m', 'absent'), syncmap.increment('m', 'n'), syncmap.swap('m', 'k2', 'w');
SELECT relid = 'm'::regclass AS relid, schemaname, relname, gets, hits, misses, puts, deletes, evictions, expirations, entries,
	live_bytes > 0 AS live, dead_bytes < live_bytes AS dead, memory > live_bytes AS memory, max_memory, evicts, stats_reset > now() - interval '1 min' AS stats_reset
	FROM syncmap.stat_map WHERE relname = 'm';
SELECT count(*), sum(puts) AS puts, sum(deletes) AS deletes, sum(entries) AS entries,
	sum(live_bytes) = (SELECT live_bytes FROM syncmap.stat_map WHERE relname = 'm') AS live,
	sum(index_bytes + young_bytes + main_bytes + extent_bytes) = (SELECT memory FROM syncmap.stat_map WHERE relname = 'm') AS memory
	FROM syncmap.stat_shard WHERE relname = 'm';

-- new keys are dirty until they are promoted; all shards' are the map's
SELECT sum(dirty_entries) = (SELECT dirty_entries FROM syncmap.stat_map WHERE relname = 'm') AS dirty FROM syncmap.stat_shard WHERE relname = 'm';

-- the arena is all there, and free again at the end
SELECT total_bytes, total_bytes - free_bytes - 4096 = index_bytes + young_bytes + main_bytes + extent_bytes AS adds_up,
	largest_free_run BETWEEN 4096 AND free_bytes AS largest, maps FROM syncmap.stat_memory;
SELECT syncmap.clear('m');
SELECT total_bytes - free_bytes AS used FROM syncmap.stat_memory;

SELECT syncmap.reset_stats('m');
SELECT gets, hits, misses, retries, puts, deletes, evictions, expirations, promotions, compactions FROM syncmap.stat_map WHERE relname = 'm';

-- a role sees its own maps; pg_monitor sees all
CREATE ROLE syncmap_owner;
CREATE ROLE syncmap_monitor IN ROLE pg_monitor;
GRANT USAGE ON FOREIGN SERVER syncmap TO syncmap_owner;
GRANT CREATE ON SCHEMA public TO syncmap_owner;
GRANT ALL ON m TO syncmap_owner;
SET ROLE syncmap_owner;
SELECT syncmap.create('own');
SELECT syncmap.put('own', 'k', 'v'), syncmap.put('m', 'k', 'v');
SELECT relname FROM syncmap.stat_map ORDER BY relname;
SELECT DISTINCT relname FROM syncmap.stat_shard ORDER BY relname;
SELECT * FROM syncmap.stat_memory;
SELECT syncmap.reset_stats('own');
SELECT syncmap.reset_stats('m');
SET ROLE syncmap_monitor;
SELECT relname FROM syncmap.stat_map ORDER BY relname;
SELECT maps FROM syncmap.stat_memory;
SELECT syncmap.reset_stats('own');
RESET ROLE;
DROP OWNED BY syncmap_owner;
DROP ROLE syncmap_owner, syncmap_monitor;
SELECT syncmap.drop('m');
ALTER SYSTEM RESET syncmap.maintenance_interval;
SELECT pg_reload_conf();
