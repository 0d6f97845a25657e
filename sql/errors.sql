-- Every error, with its SQLSTATE, message, and hint.  Nothing is changed by a
-- call that fails.
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE command INTO result;
	RETURN 'worked: ' || coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, nullif('DETAIL ' || detail, 'DETAIL '), nullif('HINT ' || hint, 'HINT '));
END $$;
\pset format unaligned
\pset tuples_only on

SELECT syncmap.create('m');
SELECT syncmap.put('m', 'k', 'v');

-- NULL is absence
SELECT attempt($$SELECT syncmap.put('m', NULL, 'v')$$);
SELECT attempt($$SELECT syncmap.put('m', 'k', NULL)$$);
SELECT attempt($$SELECT syncmap.put(NULL, 'k', 'v')$$);
SELECT attempt($$SELECT syncmap.get_or_put('m', 'k', NULL)$$);
SELECT attempt($$SELECT syncmap.swap('m', NULL, 'v')$$);
SELECT attempt($$SELECT syncmap.compare_and_swap('m', 'k', 'v', NULL)$$);
SELECT attempt($$SELECT syncmap.increment('m', NULL)$$);
SELECT attempt($$SELECT syncmap.increment('m', 'k', NULL)$$);
SELECT attempt($$SELECT syncmap.put_many('m', ARRAY['new', NULL], ARRAY['1', '2'])$$);
SELECT attempt($$SELECT syncmap.put_many('m', ARRAY['new', 'newer'], ARRAY['1', NULL])$$);
SELECT syncmap.count('m');

-- arrays
SELECT attempt($$SELECT syncmap.put_many('m', ARRAY['a', 'b'], ARRAY['1'])$$);
SELECT attempt($$SELECT syncmap.put_many('m', ARRAY[['a'], ['b']], ARRAY['1', '2'])$$);
SELECT attempt($$SELECT syncmap.get_many('m', ARRAY[['a'], ['b']])$$);
SELECT attempt($$SELECT syncmap.delete_many('m', ARRAY[['a'], ['b']])$$);

-- increment
SELECT attempt($$SELECT syncmap.increment('m', 'k')$$);
SELECT syncmap.put_many('m', ARRAY['empty', 'float', 'two', 'max', 'min', 'beyond'],
	   ARRAY['', '1.5', '1 2', '9223372036854775807', '-9223372036854775808', '9223372036854775808']);
SELECT attempt($$SELECT syncmap.increment('m', 'empty')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'float')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'two')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'beyond')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'max')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'min', -1)$$);
SELECT attempt($$SELECT syncmap.increment('m', 'max', -9223372036854775808)$$);
SELECT syncmap.get_many('m', ARRAY['k', 'empty', 'float', 'two', 'max', 'min']);

-- keys that are too long cannot be stored, so none is there
SELECT attempt($$SELECT syncmap.put('m', repeat('x', 2048), 'fits')$$);
SELECT attempt($$SELECT syncmap.put('m', repeat('x', 2049), 'v')$$);
SELECT attempt($$SELECT syncmap.increment('m', repeat('x', 2049))$$);
SELECT attempt($$SELECT syncmap.get('m', repeat('x', 2049))$$);
SELECT attempt($$SELECT syncmap.contains('m', repeat('x', 2049))$$);
SELECT attempt($$SELECT syncmap.delete('m', repeat('x', 2049))$$);
SELECT attempt($$SELECT syncmap.get_many('m', ARRAY[repeat('x', 2048), repeat('x', 2049)])$$);

-- what is no map
CREATE TABLE tab (key text, value text);
CREATE VIEW vw AS SELECT * FROM tab;
SELECT attempt($$SELECT syncmap.get('tab', 'k')$$);
SELECT attempt($$SELECT syncmap.put('vw', 'k', 'v')$$);
SELECT attempt($$SELECT syncmap.count('pg_class')$$);
SELECT attempt($$SELECT syncmap.range('tab')$$);
SELECT attempt($$SELECT syncmap.drop('tab')$$);
SELECT attempt($$SELECT syncmap.get('nowhere', 'k')$$);
SELECT attempt($$SELECT syncmap.get(4294967295::oid, 'k')$$);
SELECT to_regclass('tab');

