/*
 * scenario.h
 *	  Small scenarios for the explorer: what is in a map, and what actors do.
 *
 * Keys and versions are small numbers; each version of a key has a value of
 * its own.  Map 1 is there at first and may make room for map 2 in its shard;
 * another map has the second shard, and one of which snapshots are taken the next two.
 */
#ifndef SM_SCENARIO_H
#define SM_SCENARIO_H

#include "history.h"
#include "scheduler.h"

#define SM_KEYS		 12	 /* that are watched */
#define SM_FILLER	 100 /* the first of those that only fill */
#define SM_ALL_KEYS	 440 /* all are below */
#define SM_VERSIONS	 10
#define SM_MAPS		 4
#define SM_OTHER_MAP 3
#define SM_WIDE_MAP	 4 /* of two shards */
#define SM_OPS		 8

typedef struct sm_op
{
	sm_kind kind;
	int key;
	int version;
	uint64_t map; /* 0 is 1 */
} sm_op;

typedef struct sm_scenario
{
	const char *name;
	int preemptions;
	int phases;				/* 0 is 1 */
	bool one_bucket;		/* the hash is constant */
	uint32_t promote_ratio; /* while it is explored */
	uint32_t compact_ratio; /* 0 is 30 */
	void (*prepare)(int phase);
	size_t lens[SM_VERSIONS]; /* of values; 0 is 40 */
	sm_op ops[SM_EXPLORER_ACTORS][SM_OPS];
} sm_scenario;

/* The last one has no name. */
extern const sm_scenario sm_scenarios[];

/* Keys of SM_WIDE_MAP's first shard, and of its second. */
#define SM_FIRST_KEY  0
#define SM_SECOND_KEY 2

/* explorer.c: stores a key's version before the actors begin */
extern void sm_prepare_put(uint64_t map, int key, int version);

/* explorer.c: watches map 1, which keeps what it has; fences a key that nobody fills */
extern void sm_prepare_watch(void);
extern void sm_prepare_fence(int key);

#endif /* SM_SCENARIO_H */
