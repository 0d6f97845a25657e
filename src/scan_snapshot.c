/*
 * scan_snapshot.c
 *	  The pairs that a map held at one moment.
 *
 * They are collected before the first of them is given, so that the snapshot is open
 * no longer than that takes, whatever the query does with the rows.  Each shard is
 * read as it is, and then what writers kept of it (shard_snapshot.c): of those keys
 * that is what holds, so what was read of them is passed over in the end.
 */
#include "compat.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "room.h"
#include "scan.h"

/* A snapshot that is lost so often is an error. */
#define MAX_LOST 3

/* Where it was lost, room for that part of the map is made. */
#define LEAST_ROOM 16

/* Milliseconds between two looks whether another snapshot of the map is closed. */
#define PAUSE 1

struct sm_frozen
{
	MemoryContext context; /* of all of it */
	sm_rows *store;		   /* rows that were kept are labelled */
	MemoryContext keys;	   /* of what follows */
	HTAB *changed;		   /* their keys, and those that were not there */
};

static uint32
hash_key(const void *key, Size size)
{
	const sm_bytes *bytes = key;

	return hash_bytes(bytes->data, (int) bytes->len);
}

static int
match_keys(const void *a, const void *b, Size size)
{
	return sm_key_compare(*(const sm_bytes *) a, *(const sm_bytes *) b);
}

static HTAB *
make_set(MemoryContext context)
{
	HASHCTL ctl = {.keysize = sizeof(sm_bytes),
				   .entrysize = sizeof(sm_bytes),
				   .hash = hash_key,
				   .match = match_keys,
				   .hcxt = context};

	return hash_create("syncmap changed keys", 256, &ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static void
add_key(sm_frozen *frozen, sm_bytes key)
{
	char *copy = MemoryContextAlloc(frozen->keys, key.len + 1);

	memcpy(copy, key.data, key.len);
	key.data = copy;
	(void) hash_search(frozen->changed, &key, HASH_ENTER, NULL);
}

/* An open snapshot, and whose it is. */
typedef struct opened
{
	sm_map *map;
	sm_snapshot snapshot;
} opened;

static void
close_snapshot(int code, Datum arg)
{
	opened *o = (opened *) DatumGetPointer(arg);

	sm_snapshot_close(o->map, &o->snapshot);
}

/* Waits until no other snapshot of the map is open, and opens one.  False if it is gone. */
static bool
open_snapshot(sm_scan *scan, sm_snapshot *snapshot)
{
	sm_status status;

	while ((status = sm_snapshot_open(&scan->map, snapshot)) == SM_REFUSED)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 PAUSE, SM_WAIT_SNAPSHOT);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return status == SM_FOUND;
}

/* Is a key asked for, or may it be after sm_scan_rewind? */
static bool
is_wanted(const sm_scan *scan, sm_bytes key)
{
	return scan->spec.rebounds || sm_bounds_contain(&scan->spec.bounds, key);
}

/* Stores the pairs of the scan's buffer that are wanted. */
static void
store_pairs(sm_scan *scan, sm_frozen *frozen)
{
	sm_row row;

	for (size_t at = 0; at < scan->pairs.len;)
	{
		at = sm_scan_take_pair(&scan->pairs, at, &row);
		if (is_wanted(scan, row.key))
			sm_rows_put(frozen->store, &row, false);
	}
}

/* Stores what was kept of a shard.  Returns SM_ABSENT, or why it can't be had. */
static sm_status
store_changes(sm_scan *scan, sm_frozen *frozen, uint32 shard,
			  const sm_snapshot *snapshot)
{
	sm_changes changes = {0};
	sm_status status;
	sm_row row;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		status =
			sm_snapshot_changes(&scan->map, snapshot, shard, &changes, &scan->pairs);
		if (status == SM_TOO_SMALL)
		{
			sm_scan_make_buffer(scan, scan->pairs.len);
			continue;
		}
		if (status != SM_FOUND)
			return status;
		for (size_t at = 0; at < scan->pairs.len;)
		{
			at = sm_scan_take_pair(&scan->pairs, at, &row);
			if (!is_wanted(scan, row.key))
				continue;
			add_key(frozen, row.key);
			if (row.value.len != SM_NO_VALUE && row.expires > snapshot->now)
				sm_rows_put(frozen->store, &row, true);
		}
	}
}

