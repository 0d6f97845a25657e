/*
 * shard_order.c
 *	  A shard's keys in order: making the order, and reading by it.
 *
 * A reader walks the tree without a lock and copies what it finds; then it checks
 * that no writer has held the shard's lock meanwhile.  That is coarser than a
 * bucket's version, but a walk looks at much of the tree, and takes a few
 * microseconds.  What was seen if a writer did is garbage, and is tried again; after
 * some tries under the lock, shared, for one copy (R6).
 */
#include "shard.h"

#include "pair.h"
#include "port.h"

/* Keys that one step puts in order under the lock (W5). */
#define STEP_KEYS 128

/* A value over so many bytes is not copied here: its reader asks for it. */
#define MAX_COPIED 8192

/* Entries that one call looks at: expired ones may be many. */
#define MAX_VISITED 1024

/* ---- making the order ---- */

/* A step's part of the shard's keys: those with tags from low to high. */
typedef struct order_step
{
	const sm_engine *engine;
	sm_shard *shard;
	uint32_t low;
	uint32_t high; /* inclusive */
	int keys;	   /* put in order by this step */
} order_step;

typedef bool (*key_action)(order_step *step, sm_bytes key, uint64_t entry);

static bool
add_key(order_step *step, sm_bytes key, uint64_t entry)
{
	sm_order_place place;

	if (!sm_order_reserve(&step->engine->arena, &step->shard->order, key, &place))
		return false;
	sm_order_insert(&step->engine->arena, &place, entry);
	step->keys++;
	return true;
}

/* Takes back what add_key did, which was that much. */
static bool
take_back(order_step *step, sm_bytes key, uint64_t entry)
{
	(void) entry;
	if (step->keys == 0)
		return false;
	step->keys--;
	sm_order_remove(&step->engine->arena, &step->shard->order, key);
	return true;
}

/* Does something for each of the step's keys in an index, until that returns false. */
static bool
for_keys(order_step *step, const sm_index *index, key_action action)
{
	const sm_arena *arena = &step->engine->arena;
	sm_chain_walk walk = {0};
	sm_probe probe;

	if (sm_index_root(index->word) != 0 &&
		sm_index_probe(arena, index->word, step->low, &probe))
		walk.bucket = probe.bucket;
	while (walk.bucket != NULL)
	{
		uint64_t slot;

		while ((slot = sm_chain_next(arena, &walk)) != 0)
		{
			uint64_t entry = sm_slot_entry(slot);
			char bytes[SM_MAX_KEY];
			sm_bytes key = {bytes, 0};

			if (sm_slot_tag(slot) < step->low || sm_slot_tag(slot) > step->high)
				continue;
			key.len = sm_head_key_len(sm_load(sm_at(arena, entry)));
			sm_copy_out(bytes, sm_at(arena, entry) + 1, key.len);
			if (!action(step, key, entry))
				return false;
		}
	}
	return true;
}

/* Puts the keys of the next bucket in order.  False if there is no memory for it. */
static bool
order_bucket(order_step *step)
{
	sm_shard *shard = step->shard;
	int before = step->keys;
	unsigned bits = 0;

	if (sm_index_root(shard->read_index.word) != 0)
		bits = sm_index_bits(shard->read_index.word);
	if (sm_index_root(shard->dirty_index.word) != 0 &&
		sm_index_bits(shard->dirty_index.word) > bits)
		bits = sm_index_bits(shard->dirty_index.word);
	step->low = shard->ordered_tags;
	step->high = step->low | (((uint32_t) 1 << (SM_TAG_BITS - bits)) - 1);

	if (!for_keys(step, &shard->read_index, add_key) ||
		!for_keys(step, &shard->dirty_index, add_key))
	{
		step->keys -= before;
		if (for_keys(step, &shard->read_index, take_back))
			for_keys(step, &shard->dirty_index, take_back);
		return false;
	}
	sm_shard_set_ordered_tags(shard, step->high + 1);
	return true;
}

/*
 * Puts some more of a shard's keys in order, if its map is to be ordered.  Returns
 * SM_ABSENT when all are, SM_FOUND if there is more to do, SM_NO_MEMORY, or SM_GONE.
 */
sm_status
sm_shard_order_step(const sm_engine *engine, uint32_t number, uint64_t id)
{
	const sm_shard *peeked = &engine->shards[number];
	order_step step = {.engine = engine};
	bool ready = sm_load(&peeked->order_ready) != 0;
	sm_status status = SM_FOUND;

	if (!sm_shard_was_of(peeked, id))
		return SM_GONE;
	if (ready)
		return SM_ABSENT;

	step.shard = sm_shard_lock(engine, number);
	if (sm_load(&step.shard->id) != id)
		status = SM_GONE;
	else if (!sm_load(&sm_state_of(engine, step.shard)->ordered))
		status = SM_ABSENT;
	else
		sm_shard_begin_order(step.shard);
	while (status == SM_FOUND && step.keys < STEP_KEYS &&
		   step.shard->ordered_tags < SM_ALL_TAGS)
	{
		if (!order_bucket(&step))
			status = SM_NO_MEMORY;
	}
	if (status == SM_FOUND && step.shard->ordered_tags == SM_ALL_TAGS)
		status = SM_ABSENT;
	sm_shard_unlock(engine, number);
	return status;
}

