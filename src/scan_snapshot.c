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

#include "scan_rows.h"
#include "scan_snapshot.h"
#include "shortage.h"

/* A snapshot that is lost so often is an error. */
#define MAX_LOST 3

/* Where it was lost, room for that part of the map is made. */
#define LEAST_ROOM 16

/* Of pairs, in bytes. */
#define BUFFER_SIZE (64 * 1024)

/* Milliseconds between two looks whether another snapshot of the map is closed. */
#define PAUSE 1

struct sm_snapshot_scan
{
	MemoryContext context; /* of all of it */
	sm_rows *store;		   /* rows that were kept are labelled */
	MemoryContext keys;	   /* of what follows */
	HTAB *changed;		   /* their keys, and those that were not there */
	sm_buffer pairs;	   /* what the engine copied last */
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
add_key(sm_snapshot_scan *scan, sm_bytes key)
{
	char *copy = MemoryContextAlloc(scan->keys, key.len + 1);

	memcpy(copy, key.data, key.len);
	key.data = copy;
	(void) hash_search(scan->changed, &key, HASH_ENTER, NULL);
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
open_snapshot(sm_source *source, sm_snapshot *snapshot)
{
	sm_status status;

	while ((status = sm_snapshot_open(&source->map, snapshot)) == SM_REFUSED)
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
is_wanted(const sm_source *source, sm_bytes key)
{
	return source->spec.rebounds || sm_bounds_contain(&source->spec.bounds, key);
}

/* Stores the pairs of the scan's buffer that are wanted. */
static void
store_pairs(sm_source *source, sm_snapshot_scan *scan)
{
	sm_row row;

	for (size_t at = 0; at < scan->pairs.len;)
	{
		at = sm_take_pair(&scan->pairs, at, &row);
		if (is_wanted(source, row.key))
			sm_rows_put(scan->store, &row, false);
	}
}

/* Stores what was kept of a shard.  Returns SM_ABSENT, or why it can't be had. */
static sm_status
store_changes(sm_source *source, sm_snapshot_scan *scan, uint32 shard,
			  const sm_snapshot *snapshot)
{
	sm_changes changes = {0};
	sm_status status;
	sm_row row;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		status =
			sm_snapshot_changes(&source->map, snapshot, shard, &changes, &scan->pairs);
		if (status == SM_TOO_SMALL)
		{
			sm_make_buffer(&scan->pairs, scan->context, scan->pairs.len);
			continue;
		}
		if (status != SM_FOUND)
			return status;
		for (size_t at = 0; at < scan->pairs.len;)
		{
			at = sm_take_pair(&scan->pairs, at, &row);
			if (!is_wanted(source, row.key))
				continue;
			add_key(scan, row.key);
			if (row.value.len != SM_NO_VALUE && row.expires > snapshot->now)
				sm_rows_put(scan->store, &row, true);
		}
	}
}

/* Reads an open snapshot.  Returns SM_ABSENT, or why it can't be had. */
static sm_status
read_snapshot(sm_source *source, sm_snapshot_scan *scan, sm_snapshot *snapshot)
{
	uint32 shard = 0;
	sm_status status;

	do
	{
		CHECK_FOR_INTERRUPTS();
		status = sm_snapshot_range(&source->map, snapshot, &scan->pairs);
		if (status == SM_TOO_SMALL)
			sm_make_buffer(&scan->pairs, scan->context, scan->pairs.len);
		if (status == SM_FOUND)
			store_pairs(source, scan);
		for (; shard < snapshot->cursor.shard; shard++)
		{
			sm_status changes = store_changes(source, scan, shard, snapshot);

			if (changes != SM_ABSENT)
				return changes;
		}
	} while (status == SM_FOUND || status == SM_TOO_SMALL);
	return status;
}

/* Collects what the map holds.  False if the snapshot was lost. */
static bool
collect(sm_source *source, sm_snapshot_scan *scan)
{
	opened o = {.map = &source->map};
	sm_status status;

	scan->store = sm_rows_make(&source->spec, false);
	scan->keys = AllocSetContextCreate(scan->context, "syncmap changed keys",
									   ALLOCSET_DEFAULT_SIZES);
	scan->changed = make_set(scan->keys);
	if (!open_snapshot(source, &o.snapshot))
		return true;
	PG_ENSURE_ERROR_CLEANUP(close_snapshot, PointerGetDatum(&o));
	{
		status = read_snapshot(source, scan, &o.snapshot);
	}
	PG_END_ENSURE_ERROR_CLEANUP(close_snapshot, PointerGetDatum(&o));
	sm_snapshot_close(o.map, &o.snapshot);
	if (status == SM_GONE)
		sm_map_was_altered(source->relid);
	return status != SM_NO_MEMORY;
}

/*
 * Takes a snapshot, and has its rows ready.  Errors: 72000 it was lost, again and
 * again.
 */
sm_snapshot_scan *
sm_snapshot_scan_start(sm_source *source)
{
	MemoryContext context = AllocSetContextCreate(source->context, "syncmap snapshot",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	sm_snapshot_scan *scan = palloc0(sizeof(sm_snapshot_scan));

	scan->context = context;
	sm_make_buffer(&scan->pairs, scan->context, BUFFER_SIZE);
	for (int lost = 0; !collect(source, scan); lost++)
	{
		uint64 bytes = sm_map_pages(&source->map) * SM_PAGE_SIZE;

		sm_rows_end(scan->store);
		MemoryContextDelete(scan->keys);
		if (lost == MAX_LOST)
			ereport(ERROR,
					(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
					 errmsg("snapshot of map \"%s\" was lost",
							get_rel_name(source->relid)),
					 errdetail("There was no memory to keep what others changed "
							   "meanwhile, or the map was cleared."),
					 errhint("Raise the map's option max_memory or the setting "
							 "syncmap.memory, or do without \"consistent\".")));
		/* more each time: others put meanwhile */
		(void) sm_make_room(&source->map, bytes / LEAST_ROOM << lost);
	}
	sm_rows_finish(scan->store);
	MemoryContextSwitchTo(old);
	return scan;
}

/* The next row; false when there is none. */
bool
sm_snapshot_scan_next(sm_snapshot_scan *scan, sm_row *row)
{
	bool was_kept;

	while (sm_rows_next(scan->store, row, &was_kept))
	{
		if (was_kept || hash_search(scan->changed, &row->key, HASH_FIND, NULL) == NULL)
			return true;
	}
	return false;
}

/* From the first row again. */
void
sm_snapshot_scan_rewind(sm_snapshot_scan *scan)
{
	sm_rows_rewind(scan->store);
}

void
sm_snapshot_scan_end(sm_snapshot_scan *scan)
{
	sm_rows_end(scan->store);
	MemoryContextDelete(scan->context);
}
