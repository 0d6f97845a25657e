/*
 * watch.c
 *	  Declaring which tables invalidate a map's keys, and keeping that true.
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
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "fixed.h"
#include "noted.h"
#include "options.h"
#include "ref.h"
#include "watch.h"

SM_FUNCTION(syncmap_watch);
SM_FUNCTION(syncmap_unwatch);

static object_access_hook_type prev_object_access_hook = NULL;

/* ---- the key's expression ---- */

static _Noreturn void
not_an_expression(const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("\"%s\" is not an expression over a row", key)));
	pg_unreachable();
}

/* Parses SELECT expression, of which nothing but an expression may come. */
static Node *
parse_expression(const char *key)
{
	List *trees = raw_parser(key, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select;
	ResTarget *target;

	if (list_length(trees) != 1)
		not_an_expression(key);
	select = (SelectStmt *) linitial_node(RawStmt, trees)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitOffset != NULL || select->limitCount != NULL ||
		select->lockingClause != NIL || select->withClause != NULL ||
		select->op != SETOP_NONE)
		not_an_expression(key);
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL ||
		(IsA(target->val, ColumnRef) &&
		 IsA(llast(((ColumnRef *) target->val)->fields), A_Star)))
		not_an_expression(key);
	return target->val;
}

static Node *
transform_key(Relation source, const char *key)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, false,
									  true);

	addNSItemToQuery(pstate, item, false, true, true);
	return transformExpr(pstate, parse_expression(key), EXPR_KIND_TRIGGER_WHEN);
}

static bool
has_system_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		return true;
	return expression_tree_walker(node, has_system_column, context);
}

/* Does an expression use a column that is computed when it is read? */
static bool
has_virtual_column(Node *node, void *desc)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno > 0 &&
		SM_IS_VIRTUAL(TupleDescAttr((TupleDesc) desc, ((Var *) node)->varattno - 1)))
		return true;
	return expression_tree_walker(node, has_virtual_column, desc);
}

/*
 * A transformed key as one of a map's type, of which it is an assignment.  Raises 42804
 * there is none; 42P17 its value may differ from time to time; 0A000 it is not of columns.
 */
static Node *
finish_key(Node *key, Oid type)
{
	ParseState *pstate = make_parsestate(NULL);
	Oid from = exprType(key);
	Node *result = coerce_to_target_type(pstate, key, from, type, -1,
										 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

	if (result == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg(
				 "the key's expression is of type %s, but the map's keys are of type %s",
				 format_type_be(from), format_type_be(type)),
			 errhint("Cast it, in the expression.")));
	assign_expr_collations(pstate, result);
	if (has_system_column(result, NULL))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "the key's expression cannot use system columns, or the row as a whole")));
	if (contain_mutable_functions(result))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in the key's expression must be marked IMMUTABLE")));
	return result;
}

/*
 * Does an expression use an object that the trigger does not depend on?  Its text may have
 * come to mean another one, which somebody has made since.
 */
static bool
has_stranger(Node *node, void *trigger)
{
	Oid class = ProcedureRelationId;
	Oid object = InvalidOid;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			object = ((FuncExpr *) node)->funcid;
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			class = OperatorRelationId;
			object = ((OpExpr *) node)->opno;
			break;
		case T_ScalarArrayOpExpr:
			class = OperatorRelationId;
			object = ((ScalarArrayOpExpr *) node)->opno;
			break;
		case T_CoerceViaIO:
			class = TypeRelationId;
			object = ((CoerceViaIO *) node)->resulttype;
			break;
		case T_Const:
			class = TypeRelationId;
			object = ((Const *) node)->consttype;
			break;
		default:
			break;
	}
	if (object >= FirstNormalObjectId &&
		!sm_watch_uses(*(const Oid *) trigger, class, object))
		return true;
	return expression_tree_walker(node, has_stranger, trigger);
}

/*
 * The key that the trigger of a watch says, as an expression whose Vars are source's
 * columns.  Names in it are qualified, and looked up with the rights of source's owner.
 * trigger is InvalidOid if it is not known yet what it depends on.
 *
 * Errors: what the parser raises, and 42804, 42P17, 0A000; 55000 it means something else
 * than when it was declared.
 */
Node *
sm_watch_key(Relation source, const char *key, Oid type, Oid trigger)
{
	Node *result;
	Oid userid;
	int context;
	int level;

	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(source->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
	level = sm_fixed_begin();
	result = finish_key(transform_key(source, key), type);
	sm_fixed_end(level);
	SetUserIdAndSecContext(userid, context);
	if (has_virtual_column(result, RelationGetDescr(source)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the key's expression cannot use virtual generated columns"),
				 errhint("Write what they are generated from.")));
	if (OidIsValid(trigger) && has_stranger(result, &trigger))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "the key \"%s\" of a watch of table \"%s\" means something else by now",
				 key, RelationGetRelationName(source)),
			 errhint("Use syncmap.unwatch, and syncmap.watch afterwards.")));
	return result;
}

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

static Oid
key_type(Oid map)
{
	Relation rel = table_open(map, AccessShareLock);
	sm_types types;

	sm_types_read(rel, &types);
	table_close(rel, NoLock);
	return types.key_type;
}

/* Has a map emptied at the commit, and everybody look anew whether it is watched. */
static void
take_whole(Oid map)
{
	if (!OidIsValid(map) || get_rel_relkind(map) == '\0')
		return;
	LockRelationOid(map, AccessShareLock);
	CacheInvalidateRelcacheByRelid(map);
	sm_note_map(map);
}

