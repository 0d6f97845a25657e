/*
 * syncmap.c
 *	  Loading the library: settings, hooks, shared memory, the worker.
 *
 * The library does nothing unless shared_preload_libraries names it, since
 * shared memory can only be asked for while the server starts.  (S1)
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "conflict.h"
#include "ddl.h"
#include "ended.h"
#include "guc.h"
#include "lease.h"
#include "lifecycle.h"
#include "noted.h"
#include "port_pg.h"
#include "registry.h"
#include "wal.h"
#include "watch.h"
#include "worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	sm_port_request();
	sm_registry_request();
	sm_ended_request();
	sm_noted_request();
	sm_lease_request();
	sm_worker_request();
}

static void
shmem_startup(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sm_port_startup();
	sm_registry_startup();
	sm_ended_startup();
	sm_noted_startup();
	sm_lease_startup();
	sm_worker_startup();
	LWLockRelease(AddinShmemInitLock);
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	sm_guc_init();
	sm_lifecycle_init();
	sm_ddl_init();
	sm_conflict_init();
	sm_noted_init();
	sm_lease_init();
	sm_wal_init();
	sm_watch_init();
	sm_watch_apply_init();
	sm_worker_init();

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
