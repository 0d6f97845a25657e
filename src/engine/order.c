/*
 * order.c
 *	  A shard's entries in the order of their keys: a B+tree.
 *
 * Nodes are split on the way down, before anything is inserted, so that an
 * insertion itself needs no memory (M2, W1).
 */
#include "order.h"

#include <assert.h>
#include <string.h>

#include "log.h"

/* Bytes that all keys under a node share, and that it keeps, at most. */
#define COMMON_WORDS 8
#define COMMON_MAX	 (COMMON_WORDS * 8)

/* What a page takes; the tests have deeper trees with fewer. */
#ifdef SM_NODE_SLOTS
#define NODE_SLOTS SM_NODE_SLOTS
#else
#define NODE_SLOTS 251
#endif

/* A node with fewer slots is merged with its neighbour if both fit well in one. */
#define FEW_SLOTS	 (NODE_SLOTS / 4)
#define MERGED_SLOTS (NODE_SLOTS * 3 / 4)

typedef struct node_slot
{
	sm_word word; /* 8 bytes of the key behind the common ones, as a number */
	sm_word ref;  /* an entry, or the least of a node's keys */
} node_slot;

typedef struct node
{
	sm_word info; /* see make_info */
	sm_word common[COMMON_WORDS];
	node_slot slots[NODE_SLOTS];
} node;

_Static_assert(sizeof(node) <= SM_PAGE_SIZE, "a node is a page");

/* What a node's info says. */
typedef struct node_info
{
	int level; /* 0: its slots lead to entries */
	int count; /* slots in use */
	int skip;  /* common bytes */
} node_info;

static node *
node_at(const sm_arena *arena, uint64_t offset)
{
	return (node *) (arena->base + offset);
}

static node_info
get_info(const node *n)
{
	uint64_t word = sm_load(&n->info);
	node_info info = {.level = (int) (word >> 32 & 0xff),
					  .count = (int) (word & 0xffff),
					  .skip = (int) (word >> 16 & 0xffff)};

	/* garbage must not lead out of the node (R4) */
	if (info.level >= SM_ORDER_LEVELS)
		info.level = SM_ORDER_LEVELS - 1;
	if (info.count > NODE_SLOTS)
		info.count = NODE_SLOTS;
	if (info.skip > COMMON_MAX)
		info.skip = COMMON_MAX;
	return info;
}

static void
set_info(node *n, node_info info)
{
	sm_store(&n->info,
			 (uint64_t) info.level << 32 | (uint64_t) info.skip << 16 |
				 (uint64_t) info.count);
}

/* Can there be a node at that offset?  (R4) */
static bool
is_node(const sm_arena *arena, uint64_t offset)
{
	return offset != 0 && offset % SM_PAGE_SIZE == 0 &&
		sm_in_arena(arena, offset, SM_PAGE_SIZE);
}

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
static uint64_t
key_word(sm_bytes key, size_t from)
{
	uint64_t word = 0;
	size_t left = key.len > from ? key.len - from : 0;

	if (left > 0)
		memcpy(&word, (const char *) key.data + from, left < 8 ? left : 8);
	return big_endian(word);
}

/* The same of an entry's key. */
static uint64_t
entry_word(const sm_arena *arena, uint64_t entry, size_t from)
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
		uint64_t other = key_word(key, i);

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
static uint64_t
outermost(const sm_arena *arena, uint64_t offset, int level, bool greatest)
{
	for (; level >= 0; level--)
	{
		const node *n = node_at(arena, offset);
		int last;

		if (!is_node(arena, offset))
			return 0;
		last = get_info(n).count - 1;
		offset = sm_load(&n->slots[greatest && last > 0 ? last : 0].ref);
	}
	return offset;
}

/* The entry that has a slot's key. */
static uint64_t
slot_entry(const sm_arena *arena, const node *n, int level, int slot)
{
	uint64_t ref = sm_load(&n->slots[slot].ref);

	return level == 0 ? ref : outermost(arena, ref, level - 1, false);
}

/* How many bytes, up to most, a key shares with the common ones of a node. */
static int
shared_bytes(const node *n, int most, sm_bytes key)
{
	for (int i = 0; i < most; i += 8)
	{
		uint64_t differ = sm_load(&n->common[i / 8]) ^ key_word(key, (size_t) i);
		int same = i + (differ == 0 ? 8 : __builtin_clzll(differ) / 8);

		if ((size_t) same > key.len)
			same = (int) key.len;
		if (same < i + 8 || same >= most)
			return same < most ? same : most;
	}
	return most;
}

/*
 * The first slot, from one on, whose key is not before the given one; with after,
 * whose key is after it.
 */
