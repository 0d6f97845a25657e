/*
 * ddl.c
 *	  What statements about maps are refused, and how.
 *
 * PostgreSQL lets a foreign table have any columns and constraints, and enforces
 * none of the latter.  After CREATE and ALTER a map is looked at, so that what it
 * cannot honour is an error there and then, and not at its first use.  Which relations
 * a statement has created or altered is told by the object-access hook, by OID: a name
 * may lead to another one afterwards, and only those are locked.
 *
 * A map that is to be ordered has its keys in the order of their bytes, so a key column of
 * it whose statement names no collation gets the one with that order, "C".
 */
#include "compat.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "ddl.h"
#include "guc.h"
#include "loader.h"
#include "options.h"
#include "ref.h"
#include "registry.h"
#include "watch.h"

static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access_hook = NULL;

/* ---- CREATE and ALTER ---- */

static _Noreturn void
refuse(Relation rel, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("map \"%s\" cannot have %s", RelationGetRelationName(rel), what),
			 errdetail("It would not hold for what the functions store."),
			 errhint("%s", hint)));
}

/* Raises 0A000 for constraints that nobody would enforce. */
static void
check_constraints(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	TupleConstr *constr = desc->constr;

	if (constr != NULL && constr->num_check > 0)
		refuse(rel, "a CHECK constraint",
			   "Make the value's type a domain with that constraint.");
	if (constr != NULL && SM_HAS_GENERATED(constr))
		refuse(rel, "a generated column", "Use a view of the map.");
}

static bool
type_exists(Oid type)
{
	return SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type));
}

/*
 * Raises 55006 if the map holds something and would have other types from now on.
 * When its type was dropped, with CASCADE, there is no way back.
 */
static void
check_types(Relation rel, const sm_types *types, const sm_registration *entry,
			const sm_map *map)
{
	sm_registration wanted = {0};

	sm_registration_set_types(&wanted, types);
	if (!sm_registration_same_types(entry, &wanted) && sm_map_entries(map) > 0 &&
		type_exists(entry->value_type))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot change the types of map \"%s\" while it holds keys",
						RelationGetRelationName(rel)),
				 errhint("Clear it before, with syncmap.clear or TRUNCATE.")));
}

/* Says so if the number of shards stays what it is, against the map's options. */
static void
notice_shards(Relation rel, const sm_registration *entry, const sm_map *map)
{
	sm_options options;

	sm_options_parse(GetForeignTable(RelationGetRelid(rel))->options, &options);
	if (options.has_shards && entry->shard_bits != options.shard_bits &&
		sm_map_entries(map) > 0)
		ereport(
			NOTICE,
			(errmsg("map \"%s\" keeps its %d shards", RelationGetRelationName(rel),
					1 << entry->shard_bits),
			 errhint(
				 "Clear it and alter the option then, or drop and create the map.")));
}

/* Warns if ranges of an ordered map are going to be sorted all the same. */
static void
warn_collation(Relation rel, const sm_types *types)
{
	const FormData_pg_attribute *key =
		TupleDescAttr(RelationGetDescr(rel), types->key_column - 1);
	const char *type;
	sm_options options;

	sm_options_parse(GetForeignTable(RelationGetRelid(rel))->options, &options);
	if (!options.ordered || sm_is_byte_order(key->attcollation))
		return;
	type = format_type_with_typemod(key->atttypid, key->atttypmod);
	ereport(WARNING,
			(errmsg("the order of map \"%s\" is not that of its keys' collation",
					RelationGetRelationName(rel)),
			 errdetail("A query with bounds on the key, or ordered by it, sorts the "
					   "whole map each time, unless it says COLLATE \"C\"."),
			 key->attinhcount > 0 ?
				 errhint("Declare the column, where it is inherited from, as: %s %s "
						 "COLLATE \"C\"",
						 quote_identifier(NameStr(key->attname)), type) :
				 errhint("Use: ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE %s COLLATE "
						 "\"C\"",
						 quote_qualified_identifier(get_namespace_name(
														RelationGetNamespace(rel)),
													RelationGetRelationName(rel)),
						 quote_identifier(NameStr(key->attname)), type)));
}

/* Says that a key's column has a collation that its statement did not name. */
static void
notice_collation(Relation rel, const sm_types *types)
{
	ereport(NOTICE,
			(errmsg("column \"%s\" of map \"%s\" has the collation \"C\"",
					get_attname(RelationGetRelid(rel), types->key_column, false),
					RelationGetRelationName(rel)),
			 errdetail(
				 "A map that is ordered keeps its keys in the order of their bytes."),
			 errhint("Write COLLATE if it is to be another one.")));
}

