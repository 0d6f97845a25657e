/*
 * map.c
 *	  From a key to its shard, and what concerns all shards of a map.
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

static sm_map_state *
state_of(const sm_map *map)
{
	return &map->engine->shards[map->first_shard].state;
}

/* Is what was loaded of one of the map's shards this map's? */
static bool
was_ours(const sm_map *map, uint32_t number)
{
	return sm_shard_was_of(&map->engine->shards[number], map->id);
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
	map->evicts = sm_load(&state_of(map)->evicts) != 0 && was_ours(map, first_shard);
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
	return was_ours(map, map->first_shard);
}

static uint32_t
end_shard(const sm_map *map)
{
	return map->first_shard + (1U << map->shard_bits);
}

static void
zero_counts(sm_shard *shard)
{
	for (int i = 0; i < SM_COUNTERS; i++)
		sm_store(&shard->counts[i], 0);
	sm_store(&shard->gets, 0);
	sm_store(&shard->hits, 0);
	sm_store(&shard->retries, 0);
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
}

/*
 * Gives a map its shards, which were nobody's.  The caller sees to it that
 * nobody else does so at the same time.
 */
void
sm_map_create(sm_map *map)
{
	init_state(state_of(map));
	map->evicts = false;
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		sm_shard *shard = &map->engine->shards[i];

		assert(sm_load(&shard->id) == 0);
		sm_store(&shard->earliest, (uint64_t) SM_NEVER);
		assert(shard->ordered_tags == 0);
		shard->swept_earliest = SM_NEVER;
		shard->map_shard = map->first_shard;
		shard->map_shards = 1U << map->shard_bits;
		zero_counts(shard);
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

	/* who is evicting now has seen the other setting: wait until it is done (M3) */
	for (uint32_t i = map->first_shard + 1; stops && i < end_shard(map); i++)
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
	for (uint32_t i = map->first_shard; changes && i < end_shard(map); i++)
	{
		if (!sm_shard_set_ordered(map->engine, i, map->id, ordered))
			return SM_GONE;
	}
	return SM_FOUND;
}

bool
sm_map_is_ordered(const sm_map *map)
{
	return sm_load(&state_of(map)->ordered) != 0 && was_ours(map, map->first_shard);
}

