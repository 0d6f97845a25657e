/*
 * ddl.c
 *	  What statements about maps are refused, and how.
 *
 * PostgreSQL lets a foreign table have any columns and constraints, and enforces
 * none of the latter.  After CREATE and ALTER a map is looked at, so that what it
 * cannot honour is an error there and then, and not at its first use.
 *
 * ON CONFLICT with a conflict target, which PostgreSQL refuses on a foreign table
 * for the want of an index, is refused with a hint.
 */
#include "compat.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl.h"
#include "options.h"
#include "ref.h"
#include "registry.h"

static ProcessUtility_hook_type prev_process_utility = NULL;
static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;

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
check_constraints(Relation rel, const sm_types *types)
{
	TupleDesc desc = RelationGetDescr(rel);
	TupleConstr *constr = desc->constr;

	if (constr != NULL && constr->num_check > 0)
		refuse(rel, "a CHECK constraint",
			   "Make the value's type a domain with that constraint.");
	if (constr != NULL && SM_HAS_GENERATED(constr))
		refuse(rel, "a generated column", "Use a view of the map.");
	/* keys and values are never null, so these may say it */
	if (types->expires_column != InvalidAttrNumber &&
		TupleDescAttr(desc, types->expires_column - 1)->attnotnull)
		refuse(rel, "NOT NULL on its column \"expires_at\"",
			   "There, null means that the key never expires.");
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
	if ((entry->key_type != types->key_type || entry->value_type != types->value_type ||
		 entry->value_typmod != types->value_typmod) &&
		sm_map_entries(map) > 0 && type_exists(entry->value_type))
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

/* Looks at what has been created or altered, if it is a map. */
static void
check_map(Oid relid)
{
	/* the lock is held, but by CREATE ... IF NOT EXISTS of what exists */
	Relation rel = try_relation_open(relid, AccessShareLock);
	sm_types types;
	sm_registration entry;

	if (rel == NULL)
		return;
	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE && sm_relation_is_map(relid))
	{
		sm_types_read(rel, &types);
		check_constraints(rel, &types);
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

/* The same with all that inherits from it. */
static void
check_maps(Oid relid)
{
	ListCell *cell;

	CommandCounterIncrement();
	foreach (cell, find_all_inheritors(relid, NoLock, NULL))
		check_map(lfirst_oid(cell));
}

/* The relation that a statement creates or alters, if it may be a map. */
static RangeVar *
altered_relation(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateForeignTableStmt:
			return ((CreateForeignTableStmt *) statement)->base.relation;
		case T_AlterTableStmt:
			return ((AlterTableStmt *) statement)->relation;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_COLUMN)
				return ((RenameStmt *) statement)->relation;
			return NULL;
		default:
			return NULL;
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	/* pstmt is not ours to look at afterwards; these leave their relation's name */
	RangeVar *relation = altered_relation(pstmt->utilityStmt);
	Oid relid;

	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context, params,
							 queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params,
								queryEnv, dest, qc);

	/* pg_upgrade makes columns that were dropped, and drops them */
	if (relation == NULL || !sm_pg_loaded() || IsBinaryUpgrade)
		return;
	relid = RangeVarGetRelid(relation, NoLock, true);
	if (OidIsValid(relid))
		check_maps(relid);
}

/* ---- ON CONFLICT ---- */

/* Raises 0A000 for ON CONFLICT (...) on a map. */
static void
check_on_conflict(const Query *query)
{
	const OnConflictExpr *conflict = query->onConflict;
	const RangeTblEntry *target;

	if (conflict->action == ONCONFLICT_NOTHING && conflict->arbiterElems == NIL)
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	if (target->relkind != RELKIND_FOREIGN_TABLE || !sm_relation_is_map(target->relid))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("ON CONFLICT with a conflict target is not supported on a map"),
			 errdetail("\"%s\" is a map.", get_rel_name(target->relid)),
			 conflict->action == ONCONFLICT_NOTHING ?
				 errhint("Leave the target out: ON CONFLICT DO NOTHING.") :
				 errhint(
					 "syncmap.put stores a value whether or not the key is there.")));
}

static void
post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jstate);
	if (query->commandType == CMD_INSERT && query->onConflict != NULL)
		check_on_conflict(query);
}

/* Installs the hooks.  Called once, while we are loaded. */
void
sm_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = post_parse_analyze;
}
