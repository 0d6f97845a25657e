/*
 * map.c
 *	  From a key to its shard; a map's life and its configuration.
 */
#include "map.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "port.h"
#include "shard.h"

/*
 * The hash of a key: XXH3 with a secret drawn at server start, so that nobody
 * can choose keys that share a bucket.  From the top: the shard's bits, then
 * the slot's tag, whose top bits name the bucket.
 */
uint64_t
sm_hash(const sm_engine *engine, const void *key, size_t len)
{
	return XXH3_64bits_withSecret(key, len, engine->secret, SM_SECRET_SIZE) &
		engine->hash_mask;
}

size_t
sm_table_size(uint32_t nshards)
{
	return nshards * sizeof(sm_shard);
}

/* Makes the fixed table, once, before any other process looks at it. */
void
sm_table_init(sm_shard *shards, uint32_t nshards)
{
	memset(shards, 0, sm_table_size(nshards));
}

size_t
sm_marks_size(uint64_t arena_size)
{
	return arena_size / SM_MARK_BYTES * sizeof(sm_mark);
}

/* Makes a handle.  Whether the map is there shows at the first call. */
void
sm_map_open(sm_map *map, const sm_engine *engine, uint64_t id, uint32_t first_shard,
			uint32_t shard_bits)
{
	assert(id != 0 && id != SM_NO_MAP && shard_bits <= SM_MAX_SHARD_BITS);
	assert(first_shard + (1U << shard_bits) <= engine->nshards);
	*map = (sm_map) {.engine = engine,
					 .id = id,
					 .first_shard = first_shard,
					 .shard_bits = shard_bits};
	map->evicts =
		sm_load(&sm_map_state_of(map)->evicts) != 0 && sm_map_had(map, first_shard);
}

/* Makes a handle of no map.  It names a shard as all do: the table has one at least. */
void
sm_map_open_none(sm_map *map, const sm_engine *engine)
{
	*map = (sm_map) {.engine = engine, .id = SM_NO_MAP};
}

/* Is there a map with the handle's id, which is not being taken away? */
bool
sm_map_is_there(const sm_map *map)
{
	return sm_map_had(map, map->first_shard);
}

/* What a map's state is before anybody has configured it. */
static void
init_state(sm_map_state *state)
{
	assert(sm_load(&state->pages) == 0);
	/* whoever sees one of these sees that the shards are not the map's before (R5) */
	sm_fence_release();
	sm_store(&state->max_pages, UINT64_MAX);
	sm_store(&state->evicts, 0);
	sm_store(&state->own_ratio, 0);
	sm_store(&state->ordered, 0);
	sm_store(&state->owner, 0);
	sm_store(&state->tickets, 0);
	sm_store(&state->stale, 0);
}

/*
 * Gives a map its shards, which were nobody's.  The caller sees to it that
 * nobody else does so at the same time.
 */
void
sm_map_create(sm_map *map)
{
	init_state(sm_map_state_of(map));
	map->evicts = false;
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		sm_shard *shard = &map->engine->shards[i];

		assert(sm_load(&shard->id) == 0);
		sm_store(&shard->earliest, (uint64_t) SM_NEVER);
		assert(sm_load(&shard->hidden) == 0);
		assert(shard->ordered_tags == 0);
		assert(shard->horizon == 0 && shard->stripes == 0);
		shard->swept_earliest = SM_NEVER;
		shard->map_shard = map->first_shard;
		shard->map_shards = 1U << map->shard_bits;
		sm_shard_zero_counts(shard);
		sm_store_release(&shard->id, map->id);
	}
}

/*
 * A map's state, with its first shard's lock held: that shard's id tells that the
 * state is this map's.  NULL, and no lock is held, if the map is gone.
 */
static sm_map_state *
lock_state(sm_map *map)
{
	sm_shard *first = sm_shard_lock(map->engine, map->first_shard);

	if (sm_load(&first->id) == map->id)
		return &first->state;
	sm_shard_unlock(map->engine, map->first_shard);
	return NULL;
}

static void
unlock_state(sm_map *map)
{
	sm_shard_unlock(map->engine, map->first_shard);
}

sm_status
sm_map_configure(sm_map *map, uint64_t max_memory, bool evicts)
{
	sm_map_state *state = lock_state(map);
	bool stops;

	if (state == NULL)
		return SM_GONE;
	stops = sm_load(&state->evicts) && !evicts;
	sm_store(&state->max_pages,
			 max_memory == 0 ? UINT64_MAX : max_memory / SM_PAGE_SIZE);
	sm_store(&state->evicts, evicts);
	map->evicts = evicts;
	unlock_state(map);

	/* whatever is evicting now has seen the other setting: wait until it is done (M3) */
	for (uint32_t i = map->first_shard + 1; stops && i < sm_map_end(map); i++)
	{
		const sm_shard *shard = sm_shard_lock(map->engine, i);
		bool is_there = sm_load(&shard->id) == map->id;

		sm_shard_unlock(map->engine, i);
		if (!is_there)
			return SM_GONE;
	}
	return SM_FOUND;
}

