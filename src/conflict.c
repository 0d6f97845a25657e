/*
 * conflict.c
 *	  INSERT ... ON CONFLICT (key) on a map, as far as the planner is concerned.
 *
 * PostgreSQL looks for a unique index on the columns of a conflict target, and a foreign
 * table has none.  A map needs none: its key is unique.  So the target of a query that
 * inserts into a map is looked at before the query is planned, and taken out of it when it
 * is the map's key.  Without one PostgreSQL looks for no index; all else of the clause it
 * plans and prepares itself, and fdw_modify.c carries it out.
 *
 * The target is taken out of the query in place.  That is the planner's own to change, a
 * copy if its plan is kept; and a query that has been here before looks like one that has
 * no target, which PostgreSQL's parser lets through for DO NOTHING only.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "conflict.h"
#include "ref.h"

static planner_hook_type prev_planner = NULL;

/* Is an element of a conflict target the map's key, as a unique index on it would have it? */
static bool
is_key(const InferenceElem *element, int map, const sm_types *types)
{
	const Var *var = (const Var *) element->expr;
	Oid family = get_opclass_family(GetDefaultOpClass(types->key_type, BTREE_AM_OID));

	/* equal is what has the same bytes */
	return IsA(var, Var) && var->varno == map && var->varattno == types->key_column &&
		var->varlevelsup == 0 &&
		(!OidIsValid(element->infercollid) ||
		 get_collation_isdeterministic(element->infercollid)) &&
		(!OidIsValid(element->inferopclass) ||
		 get_opclass_family(element->inferopclass) == family);
}

/*
 * Takes the conflict target out of a query that inserts into a map.  A WHERE of the target
 * does not matter, as it does not for an index that has none.
 *
 * Errors: 42P10 it is not the map's key.
 */
static void
take_target(const Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	const RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	sm_types types;
	bool fits = !OidIsValid(conflict->constraint);
	ListCell *cell;

	if (rte->relkind != RELKIND_FOREIGN_TABLE ||
		(conflict->arbiterElems == NIL && fits) || !sm_relation_is_map(rte->relid))
		return;
	types = sm_ref_get(rte->relid, 0)->types;
	foreach (cell, conflict->arbiterElems)
		fits = fits &&
			is_key(lfirst_node(InferenceElem, cell), query->resultRelation, &types);
	if (!fits)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg(
				 "there is no unique or exclusion constraint matching the ON CONFLICT specification"),
			 errdetail("Only the key of map \"%s\" is unique.",
					   get_rel_name(rte->relid)),
			 errhint("The conflict target is the key's column: ON CONFLICT (%s).",
					 quote_identifier(
						 get_attname(rte->relid, types.key_column, false)))));
	conflict->arbiterElems = NIL;
}

/*
 * The planner's hook.  What has a conflict target is the query, or one that changes
 * something in its WITH: that stands nowhere else.  For all others it is two comparisons.
 */
static PlannedStmt *
plan_query(Query *parse, const char *query_string, int cursor_options,
		   ParamListInfo bound_params)
{
	ListCell *cell;

	if (parse->onConflict != NULL)
		take_target(parse);
	if (parse->hasModifyingCTE)
	{
		foreach (cell, parse->cteList)
		{
			const Query *part =
				(const Query *) lfirst_node(CommonTableExpr, cell)->ctequery;

			if (part->onConflict != NULL)
				take_target(part);
		}
	}
	if (prev_planner != NULL)
		return prev_planner(parse, query_string, cursor_options, bound_params);
	return standard_planner(parse, query_string, cursor_options, bound_params);
}

/* Installs the hook.  Called once, while we are loaded. */
void
sm_conflict_init(void)
{
	prev_planner = planner_hook;
	planner_hook = plan_query;
}