/*
 * Raises an error if the map's option loader is no query for it.  A dump is restored
 * without a look, as function bodies are: its tables may be made later.
 */
static void
check_loader(Relation rel, const sm_types *types)
{
	sm_options options;

	if (!check_function_bodies)
		return;
	sm_options_parse(GetForeignTable(RelationGetRelid(rel))->options, &options);
	if (options.loader != NULL)
		sm_loader_check(RelationGetRelid(rel), types, options.loader);
}

/*
 * Has the map emptied at the commit, on standbys, too, if these are told of its keys from then
 * on, or not any more (C5).  Raises 55000 if that is not allowed: a server without the library
 * cannot replay the WAL then.  A map that has the option keeps it, whatever else is altered.
 */
static void
check_logging(Relation rel, bool was_logged)
{
	sm_options options;

	sm_options_parse(GetForeignTable(RelationGetRelid(rel))->options, &options);
	if (options.wal_invalidation == was_logged)
		return;
	if (options.wal_invalidation && !sm_guc_wal_invalidation)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("map \"%s\" cannot have the option \"wal_invalidation\"",
					RelationGetRelationName(rel)),
			 errdetail("syncmap.wal_invalidation is off."),
			 errhint(
				 "It may be set to on in postgresql.conf when every server that replays this one's WAL has syncmap in shared_preload_libraries.")));
	sm_watch_logging_changed(RelationGetRelid(rel), was_logged);
}

/* What a statement that is under way has created or altered so far. */
typedef struct altered_relations
{
	Oid target;		 /* of ALTER TABLE, by its name before that ran */
	List *relids;	 /* of tables of all kinds */
	List *truncated; /* tables, by TRUNCATE */
	List *renamed;	 /* other objects, of ObjectAddress */
	List *optioned;	 /* maps whose options are altered */
	List *logged;	 /* those that had wal_invalidation before */
	MemoryContext context;
	bool options;	/* those of foreign tables, too */
	bool collation; /* that of a column, perhaps */
	bool collated;	/* the key's, which the statement did not name */
} altered_relations;

static altered_relations *altered = NULL; /* NULL: nobody asks */

/* Looks at what a statement has created or altered, if it is a map. */
static void
check_map(Oid relid, const altered_relations *these)
{
	/* the statement has locked it, so this waits for nobody */
	Relation rel = try_relation_open(relid, AccessShareLock);
	sm_types types;
	sm_registration entry;

	if (rel == NULL)
		return;
	/* what a dump has not made ready yet is looked at when it is used */
	if (sm_relation_is_map(relid) && (check_function_bodies || sm_types_fit(rel)))
	{
		sm_types_read(rel, &types);
		check_constraints(rel);
		if ((these->options || these->collation) && check_function_bodies)
			warn_collation(rel, &types);
		if (these->collated)
			notice_collation(rel, &types);
		if (these->options)
		{
			check_loader(rel, &types);
			check_logging(rel, list_member_oid(these->logged, relid));
		}
		if (sm_registry_find(MyDatabaseId, relid, &entry) &&
			entry.rowtype == rel->rd_rel->reltype)
		{
			sm_map map;

			sm_registry_open(&map, &entry);
			check_types(rel, &types, &entry, &map);
			notice_shards(rel, &entry, &map);
		}
	}
	relation_close(rel, NoLock);
}

/* The relation of a constraint that was made just now. */
static Oid
constrained_relation(Oid constraint)
{
	Relation rel = table_open(ConstraintRelationId, AccessShareLock);
	Oid relid = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_constraint_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraint));
	scan = systable_beginscan(rel, ConstraintOidIndexId, true, SnapshotSelf, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		relid = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relid;
}

/* Notes a map whose option is altered; the catalog still shows the one before. */
static void
note_logged(Oid relid)
{
	MemoryContext old;
	sm_options options;

	if (list_member_oid(altered->optioned, relid) || !sm_relation_is_map(relid))
		return;
	sm_options_parse(GetForeignTable(relid)->options, &options);
	old = MemoryContextSwitchTo(altered->context);
	altered->optioned = lappend_oid(altered->optioned, relid);
	if (options.wal_invalidation)
		altered->logged = lappend_oid(altered->logged, relid);
	MemoryContextSwitchTo(old);
}

