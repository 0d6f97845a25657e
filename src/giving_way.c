/*
 * giving_way.c
 *	  Which map gives way when the arena is full.
 *
 * The one that is furthest over its fair share: an equal part of the arena for each
 * map, or its quota if that is less.  Maps with eviction 'none' never do.  The map that
 * gives way evicts while it writes, under its shard's lock; which one that is, is kept in
 * shared memory, and looked at anew by whoever finds no memory and by the worker.
 */
#include "compat.h"

#include "giving_way.h"

/*
 * Finds the map to give way: of those that evict and hold anything, the one
 * furthest over its fair share.  Returns its place in the list, or -1 if there
 * is none.
 */
int
sm_find_giving_way(const sm_registration *list, uint32 length, sm_map *found)
{
	int64 fair = (int64) (sm_pg_pages() / Max(length, 1));
	int64 most = 0;
	int place = -1;

	for (uint32 i = 0; i < length; i++)
	{
		sm_map map;
		int64 over;

		sm_registry_open(&map, &list[i]);
		if (!map.evicts || sm_map_pages(&map) == 0)
			continue;
		over = (int64) sm_map_pages(&map) -
			Min(fair, (int64) Min(sm_map_quota(&map), PG_INT64_MAX));
		if (place < 0 || over > most)
		{
			most = over;
			place = (int) i;
			*found = map;
		}
	}
	return place;
}

/* Looks anew which map is to give way.  For the worker. */
void
sm_choose_giving_way(void)
{
	uint32 length;
	sm_registration *list = sm_registry_list(&length);
	sm_map map;

	if (sm_find_giving_way(list, length, &map) >= 0)
		sm_pg_give_way(map.id);
	pfree(list);
}