static int
search(const sm_arena *arena, const node *n, node_info info, int from, sm_bytes key,
	   bool after)
{
	int shared = shared_bytes(n, info.skip, key);
	uint64_t word = key_word(key, (size_t) info.skip);
	int low = from;
	int high = info.count;

	if (shared < info.skip)
	{
		uint64_t common = sm_load(&n->common[shared / 8]);
		uint64_t mine = key_word(key, (size_t) shared / 8 * 8);

		/* a key that ends in the common bytes is before all that go on */
		return (size_t) shared == key.len || mine < common ? low : high;
	}
	while (low < high)
	{
		int middle = low + (high - low) / 2;
		uint64_t there = sm_load(&n->slots[middle].word);
		bool before = there < word;

		if (there == word)
		{
			int order =
				sm_order_compare(arena, slot_entry(arena, n, info.level, middle), key);

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
static int
choose_child(const sm_arena *arena, const node *n, node_info info, sm_bytes key)
{
	return search(arena, n, info, 1, key, true) - 1;
}

/* ---- what writers do ---- */

static void
free_node(sm_order *order, uint64_t offset)
{
	sm_pages_free(offset, 1);
	order->pages--;
}

/* Computes all words of a node anew. */
static void
compute_words(const sm_arena *arena, node *n, node_info info)
{
	for (int i = 0; i < info.count; i++)
		sm_store(&n->slots[i].word,
				 entry_word(arena, slot_entry(arena, n, info.level, i),
							(size_t) info.skip));
}

/*
 * Finds out what all keys under a node have in common, the first and the last one
 * being known to be under it, and computes the words if that has changed.
 */
static void
compute_common(const sm_arena *arena, node *n, node_info info)
{
	uint64_t first = slot_entry(arena, n, info.level, 0);
	uint64_t last = sm_load(&n->slots[info.count - 1].ref);
	uint64_t len = sm_head_key_len(sm_load(sm_at(arena, first)));
	int skip = 0;

	if (info.level > 0)
		last = outermost(arena, last, info.level - 1, true);
	if (sm_head_key_len(sm_load(sm_at(arena, last))) < len)
		len = sm_head_key_len(sm_load(sm_at(arena, last)));
	for (int i = 0; i < COMMON_WORDS; i++)
	{
		uint64_t word = entry_word(arena, first, (size_t) i * 8);
		uint64_t differ = word ^ entry_word(arena, last, (size_t) i * 8);

		sm_store(&n->common[i], word);
		if (skip == i * 8)
			skip += differ == 0 ? 8 : __builtin_clzll(differ) / 8;
	}
	if ((uint64_t) skip > len)
		skip = (int) len;
	if (skip != info.skip)
	{
		info.skip = skip;
		set_info(n, info);
		compute_words(arena, n, info);
	}
}

/* A key comes under a node: it has only that in common then that the key has, too. */
static node_info
admit(const sm_arena *arena, node *n, sm_bytes key)
{
	node_info info = get_info(n);
	int shared = shared_bytes(n, info.skip, key);

	if (shared < info.skip)
	{
		info.skip = shared;
		set_info(n, info);
		compute_words(arena, n, info);
	}
	return info;
}

/* Moves the slots from one on by some places. */
static void
shift(node *n, int count, int from, int by)
{
	if (by > 0)
	{
		for (int i = count - 1; i >= from; i--)
		{
			sm_store(&n->slots[i + by].word, sm_load(&n->slots[i].word));
			sm_store(&n->slots[i + by].ref, sm_load(&n->slots[i].ref));
		}
		return;
	}
	for (int i = from; i < count; i++)
	{
		sm_store(&n->slots[i + by].word, sm_load(&n->slots[i].word));
		sm_store(&n->slots[i + by].ref, sm_load(&n->slots[i].ref));
	}
}

/* Copies count slots from one node to another, and all else if it starts empty. */
static void
copy_slots(node *to, int at, const node *from, int first, int count)
{
	for (int i = 0; i < count; i++)
	{
		sm_store(&to->slots[at + i].word, sm_load(&from->slots[first + i].word));
		sm_store(&to->slots[at + i].ref, sm_load(&from->slots[first + i].ref));
	}
	for (int i = 0; at == 0 && i < COMMON_WORDS; i++)
		sm_store(&to->common[i], sm_load(&from->common[i]));
}

static void
insert_slot(node *n, node_info info, int at, uint64_t word, uint64_t ref)
{
	shift(n, info.count, at, 1);
	sm_store(&n->slots[at].word, word);
	sm_store(&n->slots[at].ref, ref);
	info.count++;
	set_info(n, info);
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
split_child(const sm_arena *arena, sm_order *order, node *parent, int at, sm_bytes key)
{
	node_info above = get_info(parent);
	node *left = node_at(arena, sm_load(&parent->slots[at].ref));
	node_info info = get_info(left);
	node_info half = info;
	uint64_t offset = make_node(order);
	node *right = node_at(arena, offset);
	int stay = NODE_SLOTS / 2;

	if (offset == 0)
		return false;
	if (search(arena, left, info, 0, key, true) == info.count)
		stay = NODE_SLOTS - 1;
	half.count = info.count - stay;
	copy_slots(right, 0, left, stay, half.count);
	set_info(right, half);
	info.count = stay;
	set_info(left, info);
	compute_common(arena, left, info);
	compute_common(arena, right, half);
	insert_slot(parent, above, at + 1,
				entry_word(arena, outermost(arena, offset, info.level, false),
						   (size_t) above.skip),
				offset);
	return true;
}

/* Makes a root above the root.  Returns false if there is no memory. */
static bool
raise_root(const sm_arena *arena, sm_order *order)
{
	uint64_t root = sm_load(&order->root);
	const node *below = node_at(arena, root);
	node_info info = get_info(below);
	uint64_t offset = make_node(order);
	node *n = node_at(arena, offset);

	if (offset == 0)
		return false;
	info.level++;
	info.count = 1;
	assert(info.level < SM_ORDER_LEVELS);
	copy_slots(n, 0, below, 0, 1);
	sm_store(&n->slots[0].ref, root);
	set_info(n, info);
	sm_store(&order->root, offset);
	return true;
}

/*
 * Sees to it that the next sm_order_insert of this key can't fail.  Returns false
 * if there is no memory.
 */
bool
sm_order_reserve(const sm_arena *arena, sm_order *order, sm_bytes key)
{
	node *n;

	if (sm_load(&order->root) == 0)
	{
		uint64_t root = make_node(order);

		if (root == 0)
			return false;
		set_info(node_at(arena, root), (node_info) {0});
		sm_store(&order->root, root);
		return true;
	}
	n = node_at(arena, sm_load(&order->root));
	if (get_info(n).count == NODE_SLOTS)
	{
		if (!raise_root(arena, order))
			return false;
		n = node_at(arena, sm_load(&order->root));
	}
	while (get_info(n).level > 0)
	{
		int at = choose_child(arena, n, get_info(n), key);
		node *child = node_at(arena, sm_load(&n->slots[at].ref));

		if (get_info(child).count == NODE_SLOTS)
		{
			if (!split_child(arena, order, n, at, key))
				return false;
			continue;
		}
		n = child;
	}
	return true;
}

/* Adds an entry, whose key is not there.  Reserve it first. */
void
sm_order_insert(const sm_arena *arena, sm_order *order, sm_bytes key, uint64_t entry)
{
	node *n = node_at(arena, sm_load(&order->root));
	node_info info = get_info(n);

	if (info.count == 0)
	{
		sm_store(&n->slots[0].ref, entry);
		info = (node_info) {.count = 1, .skip = -1};
		set_info(n, (node_info) {.count = 1});
		compute_common(arena, n, info);
		return;
	}
	while ((info = admit(arena, n, key)).level > 0)
		n = node_at(arena, sm_load(&n->slots[choose_child(arena, n, info, key)].ref));
	insert_slot(n, info, search(arena, n, info, 0, key, false),
				key_word(key, (size_t) info.skip), entry);
}

/* Goes down to a key that is there. */
static void
find_key(sm_walk *walk, const sm_arena *arena, const sm_order *order, sm_bytes key)
{
	uint64_t offset = sm_load(&order->root);
	const node *n = node_at(arena, offset);
	node_info info = get_info(n);

	walk->levels = info.level + 1;
	for (int level = info.level; level > 0; level--)
	{
		walk->nodes[level] = offset;
		walk->at[level] = choose_child(arena, n, info, key);
		offset = sm_load(&n->slots[walk->at[level]].ref);
		n = node_at(arena, offset);
		info = get_info(n);
	}
	walk->nodes[0] = offset;
	walk->at[0] = search(arena, n, info, 0, key, false);
	assert(walk->at[0] < info.count);
	assert(sm_order_compare(arena, sm_load(&n->slots[walk->at[0]].ref), key) == 0);
}

/* The entry of a key that is there will stand somewhere else. */
void
sm_order_move(const sm_arena *arena, const sm_order *order, sm_bytes key,
			  uint64_t entry)
{
	sm_walk walk;

	find_key(&walk, arena, order, key);
	sm_store(&node_at(arena, walk.nodes[0])->slots[walk.at[0]].ref, entry);
}

static void
remove_slot(node *n, int at)
{
	node_info info = get_info(n);

	shift(n, info.count, at + 1, -1);
	info.count--;
	set_info(n, info);
}

/*
 * Merges two neighbours under a node, the child at a place and the next one, if
 * they fit well in one.  Returns whether they did.
 */
static bool
merge_children(const sm_arena *arena, sm_order *order, node *parent, int at)
{
	uint64_t freed = sm_load(&parent->slots[at + 1].ref);
	node *left = node_at(arena, sm_load(&parent->slots[at].ref));
	node *right = node_at(arena, freed);
	node_info info = get_info(left);
	node_info other = get_info(right);

	if (info.count + other.count > MERGED_SLOTS)
		return false;
	copy_slots(left, info.count, right, 0, other.count);
	info.count += other.count;
	set_info(left, info);
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
		const node *n = node_at(arena, root);
		node_info info = get_info(n);

		if (info.count > 1 || (info.count == 1 && info.level == 0))
			return;
		sm_store(&order->root, info.count == 0 ? 0 : sm_load(&n->slots[0].ref));
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
	remove_slot(node_at(arena, walk.nodes[0]), walk.at[0]);
	for (level = 0; level < walk.levels - 1; level++)
	{
		int count = get_info(node_at(arena, walk.nodes[level])).count;
		node *parent = node_at(arena, walk.nodes[level + 1]);
		int at = walk.at[level + 1];

		if (count == 0)
		{
			remove_slot(parent, at);
			free_node(order, walk.nodes[level]);
		}
		else if (count >= FEW_SLOTS ||
				 !((at + 1 < get_info(parent).count &&
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
	const node *n = node_at(arena, root);
	node_info info;

	if (root == 0)
		return;
	info = get_info(n);
	for (int i = 0; info.level > 0 && i < info.count; i++)
		sm_order_free(arena, sm_load(&n->slots[i].ref));
	sm_pages_free(root, 1);
}

/* ---- what readers do; what they see may be garbage (R4) ---- */

/* Entries that a walk asks the memory for, ahead of the one that it is at. */
#define AHEAD 6

static void
prefetch(const sm_walk *walk, const node *n, int at, int count)
{
	if (at >= 0 && at < count)
	{
		const char *entry = walk->arena->base + sm_load(&n->slots[at].ref);

		__builtin_prefetch(entry);
		__builtin_prefetch(entry + 64);
	}
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
	if (!is_node(arena, offset))
		return;
	level = get_info(node_at(arena, offset)).level;
	walk->levels = level + 1;
	for (; level >= 0; level--)
	{
		const node *n = node_at(arena, offset);
		node_info info;
		int at;

		if (!is_node(arena, offset))
		{
			walk->levels = 0;
			return;
		}
		info = get_info(n);
		info.level = level;
		if (!bounded)
			at = descending ? info.count - 1 : 0;
		else if (level > 0)
			at = choose_child(arena, n, info, from->key);
		else if (descending)
			at = search(arena, n, info, 0, from->key, from->inclusive) - 1;
		else
			at = search(arena, n, info, 0, from->key, !from->inclusive);
		if (level > 0 && at < 0)
			at = 0;
		walk->nodes[level] = offset;
		walk->at[level] = at;
		if (level > 0)
			offset = sm_load(&n->slots[at].ref);
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
		if (at >= 0 && at < get_info(node_at(arena, walk->nodes[level])).count)
		{
			walk->at[level] = at;
			break;
		}
	}
	for (; level > 0; level--)
	{
		const node *n = node_at(arena, walk->nodes[level]);
		uint64_t below = sm_load(&n->slots[walk->at[level]].ref);

		if (!is_node(arena, below))
			return false;
		walk->nodes[level - 1] = below;
		walk->at[level - 1] =
			walk->descending ? get_info(node_at(arena, below)).count - 1 : 0;
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
	const node *n;
	node_info info;
	uint64_t entry;

	if (walk->levels == 0)
		return 0;
	n = node_at(walk->arena, walk->nodes[0]);
	info = get_info(n);
	if (walk->at[0] < 0 || walk->at[0] >= info.count)
	{
		if (!next_leaf(walk))
		{
			walk->levels = 0;
			return 0;
		}
		n = node_at(walk->arena, walk->nodes[0]);
		info = get_info(n);
	}
	entry = sm_load(&n->slots[walk->at[0]].ref);
	walk->at[0] += step;
	prefetch(walk, n, walk->at[0] + step * (AHEAD - 1), info.count);
	return entry;
}
