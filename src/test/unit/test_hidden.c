/*
 * test_hidden.c
 *	  What is hidden: that a key has no value, and values that were invalidated.
 *
 *	  test_hidden [seed [seconds]]
 *
 * Attacks C1: nobody but who asks for what is hidden is given it, whatever has become of
 * its entry; C3: it is stored, or not, as a value is, and an invalidation takes it away, or
 * leaves what is older than it marked as that; M1 and M5: it goes when its time is over,
 * and before a put fails.  At the end, threads that hide and store, and such that read.
 */
#include <pthread.h>

#include "check.h"
#include "port.h"
#include "port_posix.h"

#define WATCHED 100 /* the horizon that maps start with here */
#define STALE	50	/* microseconds that they keep what is invalidated */
#define NKEYS	400
#define LARGE	20000

static sm_host host;
static uint32_t fresh;
static char room[LARGE];
static char out[64 * LARGE];

static sm_bytes
key_of(const uint64_t *number)
{
	return (sm_bytes) {number, sizeof(*number)};
}

/* Some are empty, some are large. */
static sm_bytes
value_of(uint64_t key)
{
	return (sm_bytes) {room, key % 40 == 7 ? LARGE : key % 5 * 30};
}

static bool
yes(void *arg, const sm_fences *fences)
{
	(void) arg;
	(void) fences;
	return true;
}

/* All that was fenced before *arg has ended. */
static bool
after(void *arg, const sm_fences *fences)
{
	uint64_t next = *(uint64_t *) arg;

	for (int i = 0; i < 2 * SM_FENCES; i++)
	{
		if (fences->stripe[i / SM_FENCES].fence[i % SM_FENCES] >= next)
			return false;
	}
	return fences->horizon < next && fences->stripe[0].horizon < next &&
		fences->stripe[1].horizon < next;
}

static sm_map
make_map(uint64_t hash_mask, uint64_t pages)
{
	sm_map map;

	sm_host_create(&host, pages * SM_PAGE_SIZE, 4, -1, 5);
	sm_host_set_clock(1000);
	host.engine.hash_mask = hash_mask;
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, 2);
	sm_map_create(&map);
	sm_map_watch(&map, WATCHED);
	sm_map_set_stale(&map, STALE);
	return map;
}

static void
drop_map(sm_map *map)
{
	sm_map_destroy(map);
	sm_check(sm_host_free_pages() == fresh, "M1: %u pages are free, not %u",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
}

static sm_status
fill(sm_map *map, uint64_t key)
{
	return sm_fill(map, key_of(&key), value_of(key), SM_NEVER, yes, NULL);
}

static sm_status
invalidate(sm_map *map, uint64_t key, uint64_t fence)
{
	return sm_invalidate(map, key_of(&key), fence, NULL);
}

static sm_status
forget(sm_map *map, uint64_t key, int64_t until)
{
	return sm_fill_nothing(map, key_of(&key), until, yes, NULL);
}

/* What is hidden under a key, and is wanted; its value is checked. */
static int
look(sm_map *map, uint64_t key, int wanted)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_hidden hidden;
	sm_status status = sm_get_hidden(map, key_of(&key), wanted, &buffer, &hidden);

	if (status == SM_ABSENT)
		return -1;
	sm_check(status == SM_FOUND, "status %d of get_hidden", status);
	sm_check(hidden == SM_NEGATIVE ?
				 buffer.len == 0 :
				 buffer.len == value_of(key).len && memcmp(out, room, buffer.len) == 0,
			 "R1: another value of %zu bytes", buffer.len);
	return (int) hidden;
}

static uint64_t
count_pairs(sm_buffer *pairs)
{
	sm_bytes key;
	sm_bytes value;
	int64_t expires;
	uint64_t n = 0;

	for (size_t at = 0; at < pairs->len; n++)
	{
		at = sm_pair_read(pairs, at, &key, &value, &expires);
		sm_check(value.len != SM_NO_VALUE || pairs->len > 0, "a pair");
		sm_check(expires > 0, "C1: a pair that is hidden");
	}
	return n;
}

