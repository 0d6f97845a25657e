/*
 * noted.c
 *	  The keys whose cached values this transaction has made old, and what
 *	  becomes of them when it commits.
 *
 * The triggers of a watch (watch.c) note keys here while rows change.  Nothing is
 * shared until just before the commit record, or before PREPARE: then each key's
 * stripe is fenced with the transaction's id, and its pair removed, under the lock of
 * the key's shard.  From then on a value that was computed in a snapshot to which this
 * transaction was in progress is not stored (C3), whatever becomes of the transaction:
 * the snapshot decides, so that neither the commit nor an abort has anything to do (C6).
 * Doing it after the commit would be too late for a reader that comes at once (C1), and
 * an error there would be a PANIC; an error here is an ordinary abort.
 *
 * Until its end the transaction itself takes noted keys for absent (C2), and so do
 * parallel workers that work for it: to them all maps that are watched are empty.
 * Keys that a rolled-back savepoint has noted stay noted; that costs a miss.
 *
 * A transaction that notes very many keys of a map notes the whole of it instead.
 *
 * Of a map that standbys are told of (wal.c), the same goes to the WAL at the same time: it
 * only has to be there before the commit record, as the fences have to be before the commit,
 * so that it does not matter which of the two comes first.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/shmem.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "ended.h"
#include "noted.h"
#include "ref.h"
#include "wal.h"

/* A map of which more keys than that are noted is noted as a whole. */
#define MAX_KEYS 4096

/* A table of noted keys that has grown past this is given back at the end. */
#define KEPT_KEYS 256

/* until it is asked, so that a parallel worker looks what its leader says */
bool sm_noted_any = true;

/* A noted key.  Its bytes stand in TopTransactionContext. */
typedef struct noted_id
{
	Oid map;
	uint32 hash;
	sm_bytes key;
} noted_id;

typedef struct noted_key
{
	noted_id id;
	char status; /* simplehash's */
} noted_key;

static inline bool
same_id(const noted_id *a, const noted_id *b)
{
	return a->hash == b->hash && a->map == b->map && a->key.len == b->key.len &&
		memcmp(a->key.data, b->key.data, a->key.len) == 0;
}

#define SH_PREFIX		   keys
#define SH_ELEMENT_TYPE	   noted_key
#define SH_KEY_TYPE		   noted_id
#define SH_KEY			   id
#define SH_HASH_KEY(tb, a) ((a).hash)
#define SH_EQUAL(tb, a, b) same_id(&(a), &(b))
#define SH_SCOPE		   static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A map that has noted keys. */
typedef struct noted_map
{
	Oid map;
	bool whole;		 /* all of its keys are */
	bool rewatched;	 /* see sm_note_watch */
	bool was_logged; /* before this transaction standbys were told of its keys */
	int keys;
	sm_wal_record *record; /* of its keys, while that is made */
} noted_map;

static keys_hash *noted_keys = NULL; /* in TopMemoryContext, once it has been needed */
static List *noted_maps = NIL;		 /* in TopTransactionContext */
static bool fenced = false;			 /* the transaction is past fence_noted */
static bool preparing = false;		 /* that was for PREPARE */
static bool published = false;		 /* its number is */

/* For each backend: has its transaction noted anything?  Its parallel workers ask. */
static pg_atomic_uint32 *noted_by;

static Size
shared_size(void)
{
	return mul_size(MaxBackends, sizeof(pg_atomic_uint32));
}

/* Asks for shared memory; runs in shmem_request_hook. */
void
sm_noted_request(void)
{
	RequestAddinShmemSpace(shared_size());
}

/* Runs in shmem_startup_hook, with AddinShmemInitLock held. */
void
sm_noted_startup(void)
{
	bool found;

	noted_by = ShmemInitStruct("syncmap noted", shared_size(), &found);
	for (int i = 0; !found && i < MaxBackends; i++)
		pg_atomic_init_u32(&noted_by[i], 0);
}

/* ---- noting ---- */

static noted_map *
find_map(Oid map)
{
	ListCell *cell;

	foreach (cell, noted_maps)
	{
		noted_map *noted = lfirst(cell);

		if (noted->map == map)
			return noted;
	}
	return NULL;
}

