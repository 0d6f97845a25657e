/*
 * moment.h
 *	  What a snapshot of PostgreSQL sees, for the engine to compare with fences.
 */
#ifndef SM_MOMENT_H
#define SM_MOMENT_H

#include "utils/snapshot.h"

#include "engine/map.h"

/* Numbers of transactions, 64 bits as the fences'. */
typedef struct sm_moment
{
	uint64 xmin;	 /* all below have ended; 0: nothing is known to have */
	uint64 xmax;	 /* none from here on had */
	uint32 nrunning; /* of those in between had not */
	const TransactionId *running;
} sm_moment;

extern uint64 sm_moment_whole(TransactionId xid);
extern sm_moment sm_moment_of(Snapshot snapshot);
extern sm_moment sm_moment_before_all(void);
extern bool sm_moment_covers(void *moment, const sm_fences *fences);

#endif /* SM_MOMENT_H */
