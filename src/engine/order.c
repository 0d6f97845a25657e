/*
 * order.c
 *	  A shard's entries in the order of their keys: a B+tree.
 *
 * Nodes are split on the way down to a key's place, before anything is inserted,
 * so that an insertion itself needs no memory (M2, W1).
 */
#include "order_node.h"

#include <assert.h>

#include "log.h"

/* A node with fewer slots is merged with its neighbour if both fit well in one. */
#define FEW_SLOTS	 (SM_NODE_SLOTS / 4)
#define MERGED_SLOTS (SM_NODE_SLOTS * 3 / 4)

/* ---- what writers do ---- */

static void
free_node(sm_order *order, uint64_t offset)
{
	sm_pages_free(offset, 1);
	order->pages--;
}

/* Computes all words of a node anew. */
static void
compute_words(const sm_arena *arena, sm_node *n, sm_node_info info)
{
	for (int i = 0; i < info.count; i++)
		sm_store(&n->words[i],
				 sm_node_entry_word(arena, sm_node_slot_entry(arena, n, info.level, i),
									(size_t) info.skip));
}

/*
 * Finds out what all keys under a node have in common, the first and the last one
 * being known to be under it, and computes the words if that has changed.
 */
static void
compute_common(const sm_arena *arena, sm_node *n, sm_node_info info)
{
	uint64_t first = sm_node_slot_entry(arena, n, info.level, 0);
	uint64_t last = sm_load(&n->refs[info.count - 1]);
	uint64_t len = sm_head_key_len(sm_load(sm_at(arena, first)));
	int skip = 0;

	if (info.level > 0)
		last = sm_node_outermost(arena, last, info.level - 1, true);
	if (sm_head_key_len(sm_load(sm_at(arena, last))) < len)
		len = sm_head_key_len(sm_load(sm_at(arena, last)));
	for (int i = 0; i < SM_COMMON_WORDS; i++)
	{
		uint64_t word = sm_node_entry_word(arena, first, (size_t) i * 8);
		uint64_t differ = word ^ sm_node_entry_word(arena, last, (size_t) i * 8);

		sm_store(&n->common[i], word);
		if (skip == i * 8)
			skip += differ == 0 ? 8 : __builtin_clzll(differ) / 8;
	}
	if ((uint64_t) skip > len)
		skip = (int) len;
	if (skip != info.skip)
	{
		info.skip = skip;
		sm_node_set_info(n, info);
		compute_words(arena, n, info);
	}
}

/* A key comes under a node: it has only that in common then that the key has, too. */
static sm_node_info
admit(const sm_arena *arena, sm_node *n, sm_bytes key)
{
	sm_node_info info = sm_node_get_info(n);
	int shared = sm_node_shared_bytes(n, info.skip, key);

	if (shared < info.skip)
	{
		info.skip = shared;
		sm_node_set_info(n, info);
		compute_words(arena, n, info);
	}
	return info;
}

/* Moves the slots from one on by some places. */
static void
shift(sm_node *n, int count, int from, int by)
{
	if (by > 0)
	{
		for (int i = count - 1; i >= from; i--)
		{
			sm_store(&n->words[i + by], sm_load(&n->words[i]));
			sm_store(&n->refs[i + by], sm_load(&n->refs[i]));
		}
		return;
	}
	for (int i = from; i < count; i++)
	{
		sm_store(&n->words[i + by], sm_load(&n->words[i]));
		sm_store(&n->refs[i + by], sm_load(&n->refs[i]));
	}
}

/* Copies count slots from one node to another, and all else if it starts empty. */
static void
copy_slots(sm_node *to, int at, const sm_node *from, int first, int count)
{
	for (int i = 0; i < count; i++)
	{
		sm_store(&to->words[at + i], sm_load(&from->words[first + i]));
		sm_store(&to->refs[at + i], sm_load(&from->refs[first + i]));
	}
	for (int i = 0; at == 0 && i < SM_COMMON_WORDS; i++)
		sm_store(&to->common[i], sm_load(&from->common[i]));
}

static void
insert_slot(sm_node *n, sm_node_info info, int at, uint64_t word, uint64_t ref)
{
	shift(n, info.count, at, 1);
	sm_store(&n->words[at], word);
	sm_store(&n->refs[at], ref);
	info.count++;
	sm_node_set_info(n, info);
}

/* An empty page for a node, or 0. */
static uint64_t
make_node(sm_order *order)
{
	uint64_t offset = sm_pages_alloc(1);

	if (offset != 0)
		order->pages++;
	return offset;
}

