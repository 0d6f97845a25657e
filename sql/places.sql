-- A map takes its place in shared memory with the first key that is stored: whoever looks
-- at one that nobody has written, or is refused, leaves nothing behind.
\pset format unaligned
\pset tuples_only on
CREATE ROLE syncmap_nobody;
GRANT USAGE ON SCHEMA public TO syncmap_nobody;
CREATE FOREIGN TABLE e (key text COLLATE "C", value text, expires_at timestamptz) SERVER syncmap;
CREATE FOREIGN TABLE o (key bigint, value jsonb) SERVER syncmap OPTIONS (ordered 'true', consistent 'true', ttl '1 h', max_memory '1MB', shards '4');
CREATE VIEW w AS SELECT * FROM e;
GRANT SELECT ON w TO syncmap_nobody;
CREATE FUNCTION places() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '-') FROM syncmap.stat_map WHERE relname IN ('e', 'o') $$;
-- What a command gives.
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	rows bigint;
BEGIN
	BEGIN
		IF command ~ '^(SELECT|EXPLAIN)|RETURNING' THEN
			EXECUTE command INTO result;
		ELSE
			EXECUTE command;
		END IF;
		GET DIAGNOSTICS rows = ROW_COUNT;
		result := CASE WHEN command ~ 'EXPLAIN' THEN 'a plan' ELSE coalesce(result, 'NULL') || ', ' || rows || ' rows' END;
	EXCEPTION WHEN OTHERS THEN
		result := SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN command || ': ' || result;
END $$;

-- what reads, and what removes or changes what is not there
SELECT try(c) || ': ' || places() FROM unnest(ARRAY[
	$$SELECT syncmap.get('e', 'k')$$, $$SELECT syncmap.get('o', 1, NULL::jsonb)$$, $$SELECT syncmap.contains('e', 'k')$$, $$SELECT syncmap.count('e')$$,
	$$SELECT syncmap.ttl('o', 1)$$, $$SELECT syncmap.get_many('e', '{a,b}')$$, $$SELECT syncmap.get_many('o', '{1,2}'::int[], NULL::jsonb)$$,
	$$SELECT * FROM syncmap.range('e')$$, $$SELECT * FROM syncmap.range('e', 'a', 'z', consistent => true)$$, $$SELECT * FROM syncmap.range('o', 1, 5)$$,
	$$SELECT * FROM syncmap.range('o', descending => true, consistent => true)$$, $$SELECT syncmap.delete('e', 'k')$$, $$SELECT syncmap.delete('o', 1)$$,
	$$SELECT syncmap.delete_many('e', '{a,b}')$$, $$SELECT syncmap.delete_range('o', 1, 5)$$, $$SELECT syncmap.delete_range('e', prefix => 'a')$$,
	$$SELECT syncmap.get_and_delete('e', 'k')$$, $$SELECT syncmap.compare_and_swap('e', 'k', 'a', 'b')$$, $$SELECT syncmap.compare_and_swap('o', 1, '1'::jsonb, '2'::jsonb)$$,
	$$SELECT syncmap.compare_and_delete('e', 'k', 'a')$$, $$SELECT syncmap.expire('e', 'k', '1 h')$$, $$SELECT syncmap.expire('o', 1, NULL)$$,
	$$SELECT syncmap.clear('e')$$, $$SELECT syncmap.clear('o')$$]) c;
