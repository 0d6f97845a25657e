/*
 * fdw_scan.c
 *	  Reading a map as a table: lookups, ranges, scans.
 *
 * A scan copies pairs out a buffer at a time (scan.c), a lookup one: nothing is
 * locked in between, and no snapshot applies.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw.h"

typedef struct scan_state
{
	Oid relid;
	sm_types types;
	bool with_value;
	bool has_ttl;
	sm_access access;
	sm_call call;
	bool evaluated;			  /* what follows was, since the last rescan */
	MemoryContext evaluation; /* of what that gave; NULL: it needs none */

	/* a scan, of all or of a range */
	bool scanning;
	sm_scan scan;
	List *bounds;		/* of range_bound */
	bool bounds_change; /* at a rescan, perhaps */
	bool descending;

	/* a lookup of keys */
	ExprState *operand;
	Oid operand_type; /* of one key */
	bool is_array;
	sm_bytes one; /* where there is only one, perhaps in room */
	uint64 room;
	sm_bytes *keys;
	int nkeys;
	int next;
	uint64 lookups; /* and what they found, not counted yet */
	uint64 hits;
	sm_rows *collected; /* what was found, if all of it was looked up at the start */
} scan_state;

/* A clause that bounds a range. */
typedef struct range_bound
{
	ExprState *operand;
	Oid type;
	int strategy;
} range_bound;

static MemoryContext
make_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "syncmap keys",
								 ALLOCSET_SMALL_SIZES);
}

static void
begin_lookup(ForeignScanState *node, scan_state *state, Node *clause)
{
	state->is_array = IsA(clause, ScalarArrayOpExpr);
	state->operand =
		ExecInitExpr(state->is_array ? lsecond(((ScalarArrayOpExpr *) clause)->args) :
									   lsecond(((OpExpr *) clause)->args),
					 &node->ss.ps);
	state->operand_type = exprType((Node *) state->operand->expr);
	if (state->is_array)
	{
		state->operand_type = get_base_element_type(state->operand_type);
		state->evaluation = make_context();
	}
}

/* Does an expression depend on a parameter of the plan, which may change at a rescan? */
bool
sm_has_exec_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	return expression_tree_walker(node, sm_has_exec_param, context);
}

static void
begin_range(ForeignScanState *node, scan_state *state, const ForeignScan *plan)
{
	ListCell *clause;
	ListCell *strategy;

	state->descending = boolVal(list_nth(plan->fdw_private, SM_PLAN_DESCENDING));
	forboth(clause, plan->fdw_exprs, strategy,
			(List *) list_nth(plan->fdw_private, SM_PLAN_STRATEGIES))
	{
		range_bound *bound = palloc(sizeof(range_bound));
		Expr *operand = lsecond(lfirst_node(OpExpr, clause)->args);

		bound->operand = ExecInitExpr(operand, &node->ss.ps);
		bound->type = exprType((Node *) operand);
		bound->strategy = lfirst_int(strategy);
		state->bounds = lappend(state->bounds, bound);
		state->bounds_change |= sm_has_exec_param((Node *) operand, NULL);
	}
	state->evaluation = make_context();
}

/*
 * The bytes of a key that an expression of a type gave, which may be another kind of
 * integer.  Returns 0; or if no key of the map can be that, less than 0 if all are
 * greater, and more if all are less.
 */
static int
operand_bytes(const scan_state *state, Oid from, Datum datum, uint64 *room,
			  sm_bytes *bytes)
{
	Oid type = state->types.key_type;

	if (from != type)
	{
		int64 n;

		switch (from)
		{
			case INT2OID:
				n = DatumGetInt16(datum);
				break;
			case INT4OID:
				n = DatumGetInt32(datum);
				break;
			case INT8OID:
				n = DatumGetInt64(datum);
				break;
			default:
				n = 0; /* a type whose form is the key's */
				break;
		}
		if (type == INT2OID)
		{
			if (n < PG_INT16_MIN || n > PG_INT16_MAX)
				return n < 0 ? -1 : 1;
			datum = Int16GetDatum((int16) n);
		}
		else if (type == INT4OID)
		{
			if (n < PG_INT32_MIN || n > PG_INT32_MAX)
				return n < 0 ? -1 : 1;
			datum = Int32GetDatum((int32) n);
		}
		else if (type == INT8OID)
			datum = Int64GetDatum(n);
	}
	*bytes = sm_key_bytes(type, datum, room);
	return 0;
}

