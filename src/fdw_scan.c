/*
 * fdw_scan.c
 *	  Reading a map as a table: lookups, scans, EXPLAIN, ANALYZE.
 *
 * A scan copies pairs out a buffer at a time (scan.c), a lookup one: nothing is
 * locked in between, and no snapshot applies.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/sampling.h"

#include "fdw.h"

typedef struct scan_state
{
	Oid relid;
	sm_types types;
	bool with_value;
	sm_call call;

	/* a scan of all */
	bool scanning;
	sm_scan scan;

	/* a lookup of keys */
	ExprState *operand; /* NULL: it is a scan */
	Oid operand_type;	/* of one key */
	bool is_array;
	bool evaluated;
	sm_bytes one; /* where there is only one */
	sm_bytes *keys;
	int nkeys;
	int next;
	MemoryContext keys_context; /* of what the array was made to */
	uint64 lookups;
	uint64 hits;
} scan_state;

/* BeginForeignScan. */
void
sm_fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	scan_state *state;
	Node *clause;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	node->fdw_state = state = palloc0(sizeof(scan_state));
	state->relid = RelationGetRelid(node->ss.ss_currentRelation);
	state->call.ref = sm_ref_last;
	if (!sm_ref_fits(state->call.ref, state->relid, SM_ACL_MAP))
		sm_ref_last = state->call.ref = sm_ref_resolve(state->relid, 0, false);
	state->types = state->call.ref->types;
	state->with_value = intVal(linitial(plan->fdw_private)) != 0;

	if (plan->fdw_exprs == NIL)
		return;
	clause = linitial(plan->fdw_exprs);
	state->is_array = IsA(clause, ScalarArrayOpExpr);
	state->operand =
		ExecInitExpr(state->is_array ? lsecond(((ScalarArrayOpExpr *) clause)->args) :
									   lsecond(((OpExpr *) clause)->args),
					 &node->ss.ps);
	state->operand_type = exprType((Node *) state->operand->expr);
	if (state->is_array)
	{
		state->operand_type = get_base_element_type(state->operand_type);
		state->keys_context =
			AllocSetContextCreate(CurrentMemoryContext, "syncmap lookup",
								  ALLOCSET_DEFAULT_SIZES);
	}
}

/* ---- lookups ---- */

/*
 * The bytes of a key that an expression gave, which may be another kind of integer.
 * False if no key of the map can be that.
 */
static bool
operand_bytes(const scan_state *state, Datum datum, uint64 *room, sm_bytes *bytes)
{
	Oid type = state->types.key_type;

	if (state->operand_type != type)
	{
		int64 n;

		switch (state->operand_type)
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
		if (type == INT4OID)
		{
			if (n < PG_INT32_MIN || n > PG_INT32_MAX)
				return false;
			datum = Int32GetDatum((int32) n);
		}
		else if (type == INT8OID)
			datum = Int64GetDatum(n);
	}
	*bytes = sm_key_bytes(type, datum, room);
	return bytes->len <= SM_MAX_KEY;
}

static int
compare_keys(const void *a, const void *b)
{
	const sm_bytes *x = a;
	const sm_bytes *y = b;
	int order = memcmp(x->data, y->data, Min(x->len, y->len));

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* The keys of an array, each once. */
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
			operand_bytes(state, elements[i], &rooms[i], &state->keys[state->nkeys]))
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
		if (!isnull && operand_bytes(state, datum, &state->call.room[0], &state->one))
			state->nkeys = 1;
		return;
	}

	MemoryContextReset(state->keys_context);
	old = MemoryContextSwitchTo(state->keys_context);
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
		CHECK_FOR_INTERRUPTS();
		row->key = state->keys[state->next++];
		state->lookups++;
		sm_call_begin(call, state->relid, &state->types);
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

/* ---- what the executor calls ---- */

/* IterateForeignScan, in memory that lasts for the row. */
TupleTableSlot *
sm_fdw_next(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	sm_row row;
	bool found;

	ExecClearTuple(slot);
	if (state->operand != NULL)
		found = next_lookup(node, state, &row);
	else
	{
		if (!state->scanning)
		{
			MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);

			sm_scan_start(&state->scan, state->call.ref);
			state->scanning = true;
			MemoryContextSwitchTo(old);
		}
		found = sm_scan_next(&state->scan, &row);
	}
	if (!found)
		return slot;

	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	sm_fill_row(&state->types, &row, state->with_value, slot->tts_values,
				slot->tts_isnull);
	return ExecStoreVirtualTuple(slot);
}

/* ReScanForeignScan. */
void
sm_fdw_rescan(ForeignScanState *node)
{
	scan_state *state = node->fdw_state;

	state->evaluated = false;
	if (state->scanning)
		sm_scan_restart(&state->scan);
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
	if (state->keys_context != NULL)
		MemoryContextDelete(state->keys_context);
}

/* ExplainForeignScan: what is looked up, and how often it was there. */
void
sm_fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	scan_state *state = node->fdw_state;
	List *context;

	if (plan->fdw_exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
	ExplainPropertyText("Lookup",
						deparse_expression(linitial(plan->fdw_exprs), context,
										   list_length(es->rtable) > 1 || es->verbose,
										   false),
						es);
	if (es->analyze)
	{
		ExplainPropertyInteger("Lookups", NULL, (int64) state->lookups, es);
		ExplainPropertyInteger("Hits", NULL, (int64) state->hits, es);
	}
}

/* ---- ANALYZE ---- */

static HeapTuple
form_tuple(Relation relation, const sm_types *types, const sm_row *row)
{
	TupleDesc desc = RelationGetDescr(relation);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple tuple;

	memset(nulls, true, desc->natts * sizeof(bool));
	sm_fill_row(types, row, true, values, nulls);
	tuple = heap_form_tuple(desc, values, nulls);
	pfree(values);
	pfree(nulls);
	return tuple;
}

/* An AcquireSampleRowsFunc: a random sample of all pairs (Vitter's algorithm S). */
static int
acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	sm_ref *ref = sm_ref_resolve(RelationGetRelid(relation), 0, false);
	sm_types types = ref->types;
	sm_scan scan;
	sm_row row;
	ReservoirStateData reservoir;
	double seen = 0;
	double to_skip = -1;
	int nrows = 0;

	reservoir_init_selection_state(&reservoir, targrows);
	sm_scan_start(&scan, ref);
	for (; sm_scan_next(&scan, &row); seen++)
	{
		int place = nrows;

		if (nrows < targrows)
			nrows++;
		else
		{
			if (to_skip < 0)
				to_skip = reservoir_get_next_S(&reservoir, seen, targrows);
			if (to_skip-- > 0)
				continue;
			place = (int) (targrows * sampler_random_fract(&reservoir.randstate));
			heap_freetuple(rows[place]);
		}
		rows[place] = form_tuple(relation, &types, &row);
	}
	sm_scan_end(&scan);

	*totalrows = seen;
	*totaldeadrows = 0;
	return nrows;
}

/* AnalyzeForeignTable. */
bool
sm_fdw_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	sm_ref *ref = sm_ref_resolve(RelationGetRelid(relation), 0, false);

	*func = acquire_sample_rows;
	*totalpages = (BlockNumber) (sm_map_pages(&ref->map) * SM_PAGE_SIZE / BLCKSZ) + 1;
	return true;
}
