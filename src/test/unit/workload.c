/*
 * workload.c
 *	  What readers, writers, and the others do at once to one map: the plans,
 *	  how they begin, and what must hold in the end.
 */
#define _GNU_SOURCE
#include "workload.h"

#include "port.h"

#include <sys/mman.h>

#define MB ((uint64_t) 1 << 20)

/* Arenas are small, so that freed memory is soon in use again. */
const sm_plan sm_plans[] = {
	/* name, keys, permanent, shard bits, hash, arena, longest value, quota,
	 * {writers, readers, rangers, clearers, recreators, clocks, maintainers} */
	{"few_keys", 8, 4, 0, UINT64_MAX, 4 * MB, 300000, 0, {2, 2, 1, 0, 0}},
	{"one_bucket", 64, 32, 0, 0, 2 * MB, 40000, 0, {2, 2, 1, 0, 0}},
	{"many_keys", 100000, 50000, 2, UINT64_MAX, 256 * MB, 20000, 0, {2, 2, 1, 0, 0}},
	{"shortage", 20000, 2000, 1, UINT64_MAX, 6 * MB, 60000, 0, {2, 2, 1, 0, 0}},
	{"clear", 2000, 0, 0, UINT64_MAX, 4 * MB, 20000, 0, {2, 2, 1, 1, 0}},
	{"recreate", 500, 0, 1, UINT64_MAX, 2 * MB, 40000, 0, {2, 2, 1, 0, 1}},
	{"quota", 20000, 0, 1, UINT64_MAX, 16 * MB, 40000, 2 * MB, {2, 2, 1, 0, 0, 1, 1}},
	{"give_way", 300, 0, 0, UINT64_MAX, MB / 2, 20000, MB / 2, {2, 2, 1, 0, 0, 1, 1}},
	{NULL, 0, 0, 0, 0, 0, 0, 0, {0}},
};

const sm_plan *
sm_plan_find(const char *name)
{
	const sm_plan *plan = sm_plans;

	while (plan->name != NULL && strcmp(plan->name, name) != 0)
		plan++;
	sm_check(plan->name != NULL, "no workload is named %s", name);
	return plan;
}

int
sm_plan_actors(const sm_plan *plan)
{
	int n = 0;

	for (int actor = 0; actor < SM_ACTORS; actor++)
		n += plan->actors[actor];
	return n;
}

sm_actor
sm_plan_actor(const sm_plan *plan, int i, int *of_its_kind)
{
	int actor = 0;

	while (i >= plan->actors[actor])
		i -= plan->actors[actor++];
	*of_its_kind = i;
	return (sm_actor) actor;
}

void
sm_work_vary(sm_engine *engine, sm_rng *rng)
{
	static const uint32_t ratios[] = {0, 1, 30, 100};

	engine->promote_ratio = ratios[sm_rng_below(rng, 4)];
	engine->compact_ratio = ratios[sm_rng_below(rng, 4)];
}

static void
open_map(sm_work *work, const sm_engine *engine, sm_map *map)
{
	sm_map_open(map, engine, atomic_load(&work->map_id), 0, work->plan->shard_bits);
}

static void
put_first(sm_work *work, sm_map *map, uint64_t key, sm_bytes value)
{
	char bytes[SM_MAX_KEY];
	sm_bytes k = {bytes, sm_key_make(bytes, key)};
	sm_status status = sm_put(map, k, value, SM_NEVER);

	sm_check(status == SM_ABSENT, "status %d of a first put", status);
	if (key < work->plan->nkeys)
	{
		atomic_store(&work->ledger[key].begun, sm_note(1, false, map->id));
		atomic_store(&work->ledger[key].done, sm_note(1, false, map->id));
	}
}

static void
make_lossy(const sm_plan *plan, sm_map *map)
{
	bool gives_way = plan->quota == plan->arena_size;

	sm_map_configure(map, gives_way ? 0 : plan->quota, true);
	if (gives_way)
		sm_host_give_way(map->id);
}

