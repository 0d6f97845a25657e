/*
 * test_policy.c
 *	  What eviction keeps: which keys, of which shard, and in which queue.
 *
 * Keys that are read survive a scan of many that are not, and a key that comes
 * back soon is worth more than one that is new; shards stay even; large values
 * go one by one; what has expired goes first, and is not forgotten by a sweep
 * that is under way.  M1 and M5 are checked at each put.
 */
#include "check.h"
#include "port.h"
#include "port_posix.h"
#include "shard.h"
#include "trial.h"

#define MB ((uint64_t) 1 << 20)

static sm_host host;
static sm_map map;
static uint32_t fresh;

static void
begin(uint64_t quota, uint32_t shard_bits)
{
	sm_host_create(&host, 64 * MB, 1U << shard_bits, -1, 7);
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, shard_bits);
	sm_map_create(&map);
	sm_map_configure(&map, quota, true);
}

static void
end(void)
{
	sm_map_destroy(&map);
	sm_check(sm_host_free_pages() == fresh, "%u pages are free, not %u",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
}

static void
put_until(uint64_t key, size_t len, int64_t expires)
{
	static char value[100000];
	sm_status status;

	for (int tries = 1;; tries++)
	{
		status = sm_put(&map, (sm_bytes) {&key, sizeof(key)}, (sm_bytes) {value, len},
						expires);
		if (status != SM_NO_MEMORY)
			break;
		sm_check(tries < 1000 && sm_evict(&map, 2) > 0, "no room after %d tries",
				 tries);
	}
	sm_check(status <= SM_ABSENT, "status %d of a put", status);
	sm_check_quota(&map);
}

static void
put(uint64_t key, size_t len)
{
	put_until(key, len, SM_NEVER);
}

static bool
is_there(uint64_t key)
{
	return sm_contains(&map, (sm_bytes) {&key, sizeof(key)}) == SM_FOUND;
}

/* How many of the keys from first on are there, in %.  Looking at them is a use. */
static uint64_t
survivors(uint64_t first, uint64_t n)
{
	uint64_t there = 0;

	for (uint64_t i = 0; i < n; i++)
		there += is_there(first + i);
	return there * 100 / n;
}

/* How many keys fit under the quota. */
static uint64_t
fill(uint64_t first, size_t len)
{
	uint64_t n = 0;

	while (sm_sum_stats(&map).counts[SM_EVICTIONS] == 0)
		put(first + n++, len);
	return n;
}

#define HOT	 ((uint64_t) 1 << 32)
#define COLD ((uint64_t) 2 << 32)
#define MORE ((uint64_t) 3 << 32)
#define NEXT ((uint64_t) 4 << 32)

/* Hot keys are read now and then during a scan of ten times as many as fit. */
static uint64_t
test_scan(size_t len, uint32_t shard_bits)
{
	uint64_t fit;
	uint64_t hot;
	uint64_t at = 0;
	uint64_t left;

	begin(4 * MB, shard_bits);
	fit = fill(MORE, len);
	hot = fit / 10;
	for (uint64_t i = 0; i < hot; i++)
	{
		put(HOT + i, len);
		for (int reads = 0; reads < 3; reads++)
			sm_check(is_there(HOT + i), "a key is gone that just came");
	}
	for (uint64_t i = 0; i < 10 * fit; i++)
	{
		put(COLD + i, len);
		/* each of them three times in the time that a whole cache comes by */
		if (i % 3 == 0)
			is_there(HOT + at++ % hot);
	}
	left = survivors(HOT, hot);
	sm_check(left >= 90, "%lu %% of the hot keys survive a scan", (unsigned long) left);
	sm_check(survivors(COLD, fit) == 0, "the first keys of a scan survive it");
	end();
	return left;
}

/* Old keys that are read outlive new ones that are not. */
static void
test_old_and_new(size_t len)
{
	uint64_t fit;

	begin(2 * MB, 0);
	fit = fill(MORE, len);
	sm_check(sm_clear(&map) == SM_FOUND, "clear failed");
	for (uint64_t i = 0; i < fit / 2; i++)
		put(HOT + i, len);
	for (int reads = 0; reads < 3; reads++)
		survivors(HOT, fit / 2);
	for (uint64_t i = 0; i < fit; i++)
		put(COLD + i, len);
	sm_check(survivors(HOT, fit / 2) >= 95, "new keys have driven out old ones");
	sm_check(survivors(COLD, fit / 4) == 0, "nobody read them, and they are there");
	sm_check(survivors(COLD + fit - fit / 50, fit / 50) >= 95, "the newest are gone");
	end();
}

/*
 * The shards of a map share its quota by whoever comes first.  Keys are spread
 * evenly, so that none must be left with next to nothing.
 */
static void
test_shares(size_t len, uint32_t shard_bits)
{
	uint64_t fit;
	uint64_t least = UINT64_MAX;

	begin(16 * MB, shard_bits);
	fit = fill(MORE, len);
	for (uint64_t i = 0; i < 10 * fit; i++)
		put(COLD + i, len);
	for (uint32_t shard = 0; shard < 1U << shard_bits; shard++)
	{
		sm_shard_stats stats;

		sm_get_shard_stats(&map, shard, &stats);
		least = stats.entries < least ? stats.entries : least;
	}
	sm_check(least >= (fit >> shard_bits) / 4,
			 "a shard has %lu entries, an even share is %lu", (unsigned long) least,
			 (unsigned long) (fit >> shard_bits));
	end();
}

/* Indexes and ghosts are what grows most where entries are small. */
static void
test_small_entries(uint64_t quota, uint32_t shard_bits)
{
	begin(quota, shard_bits);
	for (uint64_t i = 0; i < 200000; i++)
	{
		put(COLD + i, 0);
		if (i % 3 > 0)
			is_there(COLD + i * 3 / 4);
	}
	sm_check(survivors(COLD + 199000, 1000) > 90, "the newest are gone");
	end();
}

static uint64_t
main_pages(void)
{
	sm_shard_stats stats;

	sm_get_shard_stats(&map, 0, &stats);
	return stats.main;
}

/* A key that comes back soon after its eviction goes to the main queue. */
static void
test_ghosts(void)
{
	const size_t len = 500;
	const uint64_t n = 200;
	uint64_t pages;
	uint64_t fit;

	begin(2 * MB, 0);
	fit = fill(MORE, len);
	/* about half of the map becomes main, and the rest is young */
	for (uint64_t i = 0; i < 2 * fit; i++)
	{
		put(NEXT + i, len);
		for (int reads = 0; reads < 3 && i < fit / 2; reads++)
			is_there(NEXT + i);
	}

	for (uint64_t i = 0; i < n; i++)
		put(HOT + i, len);
	for (uint64_t i = 0; i < fit * 3 / 4; i++)
		put(COLD + i, len);
	sm_check(survivors(HOT, n) == 0, "they were to be evicted");

	pages = main_pages();
	for (uint64_t i = 0; i < n; i++)
	{
		put(HOT + i, len);
		put(COLD + fit + i, len);
	}
	sm_check((main_pages() - pages) * SM_PAGE_SIZE > n * len * 3 / 4,
			 "%lu pages more in the main queue",
			 (unsigned long) (main_pages() - pages));
	for (uint64_t i = 0; i < fit * 3 / 4; i++)
		put(COLD + 2 * fit + i, len);
	sm_check(survivors(HOT, n) >= 90, "keys that came back are gone again");
	sm_check(survivors(COLD + fit, n) == 0, "keys that were new are still there");
	end();
}

/* A key of the main queue that is written anew stays there. */
static void
test_overwritten(void)
{
	const size_t len = 1500; /* never in place */
	uint64_t fit;

	begin(2 * MB, 0);
	fit = fill(MORE, len);
	for (uint64_t i = 0; i < 2 * fit; i++)
	{
		put(i < fit / 4 ? HOT + i : MORE + i, len);
		for (int reads = 0; reads < 3 && i < fit / 4; reads++)
			is_there(HOT + i);
	}
	for (uint64_t i = 0; i < fit / 4; i++)
		put(HOT + i, len);
	for (uint64_t i = 0; i < fit; i++)
		put(COLD + i, len);
	sm_check(survivors(HOT, fit / 4) >= 95, "writing keys has made them young again");
	end();
}

/* Keys that are read fill the main queue. */
static uint64_t
fill_main(uint64_t first, size_t len)
{
	uint64_t fit = fill(MORE, len);

	for (uint64_t i = 0; i < 2 * fit; i++)
	{
		put(first + i, len);
		for (int reads = 0; reads < 3; reads++)
			is_there(first + i);
	}
	return fit;
}

/* A new key has its time, also where the main queue is as large as can be. */
static void
test_young_share(size_t len)
{
	uint64_t fit;

	begin(2 * MB, 0);
	fit = fill_main(HOT, len);
	for (uint64_t i = 0; i < fit / 20; i++)
		put(COLD + i, len);
	sm_check(survivors(COLD, fit / 20) >= 95, "new keys have no chance");
	end();
}

static uint64_t
sum_of_marks(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < host.engine.arena.size; i += SM_MARK_BYTES)
		sum += sm_mark_get(host.engine.marks, i);
	return sum;
}

