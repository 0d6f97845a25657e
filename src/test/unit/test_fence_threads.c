/*
 * test_fence_threads.c
 *	  Maps that are watched, and a host with transactions in threads.
 *
 *	  test_fence_threads [seed [seconds]]
 *
 * Transactions change rows, invalidate their keys, and become visible or abort; others
 * fetch, from the map or else from a snapshot of the rows, which they fill in.  A row's
 * value is how many transactions that changed it were visible, so a value tells what it
 * was computed without.  One transaction after the other stays open for long.
 */
#include <pthread.h>
#include <sched.h>

#include "watched.h"

#define WRITERS	 3 /* the first is slow */
#define FETCHERS 2
#define MAX_ROWS 8

typedef struct plan
{
	uint32_t shard_bits;
	int nrows;
	size_t len;
	uint64_t hash_mask;
	bool ordered;
} plan;

static const plan plans[] = {{0, 1, 8, UINT64_MAX, false},
							 {0, 4, 8, 0, false},
							 {1, 8, 8, UINT64_MAX, true},
							 {0, 2, LARGE, UINT64_MAX, false},
							 {2, 8, 3000, UINT64_MAX, false}};
#define NPLANS ((int) (sizeof(plans) / sizeof(plans[0])))

static const plan *now;
static uint64_t seed;
static _Atomic bool stop;
static _Atomic uint64_t commits, hits, fills, refusals, repeated, beside;

/* The host's transactions and rows. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static view current;			   /* who is running, and who comes next */
static uint64_t changes[MAX_ROWS]; /* that are visible: the rows' values */

/* Who is fencing (see sm_ended_fn). */
static _Atomic uint64_t fencing[WRITERS];

static uint64_t
tell_ended(void)
{
	uint64_t below = UINT64_MAX;

	for (int i = 0; i < WRITERS; i++)
	{
		uint64_t id = atomic_load(&fencing[i]);

		if (id != 0 && id < below)
			below = id;
	}
	return below;
}

/* What a transaction sees: others' state and rows, of one moment. */
typedef struct snapshot
{
	view view;
	uint64_t values[MAX_ROWS];
} snapshot;

static uint64_t
begin(void)
{
	uint64_t id;

	pthread_mutex_lock(&mutex);
	id = current.next++;
	current.running[current.nrunning++] = id;
	pthread_mutex_unlock(&mutex);
	return id;
}

/* At this moment its changes become visible, if it has not aborted. */
static void
end(uint64_t id, const bool *changed, bool aborts)
{
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < current.nrunning; i++)
	{
		if (current.running[i] == id)
			current.running[i--] = current.running[--current.nrunning];
	}
	for (int row = 0; row < now->nrows && !aborts; row++)
		changes[row] += changed[row];
	pthread_mutex_unlock(&mutex);
}

static snapshot
take_snapshot(void)
{
	snapshot s;

	pthread_mutex_lock(&mutex);
	s.view = current;
	memcpy(s.values, changes, sizeof(changes));
	pthread_mutex_unlock(&mutex);
	s.view.oldest = s.view.next;
	for (int i = 0; i < s.view.nrunning; i++)
	{
		if (s.view.running[i] < s.view.oldest)
			s.view.oldest = s.view.running[i];
	}
	return s;
}

static uint64_t
visible_now(uint64_t row)
{
	uint64_t n;

	pthread_mutex_lock(&mutex);
	n = changes[row];
	pthread_mutex_unlock(&mutex);
	return n;
}

static sm_map
open_map(void)
{
	sm_map map;

	sm_map_open(&map, &host.engine, 1, 0, now->shard_bits);
	return map;
}

/* Others go first, now and then for long. */
static void
dawdle(sm_rng *rng)
{
	uint64_t n = sm_rng_below(rng, 32);

	if (n == 0)
		usleep((useconds_t) sm_rng_below(rng, 300));
	else if (n < 8)
		sched_yield();
}

