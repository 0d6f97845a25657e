/*
 * ghost.c
 *	  The keys that a shard has evicted lately, as fingerprints.
 */
#include "ghost.h"

#include "index.h"

/* A bucket is a line of 16 fingerprints, two a word; the newest comes first. */
#define BUCKET_WORDS 8
#define PAGE_BUCKETS (SM_PAGE_WORDS / BUCKET_WORDS)
#define PAGE_GHOSTS	 (SM_PAGE_WORDS * 2)
#define MAX_PAGES	 SM_PAGE_WORDS

/* It grows by no more at once: the pages are zeroed under the lock (W5). */
#define PAGES_AT_ONCE 16

/* Not 0, which is an empty place. */
static uint64_t
fingerprint(uint32_t tag)
{
	return (uint64_t) tag + 1;
}

static sm_word *
bucket_of(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag)
{
	uint64_t bucket = tag * ghosts->npages * PAGE_BUCKETS >> SM_TAG_BITS;
	uint64_t page = ghosts->root;

	if (ghosts->has_directory)
		page = sm_load(sm_at(arena, page) + bucket / PAGE_BUCKETS);
	return sm_at(arena, page) + bucket % PAGE_BUCKETS * BUCKET_WORDS;
}

/*
 * Lets the table grow, a few pages at a time, until it remembers as many keys
 * as the shard holds.  What it remembers is mostly lost with each piece: where
 * a key has its place depends on the table's size.  Without memory it
 * grows by what there is.
 */
void
sm_ghosts_fit(const sm_arena *arena, sm_ghosts *ghosts, uint64_t keys)
{
	uint64_t want = keys / PAGE_GHOSTS + 1;
	uint64_t most = ghosts->npages + PAGES_AT_ONCE;

	if (want > MAX_PAGES)
		want = MAX_PAGES;
	/* it grows by half at least, and seldom */
	if (want < ghosts->npages + (ghosts->npages + 1) / 2)
		return;

	if (ghosts->npages == 1 && !ghosts->has_directory)
	{
		uint64_t root = sm_page_alloc_zeroed(arena);

		if (root == 0)
			return;
		sm_store(sm_at(arena, root), ghosts->root);
		ghosts->root = root;
		ghosts->has_directory = true;
	}
	while (ghosts->npages < want && ghosts->npages < most)
	{
		uint64_t page = sm_page_alloc_zeroed(arena);

		if (page == 0)
			return;
		if (ghosts->npages == 0)
			ghosts->root = page;
		else
			sm_store(sm_at(arena, ghosts->root) + ghosts->npages, page);
		ghosts->npages++;
		if (!ghosts->has_directory)
			return;
	}
}

/* Remembers a key, in the place of its bucket's oldest. */
void
sm_ghosts_add(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag)
{
	uint64_t carry = fingerprint(tag);
	sm_word *bucket;

	if (ghosts->npages == 0)
		return;
	bucket = bucket_of(arena, ghosts, tag);
	for (int i = 0; i < BUCKET_WORDS; i++)
	{
		uint64_t word = sm_load(&bucket[i]);

		sm_store(&bucket[i], word << 32 | carry);
		carry = word >> 32;
	}
}

/* The word of a key's bucket that has its fingerprint, and where in it; or NULL. */
static sm_word *
find(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag, int *shift)
{
	sm_word *bucket;

	if (ghosts->npages == 0)
		return NULL;
	bucket = bucket_of(arena, ghosts, tag);
	for (int i = 0; i < BUCKET_WORDS * 2; i++)
	{
		*shift = i % 2 * 32;
		if ((sm_load(&bucket[i / 2]) >> *shift & UINT32_MAX) == fingerprint(tag))
			return &bucket[i / 2];
	}
	return NULL;
}

/* Is the key remembered? */
bool
sm_ghosts_has(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag)
{
	int shift;

	return find(arena, ghosts, tag, &shift) != NULL;
}

/* Forgets a key that is back. */
void
sm_ghosts_forget(const sm_arena *arena, const sm_ghosts *ghosts, uint32_t tag)
{
	int shift;
	sm_word *word = find(arena, ghosts, tag, &shift);

	if (word != NULL)
		sm_store(word, sm_load(word) & ~((uint64_t) UINT32_MAX << shift));
}

void
sm_ghosts_free(const sm_arena *arena, sm_ghosts *ghosts)
{
	if (ghosts->has_directory)
	{
		for (uint64_t i = 0; i < ghosts->npages; i++)
			sm_pages_free(sm_load(sm_at(arena, ghosts->root) + i), 1);
	}
	if (ghosts->npages > 0)
		sm_pages_free(ghosts->root, 1);
	*ghosts = (sm_ghosts) {0};
}
