/*
 * args.c
 *	  Arguments and results of the SQL functions, apart from the usual path.
 */
#include "compat.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "args.h"
#include "options.h"
#include "row.h"

/* ---- call sites ---- */

/*
 * What the call site remembers.  While a conversion runs somebody's code, which may come
 * to the same site again, that call gets one of its own.
 */
static sm_site *
site_of(FunctionCallInfo fcinfo)
{
	sm_site *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(sm_site));
	else if (site->context != NULL && site->version == 0)
		site = palloc0(sizeof(sm_site));
	return site;
}

static void
renew_site(sm_site *site, const sm_ref *ref, MemoryContext parent)
{
	if (site->context != NULL)
		MemoryContextDelete(site->context);
	site->context = NULL;
	site->context =
		AllocSetContextCreate(parent, "syncmap call site", ALLOCSET_SMALL_SIZES);
	site->relid = ref->relid;
	site->version = ref->version;
	site->conversions = sm_ref_conversions;
	site->types = ref->types;
	site->key = NULL;
	site->key_as_is = false;
	site->value = NULL;
	site->row = NULL;
	site->result = InvalidOid;
	site->result_as_text = false;
}

/*
 * The rest of sm_args_start: sets call->ref, and args->site if anything may have to
 * be converted.
 */
void
sm_args_resolve(sm_args *args, sm_entry entry)
{
	FunctionCallInfo fcinfo = args->fcinfo;
	sm_site *site = fcinfo->flinfo->fn_extra;
	Oid relid = PG_GETARG_OID(0);
	const sm_ref *last = sm_ref_last;
	sm_ref *ref = site == NULL ? NULL : site->ref;

	if (!sm_ref_fits(ref, relid, args->acl))
		ref = sm_ref_get(relid, args->acl);
	args->call->ref = ref;
	args->site = NULL;
	args->many = false;
	if (entry == SM_TEXT_ENTRY && sm_is_text(&ref->types))
	{
		/* a statement that uses two maps in turn finds them here */
		if (ref != last)
			site_of(fcinfo)->ref = ref;
	}
	else
	{
		site = site_of(fcinfo);
		site->ref = ref;
		if (site->version != ref->version || site->conversions != sm_ref_conversions)
			renew_site(site, ref, fcinfo->flinfo->fn_mcxt);
		args->site = site;
	}
	sm_ref_last = ref;
}

/*
 * Looks at the map again: code of a user has run, or may have.  Errors: see
 * sm_ref_resolve; 40001 the map's columns are not of the types that the call site has.
 */
void
sm_args_look(sm_args *args)
{
	sm_call *call = args->call;
	Oid relid = args->site->relid;

	/* it may have been looked up anew meanwhile, and be another map's by now */
	if (sm_ref_fits(call->ref, relid, args->acl | SM_ACL_MAP) &&
		call->ref->version == args->site->version)
		return;
	call->ref = sm_ref_get(relid, args->acl);
	sm_ref_check_types(call->ref, &args->site->types);
}

/*
 * Raises 25006 in a READ ONLY transaction, as nextval does, unless the map in argument 0
 * is temporary.  All of a standby's transactions are READ ONLY, but the maps are its own
 * there.
 */
void
sm_check_writable(FunctionCallInfo fcinfo)
{
	if (XactReadOnly && !RecoveryInProgress() &&
		get_rel_persistence(PG_GETARG_OID(0)) != RELPERSISTENCE_TEMP)
		PreventCommandIfReadOnly(
			psprintf("syncmap.%s()", get_func_name(fcinfo->flinfo->fn_oid)));
}

/* The type of argument number n. */
Oid
sm_argument_type(FunctionCallInfo fcinfo, int n)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, n);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of argument %d", n);
	return type;
}

/*
 * The conversion of an argument to a column of a map, in the context.  Raises 42804
 * if there is none.
 */
sm_input *
sm_argument_input(Oid relid, const char *column, Oid from, Oid to, int32 typmod,
				  MemoryContext context)
{
	sm_input *input = sm_input_make(from, to, typmod, context);

	if (input == NULL)
	{
		char *name = format_type_be(to);

		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a %s of map \"%s\" is of type %s, not of type %s", column,
						get_rel_name(relid), name, format_type_be(from)),
				 errhint("Cast it: CAST(... AS %s); or give it as text.", name)));
	}
	return input;
}

/* Converts a datum, and looks at the map again: that may have run somebody's code. */
static Datum
convert(sm_args *args, sm_input *input, Datum datum)
{
	sm_site *site = args->site;
	uint64 version = site->version;

	site->version = 0;
	datum = sm_input_convert(input, datum);
	site->version = version;
	sm_args_look(args);
	return datum;
}

/*
 * The key in argument 1, or in an element of it; see sm_args_key.  Two arrays at a call site
 * may have elements of two types, where it is declared as anyarray.
 */
