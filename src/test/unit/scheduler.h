/*
 * scheduler.h
 *	  Runs a few actors, which execute the real engine, in every order.
 *
 * The actors are coroutines in one thread, so memory is sequentially
 * consistent here; orderings of weaker memories are not explored.  A switch
 * happens before an access to shared memory, or at a lock.  All schedules are
 * run that have up to a number of preemptions: switches away from an actor
 * that could have gone on.  Switches from one that waits or has ended are free.
 *
 * An access that no other actor's access conflicts with commutes with all that
 * the others do, so a preemption before it is as good as one before the next
 * access that does conflict.  Only the latter are tried.  Which ones conflict
 * is learnt from the schedules; they are run again until nothing new is learnt.
 */
#ifndef SM_SCHEDULER_H
#define SM_SCHEDULER_H

#include "map.h"

#define SM_EXPLORER_ACTORS 4
#define SM_EXPLORER_SHARDS 4

/* The engine over the scheduler's own memory. */
extern sm_engine *sm_scheduler_engine(void);

/* Empties the memory.  From now on calls are made by nobody in particular. */
extern void sm_scheduler_reset(void);

/* The i-th of n actors runs act(i) once in each schedule. */
typedef struct sm_exploration
{
	int actors;
	int preemptions;
	bool scribble; /* free pages are overwritten at once */
	void (*begin)(void);
	void (*act)(int i);
	bool (*check)(void); /* after each schedule; false ends the exploration */
} sm_exploration;

/*
 * Explores from the memory as it is now, and leaves it so.  Returns how many
 * different schedules were run; *violated says that a check failed, or that
 * the actors waited for each other.
 */
extern uint64_t sm_explore(const sm_exploration *exploration, bool *violated);

/* An actor calls it where it begins an operation: others may come before. */
extern void sm_scheduler_boundary(void);

/* A moment in the schedule; later ones are larger. */
extern int sm_scheduler_now(void);

/* Prints the preemptions of the schedule that ran last. */
extern void sm_scheduler_print(void);

#endif /* SM_SCHEDULER_H */
