-- Keys of types whose bytes are not what they look like, or that a length belongs to:
-- varchar(n), char(n), smallint, timestamptz, timestamp, date; and collations.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;

-- each comes back as it was, in its order, at its limits and at the infinities
SELECT syncmap.create('kv', key_type => 'varchar(5)', value_type => 'integer', ordered => true),
	syncmap.create('kc', key_type => 'char(5)', value_type => 'integer', ordered => true),
	syncmap.create('ks', key_type => 'smallint', value_type => 'integer', ordered => true),
	syncmap.create('kz', key_type => 'timestamptz', value_type => 'integer', ordered => true),
	syncmap.create('kt', key_type => 'timestamp(0)', value_type => 'integer', ordered => true),
	syncmap.create('kd', key_type => 'date', value_type => 'integer', ordered => true);
\d kc
SELECT attrelid::regclass, format_type(atttypid, atttypmod), attcollation::regcollation FROM pg_attribute
	WHERE attrelid IN ('kv'::regclass, 'kc'::regclass, 'ks'::regclass, 'kz'::regclass, 'kt'::regclass, 'kd'::regclass) AND attname = 'key' ORDER BY 1::text;
INSERT INTO kv VALUES ('', 1), (' ', 2), ('a', 3), ('a ', 4), ('ab', 5), ('äöüßé', 6);
INSERT INTO kc VALUES ('', 1), (E'\x01', 2), ('a', 3), (E'a\x01', 4), ('a b', 5), ('ab', 6), ('äöüßé', 7), ('é', 8);
INSERT INTO ks VALUES (32767, 5), (-32768, 1), (-1, 2), (1, 4), (0, 3), (256, 6), (-256, 7);
INSERT INTO kz VALUES ('infinity', 1), ('-infinity', 2), ('294276-12-31 23:59:59.999999+00', 3), ('4714-11-24 00:00:00+00 BC', 4),
	('2000-01-01', 5), ('1999-12-31 23:59:59.999999+00', 6), ('2000-01-01 00:00:00.000001', 7);
INSERT INTO kt SELECT key AT TIME ZONE 'UTC', value FROM kz WHERE value < 6 AND value <> 3;
INSERT INTO kd VALUES ('infinity', 1), ('-infinity', 2), ('5874897-12-31', 3), ('4714-11-24 BC', 4), ('2000-01-01', 5), ('1999-12-31', 6), ('2000-01-02', 7);
SELECT '<' || key || '>' AS key, value FROM kv ORDER BY kv.key;
SELECT encode(convert_to(concat('<', key, '>'), 'UTF8'), 'escape') AS key, length(key), octet_length(key), value FROM kc ORDER BY kc.key;
SELECT * FROM ks ORDER BY key;
SELECT * FROM kz ORDER BY key DESC;
SELECT * FROM kt ORDER BY key DESC;
SELECT * FROM kd ORDER BY key;
SELECT plan('SELECT * FROM kv ORDER BY key DESC'), plan('SELECT * FROM kd ORDER BY key');
SELECT min(key), max(key) FROM ks;
SELECT min(key), max(key) FROM kz;
SELECT min(key), max(key) FROM kv;
-- in the same order without an index of the keys
ALTER FOREIGN TABLE ks OPTIONS (SET ordered 'false');
SELECT array_agg(key) FROM syncmap.range('ks', max_rows => 10);
ALTER FOREIGN TABLE ks OPTIONS (SET ordered 'true');
SELECT array_agg(key) FROM syncmap.range('ks', max_rows => 10);

