/*
 * fdw_plan.c
 *	  Planning a scan of a map: what is a lookup of keys, what a range, and what it costs.
 *
 * A clause that says key = something, or key = ANY(array), where that does not
 * depend on the map's row, is a lookup: of a constant, of a parameter, or, in the
 * inner side of a nested loop, of the outer side's columns.  Of a map that is ordered,
 * clauses that compare the key in other ways are a range, which also has an order.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/appendinfo.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "fdw.h"

/* What one lookup, and what one row of a scan or a range costs, in cpu_tuple_cost. */
#define LOOKUP_TUPLES 4
#define SCAN_TUPLES	  1.5
#define RANGE_TUPLES  2

/* A map that has fewer keys may soon have more, and plans are kept. */
#define LEAST_ROWS 1000

/* What we know of a map while it is planned, in fdw_private. */
typedef struct plan_info
{
	sm_types types;
	Oid compared_as; /* the type of the operators that compare keys */
	Oid family;		 /* of these */
	bool ordered;	 /* the map keeps them so */
	bool meets_own;	 /* what the statement writes, see may_meet_own */
	double seeks;	 /* what a range costs before its first row, in rows */
} plan_info;

/*
 * Does a query set a column, or may a trigger that runs before?  root is the query's own, or
 * NULL: once it has been prepared the target list counts from 1, and root has the columns.
 */
static bool
may_set(const PlannerInfo *root, const Query *query, Oid relid, AttrNumber column)
{
	Relation relation = table_open(relid, NoLock);
	bool may = relation->trigdesc != NULL && relation->trigdesc->trig_update_before_row;
	ListCell *cell;

	table_close(relation, NoLock);
	if (root != NULL && root->update_colnos != NIL)
		return may || list_member_int(root->update_colnos, column);
	foreach (cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		may = may || (!target->resjunk && target->resno == column);
	}
	return may;
}

/*
 * May a query change the map, of itself or by one of its CTEs?  With a key: may it put keys
 * into it?  root as for may_set.
 */
static bool
may_write(const PlannerInfo *root, const Query *query, Oid relid, AttrNumber key)
{
	ListCell *cell;

	if (query->commandType != CMD_SELECT &&
		(query->commandType != CMD_DELETE || key == InvalidAttrNumber))
	{
		const RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);

		if (target->relid == relid &&
			(query->commandType == CMD_INSERT || key == InvalidAttrNumber ||
			 may_set(root, query, relid, key)))
			return true;
		/* of a partitioned table, or one that others inherit from, it may be any part */
		if (get_rel_relkind(target->relid) == RELKIND_PARTITIONED_TABLE &&
			get_rel_relispartition(relid))
			return true;
		if (target->inh && has_superclass(relid))
			return true;
	}
	foreach (cell, query->cteList)
	{
		const Query *part =
			(const Query *) lfirst_node(CommonTableExpr, cell)->ctequery;

		if (part->commandType != CMD_SELECT && may_write(NULL, part, relid, key))
			return true;
	}
	return false;
}

/* Is it the map that a query changes? */
static bool
is_target(const PlannerInfo *root, const RelOptInfo *rel)
{
	return bms_is_member((int) rel->relid, root->all_result_relids);
}

/* Does a query read a map, other than where it changes it? */
static bool
reads_map(const PlannerInfo *root, Oid relid)
{
	bool has_parents = has_superclass(relid);
	int index = 0;
	ListCell *cell;

	foreach (cell, root->parse->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		index++;
		if (rte->rtekind == RTE_RELATION &&
			!bms_is_member(index, root->all_result_relids) &&
			(rte->relid == relid ||
			 (has_parents && rte->inh && has_subclass(rte->relid))))
			return true;
	}
	return false;
}

/* Does a statement read the map that one of its queries changes, in another place? */
static bool
reads_elsewhere(const PlannerInfo *root, Oid relid)
{
	ListCell *cell;

	for (const PlannerInfo *query = root; query != NULL; query = query->parent_root)
	{
		if (reads_map(query, relid))
			return true;
	}
	foreach (cell, root->glob->subroots)
	{
		if (reads_map(lfirst_node(PlannerInfo, cell), relid))
			return true;
	}
	return false;
}

