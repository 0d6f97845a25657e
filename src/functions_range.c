/*
 * functions_range.c
 *	  The SQL functions on a range of a map's keys.
 *
 * The function range, in SQL, calls range_rows in a target list, where rows are
 * handed on as they come; in FROM they would be collected first.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "args.h"
#include "row.h"
#include "scan.h"

SM_FUNCTION(syncmap_range_rows);
SM_FUNCTION(syncmap_delete_range);

/* The arguments of both. */
enum
{
	ARG_MAP,
	ARG_LOW,
	ARG_HIGH,
	ARG_LOW_INCLUSIVE,
	ARG_HIGH_INCLUSIVE,
	ARG_PREFIX,
	ARG_MAX_ROWS,
	/* range_rows only */
	ARG_DESCENDING,
	ARG_CONSISTENT
};

/* ---- arguments ---- */

/*
 * Argument number n as a key's bytes, in memory of the current context.  A bound need not be
 * a key that the map could have: it is not cut, rounded, or refused, for being longer or finer
 * than these.
 */
static sm_bytes
key_argument(FunctionCallInfo fcinfo, Oid type, int n)
{
	sm_input *input =
		sm_argument_input(PG_GETARG_OID(ARG_MAP), "key", sm_argument_type(fcinfo, n),
						  type, -1, CurrentMemoryContext);
	Datum key = sm_input_convert(input, PG_GETARG_DATUM(n));
	uint64 room;
	sm_bytes bytes = sm_key_bytes(type, key, &room);

	bytes.data = memcpy(palloc(bytes.len + 1), bytes.data, bytes.len);
	return bytes;
}

static bool
flag_argument(FunctionCallInfo fcinfo, int n, bool otherwise)
{
	return PG_ARGISNULL(n) ? otherwise : PG_GETARG_BOOL(n);
}

/*
 * Which keys a call is about, in memory of the current context.  Runs conversions, and
 * so perhaps somebody's code.  Errors: 42804 a bound's type is not the key's and does not
 * convert to it, or keys of that type have no prefix; what the conversion raises.
 */
static void
read_bounds(FunctionCallInfo fcinfo, Oid key_type, sm_bounds *bounds)
{
	*bounds = (sm_bounds) {0};
	if (!PG_ARGISNULL(ARG_PREFIX) && !sm_is_string_key(key_type) &&
		key_type != BYTEAOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("keys of type %s have no prefix", format_type_be(key_type)),
				 errhint("Use \"low\" and \"high\".")));
	if (!PG_ARGISNULL(ARG_LOW))
		sm_bounds_from(bounds, key_argument(fcinfo, key_type, ARG_LOW),
					   flag_argument(fcinfo, ARG_LOW_INCLUSIVE, true));
	if (!PG_ARGISNULL(ARG_HIGH))
		sm_bounds_to(bounds, key_argument(fcinfo, key_type, ARG_HIGH),
					 flag_argument(fcinfo, ARG_HIGH_INCLUSIVE, false));
	if (!PG_ARGISNULL(ARG_PREFIX))
		sm_bounds_prefix(bounds, key_argument(fcinfo, key_type, ARG_PREFIX));
}

/*
 * The map in argument 0, once its bounds have been read.  Errors: see sm_ref_resolve and
 * read_bounds; 40001 a conversion altered the map.
 */
static sm_ref *
read_arguments(FunctionCallInfo fcinfo, AclMode acl, sm_bounds *bounds)
{
	Oid relid = PG_GETARG_OID(ARG_MAP);
	sm_ref *ref = sm_ref_get(relid, acl);
	sm_types types = ref->types;

	if ((acl & SM_ACL_CHANGE) != 0)
		sm_check_writable(fcinfo);
	read_bounds(fcinfo, types.key_type, bounds);
	ref = sm_ref_get(relid, acl);
	sm_ref_check_types(ref, &types);
	return ref;
}

/* How many rows the call may have.  Errors: 2201W less than none. */
static uint64
read_max_rows(FunctionCallInfo fcinfo)
{
	int64 max_rows;

	if (PG_ARGISNULL(ARG_MAX_ROWS))
		return SM_ALL_ROWS;
	max_rows = PG_GETARG_INT64(ARG_MAX_ROWS);
	if (max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
				 errmsg("argument \"%s\" must not be negative", "max_rows")));
	return (uint64) max_rows;
}

static bool
has_bounds(const sm_bounds *bounds)
{
	return bounds->low.key.data != NULL || bounds->high.key.data != NULL;
}

/* ---- range_rows ---- */

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
	bool has_ttl;
	text_column key;
	text_column value;
	ExprContext *econtext;
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

