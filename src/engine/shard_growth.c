/*
 * shard_growth.c
 *	  A shard's indexes: promotion, growth, and shrinking.
 *
 * Writers and the maintenance worker do all of it, a bounded piece at a time,
 * so that no lock is held for long (W5).
 *
 * Promotion moves dirty's slots into read.  When read is full after that, an
 * index of twice the size or more becomes dirty, and every write moves a few
 * of read's buckets into it; when read is empty, one word makes dirty the read
 * index.  Both are the same move: place a slot there, then clear it here (R2).
 * A read index that has become far too large shrinks in the same way.
 */
#include "shard.h"

#include <assert.h>

/* Dirty is promoted at this many keys, whatever the ratio: it stays in cache. */
#define DIRTY_MAX 256

/* A write's share of the work while read grows, and when it has grown. */
#define GROWTH_BUCKETS 2
#define WRITE_PAGES	   8

/* The worker's, each time it takes the lock. */
#define STEP_GROWTH_BUCKETS 64
#define STEP_PAGES			64

/* An index may be that part of a shard's share of its map's quota. */
#define INDEX_PARTS 4

/* The read index shrinks when it has that many times the room it needs. */
#define SPARSE 16

/*
 * Publishes an index under a new generation.  What a reader loads through the
 * word was stored before; what is stored afterwards into memory that the word
 * before led to is ordered behind it (R5).
 */
void
sm_shard_publish(sm_shard *shard, sm_word *where, sm_index *index)
{
	shard->generation++;
	index->word = (index->word & 0xffffffff) | (uint64_t) shard->generation << 32;
	sm_store_release(where, index->word);
	sm_fence_release();
}

static sm_index *
make_index(const sm_engine *engine, sm_shard *shard, sm_word *where, sm_index *index,
		   unsigned bits)
{
	if (sm_index_root(index->word) == 0)
	{
		if (!sm_index_create(&engine->arena, index, bits))
			return NULL;
		sm_shard_publish(shard, where, index);
	}
	return index;
}

static sm_index *
make_read(const sm_engine *engine, sm_shard *shard)
{
	return make_index(engine, shard, &shard->read, &shard->read_index,
					  SM_MIN_INDEX_BITS);
}

/* The percentage of the shard's keys that dirty may have. */
static uint64_t
promote_ratio(const sm_engine *engine, const sm_shard *shard)
{
	uint64_t own = sm_load(&sm_state_of(engine, shard)->own_ratio);

	return own != 0 ? own - 1 : engine->promote_ratio;
}

/*
 * The index that new keys go to, made if it is not there: dirty, or read
 * itself where nothing is to wait for its promotion.  Returns NULL if there is
 * no memory.
 */
sm_index *
sm_shard_index_for_new(const sm_engine *engine, sm_shard *shard)
{
	if (promote_ratio(engine, shard) == 0 && !shard->growing)
		return make_read(engine, shard);
	return make_index(engine, shard, &shard->dirty, &shard->dirty_index,
					  SM_MIN_INDEX_BITS);
}

/*
 * Is there a place for an index of 2^bits buckets?  Under a quota it may take
 * the place of keys, but not of too many.
 */
static bool
may_grow(const sm_engine *engine, sm_shard *shard, unsigned bits)
{
	uint64_t pages = (uint64_t) 1 << (bits - SM_PAGE_BUCKETS_BITS);
	const sm_map_state *state = sm_state_of(engine, shard);
	uint64_t share = sm_load(&state->max_pages) / shard->map_shards;

	return bits <= SM_MAX_INDEX_BITS &&
		(!sm_shard_exceeds(engine, shard, pages) ||
		 (sm_load(&state->evicts) && pages <= share / INDEX_PARTS));
}

/*
 * Starts to replace a read index that is too small or too large: an index that
 * will be half full takes the place of the dirty one, which is empty.  Without
 * memory for it, read stays, and chains on.
 */
static void
start_growth(const sm_engine *engine, sm_shard *shard)
{
	unsigned bits = SM_MIN_INDEX_BITS;
	sm_index next;

	assert(shard->dirty_index.count == 0);
	while (((uint64_t) SM_SLOTS << bits) < 2 * shard->read_index.count)
		bits++;
	if (!may_grow(engine, shard, bits) || !sm_index_create(&engine->arena, &next, bits))
		return;

	/* nobody can be in it any more once the pages of the one before are free */
	sm_index_free(&engine->arena, &shard->retired, UINT64_MAX);
	shard->retired = shard->dirty_index;
	shard->dirty_index = next;
	sm_shard_publish(shard, &shard->dirty, &shard->dirty_index);
	shard->growing = true;
	shard->moved = 0;
}