static void *
run_writer(void *arg)
{
	int number = (int) (intptr_t) arg;
	sm_rng rng = sm_rng_seed(seed * 100 + (uint64_t) number);
	sm_map map = open_map();

	while (!atomic_load(&stop))
	{
		uint64_t id = begin();
		bool changed[MAX_ROWS] = {false};
		bool aborts = sm_rng_below(&rng, 8) == 0;

		dawdle(&rng);
		if (number == 0)
			usleep((useconds_t) sm_rng_below(&rng, 3000));
		atomic_store(&fencing[number], id);
		for (uint64_t i = sm_rng_below(&rng, 3); i < 3; i++)
			changed[sm_rng_below(&rng, (uint64_t) now->nrows)] = true;
		if (sm_rng_below(&rng, 30) == 0)
			sm_check(sm_invalidate_all(&map, id, tell_ended) == SM_FOUND,
					 "all is invalidated");
		else
		{
			for (uint64_t row = 0; row < (uint64_t) now->nrows; row++)
				sm_check(!changed[row] ||
							 sm_invalidate(&map, key_of(&row), id, tell_ended) <=
								 SM_ABSENT,
						 "a row is invalidated");
		}
		dawdle(&rng);
		end(id, changed, aborts);
		dawdle(&rng);
		atomic_store(&fencing[number], 0);
		atomic_fetch_add(&commits, !aborts);
		if (sm_rng_below(&rng, 4) == 0)
			usleep((useconds_t) sm_rng_below(&rng, 100));
	}
	return NULL;
}

/* The value that the map has for a row, all words of which are the same. */
static bool
get_value(sm_map *map, uint64_t row, char *bytes, uint64_t *value)
{
	sm_buffer buffer = {.data = bytes, .size = now->len};
	sm_status status = sm_get(map, key_of(&row), &buffer);
	uint64_t word;

	if (status == SM_ABSENT)
		return false;
	sm_check(status == SM_FOUND && buffer.len == now->len, "status %d", status);
	memcpy(value, bytes, sizeof(*value));
	for (size_t i = 0; i < now->len; i += sizeof(word))
	{
		memcpy(&word, bytes + i, sizeof(word));
		sm_check(word == *value, "R1: a value of two");
	}
	return true;
}

/* As covers; counts what is stored while one that is older than any fence goes on. */
static bool
covers_counted(void *arg, const sm_fences *fences)
{
	const view *v = arg;
	bool does = covers(arg, fences);

	for (int i = 0; does && i < SM_FENCES; i++)
	{
		if (fences->stripe[0].fence[i] > v->oldest)
		{
			atomic_fetch_add(&beside, 1);
			break;
		}
	}
	return does;
}

static void
fill_value(sm_map *map, uint64_t row, char *bytes, snapshot *s)
{
	sm_status status;

	for (size_t i = 0; i < now->len; i += sizeof(s->values[row]))
		memcpy(bytes + i, &s->values[row], sizeof(s->values[row]));
	status = sm_fill(map, key_of(&row), (sm_bytes) {bytes, now->len}, SM_NEVER,
					 covers_counted, &s->view);
	sm_check(status <= SM_ABSENT || status == SM_REFUSED || status == SM_NO_MEMORY,
			 "status %d of a fill", status);
	if (status <= SM_ABSENT)
		atomic_fetch_add(&fills, 1);
	if (status == SM_REFUSED)
		atomic_fetch_add(&refusals, 1);
}

/* C1: what is returned knows of all that was visible when the call began. */
static void
fetch(sm_map *map, uint64_t row, char *bytes, snapshot *s, sm_rng *rng)
{
	uint64_t before = visible_now(row);
	uint64_t value = 0;

	if (get_value(map, row, bytes, &value))
	{
		sm_check(value >= before,
				 "C1: of row %lu changes 1 to %lu were visible, not %lu",
				 (unsigned long) row, (unsigned long) value, (unsigned long) before);
		sm_check(value <= visible_now(row), "a value from the future");
		atomic_fetch_add(&hits, 1);
		return;
	}
	/* mostly a new snapshot; an old one is not to be stored, and must be refused */
	if (sm_rng_below(rng, 4) != 0)
		*s = take_snapshot();
	dawdle(rng);
	fill_value(map, row, bytes, s);
}

/* C4: a snapshot that covers a key after a hit computes just that value. */
static void
fetch_repeatedly(sm_map *map, uint64_t row, char *bytes, snapshot *s, sm_rng *rng)
{
	uint64_t value = 0;

	dawdle(rng);
	if (!get_value(map, row, bytes, &value))
		return;
	if (sm_covered(map, key_of(&row), covers, &s->view) != SM_FOUND)
		return;
	sm_check(value == s->values[row], "C4: a hit of %lu, and the snapshot computes %lu",
			 (unsigned long) value, (unsigned long) s->values[row]);
	atomic_fetch_add(&repeated, 1);
}

static void *
run_fetcher(void *arg)
{
	sm_rng rng = sm_rng_seed(seed * 1000 + (uint64_t) (intptr_t) arg);
	sm_map map = open_map();
	char *bytes = malloc(now->len);
	snapshot s = take_snapshot();

	while (!atomic_load(&stop))
	{
		uint64_t row = sm_rng_below(&rng, (uint64_t) now->nrows);

		if (sm_rng_below(&rng, 3) == 0)
			fetch_repeatedly(&map, row, bytes, &s, &rng);
		else
			fetch(&map, row, bytes, &s, &rng);
	}
	free(bytes);
	return NULL;
}

