-- Maps with any columns: which one is the key, which says when it expires, and rows as values.
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';

-- which column is what
CREATE FOREIGN TABLE by_option (a integer, b text, k bigint OPTIONS (key 'true')) SERVER syncmap;
CREATE FOREIGN TABLE by_name (a integer, key bigint, b text) SERVER syncmap;
CREATE FOREIGN TABLE first (k bigint, a integer, b text) SERVER syncmap;
INSERT INTO by_option VALUES (1, 'x', 10) RETURNING *;
INSERT INTO by_name VALUES (1, 10, 'x') RETURNING *;
INSERT INTO first VALUES (10, 1, 'x') RETURNING *;
SELECT syncmap.get('by_option', 10::bigint), syncmap.get('by_name', 10::bigint), syncmap.get('first', 10::bigint);
INSERT INTO by_option VALUES (2, 'y', 10);
INSERT INTO by_option VALUES (2, 'y', NULL);
DROP FOREIGN TABLE by_option, by_name, first;
-- one column for the value is kept as it is, whatever its name
CREATE FOREIGN TABLE one (id text, payload jsonb, expires_at timestamp) SERVER syncmap;
INSERT INTO one VALUES ('a', '{"n": 1}', 'infinity') RETURNING *;
SELECT syncmap.get('one', 'a'), syncmap.get('one', 'a', NULL::jsonb) -> 'n', syncmap.ttl('one', 'a');
INSERT INTO one VALUES ('b', NULL);
DROP FOREIGN TABLE one;
-- and there may be none: a set
CREATE FOREIGN TABLE seen (id text) SERVER syncmap;
INSERT INTO seen VALUES ('a'), ('b'), ('a') ON CONFLICT DO NOTHING;
SELECT * FROM seen ORDER BY id;
UPDATE seen SET id = 'c' WHERE id = 'b' RETURNING *;
DELETE FROM seen WHERE id = 'a' RETURNING *;
SELECT syncmap.put('seen', 'd', '(d)'), syncmap.get('seen', 'd'), syncmap.count('seen');
DROP FOREIGN TABLE seen;
-- what is none
CREATE FOREIGN TABLE wrong (a text OPTIONS (key 'true'), b text OPTIONS (key 'true')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b text OPTIONS (key 'perhaps')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b text OPTIONS (kye 'true')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a json, b text) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b timestamptz OPTIONS (expires 'true'), c timestamptz OPTIONS (expires 'true')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b bigint OPTIONS (expires 'true')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b integer OPTIONS (expires 's')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b bigint OPTIONS (expires 'us')) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, expires_at date) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a text, b text OPTIONS (expires 'true'), c text) SERVER syncmap;
CREATE FOREIGN TABLE wrong (a bigint OPTIONS (expires 's'), b text) SERVER syncmap;
-- unless the column says that it has nothing to do with it
CREATE FOREIGN TABLE other (key text OPTIONS (key 'false'), id text OPTIONS (key 'true'), expires_at date OPTIONS (expires 'false')) SERVER syncmap;
INSERT INTO other VALUES ('k', 'a', '2001-02-03') RETURNING *;
SELECT * FROM syncmap.range('other');
DROP FOREIGN TABLE other;

-- rows: any types, and nulls
CREATE TYPE pair AS (x integer, y text);
CREATE DOMAIN small AS integer CHECK (value < 100);
CREATE FOREIGN TABLE w (a integer, k bigint OPTIONS (key 'true'), b text, c numeric[], d jsonb, e timestamptz OPTIONS (expires 'true'),
	f pair, g small, h "char" NOT NULL DEFAULT 'h', i varchar(3)) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO w VALUES (1, 10, 'x', '{1, 2.50}', '{"q": 1}', NULL, '(1, one)', 7, DEFAULT, NULL),
	(NULL, 11, NULL, NULL, NULL, NULL, NULL, NULL, 'z', 'abc'),
	(3, 12, repeat('long ', 1000), ARRAY[1, NULL], '[]', '9999-12-31', (2, repeat('y', 5000)), 99, 'i', '');
