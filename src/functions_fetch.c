/*
 * functions_fetch.c
 *	  The SQL functions that read a map through to the tables behind it.
 *
 * fetch has the map's loader compute what is missing, and fetch_stale gives what was there
 * before while another session does; fetch_query computes it by the caller's query; lease and
 * put_leased are for a client that computes values itself.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/expandeddatum.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fetch.h"
#include "lease.h"

SM_FUNCTIONS(syncmap_fetch);
SM_FUNCTIONS(syncmap_fetch_stale);
SM_FUNCTION(syncmap_fetch_query);
SM_FUNCTION(syncmap_lease);
SM_FUNCTIONS(syncmap_put_leased);

/*
 * fetch(map, key) returns text, fetch(map, key, as) a value of that type: what the map
 * has, or its loader gives; NULL if that gives nothing.  Needs SELECT.
 *
 * Errors: 55000 the key is not there, and the map has no loader; what the loader raises;
 * 21000 it gives more than one row.
 */
static pg_attribute_always_inline Datum
do_fetch(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_call call;
	sm_args args;
	sm_bytes key;
	bool enabled;

	if (entry == SM_TYPED_ENTRY && (PG_ARGISNULL(0) || PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	enabled = sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry);
	key = sm_args_key(&args);
	sm_args_check_result(&args, entry == SM_TYPED_ENTRY && PG_NARGS() > 2 ? 2 : 0);
	if (!sm_fetch(&args, key, NULL, enabled, NULL))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_fetch, do_fetch)

/* The row type of fetch_stale's result, the same for all calls on text. */
static TupleDesc
text_row(void)
{
	static TupleDesc row = NULL;

	if (row == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc desc = CreateTemplateTupleDesc(2);

		TupleDescInitEntry(desc, 1, "value", TEXTOID, -1, 0);
		TupleDescInitEntry(desc, 2, "is_stale", BOOLOID, -1, 0);
		row = BlessTupleDesc(desc);
		MemoryContextSwitchTo(old);
	}
	return row;
}

/*
 * fetch_stale(map, key, OUT value text, OUT is_stale boolean), fetch_stale(map, key, as, OUT
 * value, OUT is_stale): what fetch returns, and false; or, while another session computes
 * that, what the map had before the key was invalidated, and true.  Needs SELECT.
 *
 * Errors: see fetch.
 */
static pg_attribute_always_inline Datum
do_fetch_stale(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_call call;
	sm_args args;
	sm_bytes key;
	bool enabled;
	bool is_stale = false;
	TupleDesc row;
	Datum values[2] = {0};
	bool nulls[2] = {false, false};

	if (entry == SM_TYPED_ENTRY && (PG_ARGISNULL(0) || PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	enabled = sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry);
	key = sm_args_key(&args);
	sm_args_check_result(&args, entry == SM_TYPED_ENTRY && PG_NARGS() > 2 ? 2 : 0);
	row = args.site == NULL ? text_row() : sm_site_row(&args);
	nulls[0] = !sm_fetch(&args, key, NULL, enabled, &is_stale);
	if (!nulls[0])
		values[0] = sm_args_result(&args);
	values[1] = BoolGetDatum(is_stale);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(row, values, nulls)));
}

SM_ENTRIES(syncmap_fetch_stale, do_fetch_stale)

/* ---- a caller's query ---- */

/* Argument number n of a function, as a parameter of a query: a literal is text. */
static void
take_argument(FunctionCallInfo fcinfo, int n, Oid *type, Datum *value, bool *isnull)
{
	*type = sm_argument_type(fcinfo, n);
	*isnull = PG_ARGISNULL(n);
	/* a query may use it more than once, so nobody may change it in its place */
	*value = *isnull ?
		(Datum) 0 :
		MakeExpandedObjectReadOnly(PG_GETARG_DATUM(n), false, get_typlen(*type));
	if (*type == UNKNOWNOID)
	{
		*type = TEXTOID;
		if (!*isnull)
			*value = CStringGetTextDatum(DatumGetCString(*value));
	}
}

