/*
 * trial.h
 *	  Random operations on a map whose keys expire and may be evicted, against
 *	  a naive record of every key.
 *
 * A record says what a key was given last and when that expires.  Without
 * eviction the map must agree with it exactly.  A key that may be evicted may
 * also vanish, and is then absent until it is put again; as long as it is
 * there, it has what it was given last.
 */
#ifndef SM_TRIAL_H
#define SM_TRIAL_H

#include "check.h"
#include "map.h"

#define SM_TRIAL_LONGEST (128 << 10) /* value */

typedef struct sm_record
{
	sm_bytes key;
	bool there;		/* it was put, and was not seen to be gone since */
	sm_bytes value; /* somewhere in the trial's random bytes */
	int64_t expires;
	int hidden;			   /* what is, if the key is not there, or 0; it may vanish */
	sm_bytes hidden_value; /* what it had before */
	int64_t hidden_until;
	bool seen; /* by an iteration */
} sm_record;

/* Statistics of all shards, added up. */
typedef struct sm_sums
{
	uint64_t counts[SM_COUNTERS];
	uint64_t entries;
	uint64_t hidden;
	uint64_t pages;
} sm_sums;

typedef struct sm_trial
{
	sm_map map;
	sm_rng rng;
	bool vanishes;	   /* its keys may be evicted */
	sm_map *gives_way; /* evicted from when there is no memory, or NULL */
	size_t longest;	   /* value */
	int64_t stale;	   /* microseconds that what is invalidated is kept */
	uint32_t nkeys;
	sm_record *records;
	char *key_bytes;
	char title[160]; /* of the run, should it fail */
	sm_sums sums;	 /* after the step before */

	/* for the report */
	uint64_t operations;
	uint64_t shortages;
	uint64_t vanished;
	uint64_t found_hidden;
} sm_trial;

/* Makes the map and draws its keys. */
extern void sm_trial_begin(sm_trial *trial, const sm_engine *engine, uint64_t id,
						   uint32_t first_shard, uint32_t shard_bits, uint32_t nkeys,
						   uint64_t seed);

/* Keys may be invalidated, and what they had is kept for so long.  Of a new map. */
extern void sm_trial_watch(sm_trial *trial, int64_t stale);

/* Frees the records; the map is the caller's to destroy. */
extern void sm_trial_end(sm_trial *trial);

/* One random operation, on a key or on the whole map, and what must hold then. */
extern void sm_trial_step(sm_trial *trial);

/* All keys, one by one and in an iteration, and their number. */
extern void sm_trial_check(sm_trial *trial);

extern void sm_trial_maintain(sm_trial *trial);
extern void sm_trial_clear(sm_trial *trial);

/* Lets every key expire, and the clock go on until all have. */
extern void sm_trial_expire_all(sm_trial *trial);

extern sm_sums sm_sum_stats(const sm_map *map);

/* A map is not over its quota, but for a few pages.  Returns how many. */
extern uint64_t sm_check_quota(const sm_map *map);

#endif /* SM_TRIAL_H */
