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

CREATE FUNCTION syncmap.create(name text, max_memory text DEFAULT NULL,
	eviction text DEFAULT NULL, ttl interval DEFAULT NULL,
	key_type text DEFAULT NULL, value_type text DEFAULT NULL,
	expires_at boolean DEFAULT false,
	shards integer DEFAULT NULL, promote_ratio integer DEFAULT NULL,
	ordered boolean DEFAULT NULL, consistent boolean DEFAULT NULL,
	loader text DEFAULT NULL)
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

COMMENT ON FUNCTION syncmap.create(text, text, text, interval, text, text, boolean, integer,
	integer, boolean, boolean, text) IS
	'creates a map: a foreign table (key, value) on the server syncmap';
COMMENT ON FUNCTION syncmap.drop(regclass) IS
	'drops a map';
COMMENT ON FUNCTION syncmap.count(regclass) IS
	'returns the number of keys';
COMMENT ON FUNCTION syncmap.clear(regclass) IS
	'removes all keys';

-- ---------------------------------------------------------------------------
-- One key
--
-- Each function comes for keys of type text and for those of other types, and
-- with values of type text and of other types.  A literal of unknown type is
-- taken for text, and converted to the map's type by that type's input function.

CREATE FUNCTION syncmap.get(map regclass, key text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.get(map regclass, key anycompatible)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get_typed'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.get(map regclass, key anycompatible, "as" anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_get_typed'
LANGUAGE C STABLE PARALLEL SAFE;

CREATE FUNCTION syncmap.contains(map regclass, key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_contains'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.contains(map regclass, key anycompatible)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_contains_typed'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.put(map regclass, key text, value text,
	ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.put(map regclass, key anycompatible, value text,
	ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.put(map regclass, key anycompatible, value anyelement,
	ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.delete(map regclass, key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.delete(map regclass, key anycompatible)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_delete_typed'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_or_put(map regclass, key text, value text,
	ttl interval DEFAULT NULL, OUT actual text, OUT loaded boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_get_or_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_or_put(map regclass, key anycompatible,
	value text, ttl interval DEFAULT NULL, OUT actual text,
	OUT loaded boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_get_or_put_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_or_put(map regclass, key anycompatible,
	value anyelement, ttl interval DEFAULT NULL, OUT actual anyelement,
	OUT loaded boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_get_or_put_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_and_delete(map regclass, key text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get_and_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_and_delete(map regclass, key anycompatible)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_get_and_delete_typed'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.get_and_delete(map regclass, key anycompatible,
	"as" anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_get_and_delete_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.swap(map regclass, key text, value text,
	ttl interval DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_swap'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.swap(map regclass, key anycompatible, value text,
	ttl interval DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_swap_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.swap(map regclass, key anycompatible,
	value anyelement, ttl interval DEFAULT NULL)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_swap_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_swap(map regclass, key text, old text,
	new text, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_swap'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_swap(map regclass, key anycompatible,
	old text, new text, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_swap_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_swap(map regclass, key anycompatible,
	old anyelement, new anyelement, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_swap_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_delete(map regclass, key text, old text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_delete'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_delete(map regclass, key anycompatible,
	old text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_delete_typed'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.compare_and_delete(map regclass, key anycompatible,
	old anyelement)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_compare_and_delete_typed'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.increment(map regclass, key text, by bigint DEFAULT 1,
	ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_increment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.increment(map regclass, key anycompatible,
	by bigint DEFAULT 1, ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_increment_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.expire(map regclass, key text, ttl interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_expire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.expire(map regclass, key anycompatible, ttl interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_expire_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.ttl(map regclass, key text)
RETURNS interval
AS 'MODULE_PATHNAME', 'syncmap_ttl'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION syncmap.ttl(map regclass, key anycompatible)
RETURNS interval
AS 'MODULE_PATHNAME', 'syncmap_ttl_typed'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION syncmap.get(regclass, text) IS
	'returns the value of a key, NULL if there is none';
COMMENT ON FUNCTION syncmap.get(regclass, anycompatible) IS
	'returns the value of a key, NULL if there is none';
COMMENT ON FUNCTION syncmap.get(regclass, anycompatible, anyelement) IS
	'returns the value of a key in its own type, that of the last argument';
COMMENT ON FUNCTION syncmap.contains(regclass, text) IS
	'is the key there?';
COMMENT ON FUNCTION syncmap.contains(regclass, anycompatible) IS
	'is the key there?';
COMMENT ON FUNCTION syncmap.put(regclass, text, text, interval) IS
	'stores a value; true if the key is new';
COMMENT ON FUNCTION syncmap.put(regclass, anycompatible, text, interval) IS
	'stores a value; true if the key is new';
COMMENT ON FUNCTION syncmap.put(regclass, anycompatible, anyelement, interval) IS
	'stores a value; true if the key is new';
COMMENT ON FUNCTION syncmap.delete(regclass, text) IS
	'removes a key; true if it was there';
COMMENT ON FUNCTION syncmap.delete(regclass, anycompatible) IS
	'removes a key; true if it was there';
COMMENT ON FUNCTION syncmap.get_or_put(regclass, text, text, interval) IS
	'returns the value of a key (loaded), or stores and returns the one given';
COMMENT ON FUNCTION syncmap.get_or_put(regclass, anycompatible, text, interval) IS
	'returns the value of a key (loaded), or stores and returns the one given';
COMMENT ON FUNCTION syncmap.get_or_put(regclass, anycompatible, anyelement, interval) IS
	'returns the value of a key (loaded), or stores and returns the one given';
COMMENT ON FUNCTION syncmap.get_and_delete(regclass, text) IS
	'removes a key and returns its value, NULL if there was none';
COMMENT ON FUNCTION syncmap.get_and_delete(regclass, anycompatible) IS
	'removes a key and returns its value, NULL if there was none';
COMMENT ON FUNCTION syncmap.get_and_delete(regclass, anycompatible, anyelement) IS
	'removes a key and returns its value in its own type, that of the last argument';
COMMENT ON FUNCTION syncmap.swap(regclass, text, text, interval) IS
	'stores a value and returns the one before, NULL if there was none';
COMMENT ON FUNCTION syncmap.swap(regclass, anycompatible, text, interval) IS
	'stores a value and returns the one before, NULL if there was none';
COMMENT ON FUNCTION syncmap.swap(regclass, anycompatible, anyelement, interval) IS
	'stores a value and returns the one before, NULL if there was none';
COMMENT ON FUNCTION syncmap.compare_and_swap(regclass, text, text, text, interval) IS
	'stores a new value if the old one is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_swap(regclass, anycompatible, text, text, interval) IS
	'stores a new value if the old one is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_swap(regclass, anycompatible, anyelement, anyelement, interval) IS
	'stores a new value if the old one is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_delete(regclass, text, text) IS
	'removes a key if the old value is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_delete(regclass, anycompatible, text) IS
	'removes a key if the old value is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.compare_and_delete(regclass, anycompatible, anyelement) IS
	'removes a key if the old value is there, byte for byte; true if it did';
COMMENT ON FUNCTION syncmap.increment(regclass, text, bigint, interval) IS
	'adds to a value that is a number, 0 if there is none; returns the sum';
COMMENT ON FUNCTION syncmap.increment(regclass, anycompatible, bigint, interval) IS
	'adds to a value that is a number, 0 if there is none; returns the sum';
COMMENT ON FUNCTION syncmap.expire(regclass, text, interval) IS
	'lets a key expire after that time, never if NULL; true if it is there';
COMMENT ON FUNCTION syncmap.expire(regclass, anycompatible, interval) IS
	'lets a key expire after that time, never if NULL; true if it is there';
COMMENT ON FUNCTION syncmap.ttl(regclass, text) IS
	'returns the time a key has left; NULL if it never expires or is not there';
COMMENT ON FUNCTION syncmap.ttl(regclass, anycompatible) IS
	'returns the time a key has left; NULL if it never expires or is not there';

-- ---------------------------------------------------------------------------
-- Many keys.  Arrays may have elements of any type.

CREATE FUNCTION syncmap.get_many(map regclass, keys anycompatiblearray)
RETURNS text[]
AS 'MODULE_PATHNAME', 'syncmap_get_many'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;

CREATE FUNCTION syncmap.get_many(map regclass, keys anycompatiblearray,
	"as" anyelement)
RETURNS anyarray
AS 'MODULE_PATHNAME', 'syncmap_get_many'
LANGUAGE C STABLE PARALLEL SAFE COST 100;

CREATE FUNCTION syncmap.put_many(map regclass, keys anycompatiblearray,
	"values" anyarray, ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_put_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

CREATE FUNCTION syncmap.put_many(map regclass, keys anycompatiblearray,
	"values" text, ttl interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_put_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

CREATE FUNCTION syncmap.delete_many(map regclass, keys anycompatiblearray)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_delete_many'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100;

COMMENT ON FUNCTION syncmap.get_many(regclass, anycompatiblearray) IS
	'returns the values of keys, in their order, NULL where there is none';
COMMENT ON FUNCTION syncmap.get_many(regclass, anycompatiblearray, anyelement) IS
	'returns the values of keys in their own type, that of the last argument';
COMMENT ON FUNCTION syncmap.put_many(regclass, anycompatiblearray, anyarray, interval) IS
	'stores values; returns the number of keys that are new';
COMMENT ON FUNCTION syncmap.put_many(regclass, anycompatiblearray, text, interval) IS
	'stores the values of an array''s text; returns the number of keys that are new';
COMMENT ON FUNCTION syncmap.delete_many(regclass, anycompatiblearray) IS
	'removes keys; returns the number of those that were there';

-- ---------------------------------------------------------------------------
-- Ranges of keys.  range is inlined into the query that calls it, and range_rows
-- hands its rows on one by one, since it stands in a target list.  A
-- parallel worker would take a snapshot of its own for a consistent one.

CREATE FUNCTION syncmap.range_rows(map regclass, low text, high text,
	low_inclusive boolean, high_inclusive boolean, prefix text, max_rows bigint,
	descending boolean, consistent boolean, OUT key text, OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_range_rows'
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000;

CREATE FUNCTION syncmap.range_rows(map regclass, low anycompatible,
	high anycompatible, low_inclusive boolean, high_inclusive boolean, prefix text,
	max_rows bigint, descending boolean, consistent boolean, OUT key text,
	OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_range_rows'
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000;

CREATE FUNCTION syncmap.range(map regclass, low text DEFAULT NULL,
	high text DEFAULT NULL, low_inclusive boolean DEFAULT true,
	high_inclusive boolean DEFAULT false, prefix text DEFAULT NULL,
	max_rows bigint DEFAULT NULL, descending boolean DEFAULT NULL,
	consistent boolean DEFAULT false)
RETURNS TABLE (key text, value text)
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1000
BEGIN ATOMIC
	SELECT (pairs.pair).key, (pairs.pair).value
	FROM (SELECT syncmap.range_rows(map, low, high, low_inclusive, high_inclusive,
		prefix, max_rows, descending, consistent) AS pair) AS pairs;
END;

CREATE FUNCTION syncmap.range(map regclass, low anycompatible,
	high anycompatible DEFAULT NULL, low_inclusive boolean DEFAULT true,
	high_inclusive boolean DEFAULT false, prefix text DEFAULT NULL,
	max_rows bigint DEFAULT NULL, descending boolean DEFAULT NULL,
	consistent boolean DEFAULT false)
RETURNS TABLE (key text, value text)
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1000
AS $$
	SELECT (pairs.pair).key, (pairs.pair).value
	FROM (SELECT syncmap.range_rows(map, low, high, low_inclusive, high_inclusive,
		prefix, max_rows, descending, consistent) AS pair) AS pairs
$$;

CREATE FUNCTION syncmap.delete_range(map regclass, low text DEFAULT NULL,
	high text DEFAULT NULL, low_inclusive boolean DEFAULT true,
	high_inclusive boolean DEFAULT false, prefix text DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_delete_range'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

CREATE FUNCTION syncmap.delete_range(map regclass, low anycompatible,
	high anycompatible DEFAULT NULL, low_inclusive boolean DEFAULT true,
	high_inclusive boolean DEFAULT false, prefix text DEFAULT NULL,
	max_rows bigint DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'syncmap_delete_range'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

COMMENT ON FUNCTION syncmap.range_rows(regclass, text, text, boolean, boolean, text,
	bigint, boolean, boolean) IS
	'internal: the rows of syncmap.range';
COMMENT ON FUNCTION syncmap.range_rows(regclass, anycompatible, anycompatible,
	boolean, boolean, text, bigint, boolean, boolean) IS
	'internal: the rows of syncmap.range';
COMMENT ON FUNCTION syncmap.range(regclass, text, text, boolean, boolean, text,
	bigint, boolean, boolean) IS
	'returns the pairs of a range of keys; a key that is present throughout comes exactly once';
COMMENT ON FUNCTION syncmap.range(regclass, anycompatible, anycompatible, boolean,
	boolean, text, bigint, boolean, boolean) IS
	'returns the pairs of a range of keys; a key that is present throughout comes exactly once';
COMMENT ON FUNCTION syncmap.delete_range(regclass, text, text, boolean, boolean, text,
	bigint) IS
	'removes a range of keys; returns how many were there';
COMMENT ON FUNCTION syncmap.delete_range(regclass, anycompatible, anycompatible,
	boolean, boolean, text, bigint) IS
	'removes a range of keys; returns how many were there';

-- ---------------------------------------------------------------------------
-- Beside tables

CREATE FUNCTION syncmap.invalidate()
RETURNS trigger
AS 'MODULE_PATHNAME', 'syncmap_invalidate'
LANGUAGE C;

CREATE FUNCTION syncmap.watch(map regclass, source regclass, key text)
RETURNS void
AS 'MODULE_PATHNAME', 'syncmap_watch'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000;

CREATE FUNCTION syncmap.unwatch(map regclass, source regclass)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_unwatch'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

CREATE VIEW syncmap.watches AS
SELECT d.refobjid::regclass AS map, t.tgrelid::regclass AS source,
	CASE WHEN t.tgnargs > 1 THEN
		convert_from(substring(t.tgargs FROM position('\000'::bytea IN t.tgargs) + 1
			FOR length(t.tgargs) - position('\000'::bytea IN t.tgargs) - 1),
			pg_catalog.getdatabaseencoding()) END AS key,
	t.tgname AS trigger
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_trigger'::regclass
	AND d.objid = t.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
	AND d.refobjsubid = 0 AND d.refobjid <> t.tgrelid AND d.deptype = 'a'
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'f'
WHERE t.tgfoid = 'syncmap.invalidate'::regproc AND t.tgparentid = 0
	AND t.tgtype & 1 = 1;

GRANT SELECT ON syncmap.watches TO PUBLIC;

CREATE FUNCTION syncmap.fetch(map regclass, key text)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_fetch'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;

CREATE FUNCTION syncmap.fetch(map regclass, key anycompatible)
RETURNS text
AS 'MODULE_PATHNAME', 'syncmap_fetch_typed'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;

CREATE FUNCTION syncmap.fetch(map regclass, key anycompatible, "as" anyelement)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_fetch_typed'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100;

CREATE FUNCTION syncmap.fetch_many(map regclass, keys anycompatiblearray)
RETURNS text[]
AS 'MODULE_PATHNAME', 'syncmap_fetch_many'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;

CREATE FUNCTION syncmap.fetch_many(map regclass, keys anycompatiblearray,
	"as" anyelement)
RETURNS anyarray
AS 'MODULE_PATHNAME', 'syncmap_fetch_many'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;

-- fetch_stale is labelled as fetch is: STABLE, since within a statement nothing changes but
-- what is cached of it, and so that an index may be searched for what it gives;
-- RESTRICTED, since a worker must not store, and knows nothing of its leader's own changes.
-- Of two calls in a statement one may give the value before, and the other one the new.
CREATE FUNCTION syncmap.fetch_stale(map regclass, key text, OUT value text,
	OUT is_stale boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_fetch_stale'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;

CREATE FUNCTION syncmap.fetch_stale(map regclass, key anycompatible, OUT value text,
	OUT is_stale boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_fetch_stale_typed'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100;

CREATE FUNCTION syncmap.fetch_stale(map regclass, key anycompatible, "as" anyelement,
	OUT value anyelement, OUT is_stale boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'syncmap_fetch_stale_typed'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100;

-- A name of its own, since what stands third in fetch is of any type, and so would the query.
-- VOLATILE, since what it runs is the caller's: as often as it is written, and never while a
-- query is planned; UNSAFE, since nobody knows what that calls.
CREATE FUNCTION syncmap.fetch_query(map regclass, key anycompatible, "as" anyelement,
	query text)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_fetch_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

CREATE FUNCTION syncmap.fetch_query(map regclass, key anycompatible, "as" anyelement,
	query text, VARIADIC args "any")
RETURNS anyelement
AS 'MODULE_PATHNAME', 'syncmap_fetch_query'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100;

CREATE FUNCTION syncmap.lease(map regclass)
RETURNS bytea
AS 'MODULE_PATHNAME', 'syncmap_lease'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE FUNCTION syncmap.put_leased(map regclass, key text, value text, lease bytea,
	ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put_leased'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.put_leased(map regclass, key anycompatible, value text,
	lease bytea, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put_leased_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION syncmap.put_leased(map regclass, key anycompatible, value anyelement,
	lease bytea, ttl interval DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'syncmap_put_leased_typed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION syncmap.invalidate() IS
	'trigger of a watch: notes which keys a changed row makes old';
COMMENT ON FUNCTION syncmap.watch(regclass, regclass, text) IS
	'has changes of a table invalidate a map''s keys: the expression over the row, NULL for all';
COMMENT ON FUNCTION syncmap.unwatch(regclass, regclass) IS
	'ends that; true if there was any';
COMMENT ON VIEW syncmap.watches IS
	'which tables invalidate which maps';
COMMENT ON FUNCTION syncmap.fetch(regclass, text) IS
	'returns the value of a key, which the map''s loader computes if it is not there';
COMMENT ON FUNCTION syncmap.fetch(regclass, anycompatible) IS
	'returns the value of a key, which the map''s loader computes if it is not there';
COMMENT ON FUNCTION syncmap.fetch(regclass, anycompatible, anyelement) IS
	'returns it in its own type, that of the last argument';
COMMENT ON FUNCTION syncmap.fetch_many(regclass, anycompatiblearray) IS
	'returns the values of keys, in their order, by fetch';
COMMENT ON FUNCTION syncmap.fetch_many(regclass, anycompatiblearray, anyelement) IS
	'returns the values of keys in their own type, by fetch';
COMMENT ON FUNCTION syncmap.fetch_stale(regclass, text) IS
	'returns what fetch does, or the value before while another session computes it';
COMMENT ON FUNCTION syncmap.fetch_stale(regclass, anycompatible) IS
	'returns what fetch does, or the value before while another session computes it';
COMMENT ON FUNCTION syncmap.fetch_stale(regclass, anycompatible, anyelement) IS
	'returns it in its own type, that of the last argument';
COMMENT ON FUNCTION syncmap.fetch_query(regclass, anycompatible, anyelement, text) IS
	'returns the value of a key, which the query, with the key as $1, computes if it is not there';
COMMENT ON FUNCTION syncmap.fetch_query(regclass, anycompatible, anyelement, text, "any") IS
	'the same with more parameters, from $2 on';
COMMENT ON FUNCTION syncmap.lease(regclass) IS
	'the moment from which on values may be read for put_leased';
COMMENT ON FUNCTION syncmap.put_leased(regclass, text, text, bytea, interval) IS
	'stores a value that was read since the lease, unless it may be old by now; true if it did';
COMMENT ON FUNCTION syncmap.put_leased(regclass, anycompatible, text, bytea, interval) IS
	'stores a value that was read since the lease, unless it may be old by now; true if it did';
COMMENT ON FUNCTION syncmap.put_leased(regclass, anycompatible, anyelement, bytea, interval) IS
	'stores a value that was read since the lease, unless it may be old by now; true if it did';

-- ---------------------------------------------------------------------------
-- Statistics: of the maps that the role owns, all with pg_read_all_stats

CREATE FUNCTION syncmap.stat_maps(
	OUT relid oid, OUT shards integer, OUT gets bigint, OUT hits bigint,
	OUT misses bigint, OUT retries bigint, OUT puts bigint, OUT deletes bigint,
	OUT evictions bigint, OUT expirations bigint, OUT promotions bigint,
	OUT compactions bigint, OUT invalidations bigint, OUT refused_fills bigint,
	OUT loads bigint, OUT load_waits bigint,
	OUT entries bigint, OUT dirty_entries bigint, OUT hidden_entries bigint,
	OUT live_bytes bigint, OUT dead_bytes bigint, OUT memory bigint,
	OUT max_memory bigint, OUT evicts boolean, OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_stat_maps'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10;

CREATE FUNCTION syncmap.stat_shards(
	OUT relid oid, OUT shard integer, OUT puts bigint, OUT deletes bigint,
	OUT evictions bigint, OUT expirations bigint, OUT promotions bigint,
	OUT compactions bigint, OUT entries bigint, OUT dirty_entries bigint,
	OUT live_bytes bigint, OUT dead_bytes bigint, OUT index_bytes bigint,
	OUT young_bytes bigint, OUT main_bytes bigint, OUT extent_bytes bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_stat_shards'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100;

CREATE FUNCTION syncmap.stat_arena(
	OUT total_bytes bigint, OUT free_bytes bigint, OUT largest_free_run bigint,
	OUT index_bytes bigint, OUT young_bytes bigint, OUT main_bytes bigint,
	OUT extent_bytes bigint, OUT maps integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'syncmap_stat_memory'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1;

CREATE FUNCTION syncmap.reset_stats(map regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'syncmap_reset_stats'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

CREATE VIEW syncmap.stat_map AS
	SELECT s.relid, n.nspname AS schemaname, c.relname, s.shards,
		s.gets, s.hits, s.misses, s.puts, s.deletes, s.evictions, s.expirations,
		s.promotions, s.compactions, s.retries, s.invalidations, s.refused_fills,
		s.loads, s.load_waits, s.entries, s.dirty_entries,
		s.hidden_entries, s.live_bytes, s.dead_bytes, s.memory, s.max_memory, s.evicts,
		s.stats_reset
	FROM syncmap.stat_maps() AS s
		JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
		JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace;

CREATE VIEW syncmap.stat_shard AS
	SELECT s.relid, n.nspname AS schemaname, c.relname, s.shard,
		s.puts, s.deletes, s.evictions, s.expirations, s.promotions,
		s.compactions, s.entries, s.dirty_entries, s.live_bytes, s.dead_bytes,
		s.index_bytes, s.young_bytes, s.main_bytes, s.extent_bytes
	FROM syncmap.stat_shards() AS s
		JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
		JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace;

CREATE VIEW syncmap.stat_memory AS SELECT * FROM syncmap.stat_arena();

GRANT SELECT ON syncmap.stat_map, syncmap.stat_shard TO PUBLIC;
REVOKE ALL ON FUNCTION syncmap.stat_arena() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION syncmap.stat_arena() TO pg_read_all_stats;
GRANT SELECT ON syncmap.stat_memory TO pg_read_all_stats;

COMMENT ON VIEW syncmap.stat_map IS
	'one row for each map in this database that has been used since the start';
COMMENT ON VIEW syncmap.stat_shard IS
	'one row for each shard of each map';
COMMENT ON VIEW syncmap.stat_memory IS
	'the shared memory of all maps, and what it is used for';
COMMENT ON FUNCTION syncmap.stat_maps() IS
	'internal: the rows of syncmap.stat_map';
COMMENT ON FUNCTION syncmap.stat_shards() IS
	'internal: the rows of syncmap.stat_shard';
COMMENT ON FUNCTION syncmap.stat_arena() IS
	'internal: the row of syncmap.stat_memory';
COMMENT ON FUNCTION syncmap.reset_stats(regclass) IS
	'sets the counts of a map to zero; for its owner';
