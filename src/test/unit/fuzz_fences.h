/*
 * fuzz_fences.h
 *	  The fuzzer's host of watched maps: its transactions, moments of theirs, and which
 *	  fills these must not, or must, allow.
 */
#ifndef SM_FUZZ_FENCES_H
#define SM_FUZZ_FENCES_H

#include "check.h"
#include "map.h"

#define SM_FUZZ_RUNNING 8	  /* transactions at once */
#define SM_FUZZ_FENCED	32768 /* that are remembered of a map */
#define SM_FUZZ_ALL		UINT32_MAX

/* Sees what ended before next, but for those that were running. */
typedef struct sm_fuzz_moment
{
	uint64_t oldest; /* of those, or next */
	uint64_t next;
	uint32_t nrunning;
	uint64_t running[SM_FUZZ_RUNNING];
} sm_fuzz_moment;

/* What has been fenced of a map since it is watched. */
typedef struct sm_fuzz_log
{
	bool watched;
	uint64_t horizon;
	uint64_t greatest;
	uint32_t n;
	struct
	{
		uint32_t key; /* or SM_FUZZ_ALL */
		uint64_t id;
	} fenced[SM_FUZZ_FENCED];
} sm_fuzz_log;

/* No transaction has ever been. */
extern void sm_fuzz_start(void);

/* Begins a transaction, or ends one, as the number says. */
extern void sm_fuzz_turn(uint32_t how);

extern uint64_t sm_fuzz_last(void);
extern sm_fuzz_moment sm_fuzz_now(void);

/* One that runs, and is about to fence; one is begun if there is none. */
extern uint64_t sm_fuzz_fencer(uint32_t how);

/* An sm_covers_fn, of a moment, and an sm_ended_fn. */
extern bool sm_fuzz_covers(void *moment, const sm_fences *fences);
extern uint64_t sm_fuzz_ended(void);

extern void sm_fuzz_forget(sm_fuzz_log *log);
extern void sm_fuzz_note(sm_fuzz_log *log, uint32_t key, uint64_t id);

/* Would a fill of a moment be older than an invalidation?  (C3) */
extern bool sm_fuzz_is_forbidden(const sm_fuzz_log *log, uint32_t key,
								 const sm_fuzz_moment *moment);

/* Is it later than all that could stand in its way? */
extern bool sm_fuzz_is_free(const sm_fuzz_log *log, const sm_fuzz_moment *moment);

#endif /* SM_FUZZ_FENCES_H */
