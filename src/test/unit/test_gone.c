/*
 * test_gone.c
 *	  Handles of a map that is gone, while another map has its shards.
 *
 * Every call of map.h is made with a handle of a map that has been destroyed, of one that
 * has not been created, and of none at all: each says so, reports nothing of the map
 * that is there, and leaves that as it is, configuration included.
 */
#include "check.h"
#include "port.h"
#include "port_posix.h"

#define KEYS  300
#define QUOTA 500 /* pages */

static sm_host host;
static sm_map other; /* that has the shards */
static char value[20000];
static char out[20000];

static sm_bytes
key_of(const uint64_t *number)
{
	return (sm_bytes) {number, sizeof(*number)};
}

/* Large values, some that expire, and what readers have counted. */
static void
fill(void)
{
	sm_check(sm_map_configure(&other, QUOTA * SM_PAGE_SIZE, true) == SM_FOUND &&
				 sm_map_set_promote_ratio(&other, 40) == SM_FOUND &&
				 sm_map_set_ordered(&other, true) == SM_FOUND,
			 "a map that is there can't be configured");
	for (uint64_t i = 0; i < KEYS; i++)
	{
		sm_bytes v = {value, i % 50 == 0 ? sizeof(value) : 100};
		sm_buffer buffer = {.data = out, .size = sizeof(out)};

		sm_check(sm_put(&other, key_of(&i), v, i % 3 == 0 ? 1000 : SM_NEVER) ==
					 SM_ABSENT,
				 "a new key");
		sm_check(sm_get(&other, key_of(&i), &buffer) == SM_FOUND, "not there");
	}
	sm_flush_reads(&other);
}

/* What the other map says of itself. */
typedef struct report
{
	uint64_t count, entries, pages, quota;
	bool ordered;
	sm_status step;
	sm_status covered; /* and what stands in the way, of one key */
	sm_fences fences;
	sm_read_stats reads;
	sm_shard_stats shards[4];
} report;

static bool
copy_fences(void *arg, const sm_fences *fences)
{
	*(sm_fences *) arg = *fences;
	return true;
}

static report
look(void)
{
	static const uint64_t key = 0;
	report r = {0};

	r.count = sm_count(&other);
	r.entries = sm_map_entries(&other);
	r.pages = sm_map_pages(&other);
	r.quota = sm_map_quota(&other);
	r.ordered = sm_map_is_ordered(&other);
	r.step = sm_order_step(&other);
	r.covered = sm_covered(&other, key_of(&key), copy_fences, &r.fences);
	sm_get_read_stats(&other, &r.reads);
	for (uint32_t i = 0; i < 1U << other.shard_bits; i++)
		sm_check(sm_get_shard_stats(&other, i, &r.shards[i]), "it is there");
	return r;
}

static int
never(void *arg, const void *old, size_t old_len, void *new_value)
{
	(void) arg;
	(void) old;
	(void) old_len;
	(void) new_value;
	sm_failed("the function of an update was called");
}

static bool
asked(void *arg, const sm_fences *fences)
{
	(void) arg;
	(void) fences;
	sm_failed("a fill asked what stands in its way");
}

/* No key, no value, and no length of the other map comes out. */
static void
read_and_write(sm_map *gone, uint64_t number)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_buffer small = {.data = out, .size = 0};
	sm_bytes key = key_of(&number);
	int64_t expires;
	const size_t lens[] = {8, 100, sizeof(value)};

	sm_prefetch(gone, &key, 1);
	sm_check(sm_get(gone, key, &buffer) == SM_GONE, "get");
	sm_check(sm_get(gone, key, &small) == SM_GONE, "get, with a small buffer");
	sm_check(sm_contains(gone, key) == SM_GONE, "contains");
	sm_check(sm_get_expiry(gone, key, &buffer, &expires) == SM_GONE, "get_expiry");
	for (int i = 0; i < 3; i++)
	{
		sm_bytes v = {value, lens[i]};

		sm_check(sm_put(gone, key, v, SM_NEVER) == SM_GONE, "put");
		sm_check(sm_get_or_put(gone, key, v, SM_NEVER, &buffer) == SM_GONE,
				 "get_or_put");
		sm_check(sm_swap(gone, key, v, 5, &buffer) == SM_GONE, "swap");
		sm_check(sm_compare_and_swap(gone, key, v, v, 5) == SM_GONE,
				 "compare_and_swap");
		sm_check(sm_compare_and_delete(gone, key, v) == SM_GONE, "compare_and_delete");
		sm_check(sm_replace(gone, key, v, SM_KEEP) == SM_GONE, "replace");
		sm_check(sm_compare_pair_and_swap(gone, key, v, 5, v, 5) == SM_GONE,
				 "compare_pair_and_swap");
		sm_check(sm_compare_pair_and_delete(gone, key, v, 5) == SM_GONE,
				 "compare_pair_and_delete");
		sm_check(sm_fill(gone, key, v, SM_NEVER, asked, NULL) == SM_GONE, "fill");
	}
	sm_check(sm_delete(gone, key) == SM_GONE, "delete");
	sm_check(sm_get_and_delete(gone, key, &buffer) == SM_GONE, "get_and_delete");
	sm_check(sm_update(gone, key, never, NULL, SM_NEVER) == SM_GONE, "update");
	sm_check(sm_expire(gone, key, 5) == SM_GONE, "expire");
	sm_check(sm_invalidate(gone, key, 900, NULL) == SM_GONE, "invalidate");
	sm_check(sm_covered(gone, key, asked, NULL) == SM_GONE, "covered");
}