sm_work *
sm_work_begin(const sm_plan *plan, sm_host *host, uint64_t seed)
{
	sm_work *work = mmap(NULL, sizeof(sm_work) + plan->nkeys * sizeof(sm_ledger),
						 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sm_rng rng = sm_rng_seed(seed);
	char *value = malloc(plan->longest);
	sm_map map;

	sm_check(work != MAP_FAILED, "no memory for the ledger");
	work->plan = plan;
	work->seed = seed;
	work->map_id = 1;
	host->engine.hash_mask = plan->hash_mask;
	open_map(work, &host->engine, &map);
	sm_map_create(&map);
	if (sm_plan_is_lossy(plan))
		make_lossy(plan, &map);
	for (uint32_t key = 0; key < plan->permanent; key++)
	{
		size_t len = sm_value_draw_len(&rng, 1000);

		sm_value_make(value, len, (sm_value) {.key = key, .number = 1, .map = 1});
		put_first(work, &map, key, (sm_bytes) {value, len});
	}
	for (int i = 0; i < SM_SHARED_KEYS && !sm_plan_is_lossy(plan); i++)
		put_first(work, &map, plan->nkeys + (uint64_t) i,
				  (sm_bytes) {&(uint64_t) {0}, sizeof(uint64_t)});
	free(value);
	return work;
}

/* ---- those who take everything away now and then ---- */

static void
wait_a_moment(sm_rng *rng)
{
	struct timespec moment = {0, (long) sm_rng_below(rng, 8000000)};

	nanosleep(&moment, NULL);
}

static void
run_clearer(sm_work *work, const sm_engine *engine, int self)
{
	sm_rng rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);
	sm_map map;

	open_map(work, engine, &map);
	while (!atomic_load(&work->stop))
	{
		uint64_t from;

		wait_a_moment(&rng);
		atomic_store(&work->cleared_to, UINT64_MAX);
		from = sm_now_ns();
		sm_check(sm_clear(&map) == SM_FOUND, "clear failed");
		atomic_store(&work->cleared_from, from);
		atomic_store(&work->cleared_to, sm_now_ns());
		atomic_fetch_add(&work->operations[self], 1);
	}
}

static void
run_recreator(sm_work *work, const sm_engine *engine, int self)
{
	sm_rng rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);

	while (!atomic_load(&work->stop))
	{
		uint64_t id = atomic_load(&work->map_id);
		sm_map map;

		wait_a_moment(&rng);
		open_map(work, engine, &map);
		atomic_store(&work->dropping, id);
		sm_map_destroy(&map);
		atomic_store(&work->dropped, id);
		sm_map_open(&map, engine, id + 1, 0, work->plan->shard_bits);
		sm_map_create(&map);
		atomic_store(&work->map_id, id + 1);
		atomic_fetch_add(&work->operations[self], 1);
	}
}

/* ---- those who let things go ---- */

static void
run_clock(sm_work *work, int self)
{
	sm_rng rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);

	while (!atomic_load(&work->stop))
	{
		struct timespec moment = {0, (long) sm_rng_below(&rng, 50000)};

		sm_host_set_clock(sm_port_now() + 1 + (int64_t) sm_rng_below(&rng, 20));
		nanosleep(&moment, NULL);
		atomic_fetch_add_explicit(&work->operations[self], 1, memory_order_relaxed);
	}
}

static void
run_maintainer(sm_work *work, sm_engine *engine, int self)
{
	sm_rng rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);
	uint32_t nshards = 1U << work->plan->shard_bits;
	sm_shard_stats stats;
	sm_map map;

	open_map(work, engine, &map);
	while (!atomic_load(&work->stop))
	{
		uint32_t shard = (uint32_t) sm_rng_below(&rng, nshards);

		sm_work_vary(engine, &rng);
		sm_maintain(&map, shard);
		if (sm_rng_below(&rng, 8) == 0)
			sm_reclaim(&map, 1 + sm_rng_below(&rng, 10));
		if (sm_rng_below(&rng, 8) == 0)
			sm_evict(&map, 1 + sm_rng_below(&rng, 10));
		sm_check(sm_get_shard_stats(&map, shard, &stats), "the map is gone");
		sm_check(sm_count(&map) <= work->plan->nkeys, "too many keys");
		atomic_fetch_add_explicit(&work->operations[self], 1, memory_order_relaxed);
	}
}

void
sm_work_run(sm_work *work, const sm_engine *engine, int i)
{
	sm_engine own = *engine;
	int of_its_kind;

	switch (sm_plan_actor(work->plan, i, &of_its_kind))
	{
		case SM_WRITER:
			sm_run_writer(work, &own, i, of_its_kind);
			break;
		case SM_READER:
			sm_run_reader(work, &own, i);
			break;
		case SM_RANGER:
			sm_run_ranger(work, &own, i);
			break;
		case SM_CLEARER:
			run_clearer(work, &own, i);
			break;
		case SM_RECREATOR:
			run_recreator(work, &own, i);
			break;
		case SM_CLOCK:
			run_clock(work, i);
			break;
		default:
			run_maintainer(work, &own, i);
	}
}

