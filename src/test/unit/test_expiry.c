/*
 * test_expiry.c
 *	  Keys that expire: random operations while the clock moves, and sweeps.
 *
 *	  test_expiry [seed [seconds [round]]]
 *
 * Attacks R1 and W4 for expiry: an entry is there to its last microsecond and
 * absent for everything from the next one on, whatever has been done to it and
 * wherever compaction has moved it, and swept or not.  M2: a write that finds
 * no memory changes neither value nor expiry.  M3: what has not expired stays.
 * M1: when all has expired and the worker came by, no page is held.  W5: a
 * sweep of very many entries takes its lock very many times.
 *
 * Each round takes the next of all combinations of hash, shards, and ratios,
 * and draws the rest; it depends on the seed and its number alone.
 */
#include "check.h"
#include "port.h"
#include "port_posix.h"
#include "shard.h"
#include "trial.h"

#define MB		   ((uint64_t) 1 << 20)
#define OPERATIONS 3000
#define MAX_KEYS   500

/* What a sweep may take out under the lock (W5). */
#define ENTRIES_A_HOLD 256

static sm_host host;
static uint32_t fresh;

static void
check_fresh(const char *when)
{
	sm_check(sm_host_free_pages() == fresh, "%u pages are free, not %u, %s",
			 sm_host_free_pages(), fresh, when);
}

/* ---- random operations ---- */

static uint64_t
draw_pages(sm_rng *rng)
{
	switch (sm_rng_below(rng, 3))
	{
		case 0:
			return 20 + sm_rng_below(rng, 40);
		case 1:
			return 60 + sm_rng_below(rng, 600);
		default:
			return 64 * MB / SM_PAGE_SIZE;
	}
}

static void
begin_round(sm_trial *trial, uint64_t seed, uint64_t number)
{
	static const uint64_t masks[] = {UINT64_MAX, 0, (uint64_t) 0xff << 56};
	static const uint32_t compact[] = {30, 0, 100};
	sm_rng rng = sm_rng_seed(seed * 1000003 + number);
	uint32_t nkeys = 1 + (uint32_t) sm_rng_below(&rng, MAX_KEYS);
	uint32_t shard_bits = number / 9 % 2 * 2;
	uint64_t pages = draw_pages(&rng);

	if (number % 3 == 1 && nkeys > 100)
		nkeys = 100;
	sm_host_create(&host, pages * SM_PAGE_SIZE, 8, -1, seed + number);
	sm_host_set_clock(1 + (int64_t) sm_rng_below(&rng, 100));
	fresh = sm_host_free_pages();
	host.engine.hash_mask = masks[number % 3];
	host.engine.compact_ratio = compact[number / 3 % 3];
	host.engine.promote_ratio = number / 18 % 2 == 0 ? 30 : 0;
	sm_trial_begin(trial, &host.engine, number + 1, 3, shard_bits, nkeys,
				   seed + number);
	trial->longest = sm_rng_below(&rng, 2) == 0 ? 40 << 10 : 3000;
	if (sm_rng_below(&rng, 2) == 0)
		sm_trial_watch(trial, 2 + (int64_t) sm_rng_below(&rng, 100));
	snprintf(trial->title, sizeof(trial->title),
			 "seed %lu, round %lu: %u keys, %lu pages", (unsigned long) seed,
			 (unsigned long) number, nkeys, (unsigned long) pages);
}

static void
run_round(sm_trial *trial, uint64_t seed, uint64_t number)
{
	begin_round(trial, seed, number);
	for (int i = 0; i < OPERATIONS; i++)
	{
		sm_trial_step(trial);
		sm_check(sm_host_free_pages() + sm_map_pages(&trial->map) == fresh,
				 "pages are lost");
	}
	sm_trial_check(trial);

	if (number % 4 == 3)
		sm_trial_clear(trial);
	else
	{
		sm_trial_expire_all(trial);
		sm_trial_check(trial);
		sm_trial_maintain(trial);
		sm_check(sm_sum_stats(&trial->map).entries == 0, "a sweep has left something");
	}
	check_fresh("when all has expired");
	sm_check(sm_map_pages(&trial->map) == 0, "the map still holds pages");
	sm_map_destroy(&trial->map);
	sm_trial_end(trial);
	sm_host_detach(&host);
}

/* ---- sweeps of very many ---- */

static void
put_many(sm_map *map, uint64_t n, int64_t (*expires)(uint64_t))
{
	char value[40] = "swept";

	for (uint64_t key = 0; key < n; key++)
	{
		sm_status status =
			sm_put(map, (sm_bytes) {&key, sizeof(key)},
				   (sm_bytes) {value, key % sizeof(value)}, expires(key));

		sm_check(status == SM_ABSENT, "status %d of key %lu", status,
				 (unsigned long) key);
	}
}

