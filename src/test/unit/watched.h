/*
 * watched.h
 *	  What the tests of watched maps share: maps, and snapshots of a host's transactions.
 */
#ifndef SM_WATCHED_H
#define SM_WATCHED_H

#include "check.h"
#include "port.h"
#include "port_posix.h"

#define WATCHED 100 /* the horizon that maps start with here */
#define LARGE	20000

static sm_host host;

static inline sm_bytes
key_of(const uint64_t *number)
{
	return (sm_bytes) {number, sizeof(*number)};
}

/* ---- a snapshot of transactions ---- */

#define MAX_RUNNING 16

/* Sees what ended before next, but for those that were running. */
typedef struct view
{
	uint64_t oldest; /* of those, or next */
	uint64_t next;
	int nrunning;
	uint64_t running[MAX_RUNNING];
} view;

static inline bool
sees(const view *v, uint64_t id)
{
	for (int i = 0; i < v->nrunning; i++)
	{
		if (v->running[i] == id)
			return false;
	}
	return id < v->next;
}

static inline bool
covers_stripe(const view *v, const sm_stripe *stripe)
{
	for (int i = 0; i < SM_FENCES; i++)
	{
		if (stripe->fence[i] != 0 && !sees(v, stripe->fence[i]))
			return false;
	}
	return v->oldest > stripe->horizon;
}

static inline bool
covers(void *arg, const sm_fences *fences)
{
	const view *v = arg;

	sm_check(sm_host_held == 1, "C3: coverage is asked for without the lock");
	return v->oldest > fences->horizon && covers_stripe(v, &fences->stripe[0]) &&
		covers_stripe(v, &fences->stripe[1]);
}

/* A view to which all before that have ended. */
static inline view
after(uint64_t next)
{
	return (view) {.oldest = next, .next = next};
}

/* One to which that one has not. */
static inline view
without(uint64_t id, uint64_t next)
{
	return (view) {.oldest = id, .next = next, .nrunning = 1, .running = {id}};
}

/* ---- maps ---- */

static uint32_t fresh;

static inline sm_map
make_map(uint32_t shard_bits, uint64_t hash_mask)
{
	sm_map map;

	sm_host_create(&host, 16 << 20, 1U << shard_bits, -1, 5);
	host.engine.hash_mask = hash_mask;
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, shard_bits);
	sm_map_create(&map);
	return map;
}

static inline void
drop_map(sm_map *map)
{
	sm_map_destroy(map);
	sm_check(sm_host_free_pages() == fresh, "M1: %u pages are free, not %u",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
}

#endif /* SM_WATCHED_H */