/* Where all keys are hot, a put goes round for room no longer than elsewhere. */
static void
test_all_hot(size_t len)
{
	uint64_t fit;
	uint64_t marks;

	begin(2 * MB, 0);
	fit = fill_main(HOT, len);
	for (uint64_t key = 0; key < 30; key++)
	{
		for (int reads = 0; reads < 3; reads++)
			survivors(HOT, 2 * fit);
		marks = sum_of_marks();
		put(COLD + key, len);
		sm_check(sum_of_marks() >= marks * 8 / 10, "a put has used up %lu of %lu marks",
				 (unsigned long) (marks - sum_of_marks()), (unsigned long) marks);
	}
	end();
}

/* How many keys are there, by asking for each of n; no marks are left. */
static uint64_t
count_slowly(uint64_t first, uint64_t n)
{
	sm_map unmarked = map;
	uint64_t there = 0;

	unmarked.evicts = false;
	for (uint64_t key = first; key < first + n; key++)
		there += sm_contains(&unmarked, (sm_bytes) {&key, sizeof(key)}) == SM_FOUND;
	return there;
}

/* Takes what was read of the young queue to the main one. */
static void
turn_over(void)
{
	sm_shard_stats stats;
	uint64_t freed = 0;

	for (;;)
	{
		sm_get_shard_stats(&map, 0, &stats);
		if (stats.young * 10 <= stats.young + stats.main)
			return;
		sm_check(sm_shard_evict(&host.engine, 0, map.id, true, &freed),
				 "nothing to evict");
	}
}

