-- A read-only transaction changes no map, but for temporary ones, as it sets no sequence
-- but temporary ones.
\pset format unaligned
\pset tuples_only on
SELECT syncmap.create('m'), syncmap.create('n', key_type => 'bigint', value_type => 'bigint', ordered => true, expires_at => true);
SELECT syncmap.put('m', 'k', '1', '1 hour'), syncmap.put('n', 1::bigint, 1::bigint);
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE command INTO result;
	RETURN command || ': worked, ' || coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	RETURN command || ': ' || SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION writes(m text, key text, value text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT replace(replace(replace(c, '''m''', quote_literal(m)), 'K', key), 'V', value) FROM unnest(ARRAY[
		'SELECT syncmap.put(''m'', K, V)', 'SELECT syncmap.put(''m'', K, V, ttl => ''1 h'')',
		'SELECT syncmap.get_or_put(''m'', K, V)', 'SELECT syncmap.swap(''m'', K, V)',
		'SELECT syncmap.compare_and_swap(''m'', K, V, V)', 'SELECT syncmap.increment(''m'', K)',
		'SELECT syncmap.put_many(''m'', ARRAY[K], ARRAY[V])', 'SELECT syncmap.expire(''m'', K, ''1 h'')', 'SELECT syncmap.expire(''m'', K, NULL)',
		'SELECT syncmap.compare_and_delete(''m'', K, V)', 'SELECT syncmap.get_and_delete(''m'', K)', 'SELECT syncmap.delete(''m'', K)',
		'SELECT syncmap.delete_many(''m'', ARRAY[K])', 'SELECT syncmap.delete_range(''m'')', 'SELECT syncmap.delete_range(''m'', K)', 'SELECT syncmap.clear(''m'')']) c $$;
CREATE FUNCTION reads(m text, key text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT replace(replace(c, '''m''', quote_literal(m)), 'K', key) FROM unnest(ARRAY[
		'SELECT syncmap.get(''m'', K)', 'SELECT syncmap.contains(''m'', K)', 'SELECT syncmap.ttl(''m'', K) > ''59 min''', 'SELECT syncmap.count(''m'')',
		'SELECT syncmap.get_many(''m'', ARRAY[K])', 'SELECT r FROM syncmap.range(''m'') r', 'SELECT r FROM syncmap.range(''m'', K, consistent => true) r']) c $$;

BEGIN READ ONLY;
SELECT try(c) FROM writes('m', quote_literal('k'), quote_literal('1')) c;
SELECT try(c) FROM writes('n', '1::bigint', '2::bigint') c WHERE c !~ 'put\(.*ttl|NULL';
SELECT try(c) FROM reads('m', quote_literal('k')) c;
SELECT try(c) FROM reads('n', '1::bigint') c;
SELECT * FROM m;
SELECT key, value FROM n WHERE key = 1;
-- what PostgreSQL refuses
SELECT try(c) FROM unnest(ARRAY['INSERT INTO m VALUES (''a'', ''b'') RETURNING key', 'UPDATE m SET value = ''2'' RETURNING key', 'DELETE FROM m RETURNING key',
	'SELECT syncmap.create(''o'')', 'SELECT syncmap.drop(''m'')']) c;
COMMIT;

-- however it has become one
BEGIN;
SELECT syncmap.put('m', 'before', '1');
SAVEPOINT s;
SET TRANSACTION READ ONLY;
SELECT try($$SELECT syncmap.put('m', 'k', '2')$$);
ROLLBACK TO s;
SELECT try($$SELECT syncmap.put('m', 'k', '2')$$);
COMMIT;
SET default_transaction_read_only = on;
SELECT try($$SELECT syncmap.put('m', 'k', '3')$$);
SELECT try($$SELECT syncmap.delete('m', 'k')$$);
PREPARE p AS SELECT syncmap.increment('m', 'k');
EXECUTE p;
BEGIN READ WRITE;
EXECUTE p;
COMMIT;
EXECUTE p;
RESET default_transaction_read_only;
EXECUTE p;
-- in a function, and in a query without rows
CREATE FUNCTION puts(k text) RETURNS boolean LANGUAGE sql AS $$SELECT syncmap.put('m', k, 'by a function')$$;
BEGIN READ ONLY;
SELECT try($$SELECT puts('k')$$);
SELECT try($$SELECT syncmap.put('m', 'k', 'v') FROM m WHERE key = 'none'$$);
COMMIT;
SELECT * FROM m ORDER BY key;
SELECT key, value, expires_at FROM n;

-- temporary maps may be written
SELECT syncmap.create('pg_temp.t'), syncmap.create('pg_temp.u', key_type => 'bigint', value_type => 'bigint');
CREATE TEMP SEQUENCE s;
BEGIN READ ONLY;
SELECT nextval('s');
SELECT try(c) FROM writes('t', quote_literal('k'), quote_literal('1')) c;
SELECT try(c) FROM writes('u', '1::bigint', '1::bigint') c WHERE c !~ 'put\(.*ttl|NULL';
INSERT INTO t VALUES ('a', '1');
UPDATE t SET value = '2' WHERE key = 'a' RETURNING *;
SELECT * FROM t;
DELETE FROM t RETURNING key;
-- and beside one of others
SELECT try($$SELECT syncmap.put('t', 'k', 'v'), syncmap.put('m', 'k', 'v')$$);
SELECT m, try(format('SELECT syncmap.put(%L, ''k'', ''v'')', m)) FROM unnest('{t, m, t}'::text[]) m;
COMMIT;
SELECT syncmap.get('m', 'k');

DEALLOCATE p;
DROP SEQUENCE s;
DROP FOREIGN TABLE m, n, t, u;
DROP FUNCTION try, writes, reads, puts;
