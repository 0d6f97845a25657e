/*
 * index.h
 *	  A hash index: buckets, slots, versions.
 *
 * A bucket is a 64-byte line: a version and seven slots.  A slot is 0 (empty)
 * or a tag of 28 hash bits and an entry's offset.  The key's home bucket is
 * named by the tag's top bits, so a slot alone says which bucket it belongs to
 * in an index of any size, and growth and promotion move slots without looking
 * at an entry.
 *
 * A full bucket chains: its last slot then is a link, marked by the top bit,
 * to an overflow bucket.  The used slots of a chain are dense, and an overflow
 * bucket holds two at least.  The version of the home bucket guards its whole
 * chain and the entries that its slots point at: odd while a writer changes
 * any of them, larger afterwards.
 *
 * The buckets stand on pages of 64, found through a directory of up to two
 * levels of pages of offsets.  Pages are made when the first slot is placed on
 * them, and none is taken away before the whole index is: an offset of 0 turns
 * into another one only once.
 *
 * Readers know an index by one word, which its shard publishes:
 *	  32 bits of generation, 6 bits that count bucket bits, 26 bits of the
 *	  root's page number; the generation never returns to an old value.
 * (It would after 2^32 publications of one shard.)
 */
#ifndef SM_INDEX_H
#define SM_INDEX_H

#include "arena.h"

#define SM_TAG_BITS	   28
#define SM_OFFSET_BITS 35 /* of an 8-byte word's number */
#define SM_SLOTS	   7
#define SM_LINK		   ((uint64_t) 1 << 63)

#define SM_PAGE_BUCKETS_BITS 6 /* 64 buckets a page */
#define SM_DIRECTORY_BITS	 9 /* 512 offsets a page */
#define SM_MIN_INDEX_BITS	 SM_PAGE_BUCKETS_BITS
#define SM_MAX_INDEX_BITS	 (SM_PAGE_BUCKETS_BITS + 2 * SM_DIRECTORY_BITS)

typedef struct sm_bucket
{
	sm_word version;
	sm_word slots[SM_SLOTS];
} sm_bucket;

/* What a shard keeps of an index, under its lock. */
typedef struct sm_index
{
	uint64_t word;			/* what readers know it by; its root may be 0: no index */
	uint64_t count;			/* slots in use, links not counted */
	uint64_t overflow_page; /* the newest page of overflow buckets, or 0 */
	uint64_t overflow_used; /* buckets of it that have been in use */
	uint64_t overflow_free; /* list of overflow buckets free again, through version */
	uint64_t pages;			/* all that it holds */
} sm_index;

static inline uint64_t
sm_slot(uint32_t tag, uint64_t entry)
{
	return (uint64_t) tag << SM_OFFSET_BITS | entry >> 3;
}

static inline uint32_t
sm_slot_tag(uint64_t slot)
{
	return (uint32_t) (slot >> SM_OFFSET_BITS);
}

static inline uint64_t
sm_slot_entry(uint64_t slot)
{
	return (slot & (((uint64_t) 1 << SM_OFFSET_BITS) - 1)) << 3;
}

static inline uint64_t
sm_index_word(uint32_t generation, unsigned bits, uint64_t root)
{
	return (uint64_t) generation << 32 | (uint64_t) bits << 26 | root / SM_PAGE_SIZE;
}

static inline unsigned
sm_index_bits(uint64_t word)
{
	return word >> 26 & 0x3f;
}

/* The offset of the index' root page, or 0: there is no index. */
static inline uint64_t
sm_index_root(uint64_t word)
{
	return (word & 0x3ffffff) * SM_PAGE_SIZE;
}

/* The slots that an index takes before it wants to be larger: 75 % of all. */
static inline uint64_t
sm_index_capacity(uint64_t word)
{
	if (sm_index_root(word) == 0)
		return 0;
	return ((uint64_t) SM_SLOTS << sm_index_bits(word)) * 3 / 4;
}

/*
 * What a reader has seen of a key's home bucket.  As long as check still holds
 * seen, nothing has changed since in the bucket, its chain, and its entries.
 * Where there is no bucket yet, check is the directory's empty place.
 */
typedef struct sm_probe
{
	const sm_word *check;
	uint64_t seen;
	const sm_bucket *bucket; /* NULL: nothing is there */
} sm_probe;

/*
 * Finds the home bucket of a tag, and does not look at it: probe->seen is 0 then.
 * Returns false if the index is not there any more.
 */
