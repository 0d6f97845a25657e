/*
 * fetch.c
 *	  Reading a map through to the tables behind it.
 *
 * A fetch gives what the map has, or has the map's loader compute it (loader.c), in a
 * snapshot that is taken before, and stores it if that snapshot covers the key: if no
 * transaction that has invalidated the key was in progress to it (C3).
 *
 * Not stored is what others must not see, or may not: in a transaction that has written
 * anything, and of keys that it has noted (C2); on a standby that hears of no
 * invalidation of the map (C5).
 *
 * A value that is there may be given if the transaction takes a snapshot for each
 * statement: it is not older than a commit that was before the call (C1).  In REPEATABLE
 * READ it is what the transaction's snapshot shows only if that covers the key; a
 * SERIALIZABLE one reads the tables, so that its reads are seen by others (C4).
 *
 * That there is no row is remembered as a value is, by the same rules, if the map's option
 * absent_ttl says so.
 *
 * Of the sessions that miss a key at once one computes it.  It holds a lock as
 * pg_advisory_lock does, which goes with it, however it ends; the others look again and
 * again, for so long as the map's option load_wait says, and then compute it themselves:
 * nobody waits for a lock, so there is no deadlock.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fetch.h"
#include "loader.h"
#include "options.h"
#include "shortage.h"

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

/* What is known of a key. */
typedef enum known
{
	UNKNOWN,
	VALUE,	/* it has the one that is in the call */
	NOTHING /* it has none */
} known;

/* Copies out what the map has for a key, if that may be given. */
static known
find(sm_call *call, sm_bytes key)
{
	sm_hidden hidden = SM_SHOWN;
	sm_status status;

	if (key.len > SM_MAX_KEY || sm_is_noted(call->ref->relid, key) ||
		sm_ref_is_blind(call->ref))
		return UNKNOWN;
	do
	{
		sm_map *map = &call->ref->map;

		if (likely(call->ref->absent_ttl == 0))
			status = sm_get(map, key, &call->value);
		else
			status = sm_get_hidden(map, key, SM_NEGATIVE, &call->value, &hidden);
	} while (!sm_call_done(call, status));
	if (call->status != SM_FOUND || !is_visible(call, key))
		return UNKNOWN;
	return hidden == SM_NEGATIVE ? NOTHING : VALUE;
}

/*
 * Copies out what the map has for a key, or what it had before the key was invalidated, if
 * that is still kept; *is_stale tells.  For a transaction that may store what it computes,
 * in READ COMMITTED.
 */
static bool
find_stale(sm_call *call, sm_bytes key, bool *is_stale)
{
	sm_hidden hidden = SM_SHOWN;

	if (call->ref->stale == 0)
		return false;
	while (!sm_call_done(call,
						 sm_get_hidden(&call->ref->map, key, SM_STALE, &call->value,
									   &hidden)))
		;
	*is_stale = hidden == SM_STALE;
	return call->status == SM_FOUND;
}

/* ---- what is computed ---- */

/* May this transaction store what it computes for a key? */
bool
sm_fetch_may_store(const sm_call *call, sm_bytes key)
{
	return sm_guc_enabled && key.len <= SM_MAX_KEY && !sm_ref_is_blind(call->ref) &&
		!IsInParallelMode() && !TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		!sm_is_noted(call->ref->relid, key);
}

/* Stores a value, or that there is none (NULL), if the moment covers its key. */
static sm_status
fill(sm_ref *ref, sm_bytes key, const sm_bytes *value, int64 expires, sm_moment *moment)
{
	sm_covers_fn covers = ref->watched ? sm_moment_covers : NULL;

	if (value == NULL)
		return sm_fill_nothing(&ref->map, key, expires, covers, moment);
	if (covers == NULL)
		return sm_put(&ref->map, key, *value, expires);
	return sm_fill(&ref->map, key, *value, expires, covers, moment);
}

/*
 * Stores a value that was computed at a moment, or that there is none (NULL), if the moment
 * covers its key.  Where there is no memory for it, it is not stored.  Errors: 53400, see
 * sm_ref_make_map.
 */
bool
sm_fetch_store(sm_call *call, sm_bytes key, const sm_bytes *value, int64 expires,
			   sm_moment *moment)
{
	int shortages = 0;

	for (;;)
	{
		sm_map *map = &call->ref->map;
		sm_status status = fill(call->ref, key, value, expires, moment);

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
					!sm_make_room(map, key.len + (value != NULL ? value->len : 0)))
					return false;
				break;
			default:
				return false; /* SM_REFUSED */
		}
	}
}

/*
 * Stores what has come of a computation, a value or none (NULL), if it may.  Returns when
 * that expires.
 */