/*
 * Might what is read here be met again as the statement has written it?  What is to be
 * changed is read once, so it meets only keys that are new; in all other places of the
 * statement the map is what it was before.  And where there are such places, what is to be
 * changed must have been read before them: that is what it is compared with, see
 * fdw_scan.c.
 */
static bool
may_meet_own(const PlannerInfo *root, const RelOptInfo *rel, Oid relid, AttrNumber key)
{
	const PlannerInfo *top = root;

	while (top->parent_root != NULL)
		top = top->parent_root;
	if (!is_target(root, rel) || reads_elsewhere(root, relid))
		key = InvalidAttrNumber;
	return may_write(top, top->parse, relid, key);
}

/* GetForeignRelSize.  Makes no map: whether the query may run is not known yet. */
void
sm_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	sm_ref *ref = sm_ref_resolve(foreigntableid, 0, false);
	plan_info *info = palloc(sizeof(plan_info));

	info->types = ref->types;
	info->compared_as = sm_key_compared_as(ref->types.key_type);
	info->family =
		get_opclass_family(GetDefaultOpClass(info->compared_as, BTREE_AM_OID));
	info->ordered =
		ref->map.id == SM_NO_MAP ? ref->ordered : sm_map_is_ordered(&ref->map);
	info->seeks = 1 << ref->map.shard_bits;
	info->meets_own =
		may_meet_own(root, baserel, foreigntableid, ref->types.key_column);
	baserel->fdw_private = info;

	baserel->tuples = Max((double) sm_map_entries(&ref->map), LEAST_ROWS);
	baserel->pages = (BlockNumber) (sm_map_pages(&ref->map) * SM_PAGE_SIZE / BLCKSZ);
	set_baserel_size_estimates(root, baserel);
}

/*
 * Is this the key, perhaps by the name of another type of the same form, or of another
 * collation?  The operator that it stands in tells as what its bytes are compared.
 */
