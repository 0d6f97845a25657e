-- Keys that never expire, in a map whose keys do unless it is said otherwise: they stay so
-- when they are read as rows and stored again.
\pset format unaligned
\pset tuples_only on
SELECT syncmap.create('d', ttl => '1 day', expires_at => true), syncmap.create('n', expires_at => true), syncmap.create('p', ttl => '1 day');

-- What an expiry is: within a day from about now, by the clock.
CREATE FUNCTION said(t timestamptz) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN t IS NULL THEN 'null' WHEN t IN ('infinity', '-infinity') THEN t::text
		WHEN t BETWEEN clock_timestamp() + interval '23:59' AND clock_timestamp() + interval '1 day' THEN 'a day'
		WHEN t BETWEEN clock_timestamp() + interval '59 min' AND clock_timestamp() + interval '1 hour' THEN 'an hour' ELSE 'another time' END $$;

-- made permanent, or stored so
SELECT syncmap.put('d', 'put', 'v'), syncmap.put('d', 'expire', 'v'), syncmap.put('d', 'hour', 'v', '1 hour');
SELECT syncmap.expire('d', 'expire', NULL), syncmap.ttl('d', 'expire');
INSERT INTO d VALUES ('insert', 'v', 'infinity');
SELECT key, value, said(expires_at) FROM d ORDER BY key;
SELECT key, syncmap.ttl('d', key) IS NULL AS never FROM d WHERE expires_at = 'infinity' ORDER BY key;
SELECT count(*) FROM d WHERE expires_at IS NULL;
SELECT said(expires_at) FROM d WHERE key = 'expire';
SELECT key FROM d WHERE expires_at > now() + interval '2 days' ORDER BY key;
SELECT said((d).expires_at) FROM d WHERE key = 'insert';

-- what RETURNING gives is what was stored
INSERT INTO d (key, value) VALUES ('returned', 'v') RETURNING key, said(expires_at);
INSERT INTO d VALUES ('null', 'v', NULL) RETURNING key, said(expires_at), syncmap.ttl('d', key) > '23:59';
INSERT INTO d VALUES ('forever', 'v', 'infinity') RETURNING key, said(expires_at), syncmap.ttl('d', key);
INSERT INTO d VALUES ('an hour', 'v', now() + interval '1 hour') RETURNING key, expires_at = now() + interval '1 hour';
INSERT INTO d (key, value) VALUES ('a', '1'), ('b', '2'), ('put', '3') ON CONFLICT DO NOTHING RETURNING key, said(expires_at);
CREATE TEMP TABLE returned (key text, value text, expires_at timestamptz);
WITH new AS (INSERT INTO d (key, value) SELECT 'c' || i, 'v' FROM generate_series(1, 3) i RETURNING *) INSERT INTO returned SELECT * FROM new;
SELECT count(*), min(said(returned.expires_at)), bool_and(returned.expires_at = d.expires_at) FROM returned JOIN d USING (key);
DROP TABLE returned;
-- an UPDATE that does not set it leaves it as it is
UPDATE d SET value = 'w' WHERE key IN ('expire', 'insert', 'hour', 'put') RETURNING key, said(expires_at);
UPDATE d SET value = value || 'x' WHERE key IN ('expire', 'hour') RETURNING key, value, said(expires_at);
UPDATE d SET key = 'moved' WHERE key = 'insert' RETURNING key, said(expires_at);
UPDATE d SET expires_at = 'infinity' WHERE key = 'hour' RETURNING key, said(expires_at), syncmap.ttl('d', key);
SELECT key, value, said(expires_at) FROM d WHERE key IN ('expire', 'moved', 'hour', 'put') ORDER BY key;

-- from map to map, and through a file
CREATE FOREIGN TABLE d2 (key text COLLATE "C", value text, expires_at timestamptz) SERVER syncmap OPTIONS (ttl '1 day');
INSERT INTO d2 SELECT * FROM d WHERE key IN ('expire', 'moved', 'put');
SELECT key, said(expires_at), syncmap.ttl('d2', key) IS NULL AS never FROM d2 ORDER BY key;
SELECT count(*) FROM d JOIN d2 USING (key, value, expires_at);
CREATE TABLE kept AS SELECT * FROM d2;
TRUNCATE d2;
INSERT INTO d2 SELECT * FROM kept;
SELECT count(*) FROM kept JOIN d2 USING (key, value, expires_at);
COPY (SELECT * FROM d2 WHERE key = 'expire') TO STDOUT;
COPY d2 FROM STDIN;
copied	v	infinity
null	v	\N
\.
SELECT key, said(expires_at) FROM d2 WHERE key IN ('copied', 'null') ORDER BY key;
WITH gone AS (DELETE FROM d2 WHERE expires_at = 'infinity' RETURNING *) SELECT key, said(expires_at) FROM gone ORDER BY key;

-- a map without a time to live of its own: null is never, as before
SELECT syncmap.put('n', 'put', 'v'), syncmap.put('n', 'expire', 'v', '1 hour'), syncmap.expire('n', 'expire', NULL);
INSERT INTO n VALUES ('infinity', 'v', 'infinity'), ('null', 'v', NULL);
INSERT INTO n (key, value) VALUES ('default', 'v');
INSERT INTO n SELECT key || 2, value, expires_at FROM d WHERE key IN ('expire', 'put');
SELECT key, said(expires_at), syncmap.ttl('n', key) IS NULL AS never FROM n ORDER BY key;
INSERT INTO d SELECT 'from n', value, coalesce(expires_at, 'infinity') FROM n WHERE key = 'put' RETURNING said(expires_at);
-- what it says follows the option
ALTER FOREIGN TABLE n OPTIONS (ADD ttl '1 day');
SELECT key, said(expires_at) FROM n WHERE key IN ('put', 'put2') ORDER BY key;
ALTER FOREIGN TABLE n OPTIONS (DROP ttl);
SELECT key, said(expires_at) FROM n WHERE key IN ('put', 'put2') ORDER BY key;

-- a map without the column
INSERT INTO p VALUES ('k', 'v');
SELECT syncmap.ttl('p', 'k') > '23:59', syncmap.expire('p', 'k', NULL), syncmap.ttl('p', 'k');

DROP FOREIGN TABLE d, d2, n, p;
DROP TABLE kept;
DROP FUNCTION said;
