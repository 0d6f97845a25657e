-- Keys and values of all sizes.
SELECT syncmap.create('m');

-- a key of 1 KB, and the longest
SELECT syncmap.put('m', repeat('k', 1024), 'one'), syncmap.put('m', repeat('k', 2048), 'two');
SELECT syncmap.get('m', repeat('k', 1024)), syncmap.get('m', repeat('k', 2048)), syncmap.get('m', repeat('k', 1023));

-- values from 0 bytes to 30 MB, each replaced by a shorter and a longer one
CREATE TEMP TABLE size AS SELECT unnest(ARRAY[0, 1, 7, 8, 9, 1000, 1024, 1025, 4000, 8000, 16000,
	16384, 16385, 65528, 65529, 100000, 1048576, 31457280]) AS n;
CREATE FUNCTION filler(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT left(repeat(md5(n::text), n / 32 + 1), n)$$;
CREATE FUNCTION comes_back(n int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM syncmap.put('m', 'size', filler(n));
	RETURN syncmap.get('m', 'size') = filler(n);
END $$;
SELECT n, comes_back(n) FROM (SELECT n FROM size ORDER BY n OFFSET 0) s;
SELECT n, comes_back(n) FROM (SELECT n FROM size ORDER BY n DESC OFFSET 0) s;
SELECT n, syncmap.put('m', 'size' || n, filler(n)) AS new FROM size WHERE n <= 1048576 ORDER BY n;
SELECT bool_and(syncmap.get('m', 'size' || n) = filler(n)) FROM size WHERE n <= 1048576;
SELECT count(*), bool_and(value = filler(substr(key, 5)::int)) FROM syncmap.range('m') WHERE key ~ '^size\d';

-- the other functions on large values
SELECT syncmap.swap('m', 'size1048576', filler(100000)) = filler(1048576);
SELECT syncmap.compare_and_swap('m', 'size1048576', filler(99999), 'no'),
	   syncmap.compare_and_swap('m', 'size1048576', filler(100000), filler(65529)),
	   syncmap.compare_and_delete('m', 'size65529', left(filler(65529), 65528) || '!');
SELECT actual = filler(65529), loaded FROM syncmap.get_or_put('m', 'size1048576', filler(31457280));
SELECT syncmap.get_and_delete('m', 'size1048576') = filler(65529);
SELECT syncmap.compare_and_delete('m', 'size65529', filler(65529)), syncmap.contains('m', 'size65529');
SELECT syncmap.get_many('m', ARRAY['size65528', 'size65529']) = ARRAY[filler(65528), NULL];

-- values that were compressed or stored out of line are stored whole
CREATE TEMP TABLE toasted (v text);
INSERT INTO toasted VALUES (repeat('compressible ', 100000));
ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
INSERT INTO toasted VALUES (repeat('external ', 100000));
SELECT syncmap.put('m', left(v, 5), v) FROM toasted;
SELECT syncmap.get('m', left(v, 5)) = v FROM toasted;

-- 30 MB in and out, many times over: no memory is lost
DO $$
BEGIN
	FOR i IN 1..5 LOOP
		PERFORM syncmap.put('m', 'big', filler(31457280 - i));
		PERFORM syncmap.delete('m', 'big');
	END LOOP;
END $$;

-- a full arena without eviction: a put fails with 53200, and the value before stays (M2)
ALTER FOREIGN TABLE m OPTIONS (ADD eviction 'none');
SELECT syncmap.clear('m');
CREATE FUNCTION fill(size int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint := 0;
BEGIN
	LOOP
		PERFORM syncmap.put('m', 'fill' || n, filler(size));
		n := n + 1;
	END LOOP;
EXCEPTION WHEN out_of_memory THEN
	RETURN n;
END $$;
SELECT fill(1000000) BETWEEN 55 AND 67 AS about_64_mb;
SELECT count(*), bool_and(value = filler(1000000)) FROM syncmap.range('m');
\set VERBOSITY terse
SELECT syncmap.put('m', 'fill0', filler(31457280));
SELECT syncmap.put('m', 'new', filler(31457280));
SELECT syncmap.swap('m', 'fill0', filler(31457280));
\set VERBOSITY default
SELECT syncmap.get('m', 'fill0') = filler(1000000), syncmap.contains('m', 'new');
-- what is deleted can be used again, also by small values and other maps
SELECT count(syncmap.delete('m', 'fill' || n)) FROM generate_series(0, 39) n;
SELECT syncmap.put('m', 'new', filler(31457280));
SELECT syncmap.clear('m');
SELECT fill(50) > 200000 AS many;
SELECT count(*) = syncmap.count('m') AS all_there, bool_and(value = filler(50)) FROM syncmap.range('m');
SELECT count(*) > 100000 AS many FROM generate_series(0, 500000, 2) n WHERE syncmap.delete('m', 'fill' || n);
SELECT syncmap.create('m2');
SELECT sum(syncmap.put('m2', 'k' || n, filler(50))::int) FROM generate_series(1, 50000) n;
SELECT count(*) = syncmap.count('m') AS all_there, bool_and(value = filler(50)) FROM syncmap.range('m');
SELECT syncmap.drop('m'), syncmap.drop('m2');