static bool
is_key(const Node *node, const RelOptInfo *rel)
{
	const plan_info *info = rel->fdw_private;

	while (IsA(node, RelabelType))
		node = (const Node *) ((const RelabelType *) node)->arg;
	return IsA(node, Var) && ((const Var *) node)->varno == (int) rel->relid &&
		((const Var *) node)->varattno == info->types.key_column &&
		((const Var *) node)->varlevelsup == 0;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * The strategy of an operator that compares keys with their own kind, or 0.  Not with
 * others of its family, whose order is another one in bytes, or depends on the time zone:
 * a timestamptz with a date.
 */
static int
key_strategy(Oid opno, const RelOptInfo *rel)
{
	const plan_info *info = rel->fdw_private;
	int strategy = get_op_opfamily_strategy(opno, info->family);
	Oid left;
	Oid right;

	if (strategy == 0)
		return 0;
	op_input_types(opno, &left, &right);
	if (left != info->compared_as ||
		(left != right && !(is_integer(left) && is_integer(right))))
		return 0;
	return strategy;
}

/* Are strings that are equal in a collation the same bytes?  True for types without. */
static bool
is_deterministic(Oid collation)
{
	return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

/* Is this operator the equality of keys, whose bytes then are the same? */
static bool
is_key_equality(Oid opno, Oid collation, const RelOptInfo *rel)
{
	return key_strategy(opno, rel) == BTEqualStrategyNumber &&
		is_deterministic(collation);
}

/* The clause as a lookup, key on its left, or NULL. */
static Expr *
lookup_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo)
{
	Expr *clause = rinfo->clause;
	Oid opno;
	Oid collation;
	List *args;
	bool commuted;

	if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
		return NULL;
	if (IsA(clause, OpExpr))
	{
		opno = ((OpExpr *) clause)->opno;
		collation = ((OpExpr *) clause)->inputcollid;
		args = ((OpExpr *) clause)->args;
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		opno = ((ScalarArrayOpExpr *) clause)->opno;
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
		opno = get_commutator(opno);
		args = list_make2(lsecond(args), linitial(args));
	}
	if (!OidIsValid(opno) || !is_key(linitial(args), rel) ||
		!is_key_equality(opno, collation, rel) ||
		bms_is_member((int) rel->relid, pull_varnos(root, lsecond(args))) ||
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
	return clamp_row_est(
		sm_array_length(root, lsecond(((ScalarArrayOpExpr *) lookup)->args)));
}

/* ---- ranges ---- */

/* Is this an operator that compares keys by their bytes?  Its strategy, or 0. */
static int
range_strategy(Oid opno, Oid collation, const RelOptInfo *rel)
{
	int strategy = key_strategy(opno, rel);

	if (strategy == BTEqualStrategyNumber ? !is_deterministic(collation) :
											!sm_is_byte_order(collation))
		return 0;
	return strategy;
}

/* Adds a clause to a range, key first, if it is one of its bounds. */
static bool
add_bound(PlannerInfo *root, RelOptInfo *rel, Expr *clause, List **bounds)
{
	OpExpr *op = (OpExpr *) clause;

	if (!IsA(clause, OpExpr) || list_length(op->args) != 2)
		return false;
	if (!is_key(linitial(op->args), rel))
	{
		if (!is_key(lsecond(op->args), rel) || !OidIsValid(get_commutator(op->opno)))
			return false;
		op = copyObject(op);
		CommuteOpExpr(op);
	}
	if (range_strategy(op->opno, op->inputcollid, rel) == 0 ||
		!bms_is_empty(pull_varnos(root, lsecond(op->args))) ||
		contain_volatile_functions(lsecond(op->args)))
		return false;
	*bounds = lappend(*bounds, op);
	return true;
}

/*
 * What of the key's order follows from a clause such as key LIKE 'abc%', by what
 * PostgreSQL knows of its function; see SupportRequestIndexCondition.  Only its own
 * functions are asked: others may want to see an index.  A pattern begins with bytes in
 * whatever collation it is (not one in which different bytes are equal, for which they say
 * nothing), and the map has the order that they ask for, "C", whatever the column's is.
 * What is no more than equality they give in the pattern's own collation, in some versions.
 */
static List *
implied_conditions(PlannerInfo *root, RelOptInfo *rel, Expr *clause)
{
	const plan_info *info = rel->fdw_private;
	SupportRequestIndexCondition request = {.type = T_SupportRequestIndexCondition,
											.root = root,
											.node = (Node *) clause,
											.opfamily = info->family,
											.lossy = true};
	List *args;
	List *conditions;
	RegProcedure support;

	if (IsA(clause, OpExpr))
	{
		request.funcid = get_opcode(((OpExpr *) clause)->opno);
		args = ((OpExpr *) clause)->args;
	}
	else if (IsA(clause, FuncExpr))
	{
		request.funcid = ((FuncExpr *) clause)->funcid;
		args = ((FuncExpr *) clause)->args;
	}
	else
		return NIL;
	if (args == NIL || !is_key(linitial(args), rel))
		return NIL;
	support = get_func_support(request.funcid);
	if (!OidIsValid(support) || support >= FirstNormalObjectId)
		return NIL;
	request.indexcollation = C_COLLATION_OID;
	conditions =
		(List *) DatumGetPointer(OidFunctionCall1(support, PointerGetDatum(&request)));
	if (conditions != NIL)
		return conditions;
	request.indexcollation = exprInputCollation((Node *) clause);
	return (List *) DatumGetPointer(
		OidFunctionCall1(support, PointerGetDatum(&request)));
}

/*
 * The bounds that clauses put to the key, key first.  *exact are those that are no
 * more than that, *sources those that bounds came from.
 */
static List *
find_bounds(PlannerInfo *root, RelOptInfo *rel, List *clauses, List **exact,
			List **sources)
{
	List *bounds = NIL;
	ListCell *cell;

	*exact = NIL;
	*sources = NIL;
	foreach (cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		int before = list_length(bounds);
		ListCell *implied;

		if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
			continue;
		if (add_bound(root, rel, rinfo->clause, &bounds))
			*exact = lappend(*exact, rinfo);
		else
		{
			foreach (implied, implied_conditions(root, rel, rinfo->clause))
				(void) add_bound(root, rel, lfirst(implied), &bounds);
		}
		if (list_length(bounds) > before)
			*sources = lappend(*sources, rinfo);
	}
	return bounds;
}

/* The query's order, if that of keys is its beginning, else NIL. */
static List *
order_of_keys(PlannerInfo *root, RelOptInfo *rel, bool *descending)
{
	const plan_info *info = rel->fdw_private;
	PathKey *pathkey;
	ListCell *cell;

	*descending = false;
	if (root->query_pathkeys == NIL)
		return NIL;
	pathkey = linitial_node(PathKey, root->query_pathkeys);
	if (pathkey->pk_opfamily != info->family || pathkey->pk_eclass->ec_has_volatile ||
		!sm_is_byte_order(pathkey->pk_eclass->ec_collation))
		return NIL;
	foreach (cell, pathkey->pk_eclass->ec_members)
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, cell);

		/* where nulls would come does not matter: there are none */
		if (is_key((Node *) member->em_expr, rel))
		{
			*descending = SM_DESCENDS(pathkey);
			return list_make1(pathkey);
		}
	}
	return NIL;
}