static uint64_t
count_range(sm_map *map)
{
	sm_cursor cursor = {0};
	sm_buffer pairs = {.data = out, .size = sizeof(out)};
	uint64_t n = 0;

	while (sm_range(map, &cursor, &pairs) == SM_FOUND)
		n += count_pairs(&pairs);
	return n;
}

static uint64_t
count_ordered(sm_map *map)
{
	sm_span span = {.descending = false};
	uint64_t n = 0;

	for (uint32_t shard = 0; shard < 4; shard++)
	{
		sm_buffer pairs = {.data = out, .size = sizeof(out)};
		sm_status status = sm_range_ordered(map, shard, &span, 1000, &pairs);

		sm_check(status == SM_ABSENT, "status %d of an ordered range", status);
		n += count_pairs(&pairs);
	}
	return n;
}

/* What every other call says: of NKEYS keys the last so many are there. */
static void
check_absent(sm_map *map, uint64_t there, const char *when)
{
	for (uint64_t key = 0; key < NKEYS; key++)
	{
		sm_buffer buffer = {.data = out, .size = sizeof(out)};
		sm_status wanted = key >= NKEYS - there ? SM_FOUND : SM_ABSENT;
		int64_t expires;

		sm_check(sm_get(map, key_of(&key), &buffer) == wanted &&
					 sm_contains(map, key_of(&key)) == wanted &&
					 sm_get_expiry(map, key_of(&key), &buffer, &expires) == wanted,
				 "C1: key %lu, %s", (unsigned long) key, when);
	}
	sm_check(sm_count(map) == there, "C1: a count of %lu, %s",
			 (unsigned long) sm_count(map), when);
	sm_check(count_range(map) == there, "C1: a range, %s", when);
	sm_check(count_ordered(map) == there, "C1: an ordered range, %s", when);
}

/* Hides all keys, as nothing or as what they had. */
static void
hide_all(sm_map *map, int kind)
{
	for (uint64_t key = 0; key < NKEYS; key++)
	{
		if (kind == SM_NEGATIVE)
			sm_check(forget(map, key, 1050) == SM_ABSENT, "nothing was not stored");
		else
			sm_check(fill(map, key) == SM_ABSENT &&
						 invalidate(map, key, 200) == SM_FOUND,
					 "a value was not invalidated");
	}
}

static void
check_hidden(sm_map *map, int kind, const char *when)
{
	for (uint64_t key = 0; key < NKEYS; key++)
	{
		sm_check(look(map, key, SM_NEGATIVE | SM_STALE) == kind &&
					 look(map, key, kind) == kind && look(map, key, kind ^ 3) == -1 &&
					 look(map, key, 0) == -1,
				 "key %lu is not hidden as %d, %s", (unsigned long) key, kind, when);
	}
}

/* ---- case by case ---- */

/* Whatever becomes of the entries, the others see nothing, until the last microsecond. */
static void
test_absent(sm_map *map, int kind)
{
	sm_map_set_ordered(map, true);
	hide_all(map, kind);
	check_hidden(map, kind, "at first");
	check_absent(map, 0, "at first");
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(map, shard);
	for (uint64_t key = NKEYS; key < 3 * NKEYS; key++)
		fill(map, key);
	for (uint64_t key = NKEYS; key < 3 * NKEYS; key++)
		sm_delete(map, key_of(&key));
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(map, shard);
	check_hidden(map, kind, "after growth and compaction");
	check_absent(map, 0, "after growth and compaction");

	sm_host_set_clock(1049);
	check_hidden(map, kind, "before it is over");
	sm_host_set_clock(1050);
	for (uint64_t key = 0; key < NKEYS; key++)
		sm_check(look(map, key, 3) == -1, "it is over");
	check_absent(map, 0, "when it is over");
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(map, shard);
	sm_map_unwatch(map);
	sm_check(sm_map_pages(map) == 0 && sm_host_free_pages() == fresh,
			 "M1: what is over holds %lu pages", (unsigned long) sm_map_pages(map));
}

