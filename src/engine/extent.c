/*
 * extent.c
 *	  Large values: a chain of page runs outside the log.
 *
 * A chain is written before its entry is linked and freed after its entry is
 * unlinked, so nobody's lock is needed for either: until the one and after the
 * other no reader's validation succeeds.  (R5)
 */
#include "extent.h"

static inline uint64_t
run_offset(uint64_t run)
{
	return run & ~(uint64_t) (SM_PAGE_SIZE - 1);
}

static inline uint64_t
run_pages(uint64_t run)
{
	return run & (SM_PAGE_SIZE - 1);
}

/*
 * Copies a value of len > 0 bytes into new runs, *npages in all.  Returns the
 * first, or 0 when there is no memory, and then has given back what it took.
 */
uint64_t
sm_extents_write(const sm_arena *arena, const void *value, uint64_t len,
				 uint64_t *npages)
{
	uint64_t first = 0;
	sm_word *link = NULL;
	const char *from = value;

	*npages = 0;
	while (len > 0)
	{
		uint64_t want = (len + 8 + SM_PAGE_SIZE - 1) / SM_PAGE_SIZE;
		uint64_t part;
		uint64_t offset;
		uint32_t got;

		offset = sm_pages_alloc_upto(want < SM_MAX_RUN ? (uint32_t) want : SM_MAX_RUN,
									 1, &got);
		if (offset == 0)
		{
			sm_extents_free(arena, first);
			return 0;
		}

		*npages += got;
		sm_store(sm_at(arena, offset), 0);
		if (link == NULL)
			first = offset | got;
		else
			sm_store(link, offset | got);
		link = sm_at(arena, offset);

		part = (uint64_t) got * SM_PAGE_SIZE - 8;
		if (part > len)
			part = len;
		sm_copy_in(link + 1, from, part);
		from += part;
		len -= part;
	}
	return first;
}

/* Gives a chain's pages back; 0 is an empty chain. */
void
sm_extents_free(const sm_arena *arena, uint64_t run)
{
	while (run != 0)
	{
		uint64_t next = sm_load(sm_at(arena, run_offset(run)));

		sm_pages_free(run_offset(run), (uint32_t) run_pages(run));
		run = next;
	}
}

/*
 * Copies up to len bytes from *run and steps to the next run.  Returns how
 * many, or 0 if *run is no run: a reader without a lock may hold garbage, and
 * validates before it believes either.  (R4)
 */
uint64_t
sm_extent_read(const sm_arena *arena, uint64_t *run, void *to, uint64_t len)
{
	uint64_t offset = run_offset(*run);
	uint64_t npages = run_pages(*run);
	uint64_t part = npages * SM_PAGE_SIZE - 8;

	if (offset == 0 || npages == 0 || npages > SM_MAX_RUN ||
		!sm_in_arena(arena, offset, npages * SM_PAGE_SIZE))
		return 0;
	if (part > len)
		part = len;
	sm_copy_out(to, sm_at(arena, offset) + 1, part);
	*run = sm_load(sm_at(arena, offset));
	return part;
}

/*
 * Compares like sm_extent_read copies: returns how many bytes are equal, or 0
 * if they are not.  For a writer that holds the lock.
 */
uint64_t
sm_extent_equal(const sm_arena *arena, uint64_t *run, const void *bytes, uint64_t len)
{
	uint64_t offset = run_offset(*run);
	uint64_t part = run_pages(*run) * SM_PAGE_SIZE - 8;

	if (part > len)
		part = len;
	if (!sm_equal(sm_at(arena, offset) + 1, bytes, part))
		return 0;
	*run = sm_load(sm_at(arena, offset));
	return part;
}