/* ---- paths ---- */

/*
 * Adds a path, of so many rows that are fetched at so much each, in cpu_tuple_cost.
 * Its fdw_private is NIL for a scan of all; else a list of the access and the lookup
 * or, for a range, whether it descends.
 */
static void
add_map_path(PlannerInfo *root, RelOptInfo *rel, double fetched, double tuples,
			 List *pathkeys, Relids required_outer, List *access)
{
	ParamPathInfo *param_info = get_baserel_parampathinfo(root, rel, required_outer);
	double rows = param_info != NULL ? param_info->ppi_rows : rel->rows;
	QualCost quals = rel->baserestrictcost;
	Cost startup = quals.startup + rel->reltarget->cost.startup;

	rows = Min(rows, fetched);
	add_path(rel,
			 (Path *) sm_foreignscan_path(root, rel, rows, startup,
										  startup +
											  fetched *
												  (tuples * cpu_tuple_cost +
												   quals.per_tuple) +
											  rows * rel->reltarget->cost.per_tuple,
										  pathkeys, required_outer, access));
}

static void
add_lookup_path(PlannerInfo *root, RelOptInfo *rel, Expr *lookup, Relids required_outer)
{
	add_map_path(root, rel, lookup_keys(root, lookup), LOOKUP_TUPLES, NIL,
				 required_outer, list_make2(makeInteger(SM_LOOKUP), lookup));
}

/* A range, if the map is ordered and there are bounds, or that order is wanted. */
static void
consider_range(PlannerInfo *root, RelOptInfo *rel)
{
	const plan_info *info = rel->fdw_private;
	List *exact;
	List *sources;
	List *bounds;
	List *pathkeys;
	bool descending;
	double fetched;

	if (!info->ordered)
		return;
	bounds = find_bounds(root, rel, rel->baserestrictinfo, &exact, &sources);
	pathkeys = order_of_keys(root, rel, &descending);
	if (bounds == NIL && pathkeys == NIL)
		return;
	fetched = rel->tuples *
		clauselist_selectivity(root, sources, (int) rel->relid, JOIN_INNER, NULL);
	add_map_path(root, rel, clamp_row_est(fetched) + info->seeks, RANGE_TUPLES,
				 pathkeys, rel->lateral_relids,
				 list_make2(makeInteger(SM_RANGE), makeBoolean(descending)));
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
	outer = bms_del_member(outer, (int) rel->relid);
	if (bms_is_empty(outer))
		return;
	foreach (cell, *seen)
	{
		if (bms_equal(lfirst(cell), outer))
			return;
	}
	*seen = lappend(*seen, outer);
	add_lookup_path(root, rel, lookup, outer);
}

/*
 * GetForeignPaths: a scan, a lookup, and lookups by what is joined, unless these could
 * meet keys that the statement itself has put.
 */
void
sm_fdw_paths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	RestrictInfo *rinfo;
	Expr *lookup = find_lookup(root, baserel, baserel->baserestrictinfo, &rinfo);
	List *clauses = baserel->joininfo;
	List *seen = NIL;
	const plan_info *info = baserel->fdw_private;
	ListCell *cell;

	/* these are looked up before the first row is written, see fdw_scan.c */
	if (info->meets_own && sm_has_exec_param((Node *) lookup, NULL))
		lookup = NULL;
	/* a plan may be kept while the map grows, so no scan where a lookup will do */
	if (lookup != NULL)
	{
		baserel->rows = Min(baserel->rows, lookup_keys(root, lookup));
		add_lookup_path(root, baserel, lookup, baserel->lateral_relids);
	}
	else
	{
		add_map_path(root, baserel, baserel->tuples, SCAN_TUPLES, NIL,
					 baserel->lateral_relids, NIL);
		consider_range(root, baserel);
	}

	if (info->meets_own)
		return;
	if (baserel->has_eclass_joins)
		clauses = list_concat_copy(
			clauses,
			generate_implied_equalities_for_column(root, baserel, is_key_member, NULL,
												   baserel->lateral_referencers));
	foreach (cell, clauses)
		consider_join_clause(root, baserel, lfirst_node(RestrictInfo, cell), &seen);
}

