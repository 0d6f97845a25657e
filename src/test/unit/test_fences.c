/*
 * test_fences.c
 *	  Maps that are watched: what stands in the way of fills, and what does not.
 *
 * Case by case, each with the guarantee that it attacks.
 */
#include "watched.h"

static char room[LARGE];
static char out[4 * LARGE];

/* ---- what the cases need ---- */

static sm_status
fill(sm_map *map, uint64_t key, size_t len, view v)
{
	sm_status covered = sm_covered(map, key_of(&key), covers, &v);
	sm_status status =
		sm_fill(map, key_of(&key), (sm_bytes) {room, len}, SM_NEVER, covers, &v);

	sm_check((status == SM_FOUND || status == SM_ABSENT ? SM_FOUND : status) == covered,
			 "a fill has status %d, what it asked %d", status, covered);
	return status;
}

static bool
has(sm_map *map, uint64_t key)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};

	return sm_get(map, key_of(&key), &buffer) == SM_FOUND;
}

static bool
copy_fences(void *arg, const sm_fences *fences)
{
	*(sm_fences *) arg = *fences;
	return true;
}

static void
sort(sm_stripe *stripe)
{
	for (int i = 0; i < SM_FENCES; i++)
	{
		for (int j = i + 1; j < SM_FENCES; j++)
		{
			uint64_t fence = stripe->fence[i];

			if (stripe->fence[j] <= fence)
				continue;
			stripe->fence[i] = stripe->fence[j];
			stripe->fence[j] = fence;
		}
	}
}

/* What stands in the way of a key, the greatest fence first. */
static sm_fences
look(sm_map *map, uint64_t key)
{
	sm_fences fences;

	sm_check(sm_covered(map, key_of(&key), copy_fences, &fences) == SM_FOUND,
			 "a map that is not watched");
	sort(&fences.stripe[0]);
	sort(&fences.stripe[1]);
	return fences;
}

static void
check_all_fences(sm_map *map, uint64_t key, sm_fences expected, const char *when)
{
	sm_fences fences = look(map, key);

	sm_check(memcmp(&fences, &expected, sizeof(fences)) == 0,
			 "C3: %s: horizon %lu; %lu, fences %lu %lu %lu; of all keys %lu, %lu", when,
			 (unsigned long) fences.horizon, (unsigned long) fences.stripe[0].horizon,
			 (unsigned long) fences.stripe[0].fence[0],
			 (unsigned long) fences.stripe[0].fence[1],
			 (unsigned long) fences.stripe[0].fence[2],
			 (unsigned long) fences.stripe[1].horizon,
			 (unsigned long) fences.stripe[1].fence[0]);
}

/* The same of a key's own stripe, while none is in the way of all keys. */
static void
check_fences(sm_map *map, uint64_t key, sm_stripe expected, const char *when)
{
	check_all_fences(map, key, (sm_fences) {WATCHED, {expected, {0}}}, when);
}

/* What the host says of those that have ended. */
static uint64_t known;
static int asked;

static uint64_t
tell_ended(void)
{
	sm_check(sm_host_held == 1, "C3: who has ended is asked for without the lock");
	asked++;
	return known;
}

static uint64_t
counted(const sm_map *map, sm_counter counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 1U << map->shard_bits; i++)
	{
		sm_shard_stats stats;

		sm_check(sm_get_shard_stats(map, i, &stats), "it is there");
		sum += stats.counts[counter];
	}
	return sum;
}

/* ---- the cases ---- */

/* C3: nothing is stored that was computed without a transaction that has fenced. */
static void
test_fence(sm_map *map, size_t len)
{
	uint64_t key = 1;

	sm_check(fill(map, key, len, after(200)) == SM_UNWATCHED &&
				 sm_invalidate(map, key_of(&key), 200, NULL) == SM_UNWATCHED &&
				 !has(map, key),
			 "C3: a map that is not watched takes fills");
	sm_check(sm_map_watch(map, WATCHED) == SM_FOUND, "watch");
	sm_check(fill(map, key, len, after(WATCHED)) == SM_REFUSED && !has(map, key),
			 "C3: a fill from before the map was watched");
	sm_check(fill(map, key, len, after(WATCHED + 1)) == SM_ABSENT && has(map, key) &&
				 fill(map, key, len, after(WATCHED + 1)) == SM_FOUND,
			 "a fill that covers is refused");

	sm_check(sm_invalidate(map, key_of(&key), 200, NULL) == SM_FOUND && !has(map, key),
			 "C1: what was invalidated is there");
	sm_check(sm_invalidate(map, key_of(&key), 200, NULL) == SM_ABSENT, "there is none");
	sm_check(fill(map, key, len, after(200)) == SM_REFUSED &&
				 fill(map, key, len, without(200, 300)) == SM_REFUSED && !has(map, key),
			 "C3: a fill from before an invalidation");
	sm_check(fill(map, key, len, without(150, 300)) == SM_ABSENT && has(map, key),
			 "an exact fence refuses who sees it");
	/* one that is refused leaves what is there, which does cover */
	sm_check(fill(map, key, len, without(200, 300)) == SM_REFUSED && has(map, key),
			 "a fill that is refused changes something");
	sm_check(counted(map, SM_INVALIDATIONS) == 2 && counted(map, SM_DELETES) == 1 &&
				 counted(map, SM_FILLS_REFUSED) == 4,
			 "invalidations are counted wrongly");
	sm_check(sm_map_watch(map, 50) == SM_FOUND && look(map, key).horizon == WATCHED &&
				 sm_map_watch(map, 180) == SM_FOUND && look(map, key).horizon == 180,
			 "C3: a horizon goes down, or not up");
}