-- what is a lookup, and what a range
SELECT plan($$SELECT * FROM kv WHERE key = 'a'$$);
SELECT plan($$SELECT * FROM kv WHERE 'a'::varchar = key$$);
SELECT plan($$SELECT * FROM kv WHERE key = ANY ('{a,ab}'::varchar(3)[])$$);
SELECT plan($$SELECT * FROM kv WHERE key IN ('a', 'ab') AND value > 1$$);
SELECT plan($$SELECT * FROM kv WHERE key = 'a'::bpchar$$);
SELECT plan($$SELECT * FROM kv WHERE key::varchar(2) = 'a'$$);
SELECT plan($$SELECT * FROM kv WHERE key > 'a' AND key <= 'b'::varchar ORDER BY key LIMIT 3$$);
SELECT plan($$SELECT * FROM kc WHERE key = 'ab'$$);
SELECT plan($$SELECT * FROM kc WHERE key = 'ab  '::char(3)$$);
SELECT plan($$SELECT * FROM kc WHERE key = 'ab'::text$$);
SELECT plan($$SELECT * FROM kc WHERE key = ANY ('{ab,a}') ORDER BY key$$);
SELECT plan($$SELECT * FROM kc WHERE key >= 'a' ORDER BY key DESC$$);
SELECT plan($$SELECT * FROM ks WHERE key = 1$$);
SELECT plan($$SELECT * FROM ks WHERE 1::bigint = key$$);
SELECT plan($$SELECT * FROM ks WHERE key = ANY ('{1,99999}'::integer[])$$);
SELECT plan($$SELECT * FROM ks WHERE key BETWEEN -1 AND 70000::bigint$$);
SELECT plan($$SELECT * FROM kz WHERE key = '2000-01-01'$$);
SELECT plan($$SELECT * FROM kz WHERE key > now() - interval '1 day' ORDER BY key$$);
-- not one of another type, whose comparison is another one, or depends on the time zone
SELECT plan($$SELECT * FROM kz WHERE key = date '2000-01-01'$$);
SELECT plan($$SELECT * FROM kz WHERE key > timestamp '2000-01-01'$$);
SELECT plan($$SELECT * FROM kt WHERE key = date '2000-01-01'$$);
SELECT plan($$SELECT * FROM kd WHERE key < timestamp '2000-01-01 12:00' ORDER BY key$$);
SELECT count(*) AS lookups FROM plan($$SELECT kz.* FROM kd JOIN kz ON kz.key = kd.key$$) p(line) WHERE line LIKE '%Lookup%';
SELECT * FROM kz WHERE key = date '2000-01-01';
SELECT * FROM kd WHERE key < timestamp '2000-01-01 12:00' AND key > timestamp '1999-12-31 00:00:01';
SET timezone = 'Asia/Tokyo';
SELECT * FROM kz WHERE key = date '2000-01-01';
SELECT value FROM kz WHERE key = timestamp '2000-01-01 09:00';
SELECT value FROM kz WHERE key = '2000-01-01 09:00';
SET timezone = 'UTC';

