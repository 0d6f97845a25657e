-- Ranges of keys: bounds, order, prefixes; on maps that keep their keys in order and
-- on maps that do not; by function and by the table.
\set VERBOSITY terse

SELECT syncmap.create('plain'), syncmap.create('sorted', ordered => true);
CREATE FOREIGN TABLE numbers (key integer, value text) SERVER syncmap OPTIONS (ordered 'true');
CREATE FOREIGN TABLE bigs (key bigint, value text) SERVER syncmap;
CREATE FOREIGN TABLE bytes (key bytea, value text) SERVER syncmap OPTIONS (ordered 'on');
CREATE FOREIGN TABLE uuids (key uuid, value text) SERVER syncmap OPTIONS (ordered 'true');

INSERT INTO plain SELECT 'k' || i, 'v' || i FROM generate_series(1, 1000) i;
INSERT INTO sorted SELECT key, value FROM plain;
INSERT INTO numbers SELECT i, 'v' || i FROM generate_series(-500, 500) i;
INSERT INTO bigs SELECT i * 10000000000, 'v' || i FROM generate_series(-5, 5) i;
INSERT INTO bytes SELECT decode(to_hex(i), 'hex'), i::text FROM generate_series(4096, 65535, 97) i;
INSERT INTO bytes VALUES ('\xff', 'ff'), ('\xffff00', 'ffff00'), ('', 'empty');
INSERT INTO uuids SELECT md5(i::text)::uuid, i::text FROM generate_series(1, 300) i;

-- bounds: from low to before high, unless it is said otherwise
SELECT key FROM syncmap.range('plain', 'k997', 'k999');
SELECT key FROM syncmap.range('sorted', 'k997', 'k999');
SELECT key FROM syncmap.range('plain', 'k997', 'k999', low_inclusive => false, high_inclusive => true);
SELECT key FROM syncmap.range('sorted', 'k997', 'k999', low_inclusive => false, high_inclusive => true);
SELECT key FROM syncmap.range('sorted', low => 'k998');
SELECT key FROM syncmap.range('sorted', high => 'k100');
SELECT key FROM syncmap.range('plain', high => 'k100', high_inclusive => true);
SELECT count(*) FROM syncmap.range('sorted', 'k2', 'k1');
SELECT count(*) FROM syncmap.range('sorted', 'k1', 'k1') a;
SELECT count(*) FROM syncmap.range('sorted', '', 'k');
-- a prefix, the first or last ones
SELECT key FROM syncmap.range('plain', prefix => 'k99');
SELECT key FROM syncmap.range('sorted', prefix => 'k99', descending => true);
SELECT key FROM syncmap.range('sorted', prefix => 'k99', low => 'k995', max_rows => 2);
SELECT key FROM syncmap.range('plain', max_rows => 3);
SELECT key FROM syncmap.range('sorted', max_rows => 3, descending => true);
SELECT count(*) FROM syncmap.range('sorted', max_rows => 0);
SELECT count(*), count(DISTINCT key) FROM syncmap.range('sorted', prefix => '');
-- page by page, from behind the last key
DO $$
DECLARE
	last text := NULL;
	page text[];
	pages integer := 0;
	keys text[] := '{}';
BEGIN
	LOOP
		SELECT array_agg(key) INTO page
			FROM syncmap.range('sorted', low => last, low_inclusive => false, max_rows => 73);
		EXIT WHEN page IS NULL;
		pages := pages + 1;
		keys := keys || page;
		last := page[array_length(page, 1)];
	END LOOP;
	RAISE NOTICE '% pages, as they should be: %', pages,
		keys = (SELECT array_agg(key ORDER BY key COLLATE "C") FROM plain);
END $$;