static int64
store(sm_call *call, sm_bytes key, const sm_bytes *value, sm_moment *moment)
{
	const sm_ref *ref = call->ref;
	int64 expires = SM_NEVER;

	if ((value == NULL && ref->absent_ttl == 0) || !sm_fetch_may_store(call, key))
		return SM_NEVER;
	if (value == NULL)
		expires = GetCurrentTimestamp() + ref->absent_ttl;
	else if (ref->has_ttl)
		expires = sm_ttl_expires(&ref->ttl);
	(void) sm_fetch_store(call, key, value, expires, moment);
	return expires;
}

/*
 * Computes a key's value and stores it, if it may.  Leaves it in the call; false if there
 * is none.
 */
static bool
load(sm_args *args, sm_bytes key, const sm_query *query)
{
	sm_call *call = args->call;
	Oid relid = call->ref->relid;
	sm_types types = call->ref->types;
	sm_moment moment;
	sm_bytes value;
	bool found;
	int64 expires;

	call->ref->map.reads.loads++;
	/* what the snapshot sees, this session's catalog caches shall know */
	AcceptInvalidationMessages();
	/* of before all that the loader reads */
	PushActiveSnapshot(GetTransactionSnapshot());
	/*
	 * What a caller's query gives may be an argument, which any of the statements that are
	 * under way has read, or a cursor.  (C3)
	 */
	moment = query != NULL ? sm_moment_before_all() : sm_moment_of(GetActiveSnapshot());
	found = query != NULL ? sm_query_run(query, call->ref, key, &value) :
							sm_loader_run(call->ref, key, &value);

	/* code of users has run */
	call->ref = sm_ref_get(relid, args->acl);
	sm_ref_check_types(call->ref, &types);
	expires = store(call, key, found ? &value : NULL, &moment);
	PopActiveSnapshot();
	if (found)
		sm_call_set_value(call, value, expires);
	return found;
}

/* ---- one session computes ---- */

static void
make_tag(LOCKTAG *tag, Oid relid, sm_bytes key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, relid, hash_bytes(key.data, (int) key.len),
						 LOAD_LOCK);
}

/*
 * Waits until this session is the one that computes a key, or does so all the same since
 * it has waited long enough; *locked tells which.  Returns what is known by then.
 */
static known
wait_turn(sm_args *args, sm_bytes key, const LOCKTAG *tag, bool *locked)
{
	sm_call *call = args->call;
	TimestampTz start = 0;
	long pause = FIRST_PAUSE;
	int longest = 0;
	known what;

	while (!*locked && !(*locked = sm_lock_at_once(tag, ExclusiveLock)))
	{
		if (start == 0)
		{
			start = GetCurrentTimestamp();
			call->ref->map.reads.load_waits++;
			longest = call->ref->load_wait;
		}
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), longest))
			return UNKNOWN;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 pause, SM_WAIT_LOAD);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		pause = Min(2 * pause, LONGEST_PAUSE);
		what = find(call, key);
		if (what != UNKNOWN)
			return what;
	}
	/* it may have been computed between our look and the lock */
	return find(call, key);
}

/* The rest of fetch, for a key that the map does not know. */
static SM_NOINLINE bool
fetch_missing(sm_args *args, sm_bytes key, const sm_query *query, bool *is_stale)
{
	LOCKTAG tag;
	bool locked;
	known what;

	/* others see nothing of what it computes, or it sees nothing of what others do */
	if (!sm_fetch_may_store(args->call, key) || IsolationUsesXactSnapshot())
		return load(args, key, query);
	make_tag(&tag, args->call->ref->relid, key);
	locked = sm_lock_at_once(&tag, ExclusiveLock);
	if (!locked && is_stale != NULL && find_stale(args->call, key, is_stale))
		return true;
	what = wait_turn(args, key, &tag, &locked);
	if (what == UNKNOWN && load(args, key, query))
		what = VALUE;
	if (locked)
		(void) LockRelease(&tag, ExclusiveLock, false);
	return what == VALUE;
}

/*
 * Leaves the key's value in the call: what the map has, or its loader gives, or if query is
 * not NULL that.  Returns false if there is none.  Code of users may run; the call's
 * reference is good again afterwards.  enabled is sm_args_start's answer.  Unless is_stale is
 * NULL, it may also be what the map had before an invalidation, while another session
 * computes; that says so.
 *
 * Errors: 55000 the key is not there, and the map has no loader; 21000 it gives more than
 * one row; what it raises; those of sm_fetch_store, and of sm_query_run.
 */
bool
sm_fetch(sm_args *args, sm_bytes key, const sm_query *query, bool enabled,
		 bool *is_stale)
{
	known what = enabled ? find(args->call, key) : UNKNOWN;

	return what == VALUE ||
		(what == UNKNOWN && fetch_missing(args, key, query, is_stale));
}