-- the same answers as of a table: blanks, numbers beyond the type, infinities
CREATE TABLE tkv AS SELECT * FROM kv;
CREATE TABLE tkc AS SELECT * FROM kc;
CREATE TABLE tks AS SELECT * FROM ks;
CREATE TABLE tkz AS SELECT * FROM kz;
CREATE TABLE tkt AS SELECT * FROM kt;
CREATE TABLE tkd AS SELECT * FROM kd;
-- What a query finds in the map; and on the table, if that is something else.
CREATE FUNCTION found(map text, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	of_map text;
	of_table text;
BEGIN
	EXECUTE format('SELECT string_agg(value::text, '','' ORDER BY value) FROM %I WHERE %s', map, condition) INTO of_map;
	EXECUTE format('SELECT string_agg(value::text, '','' ORDER BY value) FROM %I WHERE %s', 't' || map, condition) INTO of_table;
	RETURN coalesce(of_map, 'none') || CASE WHEN of_map IS DISTINCT FROM of_table THEN ', but the table: ' || coalesce(of_table, 'none') ELSE '' END;
END $$;
SELECT map, condition, found(map, condition) FROM (VALUES
	('kv', $$key = 'a'$$), ('kv', $$key = 'a '$$), ('kv', $$key = 'a  '$$), ('kv', $$key = 'a'::char(3)$$), ('kv', $$key = 'a '::bpchar$$), ('kv', $$key = 'äöüßéx'$$),
	('kv', $$key > 'a'$$), ('kv', $$key >= 'a ' AND key < 'ab'$$), ('kv', $$key < 'äöüßéxyz'$$), ('kv', $$key = ANY ('{"a ",ab,toolongforit}')$$),
	('kv', $$key LIKE 'a%'$$), ('kv', $$key LIKE 'a %'$$), ('kv', $$key LIKE 'a_'$$), ('kv', $$key ^@ 'ä'$$), ('kv', $$key LIKE 'äöüßé'$$), ('kv', $$key ILIKE 'A%'$$), ('kv', $$key ~ '^a ?$'$$),
	('kc', $$key = 'a'$$), ('kc', $$key = 'a                '$$), ('kc', $$key = 'a  '::text$$), ('kc', $$key = 'a'::text$$), ('kc', $$key = 'a'::varchar$$), ('kc', $$key = ' a'$$), ('kc', $$key = ''$$),
	('kc', $$key > 'a'$$), ('kc', $$key >= 'a    '$$), ('kc', $$key < 'a'$$), ('kc', $$key <= 'a      '$$), ('kc', $$key > ''$$), ('kc', $$key BETWEEN E'a\x01' AND 'a c'$$),
	('kc', $$key = ANY ('{"a   ",ab,a,"ab "}')$$), ('kc', $$key LIKE 'a%'$$), ('kc', $$key LIKE 'a %'$$), ('kc', $$key LIKE 'a    '$$), ('kc', $$key LIKE 'a'$$), ('kc', $$key LIKE 'a  b%'$$), ('kc', $$key LIKE '%b  '$$), ('kc', $$key ^@ 'a '$$), ('kc', $$key ~ '^a '$$),
	('ks', 'key = 1'), ('ks', 'key = 65537'), ('ks', 'key = 1::bigint'), ('ks', 'key >= 32767'), ('ks', 'key > 32767'), ('ks', 'key > -32769'), ('ks', 'key < -32768'), ('ks', 'key <= -32768'),
	('ks', 'key < 10000000000'), ('ks', 'key > 10000000000'), ('ks', 'key = ANY (ARRAY[-1, 65535, 256])'), ('ks', 'key = 1.0'), ('ks', 'key > -0.5'), ('ks', 'key BETWEEN -256 AND 256'),
	('kz', $$key = 'infinity'$$), ('kz', $$key < '-infinity'$$), ('kz', $$key <= '-infinity'$$), ('kz', $$key > '294276-12-31 23:59:59.999999+00'$$), ('kz', $$key < 'infinity' AND key > '-infinity'$$),
	('kz', $$key >= '2000-01-01' AND key < '2000-01-01 00:00:00.000001'$$), ('kz', $$key = ANY ('{2000-01-01,infinity,now}')$$), ('kz', $$key > date '2000-01-01'$$), ('kz', $$key < timestamp 'infinity'$$),
	('kt', $$key = '2000-01-01'$$), ('kt', $$key = '2000-01-01 00:00:00.4'$$), ('kt', $$key > '1999-12-31 23:59:59.7'$$), ('kt', $$key >= timestamptz '2000-01-01'$$), ('kt', $$key < 'infinity'$$),
	('kd', $$key = 'infinity'$$), ('kd', $$key > '5874897-12-31'$$), ('kd', $$key < '4714-11-24 BC'$$), ('kd', $$key < '2000-01-01'$$), ('kd', $$key BETWEEN '1999-12-31' AND '2000-01-01'$$),
	('kd', $$key = timestamptz '2000-01-01'$$), ('kd', $$key <= timestamp '2000-01-01 12:00'$$), ('kd', $$key = ANY ('{2000-01-02,-infinity}')$$)) q(map, condition);
-- by what is joined
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT plan($$SELECT kv.* FROM tkv JOIN kv ON kv.key = tkv.key$$);
SELECT count(*) FROM tkv JOIN kv ON kv.key = tkv.key;
SELECT plan($$SELECT kc.* FROM tkc JOIN kc USING (key)$$);
SELECT count(*), (SELECT count(*) FROM tkc JOIN kc ON kc.key = tkc.key::text), (SELECT count(*) FROM tkc JOIN kc ON kc.key::text = tkc.key::text) FROM tkc JOIN kc USING (key);
SELECT count(*) AS lookups FROM plan($$SELECT kv.* FROM tkc JOIN kv ON kv.key = tkc.key$$) p(line) WHERE line LIKE '%Lookup%';
SELECT count(*) FROM tkc JOIN kv ON kv.key = tkc.key;
SELECT count(*) FROM tkc JOIN kv ON kv.key = tkc.key::text;
SELECT plan($$SELECT ks.* FROM tkd JOIN ks ON ks.key = tkd.value$$);
SELECT count(*) FROM (SELECT value * 65536 + 1 AS n FROM tkd UNION ALL SELECT 1) t JOIN ks ON ks.key = t.n;
SELECT count(*) FROM tkz JOIN kz USING (key) JOIN kt ON kt.key = kz.key AT TIME ZONE 'UTC';
RESET enable_hashjoin;
RESET enable_mergejoin;
PREPARE by_key(varchar) AS SELECT * FROM kv WHERE key = $1;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE by_key('a')$$);
EXECUTE by_key('a');
EXECUTE by_key('much too long');
RESET plan_cache_mode;