-- types: in their own order, bounds in their own type or as text
SELECT key FROM syncmap.range('numbers', -2, 3);
SELECT key FROM syncmap.range('numbers', '-2', '0');
SELECT key FROM syncmap.range('numbers', 498::smallint);
SELECT key FROM syncmap.range('numbers', NULL::int, -498);
SELECT key FROM syncmap.range('bigs', -10000000000, 10000000000, high_inclusive => true);
SELECT key FROM syncmap.range('bigs', max_rows => 2, descending => true);
SELECT key FROM syncmap.range('bytes', '\xffc0'::bytea);
SELECT key FROM syncmap.range('bytes', prefix => '\xff');
SELECT key, value FROM syncmap.range('bytes', prefix => '\x', max_rows => 2);
SELECT array_agg(key::uuid) = (SELECT array_agg(key ORDER BY key) FROM uuids WHERE key > 'e0000000-0000-0000-0000-000000000000')
FROM syncmap.range('uuids', 'e0000000-0000-0000-0000-000000000000'::uuid);

-- wrong input
SELECT * FROM syncmap.range('numbers', prefix => '1');
SELECT * FROM syncmap.range('numbers', 'one');
SELECT * FROM syncmap.range('numbers', 10000000000);
SELECT * FROM syncmap.range('numbers', '2020-01-01'::date);
SELECT * FROM syncmap.range('plain', max_rows => -1);
SELECT * FROM syncmap.range('pg_class');
SELECT count(*) FROM syncmap.range(NULL);
SELECT syncmap.create('wrong', ordered => NULL);
DROP FOREIGN TABLE wrong;
CREATE FOREIGN TABLE wrong (key text, value text) SERVER syncmap OPTIONS (ordered 'perhaps');

-- the rows come as they are asked for
EXPLAIN (COSTS OFF) SELECT * FROM syncmap.range('sorted', 'k5', max_rows => 10);
EXPLAIN (COSTS OFF) SELECT * FROM syncmap.range('numbers', 5);
BEGIN;
DECLARE c CURSOR FOR SELECT key FROM syncmap.range('sorted', 'k5');
FETCH 2 FROM c;
DELETE FROM sorted WHERE key IN ('k500', 'k9');
FETCH 2 FROM c;
MOVE 1000 FROM c;
SELECT syncmap.put('sorted', 'k500', 'v500'), syncmap.put('sorted', 'k9', 'v9');
COMMIT;