/* What takes it away: a store, a removal, all that clears; and what they answer. */
static void
test_taken_away(sm_map *map, int kind)
{
	sm_map unchecked = *map;
	sm_buffer buffer = {.data = out, .size = sizeof(out)};

	unchecked.unchecked = true;
	hide_all(map, kind);
	for (uint64_t key = 0; key < NKEYS; key++)
	{
		sm_bytes k = key_of(&key);
		sm_bytes v = value_of(key);
		sm_status status;
		bool stores = key % 10 < 4;

		switch (key % 10)
		{
			case 0:
				status = fill(map, key);
				break;
			case 1:
				status = sm_put(&unchecked, k, v, SM_NEVER);
				break;
			case 2:
				status = sm_get_or_put(&unchecked, k, v, SM_NEVER, &buffer);
				break;
			case 3:
				status = sm_swap(&unchecked, k, v, SM_KEEP, &buffer);
				break;
			case 4:
				status = sm_delete(map, k);
				break;
			case 5:
				status = sm_get_and_delete(map, k, &buffer);
				break;
			case 6:
				status = sm_expire(map, k, 5000);
				break;
			case 7:
				status = sm_replace(&unchecked, k, v, SM_NEVER);
				break;
			case 8:
				status = sm_compare_and_swap(&unchecked, k, v, v, SM_NEVER);
				break;
			default:
				status = sm_compare_and_delete(map, k, v);
		}
		sm_check(status == SM_ABSENT, "C1: status %d of write %lu", status,
				 (unsigned long) (key % 10));
		sm_check(look(map, key, 3) == (stores ? SM_SHOWN : -1), "it is still hidden");
	}
	sm_check(sm_count(map) == NKEYS / 10 * 4, "a count after stores");
	sm_clear(map);
	hide_all(map, kind);
	sm_check(sm_clear(map) == SM_FOUND && look(map, 1, 3) == -1 && sm_count(map) == 0,
			 "clear");
	hide_all(map, kind);
	sm_check(sm_invalidate_all(map, 200, NULL) == SM_FOUND && look(map, 1, 3) == -1 &&
				 sm_count(map) == 0,
			 "C1: an invalidation of all");
	hide_all(map, kind);
}

/* C3: it is refused as a value is, and is no less than a value to an invalidation. */
static void
test_fences(sm_map *map)
{
	uint64_t key = 3;
	uint64_t next = 200;

	invalidate(map, key, 200);
	sm_check(sm_fill_nothing(map, key_of(&key), 1050, after, &next) == SM_REFUSED &&
				 look(map, key, 3) == -1,
			 "C3: nothing from before an invalidation");
	next = 201;
	sm_check(sm_fill_nothing(map, key_of(&key), 1050, after, &next) == SM_ABSENT &&
				 look(map, key, 3) == SM_NEGATIVE,
			 "nothing that covers");
	sm_check(invalidate(map, key, 300) == SM_ABSENT && look(map, key, 3) == -1,
			 "C1: an invalidation leaves nothing");
	sm_check(fill(map, key) == SM_ABSENT && forget(map, key, 1050) == SM_FOUND &&
				 look(map, key, 3) == SM_SHOWN,
			 "nothing hides a value");
	sm_check(forget(map, key + 1, 1) == SM_REFUSED && look(map, key + 1, 3) == -1,
			 "a time before all times");

	/* an invalidation again does not make it younger */
	invalidate(map, key, 300);
	sm_host_set_clock(1040);
	sm_check(invalidate(map, key, 400) == SM_ABSENT && look(map, key, 3) == SM_STALE,
			 "a second invalidation");
	sm_host_set_clock(1050);
	sm_check(look(map, key, 3) == -1, "it was kept too long");
	sm_check(invalidate(map, key, 400) == SM_ABSENT && sm_map_entries(map) == 0,
			 "what is over stays");

	/* a value that has expired is not what it had before */
	sm_host_set_clock(1000);
	sm_fill(map, key_of(&key), value_of(key), 1010, yes, NULL);
	sm_host_set_clock(1010);
	sm_check(invalidate(map, key, 500) == SM_ABSENT && look(map, key, 3) == -1,
			 "what has expired is kept");

	/* what was stored before the map kept such has no place to say it */
	sm_map_set_stale(map, 0);
	fill(map, key);
	sm_map_set_stale(map, STALE);
	sm_check(invalidate(map, key, 600) == SM_FOUND && look(map, key, 3) == -1,
			 "it was not removed");
	fill(map, key);
	sm_map_set_stale(map, 0);
	sm_check(invalidate(map, key, 700) == SM_FOUND && look(map, key, 3) == -1,
			 "C1: a map that keeps nothing any more");
}

