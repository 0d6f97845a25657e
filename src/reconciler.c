/*
 * reconciler.c
 *	  Reconciliation where no session happens to do it.
 *
 * What no hook announces is a drop that a standby replays, and the end of a
 * prepared transaction.  Whether a relation is gone can be asked only in its
 * database, and the maintenance worker is connected to none.  So it starts a
 * short-lived background worker, the reconciler, in one database after the other
 * of those that have maps: in all of them when anything has been replayed since
 * it last began with the first, otherwise in those with a map in doubt.  On a
 * primary, which replays nothing, no process is started but for the latter.
 *
 * Maps of databases that are gone need no reconciler: the maintenance worker
 * sees that by itself.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "lifecycle.h"
#include "reconciler.h"
#include "registry.h"

/* What datconnlimit is in a database whose DROP was interrupted: nobody may connect. */
#define HALF_DROPPED (-2)

/* All of this is the maintenance worker's. */
static BackgroundWorkerHandle *running = NULL; /* the last reconciler started */
static TimestampTz last_visit = 0;
static Oid visited = InvalidOid;   /* the database that it was started in */
static bool all_databases = false; /* all are visited in this round */
static XLogRecPtr round_began_at = InvalidXLogRecPtr; /* of what is replayed */

PGDLLEXPORT void syncmap_reconciler_main(Datum arg);

/* One transaction in one database. */
void
syncmap_reconciler_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* a warning about a collation's version is not to be repeated all the time */
	SetConfigOption("log_min_messages", "error", PGC_SUSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);

	StartTransactionCommand();
	sm_reconcile();
	CommitTransactionCommand();
}

static bool
reconciler_is_running(void)
{
	pid_t pid;

	if (running == NULL)
		return false;
	if (GetBackgroundWorkerPid(running, &pid) != BGWH_STOPPED)
		return true;
	pfree(running);
	running = NULL;
	return false;
}

/* False if there is no free place for another background worker. */
static bool
start_reconciler(Oid database)
{
	BackgroundWorker worker = {0};
	MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
	bool started;

	strlcpy(worker.bgw_name, "syncmap reconciler", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "syncmap reconciler", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "syncmap", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "syncmap_reconciler_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	started = RegisterDynamicBackgroundWorker(&worker, &running);
	MemoryContextSwitchTo(context);

	return started;
}

static bool
can_connect(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool can;

	if (!HeapTupleIsValid(tuple))
		return false;
	can = ((Form_pg_database) GETSTRUCT(tuple))->datconnlimit != HALF_DROPPED;
	ReleaseSysCache(tuple);
	return can;
}

/* The database with the next larger OID that is to be visited in this round. */
static Oid
following(Oid database)
{
	uint32 length;
	sm_registration *list = sm_registry_list(&length);
	Oid next = InvalidOid;

	for (uint32 i = 0; i < length; i++)
	{
		Oid candidate = list[i].database;

		if (candidate > database && (!OidIsValid(next) || candidate < next) &&
			(all_databases || list[i].in_doubt) && can_connect(candidate))
			next = candidate;
	}
	pfree(list);

	return next;
}

/* The database to visit now, InvalidOid: none.  Begins a new round after the last one. */
static Oid
next_database(void)
{
	XLogRecPtr replayed = GetXLogReplayRecPtr(NULL);
	Oid next = following(visited);

	if (!OidIsValid(next))
	{
		all_databases = replayed != round_began_at;
		round_began_at = replayed;
		visited = InvalidOid;
		next = following(InvalidOid);
	}
	return next;
}

/*
 * Frees the maps of databases that are gone, and starts a reconciler where one is
 * needed: one at a time, and one in syncmap.maintenance_interval, however often
 * this is called.  If there is no place for it, another call will try again.
 *
 * To be called outside of a transaction, by the maintenance worker.
 */
void
sm_reconciler_visit(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Oid next;

	if (!TimestampDifferenceExceeds(last_visit, now, sm_guc_maintenance_interval) ||
		reconciler_is_running())
		return;
	last_visit = now;

	StartTransactionCommand();
	sm_reconcile();
	next = next_database();
	CommitTransactionCommand();

	if (OidIsValid(next) && start_reconciler(next))
		visited = next;
}
