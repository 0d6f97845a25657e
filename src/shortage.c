/*
 * shortage.c
 *	  Making room in a full arena, or in a map that is over its quota.
 *
 * A write that finds no memory comes here, with no lock held.  First what
 * nobody misses is given back: expired entries, dead bytes, maps that are gone.
 * Then live keys are evicted.  A map that is over its own quota evicts its own.
 * When the arena is full, another map may give way (giving_way.c), so that it evicts
 * while it writes, and seldom comes here itself.
 */
#include "compat.h"

#include "miscadmin.h"

#include "giving_way.h"
#include "lifecycle.h"
#include "registry.h"
#include "shortage.h"
#include "worker.h"

/* Pages that are evicted at once, between two checks for interrupts. */
#define EVICT_PAGES 64

/* Beyond the entry itself: a segment, and pages for an index that grows. */
#define SPARE_PAGES (2 * SM_MAX_RUN)

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

/*
 * Are there pages that are neither free nor a map's?  Calls of other processes hold
 * them, and are about to give them to a map, or back.
 */
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
	return sm_pg_pages_free() + sum < sm_pg_pages();
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
	while (freed < pages && (place = sm_find_giving_way(list, length, &other)) >= 0)
	{
		uint64 evicted;

		CHECK_FOR_INTERRUPTS();
		sm_pg_give_way(other.id);
		evicted = sm_evict(&other, Min(pages - freed, EVICT_PAGES));
		freed += evicted;
		if (evicted == 0)
			list[place] = list[--length];
	}
	pfree(list);
	/*
	 * Another process may have made it, or hold what is not enough for it, either.  Of
	 * what is free, FreePageManager's own tree may have the last pages.
	 */
	return freed > 0 || (sm_pg_pages_free() >= pages && sm_pg_longest_run() > 0) ||
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

	if (pages > sm_pg_pages())
		return false;
	/* twice: the value may be copied before it takes the old one's place */
	return make_room_in_arena(map, 2 * pages + SPARE_PAGES);
}