/* C3: a fence that is pushed out leaves a horizon; one that is there takes no place. */
static void
test_places(sm_map *map)
{
	uint64_t key = 7;
	sm_rng rng = sm_rng_seed(3);

	sm_map_watch(map, WATCHED);
	for (int i = 0; i < 5; i++)
		sm_invalidate(map, key_of(&key), 201, NULL);
	sm_invalidate(map, key_of(&key), 203, NULL);
	sm_invalidate(map, key_of(&key), 202, NULL);
	sm_invalidate(map, key_of(&key), 201, NULL);
	check_fences(map, key, (sm_stripe) {0, {203, 202, 201}}, "a fence twice");
	sm_invalidate(map, key_of(&key), 204, NULL);
	check_fences(map, key, (sm_stripe) {201, {204, 203, 202}}, "a fence too many");
	sm_check(fill(map, key, 8, without(201, 300)) == SM_REFUSED,
			 "C3: a fence that was pushed out is forgotten");
	sm_invalidate(map, key_of(&key), 150, NULL);
	sm_invalidate(map, key_of(&key), 201, NULL);
	check_fences(map, key, (sm_stripe) {201, {204, 203, 202}}, "one below the horizon");

	/* the greatest stay, and the greatest of the others is the horizon */
	sm_map_unwatch(map);
	for (int round = 0; round < 300; round++)
	{
		uint64_t most[SM_FENCES + 2] = {0}; /* the last is room */

		key = sm_rng_next(&rng);
		sm_map_watch(map, WATCHED);
		for (int n = 0; n < 12; n++)
		{
			uint64_t fence = WATCHED + 1 + sm_rng_below(&rng, 30);
			int at = SM_FENCES + 1;
			bool again = false;

			sm_invalidate(map, key_of(&key), fence, NULL);
			for (int i = 0; i <= SM_FENCES; i++)
				again |= most[i] == fence;
			if (again)
				continue;
			for (most[at] = fence; at > 0 && most[at - 1] < fence; at--)
			{
				most[at] = most[at - 1];
				most[at - 1] = fence;
			}
			check_fences(map, key, (sm_stripe) {most[3], {most[0], most[1], most[2]}},
						 "random fences");
		}
		sm_map_unwatch(map);
	}
}

/*
 * C3: a fence that finds no place has those forgotten that have ended, and no other: what
 * was computed before their end meets the new one.  invalidate has stripe fence.
 */
static void
check_ended(sm_map *map, int stripe,
			sm_status (*invalidate)(sm_map *map, uint64_t key, uint64_t id))
{
	uint64_t key = 7;
	sm_fences fences = {.horizon = WATCHED};
	sm_stripe *expected = &fences.stripe[stripe];

	known = 1000;
	asked = 0;
	for (uint64_t id = 201; id <= 203; id++)
		invalidate(map, key, id);
	*expected = (sm_stripe) {0, {203, 202, 201}};
	check_all_fences(map, key, fences, "there is room");
	sm_check(asked == 0, "who has ended is asked for without need");
	invalidate(map, key, 204);
	*expected = (sm_stripe) {0, {204}};
	check_all_fences(map, key, fences, "all have ended");
	/* one that is older than all, and goes on, is no obstacle */
	sm_check(fill(map, key, 8, without(150, 300)) <= SM_ABSENT, "all have ended");
	sm_check(fill(map, key, 8, without(204, 300)) == SM_REFUSED, "C3: an exact fence");

	/* 205 is running */
	known = 205;
	for (uint64_t id = 205; id <= 207; id++)
		invalidate(map, key, id);
	*expected = (sm_stripe) {0, {207, 206, 205}};
	check_all_fences(map, key, fences, "one has ended");
	invalidate(map, key, 208);
	*expected = (sm_stripe) {205, {208, 207, 206}};
	check_all_fences(map, key, fences, "none has ended");
	sm_check(fill(map, key, 8, without(205, 300)) == SM_REFUSED,
			 "C3: who is running is forgotten");
	sm_check(fill(map, key, 8, without(150, 300)) == SM_REFUSED,
			 "C3: nobody knows whether 205 has ended");

	/* the old one invalidates itself, and is less than all */
	known = 150;
	invalidate(map, key, 150);
	check_all_fences(map, key, fences, "an old one");
	sm_check(fill(map, key, 8, without(150, 300)) == SM_REFUSED,
			 "C3: an old one is forgotten");

	/* with its end all is forgotten that has ended */
	known = 208;
	invalidate(map, key, 209);
	*expected = (sm_stripe) {0, {209, 208}};
	check_all_fences(map, key, fences, "others have ended, too");
}