/* Notes an object that may have another name now, which a watch may have in its key. */
static void
note_renamed(Oid classId, Oid objectId)
{
	MemoryContext old = MemoryContextSwitchTo(altered->context);
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, classId, objectId);
	altered->renamed = lappend(altered->renamed, address);
	MemoryContextSwitchTo(old);
}

static void
object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	MemoryContext old;

	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);
	/* privileges have not been checked yet: it counts when the statement is through */
	if (altered != NULL && access == OAT_TRUNCATE)
	{
		old = MemoryContextSwitchTo(altered->context);
		altered->truncated = lappend_oid(altered->truncated, objectId);
		MemoryContextSwitchTo(old);
	}
	if (altered == NULL ||
		(access != OAT_POST_CREATE && access != OAT_POST_ALTER &&
		 !(access == OAT_DROP && subId != 0)))
		return;
	if (classId == ConstraintRelationId && access == OAT_POST_CREATE)
		objectId = constrained_relation(objectId);
	else if (classId != RelationRelationId && classId != ForeignTableRelationId)
	{
		if (access == OAT_POST_ALTER)
			note_renamed(classId, objectId);
		return;
	}
	if (classId == ForeignTableRelationId && access == OAT_POST_ALTER)
		note_logged(objectId);
	old = MemoryContextSwitchTo(altered->context);
	altered->relids = list_append_unique_oid(altered->relids, objectId);
	MemoryContextSwitchTo(old);
}

/* Looks at all maps among these. */
static void
check_maps(const altered_relations *these)
{
	ListCell *cell;

	foreach (cell, these->relids)
	{
		Oid relid = lfirst_oid(cell);

		CommandCounterIncrement();
		if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
			check_map(relid, these);
		sm_watch_check_relation(relid);
	}
}

/* Raises 0A000 if a watch does not find by name any more what was renamed. */
static void
check_renamed(List *renamed)
{
	ListCell *cell;

	if (renamed != NIL)
		CommandCounterIncrement();
	foreach (cell, renamed)
	{
		const ObjectAddress *address = lfirst(cell);

		sm_watch_check_object(address->classId, address->objectId);
	}
}

/* May a statement create or alter a map, or rename what is watched?  Notes what of it. */
static bool
may_alter_map(Node *statement, altered_relations *these)
{
	ListCell *cell;

	these->options = IsA(statement, CreateForeignTableStmt);
	switch (nodeTag(statement))
	{
		case T_CreateForeignTableStmt:
			return true;
		case T_AlterTableStmt:
			foreach (cell, ((AlterTableStmt *) statement)->cmds)
			{
				switch (lfirst_node(AlterTableCmd, cell)->subtype)
				{
					case AT_GenericOptions:
					case AT_AlterColumnGenericOptions:
						these->options = true;
						break;
					case AT_AddColumn:
					case AT_AlterColumnType:
						these->collation = true;
						break;
					default:
						break;
				}
			}
			return true;
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
		case T_TruncateStmt:
			return true;
		default:
			return false;
	}
}

/*
 * The table that ALTER TABLE is about, which it has not locked yet; InvalidOid if that does
 * nothing to what its rows are.
 */
static Oid
altered_table(const AlterTableStmt *statement)
{
	Oid relid = RangeVarGetRelid(statement->relation, NoLock, true);
	ListCell *cell;
	bool rows = false;

	if (!OidIsValid(relid))
		return InvalidOid;
	foreach (cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_DetachPartition &&
			((const PartitionCmd *) command->def)->concurrent)
			sm_watch_check_detach(relid);
		rows |=
			command->subtype < AT_EnableTrig || command->subtype > AT_DisableTrigUser;
	}
	return rows ? relid : InvalidOid;
}

/* Raises 0A000 for CREATE OR REPLACE TRIGGER of one that a watch has. */
static void
check_replacement(const CreateTrigStmt *statement)
{
	Oid relid = RangeVarGetRelid(statement->relation, NoLock, true);

	if (OidIsValid(relid))
		sm_watch_check_replacement(relid, statement->trigname);
}

/* ---- the collation of keys ---- */

/* Finds a flag among options.  False if it is not there, or is none. */
static bool
find_flag(const List *options, const char *name, bool *flag)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option->arg != NULL && parse_bool(defGetString(option), flag);
	}
	return false;
}