sm_bytes
sm_site_key(sm_args *args, Datum key)
{
	sm_site *site = args->site;

	if (site->key == NULL || (args->many && site->key_from != args->key_type))
	{
		Oid from = args->many ? args->key_type : sm_argument_type(args->fcinfo, 1);

		/* nothing is remembered of a conversion that there is not */
		site->key = NULL;
		site->key_as_is = false;
		site->key = sm_argument_input(site->relid, "key", from, site->types.key_type,
									  site->types.key_typmod, site->context);
		site->key_from = from;
		site->key_as_is = sm_input_is_none(site->key);
	}
	return sm_key_bytes(site->types.key_type, convert(args, site->key, key),
						&args->room[0]);
}

/* The value in argument number n, or in an element of it; see sm_args_value. */
sm_bytes
sm_site_value(sm_args *args, int n, Datum value)
{
	sm_site *site = args->site;

	if (site->value == NULL || (args->many && site->value_from != args->value_type))
	{
		Oid from = args->many ? args->value_type : sm_argument_type(args->fcinfo, n);

		site->value = NULL;
		site->value =
			sm_argument_input(site->relid, "value", from, site->types.value_type,
							  site->types.value_typmod, site->context);
		site->value_from = from;
	}
	value = convert(args, site->value, value);
	if (sm_is_row(&site->types))
		return sm_row_argument(&site->types, value, args->key, &args->expires);
	return sm_value_bytes(&site->types, value, &args->room[n - 1]);
}

/* The rest of sm_args_check_result: type is that of the result. */
void
sm_site_check_result(sm_args *args, Oid type)
{
	sm_site *site = args->site;
	Oid value_type = site->types.value_type;
	Oid output;
	bool is_varlena;

	if (type == TEXTOID && value_type == TEXTOID)
		site->result_as_text = true;
	else if (type == TEXTOID)
	{
		getTypeOutputInfo(value_type, &output, &is_varlena);
		fmgr_info_cxt(output, &site->output, site->context);
	}
	else if (type != value_type && type != getBaseType(value_type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a value of map \"%s\" is of type %s, not of type %s",
						get_rel_name(site->relid), format_type_be(value_type),
						format_type_be(type)),
				 value_type == TEXTOID ?
					 errhint("Use text there.") :
					 errhint("Use %s there, or text.", format_type_be(value_type))));
	site->result = type;
}

/* A value of the map as what sm_site_check_result was told. */
static Datum
result_datum(sm_site *site, Datum value)
{
	if (site->result != TEXTOID || site->result_as_text)
		return value;
	return PointerGetDatum(cstring_to_text(OutputFunctionCall(&site->output, value)));
}

/*
 * A row of the map, whose key was read last, as what sm_site_check_result was told.  One that
 * is stale does not say when it would have expired.
 */
static Datum
row_result(sm_args *args, sm_bytes value, int64 expires)
{
	const sm_types *types = &args->site->types;
	bool has_ttl = args->call->ref->has_ttl;

	if (expires <= 0)
		expires = SM_NEVER;

	return result_datum(args->site,
						sm_row_datum(types, args->key, value, expires, has_ttl));
}

/* The rest of sm_args_result. */
Datum
sm_site_result(sm_args *args)
{
	const sm_types *types = &args->site->types;
	char *data = args->call->value.data;
	size_t len = args->call->value.len;

	if (sm_is_row(types))
		return row_result(args, (sm_bytes) {data, len}, args->call->value.expires);
	return result_datum(args->site,
						data == sm_scratch ?
							sm_value_datum(types, (sm_bytes) {data, len}) :
							sm_value_datum_in(types, data - VARHDRSZ, len));
}

/* The same of a value that was stored, and of when it expires. */
Datum
sm_site_stored(sm_args *args, sm_bytes value, int64 expires)
{
	if (sm_is_row(&args->site->types))
		return row_result(args, value, expires);
	return result_datum(args->site, sm_value_datum(&args->site->types, value));
}

/* The type of rows that the function returns. */
TupleDesc
sm_site_row(sm_args *args)
{
	sm_site *site = args->site;

	if (site->row == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);

		if (get_call_result_type(args->fcinfo, NULL, &site->row) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		site->row = BlessTupleDesc(site->row);
		MemoryContextSwitchTo(old);
	}
	return site->row;
}

/* ---- arguments ---- */

/*
 * When a key expires that the call stores: by argument number n, a time to live
 * or NULL, else by the row that is stored, else by the map's option ttl.  Errors: see
 * sm_ttl_expires.
 */
int64
sm_args_expires(const sm_args *args, int n)
{
	FunctionCallInfo fcinfo = args->fcinfo;
	const sm_ref *ref = args->call->ref;

	if (!PG_ARGISNULL(n))
		return sm_ttl_expires(PG_GETARG_INTERVAL_P(n));
	if (args->site != NULL && sm_is_row(&args->site->types) && args->expires != 0)
		return args->expires;
	if (ref->has_ttl)
		return sm_ttl_expires(&ref->ttl);
	return SM_NEVER;
}

/* Raises 22004. */
void
sm_null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name)));
}