static sm_status
invalidate_key(sm_map *map, uint64_t key, uint64_t id)
{
	return sm_invalidate(map, key_of(&key), id, tell_ended);
}

static sm_status
invalidate_map(sm_map *map, uint64_t key, uint64_t id)
{
	(void) key;
	return sm_invalidate_all(map, id, tell_ended);
}

static void
test_ended(sm_map *map)
{
	sm_map_watch(map, WATCHED);
	check_ended(map, 0, invalidate_key);
	sm_map_unwatch(map);
	sm_map_watch(map, WATCHED);
	check_ended(map, 1, invalidate_map);
}

/* A key's fences are in the way of few others, whatever their buckets are. */
static void
test_spread(void)
{
	sm_map map = make_map(0, UINT64_MAX);
	uint64_t most = 0;

	sm_map_watch(&map, WATCHED);
	for (uint64_t key = 0; key < 10; key++)
	{
		uint64_t hit = 0;

		sm_invalidate(&map, key_of(&key), 200 + key, NULL);
		sm_check(look(&map, key).stripe[0].fence[0] >= 200 + key, "C3: its own fence");
		for (uint64_t other = 1000; other < 13800; other++)
			hit += look(&map, other).stripe[0].fence[0] == 200 + key;
		most = hit > most ? hit : most;
		sm_check(hit > 30 && hit < 300, "%lu of 12800 keys share a stripe",
				 (unsigned long) hit);
	}
	drop_map(&map);
}

#define FENCED 40

static void
check_kept(sm_map *map, const sm_fences *before, const char *when)
{
	for (uint64_t key = 0; key < FENCED; key++)
		check_all_fences(map, key, before[key], when);
}

/*
 * C3: nothing but the end of the map and of the watch forgets a fence: no growth,
 * promotion, compaction, eviction, clearing, expiry, or giving back of what is empty.
 */
static void
test_kept(sm_map *map)
{
	sm_fences before[FENCED];
	sm_map unchecked = *map;
	bool whole = map->engine->hash_mask == UINT64_MAX;
	uint64_t nkeys = whole ? 6000 : 600; /* a chain is searched from its start */

	unchecked.unchecked = true;
	sm_map_configure(map, 0, true);
	sm_map_watch(map, WATCHED);
	for (uint64_t key = 0; key < FENCED; key++)
		for (uint64_t i = 0; i < key % 6; i++)
			sm_invalidate(map, key_of(&key), 200 + key * 3 + i, NULL);
	for (uint64_t key = 0; key < FENCED; key++)
		before[key] = look(map, key);

	for (int round = 0; round < 3; round++)
	{
		for (uint64_t key = 0; key < nkeys; key++)
			sm_check(sm_put(&unchecked, key_of(&key), (sm_bytes) {room, 50 + key % 90},
							key % 5 == 0 ? 1000 + round * 1000 : SM_NEVER) <= SM_ABSENT,
					 "a put with an unchecked handle");
		check_kept(map, before, "growth");
		for (uint64_t key = 0; key < nkeys; key++)
			if (key % 3 != 0)
				sm_delete(map, key_of(&key));
		check_kept(map, before, "deletions");
		for (uint32_t i = 0; i < 1U << map->shard_bits; i++)
			sm_maintain(map, i);
		check_kept(map, before, "compaction");
		sm_host_set_clock(2000 + round * 1000);
		sm_reclaim(map, UINT64_MAX);
		check_kept(map, before, "expiry");
		sm_evict(map, 20);
		check_kept(map, before, "eviction");
		if (round == 0)
			sm_evict(map, UINT64_MAX);
		else
			sm_check(sm_clear(map) == SM_FOUND, "clear");
		check_kept(map, before, "clear");
		sm_reclaim(map, UINT64_MAX);
		for (uint32_t i = 0; i < 1U << map->shard_bits; i++)
			sm_maintain(map, i);
		check_kept(map, before, "what is empty was given back");
		sm_check(sm_count(map) == 0, "it is empty");
	}
	sm_check(counted(map, SM_EVICTIONS) > 0 && counted(map, SM_EXPIRATIONS) > 0 &&
				 counted(map, SM_COMPACTIONS) > 0 &&
				 (!whole || counted(map, SM_PROMOTIONS) > 0),
			 "not all of it has happened");
	sm_host_set_clock(0);
}