static inline bool
sm_index_home(const sm_arena *arena, uint64_t word, uint32_t tag, sm_probe *probe)
{
	unsigned bits = sm_index_bits(word);
	uint32_t bucket = tag >> (SM_TAG_BITS - bits);
	uint64_t page = sm_index_root(word);
	const sm_bucket *home;

	for (unsigned level = bits; level > SM_PAGE_BUCKETS_BITS;)
	{
		const sm_word *place;

		level = level > SM_PAGE_BUCKETS_BITS + SM_DIRECTORY_BITS ?
			SM_PAGE_BUCKETS_BITS + SM_DIRECTORY_BITS :
			SM_PAGE_BUCKETS_BITS;
		place = sm_at(arena, page) + (bucket >> level & ((1 << SM_DIRECTORY_BITS) - 1));
		page = sm_load_acquire(place);
		if (page == 0)
		{
			*probe = (sm_probe) {place, 0, NULL};
			return true;
		}
		if (page % SM_PAGE_SIZE != 0 || !sm_in_arena(arena, page, SM_PAGE_SIZE))
			return false;
	}

	home = (const sm_bucket *) sm_at(arena, page) +
		(bucket & ((1 << SM_PAGE_BUCKETS_BITS) - 1));
	*probe = (sm_probe) {&home->version, 0, home};
	return true;
}

/*
 * Begins a look at the home bucket of a tag.  Returns false if what is there can't be
 * believed: a writer is at work in it, or the index is not there any more.
 */
static inline bool
sm_index_probe(const sm_arena *arena, uint64_t word, uint32_t tag, sm_probe *probe)
{
	if (!sm_index_home(arena, word, tag, probe))
		return false;
	if (probe->bucket == NULL)
		return true;
	probe->seen = sm_load_acquire(probe->check);
	return (probe->seen & 1) == 0;
}

/* The bucket that a link leads to, or NULL if it leads out of the arena. */
static inline const sm_bucket *
sm_index_follow(const sm_arena *arena, uint64_t link)
{
	uint64_t offset = sm_slot_entry(link);

	if (offset % sizeof(sm_bucket) != 0 ||
		!sm_in_arena(arena, offset, sizeof(sm_bucket)))
		return NULL;
	return (const sm_bucket *) sm_at(arena, offset);
}

/* A reader validates when it has followed that many links.  (R4) */
#define SM_LINKS_BETWEEN_VALIDATIONS 16

/* A walk over all slots of a chain: give it the bucket to begin at. */
typedef struct sm_chain_walk
{
	const sm_bucket *bucket; /* NULL at the chain's end */
	int next;				 /* in the bucket, behind the slot that was returned */
	int links;				 /* followed so far */
} sm_chain_walk;

/*
 * The next slot in use, or 0: with walk->bucket NULL at the chain's end; otherwise a
 * reader validates before it goes on.  What it walks may be garbage, and garbage may be
 * a ring.
 */
SM_INLINE uint64_t
sm_chain_next(const sm_arena *arena, sm_chain_walk *walk)
{
	while (walk->bucket != NULL)
	{
		uint64_t slot = 0;

		while (walk->next < SM_SLOTS)
		{
			slot = sm_load(&walk->bucket->slots[walk->next++]);
			if (slot != 0 && !(slot & SM_LINK))
				return slot;
		}
		walk->bucket = slot & SM_LINK ? sm_index_follow(arena, slot) : NULL;
		walk->next = 0;
		if (++walk->links % SM_LINKS_BETWEEN_VALIDATIONS == 0)
			return 0;
	}
	return 0;
}

/* Where a writer found a slot.  home is NULL if it did not. */
typedef struct sm_place
{
	sm_bucket *home;
	sm_word *slot;
} sm_place;

/* A writer's: all under the shard's lock, exclusive */
extern bool sm_index_create(const sm_arena *arena, sm_index *index, unsigned bits);
extern bool sm_index_reserve(const sm_arena *arena, sm_index *index, uint32_t tag);
extern void sm_index_place(const sm_arena *arena, sm_index *index, uint64_t slot);
extern sm_place sm_index_find_slot(const sm_arena *arena, const sm_index *index,
								   uint64_t slot);
extern void sm_index_remove(const sm_arena *arena, sm_index *index, sm_place place);
extern bool sm_index_move_bucket(const sm_arena *arena, sm_index *from, sm_index *to,
								 uint32_t bucket);
extern uint64_t sm_index_free(const sm_arena *arena, sm_index *index, uint64_t most);

/*
 * A writer's changes to a bucket stand between these two.  Between them there
 * are only loads and stores: nothing that can fail or wait.  (W1)
 * Returns the version to hand to sm_version_end.
 */
static inline uint64_t
sm_version_begin(sm_bucket *home)
{
	uint64_t version = sm_load(&home->version);

	sm_store(&home->version, version + 1);
	/* whoever sees one of the stores that follow sees the odd version (R1) */
	sm_fence_release();
	return version;
}

static inline void
sm_version_end(sm_bucket *home, uint64_t version)
{
	/* whoever sees the even version sees the stores before it (R1, W4) */
	sm_store_release(&home->version, version + 2);
}

#endif /* SM_INDEX_H */
