/*
 * fdw_plan.c
 *	  Planning a scan of a map: what is a lookup of keys, and what it costs.
 *
 * A clause that says key = something, or key = ANY(array), where that does not
 * depend on the map's row, is a lookup: of a constant, of a parameter, or, in the
 * inner side of a nested loop, of the outer side's columns.  The plan has the
 * clause, key on its left, in fdw_exprs; and in fdw_private whether the value is
 * asked for.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "fdw.h"

/* What one lookup, and what one row of a scan costs, in cpu_tuple_cost. */
#define LOOKUP_TUPLES 4
#define SCAN_TUPLES	  1.5

/* A map that has fewer keys may soon have more, and plans are kept. */
#define LEAST_ROWS 1000

/* What we know of a map while it is planned, in fdw_private. */
typedef struct plan_info
{
	sm_types types;
	Oid family; /* of the operators that compare keys */
} plan_info;

/* GetForeignRelSize. */
void
sm_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	sm_ref *ref = sm_ref_resolve(foreigntableid, 0, false);
	plan_info *info = palloc(sizeof(plan_info));

	info->types = ref->types;
	info->family =
		get_opclass_family(GetDefaultOpClass(ref->types.key_type, BTREE_AM_OID));
	baserel->fdw_private = info;

	baserel->tuples = Max((double) sm_map_entries(&ref->map), LEAST_ROWS);
	baserel->pages = (BlockNumber) (sm_map_pages(&ref->map) * SM_PAGE_SIZE / BLCKSZ);
	set_baserel_size_estimates(root, baserel);
}

static bool
is_key(const Node *node, const RelOptInfo *rel)
{
	const plan_info *info = rel->fdw_private;

	return IsA(node, Var) && ((const Var *) node)->varno == (int) rel->relid &&
		((const Var *) node)->varattno == info->types.key_column &&
		((const Var *) node)->varlevelsup == 0;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Is this operator the equality of keys, whose bytes then are the same? */
static bool
is_key_equality(Oid operator, Oid collation, const RelOptInfo *rel)
{
	const plan_info *info = rel->fdw_private;
	Oid left;
	Oid right;

	if (get_op_opfamily_strategy(operator, info->family) != BTEqualStrategyNumber ||
		(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
		return false;
	op_input_types(operator, & left, &right);
	return left == info->types.key_type &&
		(left == right || (is_integer(left) && is_integer(right)));
}

/* The clause as a lookup, key on its left, or NULL. */
static Expr *
lookup_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo)
{
	Expr *clause = rinfo->clause;
	Oid operator;
	Oid collation;
	List *args;
	bool commuted;

	if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
		return NULL;
	if (IsA(clause, OpExpr))
	{
		operator=((OpExpr *) clause)->opno;
		collation = ((OpExpr *) clause)->inputcollid;
		args = ((OpExpr *) clause)->args;
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		operator=((ScalarArrayOpExpr *) clause)->opno;
		collation = ((ScalarArrayOpExpr *) clause)->inputcollid;
		args = ((ScalarArrayOpExpr *) clause)->args;
	}
	else
		return NULL;
	if (list_length(args) != 2)
		return NULL;

	commuted = !is_key(linitial(args), rel) && IsA(clause, OpExpr);
	if (commuted)
	{
		operator= get_commutator(operator);
		args = list_make2(lsecond(args), linitial(args));
	}
	if (!OidIsValid(operator) || !is_key(linitial(args), rel) ||
		!is_key_equality(operator, collation, rel) ||
		bms_is_member(rel->relid, pull_varnos(root, lsecond(args))) ||
		contain_volatile_functions(lsecond(args)))
		return NULL;

	if (commuted)
	{
		clause = copyObject(clause);
		CommuteOpExpr((OpExpr *) clause);
	}
	return clause;
}

/* The first lookup among clauses, those of one key first; its place in *found. */
static Expr *
find_lookup(PlannerInfo *root, RelOptInfo *rel, List *clauses, RestrictInfo **found)
{
	Expr *of_many = NULL;
	ListCell *cell;

	foreach (cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Expr *lookup = lookup_clause(root, rel, rinfo);

		if (lookup == NULL || (of_many != NULL && !IsA(lookup, OpExpr)))
			continue;
		*found = rinfo;
		if (IsA(lookup, OpExpr))
			return lookup;
		of_many = lookup;
	}
	return of_many;
}

/* How many keys it looks up. */
static double
lookup_keys(PlannerInfo *root, const Expr *lookup)
{
	if (IsA(lookup, OpExpr))
		return 1;
	return sm_array_length(root, lsecond(((ScalarArrayOpExpr *) lookup)->args));
}

/*
 * Adds a path.  Without a lookup it is a scan of all; with one, fdw_private is not
 * NIL, and the plan finds it again among its clauses.
 */
static void
add_map_path(PlannerInfo *root, RelOptInfo *rel, const Expr *lookup,
			 Relids required_outer)
{
	ParamPathInfo *param_info = get_baserel_parampathinfo(root, rel, required_outer);
	double rows = param_info != NULL ? param_info->ppi_rows : rel->rows;
	double fetched = rel->tuples;
	Cost per_tuple = SCAN_TUPLES * cpu_tuple_cost;
	QualCost quals = rel->baserestrictcost;
	Cost startup;

	if (lookup != NULL)
	{
		fetched = lookup_keys(root, lookup);
		rows = Min(rows, fetched);
		per_tuple = LOOKUP_TUPLES * cpu_tuple_cost;
	}
	startup = quals.startup + rel->reltarget->cost.startup;
	add_path(rel,
			 (Path *) sm_foreignscan_path(root, rel, rows, startup,
										  startup +
											  fetched * (per_tuple + quals.per_tuple) +
											  rows * rel->reltarget->cost.per_tuple,
										  required_outer,
										  lookup != NULL ? list_make1(makeInteger(1)) :
														   NIL));
}

/* Is this member of an equivalence class the key? */
static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
			  EquivalenceMember *em, void *arg)
{
	return is_key((Node *) em->em_expr, rel);
}

/* Adds a path for a join clause that is a lookup. */
static void
consider_join_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo,
					 List **seen)
{
	Relids outer;
	Expr *lookup;
	ListCell *cell;

	if (!join_clause_is_movable_to(rinfo, rel))
		return;
	lookup = lookup_clause(root, rel, rinfo);
	if (lookup == NULL)
		return;
	outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
	outer = bms_del_member(outer, rel->relid);
	if (bms_is_empty(outer))
		return;
	foreach (cell, *seen)
	{
		if (bms_equal(lfirst(cell), outer))
			return;
	}
	*seen = lappend(*seen, outer);
	add_map_path(root, rel, lookup, outer);
}