/* M1: pages of stripes are the map's, and are nothing that clearing or eviction frees. */
static void
test_pages(sm_map *map)
{
	uint64_t nshards = 1U << map->shard_bits;

	sm_map_configure(map, 0, true);
	sm_map_watch(map, WATCHED);
	sm_check(sm_map_pages(map) == 0, "M1: watching takes pages");
	for (uint64_t key = 0; key < 500; key++)
		sm_invalidate(map, key_of(&key), 200, NULL);
	sm_check(sm_map_pages(map) <= nshards && sm_map_pages(map) >= 1 &&
				 fresh - sm_host_free_pages() == sm_map_pages(map),
			 "M1: %lu pages are the map's", (unsigned long) sm_map_pages(map));
	nshards = sm_map_pages(map);
	for (uint64_t key = 0; key < 500; key++)
		sm_check(fill(map, key, 100, after(201)) == SM_ABSENT, "a fill");
	sm_check(sm_map_pages(map) > nshards, "no page of the pairs'");
	sm_check(sm_clear(map) == SM_FOUND && sm_map_pages(map) == nshards &&
				 fresh - sm_host_free_pages() == nshards,
			 "M1: pages after a clear");
	/* whoever needs memory must come to an end */
	sm_check(sm_reclaim(map, 100) == 0 && sm_evict(map, 100) == 0,
			 "M5: a page of fences is given back");
	sm_check(sm_map_pages(map) == nshards, "M1: pages after a shortage");
	sm_check(sm_invalidate_all(map, 300, NULL) == SM_FOUND &&
				 sm_map_pages(map) == nshards,
			 "M1: pages of an empty map");
	sm_check(sm_map_unwatch(map) == SM_FOUND && sm_map_pages(map) == 0 &&
				 sm_host_free_pages() == fresh,
			 "M1: pages after the end of the watch");
}

/* C3, M1, M2: an invalidation needs no memory. */
static void
test_no_memory(sm_map *map, bool quota)
{
	uint64_t key = 3;
	sm_fences raised = {WATCHED, {{0}, {0, {500}}}};
	uint64_t pages;

	sm_map_watch(map, WATCHED);
	sm_check(fill(map, key, 100, after(200)) == SM_ABSENT, "a fill");
	pages = sm_map_pages(map);
	if (quota)
		sm_map_configure(map, pages * SM_PAGE_SIZE, false);
	else
		sm_host_fail_after(0);
	sm_check(sm_invalidate(map, key_of(&key), 500, NULL) == SM_FOUND && !has(map, key),
			 "C1: an invalidation without memory");
	check_all_fences(map, key, raised, "without memory");
	sm_check(fill(map, key, 8, without(500, 600)) == SM_REFUSED,
			 "C3: a fence without memory");
	sm_check(sm_map_pages(map) <= pages, "M1: the map is over its quota");
	sm_host_fail_after(-1);
	sm_map_configure(map, 0, false);

	/* with memory again, fences are exact again */
	sm_check(sm_invalidate(map, key_of(&key), 600, NULL) == SM_ABSENT,
			 "nothing is there");
	raised.stripe[0].fence[0] = 600;
	check_all_fences(map, key, raised, "with memory again");

	/* a fill without memory leaves the value before, and the fences */
	sm_check(fill(map, key, 100, after(700)) == SM_ABSENT, "a fill");
	pages = sm_host_free_pages();
	sm_host_fail_after(0);
	for (size_t len = 10000; len <= LARGE; len += 10000)
	{
		view v = after(700);

		sm_check(sm_fill(map, key_of(&key), (sm_bytes) {room, len}, SM_NEVER, covers,
						 &v) == SM_NO_MEMORY &&
					 has(map, key),
				 "M2: a fill without memory");
	}
	sm_host_fail_after(-1);
	sm_check(sm_host_free_pages() == pages, "M1: a fill that failed has kept pages");
	check_all_fences(map, key, raised, "a fill that failed");
}

