/*
 * functions_fetch.c
 *	  The SQL functions that read a map through to the tables behind it.
 *
 * fetch gives what the map has, or has the map's loader compute it (loader.c), in a
 * snapshot that is taken before, and stores it if that snapshot covers the key: if no
 * transaction that has invalidated the key was in progress to it (C3).  lease and
 * put_leased do the same for a client that computes values itself: a lease is a snapshot.
 *
 * Not stored is what others must not see, or may not: in a transaction that has written
 * anything, and of keys that it has noted (C2); on a standby, which hears of no
 * invalidation (C5).
 *
 * A value that is there may be given if the transaction takes a snapshot for each
 * statement: it is not older than a commit that was before the call (C1).  In REPEATABLE
 * READ it is what the transaction's snapshot shows only if that covers the key; a
 * SERIALIZABLE one reads the tables, so that its reads are seen by others (C4).
 *
 * Of the sessions that miss a key at once one computes it.  It holds a lock as
 * pg_advisory_lock does, which goes with it, however it ends; the others look again and
 * again, for so long as the map's option load_wait says, and then compute it themselves:
 * nobody waits for a lock, so there is no deadlock.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "args.h"
#include "loader.h"
#include "moment.h"
#include "options.h"
#include "shortage.h"

SM_FUNCTIONS(syncmap_fetch);
SM_FUNCTION(syncmap_lease);
SM_FUNCTIONS(syncmap_put_leased);

/* Milliseconds between two looks of a session that waits for another one's load. */
#define FIRST_PAUSE	  1
#define LONGEST_PAUSE 16

/* Marks our locks among those of pg_advisory_lock, which have 1 or 2 there. */
#define LOAD_LOCK 3

/* Times that room is made for a value that was computed: it can do without. */
#define MAX_SHORTAGES 3

/* ---- what is there ---- */

/* Is what the map has for a key what this transaction may see?  (C4) */
static bool
is_visible(sm_call *call, sm_bytes key)
{
	sm_moment moment;

	if (!IsolationUsesXactSnapshot())
		return true;
	if (IsolationIsSerializable())
		return false;
	moment = sm_moment_of(GetTransactionSnapshot());
	return !call->ref->watched ||
		sm_covered(&call->ref->map, key, sm_moment_covers, &moment) == SM_FOUND;
}

/* Copies out what the map has for a key, if that may be given. */
static bool
find(sm_call *call, sm_bytes key)
{
	if (key.len > SM_MAX_KEY || sm_is_noted(call->ref->relid, key))
		return false;
	while (!sm_call_done(call, sm_get(&call->ref->map, key, &call->value)))
		;
	return call->status == SM_FOUND && is_visible(call, key);
}

/* ---- what is computed ---- */

/* May this transaction store what it computes for a key? */
static bool
may_store(const sm_call *call, sm_bytes key)
{
	return sm_guc_enabled && key.len <= SM_MAX_KEY && !RecoveryInProgress() &&
		!IsInParallelMode() && !TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		!sm_is_noted(call->ref->relid, key);
}

/*
 * Stores a value that was computed at a moment, if that covers its key.  Where there is no
 * memory for it, it is not stored.
 */
static bool
store(sm_call *call, sm_bytes key, sm_bytes value, int64 expires, sm_moment *moment)
{
	int shortages = 0;

	for (;;)
	{
		sm_map *map = &call->ref->map;
		sm_status status = call->ref->watched ?
			sm_fill(map, key, value, expires, sm_moment_covers, moment) :
			sm_put(map, key, value, expires);

		CHECK_FOR_INTERRUPTS();
		switch (status)
		{
			case SM_FOUND:
			case SM_ABSENT:
				return true;
			case SM_GONE:
				call->ref = sm_ref_renew(call->ref);
				if (call->ref->map.id == SM_NO_MAP)
					sm_ref_make_map(call->ref);
				break;
			case SM_UNWATCHED:
				sm_ref_watch(call->ref);
				break;
			case SM_NO_MEMORY:
				if (++shortages > MAX_SHORTAGES ||
					!sm_make_room(map, key.len + value.len))
					return false;
				break;
			default:
				return false; /* SM_REFUSED */
		}
	}
}

/* When a key expires that is stored now. */
static int64
default_expiry(const sm_ref *ref)
{
	return ref->has_ttl ? sm_ttl_expires(&ref->ttl) : SM_NEVER;
}

/*
 * Computes a key's value and stores it, if it may.  Leaves it in the call; false if there
 * is none.
 */
static bool
load(sm_args *args, sm_bytes key)
{
	sm_call *call = args->call;
	Oid relid = call->ref->relid;
	sm_types types = call->ref->types;
	sm_moment moment;
	sm_bytes value;
	bool found;

	call->ref->map.reads.loads++;
	/* of before all that the loader reads */
	PushActiveSnapshot(GetTransactionSnapshot());
	moment = sm_moment_of(GetActiveSnapshot());
	found = sm_loader_run(call->ref, key, &value);

	/* code of users has run */
	call->ref = sm_ref_get(relid, args->acl);
	sm_ref_check_types(call->ref, &types);
	if (found && may_store(call, key))
		(void) store(call, key, value, default_expiry(call->ref), &moment);
	PopActiveSnapshot();
	if (found)
		sm_call_set_value(call, value);
	return found;
}

/* ---- one session computes ---- */

static void
make_tag(LOCKTAG *tag, Oid relid, sm_bytes key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, relid,
						 hash_bytes(key.data, (int) key.len), LOAD_LOCK);
}

static int
load_wait(Oid relid)
{
	sm_options options;

	sm_options_parse(GetForeignTable(relid)->options, &options);
	return options.load_wait;
}