/* ---- reading by it ---- */

/* What one try has copied. */
typedef struct ordered_batch
{
	char *data;
	size_t size;
	size_t len;
	uint32_t pairs;
	uint32_t visited;
	int64_t now; /* the clock; asked when it is 0 */
	sm_status status;
} ordered_batch;

typedef enum pair_result
{
	ADDED,
	EXPIRED,
	NO_ROOM,
	GARBAGE
} pair_result;

/* Copies an entry's pair, if there is room for it. */
static pair_result
add_pair(const sm_request *request, uint64_t entry, ordered_batch *batch)
{
	const sm_arena *arena = &request->engine->arena;
	char *to = batch->data + batch->len;
	uint64_t head;
	uint64_t place;
	sm_pair pair;

	if (!sm_pair_of(arena, entry, &head, &pair))
		return GARBAGE;
	place = sm_value_offset(entry, head);
	if (pair.expires != SM_NEVER)
	{
		if (batch->now == 0)
			batch->now = sm_port_now();
		/* the last one that is looked at is a place to go on from */
		if (pair.expires <= batch->now && batch->visited < MAX_VISITED)
			return EXPIRED;
	}
	if ((head & SM_HEAD_LARGE) || batch->visited == MAX_VISITED ||
		pair.value_len > MAX_COPIED ||
		(batch->pairs == 0 && sm_pair_size(&pair) > batch->size))
		pair.value_len = SM_NO_VALUE;
	if (batch->len + sm_pair_size(&pair) > batch->size)
	{
		if (batch->pairs == 0)
		{
			batch->len = sm_pair_size(&pair);
			batch->status = SM_TOO_SMALL;
		}
		return NO_ROOM;
	}
	to = sm_pair_write(arena, entry, &pair, to);
	if (pair.value_len != SM_NO_VALUE)
	{
		if (!sm_in_arena(arena, place, sm_pad(pair.value_len)))
			return GARBAGE;
		sm_copy_out(to, sm_at(arena, place), pair.value_len);
	}
	batch->len += sm_pair_size(&pair);
	batch->pairs++;
	return ADDED;
}

/* Is an entry's key behind the end of a span? */
static bool
is_beyond(const sm_arena *arena, uint64_t entry, const sm_span *span)
{
	int order;

	if (span->to.key.data == NULL)
		return false;
	order = sm_order_compare(arena, entry, span->to.key);
	if (span->descending)
		order = -order;
	return order > 0 || (order == 0 && !span->to.inclusive);
}

/* Copies pairs; false if what was seen was garbage, or may have been. */
static bool
copy_pairs(const sm_request *request, const sm_span *span, uint32_t most,
		   ordered_batch *batch)
{
	const sm_arena *arena = &request->engine->arena;
	sm_walk walk;

	batch->len = 0;
	batch->pairs = 0;
	batch->visited = 0;
	batch->status = SM_FOUND;
	if (!sm_load(&request->shard->order_ready))
	{
		batch->status = SM_REFUSED;
		return true;
	}
	sm_order_seek(&walk, arena, &request->shard->order, &span->from, span->descending);
	while (batch->pairs < most && batch->visited++ < MAX_VISITED)
	{
		uint64_t entry = sm_order_next(&walk);
		pair_result result;

		if (entry == 0 || is_beyond(arena, entry, span))
		{
			batch->status = SM_ABSENT;
			break;
		}
		result = add_pair(request, entry, batch);
		if (result == GARBAGE)
			return false;
		if (result == NO_ROOM)
			break;
	}
	return true;
}

/*
 * A try without the lock.  The order of the checks is that of validate in
 * shard_read.c: whatever was loaded, before the version (R1, R5), before the id.
 */
static bool
try_range(const sm_request *request, const sm_span *span, uint32_t most,
		  ordered_batch *batch)
{
	const sm_shard *shard = request->shard;
	uint64_t version = sm_load_acquire(&shard->order_version);

	if (version % 2 != 0 || !copy_pairs(request, span, most, batch))
		return false;
	sm_fence_acquire();
	return sm_load_acquire(&shard->order_version) == version &&
		sm_load(&shard->id) == request->map->id;
}

/* See sm_range_ordered in map.h. */
sm_status
sm_shard_range_ordered(const sm_request *request, const sm_span *span, uint32_t most,
					   sm_buffer *pairs)
{
	ordered_batch batch = {.data = pairs->data, .size = pairs->size};
	sm_tries tries = {0};

	while (!try_range(request, span, most, &batch))
	{
		if (!sm_tries_next(request, &tries))
			return SM_GONE;
	}
	sm_tries_end(request, &tries);
	pairs->len = batch.len;
	return batch.status;
}