/* What nobody else is to notice: clearing, growth, eviction, shortages, snapshots. */
static void *
run_nuisance(void *arg)
{
	sm_rng rng = sm_rng_seed(seed * 10000);
	sm_map map = open_map();
	sm_map unchecked = map;
	char room[200] = {0};
	sm_snapshot open;

	(void) arg;
	unchecked.unchecked = true;
	while (!atomic_load(&stop))
	{
		uint64_t key = MAX_ROWS + sm_rng_below(&rng, 3000);

		switch (sm_rng_below(&rng, 200))
		{
			case 0:
				sm_clear(&map);
				break;
			case 1:
				sm_evict(&map, 3);
				break;
			case 2:
				sm_reclaim(&map, 5);
				break;
			case 3:
				sm_host_fail_after(0);
				sched_yield();
				sm_host_fail_after(-1);
				break;
			case 4:
				sm_check(sm_snapshot_open(&map, &open) == SM_FOUND, "a snapshot");
				usleep(100);
				sm_snapshot_close(&map, &open);
				break;
			case 5:
				sm_maintain(&map, (uint32_t) sm_rng_below(&rng, 1 << now->shard_bits));
				break;
			default:
				if (key % 2)
					sm_put(&unchecked, key_of(&key), (sm_bytes) {room, key % 200},
						   SM_NEVER);
				else
					sm_delete(&map, key_of(&key));
				if (sm_rng_below(&rng, 10) == 0)
					usleep(50);
		}
	}
	return NULL;
}

static void
run_plan(uint64_t ms)
{
	pthread_t threads[WRITERS + FETCHERS + 1];
	struct timespec time = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};
	sm_map map = make_map(now->shard_bits, now->hash_mask);
	char *bytes = malloc(now->len);
	uint64_t value = 0;

	memset(changes, 0, sizeof(changes));
	current = after(WATCHED + 1);
	for (int i = 0; i < WRITERS; i++)
		atomic_store(&fencing[i], 0);
	sm_map_configure(&map, 0, true);
	sm_map_set_ordered(&map, now->ordered);
	sm_map_watch(&map, WATCHED);
	atomic_store(&stop, false);
	for (int i = 0; i < WRITERS + FETCHERS + 1; i++)
		pthread_create(&threads[i], NULL,
					   i < WRITERS				  ? run_writer :
						   i < WRITERS + FETCHERS ? run_fetcher :
													run_nuisance,
					   (void *) (intptr_t) i);
	nanosleep(&time, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS + FETCHERS + 1; i++)
		pthread_join(threads[i], NULL);

	/* C3: nothing is left that is older than an invalidation */
	for (uint64_t row = 0; row < (uint64_t) now->nrows; row++)
		sm_check(!get_value(&map, row, bytes, &value) || value == changes[row],
				 "C3: row %lu: %lu, not %lu", (unsigned long) row,
				 (unsigned long) value, (unsigned long) changes[row]);
	/* and when nobody runs, every fill is stored */
	for (uint64_t row = 0; row < (uint64_t) now->nrows; row++)
	{
		snapshot s = take_snapshot();

		fill_value(&map, row, bytes, &s);
		sm_check(get_value(&map, row, bytes, &value) && value == changes[row],
				 "a fill is refused for ever");
	}
	free(bytes);
	drop_map(&map);
}

int
main(int argc, char **argv)
{
	uint64_t seconds = sm_argument(argc, argv, 2, 2);

	seed = sm_seed(sm_argument(argc, argv, 1, 0));
	alarm((unsigned) seconds * 10 + 120);
	for (int i = 0; i < NPLANS; i++)
	{
		now = &plans[i];
		sm_set_context("transactions, plan %d, seed %lu\n", i, (unsigned long) seed);
		run_plan(seconds * 1000 / NPLANS);
	}
	sm_check(atomic_load(&commits) > 0 && atomic_load(&hits) > 0 &&
				 atomic_load(&fills) > 0 && atomic_load(&refusals) > 0 &&
				 atomic_load(&beside) > 0,
			 "not all of it has happened");
	printf(
		"seed %lu: %lu commits, %lu hits, %lu fills (%lu beside an older one), %lu refused, "
		"%lu as of a snapshot\n",
		(unsigned long) seed, (unsigned long) commits, (unsigned long) hits,
		(unsigned long) fills, (unsigned long) beside, (unsigned long) refusals,
		(unsigned long) repeated);
	return 0;
}