/*
 * Waits until this session is the one that computes a key, or does so all the same since
 * it has waited long enough; *locked tells which.  Returns true if the value is there by
 * then.
 */
static bool
wait_turn(sm_args *args, sm_bytes key, const LOCKTAG *tag, bool *locked)
{
	sm_call *call = args->call;
	TimestampTz start = 0;
	long pause = FIRST_PAUSE;
	int longest = 0;

	while (!(*locked = sm_lock_at_once(tag, ExclusiveLock)))
	{
		if (start == 0)
		{
			start = GetCurrentTimestamp();
			call->ref->map.reads.load_waits++;
			longest = load_wait(call->ref->relid);
		}
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), longest))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause,
						 SM_WAIT_LOAD);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		pause = Min(2 * pause, LONGEST_PAUSE);
		if (find(call, key))
			return true;
	}
	/* it may have been computed between our look and the lock */
	return find(call, key);
}

/* The rest of fetch, for a key that the map does not have. */
static SM_NOINLINE bool
fetch_missing(sm_args *args, sm_bytes key)
{
	LOCKTAG tag;
	bool locked = false;
	bool found;

	/* others see nothing of what it computes, or it sees nothing of what others do */
	if (!may_store(args->call, key) || IsolationUsesXactSnapshot())
		return load(args, key);
	make_tag(&tag, args->call->ref->relid, key);
	found = wait_turn(args, key, &tag, &locked) || load(args, key);
	if (locked)
		(void) LockRelease(&tag, ExclusiveLock, false);
	return found;
}

/*
 * fetch(map, key) returns text, fetch(map, key, as) a value of that type: what the map
 * has, or its loader gives; NULL if that gives nothing.  Needs SELECT.
 *
 * Errors: 55000 the key is not there, and the map has no loader; what the loader raises;
 * 21000 it gives more than one row.
 */
static pg_attribute_always_inline Datum
do_fetch(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_call call;
	sm_args args;
	sm_bytes key;
	bool enabled;

	if (entry == SM_TYPED_ENTRY && (PG_ARGISNULL(0) || PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	enabled = sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry);
	key = sm_args_key(&args);
	sm_args_check_result(&args, entry == SM_TYPED_ENTRY && PG_NARGS() > 2 ? 2 : 0);
	if (!(enabled && find(&call, key)) && !fetch_missing(&args, key))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_fetch, do_fetch)

/* ---- leases ---- */

/* What a lease is, behind its length word. */
typedef struct sm_lease
{
	Oid database;
	Oid map;
	uint64 xmin;
	uint64 xmax;
	uint32 nrunning;
	TransactionId running[FLEXIBLE_ARRAY_MEMBER];
} sm_lease;

/*
 * lease(map) returns bytea: the moment of the statement that calls it.  What is read
 * from then on, by that statement or by later ones, may be stored with put_leased.  Needs
 * SELECT.
 */
Datum
syncmap_lease(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	sm_moment moment;
	sm_lease *lease;
	bytea *result;
	Size size;

	(void) sm_ref_get(relid, ACL_SELECT);
	moment = sm_moment_of(ActiveSnapshotSet() ? GetActiveSnapshot() :
												GetTransactionSnapshot());
	/* what it reads may be its own changes, which it may roll back */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) || RecoveryInProgress())
		moment = (sm_moment) {0};
	size = offsetof(sm_lease, running) + moment.nrunning * sizeof(TransactionId);
	result = palloc0(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	lease = palloc0(size);
	lease->database = MyDatabaseId;
	lease->map = relid;
	lease->xmin = moment.xmin;
	lease->xmax = moment.xmax;
	lease->nrunning = moment.nrunning;
	if (moment.nrunning > 0)
		memcpy(lease->running, moment.running, moment.nrunning * sizeof(TransactionId));
	memcpy(VARDATA(result), lease, size);
	PG_RETURN_BYTEA_P(result);
}

/* Reads a lease, in memory of its own.  Raises 22023 if it is none of this map. */
static sm_moment
read_lease(bytea *bytes, Oid relid)
{
	Size size = VARSIZE_ANY_EXHDR(bytes);
	sm_lease *lease = memcpy(palloc(Max(size, sizeof(sm_lease))), VARDATA_ANY(bytes), size);

	if (size < offsetof(sm_lease, running) || lease->database != MyDatabaseId ||
		lease->map != relid || lease->xmin > lease->xmax ||
		size != offsetof(sm_lease, running) + lease->nrunning * sizeof(TransactionId))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("that is no lease of map \"%s\"", get_rel_name(relid)),
				 errhint("Use what syncmap.lease has returned for it.")));
	return (sm_moment) {lease->xmin, lease->xmax, lease->nrunning, lease->running};
}

/*
 * put_leased(map, key, value, lease, ttl) returns boolean: true if the value was stored,
 * false if it may be older than a change of what it was computed from.  Needs INSERT and
 * UPDATE.
 */
static pg_attribute_always_inline Datum
do_put_leased(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	sm_args args;
	sm_moment moment;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");
	sm_check_not_null(fcinfo, 3, "lease");

	if (!sm_args_start(&args, &call, fcinfo, ACL_INSERT | ACL_UPDATE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	value = sm_args_value(&args, 2);
	sm_check_key(key);
	moment = read_lease(PG_GETARG_BYTEA_PP(3), call.ref->relid);
	expires = sm_args_expires(&args, 4);
	PG_RETURN_BOOL(may_store(&call, key) && store(&call, key, value, expires, &moment));
}

SM_ENTRIES(syncmap_put_leased, do_put_leased)
