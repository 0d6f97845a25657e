/*
 * stats.c
 *	  What the statistics views are made of.
 *
 * The numbers are the engine's; here they become rows.  A role sees the maps
 * that it owns, and all of them with the privileges of pg_read_all_stats.
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "ref.h"
#include "registry.h"

SM_FUNCTION(syncmap_stat_maps);
SM_FUNCTION(syncmap_stat_shards);
SM_FUNCTION(syncmap_stat_memory);
SM_FUNCTION(syncmap_reset_stats);

#define MAP_COLUMNS	   25
#define SHARD_COLUMNS  16
#define MEMORY_COLUMNS 8

/* Of a shard, the engine's counters up to that one. */
#define SHARD_COUNTERS SM_INVALIDATIONS

static Datum
bytes_datum(uint64 pages)
{
	return Int64GetDatum((int64) (pages * SM_PAGE_SIZE));
}

/* The owner of a map's relation, or InvalidOid if that is gone. */
static Oid
owner_of(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* May the current user see the statistics of this database's map? */
static bool
is_visible(const sm_registration *entry)
{
	Oid owner;

	if (entry->database != MyDatabaseId)
		return false;
	owner = owner_of(entry->relation);
	return OidIsValid(owner) &&
		(has_privs_of_role(GetUserId(), owner) ||
		 has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS));
}

/* Starts a set-returning function.  Returns all maps there are. */
static sm_registration *
start_rows(FunctionCallInfo fcinfo, uint32 *length)
{
	sm_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	sm_ref_flush_reads();
	return sm_registry_list(length);
}

static void
add_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Adds up the statistics of all shards.  False if the map is gone. */
static bool
sum_shards(const sm_map *map, sm_shard_stats *sum)
{
	*sum = (sm_shard_stats) {.entries = 0};
	for (uint32 shard = 0; shard < (uint32) 1 << map->shard_bits; shard++)
	{
		sm_shard_stats one;

		if (!sm_get_shard_stats(map, shard, &one))
			return false;
		for (int i = 0; i < SM_COUNTERS; i++)
			sum->counts[i] += one.counts[i];
		sum->entries += one.entries;
		sum->dirty += one.dirty;
		sum->hidden += one.hidden;
		sum->live += one.live;
		sum->dead += one.dead;
		sum->index += one.index;
		sum->young += one.young;
		sum->main += one.main;
		sum->extents += one.extents;
	}
	return true;
}