/* ---- ranges ---- */

/* Puts a clause to a range.  False if no key can satisfy it. */
static bool
apply_bound(const scan_state *state, const range_bound *bound, Datum datum,
			sm_bounds *bounds)
{
	bool from = bound->strategy >= BTEqualStrategyNumber;
	bool to = bound->strategy <= BTEqualStrategyNumber;
	bool inclusive = bound->strategy != BTLessStrategyNumber &&
		bound->strategy != BTGreaterStrategyNumber;
	sm_bytes key;
	int outside =
		operand_bytes(state, bound->type, datum, palloc(sizeof(uint64)), &key);

	/* all keys are on one side of it */
	if (outside != 0)
		return outside < 0 ? !to : !from;
	if (from)
		sm_bounds_from(bounds, key, inclusive);
	if (to)
		sm_bounds_to(bounds, key, inclusive);
	return true;
}

/*
 * Finds out what range of keys is wanted.  False if no key can be in it.  What the
 * bounds stand in stays until a rescan.
 */
static bool
evaluate_range(ForeignScanState *node, scan_state *state, sm_bounds *bounds)
{
	MemoryContext old;
	ListCell *cell;
	bool possible = true;
	bool isnull;

	if (state->bounds == NIL)
		return true;
	MemoryContextReset(state->evaluation);
	old = MemoryContextSwitchTo(state->evaluation);
	foreach (cell, state->bounds)
	{
		const range_bound *bound = lfirst(cell);
		Datum datum = ExecEvalExpr(bound->operand, node->ss.ps.ps_ExprContext, &isnull);

		possible = !isnull && apply_bound(state, bound, datum, bounds);
		if (!possible)
			break;
	}
	MemoryContextSwitchTo(old);
	return possible;
}

/*
 * Makes a scan, of all keys or of a range, in the map as it is by now: bounds may have
 * run somebody's code, and so may have whatever came between BEGIN and this.
 */
static void
make_scan(ForeignScanState *node, scan_state *state, bool snapshot,
		  const sm_bounds *bounds, uint64 max_rows)
{
	sm_ref *ref = sm_ref_get(state->relid, 0);
	bool consistent = snapshot || ref->consistent;
	sm_scan_spec spec = {.bounds = *bounds,
						 .ordered = state->access == SM_RANGE,
						 .descending = state->descending,
						 .consistent = consistent,
						 .rewinds = consistent,
						 .rebounds = state->bounds_change,
						 .max_rows = max_rows};
	MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);

	sm_ref_check_types(ref, &state->types);
	sm_scan_start(&state->scan, ref, &spec);
	MemoryContextSwitchTo(old);
	state->scanning = true;
}

/* Starts a scan, or goes on with a snapshot after a rescan. */
static void
start_scan(ForeignScanState *node, scan_state *state)
{
	sm_bounds bounds = {0};
	uint64 max_rows = evaluate_range(node, state, &bounds) ? SM_ALL_ROWS : 0;

	if (state->scanning)
		sm_scan_rewind(&state->scan, &bounds, max_rows);
	else
		make_scan(node, state, false, &bounds, max_rows);
	state->evaluated = true;
}

/*
 * Takes the snapshot that a statement reads which may put keys into the map, before it
 * has put any.
 */
static void
take_snapshot(ForeignScanState *node, scan_state *state)
{
	sm_bounds bounds = {0};
	uint64 max_rows = SM_ALL_ROWS;

	if (!state->bounds_change && !evaluate_range(node, state, &bounds))
		max_rows = 0;
	make_scan(node, state, true, &bounds, max_rows);
	if (max_rows > 0)
		sm_scan_take_snapshot(&state->scan);
}

/* ---- lookups ---- */

static int
compare_keys(const void *a, const void *b)
{
	return sm_key_compare(*(const sm_bytes *) a, *(const sm_bytes *) b);
}