static void
use_whole(sm_map *gone)
{
	sm_buffer pairs = {.data = out, .size = sizeof(out)};
	sm_cursor cursor = {0};
	sm_span span = {.descending = false};
	sm_snapshot snapshot;
	sm_changes changes = {0};
	sm_read_stats reads;

	sm_check(sm_map_configure(gone, 4096, false) == SM_GONE, "configure");
	sm_check(sm_map_configure(gone, 0, true) == SM_GONE, "configure");
	sm_check(sm_map_set_promote_ratio(gone, 7) == SM_GONE, "set_promote_ratio");
	sm_check(sm_map_set_ordered(gone, false) == SM_GONE, "set_ordered");
	sm_check(sm_map_set_ordered(gone, true) == SM_GONE, "set_ordered");
	sm_check(sm_order_step(gone) == SM_GONE, "order_step");
	sm_check(!sm_map_is_ordered(gone), "is_ordered");
	sm_check(sm_map_pages(gone) == 0 && sm_map_quota(gone) == UINT64_MAX, "pages");
	sm_check(sm_map_entries(gone) == 0 && sm_count(gone) == 0, "count");
	sm_check(sm_evict(gone, 10) == 0 && sm_reclaim(gone, 1000) == 0, "freed");
	sm_get_read_stats(gone, &reads);
	sm_check(reads.gets == 0 && reads.hits == 0 && reads.retries == 0, "read stats");
	for (uint32_t i = 0; i < 1U << gone->shard_bits; i++)
	{
		sm_shard_stats stats;

		sm_check(!sm_get_shard_stats(gone, i, &stats), "shard stats");
		sm_check(stats.entries == 0 && stats.live == 0 && stats.counts[SM_PUTS] == 0,
				 "statistics of another map");
		sm_maintain(gone, i);
		sm_check(sm_range_ordered(gone, i, &span, 100, &pairs) == SM_GONE,
				 "range_ordered");
	}
	sm_check(sm_range(gone, &cursor, &pairs) == SM_GONE, "range");
	sm_check(sm_clear(gone) == SM_GONE, "clear");
	sm_check(sm_invalidate_all(gone, 900, NULL) == SM_GONE, "invalidate_all");
	sm_check(sm_map_watch(gone, 900) == SM_GONE, "watch");
	sm_check(sm_map_unwatch(gone) == SM_GONE, "unwatch");
	sm_check(sm_snapshot_open(gone, &snapshot) == SM_GONE, "a snapshot");
	sm_check(sm_snapshot_range(gone, &snapshot, &pairs) == SM_GONE, "its range");
	sm_check(sm_snapshot_changes(gone, &snapshot, 0, &changes, &pairs) == SM_GONE,
			 "its changes");
	sm_snapshot_close(gone, &snapshot);
	sm_reset_stats(gone);
	sm_flush_reads(gone);
	sm_map_destroy(gone);
}

/* The other map is what it was after every call there is. */
static void
use(sm_map *gone)
{
	report before = look();
	report after;

	/* 16 misses are flushed, and 65536 gets */
	for (int round = 0; round < 20; round++)
	{
		for (uint64_t i = 0; i < 40; i++)
			read_and_write(gone, i * 10);
		use_whole(gone);
	}
	after = look();
	sm_check(memcmp(&before, &after, sizeof(report)) == 0, "the other map was changed");
}

/* Also while what is in there has expired, and when a snapshot of it is open. */
static void
test(sm_map *gone)
{
	sm_snapshot snapshot;
	sm_snapshot stale = {.owner = 1};
	sm_changes changes = {0};
	sm_buffer pairs = {.data = out, .size = sizeof(out)};

	use(gone);
	sm_host_set_clock(2000);
	use(gone);
	sm_check(sm_snapshot_open(&other, &snapshot) == SM_FOUND, "a snapshot is refused");
	use(gone);
	stale.owner = snapshot.owner;
	sm_check(sm_snapshot_changes(gone, &stale, 0, &changes, &pairs) == SM_GONE,
			 "changes with another map's ticket");
	sm_snapshot_close(gone, &stale);
	sm_check(sm_snapshot_open(&other, &stale) == SM_REFUSED, "it was closed");
	sm_snapshot_close(&other, &snapshot);
	/* and while it is watched; key 0 is fenced with 300 */
	sm_check(sm_map_watch(&other, 200) == SM_FOUND,
			 "a map that is there is not watched");
	sm_check(sm_invalidate(&other, key_of(&(uint64_t) {0}), 300, NULL) <= SM_ABSENT,
			 "fenced");
	use(gone);
	sm_check(sm_map_unwatch(&other) == SM_FOUND, "the watch does not end");
	sm_host_set_clock(0);
}

int
main(void)
{
	sm_map gone;
	sm_map early;
	sm_map none;
	uint32_t fresh;

	sm_set_context("in test_gone\n");
	for (uint32_t bits = 0; bits <= 2; bits++)
	{
		sm_host_create(&host, 8 << 20, 8, -1, 3);
		fresh = sm_host_free_pages();
		sm_map_open(&gone, &host.engine, 1, 0, bits);
		sm_map_create(&gone);
		sm_map_configure(&gone, 0, true);
		sm_check(gone.evicts, "it evicts");
		sm_map_destroy(&gone);
		sm_map_open(&early, &host.engine, 3, 0, 1);
		sm_map_open_none(&none, &host.engine);

		sm_map_open(&other, &host.engine, 2, 0, 2);
		sm_map_create(&other);
		fill();
		test(&gone);
		test(&early);
		test(&none);
		/* a handle that is made now learns nothing of the other map, either */
		sm_map_open(&gone, &host.engine, 1, 0, bits);
		sm_check(!gone.evicts, "another map's eviction");

		sm_map_destroy(&other);
		sm_check(sm_host_free_pages() == fresh, "pages are lost");
		sm_host_detach(&host);
	}
	printf("every call with handles of maps that are gone, to come, and none\n");
	return 0;
}
