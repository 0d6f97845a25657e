/*
 * call.c
 *	  One operation on a map, repeated until its answer is final.
 */
#include "compat.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"

#include "call.h"
#include "shortage.h"

#define SM_PAGE_KB (SM_PAGE_SIZE / 1024)

/*
 * A call that had no memory this often does not get any.  After some tries it
 * waits between them, for random times of up to so many milliseconds: others may
 * hold what they have got so far of their own.
 */
#define MAX_SHORTAGES	  100
#define SHORTAGES_AT_ONCE 10
#define LONGEST_PAUSE	  50

char sm_scratch[SM_SCRATCH_SIZE] pg_attribute_aligned(8);

/*
 * Makes a call ready for its next key, in the map of a relation whose columns the
 * caller knows to be of these types.  Code of users may have run since the last one.
 * Errors: see sm_ref_resolve; 40001 the columns are of other types now.
 */
void
sm_call_begin(sm_call *call, Oid relid, const sm_types *types)
{
	/* it may have been looked up anew meanwhile, and be another map's by now */
	if (!sm_ref_fits(call->ref, relid, SM_ACL_MAP) ||
		call->ref->version != call->version)
	{
		call->ref = sm_ref_get(relid, 0);
		sm_ref_check_types(call->ref, types);
		call->version = call->ref->version;
	}
	sm_call_prepare(call);
}

/* Raises 53200. */
static void
out_of_memory(const sm_call *call)
{
	const sm_map *map = &call->ref->map;
	uint64 quota = sm_map_quota(map);

	if (sm_map_pages(map) + call->wanted / SM_PAGE_SIZE + 2 > quota)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("map \"%s\" is full", get_rel_name(call->ref->relid)),
			 errdetail("A key and value of " UINT64_FORMAT
					   " bytes do not fit: " UINT64_FORMAT " of its " UINT64_FORMAT
					   " kB are in use.",
					   call->wanted, sm_map_pages(map) * SM_PAGE_KB,
					   quota * SM_PAGE_KB),
			 map->evicts ?
				 errhint("Raise the map's option max_memory.") :
				 errhint(
					 "Delete keys, raise the map's option max_memory, or set its option eviction to 's3fifo'.")));
	ereport(
		ERROR,
		(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("syncmap is out of memory"),
		 errdetail("A key and value of " UINT64_FORMAT
				   " bytes do not fit: " UINT64_FORMAT " of " UINT64_FORMAT
				   " kB are free.",
				   call->wanted, sm_pg_pages_free() * SM_PAGE_KB,
				   sm_pg_engine.arena.size / 1024),
		 errhint(
			 "Delete keys or drop maps, or raise syncmap.memory and restart the server.")));
}

/* Frees a value that was too large for the scratch buffer. */
void
sm_call_free_value(sm_call *call)
{
	if (call->value.data != sm_scratch)
		pfree((char *) call->value.data - VARHDRSZ);
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;
}

static void
grow(sm_call *call)
{
	size_t len = call->value.len;

	sm_call_free_value(call);
	call->value.data = (char *) palloc(VARHDRSZ + len) + VARHDRSZ;
	call->value.size = len;
}

/* Has the call's value be these bytes, as if the engine had copied them out. */
void
sm_call_set_value(sm_call *call, sm_bytes value, int64 expires)
{
	call->value.len = value.len;
	call->value.expires = expires;
	if (value.len > call->value.size)
		grow(call);
	memcpy(call->value.data, value.data, value.len);
	call->value.len = value.len;
}

/* Waits a moment for others. */
static void
pause_shortage(int shortages)
{
	long ms = Min(shortages - SHORTAGES_AT_ONCE, LONGEST_PAUSE);

	if (ms <= 0)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1 +
						 (long) pg_prng_uint64_range(&pg_global_prng_state, 0,
													 (uint64) ms - 1),
					 SM_WAIT_MEMORY);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Raises 55000. */
static _Noreturn void
refuse_store(const sm_call *call)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("map \"%s\" is watched: a value cannot be stored without its snapshot",
				get_rel_name(call->ref->relid)),
		 errdetail("It might be older than a change of the table that it comes from."),
		 errhint(
			 "Use syncmap.fetch, or syncmap.lease and syncmap.put_leased; or set the map's option unchecked_puts.")));
	pg_unreachable();
}

/*
 * The call's map is not there, or not any more.  Finds it, or makes it for a call that
 * stores something.  For others all keys of a map that is not there are absent: true.
 * On a standby that is blind none is made for what it would refuse: after the promotion its
 * horizon would be older than what is prepared.
 */
static bool
is_without_map(sm_call *call)
{
	call->ref = sm_ref_renew(call->ref);
	if (call->ref->map.id != SM_NO_MAP)
		return false;
	if (call->stores && !call->ref->unchecked && sm_ref_is_blind(call->ref))
		refuse_store(call);
	if (call->stores)
		sm_ref_make_map(call->ref);
	else
		call->status = SM_ABSENT;
	return !call->stores;
}

/* The rest of sm_call_done. */
bool
sm_call_again(sm_call *call)
{
	CHECK_FOR_INTERRUPTS();
	switch (call->status)
	{
		case SM_TOO_SMALL:
			grow(call);
			break;
		case SM_GONE:
			return is_without_map(call);
		case SM_WATCHED:
			refuse_store(call);
		case SM_NO_MEMORY:
			if (++call->shortages > MAX_SHORTAGES ||
				!sm_make_room(&call->ref->map, call->wanted))
				out_of_memory(call);
			pause_shortage(call->shortages);
			break;
		default:
			elog(ERROR, "unexpected status %d of a map", (int) call->status);
	}
	return false;
}

/* The value that the engine has copied out, as a text. */
Datum
sm_call_text(sm_call *call)
{
	size_t len = call->value.len;
	text *result;

	if (call->value.data == sm_scratch)
	{
		result = palloc(VARHDRSZ + len);
		memcpy(VARDATA(result), sm_scratch, len);
	}
	else
		result = (text *) ((char *) call->value.data - VARHDRSZ);
	SET_VARSIZE(result, VARHDRSZ + len);

	return PointerGetDatum(result);
}

/* Raises 54000. */
void
sm_key_too_long(size_t len)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("key of %zu bytes is too long", len),
			 errdetail("A key has at most %d bytes.", SM_MAX_KEY),
			 errhint("Hash long keys, for example with sha256.")));
}