/* Puts keys that have been read, or not. */
static void
put_group(uint64_t first, uint64_t n, int64_t expires, bool read)
{
	for (uint64_t i = first; i < first + n; i++)
	{
		put_until(i, 100, expires);
		for (int reads = 0; reads < 3 && read; reads++)
			is_there(i);
	}
}

/* The clock comes to that time, when so many keys expire. */
static void
check_expiring(int64_t at, uint64_t n)
{
	uint64_t count;

	sm_host_set_clock(at - 1);
	count = sm_count(&map);
	sm_host_set_clock(at);
	sm_check(sm_count(&map) + n == count, "%lu keys expire, not %lu",
			 (unsigned long) (count - sm_count(&map)), (unsigned long) n);
}

/*
 * While a sweep is under way, entries move to where it has been already, and
 * some there are told to expire: it must not be forgotten when.
 */
static void
test_behind_sweep(bool moves)
{
	uint64_t early = MORE;
	uint64_t left;
	uint64_t freed = 0;

	begin(4 * MB, 0);
	sm_host_set_clock(999);
	put_group(MORE, 1000, 9000, true);
	turn_over();
	put_group(HOT, 1000, 1000, false);
	put_group(HOT + 1000, 4000, 2000, true);
	put_group(COLD, 2000, SM_NEVER, false);

	sm_host_set_clock(1000);
	sm_check(sm_shard_sweep(&host.engine, 0, map.id, sm_port_now(), NULL, &freed),
			 "a sweep in one piece");
	if (moves)
		turn_over();
	else
		sm_check(sm_expire(&map, (sm_bytes) {&early, sizeof(early)}, 1500) == SM_FOUND,
				 "a key is gone that was read");
	while (sm_shard_sweep(&host.engine, 0, map.id, sm_port_now(), NULL, &freed))
		;
	left = count_slowly(HOT + 1000, 4000);
	sm_check(left > 3000, "%lu keys are left", (unsigned long) left);
	check_expiring(1500, moves ? 0 : 1);
	check_expiring(2000, left);
	end();
}

