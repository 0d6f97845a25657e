/*
 * map_maintain.c
 *	  Making room in a map, keeping it in order, and clearing it: shard by shard.
 */
#include "map.h"

#include "port.h"
#include "shard.h"

uint64_t
sm_reclaim(sm_map *map, uint64_t npages)
{
	uint64_t freed = 0;

	for (uint32_t i = map->first_shard; i < sm_map_end(map) && freed < npages; i++)
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

		if (!sm_map_had(map, number))
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

	if (!sm_load(&sm_map_state_of(map)->evicts) || !sm_map_had(map, map->first_shard))
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
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		if (!sm_shard_clear(map->engine, i, map->id, false))
			return SM_GONE;
	}
	return SM_FOUND;
}
