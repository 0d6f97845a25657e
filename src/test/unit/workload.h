/*
 * workload.h
 *	  What readers, writers, and the others do at once to one map, and how
 *	  they know that what they see is right.  Threads and processes run it.
 *
 * Every key has one writer, which numbers what it does to the key.  A value
 * carries its key, that number, its map's id, and a checksum.  The ledger says
 * for each key what was begun and what was done last: a reader that looks into
 * it before its call and after knows what may come out.
 */
#ifndef SM_WORKLOAD_H
#define SM_WORKLOAD_H

#include "check.h"
#include "port_posix.h"

#define SM_MAX_ACTORS  16
#define SM_SHARED_KEYS 4 /* counters and tokens, each */

typedef enum sm_actor
{
	SM_WRITER,
	SM_READER,
	SM_RANGER,
	SM_CLEARER,
	SM_RECREATOR,
	SM_CLOCK,	   /* makes time pass */
	SM_MAINTAINER, /* the worker, in a hurry */
	SM_ACTORS
} sm_actor;

/*
 * A workload of that name.  In one with a quota keys also expire: any of them
 * may be gone at any time, but none comes back or is older than it was.  With
 * a quota of the whole arena the map has none of its own, and gives way.
 */
typedef struct sm_plan
{
	const char *name;
	uint32_t nkeys;
	uint32_t permanent; /* the first so many are never deleted */
	uint32_t shard_bits;
	uint64_t hash_mask;
	uint64_t arena_size;
	size_t longest;		   /* value */
	uint64_t quota;		   /* of a map that evicts, see below; 0: it does not */
	int actors[SM_ACTORS]; /* how many of each */
} sm_plan;

/*
 * An operation on a key in one word: its number, whether it left the key
 * deleted, and the map.
 */
static inline uint64_t
sm_note(uint64_t number, bool deleted, uint64_t map)
{
	return number << 24 | (uint64_t) deleted << 23 | (map & 0x7fffff);
}

static inline uint64_t
sm_note_number(uint64_t note)
{
	return note >> 24;
}

static inline bool
sm_note_deleted(uint64_t note)
{
	return note >> 23 & 1;
}

static inline uint64_t
sm_note_map(uint64_t note)
{
	return note & 0x7fffff;
}

/*
 * Notes of the operations begun last and done last.  The owner stores begun
 * before it calls and the others after that.
 */
typedef struct sm_ledger
{
	_Atomic uint64_t begun;
	_Atomic uint64_t done;
	_Atomic uint64_t began_at; /* when the operation done last was begun */
	_Atomic uint64_t ended_at; /* and when it was done */
} sm_ledger;

/* Everything that the actors share but the engine's memory itself. */
typedef struct sm_work
{
	const sm_plan *plan;
	uint64_t seed;
	_Atomic bool stop;

	_Atomic uint64_t map_id;	   /* the newest map's */
	_Atomic uint64_t dropping;	   /* maps up to this id are being destroyed, or are */
	_Atomic uint64_t dropped;	   /* maps up to this id are destroyed */
	_Atomic uint64_t cleared_from; /* when the last clear that has ended began */
	_Atomic uint64_t cleared_to;   /* when it ended; the end of time during a clear */

	_Atomic uint64_t counted[SM_SHARED_KEYS];	/* what the counters must hold */
	_Atomic uint64_t tokens_in[SM_SHARED_KEYS]; /* sums of the tokens put and taken */
	_Atomic uint64_t tokens_out[SM_SHARED_KEYS];

	_Atomic uint64_t operations[SM_MAX_ACTORS]; /* each actor's, for the report */
	_Atomic uint64_t shortages;
	sm_ledger ledger[];
} sm_work;

extern const sm_plan sm_plans[];

/* The plan of that name; ends the process if there is none. */
extern const sm_plan *sm_plan_find(const char *name);

/* How many actors a plan has, and which the i-th is. */
extern int sm_plan_actors(const sm_plan *plan);
extern sm_actor sm_plan_actor(const sm_plan *plan, int i, int *of_its_kind);

static inline bool
sm_plan_is_lossy(const sm_plan *plan)
{
	return plan->quota > 0;
}

/* Makes the shared state, the first map, and its permanent keys. */
extern sm_work *sm_work_begin(const sm_plan *plan, sm_host *host, uint64_t seed);

/* Runs the i-th actor until work->stop.  The engine is this thread's own copy. */
extern void sm_work_run(sm_work *work, const sm_engine *engine, int i);

/* With all actors gone: compares map and ledger, destroys the map, counts pages. */
extern void sm_work_end(sm_work *work, sm_host *host);

/* Draws other ratios, so that promotion and compaction change their ways. */
extern void sm_work_vary(sm_engine *engine, sm_rng *rng);

/* writer.c and reader.c */
extern void sm_run_writer(sm_work *work, sm_engine *engine, int self, int of_its_kind);
extern void sm_run_reader(sm_work *work, sm_engine *engine, int self);
extern void sm_run_ranger(sm_work *work, sm_engine *engine, int self);

/* value.c: a value, and what to check of it */
typedef struct sm_value
{
	uint64_t sum;
	uint64_t key;
	uint64_t number; /* of the operation */
	uint64_t map;
	int64_t expires; /* then at the latest; 0: it does not matter */
} sm_value;

extern size_t sm_key_make(void *to, uint64_t key);
extern uint64_t sm_key_read(const void *bytes, size_t len);
extern void sm_value_make(void *to, size_t len, sm_value head);
extern sm_value sm_value_read(const void *bytes, size_t len);
extern size_t sm_value_draw_len(sm_rng *rng, size_t longest);

#endif /* SM_WORKLOAD_H */
