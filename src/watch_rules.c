/*
 * watch_rules.c
 *	  What a watch may be, and what would have it miss a change.
 *
 * A watch is two triggers of the table, ENABLE ALWAYS, whose function notes the keys of
 * changed rows (invalidate.c): one for rows, and one for TRUNCATE.  Their arguments say
 * all, so that a dump has the watch; syncmap.watch is short for CREATE TRIGGER.
 * Whoever makes such a trigger, the object-access hook checks it, has it depend on the
 * map and on what the key's expression uses, and has the map emptied at the commit.
 *
 * What would have a watch miss a change later is refused, or has the whole map emptied at
 * the commit (C7): DISABLE TRIGGER, a table that inherits, names that the triggers'
 * arguments have, are refused; ALTER TABLE, DROP, TRUNCATE, a partition that comes or
 * goes, empty the map.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

#include "noted.h"
#include "options.h"
#include "ref.h"
#include "watch.h"

static object_access_hook_type prev_object_access_hook = NULL;

/* ---- what a trigger of a watch may be ---- */

/* The map that a trigger's argument names, or InvalidOid; not locked. */
static Oid
find_map(const char *name)
{
	List *names = sm_name_list(name);
	Oid schema;

	if (list_length(names) < 2)
		return InvalidOid;
	schema = get_namespace_oid(strVal(list_nth(names, list_length(names) - 2)), true);
	return OidIsValid(schema) ? get_relname_relid(strVal(llast(names)), schema) :
								InvalidOid;
}

static _Noreturn void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", what),
			 errhint("%s", hint)));
	pg_unreachable();
}

/* Raises 42P17 unless a trigger fires for all that a watch is about. */
static void
check_events(const sm_watch *watch)
{
	int16 rows = TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE |
		TRIGGER_TYPE_UPDATE;

	if (watch->map_name == NULL || watch->has_more ||
		(watch->type != rows && watch->type != TRIGGER_TYPE_TRUNCATE))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("trigger \"%s\" is not one of a watch", watch->name),
			 errdetail(
				 "It fires AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW, or AFTER TRUNCATE, with no condition."),
			 errhint("Use syncmap.watch.")));
}

/* Raises 42809, 0A000 for a table whose changes would not all be seen. */
static void
check_source(Relation source)
{
	char relkind = source->rd_rel->relkind;
	const char *name = RelationGetRelationName(source);

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be watched", name),
				 errdetail(
					 "Only changes of tables and partitioned tables are all seen."),
				 relkind == RELKIND_VIEW || relkind == RELKIND_MATVIEW ?
					 errhint("Watch the tables that it is made from.") :
					 0));
	if (source->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		refuse(psprintf("temporary table \"%s\" cannot be watched", name),
			   "Others cannot see it, but they can see what a map holds.");
	if (relkind == RELKIND_RELATION &&
		find_inheritance_children(RelationGetRelid(source), NoLock) != NIL)
		refuse(
			psprintf("table \"%s\" has children, and cannot be watched", name),
			"Triggers do not see the children's changes. Watch each table without children, or use partitions.");
}

/* The map of a trigger that is being made.  Raises 42P01, 42809, 42501, 0A000. */
static Oid
check_map(const sm_watch *watch)
{
	Oid map = find_map(watch->map_name);

	if (!OidIsValid(map))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("map \"%s\" does not exist", watch->map_name),
				 errhint("Qualify its name, or use syncmap.watch.")));
	if (!sm_relation_is_map(map))
		sm_not_a_map(map);
	if (get_rel_persistence(map) == RELPERSISTENCE_TEMP)
		refuse("a temporary map cannot be watched", "Create a map that stays.");
	/* a partition's owner need not own it */
	if (!watch->is_clone && !sm_owns_relation(map))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(map));

	/*
	 * Those who use the map have it locked (ref.h): they finish first.  Whoever comes later
	 * hears of the watch with the lock, and of a partition, too, which he might not know
	 * although his snapshot sees its rows.
	 */
	LockRelationOid(map, AccessExclusiveLock);
	if (find_map(watch->map_name) != map)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("map \"%s\" was dropped or renamed meanwhile",
						watch->map_name)));
	return map;
}

