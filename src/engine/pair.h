/*
 * pair.h
 *	  An entry as a pair in a buffer: an sm_pair, its key, and its value (see map.h).
 *
 * All that copy pairs out do so here: ranges by hash and in order, and what was kept for
 * a snapshot.  The first two hold no lock: what they look at may be garbage, so it is
 * bounds-checked (R4), and they validate afterwards.
 */
#ifndef SM_PAIR_H
#define SM_PAIR_H

#include "extent.h"
#include "log.h"
#include "map.h"

/*
 * What the entry at an offset is as a pair, and its header.  False if that, its key, or
 * when it expires does not lie in the arena.  Its value may still not.
 */
static inline bool
sm_pair_of(const sm_arena *arena, uint64_t entry, uint64_t *head, sm_pair *pair)
{
	if (!sm_in_arena(arena, entry, 8))
		return false;
	*head = sm_load(sm_at(arena, entry));
	pair->key_len = (uint32_t) sm_head_key_len(*head);
	pair->value_len = (uint32_t) sm_head_value_len(*head);
	pair->expires = SM_NEVER;
	if (!sm_in_arena(arena, entry, 8 + sm_pad(pair->key_len)))
		return false;
	if (!(*head & SM_HEAD_EXPIRES))
		return true;
	if (!sm_in_arena(arena, sm_expires_offset(entry, *head), 8))
		return false;
	pair->expires = sm_entry_expires(arena, entry, *head);
	return true;
}

/* Writes a pair without its value, which goes to what is returned. */
static inline char *
sm_pair_write(const sm_arena *arena, uint64_t entry, const sm_pair *pair, char *to)
{
	*(sm_pair *) to = *pair;
	to += sizeof(*pair);
	sm_copy_out(to, sm_at(arena, entry) + 1, pair->key_len);
	return to + sm_pad(pair->key_len);
}

/* Copies an entry's value, wherever it stands, while nothing can change it. */
static inline void
sm_entry_copy_value(const sm_arena *arena, uint64_t entry, uint64_t head, char *to)
{
	uint64_t len = sm_head_value_len(head);
	uint64_t run = sm_entry_extents(arena, entry, head);

	if (run == 0)
		sm_copy_out(to, sm_at(arena, sm_value_offset(entry, head)), len);
	while (run != 0)
	{
		uint64_t part = sm_extent_read(arena, &run, to, len);

		to += part;
		len -= part;
	}
}

#endif /* SM_PAIR_H */
