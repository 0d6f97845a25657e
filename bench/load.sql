-- load.sql
--   Puts the pairs of one query into a map, an UNLOGGED table, and a logged one.
--
-- psql variables: name, and query, which yields (key text, value text).  The
-- map takes the name, the tables add _unlogged and _logged to it.

\set unlogged :name _unlogged
\set logged :name _logged

SELECT syncmap.create(:'name') AS map \gset
SELECT count(*) AS in_map FROM (:query) AS pairs
	WHERE syncmap.put(:'name', key, value) \gset

CREATE UNLOGGED TABLE :unlogged
	(key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
INSERT INTO :unlogged :query;
VACUUM ANALYZE :unlogged;

CREATE TABLE :logged
	(key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
INSERT INTO :logged :query;
VACUUM ANALYZE :logged;

-- One line for who called: how many pairs are where, and do they agree?
\pset tuples_only on
\pset format unaligned
\pset fieldsep ' '
SELECT syncmap.count(:'name'), (SELECT count(*) FROM :unlogged),
	(SELECT count(*) FROM :logged), :in_map,
	(SELECT count(*) FROM :unlogged
	 WHERE value IS DISTINCT FROM syncmap.get(:'name', key));
