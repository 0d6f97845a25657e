-- What sync.Map promises, case by case, in one session.  The cases are those of Go's own
-- tests (src/sync/map_test.go, src/internal/sync/hashtriemap_test.go), in our words.
-- src/test/unit/test_semantics.c tells them of the engine, under bad hashes, too, and with
-- threads; through SQL, several sessions at once are those of src/test/specs,
-- src/test/t/003_concurrency.pl, and src/test/linearizability.

CREATE VIEW k AS SELECT i, 'k' || i AS key, i::text AS value FROM generate_series(0, 299) i;
SELECT syncmap.create('m', eviction => 'none', shards => 2);
CREATE FUNCTION fill_m() RETURNS bigint LANGUAGE sql AS $$SELECT syncmap.clear('m'); SELECT count(*) FILTER (WHERE syncmap.put('m', key, value)) FROM k$$;
-- How many keys have the number that is theirs and so much more; how many have none; and all.
CREATE FUNCTION look_at_m(more integer DEFAULT 0, OUT has bigint, OUT lacks bigint, OUT count bigint, OUT range bigint) LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE syncmap.get('m', key) = (i + more)::text), count(*) FILTER (WHERE NOT syncmap.contains('m', key)), syncmap.count('m'),
		(SELECT count(DISTINCT r.key) FROM syncmap.range('m') r JOIN k USING (key) WHERE r.value = syncmap.get('m', r.key)) FROM k
$$;

-- a map that is empty
SELECT * FROM look_at_m();
SELECT syncmap.get('m', 'k1'), syncmap.contains('m', 'k1'), syncmap.delete('m', 'k1'), syncmap.get_and_delete('m', 'k1'),
	syncmap.compare_and_swap('m', 'k1', '', 'x'), syncmap.compare_and_delete('m', 'k1', ''), syncmap.clear('m'), syncmap.count('m');

-- put makes a key, and then overwrites its value; each of the others keeps its own
SELECT fill_m() \gset
SELECT * FROM look_at_m();
SELECT count(*) FILTER (WHERE syncmap.put('m', key, (i + 7)::text)) AS new FROM k;
SELECT * FROM look_at_m(7);
SELECT syncmap.put('m', 'k5', '5');
SELECT * FROM look_at_m(7);

-- get_or_put stores once
SELECT syncmap.clear('m');
SELECT count(*) FILTER (WHERE loaded), count(*) FILTER (WHERE actual = value) FROM k, syncmap.get_or_put('m', key, value);
SELECT count(*) FILTER (WHERE loaded), count(*) FILTER (WHERE actual = value) FROM k, syncmap.get_or_put('m', key, 'another');
SELECT * FROM look_at_m();
SELECT p.* FROM syncmap.delete('m', 'k9'), syncmap.get_or_put('m', 'k9', '9') p;
SELECT * FROM syncmap.get_or_put('m', 'k9', 'another');
SELECT * FROM look_at_m();

-- swap returns what was
SELECT syncmap.clear('m');
SELECT count(syncmap.swap('m', key, value)) FROM k;
SELECT count(*) FILTER (WHERE syncmap.swap('m', key, (i + 1)::text) = value) FROM k;
SELECT count(*) FILTER (WHERE syncmap.swap('m', key, (i + 2)::text) = (i + 1)::text) FROM k;
SELECT * FROM look_at_m(2);

-- compare_and_swap needs the value, compares all of it, and stores nothing new
SELECT fill_m();
SELECT count(*) FILTER (WHERE syncmap.compare_and_swap('m', key, value || ' ', 'x')) AS longer, count(*) FILTER (WHERE syncmap.compare_and_swap('m', key, (i + 1)::text, 'x')) AS another,
	count(*) FILTER (WHERE syncmap.compare_and_swap('m', key, value, value)) AS the_same, count(*) FILTER (WHERE syncmap.compare_and_swap('m', key, value, (i + 1)::text)) AS done,
	count(*) FILTER (WHERE syncmap.compare_and_swap('m', key, value, 'x')) AS again FROM k;
SELECT * FROM look_at_m(1);
SELECT syncmap.compare_and_swap('m', 'k5', '6', '5');
SELECT * FROM look_at_m(1);
SELECT syncmap.delete('m', 'k4'), syncmap.compare_and_swap('m', 'k4', '5', 'x'), syncmap.contains('m', 'k4');

