/*
 * worker.c
 *	  The maintenance worker: what no write happened to do.
 *
 * One background worker visits all shards of all maps every
 * syncmap.maintenance_interval, and sooner when a write found memory short.
 * The engine does the work, in pieces short enough for writers that wait for a
 * shard's lock (W5): it promotes new keys, takes out what has expired, compacts,
 * and gives back what is empty.  Then it looks for maps that are gone, see
 * reconciler.c.  Everything works without the worker, too, only
 * that memory is given back later.
 */
#include "compat.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "giving_way.h"
#include "guc.h"
#include "reconciler.h"
#include "registry.h"
#include "worker.h"

/* Seconds after which the postmaster starts a worker again that has ended. */
#define RESTART_SECONDS 5

/* Milliseconds between two runs, however often a write asks for one. */
#define SHORTEST_PAUSE 100

/* Pages that are evicted between two looks at what the worker is asked to do. */
#define PAGES_AT_ONCE 16

typedef struct sm_worker_shared
{
	_Atomic(Latch *) latch; /* the worker's, NULL: there is none */
} sm_worker_shared;

static sm_worker_shared *shared;

PGDLLEXPORT void syncmap_worker_main(Datum arg);

/* Registers the worker.  Called once, while we are loaded. */
void
sm_worker_init(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "syncmap maintenance", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "syncmap maintenance", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "syncmap", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "syncmap_worker_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* Asks for shared memory; runs in shmem_request_hook. */
void
sm_worker_request(void)
{
	RequestAddinShmemSpace(sizeof(sm_worker_shared));
}

/* Makes it, or finds it; runs in shmem_startup_hook. */
void
sm_worker_startup(void)
{
	bool found;

	shared = ShmemInitStruct("syncmap worker", sizeof(sm_worker_shared), &found);
	if (!found)
		atomic_init(&shared->latch, NULL);
}

/* Memory is short: the worker is to run soon.  Latches stay where they are. */
void
sm_worker_wake(void)
{
	Latch *latch = atomic_load_explicit(&shared->latch, memory_order_relaxed);

	if (latch != NULL)
		SetLatch(latch);
}

static void
forget_latch(int code, Datum arg)
{
	atomic_store_explicit(&shared->latch, NULL, memory_order_relaxed);
}

static void
handle_interrupts(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	if (ShutdownRequestPending)
	{
		ereport(DEBUG1, (errmsg_internal("syncmap maintenance worker shutting down")));
		/* not 0, which would be for ever: somebody may have terminated us */
		proc_exit(1);
	}
	CHECK_FOR_INTERRUPTS();
}

/* A quota may have become less than what the map holds. */
static void
evict_over_quota(sm_map *map)
{
	uint64 pages;

	while ((pages = sm_map_pages(map)) > sm_map_quota(map))
	{
		handle_interrupts();
		if (sm_evict(map, Min(pages - sm_map_quota(map), PAGES_AT_ONCE)) == 0)
			return;
	}
}

static void
maintain_all(void)
{
	uint32 length;
	sm_registration *list = sm_registry_list(&length);

	for (uint32 i = 0; i < length; i++)
	{
		sm_map map;

		sm_registry_open(&map, &list[i]);
		for (uint32 shard = 0; shard < (uint32) 1 << map.shard_bits; shard++)
		{
			do
				handle_interrupts();
			while (sm_maintain(&map, shard));
		}
		evict_over_quota(&map);
	}
	pfree(list);
	sm_choose_giving_way();
}

/* Sleeps for so many milliseconds, or until the latch is set if wakes. */
static void
rest(long ms, bool wakes)
{
	WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | (wakes ? WL_LATCH_SET : 0),
			  ms, SM_WAIT_MAINTENANCE);
	if (wakes)
		ResetLatch(MyLatch);
	handle_interrupts();
}

void
syncmap_worker_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	/* to no database: that is what shows us in pg_stat_activity */
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("syncmap maintenance");

	before_shmem_exit(forget_latch, (Datum) 0);
	atomic_store_explicit(&shared->latch, MyLatch, memory_order_relaxed);

	for (;;)
	{
		maintain_all();
		sm_reconciler_visit();
		pgstat_report_activity(STATE_IDLE, NULL);
		rest(SHORTEST_PAUSE, false);
		if (sm_guc_maintenance_interval > SHORTEST_PAUSE)
			rest(sm_guc_maintenance_interval - SHORTEST_PAUSE, true);
	}
}
