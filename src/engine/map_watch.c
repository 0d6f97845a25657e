/*
 * map_watch.c
 *	  Watching a map, and invalidating all of it: shard by shard.
 */
#include "map.h"

#include <assert.h>

#include "shard.h"

sm_status
sm_map_watch(sm_map *map, uint64_t horizon)
{
	assert(horizon != 0);
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		if (!sm_shard_watch(map->engine, i, map->id, horizon))
			return SM_GONE;
	}
	return SM_FOUND;
}

sm_status
sm_map_unwatch(sm_map *map)
{
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
	{
		if (!sm_shard_unwatch(map->engine, i, map->id))
			return SM_GONE;
	}
	return SM_FOUND;
}

sm_status
sm_invalidate_all(sm_map *map, uint64_t fence, sm_ended_fn ended)
{
	sm_status status = SM_FOUND;

	assert(fence != 0);
	for (uint32_t i = map->first_shard; i < sm_map_end(map) && status == SM_FOUND; i++)
		status = sm_shard_invalidate(map->engine, i, map->id, fence, ended);
	return status;
}