/* GetForeignPaths: a scan, a lookup, and lookups by what is joined. */
void
sm_fdw_paths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	RestrictInfo *rinfo;
	Expr *lookup = find_lookup(root, baserel, baserel->baserestrictinfo, &rinfo);
	List *clauses = baserel->joininfo;
	List *seen = NIL;
	ListCell *cell;

	/* a plan may be kept while the map grows, so no scan where a lookup will do */
	if (lookup != NULL)
		baserel->rows = Min(baserel->rows, lookup_keys(root, lookup));
	add_map_path(root, baserel, lookup, baserel->lateral_relids);

	if (baserel->has_eclass_joins)
		clauses = list_concat_copy(
			clauses,
			generate_implied_equalities_for_column(root, baserel, is_key_member, NULL,
												   baserel->lateral_referencers));
	foreach (cell, clauses)
		consider_join_clause(root, baserel, lfirst_node(RestrictInfo, cell), &seen);
}

/* Does the query ask for the values of what it reads? */
static bool
needs_value(const RelOptInfo *rel, List *clauses)
{
	const plan_info *info = rel->fdw_private;
	Bitmapset *attrs = NULL;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	return bms_is_member(info->types.value_column - FirstLowInvalidHeapAttributeNumber,
						 attrs) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
}

/* GetForeignPlan. */
ForeignScan *
sm_fdw_plan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
			ForeignPath *best_path, List *tlist, List *scan_clauses, Plan *outer_plan)
{
	RestrictInfo *found = NULL;
	Expr *lookup = NULL;
	List *quals;

	if (best_path->fdw_private != NIL)
		lookup = find_lookup(root, baserel, scan_clauses, &found);
	if (lookup != NULL)
		scan_clauses = list_delete_ptr(list_copy(scan_clauses), found);
	quals = extract_actual_clauses(scan_clauses, false);

	/* the lookup is no filter, but is one when a row that waited is looked at again */
	return make_foreignscan(tlist, quals, baserel->relid,
							lookup != NULL ? list_make1(lookup) : NIL,
							list_make1(makeInteger(needs_value(baserel, quals))), NIL,
							lookup != NULL ? list_make1(lookup) : NIL, outer_plan);
}
