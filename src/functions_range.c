/*
 * functions_range.c
 *	  range_rows: all pairs of a map, a row at a time.
 *
 * The engine copies the pairs of some buckets into a buffer of ours, from
 * which rows are made; nothing is locked or pinned in between, so that a query
 * may take as long as it likes, or never come back.
 *
 * The function range, in SQL, calls this one in a target list, where rows are
 * handed on as they come; in FROM they would be collected first.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "functions.h"

SM_FUNCTION(syncmap_range_rows);

#define FIRST_BUFFER_SIZE (64 * 1024)

/* One scan, in multi_call_memory_ctx. */
typedef struct sm_scan
{
	sm_map map; /* a handle of its own */
	sm_cursor cursor;
	sm_buffer pairs; /* what the engine copied last */
	size_t position; /* of the next pair in there */
	bool done;
} sm_scan;

static sm_scan *
start_scan(FunctionCallInfo fcinfo, FuncCallContext *context)
{
	/* without sm_ref_get, since fn_extra belongs to the scan */
	sm_ref *ref = sm_ref_resolve(PG_GETARG_OID(0), ACL_SELECT);
	sm_scan *scan;
	TupleDesc row;

	scan = palloc0(sizeof(sm_scan));
	scan->map = ref->map;
	scan->map.reads = (sm_reads) {0};
	scan->done = !sm_guc_enabled;
	scan->pairs.data = palloc(FIRST_BUFFER_SIZE);
	scan->pairs.size = FIRST_BUFFER_SIZE;

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context->tuple_desc = BlessTupleDesc(row);

	return scan;
}

/* Fills the buffer again; sets done when nothing is left. */
static void
next_pairs(sm_scan *scan)
{
	scan->pairs.len = 0;
	scan->position = 0;
	while (!scan->done && scan->pairs.len == 0)
	{
		CHECK_FOR_INTERRUPTS();
		switch (sm_range(&scan->map, &scan->cursor, &scan->pairs))
		{
			case SM_FOUND:
				break;
			case SM_TOO_SMALL:
			{
				size_t size = scan->pairs.len;

				/* values may be larger than palloc allows */
				pfree(scan->pairs.data);
				scan->pairs.data = NULL;
				scan->pairs.data = MemoryContextAllocHuge(CurrentMemoryContext, size);
				scan->pairs.size = size;
				scan->pairs.len = 0;
				break;
			}
			default:
				/* SM_ABSENT, or a map that is gone */
				scan->pairs.len = 0;
				scan->done = true;
		}
	}
}

static Datum
next_row(sm_scan *scan, TupleDesc row)
{
	char *at = (char *) scan->pairs.data + scan->position;
	sm_pair *pair = (sm_pair *) at;
	char *key = at + sizeof(sm_pair);
	char *value = key + sm_pad(pair->key_len);
	Datum values[2];
	bool nulls[2] = {false, false};

	scan->position += sizeof(sm_pair) + sm_pad(pair->key_len) + sm_pad(pair->value_len);
	values[0] = PointerGetDatum(cstring_to_text_with_len(key, pair->key_len));
	values[1] = PointerGetDatum(cstring_to_text_with_len(value, pair->value_len));
	return HeapTupleGetDatum(heap_form_tuple(row, values, nulls));
}

/*
 * range_rows(map, OUT key text, OUT value text) returns setof record.  Needs
 * SELECT.
 */
Datum
syncmap_range_rows(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	sm_scan *scan;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = start_scan(fcinfo, context);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	scan = context->user_fctx;

	if (scan->position >= scan->pairs.len)
	{
		MemoryContext old;

		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		next_pairs(scan);
		MemoryContextSwitchTo(old);
	}
	if (scan->done)
		SRF_RETURN_DONE(context);
	SRF_RETURN_NEXT(context, next_row(scan, context->tuple_desc));
}
