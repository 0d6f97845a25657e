/*
 * order_node.h
 *	  A node of a shard's order: its layout, and finding a key in it.
 *
 * Everything here may look at garbage, and stays in the arena (R4).
 */
#ifndef SM_ORDER_NODE_H
#define SM_ORDER_NODE_H

#include "order.h"

/* Bytes that all keys under a node share, and that it keeps, at most. */
#define SM_COMMON_WORDS 8
#define SM_COMMON_MAX	(SM_COMMON_WORDS * 8)

/* What a page takes; the tests have deeper trees with fewer. */
#ifndef SM_NODE_SLOTS
#define SM_NODE_SLOTS 251
#endif

typedef struct sm_node
{
	sm_word info; /* see sm_node_get_info */
	sm_word common[SM_COMMON_WORDS];
	/* slots: 8 bytes of the key behind the common ones, as a number, and an entry or,
	 * above the leaves, the node that has that least key */
	sm_word words[SM_NODE_SLOTS];
	sm_word refs[SM_NODE_SLOTS];
} sm_node;

_Static_assert(sizeof(sm_node) <= SM_PAGE_SIZE, "a node is a page");

/* What a node's info says. */
typedef struct sm_node_info
{
	int level; /* 0: its slots lead to entries */
	int count; /* slots in use */
	int skip;  /* common bytes */
} sm_node_info;

static inline sm_node *
sm_node_at(const sm_arena *arena, uint64_t offset)
{
	return (sm_node *) (arena->base + offset);
}

static inline sm_node_info
sm_node_get_info(const sm_node *n)
{
	uint64_t word = sm_load(&n->info);
	sm_node_info info = {.level = (int) (word >> 32 & 0xff),
						 .count = (int) (word & 0xffff),
						 .skip = (int) (word >> 16 & 0xffff)};

	/* garbage must not lead out of the node (R4) */
	if (info.level >= SM_ORDER_LEVELS)
		info.level = SM_ORDER_LEVELS - 1;
	if (info.count > SM_NODE_SLOTS)
		info.count = SM_NODE_SLOTS;
	if (info.skip > SM_COMMON_MAX)
		info.skip = SM_COMMON_MAX;
	return info;
}

static inline void
sm_node_set_info(sm_node *n, sm_node_info info)
{
	sm_store(&n->info,
			 (uint64_t) info.level << 32 | (uint64_t) info.skip << 16 |
				 (uint64_t) info.count);
}

/* Can there be a node at that offset?  (R4) */
static inline bool
sm_is_node(const sm_arena *arena, uint64_t offset)
{
	return offset != 0 && offset % SM_PAGE_SIZE == 0 &&
		sm_in_arena(arena, offset, SM_PAGE_SIZE);
}

extern uint64_t sm_node_key_word(sm_bytes key, size_t from);
extern uint64_t sm_node_entry_word(const sm_arena *arena, uint64_t entry, size_t from);
extern uint64_t sm_node_outermost(const sm_arena *arena, uint64_t offset, int level,
								  bool greatest);
extern uint64_t sm_node_slot_entry(const sm_arena *arena, const sm_node *n, int level,
								   int slot);
extern int sm_node_shared_bytes(const sm_node *n, int most, sm_bytes key);
extern int sm_node_search(const sm_arena *arena, const sm_node *n, sm_node_info info,
						  int from, sm_bytes key, bool after);
extern int sm_node_choose_child(const sm_arena *arena, const sm_node *n,
								sm_node_info info, sm_bytes key);

#endif /* SM_ORDER_NODE_H */