-- the table: ranges, order, patterns
EXPLAIN (COSTS OFF) SELECT * FROM sorted WHERE key >= 'k998' AND key < 'k999a' ORDER BY key LIMIT 10;
SELECT * FROM sorted WHERE key >= 'k998' AND key < 'k999a' ORDER BY key LIMIT 10;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE 'k998' < key ORDER BY key DESC;
SELECT key FROM sorted WHERE 'k998' < key ORDER BY key DESC;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE key LIKE 'k99%' AND key LIKE '%5';
SELECT key FROM sorted WHERE key LIKE 'k99%' AND key LIKE '%5';
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE starts_with(key, 'k999') ORDER BY key;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE key ^@ 'k999' ORDER BY key NULLS FIRST;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE key ~ '^k99' ORDER BY key DESC NULLS LAST;
SELECT min(key), max(key) FROM sorted;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE key BETWEEN 'k1' AND 'k2' AND key <> 'k100' AND value > 'v1998';
EXPLAIN (COSTS OFF) SELECT key FROM numbers WHERE key > 1 AND key <= 3::bigint AND key < 2.5;
SELECT key FROM numbers WHERE key > 1 AND key <= 3::bigint AND key < 2.5;
SELECT count(*) FROM numbers WHERE key > 498 AND key < 10000000000;
SELECT count(*) FROM numbers WHERE key > 10000000000;
SELECT count(*) FROM numbers WHERE key >= -10000000000 AND key <= -499;
SELECT count(*) FROM numbers WHERE key < -10000000000;
SELECT count(*) FROM numbers WHERE key > NULL;
EXPLAIN (COSTS OFF) SELECT key FROM uuids WHERE key < '10000000-0000-0000-0000-000000000000' ORDER BY key;
-- no range: no order is kept, or it is not that of the bytes (but a prefix is one of bytes)
EXPLAIN (COSTS OFF) SELECT key FROM plain WHERE key > 'k998' ORDER BY key;
SELECT key FROM plain WHERE key > 'k998' ORDER BY key;
EXPLAIN (COSTS OFF) SELECT key FROM sorted WHERE key || '' > 'k998' ORDER BY key || '';
CREATE FOREIGN TABLE other (key text COLLATE "ucs_basic", value text) SERVER syncmap OPTIONS (ordered 'true');
CREATE COLLATION und (provider = icu, locale = 'und');
ALTER FOREIGN TABLE other ALTER key TYPE text COLLATE und;
EXPLAIN (COSTS OFF) SELECT key FROM other WHERE key > 'k998' AND key LIKE 'k%' ORDER BY key;
DROP FOREIGN TABLE other;
DROP COLLATION und;
-- parameters, rescans, inner sides of joins
PREPARE between_keys(integer, integer) AS SELECT key FROM numbers WHERE key >= $1 AND key < $2 ORDER BY key;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE between_keys(1, 3);
EXECUTE between_keys(1, 3);
EXECUTE between_keys(1, NULL);
RESET plan_cache_mode;
SELECT n, (SELECT count(*) FROM numbers WHERE key > n), (SELECT min(key) FROM numbers WHERE key > n)
FROM generate_series(497, 500) n;
SELECT a.key, b.key FROM numbers a, LATERAL (SELECT key FROM numbers b WHERE b.key < a.key ORDER BY key DESC LIMIT 2) b
WHERE a.key IN (-499, 3);
UPDATE numbers SET value = 'changed' WHERE key BETWEEN 10 AND 12;
SELECT * FROM numbers WHERE key BETWEEN 9 AND 13 ORDER BY key;

-- removing a range
SELECT syncmap.delete_range('plain', 'k2', 'k3'), syncmap.delete_range('sorted', 'k2', 'k3');
SELECT syncmap.delete_range('plain', prefix => 'k99'), syncmap.delete_range('sorted', prefix => 'k99');
SELECT syncmap.delete_range('plain', max_rows => 2), syncmap.delete_range('sorted', max_rows => 2);
SELECT syncmap.delete_range('numbers', -500, 400), syncmap.delete_range('numbers', 500, high_inclusive => true);
SELECT syncmap.delete_range('bytes', '\x20'::bytea, '\x30'::bytea), syncmap.delete_range('bytes', prefix => '\xff');
SELECT (SELECT array_agg(key ORDER BY key) FROM plain) = (SELECT array_agg(key ORDER BY key) FROM sorted),
	(SELECT count(*) FROM plain WHERE key IN ('k1', 'k10', 'k2', 'k25', 'k999'));
SELECT syncmap.delete_range('numbers', max_rows => -1);
SELECT syncmap.delete_range(NULL);
SELECT syncmap.delete_range('uuids'), syncmap.count('uuids');
SET syncmap.enabled = off;
SELECT syncmap.delete_range('plain'), (SELECT count(*) FROM syncmap.range('plain', 'k1'));
RESET syncmap.enabled;

-- ranges in ranges, and changes of the map by the query that ranges over it
SELECT count(*), count(DISTINCT (a.key, b.key)) FROM syncmap.range('numbers', 450, 460) a, syncmap.range('numbers', a.key, '460') b;
SELECT count(syncmap.delete('sorted', key)) FROM syncmap.range('sorted', prefix => 'k3');
SELECT count(*) FROM syncmap.range('sorted', prefix => 'k3');
DO $$
DECLARE
	r record;
	n integer := 0;
