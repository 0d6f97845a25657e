/*
 * watch_apply.c
 *	  Partitions that logical replication truncates.
 *
 * TRUNCATE of a partition does not fire its table's trigger.  As a statement it is noticed
 * (ddl.c); the apply worker has none.  It does have the partition locked as nothing
 * else that it does needs, so that is what is looked for, when a transaction of such a
 * worker commits in which the description of any relation has changed.
 */
#include "compat.h"

#include "access/xact.h"
#include "replication/logicalworker.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "port_pg.h"
#include "watch.h"

static bool any_changed = false; /* since the transaction before */

static void
at_relcache_invalidation(Datum arg, Oid relid)
{
	any_changed = true;
}

static bool
is_locked(Oid relid)
{
	Relation rel = RelationIdGetRelation(relid);
	bool locked;

	if (rel == NULL)
		return false;
	locked = CheckRelationLockedByMe(rel, AccessExclusiveLock, false);
	RelationClose(rel);
	return locked;
}

static void
note_truncated(void)
{
	ListCell *cell;

	foreach (cell, sm_all_watches())
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->is_clone && is_locked(watch->source))
			sm_watch_source_changed(watch->source);
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	bool any = any_changed;

	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		return;
	any_changed = false;
	if (any && IsLogicalWorker() && sm_pg_loaded())
		note_truncated();
}

/* Installs the callbacks.  Called once, while we are loaded. */
void
sm_watch_apply_init(void)
{
	CacheRegisterRelcacheCallback(at_relcache_invalidation, (Datum) 0);
	RegisterXactCallback(at_xact_end, NULL);
}
