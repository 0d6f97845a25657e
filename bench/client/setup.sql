-- setup.sql
--   What the scripts beside it use: a map, an UNLOGGED table, and a logged one, each with
--   100,000 keys and values of 96 bytes, a counter, and results of a costly query.

CREATE EXTENSION IF NOT EXISTS syncmap;

SELECT syncmap.create('pairs'), syncmap.create('counters'), syncmap.create('reports');
CREATE SCHEMA unlogged;
CREATE SCHEMA logged;
CREATE UNLOGGED TABLE unlogged.pairs (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE logged.pairs (LIKE unlogged.pairs INCLUDING ALL);
INSERT INTO unlogged.pairs SELECT i, repeat('x', 96) FROM generate_series(1, 100000) AS i;
INSERT INTO logged.pairs SELECT * FROM unlogged.pairs;
INSERT INTO pairs SELECT * FROM unlogged.pairs;

SELECT syncmap.put('counters', 'hits', '0');
CREATE UNLOGGED TABLE unlogged.counters (key text COLLATE "C" PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE logged.counters (LIKE unlogged.counters INCLUDING ALL);
INSERT INTO unlogged.counters VALUES ('hits', 0);
INSERT INTO logged.counters VALUES ('hits', 0);

-- the costly query: a customer's 1,000 orders, of 100,000, by product
CREATE TABLE orders AS SELECT i % 100 + 1 AS customer, i % 37 AS product, i % 1000 AS price
	FROM generate_series(1, 100000) AS i;
CREATE INDEX ON orders (customer);
CREATE FUNCTION report(wanted int) RETURNS text STABLE LANGUAGE sql AS $$
	SELECT string_agg(format('%s: %s', product, total), ', ' ORDER BY total DESC)
	FROM (SELECT product, sum(price) AS total FROM orders WHERE customer = wanted
		  GROUP BY product ORDER BY total DESC LIMIT 10) AS best
$$;
CREATE UNLOGGED TABLE unlogged.reports
	(key text COLLATE "C" PRIMARY KEY, value text NOT NULL, expires_at timestamptz NOT NULL);
CREATE FUNCTION remember(wanted int) RETURNS text LANGUAGE sql AS $$
	INSERT INTO unlogged.reports VALUES (wanted, report(wanted), now() + '10 s')
	ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
	RETURNING value
$$;
VACUUM ANALYZE;