/* M5: a map that is full of what is hidden has room; so has one that does not evict. */
static void
test_room(sm_map *map, int kind)
{
	sm_map_configure(map, 64 * SM_PAGE_SIZE, false);
	for (uint64_t key = 0; key < 100000; key++)
	{
		sm_status status =
			kind == SM_NEGATIVE ? forget(map, key, 5000) : fill(map, key);

		if (status == SM_NO_MEMORY)
			break;
		invalidate(map, key, kind == SM_STALE ? 200 : WATCHED);
		if (kind == SM_NEGATIVE)
			forget(map, key, 5000);
	}
	sm_check(sm_count(map) == 0 && sm_map_entries(map) > 200, "it is not full");
	for (uint64_t key = 0; key < 200; key++)
	{
		uint64_t other = key + 1000000;
		sm_bytes value = {room, 100};
		sm_status status;

		while ((status = sm_fill(map, key_of(&other), value, SM_NEVER, yes, NULL)) ==
			   SM_NO_MEMORY)
			sm_check(sm_reclaim(map, 4) > 0, "M5: no room beside what is hidden");
		sm_check(status == SM_ABSENT, "status %d of a fill", status);
	}
	sm_check(sm_count(map) == 200, "M3: a value was lost");
	sm_check(sm_reclaim(map, UINT64_MAX) <= 64 && sm_map_entries(map) == 200,
			 "a need leaves something that is hidden");
}

/* M5: no need is told that there is nothing left while something is hidden anywhere. */
static void
test_needs(sm_map *map, sm_rng *rng)
{
	int full = 0;

	sm_map_configure(map, 96 * SM_PAGE_SIZE, false);
	sm_map_set_stale(map, 1000000);
	for (int i = 0; i < 200000 && full < 200; i++)
	{
		uint64_t key = sm_rng_below(rng, 2000);
		sm_bytes value = {room, 200 + key % 7 * 100};

		if (sm_rng_below(rng, 16) == 0)
			invalidate(map, key, 200);
		else if (sm_fill(map, key_of(&key), value, SM_NEVER, yes, NULL) ==
					 SM_NO_MEMORY &&
				 sm_reclaim(map, 1) == 0)
		{
			uint64_t hidden = 0;

			for (uint32_t shard = 0; shard < 4; shard++)
			{
				sm_shard_stats stats;

				sm_check(sm_get_shard_stats(map, shard, &stats), "it is there");
				hidden += stats.hidden;
			}
			sm_check(hidden == 0, "M5: no room, and %lu are hidden",
					 (unsigned long) hidden);
			full++;
			for (uint64_t n = sm_rng_below(rng, 100); n > 0; n--)
				invalidate(map, sm_rng_below(rng, 2000), 200);
		}
	}
	sm_check(full > 20, "it was full %d times", full);
}

/* A value is kept no longer than it would have been there, and then for nobody. */
static void
test_time(sm_map *map)
{
	uint64_t key = 1;

	for (int64_t left = 1; left <= 2 * STALE; left++)
	{
		int64_t now = 1000 + left * 1000;
		int64_t end = left < STALE ? left : STALE;

		sm_host_set_clock(now);
		sm_check(sm_fill(map, key_of(&key), value_of(key), now + left, yes, NULL) <=
					 SM_ABSENT,
				 "a fill");
		invalidate(map, key, 200);
		sm_host_set_clock(now + (end & ~(int64_t) 1) - 1);
		sm_check(end < 2 || look(map, key, SM_STALE) == SM_STALE, "C1: it is kept");
		sm_host_set_clock(now + end);
		sm_check(look(map, key, SM_STALE) == -1,
				 "C1: it is kept for longer than %ld, with %ld left", (long) end,
				 (long) left);
	}
}

