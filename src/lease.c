/*
 * lease.c
 *	  Leases: moments from which on a client reads what it is going to store.
 *
 * A lease says which transactions had ended before any snapshot that its transaction
 * still had: what is read afterwards sees what they did.  It says no more than the least
 * of these snapshots' xmin, since a value may come from any of them: of a cursor that was
 * opened before, or of the statement that calls a function that takes the lease.
 *
 * A value may also be a change of the transaction's own, which it may roll back.  So a
 * lease is void when its transaction has written anything, and as long as that may still
 * do so it is good in its own session only, which knows whether it has.  (C2)
 */
#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/shmem.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "lease.h"

/* The leases that one backend after the other has given in a place, by their numbers. */
typedef struct sm_leases
{
	pg_atomic_uint64 given; /* the last one */
	pg_atomic_uint64 spent; /* those up to it are void */
	pg_atomic_uint64 open;	/* from it on their transaction goes on; 0: none does */
} sm_leases;

/*
 * Numbers of leases and of transactions may be those of another server that this one was a
 * standby of, or of this one before a crash: a random number tells them apart.
 */
typedef struct sm_leases_shared
{
	uint32 start;
	sm_leases of[FLEXIBLE_ARRAY_MEMBER];
} sm_leases_shared;

/* What a lease is, behind its length word. */
typedef struct sm_lease
{
	Oid database;
	Oid map;
	uint32 place;
	uint32 start; /* of the server, see sm_leases_shared */
	uint64 number;
	uint64 xmin; /* 0: it covers nothing */
} sm_lease;

static sm_leases_shared *shared;
static bool given_here = false; /* in this transaction */

static Size
shared_size(void)
{
	return add_size(offsetof(sm_leases_shared, of),
					mul_size(MaxBackends, sizeof(sm_leases)));
}

/* Asks for shared memory; runs in shmem_request_hook. */
void
sm_lease_request(void)
{
	RequestAddinShmemSpace(shared_size());
}

/* Runs in shmem_startup_hook, with AddinShmemInitLock held. */
void
sm_lease_startup(void)
{
	bool found;

	shared = ShmemInitStruct("syncmap leases", shared_size(), &found);
	if (found)
		return;
	if (!pg_strong_random(&shared->start, sizeof(shared->start)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("syncmap could not generate a random number")));
	for (int i = 0; i < MaxBackends; i++)
	{
		pg_atomic_init_u64(&shared->of[i].given, 0);
		pg_atomic_init_u64(&shared->of[i].spent, 0);
		pg_atomic_init_u64(&shared->of[i].open, 0);
	}
}

/* The end of the transaction.  May not throw. */
static void
at_xact_end(XactEvent event, void *arg)
{
	sm_leases *mine;

	if (!given_here ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		 event != XACT_EVENT_PREPARE))
		return;
	mine = &shared->of[SM_MY_SLOT];
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		pg_atomic_write_u64(&mine->spent, pg_atomic_read_u64(&mine->given));
	/* whoever sees it closed sees what is void (C2) */
	pg_write_barrier();
	pg_atomic_write_u64(&mine->open, 0);
	given_here = false;
}

/* Installs the callback.  Called once, while we are loaded. */
void
sm_lease_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
}

/* A lease of a map, of now; is_good: something may be stored by it. */
bytea *
sm_lease_give(Oid map, bool is_good)
{
	sm_leases *mine = &shared->of[SM_MY_SLOT];
	sm_lease lease = {.database = MyDatabaseId,
					  .map = map,
					  .place = SM_MY_SLOT,
					  .start = shared->start};
	bytea *result = palloc(VARHDRSZ + sizeof(lease));

	lease.number = pg_atomic_read_u64(&mine->given) + 1;
	if (!given_here)
		pg_atomic_write_u64(&mine->open, lease.number);
	given_here = true;
	pg_write_barrier();
	pg_atomic_write_u64(&mine->given, lease.number);
	if (is_good && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		lease.xmin = sm_moment_before_all().xmin;

	SET_VARSIZE(result, VARHDRSZ + sizeof(lease));
	memcpy(VARDATA(result), &lease, sizeof(lease));
	return result;
}

/* Is it void, or may it become so while its transaction goes on? */
static bool
is_void(const sm_lease *lease)
{
	sm_leases *its = &shared->of[lease->place];
	uint64 open = pg_atomic_read_u64(&its->open);

	if (open != 0 && lease->number >= open)
		return lease->place != (uint32) SM_MY_SLOT;
	pg_read_barrier();
	return lease->number <= pg_atomic_read_u64(&its->spent) ||
		lease->number > pg_atomic_read_u64(&its->given);
}

/*
 * The moment of a lease.  Returns false if nothing that was read since may be stored.
 * Raises 22023 if it is none of this map.
 */
bool
sm_lease_read(bytea *bytes, Oid map, sm_moment *moment)
{
	sm_lease lease = {0};

	if (VARSIZE_ANY_EXHDR(bytes) == sizeof(lease))
		memcpy(&lease, VARDATA_ANY(bytes), sizeof(lease));
	if (lease.database != MyDatabaseId || lease.map != map ||
		(lease.start == shared->start &&
		 (lease.place >= (uint32) MaxBackends ||
		  lease.xmin > U64FromFullTransactionId(ReadNextFullTransactionId()))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("that is no lease of map \"%s\"", get_rel_name(map)),
				 errhint("Use what syncmap.lease has returned for it.")));
	*moment = (sm_moment) {.xmin = lease.xmin, .xmax = lease.xmin};
	return lease.xmin != 0 && lease.start == shared->start && !is_void(&lease);
}