-- the functions: the type itself, text, a literal, what INSERT converts
SELECT syncmap.get('kv', 'ab'), syncmap.get('kv', 'ab'::varchar), syncmap.get('kv', 'ab'::char(4)), syncmap.get('kv', 'ab'::name), syncmap.get('kv', 'ab '), syncmap.get('kv', 'ab', NULL::integer) + 1 AS plus_one;
SELECT syncmap.get('kc', 'ab'), syncmap.get('kc', 'ab  '::text), syncmap.get('kc', 'ab        '), syncmap.get('kc', 'ab'::char(2)), syncmap.get('kc', 'ab  '::varchar, NULL::integer), syncmap.contains('kc', ' ab');
SELECT syncmap.get('ks', 256), syncmap.get('ks', 256::bigint), syncmap.get('ks', '256'), syncmap.get('ks', 256::smallint);
SELECT syncmap.get('kz', '2000-01-01'), syncmap.get('kz', timestamptz '2000-01-01'), syncmap.get('kz', date '2000-01-01'), syncmap.get('kz', timestamp 'infinity');
SELECT syncmap.get('kt', '2000-01-01 00:00:00.3'), syncmap.get('kt', timestamp '1999-12-31 23:59:59.6'), syncmap.get('kt', date '-infinity');
SELECT syncmap.get('kd', '2000-01-01'), syncmap.get('kd', timestamp '2000-01-01 17:00'), syncmap.get('kd', timestamptz '2000-01-01 17:00'), syncmap.get('kd', 'infinity'::date);
SELECT syncmap.get('ks', 65537);
SELECT syncmap.get('ks', '32768');
SELECT syncmap.get('ks', now());
SELECT syncmap.get('kd', 5);
SELECT syncmap.get('kd', 'never');
SELECT syncmap.get('kd', timestamp '294276-12-31');
-- a length is one for the functions as for INSERT, blanks excepted
INSERT INTO kv VALUES ('abcdef', 1);
SELECT syncmap.put('kv', 'abcdef', 1);
SELECT syncmap.put('kv', 'abcdef'::varchar, 1);
SELECT syncmap.put('kv', 'äöüßéä', 1);
SELECT syncmap.increment('kv', 'abcdef'::text);
SELECT syncmap.put_many('kv', '{abc,abcdef}', '{1,2}'::integer[]);
SELECT syncmap.get_or_put('kv', 'abcdef', 1), syncmap.contains('kv', 'abc');
INSERT INTO kc VALUES ('abcdef', 1);
SELECT syncmap.put('kc', 'abcdef', 1);
SELECT syncmap.put('kc', 'abcdef'::text, 1);
INSERT INTO kv VALUES ('abcde  ', 7) RETURNING length(key);
SELECT syncmap.put('kv', 'abcde      ', 8), syncmap.get('kv', 'abcde'), syncmap.put('kv', 'éßüöä'::text, 9), syncmap.get('kv', 'éßüöä');
INSERT INTO kc VALUES ('ab  ', 1);
\set VERBOSITY default
INSERT INTO kc VALUES ('ab', 1);
\set VERBOSITY terse
SELECT syncmap.put('kc', 'ab  ', 60), syncmap.put('kc', 'new         '::varchar, 8), syncmap.get('kc', 'new'), syncmap.count('kc');
SELECT syncmap.increment('kc', 'new ', 2), syncmap.increment('kz', 'infinity', 9), syncmap.increment('ks', -1, 5), syncmap.increment('kd', date '2000-01-03', 5);
SELECT syncmap.get_many('kv', '{a,ab,"ab ",abcde}'), syncmap.get_many('kc', ARRAY['a', 'a  '::char(3), 'b']::char(9)[]), syncmap.get_many('ks', ARRAY[-1, 1, 2]), syncmap.get_many('kd', ARRAY[date '2000-01-01', 'infinity', NULL]), syncmap.get_many('kz', '{2000-01-01,infinity}'::date[], NULL::integer);
SELECT syncmap.put_many('ks', '{7,8}'::bigint[], '{70,80}'), syncmap.delete_many('ks', '{7,8,9}'), syncmap.swap('kt', '2001-01-01 12:00:00.2', 1), syncmap.swap('kt', timestamp '2001-01-01 12:00:00.4', 2), syncmap.get_and_delete('kt', '2001-01-01 11:59:59.9');
SELECT syncmap.delete('kc', 'new'), syncmap.delete('kv', 'abcde'), syncmap.delete('kv', 'éßüöä'), syncmap.delete('kd', '2000-01-03'), syncmap.expire('kv', 'ab', '1 h'), syncmap.ttl('kv', 'ab') > '50 min', syncmap.compare_and_delete('kc', 'ab      ', '60');
-- a bound may be one that no key can be
SELECT key FROM syncmap.range('kv', 'a', 'ab');
SELECT key FROM syncmap.range('kv', 'a', 'abcdefgh');
SELECT key FROM syncmap.range('kv', prefix => 'a');
SELECT '<' || key || '>' AS key FROM syncmap.range('kc', 'a ', 'b       ') WHERE value = '3';
SELECT '<' || key || '>' AS key FROM syncmap.range('kc', prefix => 'a b  ');
SELECT key FROM syncmap.range('ks', -1, 256, high_inclusive => true);
SELECT key FROM syncmap.range('ks', 70000);
SELECT key FROM syncmap.range('ks', prefix => '1');
SELECT key FROM syncmap.range('kz', low => '-infinity', high => '2000-01-01', low_inclusive => false);
SELECT key FROM syncmap.range('kz', low => date '2000-01-01', max_rows => 2);
SELECT key FROM syncmap.range('kt', low => '1999-12-31 23:59:59.6', high => '2000-01-01 00:00:00.4');
SELECT key FROM syncmap.range('kt', low => '2000-01-01 00:00:00.4', high => 'infinity');
SELECT key FROM syncmap.range('kd', descending => true, max_rows => 2);
SELECT syncmap.delete_range('kd', '1999-12-31', date '2000-01-02'), syncmap.count('kd');