sm_status
sm_map_set_promote_ratio(sm_map *map, int percent)
{
	sm_map_state *state = lock_state(map);

	if (state == NULL)
		return SM_GONE;
	sm_store(&state->own_ratio, (uint64_t) percent + 1);
	unlock_state(map);
	return SM_FOUND;
}

sm_status
sm_map_set_stale(sm_map *map, int64_t stale)
{
	sm_map_state *state = lock_state(map);

	if (state == NULL)
		return SM_GONE;
	sm_store(&state->stale, (uint64_t) stale);
	unlock_state(map);
	return SM_FOUND;
}

/*
 * From now on a shard that becomes empty is ordered; one that is, at once.  Whoever
 * writes to the others meanwhile knows by a key's tag whether it is in the order.
 */
sm_status
sm_map_set_ordered(sm_map *map, bool ordered)
{
	sm_map_state *state = lock_state(map);
	bool changes;

	if (state == NULL)
		return SM_GONE;
	changes = (sm_load(&state->ordered) != 0) != ordered;
	sm_store(&state->ordered, ordered);
	unlock_state(map);
	for (uint32_t i = map->first_shard; changes && i < sm_map_end(map); i++)
	{
		if (!sm_shard_set_ordered(map->engine, i, map->id, ordered))
			return SM_GONE;
	}
	return SM_FOUND;
}

bool
sm_map_is_ordered(const sm_map *map)
{
	return sm_load(&sm_map_state_of(map)->ordered) != 0 &&
		sm_map_had(map, map->first_shard);
}

sm_status
sm_order_step(sm_map *map)
{
	if (!sm_map_is_ordered(map))
		return sm_map_had(map, map->first_shard) ? SM_ABSENT : SM_GONE;
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		sm_status status = sm_shard_order_step(map->engine, i, map->id);

		if (status != SM_ABSENT)
			return status;
	}
	return SM_ABSENT;
}

void
sm_map_destroy(sm_map *map)
{
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
		sm_shard_clear(map->engine, i, map->id, true);
}

SM_INLINE sm_request
make_request(sm_map *map, sm_bytes key)
{
	uint64_t hash = sm_hash(map->engine, key.data, key.len);
	uint32_t number = map->first_shard;

	if (map->shard_bits > 0)
		number += (uint32_t) (hash >> (64 - map->shard_bits));
	assert(key.len <= SM_MAX_KEY);
	return (sm_request) {.map = map,
						 .engine = map->engine,
						 .shard = &map->engine->shards[number],
						 .number = number,
						 .tag = sm_hash_tag(hash),
						 .key = key};
}

void
sm_prefetch(sm_map *map, const sm_bytes *keys, int n)
{
	struct
	{
		const sm_bucket *home;
		uint32_t tag;
	} ahead[SM_AHEAD];

	assert(n <= SM_AHEAD);
	for (int i = 0; i < n; i++)
	{
		sm_request request;

		ahead[i].home = NULL;
		if (keys[i].len > SM_MAX_KEY)
			continue;
		request = make_request(map, keys[i]);
		ahead[i].tag = request.tag;
		ahead[i].home = sm_shard_prefetch_home(&request);
	}
	for (int i = 0; i < n; i++)
	{
		if (ahead[i].home != NULL)
			sm_shard_prefetch_entry(map->engine, ahead[i].home, ahead[i].tag);
	}
}

sm_status
sm_get(sm_map *map, sm_bytes key, sm_buffer *value)
{
	sm_request request = make_request(map, key);

	return sm_shard_get(&request, value, NULL);
}

sm_status
sm_contains(sm_map *map, sm_bytes key)
{
	return sm_get(map, key, NULL);
}

sm_status
sm_get_expiry(sm_map *map, sm_bytes key, sm_buffer *value, int64_t *expires)
{
	sm_request request = make_request(map, key);
	sm_expiry expiry = {0};
	sm_status status = sm_shard_get(&request, value, &expiry);

	if (status == SM_FOUND)
		*expires = expiry.expires;
	return status;
}

