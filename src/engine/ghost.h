/*
 * ghost.h
 *	  The keys that a shard has evicted lately, as fingerprints.
 *
 * A key that comes back soon after its eviction has shown that it was worth
 * keeping, and goes to the main queue at once (S3-FIFO's ghost queue).  What is
 * kept of a key is its tag, in a small table whose buckets are first-in,
 * first-out: two keys with one tag, or one forgotten early, cost a hit at most.
 *
 * All of this is called under the shard's lock, exclusive.
 */
#ifndef SM_GHOST_H
#define SM_GHOST_H

#include "arena.h"

/* In a shard's control block. */
typedef struct sm_ghosts
{
	uint64_t root;		/* the only page, or a directory of pages; 0: none */
	uint64_t npages;	/* of fingerprints */
	bool has_directory; /* root is one */
} sm_ghosts;

/* The pages that the table holds. */
static inline uint64_t
sm_ghosts_pages(const sm_ghosts *ghosts)
{
	return ghosts->npages + ghosts->has_directory;
}

extern void sm_ghosts_fit(const sm_arena *arena, sm_ghosts *ghosts, uint64_t keys);
extern void sm_ghosts_add(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag);
extern bool sm_ghosts_has(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag);
extern void sm_ghosts_forget(const sm_arena *arena, const sm_ghosts *ghosts,
							 uint32_t tag);
extern void sm_ghosts_free(const sm_arena *arena, sm_ghosts *ghosts);

#endif /* SM_GHOST_H */