/*
 * Splits a full child of a node that has room.  Where the key comes after all
 * others, most stay on the left: keys that ascend fill their nodes.  Returns
 * false if there is no memory.
 */
static bool
split_child(const sm_arena *arena, sm_order *order, sm_node *parent, int at,
			sm_bytes key)
{
	sm_node_info above = sm_node_get_info(parent);
	sm_node *left = sm_node_at(arena, sm_load(&parent->refs[at]));
	sm_node_info info = sm_node_get_info(left);
	sm_node_info half = info;
	uint64_t offset = make_node(order);
	sm_node *right = sm_node_at(arena, offset);
	int stay = SM_NODE_SLOTS / 2;

	if (offset == 0)
		return false;
	if (sm_node_search(arena, left, info, 0, key, true) == info.count)
		stay = SM_NODE_SLOTS - 1;
	half.count = info.count - stay;
	copy_slots(right, 0, left, stay, half.count);
	sm_node_set_info(right, half);
	info.count = stay;
	sm_node_set_info(left, info);
	compute_common(arena, left, info);
	compute_common(arena, right, half);
	insert_slot(parent, above, at + 1,
				sm_node_entry_word(arena,
								   sm_node_outermost(arena, offset, info.level, false),
								   (size_t) above.skip),
				offset);
	return true;
}

/* Makes a root above the root.  Returns false if there is no memory. */
static bool
raise_root(const sm_arena *arena, sm_order *order)
{
	uint64_t root = sm_load(&order->root);
	const sm_node *below = sm_node_at(arena, root);
	sm_node_info info = sm_node_get_info(below);
	uint64_t offset = make_node(order);
	sm_node *n = sm_node_at(arena, offset);

	if (offset == 0)
		return false;
	info.level++;
	info.count = 1;
	assert(info.level < SM_ORDER_LEVELS);
	copy_slots(n, 0, below, 0, 1);
	sm_store(&n->refs[0], root);
	sm_node_set_info(n, info);
	sm_store(&order->root, offset);
	return true;
}

/* The root, with room for one slot more, or NULL if there is no memory for it. */
static sm_node *
reserve_root(const sm_arena *arena, sm_order *order, sm_bytes key)
{
	uint64_t root = sm_load(&order->root);

	if (root == 0)
	{
		sm_node_info info = {
			.skip = (int) (key.len < SM_COMMON_MAX ? key.len : SM_COMMON_MAX)};

		root = make_node(order);
		if (root == 0)
			return NULL;
		for (size_t i = 0; i < SM_COMMON_WORDS; i++)
			sm_store(&sm_node_at(arena, root)->common[i], sm_node_key_word(key, i * 8));
		sm_node_set_info(sm_node_at(arena, root), info);
		sm_store(&order->root, root);
	}
	else if (sm_node_get_info(sm_node_at(arena, root)).count == SM_NODE_SLOTS &&
			 !raise_root(arena, order))
		return NULL;
	return sm_node_at(arena, sm_load(&order->root));
}

/*
 * Asks the memory for slots that a writer is about to look at or move, all at once:
 * a leaf is seldom in a cache, and one miss after the other is most of the cost.
 */
static void
fetch_slots(const sm_word *slots, int from, int to)
{
	for (int i = from; i < to; i += 8)
		__builtin_prefetch(&slots[i], 1);
}

/*
 * Finds the place of a key that is not there, and makes room for it.  Returns
 * false if there is no memory.
 */
bool
sm_order_reserve(const sm_arena *arena, sm_order *order, sm_bytes key,
				 sm_order_place *place)
{
	sm_node *n = reserve_root(arena, order, key);
	sm_node_info info;

	if (n == NULL)
		return false;
	while ((info = admit(arena, n, key)).level > 0)
	{
		int at = sm_node_choose_child(arena, n, info, key);
		sm_node *child = sm_node_at(arena, sm_load(&n->refs[at]));

		fetch_slots(child->words, 0, SM_NODE_SLOTS);
		if (sm_node_get_info(child).count < SM_NODE_SLOTS)
			n = child;
		else if (!split_child(arena, order, n, at, key))
			return false;
	}
	place->leaf = (uint64_t) ((char *) n - arena->base);
	place->at = sm_node_search(arena, n, info, 0, key, false);
	place->word = sm_node_key_word(key, (size_t) info.skip);
	fetch_slots(n->refs, place->at, info.count);
	return true;
}

