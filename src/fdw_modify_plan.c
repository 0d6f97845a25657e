/*
 * fdw_modify_plan.c
 *	  Planning a change of a map as a table: must what was read still be there?
 *
 * Where a statement has looked at more than a key, or hands on what it has read, the
 * pair must not have changed in between (fdw_modify.c).  What it looks at is decided by
 * what the query contains, and what can't be told counts as looked at.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw_modify.h"

/*
 * AddForeignUpdateTargets: the row as it was read, all columns.  In another order than the row
 * has, so that what the plan gives is never the slot of the scan itself: EvalPlanQual empties
 * that one before it hands out what came of it.
 */
void
sm_fdw_add_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
						  Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);

	for (int i = desc->natts - 1; i >= 0; i--)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			add_row_identity_var(root,
								 makeVar((int) rtindex, att->attnum, att->atttypid,
										 att->atttypmod, att->attcollation, 0),
								 rtindex, SM_JUNK_NAME(att));
	}
}

/*
 * May a function look at the map?  One that is immutable does not; nor do those of
 * PostgreSQL's own that run no queries, which it calls parallel safe.
 */
static bool
may_look(Oid function, void *context)
{
	/* of an aggregate's functions nothing is said there */
	if (function >= FirstNormalObjectId &&
		get_func_prokind(function) != PROKIND_FUNCTION)
		return true;
	return func_volatile(function) != PROVOLATILE_IMMUTABLE &&
		(function >= FirstGenbkiObjectId ||
		 func_parallel(function) != PROPARALLEL_SAFE);
}

/* May a function find a cast of a user's for an argument, as to_json does? */
static bool
may_cast(Oid function, const List *args)
{
	ListCell *cell;

	if (func_volatile(function) == PROVOLATILE_IMMUTABLE)
		return false;
	foreach (cell, args)
	{
		Oid type = exprType(lfirst(cell));

		if (type >= FirstNormalObjectId || type == RECORDOID)
			return true;
	}
	return false;
}

/*
 * May an expression depend on the map by more than its row's columns?  By a query in it,
 * by what another query has found, which stands in a Param, or by a function.
 */
static bool
looks_further(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind != PARAM_EXTERN)
		return true;
	if (IsA(node, SubLink) || IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) ||
		(IsA(node, FuncExpr) &&
		 may_cast(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args)) ||
		(IsA(node, OpExpr) &&
		 may_cast(get_opcode(((OpExpr *) node)->opno), ((OpExpr *) node)->args)))
		return true;
	return check_functions_in_node(node, may_look, context) ||
		expression_tree_walker(node, looks_further, context);
}

/* Does an expression use a column of the map's row, or the row as a whole? */
static bool
uses_column(Node *expr, Index rtindex, AttrNumber column)
{
	Bitmapset *attrs = NULL;

	pull_varattnos(expr, rtindex, &attrs);
	return bms_is_member(column - FirstLowInvalidHeapAttributeNumber, attrs) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
}

/* Does an expression use a column other than the key of the row as it was? */
static bool
uses_old_row(Node *node, void *key)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && SM_IS_OLD((Var *) node) &&
		((Var *) node)->varattno != *(AttrNumber *) key)
		return true;
	return expression_tree_walker(node, uses_old_row, key);
}

/*
 * Is anything but the key used in the conditions, or in what an UPDATE sets?  What can't
 * be told counts as used.
 */
static bool
looks_at_pairs(PlannerInfo *root, Index rtindex, AttrNumber key)
{
	RelOptInfo *rel = root->simple_rel_array[rtindex];
	Bitmapset *attrs = NULL;
	ListCell *cell;

	if (rel->reloptkind != RELOPT_BASEREL || bms_num_members(root->all_baserels) > 1 ||
		root->parse->hasSubLinks || root->parse->cteList != NIL)
		return true;
	foreach (cell, rel->baserestrictinfo)
	{
		Node *clause = (Node *) lfirst_node(RestrictInfo, cell)->clause;

		if (looks_further(clause, NULL))
			return true;
		pull_varattnos(clause, rtindex, &attrs);
	}
	foreach (cell, root->processed_tlist)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		/* junk is the row's identity, and queries that several columns are set to */
		if (looks_further((Node *) target->expr, NULL))
			return true;
		if (!target->resjunk)
			pull_varattnos((Node *) target->expr, rtindex, &attrs);
	}
	attrs = bms_del_member(attrs, key - FirstLowInvalidHeapAttributeNumber);
	attrs =
		bms_del_member(attrs,
					   TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber);
	return !bms_is_empty(attrs);
}

/* Do triggers see the rows as they were? */
static bool
has_triggers(Relation relation, CmdType operation)
{
	const TriggerDesc *triggers = relation->trigdesc;

	if (triggers == NULL)
		return false;
	return operation == CMD_UPDATE ?
		triggers->trig_update_before_row || triggers->trig_update_after_row :
		triggers->trig_delete_before_row || triggers->trig_delete_after_row;
}

