/*
 * map.c
 *	  From a key to its shard, and what concerns all shards of a map.
 */
#include "map.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

/* Makes a handle.  Whether the map is there shows at the first call. */
void
sm_map_open(sm_map *map, const sm_engine *engine, uint64_t id, uint32_t first_shard,
			uint32_t shard_bits)
{
	assert(id != 0 && shard_bits <= SM_MAX_SHARD_BITS);
	assert(first_shard + (1U << shard_bits) <= engine->nshards);
	*map = (sm_map) {.engine = engine,
					 .id = id,
					 .first_shard = first_shard,
					 .shard_bits = shard_bits};
}

static uint32_t
end_shard(const sm_map *map)
{
	return map->first_shard + (1U << map->shard_bits);
}

/*
 * Gives a map its shards, which were nobody's.  The caller sees to it that
 * nobody else does so at the same time.
 */
void
sm_map_create(sm_map *map)
{
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		assert(sm_load(&map->engine->shards[i].id) == 0);
		sm_store_release(&map->engine->shards[i].id, map->id);
	}
}

void
sm_map_destroy(sm_map *map)
{
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
		sm_shard_clear(map->engine, i, map->id, true);
}

static sm_request
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

sm_status
sm_get(sm_map *map, sm_bytes key, sm_buffer *value)
{
	sm_request request = make_request(map, key);

	return sm_shard_get(&request, value);
}

sm_status
sm_contains(sm_map *map, sm_bytes key)
{
	return sm_get(map, key, NULL);
}

static sm_status
write_key(sm_map *map, sm_bytes key, sm_write write)
{
	sm_request request = make_request(map, key);

	return sm_shard_write(&request, &write);
}

sm_status
sm_put(sm_map *map, sm_bytes key, sm_bytes value)
{
	return write_key(map, key, (sm_write) {.value = &value});
}

/* A key that is there costs a get, no lock. */
sm_status
sm_get_or_put(sm_map *map, sm_bytes key, sm_bytes value, sm_buffer *found)
{
	sm_status status = sm_get(map, key, found);

	if (status != SM_ABSENT)
		return status;
	return write_key(map, key,
					 (sm_write) {.value = &value, .keep = true, .old = found});
}

sm_status
sm_swap(sm_map *map, sm_bytes key, sm_bytes value, sm_buffer *old)
{
	return write_key(map, key, (sm_write) {.value = &value, .old = old});
}

sm_status
sm_compare_and_swap(sm_map *map, sm_bytes key, sm_bytes old, sm_bytes value)
{
	return write_key(map, key, (sm_write) {.value = &value, .expected = &old});
}

sm_status
sm_delete(sm_map *map, sm_bytes key)
{
	return write_key(map, key, (sm_write) {0});
}

sm_status
sm_get_and_delete(sm_map *map, sm_bytes key, sm_buffer *old)
{
	return write_key(map, key, (sm_write) {.old = old});
}

sm_status
sm_compare_and_delete(sm_map *map, sm_bytes key, sm_bytes old)
{
	return write_key(map, key, (sm_write) {.expected = &old});
}

sm_status
sm_update(sm_map *map, sm_bytes key, sm_update_fn fn, void *arg)
{
	return write_key(map, key, (sm_write) {.fn = fn, .arg = arg});
}

uint64_t
sm_reclaim(sm_map *map, uint64_t npages)
{
	uint64_t freed = 0;

	for (uint32_t i = map->first_shard; i < end_shard(map) && freed < npages; i++)
		freed += sm_shard_reclaim(map->engine, i, map->id, npages - freed);
	return freed;
}

/* Each key at one moment, but not all at the same. */
sm_status
sm_clear(sm_map *map)
{
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		if (!sm_shard_clear(map->engine, i, map->id, false))
			return SM_GONE;
	}
	return SM_FOUND;
}

/* How many keys there are: exact when nobody writes, none in a map that is gone. */
uint64_t
sm_count(const sm_map *map)
{
	uint64_t count = 0;

	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		const sm_shard *shard = &map->engine->shards[i];

		if (sm_load(&shard->id) == map->id)
			count += sm_load(&shard->entries);
	}
	return count;
}

sm_status
sm_range(sm_map *map, sm_cursor *cursor, sm_buffer *pairs)
{
	size_t filled = 0;

	while (cursor->shard < 1U << map->shard_bits)
	{
		uint32_t number = map->first_shard + cursor->shard;
		sm_request request = {.map = map,
							  .engine = map->engine,
							  .shard = &map->engine->shards[number],
							  .number = number};
		sm_buffer rest = {.data = (char *) pairs->data + filled,
						  .size = pairs->size - filled};
		sm_status status = sm_shard_range(&request, &cursor->prefix, &rest);

		if (status == SM_TOO_SMALL && filled > 0)
			break;
		if (status != SM_FOUND)
		{
			pairs->len = rest.len;
			return status;
		}
		filled += rest.len;
		if (cursor->prefix == 1U << SM_TAG_BITS)
			*cursor = (sm_cursor) {cursor->shard + 1, 0};
	}
	pairs->len = filled;
	return filled == 0 && cursor->shard == 1U << map->shard_bits ? SM_ABSENT : SM_FOUND;
}