SELECT try(c) || ': ' || places() FROM unnest(ARRAY[
	$$SELECT * FROM e$$, $$SELECT * FROM o$$, $$SELECT count(*) FROM e$$, $$SELECT * FROM e WHERE key = 'k'$$, $$SELECT * FROM e WHERE key IN ('a', 'b')$$,
	$$SELECT * FROM o WHERE key > 1 ORDER BY key LIMIT 5$$, $$SELECT * FROM e WHERE expires_at IS NULL$$, $$SELECT e.* FROM generate_series(1, 3) i JOIN e ON e.key = i::text$$,
	$$SELECT * FROM w$$, $$EXPLAIN SELECT * FROM e$$, $$EXPLAIN SELECT * FROM o WHERE key = 1$$, $$EXPLAIN ANALYZE SELECT * FROM o ORDER BY key$$,
	$$EXPLAIN INSERT INTO e VALUES ('k', 'v')$$, $$EXPLAIN UPDATE e SET value = 'v'$$, $$EXPLAIN DELETE FROM o$$,
	$$UPDATE e SET value = 'v'$$, $$UPDATE e SET value = 'v' WHERE key = 'k' RETURNING *$$, $$UPDATE o SET key = key + 1$$, $$UPDATE w SET value = value || 'v'$$,
	$$DELETE FROM e$$, $$DELETE FROM o WHERE key = 1 RETURNING *$$, $$DELETE FROM o WHERE key > 1$$, $$TRUNCATE e, o$$]) c;
ANALYZE e;
ANALYZE o;
COPY (SELECT * FROM e) TO STDOUT;
SELECT places();
PREPARE g AS SELECT syncmap.get('e', 'k'), value FROM e WHERE key = 'k';
EXECUTE g;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM o ORDER BY key;
FETCH ALL FROM c;
COMMIT;
SELECT places();
-- nor does what is said of it
ALTER FOREIGN TABLE o OPTIONS (SET shards '8', SET max_memory '2MB');
ALTER FOREIGN TABLE o ALTER value TYPE text;
ALTER FOREIGN TABLE o ALTER value TYPE jsonb;
COMMENT ON FOREIGN TABLE e IS 'empty';
SELECT places();

-- what is refused
SET ROLE syncmap_nobody;
SELECT try(c) FROM unnest(ARRAY[
	$$SELECT * FROM e$$, $$SELECT key FROM o WHERE key = 1$$, $$EXPLAIN SELECT * FROM e$$, $$EXPLAIN SELECT * FROM o WHERE key > 1 ORDER BY key$$, $$EXPLAIN DELETE FROM e$$,
	$$SELECT syncmap.get('e', 'k')$$, $$SELECT syncmap.count('o')$$, $$SELECT * FROM syncmap.range('e')$$, $$SELECT * FROM syncmap.range('o', 1, 2, consistent => true)$$,
	$$SELECT syncmap.put('e', 'k', 'v')$$, $$SELECT syncmap.put_many('e', '{a,b}', '{1,2}')$$, $$SELECT syncmap.get_or_put('o', 1, '{}'::jsonb)$$,
	$$SELECT syncmap.increment('e', 'n')$$, $$SELECT syncmap.delete('e', 'k')$$, $$SELECT syncmap.clear('e')$$, $$SELECT syncmap.delete_range('e')$$,
	$$INSERT INTO e VALUES ('k', 'v')$$, $$UPDATE e SET value = 'v'$$, $$DELETE FROM o WHERE key = 1$$, $$TRUNCATE e$$]) c;
COPY (SELECT * FROM e) TO STDOUT;
SELECT * FROM w;
RESET ROLE;
SELECT places();
-- what stores
SELECT syncmap.put('e', 'k', 'v'), places();
INSERT INTO o VALUES (1, '{}');
SELECT places();
-- in a map that was emptied, and in one that was looked at before by the same call
SELECT syncmap.clear('e'), syncmap.count('e');
SELECT * FROM (VALUES (1), (2), (3)) v(i), LATERAL (SELECT syncmap.get('e', 'n') AS before, syncmap.increment('e', 'n') AS after WHERE i > 0) s;
EXECUTE g;
SELECT * FROM w;

-- a creation that is rolled back, a drop: nothing is left
BEGIN;
SELECT syncmap.create('p');
SELECT syncmap.get('p', 'k');
ROLLBACK;
SELECT count(*) FROM syncmap.stat_map WHERE relname IN ('p', 'e', 'o');
DROP VIEW w;
DROP FOREIGN TABLE e, o;
SELECT count(*) FROM syncmap.stat_map WHERE relname IN ('p', 'e', 'o');
DEALLOCATE g;
DROP FUNCTION places, try;
REVOKE ALL ON SCHEMA public FROM syncmap_nobody;
DROP ROLE syncmap_nobody;
