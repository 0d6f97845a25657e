/*
 * index.c
 *	  A hash index: what writers do to it.
 */
#include "index.h"

#include <assert.h>

#define OVERFLOW_BUCKETS (1 << SM_PAGE_BUCKETS_BITS)

/*
 * Makes an empty index of 2^bits buckets; only its root page is there yet.
 * Returns false if there is no memory.  The caller publishes its word.
 */
bool
sm_index_create(const sm_arena *arena, sm_index *index, unsigned bits)
{
	uint64_t root = sm_page_alloc_zeroed(arena);

	assert(bits >= SM_MIN_INDEX_BITS && bits <= SM_MAX_INDEX_BITS);
	if (root == 0)
		return false;
	*index = (sm_index) {.word = sm_index_word(0, bits, root), .pages = 1};
	return true;
}

/*
 * The home bucket of a tag, with the pages that lead to it made where they
 * are missing; NULL if there is no memory for them.
 */
static sm_bucket *
make_home(const sm_arena *arena, sm_index *index, uint32_t tag)
{
	sm_probe probe;

	/* under the lock a probe finds nothing odd: it does not fail */
	while (sm_index_probe(arena, index->word, tag, &probe))
	{
		uint64_t page;

		if (probe.bucket != NULL)
			return (sm_bucket *) probe.bucket;
		page = sm_page_alloc_zeroed(arena);
		if (page == 0)
			return NULL;
		index->pages++;
		/* whoever sees the page sees that it is empty (R1) */
		sm_store_release((sm_word *) probe.check, page);
	}
	assert(false);
	return NULL;
}

static sm_bucket *
follow(const sm_arena *arena, uint64_t link)
{
	return (sm_bucket *) sm_index_follow(arena, link);
}

/* The last bucket of a chain; *before is the one that links to it, or NULL. */
static sm_bucket *
find_tail(const sm_arena *arena, sm_bucket *home, sm_bucket **before)
{
	sm_bucket *tail = home;
	uint64_t last;

	*before = NULL;
	while ((last = sm_load(&tail->slots[SM_SLOTS - 1])) & SM_LINK)
	{
		*before = tail;
		tail = follow(arena, last);
	}
	return tail;
}

/* The used slots of a chain's last bucket. */
static int
count_slots(const sm_bucket *tail)
{
	int n = 0;

	while (n < SM_SLOTS && sm_load(&tail->slots[n]) != 0)
		n++;
	return n;
}

static bool
reserve_overflow(const sm_arena *arena, sm_index *index)
{
	uint64_t page;

	if (index->overflow_free != 0 ||
		(index->overflow_page != 0 && index->overflow_used < OVERFLOW_BUCKETS))
		return true;

	/* the version of a page's first bucket links the pages */
	page = sm_page_alloc_zeroed(arena);
	if (page == 0)
		return false;
	sm_store(sm_at(arena, page), index->overflow_page);
	index->overflow_page = page;
	index->overflow_used = 1;
	index->pages++;
	return true;
}

/* An empty overflow bucket; reserve_overflow has seen to it that there is one. */
static sm_bucket *
take_overflow(const sm_arena *arena, sm_index *index)
{
	sm_bucket *bucket;

	if (index->overflow_free != 0)
	{
		bucket = (sm_bucket *) sm_at(arena, index->overflow_free);
		index->overflow_free = sm_load(&bucket->version);
		for (int i = 0; i < SM_SLOTS; i++)
			sm_store(&bucket->slots[i], 0);
		return bucket;
	}
	bucket = (sm_bucket *) sm_at(arena, index->overflow_page);
	return &bucket[index->overflow_used++];
}

static void
release_overflow(const sm_arena *arena, sm_index *index, sm_bucket *bucket)
{
	sm_store(&bucket->version, index->overflow_free);
	index->overflow_free = (uint64_t) ((char *) bucket - arena->base);
}

/*
 * Sees to it that the next sm_index_place of this tag can't fail.  Returns
 * false if there is no memory.
 */
bool
sm_index_reserve(const sm_arena *arena, sm_index *index, uint32_t tag)
{
	sm_bucket *home = make_home(arena, index, tag);
	sm_bucket *before;

	if (home == NULL)
		return false;
	return count_slots(find_tail(arena, home, &before)) < SM_SLOTS ||
		reserve_overflow(arena, index);
}

/* Puts a slot that is not there into its bucket.  Reserve it first. */
void
sm_index_place(const sm_arena *arena, sm_index *index, uint64_t slot)
{
	sm_bucket *home = make_home(arena, index, sm_slot_tag(slot));
	sm_bucket *before;
	sm_bucket *tail = find_tail(arena, home, &before);
	int used = count_slots(tail);
	uint64_t version;

	if (used < SM_SLOTS)
	{
		version = sm_version_begin(home);
		sm_store(&tail->slots[used], slot);
		sm_version_end(home, version);
	}
	else
	{
		sm_bucket *overflow = take_overflow(arena, index);
		uint64_t offset = (uint64_t) ((char *) overflow - arena->base);

		/* its former readers' versions have changed: it is nobody's (R5) */
		sm_store(&overflow->slots[0], sm_load(&tail->slots[SM_SLOTS - 1]));
		sm_store(&overflow->slots[1], slot);

		version = sm_version_begin(home);
		sm_store(&tail->slots[SM_SLOTS - 1], SM_LINK | offset >> 3);
		sm_version_end(home, version);
	}
	index->count++;
}