/*
 * Moves a few of read's buckets into dirty.  When none is left, dirty becomes
 * read: its word is stored there first, so that a reader that finds dirty gone
 * sees the read word changed (R2).
 */
static void
grow(const sm_engine *engine, sm_shard *shard, int most)
{
	uint32_t nbuckets = (uint32_t) 1 << sm_index_bits(shard->read_index.word);

	for (int i = 0; i < most && shard->moved < nbuckets; i++)
	{
		if (!sm_index_move_bucket(&engine->arena, &shard->read_index,
								  &shard->dirty_index, shard->moved))
			return;
		shard->moved++;
	}
	if (shard->moved < nbuckets)
		return;

	assert(shard->read_index.count == 0);
	sm_index_free(&engine->arena, &shard->retired, UINT64_MAX);
	shard->retired = shard->read_index;
	shard->read_index = shard->dirty_index;
	shard->dirty_index = (sm_index) {0};
	sm_shard_publish(shard, &shard->read, &shard->read_index);
	sm_shard_publish(shard, &shard->dirty, &shard->dirty_index);
	shard->growing = false;
	sm_shard_count_one(shard, SM_PROMOTIONS);
}

/* Moves dirty's slots into read, all of them: they are few. */
static void
promote(const sm_engine *engine, sm_shard *shard)
{
	uint32_t nbuckets = (uint32_t) 1 << sm_index_bits(shard->dirty_index.word);

	if (make_read(engine, shard) == NULL)
		return;
	for (uint32_t bucket = 0; bucket < nbuckets; bucket++)
	{
		if (!sm_index_move_bucket(&engine->arena, &shard->dirty_index,
								  &shard->read_index, bucket))
			return;
	}
	sm_store(&shard->misses, 0);
	sm_shard_count_one(shard, SM_PROMOTIONS);
}

/* Is it time to promote?  By ratio, by count, or by misses, as in sync.Map. */
static bool
wants_promotion(const sm_engine *engine, const sm_shard *shard)
{
	uint64_t dirty = shard->dirty_index.count;

	return dirty > 0 &&
		(dirty >= DIRTY_MAX ||
		 dirty * 100 > sm_load(&shard->entries) * promote_ratio(engine, shard) ||
		 sm_load(&shard->misses) >= dirty);
}

static bool
is_full(const sm_index *index)
{
	return index->count > sm_index_capacity(index->word);
}

static bool
is_sparse(const sm_index *index)
{
	return sm_index_root(index->word) != 0 &&
		sm_index_bits(index->word) > SM_MIN_INDEX_BITS &&
		index->count < sm_index_capacity(index->word) / SPARSE;
}

/* A write's share of the shard's housekeeping. */
void
sm_shard_maintain(const sm_engine *engine, sm_shard *shard)
{
	if (shard->retired.pages > 0)
		sm_index_free(&engine->arena, &shard->retired, WRITE_PAGES);
	if (shard->kept.lost)
		sm_shard_free_kept(engine, &shard->kept, WRITE_PAGES);
	if (shard->growing)
		grow(engine, shard, GROWTH_BUCKETS);
	else if (wants_promotion(engine, shard))
		promote(engine, shard);
	if (!shard->growing && shard->dirty_index.count == 0 && is_full(&shard->read_index))
		start_growth(engine, shard);
	if (engine->compact_ratio == 0)
		sm_shard_compact(engine, shard);
}

/*
 * A step of the worker's housekeeping of a shard's indexes.  Returns true if
 * there may be more to do.
 */
bool
sm_shard_step(const sm_engine *engine, uint32_t number, uint64_t id)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	bool more = true;

	if (sm_load(&shard->id) != id)
		more = false;
	else if (shard->retired.pages > 0)
		more = sm_index_free(&engine->arena, &shard->retired, STEP_PAGES) > 0;
	else if (shard->growing)
	{
		uint32_t moved = shard->moved;

		grow(engine, shard, STEP_GROWTH_BUCKETS);
		more = !shard->growing || shard->moved > moved;
	}
	else if (shard->dirty_index.count > 0)
	{
		promote(engine, shard);
		more = shard->dirty_index.count == 0;
	}
	else if (is_full(&shard->read_index) || is_sparse(&shard->read_index))
	{
		start_growth(engine, shard);
		more = shard->growing;
	}
	else
		more = false;
	sm_shard_unlock(engine, number);
	return more;
}
