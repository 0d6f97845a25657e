/*
 * extent.h
 *	  Large values: a chain of page runs outside the log.
 *
 * A run starts with one word that names the next run; the rest is the value's
 * bytes.  A run is named by its offset, which is a multiple of the page size,
 * with its number of pages in the low bits.
 */
#ifndef SM_EXTENT_H
#define SM_EXTENT_H

#include "arena.h"

extern uint64_t sm_extents_write(const sm_arena *arena, const void *value, uint64_t len,
								 uint64_t *npages);
extern void sm_extents_free(const sm_arena *arena, uint64_t run);
extern uint64_t sm_extent_read(const sm_arena *arena, uint64_t *run, void *to,
							   uint64_t len);
extern uint64_t sm_extent_equal(const sm_arena *arena, uint64_t *run, const void *bytes,
								uint64_t len);

#endif /* SM_EXTENT_H */
