/*
 * test_eviction.c
 *	  Keys that are evicted: what may be lost, and what must not.
 *
 *	  test_eviction [seed [seconds [round]]]
 *
 * Attacks R1 under eviction: a get returns what the key was given last or
 * nothing, and what has vanished stays away until it is put again.  M5: no put
 * fails as long as there is something to evict.  M1: a map stays at its quota,
 * and gives everything back.  M2 and M3 for a map beside it that does not
 * evict, while the other one fills the arena again and again.
 */
#include "check.h"
#include "port.h"
#include "port_posix.h"
#include "shard.h"
#include "trial.h"

#define MB		   ((uint64_t) 1 << 20)
#define OPERATIONS 3000

static sm_host host;
static uint32_t fresh;
static uint64_t most_over; /* pages over a quota */

static void
check_fresh(const char *when)
{
	sm_check(sm_host_free_pages() == fresh, "%u pages are free, not %u, %s",
			 sm_host_free_pages(), fresh, when);
}

/* ---- random operations under a quota ---- */

static void
draw_engine(sm_rng *rng, uint64_t number)
{
	static const uint64_t masks[] = {UINT64_MAX, (uint64_t) 0xff << 56, 0};

	host.engine.hash_mask = masks[number % 3];
	host.engine.compact_ratio = sm_rng_below(rng, 3) == 0 ? 0 : 30;
	host.engine.promote_ratio = sm_rng_below(rng, 3) == 0 ? 0 : 30;
	sm_host_set_clock(1 + (int64_t) sm_rng_below(rng, 1000));
	fresh = sm_host_free_pages();
}

/* Gives everything back, by a clear or because all expires. */
static void
end_trial(sm_trial *trial, bool clears)
{
	sm_trial_check(trial);
	if (clears)
		sm_trial_clear(trial);
	else
		sm_trial_expire_all(trial);
	sm_trial_maintain(trial);
	sm_check(sm_map_pages(&trial->map) == 0, "%lu pages are left",
			 (unsigned long) sm_map_pages(&trial->map));
	sm_map_destroy(&trial->map);
	sm_trial_end(trial);
}

static void
run_quota(sm_trial *trial, uint64_t seed, uint64_t number)
{
	sm_rng rng = sm_rng_seed(seed * 1000003 + number);
	uint64_t quota = 80 + sm_rng_below(&rng, sm_rng_below(&rng, 2) == 0 ? 20 : 300);
	uint32_t nkeys = number % 3 == 2 ? 100 : 20 + (uint32_t) sm_rng_below(&rng, 800);

	sm_host_create(&host, 64 * MB, 8, -1, seed + number);
	draw_engine(&rng, number);
	sm_trial_begin(trial, &host.engine, number + 1, 3, number / 3 % 2 * 2, nkeys,
				   seed + number);
	snprintf(trial->title, sizeof(trial->title),
			 "seed %lu, round %lu: %u keys, a quota of %lu pages", (unsigned long) seed,
			 (unsigned long) number, nkeys, (unsigned long) quota);
	sm_map_configure(&trial->map, quota * SM_PAGE_SIZE, true);
	trial->vanishes = true;
	trial->gives_way = &trial->map;
	trial->longest = sm_rng_below(&rng, 2) == 0 ? 100 << 10 : 3000;
	if (sm_rng_below(&rng, 2) == 0)
		sm_trial_watch(trial, 2 + (int64_t) sm_rng_below(&rng, 1000));
	for (int i = 0; i < OPERATIONS; i++)
	{
		uint64_t over;

		sm_trial_step(trial);
		over = sm_check_quota(&trial->map);
		most_over = over > most_over ? over : most_over;
		sm_check(sm_host_free_pages() + sm_map_pages(&trial->map) == fresh,
				 "pages are lost");
	}
	end_trial(trial, number % 2 == 0);
	check_fresh("at the end");
	sm_host_detach(&host);
}

/* ---- beside a map that does not evict ---- */

static void
begin_pair(sm_trial *kept, sm_trial *evicted, uint64_t seed, uint64_t number)
{
	sm_rng rng = sm_rng_seed(seed * 1000003 + number);
	uint64_t pages = 300 + sm_rng_below(&rng, 1000);

	sm_host_create(&host, pages * SM_PAGE_SIZE, 8, -1, seed + number);
	draw_engine(&rng, number);
	sm_trial_begin(kept, &host.engine, 1, 0, (uint32_t) sm_rng_below(&rng, 3),
				   1 + (uint32_t) sm_rng_below(&rng, 150), seed + number);
	sm_trial_begin(evicted, &host.engine, 2, 4, (uint32_t) sm_rng_below(&rng, 3),
				   number % 3 == 2 ? 100 : 800, seed + number + 1);
	sm_map_configure(&evicted->map, 0, true);
	if (sm_rng_below(&rng, 2) == 0)
		sm_host_give_way(2);
	kept->gives_way = evicted->gives_way = &evicted->map;
	evicted->vanishes = true;
	kept->longest = 12 << 10;
	evicted->longest = 60 << 10;
	if (sm_rng_below(&rng, 2) == 0)
	{
		sm_trial_watch(kept, 2 + (int64_t) sm_rng_below(&rng, 1000));
		sm_trial_watch(evicted, 2 + (int64_t) sm_rng_below(&rng, 1000));
	}
	snprintf(kept->title, sizeof(kept->title),
			 "seed %lu, round %lu: the map that is kept, %lu pages",
			 (unsigned long) seed, (unsigned long) number, (unsigned long) pages);
	snprintf(evicted->title, sizeof(evicted->title),
			 "seed %lu, round %lu: the map that gives way, %lu pages",
			 (unsigned long) seed, (unsigned long) number, (unsigned long) pages);
}

static void
run_pair(sm_trial *evicted, uint64_t seed, uint64_t number)
{
	sm_trial kept;

	begin_pair(&kept, evicted, seed, number);
	for (int i = 0; i < OPERATIONS; i++)
	{
		sm_trial_step(i % 4 == 0 ? &kept : evicted);
		/* the other one's evictions are no news to it */
		kept.sums = sm_sum_stats(&kept.map);
		evicted->sums = sm_sum_stats(&evicted->map);
		sm_check(sm_host_free_pages() + sm_map_pages(&kept.map) +
						 sm_map_pages(&evicted->map) ==
					 fresh,
				 "pages are lost");
	}
	end_trial(evicted, number % 2 == 0);
	end_trial(&kept, number % 4 >= 2);
	check_fresh("at the end");
	sm_host_detach(&host);
}

int
main(int argc, char **argv)
{
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	uint64_t seconds = sm_argument(argc, argv, 2, 5);
	uint64_t number = sm_argument(argc, argv, 3, 0);
	uint64_t end_at = sm_now_ns() + seconds * 1000000000;
	uint64_t operations = 0;
	uint64_t vanished = 0;
	uint64_t hidden = 0;

	do
	{
		sm_trial trial;

		run_quota(&trial, seed, number);
		operations += trial.operations;
		vanished += trial.vanished;
		hidden += trial.found_hidden;
		run_pair(&trial, seed, number++);
		operations += trial.operations;
		hidden += trial.found_hidden;
		vanished += trial.vanished;
	} while (argc <= 3 && sm_now_ns() < end_at);
	printf("seed %lu: %lu rounds, %lu operations, %lu keys vanished, %lu times "
		   "something hidden, %lu pages over a quota at most\n",
		   (unsigned long) seed, (unsigned long) number, (unsigned long) operations,
		   (unsigned long) vanished, (unsigned long) hidden, (unsigned long) most_over);
	return 0;
}