-- UPDATE, DELETE, what is returned
UPDATE kc SET value = value + 1 WHERE key = 'a' RETURNING '<' || key || '>' AS key, length(key), value;
UPDATE kc SET key = 'a2' WHERE key = 'a     ' RETURNING octet_length(key), value;
UPDATE kc SET key = key || 'x' WHERE key = 'a2';
UPDATE kv SET key = key || 'x', value = 1 WHERE key = 'a' RETURNING *;
UPDATE kv SET key = key || 'toolong' WHERE key = 'ax';
DELETE FROM kz WHERE key IN ('infinity', '2000-01-01') RETURNING *;
DELETE FROM ks WHERE key < 0 RETURNING *;
DELETE FROM ks WHERE key = ANY ('{1,65536}'::bigint[]) RETURNING *;

-- a length that is none: char without (n), and varchar, which is text in all but name
SELECT syncmap.create('ku', key_type => 'varchar'), syncmap.create('kb', key_type => 'bpchar'), syncmap.create('k1', key_type => 'char');
INSERT INTO kb VALUES ('ab   ', 1);
SELECT octet_length(key), syncmap.get('kb', 'ab'), syncmap.get('kb', 'ab ') FROM kb WHERE key = 'ab       ';
SELECT syncmap.put('ku', 'k', 'v'), syncmap.put('ku', repeat('x', 2048), 'long'), syncmap.get('ku', 'k'), syncmap.get('ku', 'k'::varchar), syncmap.get('ku', 'k '), syncmap.increment('ku', 'n'), syncmap.get_many('ku', '{k,n}');
SELECT syncmap.put('ku', repeat('x', 2049), 'v');
SELECT syncmap.put('k1', 'k', 'v'), syncmap.get('k1', 'k ');
SELECT syncmap.put('k1', 'kk', 'v');
-- one text entry for maps of both
SELECT syncmap.create('kx');
SELECT m, syncmap.put(m, 'abc', m::text), syncmap.get(m, 'abc') FROM unnest('{kx,ku,kx,ku}'::regclass[]) m;
SELECT syncmap.create('kw', key_type => 'varchar(2)');
SELECT syncmap.get(m, 'abc') FROM unnest('{kx,ku,kw,kx}'::regclass[]) m;
SELECT syncmap.get(m, 'ab') FROM unnest('{kw,kx,kw,ku,kw}'::regclass[]) m;

