/*
 * lifecycle.c
 *	  Giving back the memory of maps whose relation is gone.
 *
 * What counts is reconciliation: a map whose relation or database is gone is
 * freed when a new map is made or memory is short.  The rest makes it prompt
 * where that is possible: an object-access hook notes what a transaction drops
 * and callbacks free it at commit; a map of a relation that the transaction
 * itself created is freed when that creation is rolled back.  A transaction
 * that is prepared forgets its notes.
 *
 * Whether an uncommitted change of another session made a relation, or took it
 * away, is told by its lock: both hold AccessExclusiveLock until the end.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "guc.h"
#include "lifecycle.h"
#include "registry.h"

/* What to do with a map at the end of the transaction. */
typedef struct sm_note
{
	slist_node node;
	Oid database;
	Oid relation;			/* InvalidOid: all of the database */
	bool dropped;			/* free it at commit; else at abort */
	SubTransactionId subid; /* the subtransaction that did it */
} sm_note;

/* Notes of this transaction, in TopTransactionContext. */
static slist_head notes = SLIST_STATIC_INIT(notes);

static object_access_hook_type prev_object_access_hook = NULL;

static void
add_note(Oid database, Oid relation, bool dropped, SubTransactionId subid)
{
	sm_note *note = MemoryContextAlloc(TopTransactionContext, sizeof(sm_note));

	note->database = database;
	note->relation = relation;
	note->dropped = dropped;
	note->subid = subid;
	slist_push_head(&notes, &note->node);
}

static void
free_noted(const sm_note *note)
{
	if (OidIsValid(note->relation))
		sm_registry_remove_relation(note->database, note->relation);
	else
		sm_registry_remove_database(note->database);
}

/* Has this transaction dropped the relation, or its database? */
static bool
dropped_by_me(Oid database, Oid relation)
{
	slist_iter iter;

	slist_foreach(iter, &notes)
	{
		sm_note *note = slist_container(sm_note, node, iter.cur);

		if (note->dropped && note->database == database &&
			(note->relation == relation || !OidIsValid(note->relation)))
			return true;
	}
	return false;
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	sm_registration found;

	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);

	if ((access != OAT_DROP && access != OAT_POST_CREATE) || subId != 0 ||
		!sm_pg_loaded())
		return;

	if (classId == RelationRelationId && access == OAT_DROP)
	{
		if (sm_registry_find(MyDatabaseId, objectId, &found))
			add_note(MyDatabaseId, objectId, true, GetCurrentSubTransactionId());
	}
	else if (classId == RelationRelationId)
	{
		/* an entry of a new relation is one of an old relation of that OID */
		sm_registry_remove_relation(MyDatabaseId, objectId);
	}
	else if (classId == DatabaseRelationId && access == OAT_DROP)
		add_note(objectId, InvalidOid, true, GetCurrentSubTransactionId());
}

/* The end of the transaction.  May not throw. */
static void
at_xact_end(XactEvent event, void *arg)
{
	slist_iter iter;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			slist_foreach(iter, &notes)
			{
				sm_note *note = slist_container(sm_note, node, iter.cur);

				if (note->dropped == (event == XACT_EVENT_COMMIT))
					free_noted(note);
			}
			slist_init(&notes);
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			slist_init(&notes);
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			break;
	}
}

/* The end of a subtransaction.  May not throw. */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mySubid,
			   SubTransactionId parentSubid, void *arg)
{
	slist_mutable_iter iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;

	slist_foreach_modify(iter, &notes)
	{
		sm_note *note = slist_container(sm_note, node, iter.cur);

		if (note->subid != mySubid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			note->subid = parentSubid;
		else
		{
			slist_delete_current(&iter);
			if (!note->dropped)
				free_noted(note);
		}
	}
}

/* Installs the hook and the callbacks.  Called once, while we are loaded. */
void
sm_lifecycle_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}

/*
 * A map has been made for a relation that this transaction created, in
 * subtransaction creator: if that is rolled back, the map goes too.
 */
void
sm_lifecycle_created(Oid relation, SubTransactionId creator)
{
	add_note(MyDatabaseId, relation, false, creator);
}

static bool
relation_is_gone(Oid relation)
{
	bool gone;

	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		return false;

	/*
	 * Its creation may be uncommitted yet, or committed and not known here:
	 * with the lock comes the news.
	 */
	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		return false;
	AcceptInvalidationMessages();
	gone = !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation));
	UnlockRelationOid(relation, AccessShareLock);

	return gone;
}

/*
 * Frees all maps whose relation or database is gone, and returns how many.
 * Takes the registry's lock and shards' locks, one at a time.  Must be called
 * in a transaction.
 */
uint32
sm_reconcile(void)
{
	sm_registration *list;
	uint32 length;
	uint32 freed = 0;

	/*
	 * A worker shares the locks of its leader, but not the notes of what the
	 * leader dropped and may roll back.
	 */
	if (IsParallelWorker())
		return 0;

	list = palloc(sm_guc_max_maps * sizeof(sm_registration));
	/* the list first: what is in it has been announced by now */
	length = sm_registry_list(list);
	AcceptInvalidationMessages();
	for (uint32 i = 0; i < length; i++)
	{
		sm_registration *entry = &list[i];

		if (dropped_by_me(entry->database, entry->relation))
			continue;
		if (entry->database == MyDatabaseId ?
				relation_is_gone(entry->relation) :
				!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(entry->database)))
		{
			sm_registry_remove(entry->id);
			freed++;
		}
	}
	pfree(list);

	return freed;
}
