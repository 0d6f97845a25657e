/*
 * mark.h
 *	  Marks: how often an entry was used since eviction last came by.
 *
 * A mark is a byte of an array outside the arena, found by the entry's offset,
 * so that a reader that marks an entry that is no longer there does no harm:
 * some other entry looks better than it is.  Small neighbours share one.
 *
 * A mark stops at SM_MARK_MAX: the readers of a hot key soon write no more
 * (M4).  Marks are hints; two that are made at once may count as one.
 */
#ifndef SM_MARK_H
#define SM_MARK_H

#include "arena.h"

#define SM_MARK_BYTES 64 /* bytes of the arena that share a mark */
#define SM_MARK_MAX	  3

typedef _Atomic uint8_t sm_mark;

static inline unsigned
sm_mark_get(const sm_mark *marks, uint64_t entry)
{
	return atomic_load_explicit(&marks[entry / SM_MARK_BYTES], memory_order_relaxed);
}

static inline void
sm_mark_set(sm_mark *marks, uint64_t entry, unsigned mark)
{
	atomic_store_explicit(&marks[entry / SM_MARK_BYTES], (uint8_t) mark,
						  memory_order_relaxed);
}

static inline void
sm_mark_use(sm_mark *marks, uint64_t entry)
{
	unsigned mark = sm_mark_get(marks, entry);

	if (mark < SM_MARK_MAX)
		sm_mark_set(marks, entry, mark + 1);
}

#endif /* SM_MARK_H */