/* Adds an entry at the place that was reserved for its key. */
void
sm_order_insert(const sm_arena *arena, const sm_order_place *place, uint64_t entry)
{
	sm_node *n = sm_node_at(arena, place->leaf);

	insert_slot(n, sm_node_get_info(n), place->at, place->word, entry);
}

/* Goes down to a key that is there. */
static void
find_key(sm_walk *walk, const sm_arena *arena, const sm_order *order, sm_bytes key)
{
	uint64_t offset = sm_load(&order->root);
	const sm_node *n = sm_node_at(arena, offset);
	sm_node_info info = sm_node_get_info(n);

	walk->levels = info.level + 1;
	for (int level = info.level; level > 0; level--)
	{
		walk->nodes[level] = offset;
		walk->at[level] = sm_node_choose_child(arena, n, info, key);
		offset = sm_load(&n->refs[walk->at[level]]);
		n = sm_node_at(arena, offset);
		info = sm_node_get_info(n);
	}
	walk->nodes[0] = offset;
	walk->at[0] = sm_node_search(arena, n, info, 0, key, false);
	assert(walk->at[0] < info.count);
	assert(sm_order_compare(arena, sm_load(&n->refs[walk->at[0]]), key) == 0);
}

/* The entry of a key that is there will stand somewhere else. */
void
sm_order_move(const sm_arena *arena, const sm_order *order, sm_bytes key,
			  uint64_t entry)
{
	sm_walk walk;

	find_key(&walk, arena, order, key);
	sm_store(&sm_node_at(arena, walk.nodes[0])->refs[walk.at[0]], entry);
}

static void
remove_slot(sm_node *n, int at)
{
	sm_node_info info = sm_node_get_info(n);

	shift(n, info.count, at + 1, -1);
	info.count--;
	sm_node_set_info(n, info);
}

/*
 * Merges two neighbours under a node, the child at a place and the next one, if
 * they fit well in one.  Returns whether they did.
 */
static bool
merge_children(const sm_arena *arena, sm_order *order, sm_node *parent, int at)
{
	uint64_t freed = sm_load(&parent->refs[at + 1]);
	sm_node *left = sm_node_at(arena, sm_load(&parent->refs[at]));
	sm_node *right = sm_node_at(arena, freed);
	sm_node_info info = sm_node_get_info(left);
	sm_node_info other = sm_node_get_info(right);

	if (info.count + other.count > MERGED_SLOTS)
		return false;
	copy_slots(left, info.count, right, 0, other.count);
	/* nobody has looked at the right one's first word: it may be of a later key */
	sm_store(&left->words[info.count],
			 sm_node_entry_word(arena,
								sm_node_slot_entry(arena, left, info.level, info.count),
								(size_t) info.skip));
	info.count += other.count;
	sm_node_set_info(left, info);
	if (info.skip != other.skip)
		info.skip = -1;
	compute_common(arena, left, info);
	remove_slot(parent, at + 1);
	free_node(order, freed);
	return true;
}

/* The root may have become empty, or lead to one node only. */
static void
lower_root(const sm_arena *arena, sm_order *order)
{
	for (;;)
	{
		uint64_t root = sm_load(&order->root);
		const sm_node *n = sm_node_at(arena, root);
		sm_node_info info = sm_node_get_info(n);

		if (info.count > 1 || (info.count == 1 && info.level == 0))
			return;
		sm_store(&order->root, info.count == 0 ? 0 : sm_load(&n->refs[0]));
		free_node(order, root);
		if (info.count == 0)
			return;
	}
}

/*
 * Takes a key out that is there, before its entry is reused.  Nodes that become
 * empty or small go.
 */
void
sm_order_remove(const sm_arena *arena, sm_order *order, sm_bytes key)
{
	sm_walk walk;
	int level;

	find_key(&walk, arena, order, key);
	remove_slot(sm_node_at(arena, walk.nodes[0]), walk.at[0]);
	for (level = 0; level < walk.levels - 1; level++)
	{
		int count = sm_node_get_info(sm_node_at(arena, walk.nodes[level])).count;
		sm_node *parent = sm_node_at(arena, walk.nodes[level + 1]);
		int at = walk.at[level + 1];

		if (count == 0)
		{
			remove_slot(parent, at);
			free_node(order, walk.nodes[level]);
		}
		else if (count >= FEW_SLOTS ||
				 !((at + 1 < sm_node_get_info(parent).count &&
					merge_children(arena, order, parent, at)) ||
				   (at > 0 && merge_children(arena, order, parent, at - 1))))
			break;
	}
	lower_root(arena, order);
}

