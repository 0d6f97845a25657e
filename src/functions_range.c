/*
 * functions_range.c
 *	  range_rows: all pairs of a map, a row at a time.
 *
 * The function range, in SQL, calls this one in a target list, where rows are
 * handed on as they come; in FROM they would be collected first.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "functions.h"
#include "scan.h"

SM_FUNCTION(syncmap_range_rows);

/* A column of text of a type's values. */
typedef struct text_column
{
	Oid type;
	FmgrInfo output;
} text_column;

/* In multi_call_memory_ctx. */
typedef struct range_call
{
	sm_scan scan;
	sm_types types;
	text_column key;
	text_column value;
} range_call;

static void
prepare_column(text_column *column, Oid type, MemoryContext context)
{
	Oid output;
	bool is_varlena;

	column->type = type;
	getTypeOutputInfo(type, &output, &is_varlena);
	fmgr_info_cxt(output, &column->output, context);
}

static Datum
text_of(text_column *column, Datum datum)
{
	if (column->type == TEXTOID)
		return datum;
	return PointerGetDatum(cstring_to_text(OutputFunctionCall(&column->output, datum)));
}

static range_call *
start(FunctionCallInfo fcinfo, FuncCallContext *context)
{
	/* without a call site, since fn_extra belongs to the scan */
	sm_ref *ref = sm_ref_resolve(PG_GETARG_OID(0), ACL_SELECT, false);
	range_call *call = palloc0(sizeof(range_call));
	TupleDesc row;

	sm_scan_start(&call->scan, ref);
	call->types = ref->types;
	prepare_column(&call->key, ref->types.key_type, CurrentMemoryContext);
	prepare_column(&call->value, ref->types.value_type, CurrentMemoryContext);

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context->tuple_desc = BlessTupleDesc(row);

	return call;
}

/*
 * range_rows(map, OUT key text, OUT value text) returns setof record.  Needs
 * SELECT.
 */
Datum
syncmap_range_rows(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	range_call *call;
	sm_row row;
	Datum values[2];
	bool nulls[2] = {false, false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = start(fcinfo, context);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	call = context->user_fctx;

	if (!sm_scan_next(&call->scan, &row))
		SRF_RETURN_DONE(context);
	values[0] = text_of(&call->key, sm_key_datum(call->types.key_type, row.key));
	values[1] = text_of(&call->value, sm_value_datum(&call->types, row.value));
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(
						heap_form_tuple(context->tuple_desc, values, nulls)));
}