BEGIN
	-- keys put behind the one that we are at need not come; those before must not
	FOR r IN SELECT * FROM syncmap.range('sorted', prefix => 'k4') LOOP
		n := n + 1;
		PERFORM syncmap.delete('sorted', r.key);
		PERFORM syncmap.put('sorted', 'k3' || r.key, 'new');
		FOR i IN 1 .. 3 LOOP
			PERFORM syncmap.range('sorted', prefix => 'k4');
		END LOOP;
	END LOOP;
	RAISE NOTICE '% rows; % left, % new', n, (SELECT count(*) FROM syncmap.range('sorted', prefix => 'k4')),
		(SELECT count(*) FROM syncmap.range('sorted', prefix => 'k3'));
END $$;

-- values that are too large to be copied with their keys
SELECT count(syncmap.put('sorted', 'large' || i, repeat(i::text, i * 9999))) FROM generate_series(1, 20) i;
SELECT key, length(value), value = repeat(substr(key, 6), substr(key, 6)::int * 9999)
FROM syncmap.range('sorted', prefix => 'large', descending => true, max_rows => 4);
SELECT key, length(value) FROM sorted WHERE key LIKE 'large1%' ORDER BY key DESC LIMIT 2;

-- expired keys
SELECT count(syncmap.put('sorted', 'ttl' || i, 'v', ttl => '1 ms')) FROM generate_series(1, 3000) i;
SELECT syncmap.put('sorted', 'ttl', 'v'), syncmap.put('sorted', 'ttm', 'v'), pg_sleep(0.01);
SELECT key FROM syncmap.range('sorted', prefix => 'tt');
SELECT key FROM syncmap.range('sorted', prefix => 'tt', descending => true);

-- the option, switched on and off while there are keys
ALTER FOREIGN TABLE plain OPTIONS (ADD ordered 'true');
EXPLAIN (COSTS OFF) SELECT key FROM plain ORDER BY key LIMIT 1;
SELECT key FROM plain WHERE key > 'k98' ORDER BY key LIMIT 3;
ALTER FOREIGN TABLE plain OPTIONS (SET ordered 'false');
SELECT count(*), (array_agg(key))[1] FROM syncmap.range('plain', low => 'k98');
EXPLAIN (COSTS OFF) SELECT key FROM plain ORDER BY key LIMIT 1;

SELECT syncmap.drop(m) FROM unnest('{plain, sorted, numbers, bigs, bytes, uuids}'::regclass[]) m;

-- snapshots: as the map was at one moment
SELECT syncmap.create('frozen', consistent => true, ordered => true);
INSERT INTO frozen SELECT 'k' || i, 'v' || i FROM generate_series(1, 500) i;
SELECT count(*), count(DISTINCT key), min(key), max(key) FROM syncmap.range('frozen', consistent => true);
SELECT key FROM syncmap.range('frozen', 'k497', consistent => true, max_rows => 4);
SELECT key FROM syncmap.range('frozen', prefix => 'k50', descending => true, consistent => true);
SELECT key FROM frozen WHERE key LIKE 'k1__' ORDER BY key DESC LIMIT 2;
-- it is taken at the first row, and sees nothing of what comes after
BEGIN;
DECLARE before CURSOR FOR SELECT * FROM frozen ORDER BY key;
DECLARE after CURSOR FOR SELECT * FROM frozen ORDER BY key;
FETCH 1 FROM before;
UPDATE frozen SET value = 'new' WHERE key < 'k3';
DELETE FROM frozen WHERE key >= 'k3';
INSERT INTO frozen VALUES ('another', 'v');
FETCH 2 FROM before;
FETCH 2 FROM after;
COMMIT;
DO $$
DECLARE
	r record;
	n integer := 0;
	wrong integer := 0;