/* Has a map emptied at the commit, and everybody look anew whether it is watched. */
static void
take_whole(Oid map)
{
	if (!OidIsValid(map) || get_rel_relkind(map) == '\0')
		return;
	LockRelationOid(map, AccessShareLock);
	CacheInvalidateRelcacheByRelid(map);
	sm_note_watch(map);
}

/* A trigger has been made: is it one of a watch, and good for it? */
static void
at_creation(Oid trigger)
{
	ObjectAddress myself = {TriggerRelationId, trigger, 0};
	ObjectAddress referenced = {RelationRelationId, InvalidOid, 0};
	sm_watch watch;
	sm_types types;
	Relation source;

	if (!sm_watch_read(trigger, SnapshotSelf, &watch))
		return;
	check_events(&watch);
	source = table_open(watch.source, AccessShareLock);
	check_source(source);
	referenced.objectId = check_map(&watch);
	recordDependencyOn(&myself, &referenced, DEPENDENCY_AUTO);
	types = sm_watch_types(referenced.objectId);
	if (watch.key != NULL)
		recordDependencyOnSingleRelExpr(&myself,
										sm_watch_key(source, watch.key, &types,
													 InvalidOid),
										watch.source, DEPENDENCY_NORMAL,
										DEPENDENCY_NORMAL, false);
	table_close(source, NoLock);
	take_whole(referenced.objectId);
}

/* ---- what is done to it later ---- */

static void
at_trigger_alteration(Oid trigger)
{
	sm_watch watch;

	if (sm_watch_read(trigger, SnapshotSelf, &watch) &&
		watch.enabled != TRIGGER_FIRES_ALWAYS)
		refuse(psprintf("trigger \"%s\" keeps a map up to date, and cannot be disabled",
						watch.name),
			   "Use syncmap.unwatch, and syncmap.watch afterwards; or ENABLE ALWAYS.");
}

static void
at_trigger_drop(Oid trigger)
{
	sm_watch watch;

	if (sm_watch_read(trigger, NULL, &watch))
		take_whole(watch.map);
}

static void
take_each(List *watches)
{
	ListCell *cell;

	foreach (cell, watches)
		take_whole(((sm_watch *) lfirst(cell))->map);
}

/* A table has been altered, or truncated: its rows may be others, without a trigger. */
void
sm_watch_source_changed(Oid relid)
{
	take_each(sm_watches_of_source(relid));
}

/*
 * The keys that were noted before may not be those that are noted from now on.  Whoever has
 * noted some with the function as it was has ended before it is another one, and the others
 * wait until it is: so nothing is stored that they have noted under another key.  (C1)
 */
static void
at_function_change(Oid function)
{
	List *watches = sm_watches_using(ProcedureRelationId, function);
	ListCell *cell;

	foreach (cell, watches)
		LockRelationOid(((sm_watch *) lfirst(cell))->map, AccessExclusiveLock);
	take_each(watches);
}

/* Whether standbys are told of a map's keys has been changed. */
void
sm_watch_logging_changed(Oid map, bool was_logged)
{
	take_whole(map);
	sm_note_logging(map, was_logged);
}

/* A loader that may be another one from the commit on. */
static void
at_options_change(Oid relid)
{
	sm_options options;

	if (!sm_relation_is_map(relid))
		return;
	sm_options_parse(GetForeignTable(relid)->options, &options);
	if (options.loader != NULL)
		take_whole(relid);
}

/* Whose rows a policy shows or hides, also one that is made, or dropped, just now. */
static Oid
table_of_policy(Oid policy)
{
	Relation rel = table_open(PolicyRelationId, AccessShareLock);
	Oid relid = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_policy_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(policy));
	scan = systable_beginscan(rel, PolicyOidIndexId, true, SnapshotSelf, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		relid = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relid;
}