SELECT a, k, left(b, 10) AS b, length(b) AS len, c, d, e, (f).x, length((f).y) AS y, g, h, i FROM w ORDER BY k;
SELECT k, b IS NULL AS b, f IS NULL AS f FROM w WHERE k = 11;
SELECT k, g FROM w WHERE g > 1 AND k BETWEEN 10 AND 12 ORDER BY k DESC;
SELECT w FROM w WHERE k = 10;
INSERT INTO w (k, g) VALUES (13, 100);
INSERT INTO w (k, h) VALUES (13, NULL);
INSERT INTO w (k, i) VALUES (13, 'abcd');
UPDATE w SET h = NULL WHERE k = 10;
-- an UPDATE touches no other column
UPDATE w SET a = a + 1 WHERE k = 10 RETURNING a, k, b, c, f;
UPDATE w SET f.x = 5, c[2] = 7 WHERE k = 10 RETURNING f, c, d;
UPDATE w SET (a, b) = (SELECT 8, 'eight') WHERE k = 11 RETURNING *;
UPDATE w SET k = 20 WHERE k = 11 RETURNING k, b;
UPDATE w SET b = length(b)::text WHERE b IS NOT NULL;
SELECT k, b, length((f).y) AS y FROM w ORDER BY k;
DELETE FROM w WHERE b = 'none' OR k = 20 RETURNING *;
DELETE FROM w WHERE (f).x = 5 RETURNING k, w;
CREATE TABLE news (k bigint, b text);
INSERT INTO news VALUES (12, 'twelve'), (13, 'thirteen');
UPDATE w SET b = news.b FROM news WHERE news.k = w.k RETURNING w.k, w.b, news.b, h, length((f).y) AS y;
EXPLAIN (VERBOSE, COSTS OFF) SELECT k FROM w WHERE e > now();
EXPLAIN (VERBOSE, COSTS OFF) SELECT a FROM w WHERE k = 10;

-- a row as a value of the functions: all columns
TRUNCATE w;
SELECT syncmap.put('w', 1::bigint, ROW(5, 1, 'p', '{3}', '{}', '9999-12-31', (1, 'u'), 9, 'c', 'ab')::w),
	syncmap.put('w', 2::bigint, '(6,,q,,,,,,d,)'::w), syncmap.put('w', 3::bigint, '(7,3,r,,,,,,e,)');
