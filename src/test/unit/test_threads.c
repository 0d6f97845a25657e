/*
 * test_threads.c
 *	  A workload in threads.
 *
 *	  test_threads workload [seed [seconds]]
 */
#include "workload.h"

#include <pthread.h>

static sm_host host;
static sm_work *work;

static void *
run(void *arg)
{
	sm_work_run(work, &host.engine, (int) (intptr_t) arg);
	return NULL;
}

int
main(int argc, char **argv)
{
	const sm_plan *plan = sm_plan_find(argc > 1 ? argv[1] : "few_keys");
	uint64_t seed = sm_seed(sm_argument(argc, argv, 2, 0));
	uint64_t seconds = sm_argument(argc, argv, 3, 2);
	pthread_t threads[SM_MAX_ACTORS];

	sm_set_context("threads %s, seed %lu\n", plan->name, (unsigned long) seed);
	alarm((unsigned) seconds * 10 + 120);
	sm_host_create(&host, plan->arena_size, 1U << plan->shard_bits, -1, seed);
	work = sm_work_begin(plan, &host, seed);
	for (int i = 0; i < sm_plan_actors(plan); i++)
		pthread_create(&threads[i], NULL, run, (void *) (intptr_t) i);
	sleep((unsigned) seconds);
	atomic_store(&work->stop, true);
	for (int i = 0; i < sm_plan_actors(plan); i++)
		pthread_join(threads[i], NULL);
	sm_work_end(work, &host);
	sm_host_detach(&host);
	return 0;
}