/* ---- the end ---- */

/* A key's number, or 0 if it is not there. */
static uint64_t
number_of(sm_map *map, uint64_t key, char *room, size_t size)
{
	char bytes[SM_MAX_KEY];
	sm_bytes k = {bytes, sm_key_make(bytes, key)};
	sm_buffer buffer = {.data = room, .size = size};

	if (sm_get(map, k, &buffer) != SM_FOUND)
		return 0;
	return buffer.len == sizeof(uint64_t) ? *(uint64_t *) room :
											sm_value_read(room, buffer.len).number;
}

static void
check_end(sm_work *work, sm_map *map)
{
	const sm_plan *plan = work->plan;
	size_t size = plan->longest + 4096;
	char *room = malloc(size);
	uint64_t count = 0;

	for (uint32_t key = 0; key < plan->nkeys; key++)
	{
		uint64_t done = atomic_load(&work->ledger[key].done);
		uint64_t number = number_of(map, key, room, size);
		bool there = sm_note_map(done) == map->id && !sm_note_deleted(done);

		count += number != 0;
		if ((plan->actors[SM_CLEARER] > 0 || sm_plan_is_lossy(plan)) && number == 0)
			continue;
		sm_check(number == (there ? sm_note_number(done) : 0),
				 "key %u has the value of operation %lu, not of %lu", key,
				 (unsigned long) number, (unsigned long) sm_note_number(done));
	}
	for (int i = 0; i < SM_SHARED_KEYS && !sm_plan_is_lossy(plan); i++)
	{
		uint64_t counter = number_of(map, plan->nkeys + (uint64_t) i, room, size);
		uint64_t token =
			number_of(map, plan->nkeys + SM_SHARED_KEYS + (uint64_t) i, room, size);

		sm_check(counter == work->counted[i] ||
					 plan->actors[SM_CLEARER] + plan->actors[SM_RECREATOR] > 0,
				 "a counter is %lu, not %lu", (unsigned long) counter,
				 (unsigned long) work->counted[i]);
		sm_check(token == work->tokens_in[i] - work->tokens_out[i], "a token is lost");
		count += (token != 0) + (plan->actors[SM_RECREATOR] == 0);
	}
	if (plan->actors[SM_CLEARER] == 0)
		sm_check(sm_count(map) == count, "%lu keys, not %lu",
				 (unsigned long) sm_count(map), (unsigned long) count);
	free(room);
}

/* How many entries were lost in that way. */
static uint64_t
count_lost(const sm_map *map, sm_counter way)
{
	uint64_t lost = 0;

	for (uint32_t shard = 0; shard < 1U << map->shard_bits; shard++)
	{
		sm_shard_stats stats;

		sm_get_shard_stats(map, shard, &stats);
		lost += stats.counts[way];
	}
	return lost;
}

void
sm_work_end(sm_work *work, sm_host *host)
{
	uint32_t npages = (uint32_t) (host->engine.arena.size / SM_PAGE_SIZE) - 1;
	uint64_t operations[SM_ACTORS] = {0};
	uint64_t evictions;
	uint64_t expirations;
	sm_map map;

	open_map(work, &host->engine, &map);
	check_end(work, &map);
	evictions = count_lost(&map, SM_EVICTIONS);
	expirations = count_lost(&map, SM_EXPIRATIONS);
	sm_map_destroy(&map);
	sm_check(sm_host_free_pages() == npages, "%u pages are free, not %u",
			 sm_host_free_pages(), npages);

	for (int i = 0; i < sm_plan_actors(work->plan); i++)
	{
		int of_its_kind;

		operations[sm_plan_actor(work->plan, i, &of_its_kind)] += work->operations[i];
	}
	printf("seed %lu: %lu writes, %lu reads, %lu range calls, %lu clears, %lu maps, "
		   "%lu shortages, %lu evictions, %lu expirations\n",
		   (unsigned long) work->seed, (unsigned long) operations[SM_WRITER],
		   (unsigned long) operations[SM_READER], (unsigned long) operations[SM_RANGER],
		   (unsigned long) operations[SM_CLEARER],
		   (unsigned long) operations[SM_RECREATOR], (unsigned long) work->shortages,
		   (unsigned long) evictions, (unsigned long) expirations);
	munmap(work, sizeof(sm_work) + work->plan->nkeys * sizeof(sm_ledger));
}