/* Reads an open snapshot.  Returns SM_ABSENT, or why it can't be had. */
static sm_status
read_snapshot(sm_scan *scan, sm_frozen *frozen, sm_snapshot *snapshot)
{
	uint32 shard = 0;
	sm_status status;

	do
	{
		CHECK_FOR_INTERRUPTS();
		status = sm_snapshot_range(&scan->map, snapshot, &scan->pairs);
		if (status == SM_TOO_SMALL)
			sm_scan_make_buffer(scan, scan->pairs.len);
		if (status == SM_FOUND)
			store_pairs(scan, frozen);
		for (; shard < snapshot->cursor.shard; shard++)
		{
			sm_status changes = store_changes(scan, frozen, shard, snapshot);

			if (changes != SM_ABSENT)
				return changes;
		}
	} while (status == SM_FOUND || status == SM_TOO_SMALL);
	return status;
}

/* Collects what the map holds.  False if the snapshot was lost. */
static bool
collect(sm_scan *scan, sm_frozen *frozen)
{
	opened o = {.map = &scan->map};
	sm_status status;

	frozen->store = sm_rows_make(&scan->spec, false);
	frozen->keys = AllocSetContextCreate(frozen->context, "syncmap changed keys",
										 ALLOCSET_DEFAULT_SIZES);
	frozen->changed = make_set(frozen->keys);
	if (!open_snapshot(scan, &o.snapshot))
		return true;
	PG_ENSURE_ERROR_CLEANUP(close_snapshot, PointerGetDatum(&o));
	{
		status = read_snapshot(scan, frozen, &o.snapshot);
	}
	PG_END_ENSURE_ERROR_CLEANUP(close_snapshot, PointerGetDatum(&o));
	sm_snapshot_close(o.map, &o.snapshot);
	if (status == SM_GONE)
		sm_map_was_altered(scan->relid);
	return status != SM_NO_MEMORY;
}

/*
 * Takes a snapshot, and has its rows ready.  Errors: 72000 it was lost, again and
 * again.
 */
sm_frozen *
sm_frozen_start(sm_scan *scan)
{
	MemoryContext context = AllocSetContextCreate(scan->context, "syncmap snapshot",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	sm_frozen *frozen = palloc(sizeof(sm_frozen));

	frozen->context = context;
	sm_scan_make_buffer(scan, SM_SCAN_BUFFER);
	for (int lost = 0; !collect(scan, frozen); lost++)
	{
		uint64 bytes = sm_map_pages(&scan->map) * SM_PAGE_SIZE;

		sm_rows_end(frozen->store);
		MemoryContextDelete(frozen->keys);
		if (lost == MAX_LOST)
			ereport(ERROR,
					(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
					 errmsg("snapshot of map \"%s\" was lost",
							get_rel_name(scan->relid)),
					 errdetail("There was no memory to keep what others changed "
							   "meanwhile, or the map was cleared."),
					 errhint("Raise the map's option max_memory or the setting "
							 "syncmap.memory, or do without \"consistent\".")));
		/* more each time: others put meanwhile */
		(void) sm_make_room(&scan->map, bytes / LEAST_ROOM << lost);
	}
	sm_rows_finish(frozen->store);
	MemoryContextSwitchTo(old);
	return frozen;
}

/* The next row; false when there is none. */
bool
sm_frozen_next(sm_frozen *frozen, sm_row *row)
{
	bool was_kept;

	while (sm_rows_next(frozen->store, row, &was_kept))
	{
		if (was_kept ||
			hash_search(frozen->changed, &row->key, HASH_FIND, NULL) == NULL)
			return true;
	}
	return false;
}

/* From the first row again. */
void
sm_frozen_rewind(sm_frozen *frozen)
{
	sm_rows_rewind(frozen->store);
}

void
sm_frozen_end(sm_frozen *frozen)
{
	sm_rows_end(frozen->store);
	MemoryContextDelete(frozen->context);
}
