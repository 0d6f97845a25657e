/*
 * order.h
 *	  A shard's entries in the order of their keys: a B+tree.
 *
 * A node is a page: a sorted array of slots, each a word of 8 key bytes and what
 * it leads to, an entry or, above the leaves, a node.  The bytes that all keys
 * under a node share are kept once and skipped, so the words mostly tell keys
 * apart without a look at an entry ("pkB-trees", Bohannon et al., SIGMOD 2001).
 * Keys are compared as unsigned bytes, a shorter one before a longer one.
 *
 * A node above the leaves has no keys of its own.  What separates two children is
 * the least key under the right one, as it is now; its word may be of a smaller
 * key that was removed.  That does no harm: nothing has a place in between, and
 * where words are equal, the key itself is looked up.  Nothing is separated by the
 * first child's word, which may be anything.
 *
 * Writers change it under the shard's lock.  Readers may walk it without, while it
 * changes: they see garbage then, which is bounds-checked at every step (R4), and
 * find out by the shard's order_version (R1).
 */
#ifndef SM_ORDER_H
#define SM_ORDER_H

#include "arena.h"
#include "map.h"

#define SM_ORDER_LEVELS 10

typedef struct sm_order
{
	sm_word root; /* the offset of a node, or 0: it is empty */
	uint64_t pages;
} sm_order;

/* A place in a tree: the slot at[i] of nodes[i], from the leaf (0) to the root. */
typedef struct sm_walk
{
	const sm_arena *arena;
	bool descending;
	int levels;
	uint64_t nodes[SM_ORDER_LEVELS];
	int at[SM_ORDER_LEVELS];
} sm_walk;

/* Where a key that is not there belongs, until anything else changes the order. */
typedef struct sm_order_place
{
	uint64_t leaf; /* the offset of a node */
	int at;		   /* slot */
	uint64_t word; /* of the key there */
} sm_order_place;

/* Under the shard's lock, exclusive. */
extern bool sm_order_reserve(const sm_arena *arena, sm_order *order, sm_bytes key,
							 sm_order_place *place);
extern void sm_order_insert(const sm_arena *arena, const sm_order_place *place,
							uint64_t entry);
extern void sm_order_remove(const sm_arena *arena, sm_order *order, sm_bytes key);
extern void sm_order_move(const sm_arena *arena, const sm_order *order, sm_bytes key,
						  uint64_t entry);

/* Of a tree that nobody finds any more, by its root or 0. */
extern void sm_order_free(const sm_arena *arena, uint64_t root);

/* With or without the lock. */
extern int sm_order_compare(const sm_arena *arena, uint64_t entry, sm_bytes key);
extern void sm_order_seek(sm_walk *walk, const sm_arena *arena, const sm_order *order,
						  const sm_bound *from, bool descending);
extern uint64_t sm_order_next(sm_walk *walk);

#endif /* SM_ORDER_H */