/* ReparameterizeForeignPathByChild: a lookup by a table whose part is joined instead. */
List *
sm_fdw_reparameterize(PlannerInfo *root, List *private, RelOptInfo *child)
{
	if (private == NIL || intVal(linitial(private)) != SM_LOOKUP)
		return private;
	return list_make2(linitial(private),
					  sm_adjust_to_child(root, lsecond(private), child));
}

/* Does the query ask for the values of what it reads? */
static bool
needs_value(const RelOptInfo *rel, List *clauses)
{
	const plan_info *info = rel->fdw_private;
	const sm_types *types = &info->types;
	Bitmapset *attrs = NULL;
	int attr = -1;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	while ((attr = bms_next_member(attrs, attr)) >= 0)
	{
		int column = attr + FirstLowInvalidHeapAttributeNumber;

		/* 0: the row as a whole */
		if (column >= 0 && column != types->key_column &&
			(column != types->expires_column || column == InvalidAttrNumber))
			return true;
	}
	return false;
}

/* The strategies of a range's clauses. */
static List *
strategies_of(const RelOptInfo *rel, List *bounds)
{
	List *strategies = NIL;
	ListCell *cell;

	foreach (cell, bounds)
	{
		OpExpr *bound = lfirst_node(OpExpr, cell);

		strategies = lappend_int(strategies,
								 range_strategy(bound->opno, bound->inputcollid, rel));
	}
	return strategies;
}

/* Is there anything in an expression that EXPLAIN has no words for? */
static bool
contains_placeholder(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, PlaceHolderVar) ||
		expression_tree_walker(node, contains_placeholder, context);
}

/* GetForeignPlan. */
ForeignScan *
sm_fdw_plan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
			ForeignPath *best_path, List *tlist, List *scan_clauses, Plan *outer_plan)
{
	const plan_info *info = baserel->fdw_private;
	List *private = best_path->fdw_private;
	sm_access access = private == NIL ? SM_SCAN : (sm_access) intVal(linitial(private));
	List *exprs = NIL;
	List *strategies = NIL;
	List *known = NIL;
	List *joined = NIL;
	List *recheck = NIL;
	List *sources;
	List *quals;
	Node *descending = (Node *) makeBoolean(false);
	RestrictInfo *found;
	Expr *lookup;

	if (access == SM_LOOKUP)
	{
		lookup = lsecond(private);
		exprs = list_make1(lookup);
		/* another clause of its equivalence class may stand for it there */
		if (equal(lookup, find_lookup(root, baserel, scan_clauses, &found)))
			known = list_make1(found);
		if (best_path->path.param_info != NULL &&
			!contains_placeholder((Node *) lookup, NULL))
			joined = list_make2(makeInteger((int) baserel->relid), copyObject(lookup));
	}
	else if (access == SM_RANGE)
	{
		exprs = find_bounds(root, baserel, scan_clauses, &known, &sources);
		strategies = strategies_of(baserel, exprs);
		descending = lsecond(private);
	}
	quals = extract_actual_clauses(list_difference_ptr(scan_clauses, known), false);

	/* what is known is no filter, but is one when a row that waited is looked at again */
	recheck = access == SM_LOOKUP ? exprs : extract_actual_clauses(known, false);
	private = list_make5(makeInteger(access), makeBoolean(needs_value(baserel, quals)),
						 descending, strategies, joined);
	private = lappend(private, makeBoolean(info->meets_own));
	private = lappend(private, makeBoolean(is_target(root, baserel)));
	return make_foreignscan(tlist, quals, baserel->relid, exprs, private, NIL, recheck,
							outer_plan);
}