sm_status
sm_order_step(sm_map *map)
{
	if (!sm_map_is_ordered(map))
		return was_ours(map, map->first_shard) ? SM_ABSENT : SM_GONE;
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
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
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
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
		sm_request request = make_request(map, keys[i]);

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

	return sm_shard_get(&request, value, expires);
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

uint64_t
sm_reclaim(sm_map *map, uint64_t npages)
{
	uint64_t freed = 0;

	for (uint32_t i = map->first_shard; i < end_shard(map) && freed < npages; i++)
	{
		freed += sm_shard_reclaim(map->engine, i, map->id, 0, npages - freed, NULL);
		freed += sm_shard_free_empty(map->engine, i, map->id);
	}
	return freed;
}

/* The shard that holds most, of those that are not in done, a bit each. */
static uint32_t
largest_shard(const sm_map *map, uint64_t done)
{
	uint32_t largest = 0;
	uint64_t most = 0;

	for (uint32_t i = 0; i < 1U << map->shard_bits; i++)
	{
		uint32_t number = map->first_shard + i;
		uint64_t pages = sm_load(&map->engine->shards[number].settled);

		if (!was_ours(map, number))
			pages = 0;
		if (!(done >> i & 1) && pages + 1 > most)
		{
			largest = i;
			most = pages + 1;
		}
	}
	return largest;
}

/* From the largest shard each time, so that shards stay even. */
uint64_t
sm_evict(sm_map *map, uint64_t npages)
{
	uint32_t nshards = 1U << map->shard_bits;
	uint64_t all = UINT64_MAX >> (64 - nshards);
	uint64_t done = 0;
	uint64_t freed = 0;
	bool evicted = false;

	if (!sm_load(&state_of(map)->evicts) || !was_ours(map, map->first_shard))
		return 0;
	for (uint64_t turn = 0; freed < npages && done != all; turn++)
	{
		uint32_t shard = largest_shard(map, done);
		uint32_t number = map->first_shard + shard;

		if (sm_shard_evict(map->engine, number, map->id, turn >= nshards, &freed))
			evicted = true;
		else
		{
			freed += sm_shard_free_empty(map->engine, number, map->id);
			done |= (uint64_t) 1 << shard;
		}
	}
	return freed == 0 && evicted ? 1 : freed;
}

/* Writers may make work as fast as it is done. */
#define MAINTENANCE_STEPS 65536

bool
sm_maintain(sm_map *map, uint32_t shard)
{
	const sm_engine *engine = map->engine;
	uint32_t number = map->first_shard + shard;
	bool cut_short = false;

	sm_shard_reclaim(engine, number, map->id, engine->compact_ratio, UINT64_MAX,
					 &cut_short);
	if (cut_short)
		return true;
	if (sm_load(&engine->shards[number].entries) == 0)
		sm_shard_free_empty(engine, number, map->id);
	for (int i = 0; i < MAINTENANCE_STEPS && sm_shard_step(engine, number, map->id);
		 i++)
	{
		if (!sm_port_pause())
			return true;
	}
	for (int i = 0; i < MAINTENANCE_STEPS && sm_map_is_ordered(map) &&
		 sm_shard_order_step(engine, number, map->id) == SM_FOUND;
		 i++)
	{
		if (!sm_port_pause())
			return true;
	}
	return false;
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

/* Counts a shard's keys; false if the map is gone. */
static bool
count_shard(sm_map *map, uint32_t number, uint64_t *count)
{
	sm_shard *shard = &map->engine->shards[number];
	int64_t earliest = (int64_t) sm_load(&shard->earliest);
	sm_request request = {.map = map,
						  .engine = map->engine,
						  .shard = shard,
						  .number = number};

	if (earliest != SM_NEVER && earliest <= sm_port_now())
		return sm_shard_count(&request, count);
	*count = sm_load(&shard->entries);
	return was_ours(map, number);
}

uint64_t
sm_count(sm_map *map)
{
	uint64_t sum = 0;

	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		uint64_t count;

		if (!count_shard(map, i, &count))
			return 0;
		sum += count;
	}
	return sum;
}

uint64_t
sm_map_pages(const sm_map *map)
{
	uint64_t pages = sm_load(&state_of(map)->pages);

	return was_ours(map, map->first_shard) ? pages : 0;
}

uint64_t
sm_map_quota(const sm_map *map)
{
	uint64_t max_pages = sm_load(&state_of(map)->max_pages);

	return was_ours(map, map->first_shard) ? max_pages : UINT64_MAX;
}

bool
sm_get_shard_stats(const sm_map *map, uint32_t shard, sm_shard_stats *stats)
{
	uint32_t number = map->first_shard + shard;
	const sm_shard *from = &map->engine->shards[number];
	bool is_there;

	sm_port_lock_shared(number);
	is_there = sm_load(&from->id) == map->id;
	*stats = (sm_shard_stats) {
		.entries = sm_load(&from->entries),
		.dirty = from->growing ? 0 : from->dirty_index.count,
		.live = from->log.live,
		.dead = from->log.dead,
		.index = from->read_index.pages + from->dirty_index.pages +
			from->retired.pages + from->order.pages + sm_ghosts_pages(&from->ghosts) +
			sm_shard_kept_pages(from),
		.young = from->log.pages[SM_YOUNG],
		.main = from->log.pages[SM_MAIN],
		.extents = from->log.extents,
	};
	for (int i = 0; i < SM_COUNTERS; i++)
		stats->counts[i] = sm_load(&from->counts[i]);
	sm_port_unlock(number);
	if (!is_there)
		*stats = (sm_shard_stats) {0};
	return is_there;
}

void
sm_get_read_stats(const sm_map *map, sm_read_stats *stats)
{
	const sm_shard *shard = &map->engine->shards[map->first_shard];

	*stats = (sm_read_stats) {.gets = sm_load(&shard->gets),
							  .hits = sm_load(&shard->hits),
							  .retries = sm_load(&shard->retries)};
	if (!was_ours(map, map->first_shard))
		*stats = (sm_read_stats) {0};
}

static void
flush(sm_word *sum, uint32_t *count)
{
	if (*count != 0)
		atomic_fetch_add_explicit(sum, *count, memory_order_relaxed);
	*count = 0;
}

/* A map that is gone takes nothing any more, or what is not its own: a hint. */
void
sm_flush_reads(sm_map *map)
{
	sm_shard *shard = &map->engine->shards[map->first_shard];

	if (sm_load(&shard->id) != map->id)
	{
		map->reads = (sm_reads) {0};
		return;
	}
	flush(&shard->gets, &map->reads.gets);
	flush(&shard->hits, &map->reads.hits);
	flush(&shard->retries, &map->reads.retries);
}

void
sm_reset_stats(sm_map *map)
{
	map->reads = (sm_reads) {0};
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		sm_shard *shard = sm_shard_lock(map->engine, i);

		if (sm_load(&shard->id) == map->id)
			zero_counts(shard);
		sm_shard_unlock(map->engine, i);
	}
}

