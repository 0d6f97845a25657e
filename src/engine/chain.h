/*
 * chain.h
 *	  Finding a key in a chain of buckets, for readers and writers alike.
 */
#ifndef SM_CHAIN_H
#define SM_CHAIN_H

#include "index.h"
#include "log.h"
#include "map.h"

/* A slot whose entry has the key, as it was when it was loaded. */
typedef struct sm_found
{
	sm_word *slot;
	uint64_t entry;
	uint64_t head;
} sm_found;

/*
 * The slots of a bucket that have a tag, a bit each, and its last slot.  No branch
 * depends on which slot it is: a processor that had guessed it wrong would throw away
 * what it has begun of the lookups that follow, and wait for memory once more.
 */
SM_INLINE unsigned
sm_bucket_match(const sm_bucket *bucket, uint32_t tag, uint64_t *last)
{
	unsigned match = 0;

#pragma GCC unroll 7
	for (int i = 0; i < SM_SLOTS; i++)
	{
		*last = sm_load(&bucket->slots[i]);
		match |= (unsigned) (sm_slot_tag(*last) == tag) << i;
	}
	return match;
}

/*
 * Walks some buckets of a chain in search of a key.  Returns true if a slot
 * leads to it.  Returns false with *bucket NULL at the chain's end; otherwise
 * *bucket is where to go on, and a reader validates before it does: what it
 * walks may be garbage, and garbage may be a ring.
 *
 * marks is NULL, or the caller is going to look at the entry's.
 *
 * Nothing that is loaded here is used as an address before it is checked to
 * lie in the arena, header and key together.  (R4)
 */
SM_INLINE bool
sm_chain_find(const sm_arena *arena, const sm_bucket **bucket, uint32_t tag,
			  sm_bytes key, const sm_mark *marks, sm_found *found)
{
	const sm_bucket *at = *bucket;

	for (int links = 0; at != NULL && links < SM_LINKS_BETWEEN_VALIDATIONS; links++)
	{
		uint64_t last;

		for (unsigned match = sm_bucket_match(at, tag, &last); match != 0;
			 match &= match - 1)
		{
			const sm_word *slot = &at->slots[__builtin_ctz(match)];
			uint64_t entry = sm_slot_entry(sm_load(slot));
			uint64_t head;

			/* tag 0 fits empty slots, too; there is no entry at 0 */
			if (entry == 0 || !sm_in_arena(arena, entry, 8 + sm_pad(key.len)))
				continue;
			sm_entry_prefetch(arena, entry);
			if (marks != NULL)
				__builtin_prefetch((const char *) &marks[entry / SM_MARK_BYTES]);
			head = sm_load(sm_at(arena, entry));
			if (sm_head_key_len(head) != key.len ||
				!sm_equal(sm_at(arena, entry) + 1, key.data, key.len))
				continue;
			*found = (sm_found) {(sm_word *) slot, entry, head};
			return true;
		}
		at = last & SM_LINK ? sm_index_follow(arena, last) : NULL;
	}
	*bucket = at;
	return false;
}

#endif /* SM_CHAIN_H */