/* Finds exactly this slot. */
sm_place
sm_index_find_slot(const sm_arena *arena, const sm_index *index, uint64_t slot)
{
	sm_chain_walk walk = {0};
	sm_probe probe = {0};

	if (sm_index_root(index->word) != 0 &&
		sm_index_probe(arena, index->word, sm_slot_tag(slot), &probe))
		walk.bucket = probe.bucket;
	while (walk.bucket != NULL)
	{
		uint64_t other;

		while ((other = sm_chain_next(arena, &walk)) != 0)
			if (other == slot)
				return (sm_place) {(sm_bucket *) probe.bucket,
								   (sm_word *) &walk.bucket->slots[walk.next - 1]};
	}
	return (sm_place) {NULL, NULL};
}

/*
 * Removes a slot: the chain's last one takes its place, and an overflow bucket
 * with one slot left is folded into the bucket before it.
 */
void
sm_index_remove(const sm_arena *arena, sm_index *index, sm_place place)
{
	sm_bucket *before;
	sm_bucket *tail = find_tail(arena, place.home, &before);
	int last = count_slots(tail) - 1;
	uint64_t version = sm_version_begin(place.home);

	sm_store(place.slot, sm_load(&tail->slots[last]));
	sm_store(&tail->slots[last], 0);
	if (before != NULL && last == 1)
		sm_store(&before->slots[SM_SLOTS - 1], sm_load(&tail->slots[0]));
	sm_version_end(place.home, version);

	if (before != NULL && last == 1)
		release_overflow(arena, index, tail);
	index->count--;
}

/*
 * Moves a bucket's slots from one index to the other, each placed there before
 * it is cleared here: a reader that looks into both finds it, in whichever
 * order (R2).  Returns false if there is no memory for all of them; what has
 * moved by then has moved.
 */
bool
sm_index_move_bucket(const sm_arena *arena, sm_index *from, sm_index *to,
					 uint32_t bucket)
{
	uint32_t tag = bucket << (SM_TAG_BITS - sm_index_bits(from->word));
	sm_probe probe;

	if (!sm_index_probe(arena, from->word, tag, &probe) || probe.bucket == NULL)
		return true;

	for (;;)
	{
		sm_bucket *home = (sm_bucket *) probe.bucket;
		sm_bucket *before;
		sm_bucket *tail = find_tail(arena, home, &before);
		int used = count_slots(tail);
		uint64_t slot;

		if (used == 0)
			return true;
		slot = sm_load(&tail->slots[used - 1]);
		if (!sm_index_reserve(arena, to, sm_slot_tag(slot)))
			return false;
		sm_index_place(arena, to, slot);
		sm_index_remove(arena, from, (sm_place) {home, &tail->slots[used - 1]});
	}
}

/*
 * Frees the pages that a directory leads to, levels deep, and clears their
 * places; *most counts down.  Returns true when none is left.
 */
static bool
free_directory(const sm_arena *arena, uint64_t directory, int levels, uint64_t *most)
{
	sm_word *place = sm_at(arena, directory);

	for (int i = 0; i < 1 << SM_DIRECTORY_BITS; i++)
	{
		uint64_t page = sm_load(&place[i]);

		if (page == 0)
			continue;
		if (levels > 1 && !free_directory(arena, page, levels - 1, most))
			return false;
		if (*most == 0)
			return false;
		sm_pages_free(page, 1);
		sm_store(&place[i], 0);
		(*most)--;
	}
	return true;
}

/*
 * Gives up to most pages of an index back that no word publishes any more.
 * Returns how many; index->pages tells how many are left for another call.
 */
uint64_t
sm_index_free(const sm_arena *arena, sm_index *index, uint64_t most)
{
	unsigned bits = sm_index_bits(index->word);
	uint64_t root = sm_index_root(index->word);
	uint64_t left = most;
	int levels = 0;

	if (bits > SM_PAGE_BUCKETS_BITS + SM_DIRECTORY_BITS)
		levels = 2;
	else if (bits > SM_PAGE_BUCKETS_BITS)
		levels = 1;

	while (index->overflow_page != 0 && left > 0)
	{
		uint64_t page = index->overflow_page;

		index->overflow_page = sm_load(sm_at(arena, page));
		sm_pages_free(page, 1);
		left--;
	}
	if (root != 0 && left > 0 &&
		(levels == 0 || free_directory(arena, root, levels, &left)) && left > 0)
	{
		sm_pages_free(root, 1);
		left--;
		index->word = 0;
	}
	index->pages -= most - left;
	return most - left;
}