/* A key as text; a char(n) as a cast makes it, which leaves its blanks out. */
static Datum
key_of(range_call *call, sm_bytes key)
{
	if (sm_is_string_key(call->types.key_type))
		return sm_varlena_datum(key);
	return text_of(&call->key, sm_key_datum(&call->types, key));
}

static Datum
value_of(const range_call *call, const sm_row *row)
{
	if (sm_is_row(&call->types))
		return sm_row_datum(&call->types, row->key, row->value, row->expires,
							call->has_ttl);
	return sm_value_datum(&call->types, row->value);
}

/* An ExprContextCallbackFunction: the query wants no more rows. */
static void
end_call(Datum arg)
{
	range_call *call = (range_call *) DatumGetPointer(arg);

	sm_scan_end(&call->scan);
}

static range_call *
start(FunctionCallInfo fcinfo, FuncCallContext *context)
{
	/* without a call site, since fn_extra belongs to the scan */
	sm_ref *ref;
	range_call *call = palloc0(sizeof(range_call));
	sm_scan_spec spec = {.max_rows = read_max_rows(fcinfo),
						 .descending = flag_argument(fcinfo, ARG_DESCENDING, false),
						 .consistent = flag_argument(fcinfo, ARG_CONSISTENT, false)};
	TupleDesc row;

	ref = read_arguments(fcinfo, ACL_SELECT, &spec.bounds);
	spec.ordered = has_bounds(&spec.bounds) || spec.max_rows != SM_ALL_ROWS ||
		!PG_ARGISNULL(ARG_DESCENDING);
	sm_scan_start(&call->scan, ref, &spec);
	call->types = ref->types;
	call->has_ttl = ref->has_ttl;
	prepare_column(&call->key, ref->types.key_type, CurrentMemoryContext);
	prepare_column(&call->value, ref->types.value_type, CurrentMemoryContext);

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	context->tuple_desc = BlessTupleDesc(row);

	call->econtext = ((ReturnSetInfo *) fcinfo->resultinfo)->econtext;
	RegisterExprContextCallback(call->econtext, end_call, PointerGetDatum(call));
	return call;
}

/*
 * range_rows(map, low, high, low_inclusive, high_inclusive, prefix, max_rows,
 * descending, consistent, OUT key text, OUT value text) returns setof record.  In the
 * order of keys if anything of it is asked for, but consistent, which is a snapshot.
 * Needs SELECT.
 *
 * Errors: see read_bounds and read_max_rows; 72000 the snapshot was lost.
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
		if (PG_ARGISNULL(ARG_MAP))
			SRF_RETURN_DONE(context);
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = start(fcinfo, context);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	call = context->user_fctx;

	if (!sm_scan_next(&call->scan, &row))
	{
		UnregisterExprContextCallback(call->econtext, end_call, PointerGetDatum(call));
		sm_scan_end(&call->scan);
		SRF_RETURN_DONE(context);
	}
	values[0] = key_of(call, row.key);
	values[1] = text_of(&call->value, value_of(call, &row));
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(
						heap_form_tuple(context->tuple_desc, values, nulls)));
}

/* ---- delete_range ---- */

/*
 * delete_range(map, low, high, low_inclusive, high_inclusive, prefix, max_rows)
 * returns bigint: how many keys were removed, with max_rows the first ones.  Needs
 * DELETE.
 *
 * Errors: 22004 map is NULL; see read_bounds and read_max_rows.
 */
Datum
syncmap_delete_range(PG_FUNCTION_ARGS)
{
	sm_scan_spec spec = {.max_rows = read_max_rows(fcinfo)};
	sm_call call = {.ref = NULL};
	sm_scan scan;
	sm_row row;
	int64 deleted = 0;

	sm_check_not_null(fcinfo, ARG_MAP, "map");
	call.ref = read_arguments(fcinfo, ACL_DELETE, &spec.bounds);
	if (!sm_guc_enabled)
		PG_RETURN_NULL();

	/* the order of keys helps to find them, where there is one */
	spec.ordered = spec.max_rows != SM_ALL_ROWS ||
		(has_bounds(&spec.bounds) && sm_map_is_ordered(&call.ref->map));
	sm_scan_start(&scan, call.ref, &spec);
	while (sm_scan_next(&scan, &row))
	{
		sm_call_prepare(&call);
		while (!sm_call_done(&call, sm_delete(&call.ref->map, row.key)))
			;
		if (call.status == SM_FOUND)
			deleted++;
	}
	sm_scan_end(&scan);
	PG_RETURN_INT64(deleted);
}