/* Takes the parameters of a query from an array, VARIADIC. */
static int
take_array(FunctionCallInfo fcinfo, int n, Oid **types, Datum **values, bool **nulls)
{
	ArrayType *array;
	int16 len;
	bool byval;
	char align;
	int length;

	sm_check_not_null(fcinfo, n, "args");
	if (!OidIsValid(get_base_element_type(sm_argument_type(fcinfo, n))))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("VARIADIC argument must be an array")));
	array = PG_GETARG_ARRAYTYPE_P(n);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), len, byval, align, values, nulls,
					  &length);
	*types = palloc((Size) Max(length, 1) * sizeof(Oid));
	for (int i = 0; i < length; i++)
		(*types)[i] = ARR_ELEMTYPE(array);
	return length;
}

/* The query in argument 3, with the arguments behind it. */
static sm_query
query_argument(FunctionCallInfo fcinfo)
{
	int nargs = PG_NARGS() - 4;
	Oid *types = palloc(FUNC_MAX_ARGS * sizeof(Oid));
	Datum *values = palloc(FUNC_MAX_ARGS * sizeof(Datum));
	bool *nulls = palloc(FUNC_MAX_ARGS * sizeof(bool));

	sm_check_not_null(fcinfo, 3, "query");
	if (nargs > 0 && get_fn_expr_variadic(fcinfo->flinfo))
		nargs = take_array(fcinfo, 4, &types, &values, &nulls);
	else
	{
		for (int i = 0; i < nargs; i++)
			take_argument(fcinfo, i + 4, &types[i], &values[i], &nulls[i]);
	}
	return (sm_query) {.text = text_to_cstring(PG_GETARG_TEXT_PP(3)),
					   .nargs = nargs,
					   .types = types,
					   .values = values,
					   .nulls = nulls};
}

/*
 * fetch_query(map, key, as, query, args...) returns a value of the type of as: what the map
 * has, or the query gives, with the key as $1 and args as $2 and so on, and the rights and
 * settings of the caller.  Needs SELECT, and, since others get what it stores, INSERT and
 * UPDATE.
 *
 * Errors: 22023 the query is none that gives rows of one column; 21000 it gives more than one
 * row; 0A000 it would change something; what it raises.
 */
Datum
syncmap_fetch_query(PG_FUNCTION_ARGS)
{
	sm_query query;
	sm_call call;
	sm_args args;
	sm_bytes key;
	bool enabled;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	(void) sm_ref_get(PG_GETARG_OID(0), ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	/* not a change of the database: it may be READ ONLY */
	enabled = sm_args_start(&args, &call, fcinfo, ACL_SELECT, SM_TYPED_ENTRY);
	args.acl = ACL_SELECT | ACL_INSERT | ACL_UPDATE;
	query = query_argument(fcinfo);
	key = sm_args_key(&args);
	sm_args_check_result(&args, 2);
	if (!sm_fetch(&args, key, &query, enabled, NULL))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

/* ---- leases ---- */

/*
 * lease(map) returns bytea: a moment.  What is read from then on may be stored with
 * put_leased.  Needs SELECT.
 */
Datum
syncmap_lease(PG_FUNCTION_ARGS)
{
	const sm_ref *ref = sm_ref_get(PG_GETARG_OID(0), ACL_SELECT);

	PG_RETURN_BYTEA_P(sm_lease_give(ref->relid, !sm_ref_is_blind(ref)));
}

/*
 * put_leased(map, key, value, lease, ttl) returns boolean: true if the value was stored,
 * false if it may be older than a change of what it was computed from.  Needs INSERT and
 * UPDATE.
 */
static pg_attribute_always_inline Datum
do_put_leased(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	sm_args args;
	sm_moment moment;
	bool is_good;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");
	sm_check_not_null(fcinfo, 3, "lease");

	if (!sm_args_start(&args, &call, fcinfo, ACL_INSERT | ACL_UPDATE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	value = sm_args_value(&args, 2);
	sm_check_key(key);
	is_good = sm_lease_read(PG_GETARG_BYTEA_PP(3), call.ref->relid, &moment);
	expires = sm_args_expires(&args, 4);
	PG_RETURN_BOOL(is_good && sm_fetch_may_store(&call, key) &&
				   sm_fetch_store(&call, key, &value, expires, &moment));
}

SM_ENTRIES(syncmap_put_leased, do_put_leased)