/* A snapshot has what was there when it was opened, and nothing that was hidden. */
static void
test_snapshot(sm_map *map, int kind, bool hidden_before)
{
	sm_snapshot snapshot;
	sm_buffer pairs = {.data = out, .size = sizeof(out)};
	uint64_t n = 0;

	if (hidden_before)
		hide_all(map, kind);
	for (uint64_t key = 2 * NKEYS; key < 3 * NKEYS; key++)
		fill(map, key);
	sm_check(sm_snapshot_open(map, &snapshot) == SM_FOUND, "a snapshot");
	if (!hidden_before)
		hide_all(map, kind);
	for (uint64_t key = 2 * NKEYS; key < 3 * NKEYS; key++)
		invalidate(map, key, 300);
	/* some are looked at by an invalidation again, or are replaced, or go */
	for (uint64_t key = 0; key < 3 * NKEYS; key += 3)
		invalidate(map, key, 300);
	for (uint64_t key = 1; key < 3 * NKEYS; key += 3)
		fill(map, key);
	sm_reclaim(map, 0);
	sm_host_set_clock(1050);
	for (uint32_t shard = 0; shard < 4; shard++)
		sm_maintain(map, shard);
	while (sm_snapshot_range(map, &snapshot, &pairs) == SM_FOUND)
		;
	for (uint32_t shard = 0; shard < 4; shard++)
	{
		sm_changes changes = {0};
		sm_status status;

		while ((status = sm_snapshot_changes(map, &snapshot, shard, &changes,
											 &pairs)) == SM_FOUND)
		{
			sm_bytes key;
			sm_bytes value;
			int64_t expires;

			for (size_t at = 0; at < pairs.len;)
			{
				uint64_t number;

				at = sm_pair_read(&pairs, at, &key, &value, &expires);
				memcpy(&number, key.data, sizeof(number));
				sm_check(expires > 0, "C1: a snapshot has what is hidden");
				if (value.len == SM_NO_VALUE)
					continue;
				sm_check(number >= 2 * NKEYS && value.len == value_of(number).len &&
							 memcmp(value.data, room, value.len) == 0,
						 "C1: a snapshot has key %lu", (unsigned long) number);
				n++;
			}
		}
		sm_check(status == SM_ABSENT, "status %d of changes", status);
	}
	sm_check(n == NKEYS, "a snapshot has %lu keys", (unsigned long) n);
	sm_snapshot_close(map, &snapshot);
}

/* What is hidden may be evicted, and is not what makes a key come back. */
static void
test_evicted(sm_map *map, int kind)
{
	sm_map_set_ordered(map, true);
	hide_all(map, kind);
	for (uint64_t key = NKEYS; key < NKEYS + 50; key++)
		fill(map, key);
	sm_map_configure(map, 0, true);
	sm_evict(map, UINT64_MAX);
	sm_check(sm_map_entries(map) == 0 && sm_count(map) == 0, "M5: something is left");
	check_absent(map, 0, "when all was evicted");
}

/* ---- threads ---- */

#define HOT 8

static sm_map shared;
static _Atomic bool stop;

/* A value says its key and a number that grows, all over. */
static void *
write_hot(void *arg)
{
	sm_map map = shared;
	sm_rng rng = sm_rng_seed((uint64_t) (uintptr_t) arg);
	uint64_t version = 0;
	uint64_t value[30];

	while (!stop)
	{
		uint64_t key = sm_rng_below(&rng, HOT);

		switch (sm_rng_below(&rng, 4))
		{
			case 0:
				invalidate(&map, key, WATCHED);
				break;
			case 1:
				sm_fill_nothing(&map, key_of(&key), 1 << 30, yes, NULL);
				break;
			default:
				version++;
				for (int i = 0; i < 30; i++)
					value[i] = version * HOT + key;
				sm_fill(&map, key_of(&key),
						(sm_bytes) {value, 8 + sm_rng_below(&rng, 30) * 8}, SM_NEVER,
						yes, NULL);
		}
	}
	return NULL;
}