BEGIN
	FOR r IN SELECT * FROM syncmap.range('frozen', consistent => true) LOOP
		n := n + 1;
		IF r.value LIKE 'changed%' THEN
			wrong := wrong + 1;
		END IF;
		UPDATE frozen SET value = 'changed' || n;
		PERFORM syncmap.put('frozen', 'new' || n, 'changed');
		PERFORM count(*) FROM syncmap.range('frozen', consistent => true);
		EXIT WHEN n = 50;
	END LOOP;
	RAISE NOTICE '% rows, % wrong, % keys', n, wrong, syncmap.count('frozen');
END $$;
-- a query that says which rows are changed, from the rows themselves
UPDATE frozen SET value = (SELECT count(*) FROM syncmap.range('frozen', consistent => true)) WHERE key = 'another' RETURNING *;
SELECT syncmap.drop('frozen');

-- an inner node loses its first child, keys come into the gap, and it is merged with its
-- neighbour: what separates them is then looked at
SELECT syncmap.create('gap', key_type => 'integer', value_type => 'integer', ordered => true, shards => 1);
INSERT INTO gap SELECT i * 20000, i FROM generate_series(0, 99999) i;
DELETE FROM gap WHERE value BETWEEN 62500 AND 62749;
INSERT INTO gap SELECT i * 20000, i FROM generate_series(62600, 62700) i;
DELETE FROM gap WHERE value < 55000;
SELECT count(*) FROM generate_series(62600, 62700) i WHERE (SELECT value FROM gap WHERE key >= i * 20000 ORDER BY key LIMIT 1) = i;
DELETE FROM gap WHERE value BETWEEN 62600 AND 62700;
SELECT count(*), (SELECT count(*) FROM gap WHERE key >= 0) AS in_order, (SELECT count(*) FROM gap WHERE key >= 62600 * 20000 AND key <= 62700 * 20000) AS in_gap FROM gap;
SELECT syncmap.drop('gap');

-- a statement that puts keys into the map that it reads does not meet them: in a CTE
-- beside a DELETE, where the map is read again and again, and where it is read twice
SELECT syncmap.create('own', ordered => true);
CREATE TABLE other (n integer);
INSERT INTO own SELECT 'k' || i, i FROM generate_series(1, 5000) i;
WITH i AS (INSERT INTO own SELECT key || 'x', value FROM own RETURNING 1) DELETE FROM other WHERE false;
SELECT syncmap.count('own');
WITH i AS (INSERT INTO own SELECT key || 'y', value FROM own WHERE key > '' RETURNING 1) UPDATE other SET n = 2;
SELECT syncmap.count('own'), syncmap.clear('own');
INSERT INTO own SELECT 'k' || i, i FROM generate_series(1, 5) i;
INSERT INTO own SELECT m.key || '-' || o.i, value FROM generate_series(1, 4) o(i) CROSS JOIN LATERAL (SELECT * FROM own WHERE value <> (o.i + 1000)::text OFFSET 0) m;
SELECT syncmap.count('own');
INSERT INTO own SELECT m.key || '+' || o.i, value FROM generate_series(1, 4) o(i) CROSS JOIN LATERAL (SELECT * FROM own WHERE key >= 'k' || o.i AND key < 'k' || o.i || '-' ORDER BY key DESC OFFSET 0) m;
SELECT key FROM own WHERE key LIKE '%+%' ORDER BY key;
INSERT INTO own SELECT * FROM (SELECT key || '/', value FROM own UNION ALL SELECT key || '//', value FROM own) both_of_them(key, value);
SELECT syncmap.count('own'), count(*) FILTER (WHERE key LIKE '%///%') FROM own;
-- a query that reads a consistent map again and again sees one moment
ALTER FOREIGN TABLE own OPTIONS (ADD consistent 'true');
SELECT o.i, syncmap.put('own', 'new' || o.i, 'v'), (SELECT count(*) FROM own WHERE value <> o.i || 'none'), (SELECT count(*) FROM own WHERE key > 'k' || 5 - o.i) FROM generate_series(1, 4) o(i);
SELECT syncmap.drop('own');
DROP TABLE other;