/* Raises 0A000 for CREATE OR REPLACE TRIGGER of one that a watch has. */
void
sm_watch_check_replacement(Oid relid, const char *name)
{
	Oid trigger = get_trigger_oid(relid, name, true);
	sm_watch watch;

	if (OidIsValid(trigger) && sm_watch_read(trigger, NULL, &watch))
		refuse(psprintf("trigger \"%s\" keeps a map up to date, and cannot be replaced",
						watch.name),
			   "Use syncmap.unwatch, and syncmap.watch afterwards.");
}

/* Raises 0A000 for DETACH PARTITION ... CONCURRENTLY of a watched table: it is not one moment. */
void
sm_watch_check_detach(Oid relid)
{
	if (sm_watches_of_source(relid) != NIL)
		refuse(
			psprintf(
				"table \"%s\" is watched: its partitions cannot be detached concurrently",
				get_rel_name(relid)),
			"Leave CONCURRENTLY out.");
}

static void
at_inheritance(Oid parent)
{
	if (get_rel_relkind(parent) == RELKIND_RELATION &&
		sm_watches_of_source(parent) != NIL)
		refuse(
			psprintf("table \"%s\" is watched, and cannot have children",
					 get_rel_name(parent)),
			"Triggers do not see the children's changes. Use syncmap.unwatch before.");
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);
	if (!sm_pg_loaded() || IsBootstrapProcessingMode())
		return;
	if (classId == TriggerRelationId)
	{
		if (access == OAT_POST_CREATE)
			at_creation(objectId);
		else if (access == OAT_POST_ALTER)
			at_trigger_alteration(objectId);
		else if (access == OAT_DROP)
			at_trigger_drop(objectId);
	}
	else if (classId == RelationRelationId && (access == OAT_POST_ALTER || subId != 0))
		sm_watch_source_changed(objectId);
	else if (classId == PolicyRelationId)
		sm_watch_source_changed(table_of_policy(objectId));
	else if (classId == ForeignTableRelationId && access == OAT_POST_ALTER)
		at_options_change(objectId);
	else if (classId == ProcedureRelationId &&
			 (access == OAT_POST_CREATE || access == OAT_POST_ALTER))
		at_function_change(objectId);
	else if (classId == InheritsRelationId && access == OAT_POST_ALTER && arg != NULL)
		at_inheritance(((ObjectAccessPostAlter *) arg)->auxiliary_id);
}

/* Installs the hook.  Called once, while we are loaded. */
void
sm_watch_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}

/* Raises 0A000 if a watch does not find its map, or its key, by name any more. */
static void
check_names(const sm_watch *watch)
{
	MemoryContext context = CurrentMemoryContext;
	sm_types types;
	Relation source;

	/* made while the library was not loaded: its trigger says so */
	if (watch->map_name == NULL || !OidIsValid(watch->map))
		return;
	if (find_map(watch->map_name) != watch->map)
		refuse(psprintf("the watch of table \"%s\" for map \"%s\" has that name",
						get_rel_name(watch->source), watch->map_name),
			   "Use syncmap.unwatch before, and syncmap.watch afterwards.");
	if (watch->key == NULL)
		return;
	source = table_open(watch->source, AccessShareLock);
	PG_TRY();
	{
		types = sm_watch_types(watch->map);
		(void) sm_watch_key(source, watch->key, &types, watch->trigger);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "the key \"%s\" of the watch of table \"%s\" for map %s does not allow that",
				 watch->key, get_rel_name(watch->source), watch->map_name),
			 errdetail_internal("%s", error->message),
			 errhint("Use syncmap.unwatch before, and syncmap.watch afterwards.")));
	}
	PG_END_TRY();
	table_close(source, NoLock);
}

static void
check_each(List *watches)
{
	ListCell *cell;

	foreach (cell, watches)
		check_names(lfirst(cell));
}

/* After a relation was altered or renamed: do its watches still find what they name? */
void
sm_watch_check_relation(Oid relid)
{
	check_each(sm_watches_of_source(relid));
	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		check_each(sm_watches_of_map(relid));
}

/* The same of those whose key uses an object, or that have something in a schema. */
void
sm_watch_check_object(Oid class, Oid object)
{
	if (class == NamespaceRelationId)
		check_each(sm_watches_in(object));
	else
		check_each(sm_watches_using(class, object));
}