-- a map's columns, at creation and when they are altered
SELECT attempt($$CREATE FOREIGN TABLE wrong () SERVER syncmap$$);
SELECT attempt($$CREATE FOREIGN TABLE wrong (key numeric, value integer) SERVER syncmap$$);
SELECT attempt($$CREATE FOREIGN TABLE wrong (key name, value integer) SERVER syncmap$$);
SELECT attempt($$CREATE FOREIGN TABLE wrong (key text, value text CHECK (value <> '')) SERVER syncmap$$);
SELECT attempt($$CREATE FOREIGN TABLE wrong (key text, value text GENERATED ALWAYS AS (key) STORED) SERVER syncmap$$);
SELECT attempt($$SELECT syncmap.create('wrong', key_type => 'numeric')$$);
SELECT attempt($$SELECT syncmap.create('wrong', value_type => 'text) SERVER syncmap; DROP TABLE tab; --')$$);
SELECT attempt($$SELECT syncmap.create('wrong', value_type => 'nonesuch')$$);
SELECT to_regclass('wrong');
SELECT attempt($$ALTER FOREIGN TABLE m ADD more text$$);
SELECT attempt($$ALTER FOREIGN TABLE m DROP value$$);
SELECT attempt($$ALTER FOREIGN TABLE m ADD CHECK (value <> '')$$);
SELECT attempt($$ALTER TABLE m ALTER value TYPE integer$$);
SELECT attempt($$SELECT syncmap.get('m', 'k')$$);

-- options
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (max_memory '1 mb')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (max_memory '63kB')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (eviction 'lru')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (ttl 'soon')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (ttl '0 s')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (ttl '300000 years')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (size '1MB')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (shards '3')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (shards '128')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (promote_ratio '101')$$);
SELECT attempt($$CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (promote_ratio 'x')$$);
SELECT attempt($$ALTER FOREIGN TABLE m OPTIONS (ADD shards '0')$$);
SELECT attempt($$ALTER SERVER syncmap OPTIONS (ADD max_memory '1MB')$$);
SELECT attempt($$SELECT syncmap.create('o', max_memory => 'much')$$);
SELECT attempt($$ALTER FOREIGN TABLE m OPTIONS (ADD ttl '-1 s')$$);

-- time to live
SELECT attempt($$SELECT syncmap.put('m', 'k', 'x', '0')$$);
SELECT attempt($$SELECT syncmap.put('m', 'k', 'x', '-1 s')$$);
SELECT attempt($$SELECT syncmap.put('m', 'k', 'x', '300000 years')$$);
SELECT attempt($$SELECT syncmap.put('m', 'new', 'x', ttl => '1 month -32 days')$$);
SELECT attempt($$SELECT syncmap.get_or_put('m', 'new', 'x', '0')$$);
SELECT attempt($$SELECT syncmap.swap('m', 'k', 'x', '0')$$);
SELECT attempt($$SELECT syncmap.compare_and_swap('m', 'k', 'v', 'x', '0')$$);
SELECT attempt($$SELECT syncmap.increment('m', 'new', 1, '0')$$);
SELECT attempt($$SELECT syncmap.put_many('m', '{new}', '{x}', '0')$$);
SELECT attempt($$SELECT syncmap.expire('m', 'k', '0')$$);
SELECT attempt($$SELECT syncmap.expire('m', NULL, '1 s')$$);
SELECT syncmap.get('m', 'k'), syncmap.ttl('m', 'k'), syncmap.count('m');

-- names
SELECT attempt($$SELECT syncmap.create('m')$$);
SELECT attempt($$SELECT syncmap.create(NULL)$$);
SELECT attempt($$SELECT syncmap.create('')$$);
SELECT attempt($$SELECT syncmap.create('nowhere.m')$$);
SELECT attempt($$SELECT syncmap.create('x (key text, value text) SERVER syncmap; DROP TABLE tab; --')$$);
SELECT attempt($$SELECT syncmap.create('"x""; DROP TABLE tab; --"')$$);
SELECT attempt($$SELECT syncmap.put('"x""; DROP TABLE tab; --"', 'k', 'v')$$);
SELECT attempt($$SELECT syncmap.drop('"x""; DROP TABLE tab; --"')$$);
SELECT to_regclass('tab');

-- nothing was lost on the way
SELECT syncmap.get('m', 'k');
SELECT syncmap.drop('m');
DROP VIEW vw;
DROP TABLE tab;