/* stat_maps() returns a row for each map in this database that holds keys. */
Datum
syncmap_stat_maps(PG_FUNCTION_ARGS)
{
	uint32 length;
	sm_registration *list = start_rows(fcinfo, &length);

	for (uint32 i = 0; i < length; i++)
	{
		Datum values[MAP_COLUMNS];
		bool nulls[MAP_COLUMNS] = {false};
		sm_map map;
		sm_shard_stats stats;
		sm_read_stats reads;
		uint64 quota;
		int n = 0;

		sm_registry_open(&map, &list[i]);
		if (!is_visible(&list[i]) || !sum_shards(&map, &stats))
			continue;
		sm_get_read_stats(&map, &reads);
		quota = sm_map_quota(&map);

		values[n++] = ObjectIdGetDatum(list[i].relation);
		values[n++] = Int32GetDatum(1 << map.shard_bits);
		values[n++] = Int64GetDatum((int64) reads.gets);
		values[n++] = Int64GetDatum((int64) reads.hits);
		values[n++] = Int64GetDatum((int64) (reads.gets - reads.hits));
		values[n++] = Int64GetDatum((int64) reads.retries);
		for (int counter = 0; counter < SM_FORGOTTEN; counter++)
			values[n++] = Int64GetDatum((int64) stats.counts[counter]);
		values[n++] = Int64GetDatum((int64) reads.loads);
		values[n++] = Int64GetDatum((int64) reads.load_waits);
		values[n++] = Int64GetDatum((int64) stats.entries);
		values[n++] = Int64GetDatum((int64) stats.dirty);
		values[n++] = Int64GetDatum((int64) stats.hidden);
		values[n++] =
			Int64GetDatum((int64) (stats.live + stats.extents * SM_PAGE_SIZE));
		values[n++] = Int64GetDatum((int64) stats.dead);
		values[n++] = bytes_datum(sm_map_pages(&map));
		nulls[n] = quota == UINT64_MAX;
		values[n] = nulls[n] ? (Datum) 0 : bytes_datum(quota);
		n++;
		values[n++] = BoolGetDatum(map.evicts);
		nulls[n] = list[i].stats_reset == 0;
		values[n++] = TimestampTzGetDatum(list[i].stats_reset);
		Assert(n == MAP_COLUMNS);
		add_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* stat_shards() returns a row for each shard of each of these maps. */
Datum
syncmap_stat_shards(PG_FUNCTION_ARGS)
{
	uint32 length;
	sm_registration *list = start_rows(fcinfo, &length);

	for (uint32 i = 0; i < length; i++)
	{
		sm_map map;

		sm_registry_open(&map, &list[i]);
		if (!is_visible(&list[i]))
			continue;
		for (uint32 shard = 0; shard < (uint32) 1 << map.shard_bits; shard++)
		{
			Datum values[SHARD_COLUMNS];
			bool nulls[SHARD_COLUMNS] = {false};
			sm_shard_stats stats;
			int n = 0;

			if (!sm_get_shard_stats(&map, shard, &stats))
				break;
			values[n++] = ObjectIdGetDatum(list[i].relation);
			values[n++] = Int32GetDatum((int32) shard);
			for (int counter = 0; counter < SHARD_COUNTERS; counter++)
				values[n++] = Int64GetDatum((int64) stats.counts[counter]);
			values[n++] = Int64GetDatum((int64) stats.entries);
			values[n++] = Int64GetDatum((int64) stats.dirty);
			values[n++] = Int64GetDatum((int64) stats.live);
			values[n++] = Int64GetDatum((int64) stats.dead);
			values[n++] = bytes_datum(stats.index);
			values[n++] = bytes_datum(stats.young);
			values[n++] = bytes_datum(stats.main);
			values[n++] = bytes_datum(stats.extents);
			Assert(n == SHARD_COLUMNS);
			add_row(fcinfo, values, nulls);
		}
	}
	return (Datum) 0;
}

/* stat_memory() returns one row about the arena, for all databases. */
Datum
syncmap_stat_memory(PG_FUNCTION_ARGS)
{
	uint32 length;
	sm_registration *list = start_rows(fcinfo, &length);
	Datum values[MEMORY_COLUMNS];
	bool nulls[MEMORY_COLUMNS] = {false};
	sm_shard_stats all = {.entries = 0};
	int n = 0;

	for (uint32 i = 0; i < length; i++)
	{
		sm_map map;
		sm_shard_stats stats;

		sm_registry_open(&map, &list[i]);
		if (!sum_shards(&map, &stats))
			continue;
		all.index += stats.index;
		all.young += stats.young;
		all.main += stats.main;
		all.extents += stats.extents;
	}
	values[n++] = bytes_datum(sm_pg_pages() + 1);
	values[n++] = bytes_datum(sm_pg_pages_free());
	values[n++] = bytes_datum(sm_pg_longest_run());
	values[n++] = bytes_datum(all.index);
	values[n++] = bytes_datum(all.young);
	values[n++] = bytes_datum(all.main);
	values[n++] = bytes_datum(all.extents);
	values[n++] = Int32GetDatum((int32) length);
	Assert(n == MEMORY_COLUMNS);
	add_row(fcinfo, values, nulls);
	return (Datum) 0;
}

/* reset_stats(map) returns void.  Errors: 42501 unless the map's owner. */
Datum
syncmap_reset_stats(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	Oid owner;
	sm_ref *ref;

	sm_require_loaded();
	owner = owner_of(relid);
	if (OidIsValid(owner) && !has_privs_of_role(GetUserId(), owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	ref = sm_ref_resolve(relid, 0, false);
	sm_reset_stats(&ref->map);
	sm_registry_note_reset(ref->map.id);
	PG_RETURN_VOID();
}
