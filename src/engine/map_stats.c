/*
 * map_stats.c
 *	  What a map holds, and what has been counted of it.
 *
 * Nothing of another map is reported that has the shards by now: what was loaded
 * without a lock counts if the shard's id is still the map's afterwards.
 */
#include "map.h"

#include "port.h"
#include "shard.h"

/* Sets the counts of a shard that belongs to nobody, or whose lock is held, to 0. */
void
sm_shard_zero_counts(sm_shard *shard)
{
	for (int i = 0; i < SM_COUNTERS; i++)
		sm_store(&shard->counts[i], 0);
	sm_store(&shard->gets, 0);
	sm_store(&shard->hits, 0);
	sm_store(&shard->retries, 0);
	sm_store(&shard->loads, 0);
	sm_store(&shard->load_waits, 0);
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
	*count = sm_load(&shard->entries) - sm_load(&shard->hidden);
	/* two words, and a writer between them */
	if ((int64_t) *count < 0)
		*count = 0;
	return sm_map_had(map, number);
}

uint64_t
sm_count(sm_map *map)
{
	uint64_t sum = 0;

	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
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
	uint64_t pages = sm_load(&sm_map_state_of(map)->pages);

	return sm_map_had(map, map->first_shard) ? pages : 0;
}

uint64_t
sm_map_quota(const sm_map *map)
{
	uint64_t max_pages = sm_load(&sm_map_state_of(map)->max_pages);

	return sm_map_had(map, map->first_shard) ? max_pages : UINT64_MAX;
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
		.hidden = sm_load(&from->hidden),
		.dirty = from->growing ? 0 : from->dirty_index.count,
		.live = from->log.live,
		.dead = from->log.dead,
		.index = from->read_index.pages + from->dirty_index.pages +
			from->retired.pages + from->order.pages + sm_ghosts_pages(&from->ghosts) +
			sm_shard_kept_pages(from) + sm_shard_fence_pages(from),
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
							  .retries = sm_load(&shard->retries),
							  .loads = sm_load(&shard->loads),
							  .load_waits = sm_load(&shard->load_waits)};
	if (!sm_map_had(map, map->first_shard))
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
	flush(&shard->loads, &map->reads.loads);
	flush(&shard->load_waits, &map->reads.load_waits);
}

void
sm_reset_stats(sm_map *map)
{
	map->reads = (sm_reads) {0};
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		sm_shard *shard = sm_shard_lock(map->engine, i);

		if (sm_load(&shard->id) == map->id)
			sm_shard_zero_counts(shard);
		sm_shard_unlock(map->engine, i);
	}
}

uint64_t
sm_map_entries(const sm_map *map)
{
	uint64_t entries = 0;

	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		entries += sm_load(&map->engine->shards[i].entries);
		if (!sm_map_had(map, i))
			return 0;
	}
	return entries;
}