/* The keys of an array, each once, but those that are too long to be there. */
static void
take_array(scan_state *state, ArrayType *array)
{
	int16 len;
	bool byval;
	char align;
	Datum *elements;
	bool *nulls;
	int length;
	int unique = 0;
	uint64 *rooms;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), len, byval, align, &elements, &nulls,
					  &length);
	state->keys = palloc(length * sizeof(sm_bytes));
	rooms = palloc(length * sizeof(uint64));
	for (int i = 0; i < length; i++)
	{
		if (!nulls[i] &&
			operand_bytes(state, state->operand_type, elements[i], &rooms[i],
						  &state->keys[state->nkeys]) == 0 &&
			state->keys[state->nkeys].len <= SM_MAX_KEY)
			state->nkeys++;
	}
	qsort(state->keys, (size_t) state->nkeys, sizeof(sm_bytes), compare_keys);
	for (int i = 0; i < state->nkeys; i++)
	{
		if (i == 0 || compare_keys(&state->keys[unique - 1], &state->keys[i]) != 0)
			state->keys[unique++] = state->keys[i];
	}
	state->nkeys = unique;
}

/* Finds out what keys are to be looked up.  What they stand in stays until a rescan. */
static void
evaluate(ForeignScanState *node, scan_state *state)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	MemoryContext old;
	bool isnull;
	Datum datum;

	state->evaluated = true;
	state->nkeys = 0;
	state->next = 0;
	if (!state->is_array)
	{
		datum = ExecEvalExpr(state->operand, econtext, &isnull);
		state->keys = &state->one;
		if (!isnull &&
			operand_bytes(state, state->operand_type, datum, &state->room,
						  &state->one) == 0)
			state->nkeys = 1;
		return;
	}

	MemoryContextReset(state->evaluation);
	old = MemoryContextSwitchTo(state->evaluation);
	datum = ExecEvalExpr(state->operand, econtext, &isnull);
	if (!isnull)
		take_array(state, DatumGetArrayTypeP(datum));
	MemoryContextSwitchTo(old);
}

/* Looks the next keys up until one is there.  False if there is none. */
static bool
next_lookup(ForeignScanState *node, scan_state *state, sm_row *row)
{
	sm_call *call = &state->call;

	if (!state->evaluated)
		evaluate(node, state);
	while (state->next < state->nkeys && sm_guc_enabled)
	{
		int i = state->next++;

		CHECK_FOR_INTERRUPTS();
		row->key = state->keys[i];
		state->lookups++;
		if (row->key.len > SM_MAX_KEY || sm_is_noted(state->relid, row->key))
			continue;
		sm_call_begin(call, state->relid, &state->types);
		if (state->nkeys > 1 && i % SM_AHEAD == 0)
			sm_prefetch(&call->ref->map, &state->keys[i],
						Min(state->nkeys - i, SM_AHEAD));
		while (!sm_call_done(call,
							 sm_get_expiry(&call->ref->map, row->key,
										   state->with_value ? &call->value : NULL,
										   &row->expires)))
			;
		if (call->status == SM_FOUND)
		{
			state->hits++;
			row->value = (sm_bytes) {call->value.data, call->value.len};
			return true;
		}
	}
	return false;
}

/*
 * Looks all keys up and keeps what is found, for a statement that may put some of them.
 * They do not depend on a parameter, so this holds for every rescan.
 */
static void
collect(ForeignScanState *node, scan_state *state)
{
	sm_scan_spec spec = {.rewinds = true, .max_rows = SM_ALL_ROWS};
	MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
	sm_row row;

	state->collected = sm_rows_make(&spec, false);
	MemoryContextSwitchTo(old);
	while (next_lookup(node, state, &row))
	{
		sm_rows_put(state->collected, &row, false);
		sm_call_free_value(&state->call);
	}
	sm_rows_finish(state->collected);
}

/* ---- what is read before the statement writes ---- */

/* Reads all that the scan may give, before the statement has written any. */
static void
read_now(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;

	if (state->access == SM_LOOKUP)
		collect(node, state);
	else
		take_snapshot(node, state);
}

/* A place of a statement where a map is read that it also changes. */
typedef struct own_read
{
	ForeignScanState *node;
	MemoryContextCallback callback; /* at the statement's end */
	struct own_read *next;
} own_read;

static own_read *own_reads = NULL; /* of all statements that are under way */

static void
forget_read(void *read)
{
	own_read **link = &own_reads;

	while (*link != read)
		link = &(*link)->next;
	*link = (*link)->next;
}