/* The map that gives way needs nobody's help where the arena is full. */
static void
test_give_way(void)
{
	static char value[500];
	uint64_t refused = 0;

	sm_host_create(&host, MB, 1, -1, 7);
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, 0);
	sm_map_create(&map);
	sm_map_configure(&map, 0, true);
	sm_host_give_way(1);
	for (uint64_t key = 0; key < 10000; key++)
	{
		sm_status status = sm_put(&map, (sm_bytes) {&key, sizeof(key)},
								  (sm_bytes) {value, sizeof(value)}, SM_NEVER);

		if (status == SM_NO_MEMORY)
		{
			refused++;
			put(key, sizeof(value));
		}
	}
	sm_check(sm_sum_stats(&map).counts[SM_EVICTIONS] > 1000, "the arena was not full");
	sm_check(refused < 100, "%lu of 10000 puts found no room", (unsigned long) refused);
	end();
}

/* What has expired goes first, however often it was read. */
static void
test_expired_first(size_t len)
{
	uint64_t fit;
	uint64_t evictions;

	begin(2 * MB, 0);
	sm_host_set_clock(999);
	fit = fill(MORE, len);
	evictions = sm_sum_stats(&map).counts[SM_EVICTIONS];
	sm_check(sm_clear(&map) == SM_FOUND, "clear failed");
	for (uint64_t i = 0; i < fit / 2; i++)
		put_until(HOT + i, len, 1000);
	for (int reads = 0; reads < 3; reads++)
		survivors(HOT, fit / 2);
	sm_host_set_clock(1000);
	for (uint64_t i = 0; i < fit * 4 / 5; i++)
		put(COLD + i, len);
	sm_check(sm_sum_stats(&map).counts[SM_EVICTIONS] == evictions,
			 "keys are evicted while others have expired");
	sm_check(sm_sum_stats(&map).counts[SM_EXPIRATIONS] > fit / 10,
			 "%lu keys that expired were taken, of %lu",
			 (unsigned long) sm_sum_stats(&map).counts[SM_EXPIRATIONS],
			 (unsigned long) fit);
	sm_check(survivors(COLD, fit * 4 / 5) == 100, "new keys are gone");
	end();
}

/*
 * A large value whose key is to expire: its extents go over to a new entry, for
 * which room is made at the quota's edge, where that may evict the key itself.
 */
static void
test_expire_large(uint64_t spare)
{
	uint64_t large = HOT;
	uint64_t number = 0;
	sm_buffer buffer = {.data = malloc(40000), .size = 40000};
	sm_shard_stats stats;
	sm_status status;

	begin(64 * MB, 0);
	put(large, 40000);
	do
	{
		put(MORE + number++, 40);
		sm_get_shard_stats(&map, 0, &stats);
	} while (stats.young < 600);
	while (sm_get_shard_stats(&map, 0, &stats), stats.young < 616)
		put(MORE + number++, 40);
	sm_map_configure(&map, (sm_map_pages(&map) + spare) * SM_PAGE_SIZE, true);
	status = sm_expire(&map, (sm_bytes) {&large, sizeof(large)}, 1000000);
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d of expire", status);
	if (sm_get(&map, (sm_bytes) {&large, sizeof(large)}, &buffer) == SM_FOUND)
	{
		for (size_t i = 0; i < buffer.len; i++)
			sm_check(((char *) buffer.data)[i] == ((char *) buffer.data)[0] &&
						 ((unsigned char *) buffer.data)[i] != 0x5a,
					 "another value");
	}
	sm_check(sm_map_pages(&map) + sm_host_free_pages() == fresh, "pages are lost");
	free(buffer.data);
	end();
}