/* Gives a tree's pages back. */
void
sm_order_free(const sm_arena *arena, uint64_t root)
{
	const sm_node *n = sm_node_at(arena, root);
	sm_node_info info;

	if (root == 0)
		return;
	info = sm_node_get_info(n);
	for (int i = 0; info.level > 0 && i < info.count; i++)
		sm_order_free(arena, sm_load(&n->refs[i]));
	sm_pages_free(root, 1);
}

/* ---- what readers do; what they see may be garbage (R4) ---- */

/* Entries that a walk asks the memory for, ahead of the one that it is at. */
#define AHEAD 6

static void
prefetch(const sm_walk *walk, const sm_node *n, int at, int count)
{
	if (at >= 0 && at < count)
		sm_entry_prefetch(walk->arena, sm_load(&n->refs[at]));
}

/*
 * Goes to the first entry from a bound on, or with descending to the last one up
 * to it; without a bound, to the first or the last of all.  sm_order_next then
 * returns it.
 */
void
sm_order_seek(sm_walk *walk, const sm_arena *arena, const sm_order *order,
			  const sm_bound *from, bool descending)
{
	uint64_t offset = sm_load(&order->root);
	bool bounded = from != NULL && from->key.data != NULL;
	int level;

	walk->arena = arena;
	walk->descending = descending;
	walk->levels = 0;
	if (!sm_is_node(arena, offset))
		return;
	level = sm_node_get_info(sm_node_at(arena, offset)).level;
	walk->levels = level + 1;
	for (; level >= 0; level--)
	{
		const sm_node *n = sm_node_at(arena, offset);
		sm_node_info info;
		int at;

		if (!sm_is_node(arena, offset))
		{
			walk->levels = 0;
			return;
		}
		info = sm_node_get_info(n);
		info.level = level;
		if (!bounded)
			at = descending ? info.count - 1 : 0;
		else if (level > 0)
			at = sm_node_choose_child(arena, n, info, from->key);
		else if (descending)
			at = sm_node_search(arena, n, info, 0, from->key, from->inclusive) - 1;
		else
			at = sm_node_search(arena, n, info, 0, from->key, !from->inclusive);
		if (level > 0 && at < 0)
			at = 0;
		walk->nodes[level] = offset;
		walk->at[level] = at;
		if (level > 0)
			offset = sm_load(&n->refs[at]);
		else
		{
			for (int i = 0; i < AHEAD; i++)
				prefetch(walk, n, descending ? at - i : at + i, info.count);
		}
	}
}

/* Goes to the leaf that follows.  Returns false if there is none. */
static bool
next_leaf(sm_walk *walk)
{
	const sm_arena *arena = walk->arena;
	int step = walk->descending ? -1 : 1;
	int level = 1;

	for (;; level++)
	{
		int at;

		if (level >= walk->levels)
			return false;
		at = walk->at[level] + step;
		if (at >= 0 &&
			at < sm_node_get_info(sm_node_at(arena, walk->nodes[level])).count)
		{
			walk->at[level] = at;
			break;
		}
	}
	for (; level > 0; level--)
	{
		const sm_node *n = sm_node_at(arena, walk->nodes[level]);
		uint64_t below = sm_load(&n->refs[walk->at[level]]);

		if (!sm_is_node(arena, below))
			return false;
		walk->nodes[level - 1] = below;
		walk->at[level - 1] =
			walk->descending ? sm_node_get_info(sm_node_at(arena, below)).count - 1 : 0;
		if (walk->at[level - 1] < 0)
			return false;
	}
	return true;
}

/* The entry that a walk is at, or 0 at its end; and goes on to the next one. */
uint64_t
sm_order_next(sm_walk *walk)
{
	int step = walk->descending ? -1 : 1;
	const sm_node *n;
	sm_node_info info;
	uint64_t entry;

	if (walk->levels == 0)
		return 0;
	n = sm_node_at(walk->arena, walk->nodes[0]);
	info = sm_node_get_info(n);
	if (walk->at[0] < 0 || walk->at[0] >= info.count)
	{
		if (!next_leaf(walk))
		{
			walk->levels = 0;
			return 0;
		}
		n = sm_node_at(walk->arena, walk->nodes[0]);
		info = sm_node_get_info(n);
	}
	entry = sm_load(&n->refs[walk->at[0]]);
	walk->at[0] += step;
	prefetch(walk, n, walk->at[0] + step * (AHEAD - 1), info.count);
	return entry;
}
