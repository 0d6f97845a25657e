/*
 * fdw.h
 *	  Maps as foreign tables.
 */
#ifndef SM_FDW_H
#define SM_FDW_H

#include "foreign/fdwapi.h"

#include "call.h"
#include "scan.h"

/* How a scan finds its rows. */
typedef enum sm_access
{
	SM_SCAN,   /* all */
	SM_LOOKUP, /* of keys that are equal to something */
	SM_RANGE   /* of keys in their order, some or all */
} sm_access;

/* A plan's fdw_private.  Its fdw_exprs: the clauses of a lookup or range, key first. */
typedef enum sm_plan_item
{
	SM_PLAN_ACCESS,
	SM_PLAN_VALUES,		/* are values asked for? */
	SM_PLAN_DESCENDING, /* a range only */
	SM_PLAN_STRATEGIES, /* a range only: of the clauses' operators, a list */
	SM_PLAN_JOINED,		/* a lookup by what is joined: see shown_clauses */
	SM_PLAN_MEETS_OWN,	/* what the statement writes, if it is not read before */
	SM_PLAN_IS_TARGET	/* of what is changed */
} sm_plan_item;

/*
 * EXPLAIN's counts of lookups and hits stand where PostgreSQL adds up what parallel
 * workers have counted, and shows nothing of its own for a foreign scan.
 */
#define SM_LOOKUPS(counts) ((counts)->ntuples2)
#define SM_HITS(counts)	   ((counts)->nfiltered2)

/* fdw_row.c */
extern void sm_fill_row(const sm_types *types, TupleDesc desc, const sm_row *row,
						bool with_value, bool has_ttl, Datum *values, bool *nulls);

/* fdw_plan.c */
extern void sm_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
extern void sm_fdw_paths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);
extern List *sm_fdw_reparameterize(PlannerInfo *root, List *private, RelOptInfo *child);
extern ForeignScan *sm_fdw_plan(PlannerInfo *root, RelOptInfo *baserel,
								Oid foreigntableid, ForeignPath *best_path, List *tlist,
								List *scan_clauses, Plan *outer_plan);

/* fdw_scan.c */
extern bool sm_has_exec_param(Node *node, void *context);
extern void sm_fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *sm_fdw_next(ForeignScanState *node);
extern void sm_fdw_rescan(ForeignScanState *node);
extern void sm_fdw_end_scan(ForeignScanState *node);

/* fdw_explain.c */
extern void sm_fdw_explain_scan(ForeignScanState *node, ExplainState *es);
extern void sm_fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *result,
								  List *fdw_private, int subplan_index,
								  ExplainState *es);

/* fdw_analyze.c */
extern bool sm_fdw_analyze(Relation relation, AcquireSampleRowsFunc *func,
						   BlockNumber *totalpages);

/* fdw_modify.c */
extern void sm_fdw_modify_routines(FdwRoutine *routine);

#endif /* SM_FDW_H */