-- types of their own are none, and what is altered is altered while the map is empty
CREATE DOMAIN label AS varchar(5);
SELECT syncmap.create('no', key_type => 'label');
SELECT syncmap.create('no', key_type => '"char"');
SELECT syncmap.create('no', key_type => 'name');
SELECT syncmap.create('no', key_type => 'time');
ALTER FOREIGN TABLE kv ALTER key TYPE varchar(4) COLLATE "C";
ALTER FOREIGN TABLE kv ALTER key TYPE text COLLATE "C";
ALTER FOREIGN TABLE kc ALTER key TYPE char(6) COLLATE "C";
ALTER FOREIGN TABLE kt ALTER key TYPE timestamp(3);
ALTER FOREIGN TABLE kt ALTER key TYPE timestamptz(0);
ALTER FOREIGN TABLE kv ALTER key TYPE varchar(5) COLLATE "POSIX";
SELECT * FROM kv WHERE key > 'a' ORDER BY key;
BEGIN;
TRUNCATE kv;
ALTER FOREIGN TABLE kv ALTER key TYPE varchar(4) COLLATE "C";
SELECT syncmap.put('kv', 'abcd', 1);
SELECT syncmap.put('kv', 'abcde', 1);
ROLLBACK;
SELECT syncmap.count('kv'), syncmap.put('kv', 'abcde', 1);
SELECT syncmap.clear('kv');
ALTER FOREIGN TABLE kv ALTER key TYPE varchar(4) COLLATE "C";
SELECT syncmap.put('kv', 'abcde', 1);