/* A trigger has been made: is it one of a watch, and good for it? */
static void
at_creation(Oid trigger)
{
	ObjectAddress myself = {TriggerRelationId, trigger, 0};
	ObjectAddress referenced = {RelationRelationId, InvalidOid, 0};
	sm_watch watch;
	Relation source;

	if (!sm_watch_read(trigger, SnapshotSelf, &watch))
		return;
	check_events(&watch);
	source = table_open(watch.source, AccessShareLock);
	check_source(source);
	referenced.objectId = check_map(&watch);
	recordDependencyOn(&myself, &referenced, DEPENDENCY_AUTO);
	if (watch.key != NULL)
		recordDependencyOnSingleRelExpr(&myself,
										sm_watch_key(source, watch.key,
													 key_type(referenced.objectId),
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

/* The keys that were noted before may not be those that are noted from now on. */
static void
at_function_change(Oid function)
{
	take_each(sm_watches_using(ProcedureRelationId, function));
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
		(void) sm_watch_key(source, watch->key, key_type(watch->map), watch->trigger);
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

/* ---- watch and unwatch ---- */

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
run(const char *command)
{
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", command);
}

/*
 * A name that no trigger of the table has.  It comes before most others, in whose order
 * triggers fire: what the others look at has been noted by then.
 */
static char *
choose_name(Oid source, Oid map, const char *suffix)
{
	for (int n = 0;; n++)
	{
		char *label = n == 0 ? pstrdup(suffix) : psprintf("%s_%d", suffix, n);
		char *name = makeObjectName("_watch", get_rel_name(map), label);

		if (!OidIsValid(get_trigger_oid(source, name, true)))
			return name;
	}
}

static void
make_trigger(Oid source, Oid map, const char *suffix, const char *when, const char *key)
{
	char *name = pstrdup(quote_identifier(choose_name(source, map, suffix)));
	StringInfoData command;

	initStringInfo(&command);
	appendStringInfo(
		&command, "CREATE TRIGGER %s AFTER %s EXECUTE FUNCTION syncmap.invalidate(%s",
		name, psprintf(when, qualified_name(source)),
		quote_literal_cstr(qualified_name(map)));
	if (key != NULL)
		appendStringInfo(&command, ", %s", quote_literal_cstr(key));
	appendStringInfoChar(&command, ')');
	run(command.data);
	run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", qualified_name(source),
				 name));
}

/* A key's expression with all names in it qualified. */
static char *
qualify_key(Oid source, const char *key, Oid type)
{
	Relation rel = table_open(source, NoLock);
	Node *expr = transform_key(rel, key);
	char *result;
	int level;

	(void) finish_key(copyObject(expr), type);
	level = sm_fixed_begin();
	result =
		deparse_expression(expr,
						   deparse_context_for(RelationGetRelationName(rel), source),
						   false, false);
	sm_fixed_end(level);
	table_close(rel, NoLock);
	return result;
}

static bool
same_key(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Raises 42P01, 42501. */
static void
check_owner(Oid relid)
{
	char relkind = get_rel_relkind(relid);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!sm_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind),
					   get_rel_name(relid));
}

static void
check_owners(Oid map, Oid source)
{
	if (!sm_relation_is_map(map))
		sm_not_a_map(map);
	check_owner(map);
	check_owner(source);
}

/* Raises 42710. */
static void
check_new(Oid source, Oid map, const char *key)
{
	ListCell *cell;

	foreach (cell, sm_watches_of_source(source))
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->map == map && watch->type != TRIGGER_TYPE_TRUNCATE &&
			same_key(watch->key, key))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("map \"%s\" has that watch of table \"%s\" already",
							get_rel_name(map), get_rel_name(source))));
	}
}

/*
 * watch(map, source, key): from now on a change of a row of the table source invalidates
 * what the map has for its key, an expression over the row; or all of it if key is NULL.
 * To be called by the owner of both.
 *
 * Locks the table, ShareRowExclusive, and then the map, AccessExclusive, as CREATE
 * TRIGGER and ALTER do.
 *
 * Errors: 42501, 42809, 42804, 42P17, 0A000, 42710; those of the parser.
 */
Datum
syncmap_watch(PG_FUNCTION_ARGS)
{
	Oid map;
	Oid source;
	char *key = NULL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("arguments \"map\" and \"source\" must not be null")));
	map = PG_GETARG_OID(0);
	source = PG_GETARG_OID(1);
	sm_require_loaded();
	/* nothing is locked for somebody who has no right to it; again, with the locks */
	check_owners(map, source);
	LockRelationOid(source, ShareRowExclusiveLock);
	LockRelationOid(map, AccessExclusiveLock);
	check_owners(map, source);
	if (!PG_ARGISNULL(2))
		key = qualify_key(source, text_to_cstring(PG_GETARG_TEXT_PP(2)), key_type(map));
	check_new(source, map, key);
	SPI_connect();
	make_trigger(source, map, "rows", "INSERT OR DELETE OR UPDATE ON %s FOR EACH ROW",
				 key);
	make_trigger(source, map, "truncate", "TRUNCATE ON %s FOR EACH STATEMENT", NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * unwatch(map, source) returns boolean: was there any?  Removes all watches of the table
 * for the map.  To be called by the owner of the table.
 */
Datum
syncmap_unwatch(PG_FUNCTION_ARGS)
{
	Oid map = PG_GETARG_OID(0);
	Oid source = PG_GETARG_OID(1);
	bool found = false;
	ListCell *cell;

	check_owner(source);
	LockRelationOid(source, AccessExclusiveLock);
	SPI_connect();
	foreach (cell, sm_watches_of_source(source))
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->map != map || watch->is_clone)
			continue;
		run(psprintf("DROP TRIGGER %s ON %s", quote_identifier(watch->name),
					 qualified_name(source)));
		found = true;
	}
	SPI_finish();
	PG_RETURN_BOOL(found);
}
