/*
 * ended.c
 *	  Which of the transactions that have fenced keys have ended.
 *
 * There is no room for the fences of all, and one that is pushed out must not stand in the
 * way of fills for longer than it has to: compared with the xmin of their snapshots it would
 * for as long as any transaction that is older stays open.  So each that is about to fence
 * keys publishes its number here, and retracts it when it has ended; and the engine
 * forgets the fences of those that have, where it needs the room (shard_fence.c).
 *
 * A session that dies leaves a number, at worst, until the next one in its place has
 * one: fills are refused meanwhile that could be stored (C6).
 */
#include "compat.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"

#include "ended.h"
#include "moment.h"

typedef struct sm_ended_shared
{
	pg_atomic_uint64 prepared; /* the greatest number that was, or may be, prepared */
	pg_atomic_uint64 fencing[FLEXIBLE_ARRAY_MEMBER]; /* for each backend, or 0 */
} sm_ended_shared;

static sm_ended_shared *shared;

/* All that had lesser numbers had ended before this session's transaction fenced anything. */
static uint64 oldest;

static Size
shared_size(void)
{
	return add_size(offsetof(sm_ended_shared, fencing),
					mul_size(MaxBackends, sizeof(pg_atomic_uint64)));
}

/* Asks for shared memory; runs in shmem_request_hook. */
void
sm_ended_request(void)
{
	RequestAddinShmemSpace(shared_size());
}

/* Runs in shmem_startup_hook, with AddinShmemInitLock held. */
void
sm_ended_startup(void)
{
	bool found;

	shared = ShmemInitStruct("syncmap ended", shared_size(), &found);
	if (found)
		return;
	pg_atomic_init_u64(&shared->prepared, 0);
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u64(&shared->fencing[i], 0);
}

static void
raise_prepared(uint64 id)
{
	uint64 greatest = pg_atomic_read_u64(&shared->prepared);

	while (greatest < id &&
		   !pg_atomic_compare_exchange_u64(&shared->prepared, &greatest, id))
		;
}

/*
 * This transaction, with that number, which has had a snapshot, is about to fence keys.  If
 * it may be prepared, it will have no place here then, and stays known as one of all up to
 * the greatest.
 */
void
sm_ended_publish(uint64 id, bool will_prepare)
{
	if (will_prepare)
		raise_prepared(id);
	oldest = sm_moment_whole(RecentXmin);
	/* the lock under which it fences makes it known to whoever meets the fence (C3) */
	pg_atomic_write_u64(&shared->fencing[SM_MY_SLOT], id);
}

/* This session's transaction has ended, to every snapshot that is taken from now on. */
void
sm_ended_retract(void)
{
	/* whoever sees it retracted, and ends later, has ended after it to every snapshot (C3) */
	pg_write_barrier();
	pg_atomic_write_u64(&shared->fencing[SM_MY_SLOT], 0);
}

/*
 * On a standby a transaction of the primary, with that number, is about to fence keys.  It
 * may be prepared, and outlive a promotion.
 */
void
sm_ended_replayed(uint64 id)
{
	raise_prepared(id);
}

/* An sm_ended_fn, for a transaction that has published its number. */
uint64
sm_ended_below(void)
{
	uint64 below = UINT64_MAX;

	for (int i = 0; i < MaxBackends; i++)
	{
		uint64 id = pg_atomic_read_u64(&shared->fencing[i]);

		if (id != 0 && id < below)
			below = id;
	}
	/*
	 * Of those that were prepared no more is known than that there may be some.  They are
	 * told of before they are retracted, so we look here last.  (C3)
	 */
	pg_read_barrier();
	if (pg_atomic_read_u64(&shared->prepared) >= oldest && oldest < below)
		below = oldest;
	return below;
}