-- code of a user between two steps: a cast to the key's type may alter, clear, or drop the map
CREATE TYPE moody AS (what text);
CREATE FUNCTION meddle(m moody) RETURNS date LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (m).what;
	RETURN '2000-01-01';
END $$;
CREATE CAST (moody AS date) WITH FUNCTION meddle(moody) AS ASSIGNMENT;
SELECT syncmap.put('kd', '2000-01-01', 5), syncmap.get('kd', ROW('SELECT 1')::moody);
SELECT syncmap.get('kd', ROW('SELECT syncmap.clear(''kd'')')::moody), syncmap.count('kd');
SELECT syncmap.put('kd', ROW('SELECT syncmap.get(''kd'', ''2000-01-01'')')::moody, 6), syncmap.get('kd', '2000-01-01');
SELECT syncmap.put('kd', ROW('TRUNCATE kd; ALTER FOREIGN TABLE kd ALTER key TYPE timestamp')::moody, 6);
SELECT syncmap.get_many('kd', ARRAY[ROW('SELECT 1'), ROW('SELECT syncmap.clear(''kd'')'), ROW('SELECT 1')]::moody[]);
\set VERBOSITY sqlstate
SELECT syncmap.get('kd', ROW('DROP FOREIGN TABLE kd')::moody);
\set VERBOSITY terse
SELECT count(*) FROM syncmap.range('kd', ROW('TRUNCATE kd; ALTER FOREIGN TABLE kd ALTER key TYPE timestamp')::moody, ROW('SELECT 1')::moody);
INSERT INTO kd VALUES (ROW('SELECT syncmap.put(''kd'', ''2000-01-01'', 1)')::moody, 7);
INSERT INTO kd VALUES (ROW('SELECT syncmap.clear(''kd'')')::moody, 8) RETURNING *;
SELECT syncmap.count('kd');

-- a watch notes the key that the map has: rounded, padded, or cut where none can be there
CREATE TABLE source (k text, c char(9), at timestamp, v integer);
INSERT INTO source VALUES ('abc', 'abc', '2000-01-01 00:00:00.3', 1), ('abcdefgh', 'abcd', '2000-01-01 00:00:01.7', 2);
SELECT syncmap.create('wv', key_type => 'varchar(3)', value_type => 'integer', loader => 'SELECT sum(v) FROM public.source WHERE k = $1'),
	syncmap.create('wc', key_type => 'char(6)', value_type => 'integer', loader => 'SELECT v FROM public.source WHERE c = $1'),
	syncmap.create('wt', key_type => 'timestamp(0)', value_type => 'integer', loader => 'SELECT v FROM public.source WHERE at::timestamp(0) = $1');
SELECT syncmap.watch('wv', 'source', 'k'), syncmap.watch('wc', 'source', 'c'), syncmap.watch('wt', 'source', 'at');
SELECT syncmap.fetch('wv', 'abc'), syncmap.fetch('wc', 'abc'), syncmap.fetch('wc', 'abcd  '), syncmap.fetch('wt', '2000-01-01 00:00:00.2'), syncmap.fetch('wt', timestamp '2000-01-01 00:00:02');
SELECT syncmap.fetch_many('wc', '{abc,"abc ",abcd}'), syncmap.fetch_query('wt', '2000-01-02 00:00:00.4'::timestamp, NULL::integer, 'SELECT extract(second FROM $1)::integer + 7');
UPDATE source SET v = v + 10;
SELECT syncmap.contains('wv', 'abc'), syncmap.contains('wc', 'abc'), syncmap.contains('wc', 'abcd'), syncmap.contains('wt', '2000-01-01 00:00:00'), syncmap.contains('wt', '2000-01-01 00:00:02'), syncmap.contains('wt', '2000-01-02');
SELECT syncmap.fetch('wv', 'abc'), syncmap.fetch('wc', 'abc'), syncmap.fetch('wc', 'abcd  '), syncmap.fetch('wt', '2000-01-01 00:00:00.2'), syncmap.fetch('wt', '2000-01-01 00:00:02');
UPDATE source SET k = 'abc        ' WHERE k = 'abcdefgh';
SELECT syncmap.contains('wv', 'abc'), syncmap.fetch('wv', 'abc');
SELECT syncmap.watch('wt', 'source', 'c');
SELECT syncmap.create('wz', key_type => 'timestamptz');
SELECT syncmap.watch('wz', 'source', 'at');
DROP TABLE source CASCADE;
DROP FOREIGN TABLE wv, wc, wt, wz;

