/*
 * test_snapshots.c
 *	  Snapshots of one map by several owners, one after the other and over and over,
 *	  while writers move what is in it from key to key.
 *
 *	  test_snapshots [seed [seconds]]
 *
 * Each writer has keys of its own and takes 1 from one of them before it gives 1 to
 * another, so at each moment the map holds what it held at first, less 1 at most for
 * each writer.  A snapshot that holds anything else is of more than one moment.
 */
#include <pthread.h>
#include <sched.h>

#include "check.h"
#include "port.h"
#include "port_posix.h"

#define WRITERS	   2
#define MAX_OWNERS 3
#define MAX_KEYS   16
#define FIRST	   6 /* each key's amount */

typedef struct plan
{
	int owners;
	uint32_t shard_bits;
	int nkeys;
	size_t len; /* of a value */
} plan;

static const plan plans[] = {
	{2, 6, 8, 8}, {3, 6, 16, 100}, {2, 6, 8, 20000}, {3, 1, 8, 3000}, {0, 0, 0, 0},
};

static const plan *now;
static sm_host host;
static uint64_t seed;
static _Atomic bool stop;
static _Atomic uint64_t transfers, snapshots, lost, refused;

static sm_map
open_map(void)
{
	sm_map map;

	sm_map_open(&map, &host.engine, 1, 0, now->shard_bits);
	return map;
}

/* All words of a value are the amount: one that is torn shows. */
static void
put(sm_map *map, uint64_t key, uint64_t amount, char *room)
{
	sm_bytes k = {&key, sizeof(key)};
	sm_status status;

	for (size_t i = 0; i < now->len; i += sizeof(amount))
		memcpy(room + i, &amount, sizeof(amount));
	if (amount == 0)
		status = sm_delete(map, k);
	else
		status = sm_put(map, k, (sm_bytes) {room, now->len}, SM_NEVER);
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d of a put", status);
}

static uint64_t
read_amount(const void *bytes, size_t len)
{
	uint64_t amount;
	uint64_t word;

	sm_check(len == now->len, "a value of %zu bytes", len);
	memcpy(&amount, bytes, sizeof(amount));
	for (size_t i = 0; i < len; i += len - i < sizeof(word) ? len - i : sizeof(word))
	{
		memcpy(&word, (const char *) bytes + i, len - i < 8 ? len - i : 8);
		sm_check(memcmp(&word, &amount, len - i < 8 ? len - i : 8) == 0,
				 "a value of two");
	}
	return amount;
}

static void *
run_writer(void *arg)
{
	int self = (int) (intptr_t) arg;
	sm_rng rng = sm_rng_seed(seed * 100 + (uint64_t) self);
	uint64_t amounts[MAX_KEYS];
	char *room = malloc(now->len + 8);
	sm_map map = open_map();
	uint64_t mine = (uint64_t) (now->nkeys / WRITERS);

	for (int i = 0; i < MAX_KEYS; i++)
		amounts[i] = FIRST;
	while (!atomic_load(&stop))
	{
		uint64_t from = sm_rng_below(&rng, mine) * WRITERS + (uint64_t) self;
		uint64_t to = sm_rng_below(&rng, mine) * WRITERS + (uint64_t) self;

		if (from == to || amounts[from] == 0)
			continue;
		put(&map, from, --amounts[from], room);
		put(&map, to, ++amounts[to], room);
		atomic_fetch_add(&transfers, 1);
		/* a snapshot in which nothing has changed is another case than one with much */
		if (sm_rng_below(&rng, 8) == 0)
			usleep((useconds_t) sm_rng_below(&rng, 200));
		/* somebody needs memory: what is kept may be lost */
		if (sm_rng_below(&rng, 400) == 0)
			sm_reclaim(&map, 1);
	}
	free(room);
	return NULL;
}

typedef struct owner
{
	sm_map map;
	sm_rng rng;
	sm_snapshot snapshot;
	sm_buffer buffer;
	uint64_t amounts[MAX_KEYS];
} owner;