static noted_map *
find_or_add_map(Oid map)
{
	noted_map *noted = find_map(map);
	MemoryContext old;

	if (noted != NULL)
		return noted;
	if (IsInParallelMode())
		elog(ERROR, "cannot note keys of a map during a parallel operation");
	old = MemoryContextSwitchTo(TopTransactionContext);
	noted = palloc0(sizeof(noted_map));
	noted->map = map;
	noted_maps = lappend(noted_maps, noted);
	MemoryContextSwitchTo(old);
	sm_noted_any = true;
	pg_atomic_write_u32(&noted_by[SM_MY_SLOT], 1);
	return noted;
}

static noted_id
make_id(Oid map, sm_bytes key)
{
	return (noted_id) {map, hash_bytes(key.data, (int) key.len) ^ map, key};
}

static void fence_key(noted_map *noted, sm_bytes key);
static void fence_map(const noted_map *noted);
static void end_record(noted_map *noted);

/*
 * Notes that a map's value for a key is going to be old when this transaction commits.
 * The map's relation must be locked until then.
 */
void
sm_note_key(Oid map, sm_bytes key)
{
	noted_map *noted;
	noted_id id;
	bool found;

	/* no map has such a key */
	if (key.len > SM_MAX_KEY)
		return;
	noted = find_or_add_map(map);
	if (noted->whole)
		return;
	if (noted->keys >= MAX_KEYS)
	{
		sm_note_map(map);
		return;
	}
	/* room first, so that an error leaves no entry without a key */
	id = make_id(map, key);
	id.key.data = memcpy(MemoryContextAlloc(TopTransactionContext, Max(key.len, 1)),
						 key.data, key.len);
	if (noted_keys == NULL)
		noted_keys = keys_create(TopMemoryContext, 32, NULL);
	(void) keys_insert(noted_keys, id, &found);
	if (found)
	{
		pfree(unconstify(void *, id.key.data));
		return;
	}
	noted->keys++;
	/* another PRE_COMMIT callback may run code that changes rows */
	if (fenced)
	{
		fence_key(noted, key);
		end_record(noted);
	}
}

static void
note_whole(Oid map, bool rewatched)
{
	noted_map *noted = find_or_add_map(map);

	if (noted->whole && (noted->rewatched || !rewatched))
		return;
	noted->whole = true;
	noted->rewatched = noted->rewatched || rewatched;
	if (fenced)
		fence_map(noted);
}

/* The same of all keys of a map. */
void
sm_note_map(Oid map)
{
	note_whole(map, false);
}

/*
 * The same, because what the map is watched by, or computed from, becomes another one:
 * transactions that are under way may have changed rows, and noted nothing.
 */
void
sm_note_watch(Oid map)
{
	note_whole(map, true);
}

/* The same when a map's option says from now on whether standbys are told of its keys. */
void
sm_note_logging(Oid map, bool was_logged)
{
	/* first, for who is past fence_noted */
	find_or_add_map(map)->was_logged |= was_logged;
	note_whole(map, true);
}

/* Are all keys of a map noted? */
bool
sm_map_is_noted(Oid map)
{
	const noted_map *noted = find_map(map);

	return noted != NULL && noted->whole;
}

/* The rest of sm_is_noted. */
bool
sm_noted_has(Oid map, sm_bytes key)
{
	const noted_map *noted;

	if (IsParallelWorker())
	{
		/* what its leader has noted is not known here, but that it is of watched maps */
		sm_noted_any = pg_atomic_read_u32(&noted_by[SM_LEADER_SLOT]) != 0;
		return sm_noted_any && sm_ref_get(map, 0)->watched;
	}
	sm_noted_any = noted_maps != NIL;
	noted = find_map(map);
	if (noted == NULL)
		return false;
	return noted->whole ||
		(noted_keys != NULL && keys_lookup(noted_keys, make_id(map, key)) != NULL);
}

/* ---- the commit ---- */

/* The transaction's number, which is published before it fences anything. */
static uint64
fencing_id(void)
{
	uint64 id = U64FromFullTransactionId(GetTopFullTransactionId());

	if (!published)
		sm_ended_publish(id, preparing);
	published = true;
	return id;
}