static void *
read_hot(void *arg)
{
	sm_map map = shared;
	sm_rng rng = sm_rng_seed((uint64_t) (uintptr_t) arg);
	uint64_t *seen = calloc(4, sizeof(uint64_t));
	uint64_t value[64];

	while (!stop)
	{
		uint64_t key = sm_rng_below(&rng, HOT);
		int wanted = (int) sm_rng_below(&rng, 5) - 1;
		sm_buffer buffer = {.data = value, .size = sizeof(value)};
		sm_hidden hidden = SM_SHOWN;
		sm_status status = wanted < 0 ?
			sm_get(&map, key_of(&key), &buffer) :
			sm_get_hidden(&map, key_of(&key), wanted, &buffer, &hidden);

		if (status != SM_FOUND)
			continue;
		seen[hidden]++;
		sm_check(hidden == SM_SHOWN || (wanted > 0 && (hidden & wanted)),
				 "C1: hidden as %d, and wanted was %d", hidden, wanted);
		sm_check((hidden == SM_NEGATIVE) == (buffer.len == 0),
				 "C1: a value of %zu bytes, hidden as %d", buffer.len, hidden);
		for (size_t i = 0; i < buffer.len / 8; i++)
			sm_check(value[i] == value[0] && value[i] % HOT == key, "R1: it is torn");
	}
	return seen;
}

static void
test_threads(uint64_t seed, uint64_t seconds, uint64_t *seen)
{
	uint64_t end = sm_now_ns() + seconds * 1000000000;
	pthread_t threads[4];

	shared = make_map(UINT64_MAX, 4096);
	sm_map_set_stale(&shared, 1 << 30);
	stop = false;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i < 2 ? write_hot : read_hot,
					   (void *) (uintptr_t) (seed * 4 + (uint64_t) i));
	while (sm_now_ns() < end)
	{
		sm_reclaim(&shared, 1);
		for (uint32_t shard = 0; shard < 4; shard++)
			sm_maintain(&shared, shard);
		count_range(&shared);
	}
	stop = true;
	for (int i = 0; i < 4; i++)
	{
		uint64_t *its;

		pthread_join(threads[i], (void **) &its);
		for (int j = 0; its != NULL && j < 3; j++)
			seen[j] += its[j];
		free(its);
	}
	sm_check(sm_count(&shared) == count_range(&shared), "a count of %lu, not %lu",
			 (unsigned long) sm_count(&shared), (unsigned long) count_range(&shared));
	drop_map(&shared);
}

int
main(int argc, char **argv)
{
	static const uint64_t masks[] = {UINT64_MAX, (uint64_t) 0xff << 56};
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	uint64_t seconds = sm_argument(argc, argv, 2, 2);
	uint64_t seen[3] = {0};
	sm_map map;

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char) (i * 7 + i / 256);
	for (int kind = SM_NEGATIVE; kind <= SM_STALE; kind++)
	{
		for (int i = 0; i < 2; i++)
		{
			sm_set_context("hidden as %d, hash %d\n", kind, i);
			map = make_map(masks[i], 4096);
			test_absent(&map, kind);
			drop_map(&map);
			map = make_map(masks[i], 4096);
			test_taken_away(&map, kind);
			drop_map(&map);
			map = make_map(masks[i], 4096);
			test_snapshot(&map, kind, i == 0);
			drop_map(&map);
			map = make_map(masks[i], 4096);
			test_snapshot(&map, kind, i == 1);
			drop_map(&map);
			map = make_map(masks[i], 4096);
			test_evicted(&map, kind);
			drop_map(&map);
		}
		map = make_map(UINT64_MAX, 4096);
		test_room(&map, kind);
		drop_map(&map);
	}
	for (int i = 0; i < 2; i++)
	{
		sm_rng rng = sm_rng_seed(seed + (uint64_t) i);

		sm_set_context("seed %lu, needs\n", (unsigned long) seed + (unsigned long) i);
		map = make_map(masks[i], 4096);
		test_needs(&map, &rng);
		drop_map(&map);
	}
	map = make_map(UINT64_MAX, 4096);
	test_time(&map);
	drop_map(&map);
	sm_set_context("fences\n");
	map = make_map(UINT64_MAX, 4096);
	test_fences(&map);
	drop_map(&map);
	sm_set_context("seed %lu, threads\n", (unsigned long) seed);
	test_threads(seed, seconds, seen);
	printf(
		"seed %lu: 26 cases; threads have seen %lu values, %lu times nothing, and %lu "
		"values before\n",
		(unsigned long) seed, (unsigned long) seen[SM_SHOWN],
		(unsigned long) seen[SM_NEGATIVE], (unsigned long) seen[SM_STALE]);
	return 0;
}