/* A map that is full, and evicts, has pages for fences all the same (M1). */
static void
test_full(sm_map *map)
{
	uint64_t quota = 256;
	view v = after(WATCHED + 1);

	if (map->engine->hash_mask != UINT64_MAX)
		return;
	sm_map_configure(map, quota * SM_PAGE_SIZE, true);
	sm_map_watch(map, WATCHED);
	for (uint64_t key = 0; key < 20000; key++)
	{
		if (sm_fill(map, key_of(&key), (sm_bytes) {room, 150}, SM_NEVER, covers, &v) ==
			SM_NO_MEMORY)
			sm_evict(map, 4);
	}
	sm_check(sm_map_pages(map) + 16 > quota, "the map is not full");
	for (uint64_t key = 0; key < 500; key++)
		sm_invalidate(map, key_of(&key), 200, NULL);
	for (uint64_t key = 0; key < 500; key++)
	{
		sm_invalidate(map, key_of(&key), 300, NULL);
		sm_check(look(map, key).stripe[0].fence[0] == 300,
				 "a map that is full has no fences");
		sm_check(sm_map_pages(map) <= quota, "M1: the map is over its quota");
	}
	sm_check(sm_count(map) > 2000, "all was evicted for it");
}

/* A map starts without, whoever had the shards before (C3, R5). */
static void
test_life(sm_map *map)
{
	sm_map stale = *map;
	uint64_t key = 1;
	view v = after(1000);

	sm_map_watch(map, WATCHED);
	for (uint64_t k = 0; k < 50; k++)
		sm_invalidate(map, key_of(&k), 200 + k, NULL);
	sm_map_destroy(map);
	sm_check(sm_host_free_pages() == fresh, "M1: destroy leaves pages");
	sm_map_open(map, &host.engine, 2, 0, map->shard_bits);
	sm_map_create(map);
	sm_check(fill(map, key, 8, after(1000)) == SM_UNWATCHED,
			 "a new map is watched from the start");
	sm_check(sm_put(map, key_of(&key), (sm_bytes) {room, 8}, SM_NEVER) == SM_ABSENT,
			 "a new map is watched from the start");
	sm_map_watch(map, 7);
	for (uint64_t k = 0; k < 50; k++)
		check_all_fences(map, k, (sm_fences) {.horizon = 7}, "a new map");
	sm_check(sm_invalidate(&stale, key_of(&key), 900, NULL) == SM_GONE &&
				 sm_invalidate_all(&stale, 900, NULL) == SM_GONE &&
				 sm_map_watch(&stale, 900) == SM_GONE &&
				 sm_map_unwatch(&stale) == SM_GONE &&
				 sm_covered(&stale, key_of(&key), covers, &v) == SM_GONE,
			 "C3: a handle of a map that is gone");
	for (size_t len = 8; len <= LARGE; len += LARGE - 8)
		sm_check(sm_fill(&stale, key_of(&key), (sm_bytes) {room, len}, SM_NEVER, covers,
						 &v) == SM_GONE,
				 "C3: a fill of a map that is gone");
	check_all_fences(map, key, (sm_fences) {.horizon = 7},
					 "a handle of a map that is gone");
	sm_check(has(map, key) && counted(map, SM_INVALIDATIONS) == 0, "it was changed");
}

static int
never(void *arg, const void *old, size_t old_len, void *new_value)
{
	(void) arg;
	(void) old;
	(void) old_len;
	(void) new_value;
	sm_failed("C3: the function of an update was called");
}

/* Every store that is not a fill, on a key that is there with that value, or is not. */
static void
store_plainly(sm_map *map, uint64_t key, size_t len, bool there)
{
	sm_bytes k = key_of(&key);
	sm_bytes v = {room, len};
	sm_bytes old = {room, 100};
	sm_buffer buffer = {.data = out, .size = sizeof(out)};

	sm_check(sm_put(map, k, v, SM_NEVER) == SM_WATCHED, "put");
	sm_check(sm_put(map, k, v, SM_KEEP) == SM_WATCHED, "put");
	sm_check(sm_replace(map, k, v, 5) == SM_WATCHED, "replace");
	sm_check(sm_swap(map, k, v, 5, &buffer) == SM_WATCHED, "swap");
	sm_check(sm_get_or_put(map, k, v, 5, &buffer) == (there ? SM_FOUND : SM_WATCHED),
			 "get_or_put");
	sm_check(sm_compare_and_swap(map, k, old, v, 5) == SM_WATCHED, "compare_and_swap");
	sm_check(sm_compare_pair_and_swap(map, k, old, SM_NEVER, v, 5) == SM_WATCHED,
			 "compare_pair_and_swap");
	sm_check(sm_update(map, k, never, NULL, 5) == SM_WATCHED, "update");
}

