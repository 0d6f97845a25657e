/* src/syncmap--1.0.sql */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION syncmap" to load this file. \quit

-- Made here, so that a schema of that name which somebody else has prepared is
-- refused.  A map's own privileges decide who may use it.
CREATE SCHEMA syncmap;
GRANT USAGE ON SCHEMA syncmap TO PUBLIC;

-- ---------------------------------------------------------------------------
-- Maps are foreign tables on this server.

CREATE FUNCTION syncmap.syncmap_fdw_handler()
RETURNS fdw_handler
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FUNCTION syncmap.syncmap_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT;

CREATE FOREIGN DATA WRAPPER syncmap
HANDLER syncmap.syncmap_fdw_handler
VALIDATOR syncmap.syncmap_fdw_validator;

CREATE SERVER syncmap FOREIGN DATA WRAPPER syncmap;

COMMENT ON FUNCTION syncmap.syncmap_fdw_handler() IS
	'handler of the foreign-data wrapper syncmap';
COMMENT ON FUNCTION syncmap.syncmap_fdw_validator(text[], oid) IS
	'checks the options of the foreign-data wrapper syncmap';
COMMENT ON FOREIGN DATA WRAPPER syncmap IS
	'concurrent maps in shared memory';
COMMENT ON SERVER syncmap IS
	'the shared memory of this server; each of its foreign tables is a map';

-- ---------------------------------------------------------------------------
-- Maps as a whole

CREATE FUNCTION syncmap.create(name text)
RETURNS regclass
AS 'MODULE_PATHNAME', 'syncmap_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

CREATE FUNCTION syncmap.drop(map regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'syncmap_drop'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

CREATE FUNCTION syncmap.count(map regclass)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_count'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.clear(map regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'syncmap_clear'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION syncmap.create(text) IS
	'creates a map: a foreign table (key text, value text) on the server syncmap';
COMMENT ON FUNCTION syncmap.drop(regclass) IS
	'drops a map';
COMMENT ON FUNCTION syncmap.count(regclass) IS
	'returns the number of keys';
COMMENT ON FUNCTION syncmap.clear(regclass) IS
	'removes all keys';

-- ---------------------------------------------------------------------------
-- One key

CREATE FUNCTION syncmap.get(map regclass, key text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.contains(map regclass, key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_contains'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.put(map regclass, key text, value text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.delete(map regclass, key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_or_put(map regclass, key text, value text,
								   OUT actual text, OUT loaded boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_get_or_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_and_delete(map regclass, key text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get_and_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.swap(map regclass, key text, value text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_swap'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_swap(map regclass, key text, old text,
										 new text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_swap'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_delete(map regclass, key text, old text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.increment(map regclass, key text, by bigint DEFAULT 1)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION syncmap.get(regclass, text) IS
	'returns the value of a key, NULL if there is none';
COMMENT ON FUNCTION syncmap.contains(regclass, text) IS
	'is the key there?';
COMMENT ON FUNCTION syncmap.put(regclass, text, text) IS
	'stores a value; true if the key is new';
COMMENT ON FUNCTION syncmap.delete(regclass, text) IS
	'removes a key; true if it was there';
COMMENT ON FUNCTION syncmap.get_or_put(regclass, text, text) IS
	'returns the value of a key (loaded), or stores and returns the one given';
COMMENT ON FUNCTION syncmap.get_and_delete(regclass, text) IS
	'removes a key and returns its value, NULL if there was none';
COMMENT ON FUNCTION syncmap.swap(regclass, text, text) IS
	'stores a value and returns the one before, NULL if there was none';
COMMENT ON FUNCTION syncmap.compare_and_swap(regclass, text, text, text) IS
	'stores a new value if the old one is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_delete(regclass, text, text) IS
	'removes a key if the old value is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.increment(regclass, text, bigint) IS
	'adds to a value that is a number, 0 if there is none; returns the sum';

-- ---------------------------------------------------------------------------
-- Many keys

CREATE FUNCTION syncmap.get_many(map regclass, keys text[])
RETURNS text[]
AS 'MODULE_PATHNAME', 'syncmap_get_many'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION syncmap.put_many(map regclass, keys text[], "values" text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_put_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

CREATE FUNCTION syncmap.delete_many(map regclass, keys text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_delete_many'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION syncmap.get_many(regclass, text[]) IS
	'returns the values of keys, in their order, NULL where there is none';
COMMENT ON FUNCTION syncmap.put_many(regclass, text[], text[]) IS
	'stores values; returns the number of keys that are new';
COMMENT ON FUNCTION syncmap.delete_many(regclass, text[]) IS
	'removes keys; returns the number of those that were there';

-- ---------------------------------------------------------------------------
-- All pairs.  range is inlined into the query that calls it, and range_rows
-- hands its rows on one by one, since it stands in a target list.

CREATE FUNCTION syncmap.range_rows(map regclass, OUT key text, OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_range_rows'
LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 1000;

CREATE FUNCTION syncmap.range(map regclass)
RETURNS TABLE (key text, value text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
	SELECT (pairs.pair).key, (pairs.pair).value
	FROM (SELECT syncmap.range_rows(map) AS pair) AS pairs;
END;

COMMENT ON FUNCTION syncmap.range_rows(regclass) IS
	'internal: the rows of syncmap.range';
COMMENT ON FUNCTION syncmap.range(regclass) IS
	'returns all pairs; a key that is present throughout comes exactly once';