-- compare_and_delete needs the value
SELECT fill_m();
SELECT count(*) FILTER (WHERE syncmap.compare_and_delete('m', key, (i + 1)::text)) AS another, count(*) FILTER (WHERE syncmap.compare_and_delete('m', key, value)) AS done,
	count(*) FILTER (WHERE syncmap.compare_and_delete('m', key, value)) AS again FROM k;
SELECT fill_m() \gset
SELECT syncmap.compare_and_delete('m', 'k7', '7'), syncmap.put('m', 'k6', 'new'), syncmap.compare_and_delete('m', 'k6', '6'), syncmap.compare_and_delete('m', 'k6', 'new');
SELECT * FROM look_at_m();

-- delete and get_and_delete take a key once, and no other
SELECT fill_m() \gset
SELECT count(*) FILTER (WHERE syncmap.delete('m', key)) AS done, count(*) FILTER (WHERE syncmap.delete('m', key)) AS again FROM k WHERE i % 3 = 0;
SELECT * FROM look_at_m();
SELECT count(*) FILTER (WHERE syncmap.get_and_delete('m', key) = value) AS done, count(syncmap.get_and_delete('m', key)) AS again FROM k WHERE i % 3 = 1;
SELECT * FROM look_at_m();
SELECT syncmap.delete('m', 'none'), syncmap.get_and_delete('m', 'none') IS NULL, syncmap.count('m');

-- what was deleted can be stored again, and leaves no memory behind
SELECT count(*) FILTER (WHERE syncmap.put('m', key, value)) AS put, count(*) FILTER (WHERE syncmap.delete('m', key)) AS gone,
	count(syncmap.swap('m', key, value)) AS was, count(*) FILTER (WHERE syncmap.compare_and_delete('m', key, value)) AS gone_again FROM k;
SELECT syncmap.clear('m');
CREATE TEMP TABLE memory AS SELECT free_bytes FROM syncmap.stat_memory;
DO $$
BEGIN
	FOR round IN 1 .. 30 LOOP
		PERFORM syncmap.put('m', key, value), syncmap.delete('m', key) FROM k;
	END LOOP;
END $$;
SELECT syncmap.clear('m'), (SELECT free_bytes FROM syncmap.stat_memory) >= (SELECT free_bytes FROM memory) AS is_back;

-- clear
SELECT fill_m() \gset
SELECT syncmap.clear('m');
SELECT * FROM look_at_m();
SELECT syncmap.compare_and_swap('m', 'k1', '1', 'x'), syncmap.compare_and_delete('m', 'k1', '1'), syncmap.delete('m', 'k1'), syncmap.put('m', 'k1', 'x');

-- a value may be empty, and so may a key
SELECT syncmap.put('m', '', ''), syncmap.get('m', '') = '', syncmap.compare_and_swap('m', '', ' ', 'x'), syncmap.compare_and_swap('m', '', '', 'x'), syncmap.get_and_delete('m', '');

-- a range may end early, change the map that it reads, be in another one, and clear it
SELECT fill_m() \gset
SELECT count(*) FROM (SELECT * FROM syncmap.range('m') LIMIT 10) r;
SELECT count(*), count(*) FILTER (WHERE syncmap.delete('m', key)) AS deleted, syncmap.count('m') FROM syncmap.range('m');
SELECT syncmap.count('m');
SELECT fill_m();
SELECT count(DISTINCT key) FILTER (WHERE key ~ '^k') AS keys, count(*) FILTER (WHERE key ~ '^k') AS given, count(*) FILTER (WHERE syncmap.put('m', 'new ' || key, value)) > 0 AS stores FROM syncmap.range('m');
SELECT fill_m() \gset
SELECT count(*), min(inner_count), max(inner_count) FROM syncmap.range('m') r, LATERAL (SELECT count(*) + 0 * length(r.key) AS inner_count FROM syncmap.range('m')) s WHERE r.key < 'k2';
SELECT fill_m() \gset
SELECT count(*) > 0 AS given, count(DISTINCT key) = count(*) AS once FROM syncmap.range('m') WHERE syncmap.clear('m') IS NOT NULL;
SELECT * FROM look_at_m();

-- an increment is one of them
SELECT max(syncmap.increment('m', 'n')) FROM k;

SELECT syncmap.drop('m');
DROP FUNCTION fill_m, look_at_m;
DROP VIEW k;