/* C3: a plain store knows nothing of fences, so a watched map takes none. */
static void
test_plain(sm_map *map)
{
	uint64_t pages;
	uint64_t key;

	sm_map_watch(map, WATCHED);
	for (key = 0; key < 10; key++)
		sm_check(fill(map, key, 100, after(200)) == SM_ABSENT, "a fill");
	pages = sm_host_free_pages();
	for (size_t len = 8; len <= LARGE; len *= 2)
	{
		for (key = 0; key < 20; key++)
			store_plainly(map, key, len, key < 10);
	}
	sm_check(sm_host_free_pages() == pages, "M1: a store that is refused keeps pages");
	sm_check(sm_count(map) == 10 && counted(map, SM_PUTS) == 10, "C3: it was stored");
	for (key = 0; key < 20; key++)
	{
		sm_buffer buffer = {.data = out, .size = sizeof(out)};
		int64_t expires = 0;
		sm_status status = sm_get_expiry(map, key_of(&key), &buffer, &expires);

		sm_check(status == (key < 10 ? SM_FOUND : SM_ABSENT) &&
					 (key >= 10 || (buffer.len == 100 && expires == SM_NEVER)),
				 "C3: a store that was refused has changed something");
	}

	/* what stores nothing is allowed */
	key = 0;
	sm_check(sm_delete(map, key_of(&key)) == SM_FOUND && !has(map, key), "delete");
	key = 1;
	sm_check(sm_get_and_delete(map, key_of(&key),
							   &(sm_buffer) {.data = out, .size = sizeof(out)}) ==
					 SM_FOUND &&
				 !has(map, key),
			 "get_and_delete");
	key = 2;
	sm_check(sm_compare_and_delete(map, key_of(&key), (sm_bytes) {room, 100}) ==
					 SM_FOUND &&
				 !has(map, key),
			 "compare_and_delete");
	key = 3;
	sm_check(sm_compare_pair_and_delete(map, key_of(&key), (sm_bytes) {room, 100},
										SM_NEVER) == SM_FOUND &&
				 !has(map, key),
			 "compare_pair_and_delete");
	key = 4;
	sm_check(sm_expire(map, key_of(&key), 50) == SM_FOUND, "expire");
	sm_check(sm_clear(map) == SM_FOUND && sm_count(map) == 0, "clear");
}

static void
test_unchecked(sm_map *map)
{
	sm_map unchecked = *map;
	uint64_t key = 9;
	sm_bytes value = {room, 8};

	unchecked.unchecked = true;
	sm_map_watch(map, WATCHED);
	sm_invalidate(map, key_of(&key), 200, NULL);
	sm_check(sm_put(map, key_of(&key), value, SM_NEVER) == SM_WATCHED, "put");
	sm_check(sm_put(&unchecked, key_of(&key), value, SM_NEVER) == SM_ABSENT &&
				 sm_compare_and_swap(&unchecked, key_of(&key), value, value,
									 SM_NEVER) == SM_FOUND &&
				 has(map, key),
			 "a store that is not to be checked");
	sm_check(fill(&unchecked, key, 8, without(200, 300)) == SM_REFUSED,
			 "C3: a fill with a handle that checks no puts");
	sm_check(sm_invalidate(&unchecked, key_of(&key), 201, NULL) == SM_FOUND &&
				 !has(map, key),
			 "C1: an invalidation with a handle that checks no puts");
}

static void
test_unwatch(sm_map *map)
{
	uint64_t key = 9;
	sm_bytes value = {room, 8};

	sm_map_watch(map, WATCHED);
	sm_invalidate(map, key_of(&key), 200, NULL);
	sm_check(fill(map, key, 8, after(300)) == SM_ABSENT, "a fill");
	sm_check(sm_map_unwatch(map) == SM_FOUND && has(map, key), "unwatch");
	sm_check(fill(map, key, 8, after(300)) == SM_UNWATCHED &&
				 sm_invalidate(map, key_of(&key), 201, NULL) == SM_UNWATCHED &&
				 has(map, key),
			 "C3: a map that is not watched any more takes fills");
	sm_check(sm_put(map, key_of(&key), value, SM_NEVER) == SM_FOUND,
			 "a map that is not watched any more");
	sm_map_watch(map, 300);
	check_all_fences(map, key, (sm_fences) {.horizon = 300}, "watched again");
	sm_check(sm_map_unwatch(map) == SM_FOUND && sm_map_unwatch(map) == SM_FOUND,
			 "unwatch, twice");
}