static void
remember_read(ForeignScanState *node)
{
	MemoryContext context = node->ss.ps.state->es_query_cxt;
	own_read *read = MemoryContextAllocZero(context, sizeof(own_read));

	read->node = node;
	read->callback.func = forget_read;
	read->callback.arg = read;
	read->next = own_reads;
	own_reads = read;
	MemoryContextRegisterResetCallback(context, &read->callback);
}

/*
 * What is to be changed has been read just now, and will be compared with what is there then.
 * So whatever the statement reads of the map elsewhere must not be older: what a change of
 * others has come after would be lost (W1).
 */
static void
read_others_again(const ForeignScanState *target)
{
	Oid relid = RelationGetRelid(target->ss.ss_currentRelation);

	for (own_read *read = own_reads; read != NULL; read = read->next)
	{
		scan_state *state = read->node->fdw_state;

		if (read->node->ss.ps.state != target->ss.ps.state || state->relid != relid)
			continue;
		if (state->collected != NULL)
			sm_rows_end(state->collected);
		if (state->scanning)
			sm_scan_end(&state->scan);
		state->collected = NULL;
		state->scanning = false;
		state->evaluated = false;
		read_now(read->node);
	}
}

/* ---- what the executor calls ---- */

/* BeginForeignScan. */
void
sm_fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	scan_state *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	node->fdw_state = state = palloc0(sizeof(scan_state));
	state->relid = RelationGetRelid(node->ss.ss_currentRelation);
	state->call.ref = sm_ref_get(state->relid, 0);
	state->types = state->call.ref->types;
	state->call.version = state->call.ref->version;
	state->has_ttl = state->call.ref->has_ttl;
	state->with_value = boolVal(list_nth(plan->fdw_private, SM_PLAN_VALUES));
	state->access = (sm_access) intVal(list_nth(plan->fdw_private, SM_PLAN_ACCESS));
	if (state->access == SM_LOOKUP)
		begin_lookup(node, state, linitial(plan->fdw_exprs));
	else if (state->access == SM_RANGE)
		begin_range(node, state, plan);

	if (!boolVal(list_nth(plan->fdw_private, SM_PLAN_MEETS_OWN)))
		return;
	read_now(node);
	if (boolVal(list_nth(plan->fdw_private, SM_PLAN_IS_TARGET)))
		read_others_again(node);
	else
		remember_read(node);
}

/* Adds what was looked up to EXPLAIN's counts, which are not there yet at the start. */
static void
count_lookups(ForeignScanState *node, scan_state *state)
{
	Instrumentation *counts = node->ss.ps.instrument;

	if (counts != NULL)
	{
		SM_LOOKUPS(counts) += (double) state->lookups;
		SM_HITS(counts) += (double) state->hits;
	}
	state->lookups = state->hits = 0;
}

/* IterateForeignScan, in memory that lasts for the row. */
TupleTableSlot *
sm_fdw_next(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	sm_row row;
	bool found;
	bool label;

	ExecClearTuple(slot);
	if (state->collected != NULL)
		found = sm_rows_next(state->collected, &row, &label);
	else if (state->access == SM_LOOKUP)
		found = next_lookup(node, state, &row);
	else
	{
		if (!state->evaluated)
			start_scan(node, state);
		found = sm_scan_next(&state->scan, &row);
	}
	if (state->lookups > 0)
		count_lookups(node, state);
	if (!found)
		return slot;

	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	sm_fill_row(&state->types, slot->tts_tupleDescriptor, &row, state->with_value,
				state->has_ttl, slot->tts_values, slot->tts_isnull);
	return ExecStoreVirtualTuple(slot);
}

/* ReScanForeignScan. */
void
sm_fdw_rescan(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;

	if (state->collected != NULL)
	{
		sm_rows_rewind(state->collected);
		return;
	}
	state->evaluated = false;
	if (state->scanning && !state->scan.source.spec.consistent)
	{
		sm_scan_end(&state->scan);
		state->scanning = false;
	}
}

/* EndForeignScan. */
void
sm_fdw_end_scan(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;

	if (state == NULL)
		return;
	if (state->scanning)
		sm_scan_end(&state->scan);
	if (state->collected != NULL)
		sm_rows_end(state->collected);
	if (state->evaluation != NULL)
		MemoryContextDelete(state->evaluation);
}