/*
 * The key among the columns of a map that is to be made, as sm_types_read will find it, or
 * NULL: columns that come from another table keep the collation that they have there.
 */
static ColumnDef *
key_definition(const CreateForeignTableStmt *statement)
{
	ColumnDef *named = NULL;
	ColumnDef *first = NULL;
	ListCell *cell;

	if (statement->base.inhRelations != NIL || statement->base.tableElts == NIL)
		return NULL;
	foreach (cell, statement->base.tableElts)
	{
		ColumnDef *column = lfirst(cell);
		bool flag = false;

		if (IsA(column, TableLikeClause))
			return NULL;
		if (!IsA(column, ColumnDef))
			continue;
		if (find_flag(column->fdwoptions, "key", &flag))
		{
			if (flag)
				return column;
			continue;
		}
		if (strcmp(column->colname, "key") == 0)
			named = column;
		if (first == NULL)
			first = column;
	}
	return named != NULL ? named : first;
}

/*
 * Is it an ordered map's key whose statement names no collation, in a database of which the
 * collation has not the order of bytes?  One of another map has nothing to gain from "C".
 */
static bool
wants_collation(const CreateForeignTableStmt *statement, const ColumnDef *key)
{
	ForeignServer *server;
	bool ordered;

	if (key == NULL || key->collClause != NULL || key->typeName == NULL ||
		!find_flag(statement->options, "ordered", &ordered) || !ordered)
		return false;
	server = GetForeignServerByName(statement->servername, true);
	return server != NULL && sm_server_has_maps(server) &&
		sm_is_string_key(LookupTypeNameOid(NULL, key->typeName, true)) &&
		!sm_is_byte_order(DEFAULT_COLLATION_OID);
}

/*
 * A statement; one that makes an ordered map and names no collation for its key with "C", in
 * a copy: it may be kept, and run again elsewhere.  What a dump makes is what it was: there no
 * collation is written where it was the database's, which a table that the map is to be a
 * part of may have, too.
 */
static PlannedStmt *
with_collation(PlannedStmt *pstmt, bool *collated)
{
	CreateForeignTableStmt *statement = (CreateForeignTableStmt *) pstmt->utilityStmt;
	CollateClause *clause;

	if (!IsA(statement, CreateForeignTableStmt) || !check_function_bodies)
		return pstmt;
	*collated = wants_collation(statement, key_definition(statement));
	if (!*collated)
		return pstmt;
	pstmt = copyObject(pstmt);
	statement = (CreateForeignTableStmt *) pstmt->utilityStmt;
	clause = makeNode(CollateClause);
	clause->collname = list_make2(makeString("pg_catalog"), makeString("C"));
	clause->location = -1;
	key_definition(statement)->collClause = clause;
	return pstmt;
}

static void
run_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context, params,
							 queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params,
								queryEnv, dest, qc);
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	altered_relations mine = {.context = CurrentMemoryContext};
	altered_relations *outer = altered;
	ListCell *cell;

	if (IsA(pstmt->utilityStmt, CreateTrigStmt) && sm_pg_loaded() &&
		((const CreateTrigStmt *) pstmt->utilityStmt)->replace)
		check_replacement((const CreateTrigStmt *) pstmt->utilityStmt);

	/*
	 * pg_upgrade makes columns that were dropped, and drops them.  What is a part of a
	 * statement that is noted already is looked at with the whole of it: CREATE FOREIGN TABLE
	 * gives the columns their options one after the other.
	 */
	if (!may_alter_map(pstmt->utilityStmt, &mine) || !sm_pg_loaded() ||
		IsBinaryUpgrade || (context == PROCESS_UTILITY_SUBCOMMAND && outer != NULL))
	{
		run_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest,
					qc);
		return;
	}
	if (IsA(pstmt->utilityStmt, AlterTableStmt))
		mine.target = altered_table((AlterTableStmt *) pstmt->utilityStmt);
	altered = &mine;
	PG_TRY();
	{
		run_utility(with_collation(pstmt, &mine.collated), queryString, readOnlyTree,
					context, params, queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		altered = outer;
	}
	PG_END_TRY();
	foreach (cell, mine.truncated)
		sm_watch_source_changed(lfirst_oid(cell));
	if (OidIsValid(mine.target) && get_rel_relkind(mine.target) != '\0')
		sm_watch_source_changed(mine.target);
	check_maps(&mine);
	check_renamed(mine.renamed);
}

/* Installs the hooks.  Called once, while we are loaded. */
void
sm_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