/* C1, C3: all keys at once. */
static void
test_all(sm_map *map)
{
	sm_bytes value = {room, 50};

	for (uint64_t key = 0; key < 300; key++)
		sm_put(map, key_of(&key), value, SM_NEVER);
	sm_check(sm_invalidate_all(map, 400, NULL) == SM_UNWATCHED && sm_count(map) == 300,
			 "C3: a map that is not watched has no fences");
	sm_map_watch(map, WATCHED);
	sm_check(sm_invalidate_all(map, 400, NULL) == SM_FOUND && sm_count(map) == 0,
			 "C1: an invalidation of all leaves keys");
	sm_check(counted(map, SM_INVALIDATIONS) == 1, "it is counted once");
	for (uint64_t key = 0; key < 300; key++)
	{
		sm_check(sm_put(map, key_of(&key), value, SM_NEVER) == SM_WATCHED,
				 "C3: all was invalidated, and the map is not watched");
		sm_check(fill(map, key, 8, without(400, 500)) == SM_REFUSED &&
					 fill(map, key, 8, after(401)) == SM_ABSENT,
				 "C3: a fill from before all was invalidated");
	}
	for (uint64_t key = 0; key < 300; key++)
		sm_invalidate(map, key_of(&key), 500, NULL);
	sm_check(sm_invalidate_all(map, 450, NULL) == SM_FOUND, "again");
	for (uint64_t key = 0; key < 300; key++)
		check_all_fences(map, key, (sm_fences) {WATCHED, {{0, {500}}, {0, {450, 400}}}},
						 "all, below a fence");
}

/* M1: large values that are refused, or replaced, or taken out. */
static void
test_large(sm_map *map)
{
	uint64_t key = 5;
	uint32_t empty;
	uint32_t filled;

	sm_map_watch(map, WATCHED);
	sm_invalidate(map, key_of(&key), 200, NULL);
	sm_check(fill(map, key, 8, after(300)) == SM_ABSENT, "a fill");
	empty = sm_host_free_pages();
	sm_check(fill(map, key, LARGE, without(200, 300)) == SM_REFUSED &&
				 sm_host_free_pages() == empty,
			 "M1: a large value that was refused is lost");
	sm_check(fill(map, key, LARGE, after(300)) == SM_FOUND, "a large fill");
	filled = sm_host_free_pages();
	sm_check(filled < empty, "it takes no page");
	sm_check(fill(map, key, LARGE, without(200, 300)) == SM_REFUSED &&
				 fill(map, key, LARGE, after(300)) == SM_FOUND &&
				 sm_host_free_pages() == filled,
			 "M1: a large value is lost");
	sm_check(sm_invalidate(map, key_of(&key), 301, NULL) == SM_FOUND &&
				 sm_host_free_pages() >= empty,
			 "M1: a large value that was invalidated is lost");
}

/* A key that has expired is absent to fills and invalidations, and is fenced. */
static void
test_expired(sm_map *map)
{
	view v = after(300);

	sm_map_watch(map, WATCHED);
	for (uint64_t key = 0; key < 20; key++)
		sm_check(sm_fill(map, key_of(&key), (sm_bytes) {room, key % 2 ? LARGE : 8},
						 1000, covers, &v) == SM_ABSENT,
				 "a fill");
	sm_host_set_clock(1000);
	for (uint64_t key = 0; key < 10; key++)
	{
		sm_check(sm_invalidate(map, key_of(&key), 400, NULL) == SM_ABSENT,
				 "it has expired");
		sm_check(fill(map, key, 8, without(400, 500)) == SM_REFUSED,
				 "C3: a key that has expired was not fenced");
	}
	for (uint64_t key = 10; key < 20; key++)
		sm_check(fill(map, key, 8, after(300 + 200)) == SM_ABSENT && has(map, key),
				 "what has expired is in the way");
	sm_host_set_clock(0);
}

/* The number of keys in the order, of all shards. */
static uint64_t
count_ordered(sm_map *map)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < 1U << map->shard_bits; i++)
	{
		sm_span span = {.descending = false};
		sm_buffer pairs = {.data = out, .size = sizeof(out)};
		sm_status status = sm_range_ordered(map, i, &span, 1000, &pairs);
		sm_bytes key;
		sm_bytes value;
		int64_t expires;

		sm_check(status == SM_ABSENT, "status %d of a range", status);
		for (size_t at = 0; at < pairs.len; n++)
			at = sm_pair_read(&pairs, at, &key, &value, &expires);
	}
	return n;
}

