/*
 * order_node.c
 *	  Finding a key in a node of a shard's order.
 */
#include "order_node.h"

#include <string.h>

#include "log.h"

static uint64_t
big_endian(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap64(word);
#else
	return word;
#endif
}

/* 8 bytes of a key from a place on, zeros where it has none, as a number. */
uint64_t
sm_node_key_word(sm_bytes key, size_t from)
{
	uint64_t word = 0;
	size_t left = key.len > from ? key.len - from : 0;

	if (left > 0)
		memcpy(&word, (const char *) key.data + from, left < 8 ? left : 8);
	return big_endian(word);
}

/* The same of an entry's key. */
uint64_t
sm_node_entry_word(const sm_arena *arena, uint64_t entry, size_t from)
{
	uint64_t len;
	uint64_t words[2] = {0};
	uint64_t word;

	if (!sm_in_arena(arena, entry, 8))
		return 0;
	len = sm_head_key_len(sm_load(sm_at(arena, entry)));
	if (!sm_in_arena(arena, entry, 8 + sm_pad(len)))
		return 0;
	for (size_t i = 0; i < 2 && (from / 8 + i) * 8 < len; i++)
		words[i] = sm_load(sm_at(arena, entry) + 1 + from / 8 + i);
	memcpy(&word, (char *) words + from % 8, 8);
	return big_endian(word);
}

/*
 * Compares an entry's key with another one: less than, equal to, or greater than
 * 0.  An entry that leads out of the arena is equal to all.
 */
int
sm_order_compare(const sm_arena *arena, uint64_t entry, sm_bytes key)
{
	uint64_t len;
	uint64_t shorter;

	if (!sm_in_arena(arena, entry, 8))
		return 0;
	len = sm_head_key_len(sm_load(sm_at(arena, entry)));
	if (!sm_in_arena(arena, entry, 8 + sm_pad(len)))
		return 0;
	shorter = len < key.len ? len : key.len;
	for (uint64_t i = 0; i < shorter; i += 8)
	{
		uint64_t mine = big_endian(sm_load(sm_at(arena, entry) + 1 + i / 8));
		uint64_t other = sm_node_key_word(key, i);

		if (shorter - i < 8)
		{
			unsigned beyond = (unsigned) (8 - (shorter - i)) * 8;

			mine >>= beyond;
			other >>= beyond;
		}
		if (mine != other)
			return mine < other ? -1 : 1;
	}
	return (len > key.len) - (len < key.len);
}

/* The entry with the least or the greatest key under a node, or 0 if that is garbage. */
uint64_t
sm_node_outermost(const sm_arena *arena, uint64_t offset, int level, bool greatest)
{
	for (; level >= 0; level--)
	{
		const sm_node *n = sm_node_at(arena, offset);
		int last;

		if (!sm_is_node(arena, offset))
			return 0;
		last = sm_node_get_info(n).count - 1;
		offset = sm_load(&n->refs[greatest && last > 0 ? last : 0]);
	}
	return offset;
}

/* The entry that has a slot's key. */
uint64_t
sm_node_slot_entry(const sm_arena *arena, const sm_node *n, int level, int slot)
{
	uint64_t ref = sm_load(&n->refs[slot]);

	return level == 0 ? ref : sm_node_outermost(arena, ref, level - 1, false);
}

/* How many bytes, up to most, a key shares with the common ones of a node. */
int
sm_node_shared_bytes(const sm_node *n, int most, sm_bytes key)
{
	for (int i = 0; i < most; i += 8)
	{
		uint64_t differ =
			sm_load(&n->common[i / 8]) ^ sm_node_key_word(key, (size_t) i);
		int same = i + (differ == 0 ? 8 : __builtin_clzll(differ) / 8);

		if ((size_t) same > key.len)
			same = (int) key.len;
		if (same < i + 8 || same >= most)
			return same < most ? same : most;
	}
	return most;
}

/*
 * Compares what all keys under a node have in common with a key: less than 0 if they
 * are before it, greater if they are after it, 0 if it starts with that, too.
 */
static int
compare_common(const sm_node *n, int skip, sm_bytes key)
{
	int shared = sm_node_shared_bytes(n, skip, key);
	size_t at = (size_t) shared / 8;

	if (shared == skip)
		return 0;
	/* a key that ends in the common bytes is before all that go on */
	if ((size_t) shared == key.len)
		return 1;
	return sm_load(&n->common[at]) < sm_node_key_word(key, at * 8) ? -1 : 1;
}

/*
 * Compares a slot's key with another one.  Above the leaves that is the least key
 * under a node; mostly the nodes on the way there tell, and save a look at the entry.
 */
static int
compare_slot(const sm_arena *arena, const sm_node *n, int level, int slot, sm_bytes key)
{
	uint64_t offset = sm_load(&n->refs[slot]);

	for (; level > 0; level--)
	{
		const sm_node *below = sm_node_at(arena, offset);
		sm_node_info info;
		uint64_t word;
		int order;

		if (!sm_is_node(arena, offset))
			return 0;
		info = sm_node_get_info(below);
		order = compare_common(below, info.skip, key);
		if (order != 0)
			return order;
		/* a leaf's words are those of its keys; above, they may be of keys that are gone */
		word = sm_node_key_word(key, (size_t) info.skip);
		if (level == 1 && sm_load(&below->words[0]) != word)
			return sm_load(&below->words[0]) < word ? -1 : 1;
		offset = sm_load(&below->refs[0]);
	}
	return sm_order_compare(arena, offset, key);
}

/*
 * The first slot, from one on, whose key is not before the given one; with after,
 * whose key is after it.
 */
int
sm_node_search(const sm_arena *arena, const sm_node *n, sm_node_info info, int from,
			   sm_bytes key, bool after)
{
	int common = compare_common(n, info.skip, key);
	uint64_t word = sm_node_key_word(key, (size_t) info.skip);
	int low = from;
	int high = info.count;

	if (common != 0)
		return common > 0 ? low : high;
	while (low < high)
	{
		int middle = low + (high - low) / 2;
		uint64_t there = sm_load(&n->words[middle]);
		bool before = there < word;

		if (there == word)
		{
			int order = compare_slot(arena, n, info.level, middle, key);

			before = order < 0 || (order == 0 && after);
		}
		if (before)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The child of a node that a key belongs under. */
int
sm_node_choose_child(const sm_arena *arena, const sm_node *n, sm_node_info info,
					 sm_bytes key)
{
	return sm_node_search(arena, n, info, 1, key, true) - 1;
}
