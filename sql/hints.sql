-- Hints that say what to do.
SELECT syncmap.create('m'), syncmap.create('n', key_type => 'bigint', value_type => 'jsonb');
SELECT syncmap.put('m', 'k', 'v'), syncmap.put('n', 1, '{}'::jsonb);

-- the type of a result
SELECT syncmap.get('m', 'k', 1);
SELECT syncmap.get_many('m', ARRAY['k'], 1);
SELECT syncmap.get_and_delete('m', 'k', NULL::jsonb);
SELECT syncmap.get('n', 1, 1);
SELECT syncmap.get('m', 'k', 'as text'::text), syncmap.get('n', 1);

-- a size: from 64 kB to as many kilobytes as an integer counts
CREATE FUNCTION names(value text, bound text) RETURNS TABLE (state text, named boolean) LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE big (key text, value text) SERVER syncmap OPTIONS (max_memory %L)', value);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN QUERY SELECT SQLSTATE, hint ~ ('\m' || bound);
END $$;
SELECT v, n.* FROM (VALUES ('999TB', '(2147483647 ?kB|2097151 ?MB|2047 ?GB|2 ?TB)'), ('2147483648kB', '(2147483647 ?kB|2097151 ?MB|2047 ?GB|2 ?TB)'), ('63kB', '64 ?kB')) b (v, bound), names(v, bound) n;
ALTER FOREIGN TABLE m OPTIONS (ADD max_memory '2147483647kB');
SELECT max_memory FROM syncmap.stat_map WHERE relname = 'm' AND syncmap.count('m') > 0;

-- no warning about the order of keys, in a database whose collation is C
CREATE FOREIGN TABLE o (key text, value text) SERVER syncmap OPTIONS (ordered 'true');
CREATE FOREIGN TABLE p (key text COLLATE "C", value text) SERVER syncmap OPTIONS (ordered 'true');
CREATE FOREIGN TABLE q (key bigint, value text) SERVER syncmap OPTIONS (ordered 'true');
SELECT syncmap.create('r', ordered => true);

DROP FOREIGN TABLE m, n, o, p, q, r;
DROP FUNCTION names;