sm_status
sm_get_hidden(sm_map *map, sm_bytes key, int wanted, sm_buffer *value,
			  sm_hidden *hidden)
{
	sm_request request = make_request(map, key);
	sm_expiry expiry = {.wanted = wanted};
	sm_status status = sm_shard_get(&request, value, &expiry);

	*hidden = SM_SHOWN;
	if (sm_is_hidden(expiry.expires))
		*hidden = sm_is_stale(expiry.expires) ? SM_STALE : SM_NEGATIVE;
	return status;
}

SM_INLINE sm_status
write_key(sm_map *map, sm_bytes key, sm_write write)
{
	sm_request request = make_request(map, key);

	return sm_shard_write(&request, &write);
}

sm_status
sm_put(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires)
{
	return write_key(map, key, (sm_write) {.value = &value, .expires = expires});
}

sm_status
sm_replace(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires)
{
	return write_key(map, key,
					 (sm_write) {.value = &value, .expires = expires, .replace = true});
}

/* A key that is there costs a get, no lock. */
sm_status
sm_get_or_put(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires,
			  sm_buffer *found)
{
	sm_status status = sm_get(map, key, found);

	if (status != SM_ABSENT)
		return status;
	return write_key(map, key,
					 (sm_write) {.value = &value,
								 .expires = expires,
								 .keep = true,
								 .old = found});
}

sm_status
sm_swap(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires, sm_buffer *old)
{
	return write_key(map, key,
					 (sm_write) {.value = &value, .expires = expires, .old = old});
}

sm_status
sm_compare_and_swap(sm_map *map, sm_bytes key, sm_bytes old, sm_bytes value,
					int64_t expires)
{
	return write_key(map, key,
					 (sm_write) {.value = &value,
								 .expires = expires,
								 .expected = &old});
}

sm_status
sm_compare_pair_and_swap(sm_map *map, sm_bytes key, sm_bytes old, int64_t old_expires,
						 sm_bytes value, int64_t expires)
{
	return write_key(map, key,
					 (sm_write) {.value = &value,
								 .expires = expires,
								 .expected = &old,
								 .expected_expires = &old_expires});
}

sm_status
sm_delete(sm_map *map, sm_bytes key)
{
	return write_key(map, key, (sm_write) {.expires = SM_NEVER});
}

sm_status
sm_get_and_delete(sm_map *map, sm_bytes key, sm_buffer *old)
{
	return write_key(map, key, (sm_write) {.expires = SM_NEVER, .old = old});
}

sm_status
sm_compare_and_delete(sm_map *map, sm_bytes key, sm_bytes old)
{
	return write_key(map, key, (sm_write) {.expires = SM_NEVER, .expected = &old});
}

sm_status
sm_compare_pair_and_delete(sm_map *map, sm_bytes key, sm_bytes old, int64_t old_expires)
{
	return write_key(map, key,
					 (sm_write) {.expires = SM_NEVER,
								 .expected = &old,
								 .expected_expires = &old_expires});
}

sm_status
sm_update(sm_map *map, sm_bytes key, sm_update_fn fn, void *arg, int64_t expires)
{
	return write_key(map, key, (sm_write) {.fn = fn, .arg = arg, .expires = expires});
}

sm_status
sm_expire(sm_map *map, sm_bytes key, int64_t expires)
{
	return write_key(map, key, (sm_write) {.expire_only = true, .expires = expires});
}

sm_status
sm_fill(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires, sm_covers_fn covers,
		void *arg)
{
	sm_coherence coherence = {.covers = covers, .arg = arg};

	return write_key(map, key,
					 (sm_write) {.value = &value,
								 .expires = expires,
								 .coherence = &coherence});
}

sm_status
sm_fill_nothing(sm_map *map, sm_bytes key, int64_t until, sm_covers_fn covers,
				void *arg)
{
	sm_coherence coherence = {.covers = covers, .arg = arg};
	sm_bytes nothing = {"", 0};

	if (until <= 1)
		return SM_REFUSED;
	return write_key(map, key,
					 (sm_write) {.value = &nothing,
								 .expires = sm_hide_until(until, false),
								 .keep = true,
								 .coherence = covers != NULL ? &coherence : NULL});
}

sm_status
sm_invalidate(sm_map *map, sm_bytes key, uint64_t fence, sm_ended_fn ended)
{
	sm_coherence coherence = {.fence = fence, .ended = ended};

	assert(fence != 0);
	return write_key(map, key,
					 (sm_write) {.expires = SM_NEVER, .coherence = &coherence});
}

sm_status
sm_covered(sm_map *map, sm_bytes key, sm_covers_fn covers, void *arg)
{
	sm_request request = make_request(map, key);

	return sm_shard_covered(&request, covers, arg);
}
