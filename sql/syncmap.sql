-- The functions, one by one, on text keys and text values.
CREATE EXTENSION syncmap;
SELECT syncmap.create('m');
\d m

-- put: true if the key is new
SELECT syncmap.put('m', 'user:1', 'alice');
SELECT syncmap.put('m', 'user:1', 'alicia');
SELECT syncmap.put('m', 'user:2', 'bob');
SELECT syncmap.get('m', 'user:1'), syncmap.get('m', 'user:2'), syncmap.get('m', 'user:3');
SELECT syncmap.contains('m', 'user:1'), syncmap.contains('m', 'user:3');
SELECT syncmap.count('m');

-- delete: true if it was there
SELECT syncmap.delete('m', 'user:2'), syncmap.delete('m', 'user:2');
SELECT syncmap.get('m', 'user:2'), syncmap.count('m');

-- get_or_put
SELECT * FROM syncmap.get_or_put('m', 'user:1', 'other');
SELECT * FROM syncmap.get_or_put('m', 'user:4', 'dora');
SELECT syncmap.get('m', 'user:1'), syncmap.get('m', 'user:4');

-- get_and_delete
SELECT syncmap.get_and_delete('m', 'user:4'), syncmap.get_and_delete('m', 'user:4');

-- swap: the value before
SELECT syncmap.swap('m', 'user:1', 'ann'), syncmap.swap('m', 'user:5', 'eve');
SELECT syncmap.get('m', 'user:1'), syncmap.get('m', 'user:5');

-- compare_and_swap, compare_and_delete: true if it matched
SELECT syncmap.compare_and_swap('m', 'user:1', 'bert', 'carl'),
	   syncmap.compare_and_swap('m', 'user:1', 'ann', 'carl'),
	   syncmap.compare_and_swap('m', 'nobody', 'ann', 'carl');
SELECT syncmap.get('m', 'user:1'), syncmap.get('m', 'nobody');
SELECT syncmap.compare_and_delete('m', 'user:1', 'ann'),
	   syncmap.compare_and_delete('m', 'user:1', 'carl'),
	   syncmap.compare_and_delete('m', 'user:1', 'carl');

-- increment: an absent key counts from 0
SELECT syncmap.increment('m', 'n'), syncmap.increment('m', 'n'), syncmap.increment('m', 'n', 40);
SELECT syncmap.increment('m', 'n', -50), syncmap.get('m', 'n');
SELECT syncmap.put('m', 'n', ' 9223372036854775806 '), syncmap.increment('m', 'n');
SELECT syncmap.increment('m', 'low', -9223372036854775808);
SELECT syncmap.put('m', 'long', repeat(' ', 100) || '7'), syncmap.increment('m', 'long');

-- many keys at once
SELECT syncmap.put_many('m', ARRAY['a', 'b', 'c', 'a'], ARRAY['1', '2', '3', '4']);
SELECT syncmap.get_many('m', ARRAY['c', 'x', NULL, 'a']);
SELECT syncmap.delete_many('m', ARRAY['a', 'x', 'b', 'a', NULL]);
SELECT syncmap.get_many('m', ARRAY['a', 'b', 'c']);
-- more than are prefetched at once, with nulls, absent keys, long ones, and the same key twice
SELECT syncmap.put_many('m', array_agg('many' || i), array_agg('v' || i)) FROM generate_series(1, 150) i;
SELECT syncmap.get_many('m', keys) = ARRAY(SELECT syncmap.get('m', key) FROM unnest(keys) WITH ORDINALITY AS u(key, n) ORDER BY n) AS same,
	array_length(keys, 1), array_length(array_remove(syncmap.get_many('m', keys), NULL), 1) AS found
	FROM (SELECT array_agg(CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN repeat('l', 2049) WHEN 2 THEN 'many1' ELSE 'many' || i END ORDER BY i) AS keys FROM generate_series(1, 170) i) k;
SELECT syncmap.delete_many('m', array_agg('many' || i)) FROM generate_series(1, 150) i;
SELECT syncmap.get_many('m', '{}'), syncmap.put_many('m', '{}', '{}'), syncmap.delete_many('m', '{}');

-- range: all pairs
SELECT syncmap.clear('m');
SELECT * FROM syncmap.range('m');
SELECT syncmap.put_many('m', array_agg('k' || i), array_agg('v' || i)) FROM generate_series(1, 10000) i;
SELECT count(*), count(DISTINCT key), bool_and(value = 'v' || substr(key, 2)) FROM syncmap.range('m');
SELECT count(*) FROM (SELECT * FROM syncmap.range('m') LIMIT 5) s;
SELECT count(*) FROM syncmap.range('m') a JOIN syncmap.range('m') b USING (key) WHERE a.value = b.value;
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM syncmap.range('m');

-- a range over a map that its own query changes: no key twice
SELECT count(*) = count(DISTINCT key), count(*) FILTER (WHERE syncmap.delete('m', key)) >= 10000
  FROM syncmap.range('m') WHERE syncmap.put('m', key || 'x', 'new');

-- clear
SELECT syncmap.clear('m');
SELECT syncmap.count('m'), syncmap.get('m', 'k1');

-- the empty key, the empty value, NULLs
SELECT syncmap.put('m', '', 'value of the empty key'), syncmap.put('m', 'empty', '');
SELECT syncmap.get('m', ''), syncmap.get('m', 'empty') = '', syncmap.contains('m', '');
SELECT syncmap.get('m', NULL) IS NULL, syncmap.contains('m', NULL) IS NULL,
	   syncmap.delete('m', NULL) IS NULL, syncmap.get_and_delete('m', NULL) IS NULL,
	   syncmap.get(NULL, 'empty') IS NULL;
SELECT * FROM syncmap.range('m') ORDER BY key;

-- not ASCII
SELECT syncmap.put('m', 'Schlüssel 钥匙 🔑', 'Grüße 你好 👋');
SELECT syncmap.get('m', 'Schlüssel 钥匙 🔑');
SELECT key, value FROM syncmap.range('m') WHERE key LIKE 'Schl%';

-- two maps know nothing of each other
SELECT syncmap.create('"Other Map"');
SELECT syncmap.put('"Other Map"', 'empty', 'full');
SELECT syncmap.get('m', 'empty') = '', syncmap.get('"Other Map"', 'empty');
SELECT t.map::regclass, syncmap.get(t.map, 'empty') FROM (VALUES ('m'::regclass), ('"Other Map"'), ('m')) t(map);
SELECT syncmap.drop('"Other Map"');
SELECT to_regclass('"Other Map"');
SELECT syncmap.drop('m');

-- volatility and parallel safety
SELECT DISTINCT proname, provolatile, proparallel, proisstrict
  FROM pg_proc WHERE pronamespace = 'syncmap'::regnamespace AND proname !~ '^_|fdw' ORDER BY 1, 2, 3, 4;
