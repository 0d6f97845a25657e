/*
 * arena.c
 *	  Page runs, and copying between the arena and private memory.
 */
#include "arena.h"

#include <string.h>

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

/* Copies len bytes in; the last word is filled up with zeros. */
void
sm_copy_in(sm_word *to, const void *from, uint64_t len)
{
	const char *bytes = from;
	uint64_t whole = len / 8;
	uint64_t word;

	for (uint64_t i = 0; i < whole; i++)
	{
		memcpy(&word, bytes + i * 8, 8);
		sm_store(&to[i], word);
	}
	if (len % 8 != 0)
	{
		word = 0;
		memcpy(&word, bytes + whole * 8, len % 8);
		sm_store(&to[whole], word);
	}
}

static inline void
copy_word_out(char *to, const sm_word *from)
{
	uint64_t word = sm_load(from);

	memcpy(to, &word, 8);
}

/*
 * Copies len bytes out.  They may be torn: the caller validates afterwards.  Four words
 * a turn, since no compiler joins atomic loads.
 */
void
sm_copy_out(void *to, const sm_word *from, uint64_t len)
{
	char *bytes = to;
	uint64_t whole = len / 8;
	uint64_t word;
	uint64_t i = 0;

	for (; i + 4 <= whole; i += 4)
	{
		copy_word_out(bytes + i * 8, &from[i]);
		copy_word_out(bytes + i * 8 + 8, &from[i + 1]);
		copy_word_out(bytes + i * 8 + 16, &from[i + 2]);
		copy_word_out(bytes + i * 8 + 24, &from[i + 3]);
	}
	for (; i < whole; i++)
		copy_word_out(bytes + i * 8, &from[i]);
	if (len % 8 != 0)
	{
		word = sm_load(&from[whole]);
		memcpy(bytes + whole * 8, &word, len % 8);
	}
}

/* Are the len bytes stored by sm_copy_in these ones? */
bool
sm_equal(const sm_word *stored, const void *bytes, uint64_t len)
{
	const char *given = bytes;
	uint64_t whole = len / 8;
	uint64_t word;

	for (uint64_t i = 0; i < whole; i++)
	{
		memcpy(&word, given + i * 8, 8);
		if (sm_load(&stored[i]) != word)
			return false;
	}
	if (len % 8 != 0)
	{
		word = 0;
		memcpy(&word, given + whole * 8, len % 8);
		if (sm_load(&stored[whole]) != word)
			return false;
	}
	return true;
}