static void
test_ordered(sm_map *map)
{
	sm_check(sm_map_set_ordered(map, true) == SM_FOUND, "it is empty");
	sm_map_watch(map, WATCHED);
	for (uint64_t key = 0; key < 300; key++)
		sm_check(fill(map, key, 8, after(200)) == SM_ABSENT, "a fill");
	sm_check(count_ordered(map) == 300, "a fill is in the order");
	for (uint64_t key = 0; key < 200; key++)
		sm_check(sm_invalidate(map, key_of(&key), 300, NULL) == SM_FOUND, "invalidate");
	sm_check(count_ordered(map) == 100, "C1: what was invalidated is in the order");
	for (uint64_t key = 0; key < 300; key++)
		fill(map, key, 8, without(300, 400));
	sm_check(count_ordered(map) <= 100, "C3: what was refused is in the order");
	sm_check(sm_invalidate_all(map, 500, NULL) == SM_FOUND && count_ordered(map) == 0,
			 "C1: what was invalidated is in the order");
	sm_check(fill(map, 1, 8, after(501)) == SM_ABSENT && count_ordered(map) == 1,
			 "a fill is in the order");
}

/* Takes pairs as what a snapshot has of its keys; returns how many of them are there. */
static void
take_pairs(const sm_buffer *pairs, bool *there)
{
	for (size_t at = 0; at < pairs->len;)
	{
		sm_bytes key;
		sm_bytes value;
		int64_t expires;
		uint64_t number;

		at = sm_pair_read(pairs, at, &key, &value, &expires);
		memcpy(&number, key.data, sizeof(number));
		sm_check(key.len == 8 && number < 60, "a foreign key");
		sm_check(value.len == SM_NO_VALUE || value.len == 100 + number,
				 "R1: a value that was never there then");
		there[number] = value.len != SM_NO_VALUE;
	}
}

/* What is invalidated and filled while a snapshot is open is not in it. */
static void
test_snapshot(sm_map *map)
{
	bool there[60] = {false};
	sm_snapshot snapshot;
	uint32_t shard = 0;
	sm_status status;

	sm_map_watch(map, WATCHED);
	for (uint64_t key = 0; key < 40; key++)
		sm_check(fill(map, key, 100 + key, after(200)) == SM_ABSENT, "a fill");
	sm_check(sm_snapshot_open(map, &snapshot) == SM_FOUND, "a snapshot");
	for (uint64_t key = 0; key < 60; key += 2)
		sm_invalidate(map, key_of(&key), 300, NULL);
	for (uint64_t key = 0; key < 60; key += 4)
		sm_check(fill(map, key, 700, after(400)) == SM_ABSENT, "a fill");
	fill(map, 1, 700, without(300, 400));
	do
	{
		sm_buffer pairs = {.data = out, .size = sizeof(out)};

		status = sm_snapshot_range(map, &snapshot, &pairs);
		/* what has changed is told by the changes */
		for (size_t at = 0; at < pairs.len;)
		{
			sm_bytes key;
			sm_bytes value;
			int64_t expires;
			uint64_t number;

			at = sm_pair_read(&pairs, at, &key, &value, &expires);
			memcpy(&number, key.data, sizeof(number));
			there[number] = true;
		}
		for (; shard < snapshot.cursor.shard; shard++)
		{
			sm_changes changes = {0};

			do
			{
				pairs = (sm_buffer) {.data = out, .size = sizeof(out)};
				status = sm_snapshot_changes(map, &snapshot, shard, &changes, &pairs);
				if (status == SM_FOUND)
					take_pairs(&pairs, there);
			} while (status == SM_FOUND);
			sm_check(status == SM_ABSENT, "status %d of changes", status);
		}
	} while (shard < 1U << map->shard_bits);
	sm_snapshot_close(map, &snapshot);
	for (uint64_t key = 0; key < 60; key++)
		sm_check(there[key] == (key < 40), "a snapshot of what was invalidated later");
}

static void
run_cases(void)
{
	static const struct
	{
		uint32_t shard_bits;
		uint64_t hash_mask;
	} ways[] = {{0, UINT64_MAX}, {3, UINT64_MAX}, {1, (uint64_t) 0x3f << 54}, {0, 0}};

	test_spread();
	for (int way = 0; way < 4; way++)
	{
		static void (*const cases[])(
			sm_map *) = {test_places,  test_ended,	 test_kept,	 test_full,
						 test_pages,   test_life,	 test_plain, test_unchecked,
						 test_unwatch, test_all,	 test_large, test_expired,
						 test_ordered, test_snapshot};
		int ncases = sizeof(cases) / sizeof(cases[0]);

		for (int i = 0; i < ncases + 4; i++)
		{
			sm_map map = make_map(ways[way].shard_bits, ways[way].hash_mask);

			if (i < ncases)
				cases[i](&map);
			else if (i < ncases + 2)
				test_fence(&map, i == ncases ? 8 : LARGE);
			else
				test_no_memory(&map, i == ncases + 3);
			drop_map(&map);
		}
	}
}

int
main(void)
{
	alarm(120);
	sm_set_context("in the cases of test_fences\n");
	run_cases();
	printf("all cases\n");
	return 0;
}