static void
take_pairs(owner *o, const sm_buffer *pairs)
{
	sm_bytes k;
	sm_bytes value;
	int64_t expires;

	for (size_t at = 0; at < pairs->len;)
	{
		uint64_t key = UINT64_MAX;

		at = sm_pair_read(pairs, at, &k, &value, &expires);
		sm_check(k.len == sizeof(key) && expires == SM_NEVER, "a foreign key");
		memcpy(&key, k.data, sizeof(key));
		sm_check(key < (uint64_t) now->nkeys, "a foreign key");
		o->amounts[key] =
			value.len == SM_NO_VALUE ? 0 : read_amount(value.data, value.len);
	}
}

static sm_status
take_changes(owner *o, uint32_t shard)
{
	sm_changes changes = {0};
	sm_status status;

	do
	{
		sm_buffer pairs = o->buffer;

		status = sm_snapshot_changes(&o->map, &o->snapshot, shard, &changes, &pairs);
		if (status == SM_FOUND)
			take_pairs(o, &pairs);
	} while (status == SM_FOUND);
	return status;
}

/* Returns SM_ABSENT if all of it has come. */
static sm_status
read_snapshot(owner *o)
{
	uint32_t shard = 0;
	sm_status status;

	memset(o->amounts, 0, sizeof(o->amounts));
	do
	{
		sm_buffer pairs = o->buffer;

		pairs.size = now->len + 64;
		status = sm_snapshot_range(&o->map, &o->snapshot, &pairs);
		if (status == SM_TOO_SMALL)
		{
			pairs.size = o->buffer.size;
			status = sm_snapshot_range(&o->map, &o->snapshot, &pairs);
		}
		if (status == SM_FOUND)
			take_pairs(o, &pairs);
		if (sm_rng_below(&o->rng, 4) == 0)
			sched_yield();
		for (; shard < o->snapshot.cursor.shard; shard++)
		{
			sm_status changes = take_changes(o, shard);

			if (changes != SM_ABSENT)
				return changes;
		}
	} while (status == SM_FOUND);
	return status;
}

/* A snapshot that is not open, or not any more, is nobody's business. */
static void
step_without(owner *o)
{
	sm_changes changes = {0};
	sm_buffer pairs = o->buffer;
	uint32_t shard = (uint32_t) sm_rng_below(&o->rng, 1 << now->shard_bits);

	if (sm_rng_below(&o->rng, 2) == 0)
		sm_snapshot_close(&o->map, &o->snapshot);
	sm_check(sm_snapshot_changes(&o->map, &o->snapshot, shard, &changes, &pairs) ==
				 SM_NO_MEMORY,
			 "changes of a snapshot that is not open");
}

static void *
run_owner(void *arg)
{
	size_t size = (size_t) now->nkeys * (now->len + 64);
	owner o = {.map = open_map(), .buffer = {malloc(size), size, 0}};
	uint64_t all = (uint64_t) now->nkeys * FIRST;

	o.rng = sm_rng_seed(seed * 1000 + (uint64_t) (intptr_t) arg);
	while (!atomic_load(&stop))
	{
		sm_status status = sm_snapshot_open(&o.map, &o.snapshot);
		uint64_t sum = 0;

		if (status == SM_REFUSED)
		{
			atomic_fetch_add(&refused, 1);
			step_without(&o);
			usleep((useconds_t) sm_rng_below(&o.rng, 100));
			continue;
		}
		sm_check(status == SM_FOUND, "status %d of a snapshot", status);
		status = read_snapshot(&o);
		sm_snapshot_close(&o.map, &o.snapshot);
		if (sm_rng_below(&o.rng, 4) == 0)
			step_without(&o);
		sm_check(status == SM_ABSENT || status == SM_NO_MEMORY,
				 "status %d of a snapshot", status);
		if (status == SM_NO_MEMORY)
		{
			atomic_fetch_add(&lost, 1);
			continue;
		}
		for (int i = 0; i < now->nkeys; i++)
			sum += o.amounts[i];
		sm_check(sum <= all && sum + WRITERS >= all,
				 "a snapshot of more than one moment: %lu, not %lu",
				 (unsigned long) sum, (unsigned long) all);
		atomic_fetch_add(&snapshots, 1);
	}
	free(o.buffer.data);
	return NULL;
}