/* Sweeps a shard piece by piece.  Returns the most that one of them took out. */
static uint64_t
sweep(sm_map *map, uint32_t shard, uint64_t *longest_ns)
{
	uint64_t most = 0;
	uint64_t freed = 0;
	bool more = true;

	while (more)
	{
		uint64_t before = sm_sum_stats(map).counts[SM_EXPIRATIONS];
		uint64_t start = sm_now_ns();
		uint64_t ns;
		uint64_t n;

		more = sm_shard_sweep(&host.engine, map->first_shard + shard, map->id,
							  sm_port_now(), NULL, &freed);
		ns = sm_now_ns() - start;
		n = sm_sum_stats(map).counts[SM_EXPIRATIONS] - before;
		most = n > most ? n : most;
		*longest_ns = ns > *longest_ns ? ns : *longest_ns;
	}
	return most;
}

static int64_t
at_once(uint64_t key)
{
	(void) key;
	return 1000;
}

/* One in a hundred, among others that expire later or never. */
static int64_t
here_and_there(uint64_t key)
{
	if (key % 100 == 0)
		return 1000;
	return key % 2 == 0 ? 2000 : SM_NEVER;
}

static uint64_t
test_sweep(uint64_t n, int64_t (*expires)(uint64_t), uint64_t left)
{
	uint64_t longest_ns = 0;
	uint64_t most;
	sm_map map;

	sm_host_create(&host, 256 * MB, 4, -1, 1);
	sm_host_set_clock(999);
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, 2);
	sm_map_create(&map);
	put_many(&map, n, expires);
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(&map, shard);
	sm_check(sm_count(&map) == n, "a sweep came too early");

	sm_host_set_clock(1000);
	sm_check(sm_count(&map) == left, "%lu keys, not %lu",
			 (unsigned long) sm_count(&map), (unsigned long) left);
	most = sweep(&map, 0, &longest_ns);
	sm_check(most > 0 && most <= ENTRIES_A_HOLD, "%lu entries swept under one lock",
			 (unsigned long) most);
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(&map, shard);
	sm_check(sm_sum_stats(&map).entries == left, "%lu entries, not %lu",
			 (unsigned long) sm_sum_stats(&map).entries, (unsigned long) left);
	sm_check(sm_count(&map) == left, "other keys are gone");
	for (uint64_t key = 0; key < n; key++)
		sm_check(sm_contains(&map, (sm_bytes) {&key, sizeof(key)}) ==
					 (expires(key) > 1000 ? SM_FOUND : SM_ABSENT),
				 "key %lu", (unsigned long) key);
	if (left == 0)
		check_fresh("after a sweep");
	sm_map_destroy(&map);
	check_fresh("at the end");
	sm_host_detach(&host);
	return longest_ns / 1000;
}

/* ---- a large value ---- */

/* To say when it expires takes a word, not room for the value once more. */
static void
test_large_value(bool evicts)
{
	static char value[60 * SM_PAGE_SIZE];
	sm_bytes key = {"key", 3};
	sm_status status;
	sm_map map;

	sm_host_create(&host, 4 * MB, 1, -1, 1);
	sm_map_open(&map, &host.engine, 1, 0, 0);
	sm_map_create(&map);
	sm_map_configure(&map, 100 * SM_PAGE_SIZE, evicts);
	status = sm_put(&map, key, (sm_bytes) {value, sizeof(value)}, SM_NEVER);
	sm_check(status == SM_ABSENT, "status %d of a put", status);
	status = sm_expire(&map, key, 1000);
	sm_check(status == SM_FOUND, "status %d of an expiry of a large value", status);
	sm_map_destroy(&map);
	sm_host_detach(&host);
}

int
main(int argc, char **argv)
{
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	uint64_t seconds = sm_argument(argc, argv, 2, 5);
	uint64_t number = sm_argument(argc, argv, 3, 0);
	uint64_t end = sm_now_ns() + seconds * 1000000000;
	uint64_t operations = 0;
	uint64_t shortages = 0;
	uint64_t hidden = 0;
	uint64_t us[2] = {0};

	do
	{
		sm_trial trial;

		run_round(&trial, seed, number++);
		operations += trial.operations;
		shortages += trial.shortages;
		hidden += trial.found_hidden;
	} while (argc <= 3 && sm_now_ns() < end);
	if (argc <= 3)
	{
		sm_set_context("in test_expiry\n");
		test_large_value(false);
		test_large_value(true);
		us[0] = test_sweep(200000, at_once, 0);
		us[1] = test_sweep(200000, here_and_there, 198000);
	}
	printf(
		"seed %lu: %lu rounds, %lu operations, %lu out of memory, %lu times something "
		"hidden; sweeps held the lock for %lu us and %lu us at most\n",
		(unsigned long) seed, (unsigned long) number, (unsigned long) operations,
		(unsigned long) shortages, (unsigned long) hidden, (unsigned long) us[0],
		(unsigned long) us[1]);
	return 0;
}
