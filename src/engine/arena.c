/*
 * arena.c
 *	  Page runs.
 */
#include "arena.h"

#include "port.h"

/*
 * A run of npages pages, as its offset, or 0 when there is none so long.  Its
 * bytes are whatever they were: readers of its former use may still look at
 * them, but what comes from now on is ordered behind the release fence.  (R5)
 */
uint64_t
sm_pages_alloc(uint32_t npages)
{
	uint64_t offset = (uint64_t) sm_port_alloc_pages(npages) * SM_PAGE_SIZE;

	sm_fence_release();
	return offset;
}

/*
 * A run of want pages, or of as many as can be had, but not under least:
 * fragmentation costs speed, never a put.  Returns 0 if even that is not there.
 */
uint64_t
sm_pages_alloc_upto(uint32_t want, uint32_t least, uint32_t *got)
{
	for (uint32_t npages = want;; npages = npages / 2 > least ? npages / 2 : least)
	{
		uint64_t offset = sm_pages_alloc(npages);

		if (offset != 0 || npages <= least)
		{
			*got = npages;
			return offset;
		}
	}
}

/* One page of zeros, or 0. */
uint64_t
sm_page_alloc_zeroed(const sm_arena *arena)
{
	uint64_t offset = sm_pages_alloc(1);

	if (offset != 0)
	{
		sm_word *word = sm_at(arena, offset);

		for (int i = 0; i < SM_PAGE_WORDS; i++)
			atomic_store_explicit(&word[i], 0, memory_order_relaxed);
	}
	return offset;
}

/*
 * Gives a run back.  The word or version that its readers check has been
 * changed before; the fence orders that before the host's own stores into the
 * free pages.  (R5)
 */
void
sm_pages_free(uint64_t offset, uint32_t npages)
{
	sm_fence_release();
	sm_port_free_pages((uint32_t) (offset / SM_PAGE_SIZE), npages);
}