/* Large values go one by one, not all of a shard at once. */
static void
test_large_values(void)
{
	uint64_t least = UINT64_MAX;

	begin(8 * MB, 0);
	for (uint64_t i = 0; i < 500; i++)
	{
		put(COLD + i, 100000);
		if (i > 200 && sm_map_pages(&map) < least)
			least = sm_map_pages(&map);
	}
	sm_check(least > 2048 * 3 / 4, "only %lu of 2048 pages are in use",
			 (unsigned long) least);
	end();
}

/* What reclaims says how much that gave: the pages of what had expired, too. */
static void
test_reclaim_counts(void)
{
	uint64_t freed;

	begin(64 * MB, 0);
	for (uint64_t i = 0; i < 100; i++)
		put_until(COLD + i, 100000, 1000);
	sm_host_set_clock(1000);
	freed = sm_reclaim(&map, 40);
	sm_check(freed >= 40, "%lu pages", (unsigned long) freed);
	end();
}

/*
 * A snapshot has what was evicted after it, what expired, and large values that were
 * replaced; and is lost, not the write, where memory is short.
 */
static void
test_snapshot(size_t len)
{
	uint64_t n = 400;
	uint64_t found = 0;
	sm_snapshot snapshot;
	sm_buffer pairs = {.data = malloc(1 << 20), .size = 1 << 20};
	sm_changes changes = {0};
	sm_status status;

	begin(0, 0);
	sm_host_set_clock(0);
	for (uint64_t i = 0; i < n; i++)
		put_until(COLD + i, len, i % 2 == 0 ? 1000 : SM_NEVER);
	sm_check(sm_snapshot_open(&map, &snapshot) == SM_FOUND, "no snapshot");
	put(COLD + 1, len + 1);
	put_until(COLD + 3, 10, SM_NEVER);
	sm_host_set_clock(2000);
	sm_reclaim(&map, 1);
	sm_check(sm_count(&map) <= n / 2, "what has expired is there");
	while (sm_count(&map) > n / 4)
		sm_evict(&map, 1);
	sm_maintain(&map, 0);

	while ((status = sm_snapshot_range(&map, &snapshot, &pairs)) == SM_FOUND)
	{
		for (size_t at = 0; at < pairs.len; found++)
			at += sm_pair_size((sm_pair *) ((char *) pairs.data + at));
	}
	sm_check(status == SM_ABSENT && found <= n / 4, "%lu keys are left",
			 (unsigned long) found);
	found = 0;
	while ((status = sm_snapshot_changes(&map, &snapshot, 0, &changes, &pairs)) ==
		   SM_FOUND)
	{
		for (size_t at = 0; at < pairs.len; found++)
		{
			const sm_pair *pair = (sm_pair *) ((char *) pairs.data + at);

			sm_check(pair->value_len == len, "a value of %u bytes", pair->value_len);
			at += sm_pair_size(pair);
		}
	}
	sm_check(status == SM_ABSENT, "status %d of changes", status);
	sm_snapshot_close(&map, &snapshot);
	/* those that are left, and the changed ones that are */
	sm_check(found >= n - sm_count(&map) && found <= n - sm_count(&map) + 2,
			 "%lu were kept, %lu are left", (unsigned long) found,
			 (unsigned long) sm_count(&map));

	/* whether its own map is at its quota, or somebody else needs memory */
	for (int by_quota = 0; by_quota < 2; by_quota++)
	{
		sm_check(sm_snapshot_open(&map, &snapshot) == SM_FOUND, "no other snapshot");
		changes = (sm_changes) {0};
		if (by_quota)
			sm_map_configure(&map, sm_map_pages(&map) * SM_PAGE_SIZE, false);
		for (uint64_t i = 0; i < n; i++)
		{
			uint64_t key = MORE + i;

			if (by_quota)
				sm_delete(&map, (sm_bytes) {&key, sizeof(key)});
			else
				put(key, len);
		}
		if (!by_quota)
			sm_reclaim(&map, UINT64_MAX);
		sm_check(sm_snapshot_changes(&map, &snapshot, 0, &changes, &pairs) ==
					 SM_NO_MEMORY,
				 "a snapshot that is not lost");
		sm_snapshot_close(&map, &snapshot);
	}
	sm_check(sm_map_pages(&map) + sm_host_free_pages() == fresh, "pages are lost");
	sm_host_set_clock(0);
	free(pairs.data);
	end();
}

