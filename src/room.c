/*
 * room.c
 *	  Making room in a full arena, or in a map that is over its quota.
 *
 * A write that finds no memory comes here, with no lock held.  First what
 * nobody misses is given back: expired entries, dead bytes, maps that are gone.
 * Then live keys are evicted.  A map that is over its own quota evicts its own.
 * When the arena is full, the map gives way that is furthest over its fair
 * share: an equal part of the arena for each map, or its quota if that is less.
 * Maps with eviction 'none' never give way.
 *
 * The map that gives way evicts while it writes, under its shard's lock, so
 * that it seldom comes here itself; which one that is, is kept in shared memory
 * and looked at anew whenever a write comes here, and by the worker.
 */
#include "compat.h"

#include "miscadmin.h"

#include "lifecycle.h"
#include "registry.h"
#include "room.h"
#include "worker.h"

/* Pages that are evicted at once, between two checks for interrupts. */
#define EVICT_PAGES 64

/* Beyond the entry itself: a segment, and pages for an index that grows. */
#define SPARE_PAGES (2 * SM_MAX_RUN)

/*
 * Finds the map to give way: of those that evict and hold anything, the one
 * furthest over its fair share.  Returns its place in the list, or -1 if there
 * is none.
 */
static int
find_giving_way(const sm_registration *list, uint32 length, sm_map *found)
{
	int64 fair = (int64) (sm_port_pages() / Max(length, 1));
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

	if (find_giving_way(list, length, &map) >= 0)
		sm_port_give_way(map.id);
	pfree(list);
}

/* Makes room in a map for so many pages more under its quota. */
static bool
make_room_in_map(sm_map *map, uint64 pages)
{
	uint64 quota = sm_map_quota(map);
	uint64 freed;
	uint64 held;

	if (pages > quota)
		return false;
	freed = sm_reclaim(map, pages);
	while ((held = sm_map_pages(map)) + pages > quota)
	{
		uint64 evicted;

		CHECK_FOR_INTERRUPTS();
		evicted = sm_evict(map, Min(held + pages - quota, EVICT_PAGES));
		if (evicted == 0)
			break;
		freed += evicted;
	}
	/* somebody else may have made it */
	return freed > 0 || held + pages <= quota;
}

/* Are there pages that no map has yet, or any more?  Some call of others holds them. */
static bool
in_transit(void)
{
	uint32 length;
	sm_registration *list = sm_registry_list(&length);
	uint64 sum = 0;

	for (uint32 i = 0; i < length; i++)
	{
		sm_map map;

		sm_registry_open(&map, &list[i]);
		sum += sm_map_pages(&map);
	}
	pfree(list);
	return sm_port_pages_free() + sum < sm_port_pages();
}

/* Makes room in the arena for so many pages more. */
static bool
make_room_in_arena(sm_map *map, uint64 pages)
{
	uint64 freed = sm_reclaim(map, pages);
	uint32 length;
	sm_registration *list = sm_registry_list(&length);
	sm_map other;
	int place;

	for (uint32 i = 0; i < length && freed < pages; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (list[i].id == map->id)
			continue;
		sm_registry_open(&other, &list[i]);
		freed += sm_reclaim(&other, pages - freed);
	}
	if (freed < pages && sm_reconcile() > 0)
	{
		pfree(list);
		return true;
	}
	while (freed < pages && (place = find_giving_way(list, length, &other)) >= 0)
	{
		uint64 evicted;

		CHECK_FOR_INTERRUPTS();
		sm_port_give_way(other.id);
		evicted = sm_evict(&other, Min(pages - freed, EVICT_PAGES));
		freed += evicted;
		if (evicted == 0)
			list[place] = list[--length];
	}
	pfree(list);
	/*
	 * Somebody else may have made it, or have what is not enough for him, either.  Of
	 * what is free, FreePageManager's own tree may have the last pages.
	 */
	return freed > 0 || (sm_port_pages_free() >= pages && sm_port_longest_run() > 0) ||
		in_transit();
}

/*
 * A write of so many bytes to the map found no memory: makes some.  Returns
 * false when nothing at all could be had, so that trying again is of no use.
 * Takes one lock at a time; must be called in a transaction.
 */
bool
sm_make_room(sm_map *map, uint64 bytes)
{
	uint64 pages = bytes / SM_PAGE_SIZE + 2;

	sm_worker_wake();
	if (sm_map_pages(map) + pages > sm_map_quota(map))
		return make_room_in_map(map, pages);

	if (pages > sm_port_pages())
		return false;
	/* twice: the value may be copied before it takes the old one's place */
	return make_room_in_arena(map, 2 * pages + SPARE_PAGES);
}