static void
run_plan(uint64_t ms)
{
	pthread_t threads[WRITERS + MAX_OWNERS];
	struct timespec time = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};
	char *room = malloc(now->len + 8);
	uint64_t before = atomic_load(&snapshots);
	uint32_t fresh;
	sm_map map;

	sm_host_create(&host, 64 << 20, 1U << now->shard_bits, -1, seed);
	fresh = sm_host_free_pages();
	map = open_map();
	sm_map_create(&map);
	for (uint64_t key = 0; key < (uint64_t) now->nkeys; key++)
		put(&map, key, FIRST, room);
	atomic_store(&stop, false);
	for (int i = 0; i < WRITERS + now->owners; i++)
		pthread_create(&threads[i], NULL, i < WRITERS ? run_writer : run_owner,
					   (void *) (intptr_t) i);
	nanosleep(&time, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS + now->owners; i++)
		pthread_join(threads[i], NULL);
	sm_check(atomic_load(&snapshots) > before, "no snapshot came to its end");

	sm_map_destroy(&map);
	sm_check(sm_host_free_pages() == fresh, "%u pages are free, not %u",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
	free(room);
}

/* A shortage takes what is kept for a snapshot, and not one for which nothing is. */
static void
test_shortage(void)
{
	char room[64];
	char bytes[4096];
	sm_buffer pairs = {.data = bytes, .size = sizeof(bytes)};
	sm_changes changes = {0};
	sm_snapshot snapshot;
	sm_map map;

	now = &plans[0];
	sm_host_create(&host, 64 << 20, 1U << now->shard_bits, -1, seed);
	map = open_map();
	sm_map_create(&map);
	put(&map, 1, FIRST, room);
	sm_check(sm_snapshot_open(&map, &snapshot) == SM_FOUND, "no snapshot was opened");
	sm_reclaim(&map, UINT64_MAX);
	for (uint32_t shard = 0; shard < 1U << now->shard_bits; shard++)
	{
		changes = (sm_changes) {0};
		sm_check(sm_snapshot_changes(&map, &snapshot, shard, &changes, &pairs) ==
					 SM_ABSENT,
				 "a snapshot for which nothing was kept is lost");
	}
	sm_snapshot_close(&map, &snapshot);

	sm_check(sm_snapshot_open(&map, &snapshot) == SM_FOUND, "no snapshot was opened");
	put(&map, 1, FIRST + 1, room);
	sm_reclaim(&map, UINT64_MAX);
	for (uint32_t shard = 0; shard < 1U << now->shard_bits; shard++)
	{
		sm_status status;

		changes = (sm_changes) {0};
		status = sm_snapshot_changes(&map, &snapshot, shard, &changes, &pairs);
		sm_check(status == SM_ABSENT || status == SM_NO_MEMORY,
				 "what was kept outlives a shortage");
	}
	sm_snapshot_close(&map, &snapshot);
	sm_map_destroy(&map);
	sm_host_detach(&host);
}

int
main(int argc, char **argv)
{
	uint64_t seconds = sm_argument(argc, argv, 2, 2);
	uint64_t nplans = 0;

	seed = sm_seed(sm_argument(argc, argv, 1, 0));
	while (plans[nplans].owners > 0)
		nplans++;
	alarm((unsigned) seconds * 10 + 120);
	test_shortage();
	for (now = plans; now->owners > 0; now++)
	{
		sm_set_context("snapshots by %d, values of %zu bytes, seed %lu\n", now->owners,
					   now->len, (unsigned long) seed);
		run_plan(seconds * 1000 / nplans);
	}
	printf("seed %lu: %lu snapshots, %lu lost, %lu refused, beside %lu transfers\n",
		   (unsigned long) seed, (unsigned long) snapshots, (unsigned long) lost,
		   (unsigned long) refused, (unsigned long) transfers);
	return 0;
}