/* A shard with something to do of every kind, in many pieces. */
static void
make_work(void)
{
	begin(0, 0);
	sm_map_configure(&map, 0, false);
	sm_host_set_clock(0);
	host.engine.compact_ratio = 60; /* what writes leave to the worker */
	for (uint64_t i = 0; i < 20000; i++)
		put_until(COLD + i, 100, i % 4 == 0 ? 1000 : SM_NEVER);
	for (uint64_t i = 0; i < 20000; i += 4)
	{
		uint64_t key = COLD + i + 1;

		sm_delete(&map, (sm_bytes) {&key, sizeof(key)});
	}
	sm_map_set_ordered(&map, true);
	host.engine.compact_ratio = 10;
	sm_host_set_clock(2000);
}

/*
 * A host that is in a hurry gets the worker back after each piece, and the work is
 * done in the end all the same.
 */
static void
test_cut_short(void)
{
	sm_shard_stats whole;
	sm_shard_stats pieces;
	uint64_t calls = 0;
	sm_buffer pairs = {.data = NULL, .size = 0};
	sm_span span = {.descending = false};

	make_work();
	sm_check(!sm_maintain(&map, 0), "cut short, and nobody is in a hurry");
	sm_get_shard_stats(&map, 0, &whole);
	end();

	make_work();
	for (bool more = true; more; calls++)
	{
		sm_shard_stats before;
		sm_shard_stats after;

		sm_get_shard_stats(&map, 0, &before);
		sm_host_interrupt_after(1 + (int64_t) (calls % 2));
		more = sm_maintain(&map, 0);
		sm_get_shard_stats(&map, 0, &after);
		/* SWEEP_ENTRIES, and no more than two segments */
		sm_check(before.entries - after.entries <= 2 * 256 &&
					 after.counts[SM_COMPACTIONS] - before.counts[SM_COMPACTIONS] <= 2,
				 "a call of more than two pieces");
		sm_check(calls < 100000, "a call does nothing");
	}
	sm_host_interrupt_after(-1);
	sm_get_shard_stats(&map, 0, &pieces);
	sm_check(calls > 100, "%lu calls", (unsigned long) calls);
	sm_check(pieces.entries == 10000 && whole.entries == 10000, "%lu and %lu keys",
			 (unsigned long) pieces.entries, (unsigned long) whole.entries);
	sm_check(sm_count(&map) == 10000, "keys are lost");
	sm_check(sm_range_ordered(&map, 0, &span, 1, &pairs) == SM_TOO_SMALL,
			 "not in order yet");
	sm_check(!sm_maintain(&map, 0), "cut short, and nobody is in a hurry");
	sm_host_set_clock(0);
	end();
}

int
main(void)
{
	sm_set_context("in test_policy\n");
	test_scan(100, 0);
	test_scan(30, 0);
	test_scan(2000, 0);
	test_old_and_new(100);
	test_old_and_new(2000);
	test_ghosts();
	test_overwritten();
	test_young_share(100);
	test_young_share(1500);
	test_all_hot(100);
	test_all_hot(1500);
	test_behind_sweep(true);
	test_behind_sweep(false);
	test_give_way();
	test_expired_first(100);
	test_expired_first(2000);
	for (uint64_t spare = 0; spare < 20; spare++)
		test_expire_large(spare);
	test_large_values();
	test_reclaim_counts();
	test_cut_short();
	test_snapshot(100);
	test_snapshot(3000);
	test_snapshot(60000);
	test_scan(100, 2);
	test_shares(100, 2);
	test_shares(400, 3);
	test_small_entries(MB / 2, 0);
	test_small_entries(4 * MB, 0);
	test_small_entries(4 * MB, 4);
	printf("scans, ghosts, shares, sweeps, large values, and snapshots\n");
	return 0;
}
