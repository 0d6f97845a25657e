/*
 * map_range.c
 *	  Ranges over all shards of a map, and snapshots of all of them at one moment.
 */
#include "map.h"

#include "port.h"
#include "shard.h"

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
	sm_map_state *state = sm_map_state_of(map);
	sm_status status = SM_FOUND;

	*snapshot = (sm_snapshot) {0};
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
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
	for (uint32_t i = map->first_shard; i < sm_map_end(map); i++)
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
	for (uint32_t i = sm_map_end(map); snapshot->owner != 0 && i-- > map->first_shard;)
		sm_shard_close_snapshot(map->engine, i, map->id, snapshot->owner);
}
