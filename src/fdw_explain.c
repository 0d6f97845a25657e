/*
 * fdw_explain.c
 *	  EXPLAIN of what a statement does to a map.
 */
#include "compat.h"

#include "nodes/makefuncs.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "fdw.h"

/* Clauses, all of which hold, as they stand in SQL. */
static char *
deparse_clauses(List *clauses, List *context, bool qualified)
{
	Expr *all = list_length(clauses) == 1 ? linitial(clauses) : make_andclause(clauses);

	return deparse_expression((Node *) all, context, qualified, false);
}

/*
 * The clauses of a lookup or range.  By what is joined, a lookup's has parameters in the
 * plan, so it was set aside with columns; the tables of its query have other numbers now,
 * all by as much as the map.
 */
static List *
shown_clauses(const ForeignScan *plan)
{
	List *joined = list_nth(plan->fdw_private, SM_PLAN_JOINED);
	Node *clause;

	if (joined == NIL)
		return plan->fdw_exprs;
	clause = copyObject(lsecond(joined));
	OffsetVarNodes(clause, (int) plan->scan.scanrelid - intVal(linitial(joined)), 0);
	return list_make1(clause);
}

/* ExplainForeignScan: what is looked up, and how often it was there; what range. */
void
sm_fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	const Instrumentation *counts = node->ss.ps.instrument;
	sm_access access = (sm_access) intVal(list_nth(plan->fdw_private, SM_PLAN_ACCESS));
	List *context;

	if (access == SM_RANGE)
		ExplainPropertyText("Order",
							boolVal(list_nth(plan->fdw_private, SM_PLAN_DESCENDING)) ?
								"key descending" :
								"key",
							es);
	if (plan->fdw_exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
	ExplainPropertyText(access == SM_LOOKUP ? "Lookup" : "Range",
						deparse_clauses(shown_clauses(plan), context,
										list_length(es->rtable) > 1 || es->verbose),
						es);
	if (es->analyze && access == SM_LOOKUP && counts != NULL)
	{
		ExplainPropertyInteger("Lookups", NULL, (int64) SM_LOOKUPS(counts), es);
		ExplainPropertyInteger("Hits", NULL, (int64) SM_HITS(counts), es);
	}
}

/* ExplainForeignModify. */
void
sm_fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *result,
					  List *fdw_private, int subplan_index, ExplainState *es)
{
	const ModifyTable *plan = (const ModifyTable *) mtstate->ps.plan;
	sm_types types;

	ExplainPropertyText("Effects", "immediate, not undone by ROLLBACK", es);
	if (plan->onConflictAction != ONCONFLICT_UPDATE)
		return;
	sm_types_read(result->ri_RelationDesc, &types);
	ExplainPropertyText("Conflict Arbiter",
						get_attname(RelationGetRelid(result->ri_RelationDesc),
									types.key_column, false),
						es);
}