/* Are standbys told of a map's keys? */
static bool
is_logged(const sm_ref *ref)
{
	return ref->logged && XLogStandbyInfoActive();
}

static void
log_key(noted_map *noted, sm_bytes key)
{
	if (noted->record == NULL)
		noted->record = sm_wal_begin(noted->map);
	sm_wal_add_key(noted->record, key);
}

static void
end_record(noted_map *noted)
{
	if (noted->record != NULL)
		sm_wal_end(noted->record);
	noted->record = NULL;
}

/*
 * Is an invalidation that had this status to be tried again, with what is in *ref then?  If
 * there is no map, one that is made from now on begins with a later horizon.
 */
static bool
is_to_be_repeated(sm_status status, const noted_map *noted, sm_ref **ref)
{
	if (status == SM_UNWATCHED)
		sm_ref_watch(*ref);
	else if (status == SM_GONE)
	{
		*ref = sm_ref_find_map(noted->map);
		if ((*ref)->map.id == SM_NO_MAP)
			return false;
		if (noted->rewatched)
			sm_ref_watch(*ref);
	}
	else
		return false;
	return true;
}

/*
 * Fences a key and removes its pair.  It goes to the WAL when the map's record is full or
 * ended.
 */
static void
fence_key(noted_map *noted, sm_bytes key)
{
	sm_ref *ref = sm_ref_get(noted->map, 0);
	uint64 id = fencing_id();

	/* the standby may have a map though there is none here */
	if (is_logged(ref))
		log_key(noted, key);
	while (is_to_be_repeated(sm_invalidate(&ref->map, key, id, sm_ended_below), noted,
							 &ref))
		;
}

/*
 * Fences all keys of a map and removes their pairs.  If its watch is another one by then,
 * no value is stored that was computed while any transaction of now was in progress.
 */
static void
fence_map(const noted_map *noted)
{
	sm_ref *ref = sm_ref_get(noted->map, 0);
	uint64 id = fencing_id();

	if (is_logged(ref))
		sm_wal_whole(noted->map, noted->rewatched ? sm_last_id() : 0);
	else if (noted->was_logged)
		sm_wal_forget(noted->map);
	if (noted->rewatched)
		sm_ref_watch(ref);
	while (is_to_be_repeated(sm_invalidate_all(&ref->map, id, sm_ended_below), noted,
							 &ref))
		;
}

/* All that was noted.  Errors abort the transaction, with fences that do no harm. */
static void
fence_noted(void)
{
	keys_iterator iterator;
	noted_key *entry;
	ListCell *cell;

	if (noted_keys != NULL && noted_keys->members > 0)
	{
		keys_start_iterate(noted_keys, &iterator);
		while ((entry = keys_iterate(noted_keys, &iterator)) != NULL)
		{
			noted_map *noted = find_map(entry->id.map);

			Assert(noted != NULL);
			/* the transaction may have dropped the map itself */
			if (!noted->whole && get_rel_relkind(noted->map) != '\0')
				fence_key(noted, entry->id.key);
		}
	}
	foreach (cell, noted_maps)
	{
		noted_map *noted = lfirst(cell);

		end_record(noted);
		if (noted->whole && get_rel_relkind(noted->map) != '\0')
			fence_map(noted);
	}
}

static void
forget_noted(void)
{
	sm_noted_any = false;
	noted_maps = NIL;
	if (noted_keys != NULL && noted_keys->size > KEPT_KEYS)
	{
		keys_destroy(noted_keys);
		noted_keys = NULL;
	}
	else if (noted_keys != NULL && noted_keys->members > 0)
		keys_reset(noted_keys);
	pg_atomic_write_u32(&noted_by[SM_MY_SLOT], 0);
}

/* The end of the transaction.  May not throw, but before the commit. */
static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			fenced = true;
			preparing = event == XACT_EVENT_PRE_PREPARE;
			if (noted_maps != NIL)
				fence_noted();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			fenced = false;
			if (published)
				sm_ended_retract();
			published = false;
			if (noted_maps != NIL)
				forget_noted();
			break;
		default:
			break; /* a parallel worker's: its leader's notes stay */
	}
}

/* Installs the callback.  Called once, while we are loaded. */
void
sm_noted_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
}