-- ANALYZE, COPY, a partition
ANALYZE kc;
SELECT attname, avg_width, n_distinct FROM pg_stats WHERE tablename = 'kc' ORDER BY attname;
COPY (SELECT * FROM kc WHERE key > 'a' ORDER BY key) TO STDOUT;
CREATE TABLE parts (key char(4) COLLATE "C", value integer) PARTITION BY LIST (key);
CREATE FOREIGN TABLE part1 PARTITION OF parts FOR VALUES IN ('a', 'b') SERVER syncmap OPTIONS (ordered 'true');
CREATE TABLE part2 PARTITION OF parts DEFAULT;
INSERT INTO parts VALUES ('a', 1), ('b ', 2), ('c', 3);
SELECT tableoid::regclass, '<' || key || '>' AS key, value FROM parts ORDER BY parts.key;
SELECT plan($$SELECT * FROM parts WHERE key = 'b'$$);
SELECT value FROM parts WHERE key = 'b  ';
DROP TABLE parts;

-- rows of several columns
CREATE FOREIGN TABLE row_char (n integer, id char(4) OPTIONS (key 'true') COLLATE "C", until timestamp(0) OPTIONS (expires 'true'), v varchar(3)) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO row_char VALUES (1, 'a', NULL, 'x'), (2, 'b  ', 'infinity', NULL), (3, 'b', NULL, 'y') ON CONFLICT DO NOTHING RETURNING n, '<' || id || '>' AS id, octet_length(id);
SELECT syncmap.get('row_char', 'a  '), (syncmap.get('row_char', 'a'::char(9), NULL::row_char)).n;
SELECT syncmap.put('row_char', 'c   ', '(5,"c ",,z)'), syncmap.put('row_char', 'd', ROW(6, 'd', NULL, 'q')::row_char), syncmap.put('row_char', 'c', ROW(7, 'd', NULL, 'q')::row_char);
SELECT plan($$SELECT * FROM row_char WHERE id LIKE 'b%' ORDER BY id$$);
UPDATE row_char SET n = n + 10 WHERE id = 'b    ' RETURNING n, v, id;
SELECT n, key FROM row_char JOIN syncmap.range('row_char', 'a', 'c') ON key = id;
ALTER FOREIGN TABLE row_char ALTER id TYPE char(5) COLLATE "C";
CREATE FOREIGN TABLE row_day (day date, hits smallint, misses bigint) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO row_day SELECT date '2026-01-01' + i, i, i * 2 FROM generate_series(0, 40) i;
SELECT plan($$SELECT * FROM row_day WHERE day >= '2026-02-01' ORDER BY day DESC LIMIT 2$$);
SELECT * FROM row_day WHERE day >= '2026-02-01' ORDER BY day DESC LIMIT 2;
UPDATE row_day SET hits = hits + 1 WHERE day = '2026-02-10' RETURNING *;
DROP FOREIGN TABLE row_char, row_day;

DROP FOREIGN TABLE kv, kc, ks, kz, kt, kd, ku, kb, k1, kx, kw;
DROP TABLE tkv, tkc, tks, tkz, tkt, tkd;
DROP DOMAIN label;
DROP TYPE moody CASCADE;
DROP FUNCTION plan, found;