/* Does an UPDATE set all columns of the value? */
static bool
sets_value(const List *sets, TupleDesc desc, const sm_types *types)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (sm_is_value(types, att) && !list_member_int(sets, att->attnum))
			return false;
	}
	return true;
}

/*
 * Does an UPDATE store, or show, something that it has read and does not set?  When the
 * pair expires can be left as it is, unless the key is another one then.
 */
static bool
hands_on(const Query *parse, const List *sets, Index rtindex, TupleDesc desc,
		 const sm_types *types)
{
	AttrNumber expires = types->expires_column;
	AttrNumber key = types->key_column;

	if (!sets_value(sets, desc, types) ||
		uses_old_row((Node *) parse->returningList, &key))
		return true;
	return expires != InvalidAttrNumber && !list_member_int(sets, expires) &&
		(list_member_int(sets, key) ||
		 uses_column((Node *) parse->returningList, rtindex, expires) ||
		 uses_column((Node *) parse->withCheckOptions, rtindex, expires));
}

/* Must a pair be what it was when it was read? */
static bool
must_compare(PlannerInfo *root, const ModifyTable *plan, Index rtindex, int number,
			 Relation relation, const sm_types *types)
{
	if (has_triggers(relation, plan->operation))
		return true;
	if (plan->operation == CMD_DELETE && plan->returningLists != NIL)
		return true;
	if (plan->operation == CMD_UPDATE &&
		hands_on(root->parse, list_nth(plan->updateColnosLists, number), rtindex,
				 RelationGetDescr(relation), types))
		return true;
	return looks_at_pairs(root, rtindex, types->key_column);
}

/* What may_read looks for. */
typedef struct sought_map
{
	Oid relid;
	bool has_parents; /* a query of another table may read it */
} sought_map;

/* May a part of a query look at a map, by a query or by a function? */
static bool
may_read(Node *node, void *map)
{
	const sought_map *sought = map;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		const RangeTblEntry *rte = (const RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION &&
			(rte->relid == sought->relid ||
			 (sought->has_parents && rte->inh && has_subclass(rte->relid)));
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, may_read, map,
								 QTW_EXAMINE_RTES_BEFORE);
	if ((IsA(node, FuncExpr) &&
		 may_cast(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args)) ||
		(IsA(node, OpExpr) &&
		 may_cast(get_opcode(((OpExpr *) node)->opno), ((OpExpr *) node)->args)))
		return true;
	return check_functions_in_node(node, may_look, NULL) ||
		expression_tree_walker(node, may_read, map);
}

/*
 * Is the pair of a row read by nothing that stays as it is when the row is looked at again?
 * Its columns, and functions, are evaluated anew then.  What is joined is not, nor are most
 * queries in the statement: none of these may have read the pair.
 */
static bool
reads_pair_once(PlannerInfo *root, Index rtindex)
{
	Oid relid = planner_rt_fetch(rtindex, root)->relid;
	sought_map map = {relid, has_superclass(relid)};
	Index index = 0;
	ListCell *cell;

	foreach (cell, root->parse->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		index++;
		/* a tree's tables stand here themselves */
		if (index != rtindex &&
			(rte->rtekind == RTE_RELATION ?
				 rte->relid == relid :
				 range_table_entry_walker(rte, may_read, &map, 0)))
			return false;
	}
	foreach (cell, root->glob->subroots)
	{
		if (may_read((Node *) lfirst_node(PlannerInfo, cell)->parse, &map))
			return false;
	}
	return true;
}

/* PlanForeignModify: see sm_modify_item. */
List *
sm_fdw_plan_modify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
				   int subplan_index)
{
	bool compares = false;
	bool keeps_expiry = false;
	bool retries = false;
	bool repeats =
		plan->operation != CMD_INSERT && bms_num_members(root->all_baserels) > 1;
	List *items = NIL;

	if (plan->operation != CMD_INSERT)
	{
		Relation relation =
			table_open(planner_rt_fetch(resultRelation, root)->relid, NoLock);
		sm_types types = sm_ref_get(RelationGetRelid(relation), 0)->types;

		compares =
			must_compare(root, plan, resultRelation, subplan_index, relation, &types);
		keeps_expiry = plan->operation == CMD_UPDATE && !compares &&
			types.expires_column != InvalidAttrNumber &&
			!list_member_int(list_nth(plan->updateColnosLists, subplan_index),
							 types.expires_column);
		retries = compares && reads_pair_once(root, resultRelation);
		table_close(relation, NoLock);
	}
	items = lappend(items, makeInteger(compares));
	items = lappend(items, makeInteger(keeps_expiry));
	items = lappend(items, makeInteger(repeats));
	return lappend(items, makeInteger(retries));
}
