/*
 * moment.c
 *	  What a snapshot of PostgreSQL sees, for the engine to compare with fences.
 *
 * XidInMVCCSnapshot asks the same of a transaction, but may have to read pg_subtrans for
 * it.  This one is asked under a shard's lock: fences are numbers of top transactions,
 * and of these a snapshot that was not taken during recovery has all that were running.
 */
#include "compat.h"

#include "access/transam.h"
#include "utils/snapmgr.h"

#include "moment.h"

/* The whole number of a transaction that is not later than the next one. */
static uint64
whole_id(TransactionId xid, uint64 next)
{
	return next - (uint32) ((uint32) next - xid);
}

/* The same of one that is no later than now. */
uint64
sm_moment_whole(TransactionId xid)
{
	return whole_id(xid, U64FromFullTransactionId(ReadNextFullTransactionId()));
}

/* The moment of a snapshot, as long as that is there. */
sm_moment
sm_moment_of(Snapshot snapshot)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());

	if (snapshot->takenDuringRecovery)
		return (sm_moment) {0};
	return (sm_moment) {.xmin = whole_id(snapshot->xmin, next),
						.xmax = whole_id(snapshot->xmax, next),
						.nrunning = snapshot->xcnt,
						.running = snapshot->xip};
}

/* A moment that was before all snapshots that this transaction has. */
sm_moment
sm_moment_before_all(void)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64 xmin = whole_id(TransactionXmin, next);

	return (sm_moment) {.xmin = xmin, .xmax = xmin};
}

static bool
had_ended(const sm_moment *moment, uint64 id)
{
	if (id < moment->xmin)
		return true;
	if (id >= moment->xmax)
		return false;
	for (uint32 i = 0; i < moment->nrunning; i++)
	{
		if (moment->running[i] == (TransactionId) id)
			return false;
	}
	return true;
}

/* The same of all that have a fence in a stripe, or had one that was pushed out. */
static bool
all_had_ended(const sm_moment *moment, const sm_stripe *stripe)
{
	if (stripe->horizon >= moment->xmin)
		return false;
	for (int i = 0; i < SM_FENCES; i++)
	{
		if (stripe->fence[i] != 0 && !had_ended(moment, stripe->fence[i]))
			return false;
	}
	return true;
}

/*
 * Had all that stands in the way of a fill ended at the moment?  Then the moment sees
 * what they have done, or they have done nothing.  An sm_covers_fn.  (C3)
 */
bool
sm_moment_covers(void *moment, const sm_fences *fences)
{
	const sm_moment *m = moment;

	return fences->horizon < m->xmin && all_had_ended(m, &fences->stripe[0]) &&
		all_had_ended(m, &fences->stripe[1]);
}