uint64_t
sm_map_entries(const sm_map *map)
{
	uint64_t entries = 0;

	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		entries += sm_load(&map->engine->shards[i].entries);
		if (!was_ours(map, i))
			return 0;
	}
	return entries;
}

sm_status
sm_range_ordered(sm_map *map, uint32_t shard, const sm_span *span, uint32_t most,
				 sm_buffer *pairs)
{
	uint32_t number = map->first_shard + shard;
	sm_request request = {.map = map,
						  .engine = map->engine,
						  .shard = &map->engine->shards[number],
						  .number = number};

	return sm_shard_range_ordered(&request, span, most, pairs);
}

/* Buckets that one call of sm_range passes: its caller may be interrupted. */
#define RANGE_STEPS 4096

static sm_status
range(sm_map *map, sm_cursor *cursor, int64_t now, sm_buffer *pairs)
{
	size_t filled = 0;
	int steps = 0;

	while (cursor->shard < 1U << map->shard_bits && steps < RANGE_STEPS)
	{
		uint32_t number = map->first_shard + cursor->shard;
		sm_request request = {.map = map,
							  .engine = map->engine,
							  .shard = &map->engine->shards[number],
							  .number = number};
		sm_buffer rest = {.data = (char *) pairs->data + filled,
						  .size = pairs->size - filled};
		sm_status status = sm_shard_range(&request, &cursor->prefix, now, &rest);

		if (status == SM_TOO_SMALL && filled > 0)
			break;
		if (status != SM_FOUND)
		{
			pairs->len = rest.len;
			return status;
		}
		filled += rest.len;
		steps++;
		if (cursor->prefix == SM_ALL_TAGS)
			*cursor = (sm_cursor) {cursor->shard + 1, 0};
	}
	pairs->len = filled;
	return filled == 0 && cursor->shard == 1U << map->shard_bits ? SM_ABSENT : SM_FOUND;
}

sm_status
sm_range(sm_map *map, sm_cursor *cursor, sm_buffer *pairs)
{
	return range(map, cursor, 0, pairs);
}

/*
 * The one place where somebody holds more than one shard's lock: all of a map's,
 * taken in ascending order, so that the moment is the same in all of them (W2).
 * The owner, too, changes under all of them, so each of them tells who it is.
 */
sm_status
sm_snapshot_open(sm_map *map, sm_snapshot *snapshot)
{
	sm_map_state *state = state_of(map);
	sm_status status = SM_FOUND;

	*snapshot = (sm_snapshot) {0};
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		const sm_shard *shard = sm_shard_lock(map->engine, i);

		if (sm_load(&shard->id) != map->id)
			status = SM_GONE;
	}
	if (status == SM_FOUND && sm_load(&state->owner) != 0)
		status = SM_REFUSED;
	if (status == SM_FOUND)
	{
		snapshot->owner = sm_load(&state->tickets) + 1;
		sm_store(&state->tickets, snapshot->owner);
		sm_store(&state->owner, snapshot->owner);
	}
	snapshot->now = sm_port_now();
	for (uint32_t i = map->first_shard; i < end_shard(map); i++)
	{
		if (status == SM_FOUND)
			map->engine->shards[i].kept.open = true;
		sm_shard_unlock(map->engine, i);
	}
	return status;
}

sm_status
sm_snapshot_range(sm_map *map, sm_snapshot *snapshot, sm_buffer *pairs)
{
	return range(map, &snapshot->cursor, snapshot->now, pairs);
}

sm_status
sm_snapshot_changes(sm_map *map, const sm_snapshot *snapshot, uint32_t shard,
					sm_changes *changes, sm_buffer *pairs)
{
	return sm_shard_changes(map->engine, map->first_shard + shard, map->id,
							snapshot->owner, changes, pairs);
}

/* The first shard last: with it goes the owner, when nothing of it is kept any more. */
void
sm_snapshot_close(sm_map *map, const sm_snapshot *snapshot)
{
	for (uint32_t i = end_shard(map); snapshot->owner != 0 && i-- > map->first_shard;)
		sm_shard_close_snapshot(map->engine, i, map->id, snapshot->owner);
}
