/*
 * lifecycle.c
 *	  Giving back the memory of maps whose relation is gone.
 *
 * What counts is reconciliation: a map whose relation or database is gone is
 * freed when a new map is made or memory is short.  The rest makes it prompt
 * where that is possible: an object-access hook notes what a transaction drops
 * and callbacks free it at commit; a map of a relation that the transaction
 * itself created is freed when that creation is rolled back.  Options that are
 * altered hold from the commit on in the same way; otherwise, but for the number of
 * shards, from the next use.
 * A transaction that is prepared leaves nothing of its notes but maps in doubt.
 * A standby is told nothing at all.  For these two there is reconciler.c.
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
#include "catalog/pg_foreign_table.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "lifecycle.h"
#include "options.h"
#include "registry.h"

/* What the transaction has done to a relation, and so what its end does. */
typedef enum pending_action
{
	CREATED, /* its map is freed at abort */
	DROPPED, /* its map is freed at commit */
	ALTERED	 /* its map's options hold from the commit on */
} pending_action;

typedef struct sm_note
{
	slist_node node;
	Oid database;
	Oid relation; /* InvalidOid: all of the database */
	pending_action action;
	SubTransactionId subid; /* the subtransaction that did it */
	bool has_options;		/* ALTERED: read before the commit */
	sm_options options;
} sm_note;

/* Notes of this transaction, in TopTransactionContext. */
static slist_head notes = SLIST_STATIC_INIT(notes);

static object_access_hook_type prev_object_access_hook = NULL;

static void
add_note(Oid database, Oid relation, pending_action action, SubTransactionId subid)
{
	sm_note *note = MemoryContextAlloc(TopTransactionContext, sizeof(sm_note));

	note->database = database;
	note->relation = relation;
	note->action = action;
	note->subid = subid;
	note->has_options = false;
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

		if (note->action == DROPPED && note->database == database &&
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

	if ((access != OAT_DROP && access != OAT_POST_CREATE && access != OAT_POST_ALTER) ||
		subId != 0 || !sm_pg_loaded() || sm_registry_additions() == 0)
		return;

	if (classId == RelationRelationId && access == OAT_DROP)
	{
		if (get_rel_relkind(objectId) == RELKIND_FOREIGN_TABLE &&
			sm_registry_find(MyDatabaseId, objectId, &found))
			add_note(MyDatabaseId, objectId, DROPPED, GetCurrentSubTransactionId());
	}
	else if (classId == ForeignTableRelationId && access == OAT_POST_ALTER)
	{
		if (sm_registry_find(MyDatabaseId, objectId, &found))
			add_note(MyDatabaseId, objectId, ALTERED, GetCurrentSubTransactionId());
	}
	else if (classId == RelationRelationId && access == OAT_POST_CREATE)
	{
		/* an entry of a new relation is one of an old relation of that OID */
		sm_registry_remove_relation(MyDatabaseId, objectId);
	}
	else if (classId == DatabaseRelationId && access == OAT_DROP)
		add_note(objectId, InvalidOid, DROPPED, GetCurrentSubTransactionId());
}

/* Before the commit, when catalogs can still be read: what will hold after it. */
static void
read_options(sm_note *note)
{
	if (!SearchSysCacheExists1(FOREIGNTABLEREL, ObjectIdGetDatum(note->relation)))
		return;
	sm_options_parse(GetForeignTable(note->relation)->options, &note->options);
	note->has_options = true;
}

/* An empty map whose number of shards is another one now is made anew at its next use. */
static void
configure_noted(const sm_note *note)
{
	sm_registration found;
	sm_map map;

	if (!note->has_options || !sm_registry_find(note->database, note->relation, &found))
		return;
	sm_registry_open(&map, &found);
	sm_options_apply(&note->options, &map);
	if (found.shard_bits != note->options.shard_bits && sm_count(&map) == 0)
		sm_registry_remove(found.id);
}

/* The end of the transaction.  May not throw, but before the commit. */
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

				if (note->action == (event == XACT_EVENT_COMMIT ? DROPPED : CREATED))
					free_noted(note);
				else if (note->action == ALTERED && event == XACT_EVENT_COMMIT)
					configure_noted(note);
			}
			slist_init(&notes);
			break;
		case XACT_EVENT_PREPARE:
			slist_foreach(iter, &notes)
			{
				sm_note *note = slist_container(sm_note, node, iter.cur);

				if (note->action != ALTERED)
					sm_registry_set_in_doubt(note->database, note->relation, true);
			}
			slist_init(&notes);
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			slist_init(&notes);
			break;
		case XACT_EVENT_PRE_COMMIT:
			slist_foreach(iter, &notes)
			{
				sm_note *note = slist_container(sm_note, node, iter.cur);

				if (note->action == ALTERED)
					read_options(note);
			}
			break;
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
			if (note->action == CREATED)
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
	add_note(MyDatabaseId, relation, CREATED, creator);
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
 * A map in doubt is here to stay if no prepared transaction has its relation
 * locked any more.
 */
static void
settle_doubt(Oid relation)
{
	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		return;
	AcceptInvalidationMessages();
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		sm_registry_set_in_doubt(MyDatabaseId, relation, false);
	UnlockRelationOid(relation, AccessShareLock);
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

	/* the list first: what is in it has been announced by now */
	list = sm_registry_list(&length);
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
		else if (entry->in_doubt && entry->database == MyDatabaseId)
			settle_doubt(entry->relation);
	}
	pfree(list);

	return freed;
}