SELECT syncmap.get('w', 1::bigint), syncmap.get('w', 2::bigint, NULL::w), (syncmap.get('w', 3::bigint, NULL::w)).b;
SELECT * FROM w ORDER BY k;
-- what does not fit
SELECT syncmap.put('w', 1::bigint, ROW(5, 2, 'p', NULL, NULL, NULL, NULL, NULL, 'c', NULL)::w);
SELECT syncmap.put('w', 1::bigint, ROW(5, 1, 'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL)::w);
SELECT syncmap.put('w', 1::bigint, ROW(5, 1, 'p'));
SELECT syncmap.put('w', 1::bigint, 'p');
SELECT syncmap.put('w', 1::bigint, '(1)');
SELECT syncmap.put('w', 1::bigint, '(1,,,,,,,100,c,)');
SELECT syncmap.put('w', 1::bigint, 5);
SELECT syncmap.get('w', 1::bigint, 0);
SELECT syncmap.increment('w', 1::bigint, 1);
SELECT syncmap.put('w', 1::bigint, NULL::w);
-- the others
SELECT syncmap.get_many('w', '{1, 3, 99}'::bigint[], NULL::w);
SELECT syncmap.get_many('w', '{3, 1}'::bigint[]);
SELECT syncmap.put_many('w', '{4, 5}'::bigint[], ARRAY[ROW(4, 4, 'd', NULL, NULL, NULL, NULL, NULL, 'x', NULL)::w,
	ROW(5, NULL, 'e', NULL, NULL, '9999-12-31', NULL, NULL, 'x', NULL)::w]);
SELECT syncmap.put_many('w', '{4, 5}'::bigint[], ARRAY[ROW(4, 4, 'd', NULL, NULL, NULL, NULL, NULL, 'x', NULL)::w,
	ROW(5, 4, 'e', NULL, NULL, NULL, NULL, NULL, 'x', NULL)::w]);
SELECT k, a, b, e FROM w WHERE k >= 4 ORDER BY k;
SELECT * FROM syncmap.get_or_put('w', 4::bigint, '(0,,no,,,,,,x,)'::w);
SELECT * FROM syncmap.get_or_put('w', 6::bigint, '(0,,new,,,9999-12-31,,,x,)'::w);
SELECT syncmap.swap('w', 6::bigint, '(0,,newer,,,,,,x,)'::w), syncmap.get_and_delete('w', 6::bigint, NULL::w), syncmap.get('w', 6::bigint);
SELECT syncmap.compare_and_swap('w', 4::bigint, '(4,,d,,,,,,x,)', '(4,,D,,,,,,x,)'), syncmap.compare_and_delete('w', 4::bigint, '(4,,d,,,,,,x,)'),
	syncmap.compare_and_delete('w', 4::bigint, '(4,4,D,,,,,,x,)'), syncmap.contains('w', 4::bigint);
SELECT * FROM syncmap.range('w', low => 2::bigint, high => 5::bigint, high_inclusive => true);
SELECT * FROM syncmap.range('w', max_rows => 1, descending => true);
SELECT syncmap.delete_range('w', low => 4::bigint), syncmap.count('w');

-- columns may change while there is nothing in it
ALTER FOREIGN TABLE w ADD COLUMN z integer;
ALTER FOREIGN TABLE w DROP COLUMN d;
ALTER FOREIGN TABLE w ALTER COLUMN a TYPE bigint;
ALTER FOREIGN TABLE w ALTER COLUMN i TYPE varchar(4);
ALTER FOREIGN TABLE w ALTER COLUMN a OPTIONS (ADD key 'true');
ALTER FOREIGN TABLE w ALTER COLUMN k OPTIONS (DROP key), ALTER COLUMN a OPTIONS (ADD key 'true');
ALTER FOREIGN TABLE w ALTER COLUMN e OPTIONS (SET expires 'false');
ALTER FOREIGN TABLE w RENAME COLUMN b TO bb;
ALTER FOREIGN TABLE w ALTER COLUMN bb SET NOT NULL;
SELECT k, bb FROM w ORDER BY k;
BEGIN;
TRUNCATE w;
ALTER FOREIGN TABLE w DROP COLUMN d, ADD COLUMN z integer;
INSERT INTO w (k, z, h) VALUES (1, 26, 'n') RETURNING *;
ROLLBACK;
SELECT count(*) FROM w;
ALTER FOREIGN TABLE w DROP COLUMN d, ADD COLUMN z integer;
INSERT INTO w (k, z, a) VALUES (1, 26, 27);
SELECT syncmap.get('w', 1::bigint, NULL::w);
-- two columns change places: what is stored is not read as if they had not
CREATE FOREIGN TABLE turned (a text OPTIONS (key 'true'), b text) SERVER syncmap;
INSERT INTO turned VALUES ('x', 'y');
ALTER FOREIGN TABLE turned ALTER a OPTIONS (DROP key), ALTER b OPTIONS (ADD key 'true');
DROP FOREIGN TABLE w, turned CASCADE;
CREATE FOREIGN TABLE other (id text, a bigint, b bigint OPTIONS (expires 'ms')) SERVER syncmap;
INSERT INTO other VALUES ('x', 77, NULL);
ALTER FOREIGN TABLE other ALTER b OPTIONS (DROP expires), ALTER a OPTIONS (ADD expires 'ms');
ALTER FOREIGN TABLE other DROP COLUMN a, ADD COLUMN c bigint;
DROP FOREIGN TABLE other;
-- a cursor has copied rows out by the columns of before
CREATE FOREIGN TABLE read_before (id text, a integer, b integer) SERVER syncmap;
INSERT INTO read_before SELECT i::text, 2147483392, 2147483392 FROM generate_series(1, 20) i;
BEGIN;
DECLARE c CURSOR FOR SELECT (syncmap.range('read_before')).value ~ '^\(\d+,2147483392,2147483392\)$';
FETCH 1 FROM c;
TRUNCATE read_before;
ALTER FOREIGN TABLE read_before ALTER COLUMN a TYPE text;
FETCH 1 FROM c;
ROLLBACK;
-- equal rows are the same bytes, whatever a column's storage is and wherever a row was on its way
TRUNCATE read_before;
ALTER FOREIGN TABLE read_before ADD COLUMN c text;
ALTER FOREIGN TABLE read_before ALTER c SET STORAGE PLAIN;
INSERT INTO read_before VALUES ('q', 1, 1, 'hello');
UPDATE read_before SET a = read_before.a + s.c FROM (SELECT id, count(*) AS c FROM (VALUES ('q'), ('q')) o(id) GROUP BY id) s WHERE s.id || '' = read_before.id || '' RETURNING *;
SELECT syncmap.compare_and_swap('read_before', 'q', ROW('q', 3, 1, 'hello')::read_before, ROW('q', 4, 1, 'hello')::read_before);
ALTER FOREIGN TABLE read_before ALTER c SET STORAGE EXTENDED;
UPDATE read_before SET b = b + 1 RETURNING *;
DELETE FROM read_before WHERE a = 4;
DROP FOREIGN TABLE read_before;
-- what a query gives as text is read by a domain that alters the map
CREATE FOREIGN TABLE filled (id text, u integer, a integer) SERVER syncmap;
CREATE FUNCTION alters(v integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF v = 13 THEN
		ALTER FOREIGN TABLE filled ALTER COLUMN a TYPE text;
	END IF;
	RETURN true;
END$$;
CREATE DOMAIN bad AS integer CHECK (alters(value));
ALTER FOREIGN TABLE filled ALTER u TYPE bad;
SELECT syncmap.fetch_query('filled', 'k'::text, NULL::filled, $$SELECT '(k,12,2147483392)'::text$$);
SELECT syncmap.fetch_query('filled', 'k2'::text, NULL::filled, 'SELECT 1, 2');
SELECT syncmap.clear('filled');
SELECT syncmap.fetch_query('filled', 'k'::text, NULL::filled, $$SELECT '(k,13,2147483392)'::text$$);
DROP FOREIGN TABLE filled;
DROP DOMAIN bad;
DROP FUNCTION alters;
-- a column dropped with its type
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FOREIGN TABLE moods (id text, mood mood, note text) SERVER syncmap;
INSERT INTO moods VALUES ('a', 'sad', 'n');
DROP TYPE mood CASCADE;
SELECT * FROM moods;
SELECT syncmap.clear('moods');
INSERT INTO moods VALUES ('a', 'n') RETURNING *;
DROP FOREIGN TABLE moods;

-- when it expires: timestamps of both kinds, and numbers
CREATE FOREIGN TABLE tz (id text, n integer, until timestamptz OPTIONS (expires 'true') NOT NULL) SERVER syncmap;
CREATE FOREIGN TABLE local (id text, n integer, x text, until timestamp(0) OPTIONS (expires 'true')) SERVER syncmap;
CREATE FOREIGN TABLE ms (id text, n integer, x text, until bigint OPTIONS (expires 'ms')) SERVER syncmap;
CREATE FOREIGN TABLE s (id text, n integer, x text, until bigint OPTIONS (expires 's') NOT NULL) SERVER syncmap;
INSERT INTO tz VALUES ('a', 1, NULL);
INSERT INTO tz (id, n) VALUES ('a', 1);
INSERT INTO tz VALUES ('a', 1, 'infinity'), ('b', 2, '2001-01-01') RETURNING *;
INSERT INTO local VALUES ('a', 1, 'x', NULL), ('b', 2, 'x', '2001-01-01'), ('c', 3, 'x', '9999-12-31 23:59:59'), ('d', 4, 'x', 'infinity') RETURNING *;
INSERT INTO ms VALUES ('a', 1, 'x', NULL), ('b', 2, 'x', 978307200001), ('c', 3, 'x', 253402300799999), ('d', 4, 'x', 9223372036854775807), ('e', 5, 'x', -5) RETURNING *;
INSERT INTO s VALUES ('b', 2, 'x', 978307200), ('c', 3, 'x', 253402300799), ('d', 4, 'x', 9223372036854775807) RETURNING *;
INSERT INTO ms VALUES ('f', 6, 'x', 9223372036854775806);
INSERT INTO s VALUES ('f', 6, 'x', 9223372036854775);
SELECT * FROM tz ORDER BY id;
SELECT * FROM local ORDER BY id;
SELECT * FROM ms ORDER BY id;
SELECT * FROM s ORDER BY id;
-- a timestamp without a zone is in that of the session, as where it is compared with now()
SET timezone = 'Asia/Tokyo';
SELECT * FROM local WHERE id = 'c';
SET timezone = 'America/New_York';
-- it is what a time to live gives, to its own precision, and the row is found again
SELECT syncmap.put('ms', 'g', '(g,7,x,)', ttl => '1 hour'), syncmap.put('s', 'g', '(g,7,x,)', ttl => '1 hour'), syncmap.put('local', 'g', '(g,7,x,)', ttl => '1 hour');
SELECT until BETWEEN extract(epoch FROM now()) * 1000 + 3590000 AND extract(epoch FROM now()) * 1000 + 3600001 FROM ms WHERE id = 'g';
UPDATE ms SET n = n + 1 WHERE id = 'g' RETURNING n;
UPDATE s SET n = n + 1 WHERE id = 'g' RETURNING n;
UPDATE local SET n = n + 1 WHERE id = 'g' RETURNING n;
SELECT syncmap.put('ms', 'g', '(g,7,x,)', ttl => '1 hour'), syncmap.put('s', 'g', '(g,7,x,)', ttl => '1 hour'), syncmap.put('local', 'g', '(g,7,x,)', ttl => '1 hour');
DELETE FROM ms WHERE n = 7 RETURNING n;
DELETE FROM s WHERE n = 7 RETURNING n;
DELETE FROM local WHERE n = 7 RETURNING n;
-- what is past is gone, also where there was something
UPDATE ms SET until = 1 WHERE id = 'a' RETURNING *;
SELECT syncmap.contains('ms', 'a'), syncmap.get('ms', 'c', NULL::ms);
-- an UPDATE that sets it to null means never
UPDATE ms SET until = NULL WHERE id = 'c' RETURNING *;
UPDATE s SET until = NULL WHERE id = 'c' RETURNING *;
SELECT syncmap.expire('s', 'c', NULL), syncmap.get('s', 'c');
-- a map with a time to live has one for the row that does not say when
ALTER FOREIGN TABLE s OPTIONS (ADD ttl '1 day');
INSERT INTO s VALUES ('h', 8, 'x', NULL);
SELECT until - extract(epoch FROM now())::bigint BETWEEN 86390 AND 86400 FROM s WHERE id = 'h';
SELECT syncmap.put('s', 'i', '(i,9,x,253402300799)'), syncmap.put('s', 'j', '(i,9,x,253402300799)');
SELECT syncmap.put('s', 'i', '(i,9,x,253402300799)'), syncmap.put('s', 'j', '(j,9,x,)', ttl => '2 days'), syncmap.put('s', 'k', '(k,9,x,)');
SELECT id, n, until = 253402300799 AS own, round((until - extract(epoch FROM now())) / 86400) AS days FROM s WHERE n = 9 ORDER BY id;
DROP FOREIGN TABLE tz, local, ms, s;

-- code of a user between two steps: the map's columns are others afterwards
CREATE FOREIGN TABLE turning (id text, a integer, b integer) SERVER syncmap;
CREATE FUNCTION turn(value integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF value <> 13 THEN
		RETURN true;
	END IF;
	TRUNCATE turning;
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'turning'::regclass AND attname = 'a') THEN
		ALTER FOREIGN TABLE turning DROP COLUMN a, ADD COLUMN c text;
	ELSE
		ALTER FOREIGN TABLE turning DROP COLUMN c, ADD COLUMN a integer;
	END IF;
	INSERT INTO turning (id, b) VALUES ('x', 5);
	RETURN true;
END$$;
CREATE DOMAIN unlucky AS integer CHECK (turn(value));
CREATE FOREIGN TABLE nested (id text, u unlucky, b integer) SERVER syncmap;
-- of another map
INSERT INTO turning VALUES ('x', 1, 2);
SELECT syncmap.put('nested', 'y', '(y,13,1)'), syncmap.get('turning', 'x'), syncmap.get('nested', 'y');
UPDATE nested SET u = 13 WHERE turn(u) RETURNING *;
SELECT syncmap.get('turning', 'x');
-- of the map that is read
SELECT id, turn(13) FROM turning;
SELECT syncmap.get('turning', CASE WHEN turn(13) THEN 'x' END);
SELECT syncmap.put('turning', CASE WHEN turn(13) THEN 'x' END, '(x,6,)'), syncmap.get('turning', 'x');
SELECT syncmap.get_many('turning', ARRAY['x', CASE WHEN turn(13) THEN 'x' END]);
-- of the map that is written, by the row's own columns
TRUNCATE turning;
ALTER FOREIGN TABLE turning ADD COLUMN u unlucky;
SELECT syncmap.put('turning', 'x', (SELECT format('(x,%s)', string_agg('13', ',')) FROM pg_attribute WHERE attrelid = 'turning'::regclass AND attnum > 1 AND NOT attisdropped));
SELECT syncmap.count('turning');
INSERT INTO turning (id, u) VALUES ('y', 13);
DROP FOREIGN TABLE turning, nested;

-- inherited, partitioned, and through a view
CREATE TABLE stores (id text, a integer, b text) PARTITION BY LIST (id);
CREATE FOREIGN TABLE hot PARTITION OF stores FOR VALUES IN ('hot') SERVER syncmap;
CREATE TABLE cold PARTITION OF stores DEFAULT;
INSERT INTO stores VALUES ('hot', 1, 'h'), ('cold', 2, 'c') RETURNING *;
UPDATE stores SET a = a + 10 RETURNING *;
CREATE VIEW small_ones AS SELECT * FROM hot WHERE a < 100 WITH CHECK OPTION;
UPDATE small_ones SET a = 99 RETURNING *;
UPDATE small_ones SET a = 100;
COPY hot FROM stdin;
hot	1	x
\.
COPY (SELECT * FROM stores ORDER BY id) TO stdout;
DELETE FROM stores RETURNING *;
DROP TABLE stores CASCADE;
DROP TYPE pair;
DROP DOMAIN small, unlucky;
DROP FUNCTION turn;
DROP TABLE news;
