/*
 * functions_many.c
 *	  The SQL functions that act on an array of keys.
 *
 * Each key is an operation of its own: others may come in between, and an
 * error or a cancellation leaves what is done by then.
 *
 * Their arrays may be of any type; values may also come as an array's text, since
 * that is what a literal of unknown type is taken for.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "fetch.h"

SM_FUNCTION(syncmap_get_many);
SM_FUNCTION(syncmap_fetch_many);
SM_FUNCTION(syncmap_put_many);
SM_FUNCTION(syncmap_delete_many);

/* An argument that is an array. */
typedef struct sm_elements
{
	int n;	  /* the argument's number */
	Oid type; /* of the elements */
	int length;
	Datum *elements;
	bool *nulls;
} sm_elements;

/* An array, as its output function writes it, to one of text. */
static Datum
array_of_texts(text *literal)
{
	return OidInputFunctionCall(F_ARRAY_IN, text_to_cstring(literal), TEXTOID, -1);
}

/* The elements of argument number n.  Raises 2202E if it is a matrix. */
static sm_elements
elements_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	sm_elements result = {.n = n};
	Oid type = sm_argument_type(fcinfo, n);
	ArrayType *array;
	int16 len;
	bool byval;
	char align;

	if (type == TEXTOID)
		array = DatumGetArrayTypeP(array_of_texts(PG_GETARG_TEXT_PP(n)));
	else
		array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must be a one-dimensional array", name)));
	result.type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(result.type, &len, &byval, &align);
	deconstruct_array(array, result.type, len, byval, align, &result.elements,
					  &result.nulls, &result.length);
	return result;
}

/*
 * Starts a call whose keys are elements, and whose values are of that type.  It
 * goes the short way if all are text.
 */
static bool
start(sm_args *args, sm_call *call, FunctionCallInfo fcinfo, AclMode acl,
	  const sm_elements *keys, Oid value_type)
{
	bool text = keys->type == TEXTOID && value_type == TEXTOID;
	bool enabled =
		sm_args_start(args, call, fcinfo, acl, text ? SM_TEXT_ENTRY : SM_TYPED_ENTRY);

	args->many = true;
	args->key_type = keys->type;
	args->value_type = value_type;
	return enabled;
}

static sm_bytes
key_at(sm_args *args, const sm_elements *keys, int i)
{
	if (args->site == NULL)
		return sm_text_bytes(DatumGetTextPP(keys->elements[i]));
	args->key = sm_site_key(args, keys->elements[i]);
	return args->key;
}

static sm_bytes
value_at(sm_args *args, const sm_elements *values, int i)
{
	if (args->site == NULL)
		return sm_text_bytes(DatumGetTextPP(values->elements[i]));
	return sm_site_value(args, values->n, values->elements[i]);
}

/* Bytes that stay while the call goes on to its next key. */
static sm_bytes
keep(const sm_args *args, sm_bytes bytes)
{
	if (bytes.data == &args->room[0] || bytes.data == &args->room[1])
		bytes.data = memcpy(palloc(bytes.len), bytes.data, bytes.len);
	return bytes;
}

static void
check_no_nulls(const sm_elements *array, const char *name)
{
	for (int i = 0; i < array->length; i++)
	{
		if (array->nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", name),
					 errdetail("Element %d is null.", i + 1)));
	}
}

/* Makes a call ready for the next key: the result of the last one may have run code. */
static void
next_key(sm_args *args)
{
	CHECK_FOR_INTERRUPTS();
	if (args->site != NULL)
		sm_args_look(args);
	sm_call_prepare(args->call);
}

/* Copies out the value of a key, or with fetches has it computed. */
static bool
get_one(sm_args *args, sm_bytes key, bool enabled, bool fetches)
{
	sm_call *call = args->call;

	if (fetches)
		return sm_fetch(args, key, NULL, enabled, NULL);
	if (!enabled || key.len > SM_MAX_KEY || sm_is_noted(call->ref->relid, key))
		return false;
	while (!sm_call_done(call, sm_get(&call->ref->map, key, &call->value)))
		;
	return call->status == SM_FOUND;
}

/* The values of an array of keys, in their order, NULL where there is none. */
static Datum
get_values(FunctionCallInfo fcinfo, bool fetches)
{
	sm_elements keys;
	Oid type = TEXTOID;
	sm_call call;
	sm_args args;
	Datum *values;
	bool *nulls;
	int lower_bound = 1;
	bool enabled;
	int16 len;
	bool byval;
	char align;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	keys = elements_argument(fcinfo, 1, "keys");
	if (PG_NARGS() > 2)
		type = sm_argument_type(fcinfo, 2);
	enabled = start(&args, &call, fcinfo, ACL_SELECT, &keys, type);
	if (args.site != NULL && !OidIsValid(args.site->result))
		sm_site_check_result(&args, type);
	if (keys.length == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(type));
	values = palloc(keys.length * sizeof(Datum));
	nulls = palloc(keys.length * sizeof(bool));

	memset(nulls, true, keys.length);

	for (int first = 0; (enabled || fetches) && first < keys.length; first += SM_AHEAD)
	{
		sm_bytes ahead[SM_AHEAD];
		int at[SM_AHEAD];
		int n = 0;

		for (int i = first; i < Min(first + SM_AHEAD, keys.length); i++)
		{
			if (keys.nulls[i])
				continue;
			ahead[n] = keep(&args, key_at(&args, &keys, i));
			at[n++] = i;
		}
		sm_prefetch(&call.ref->map, ahead, n);
		for (int i = 0; i < n; i++)
		{
			next_key(&args);
			if (!get_one(&args, ahead[i], enabled, fetches))
				continue;
			nulls[at[i]] = false;
			args.key = ahead[i];
			values[at[i]] = sm_args_result(&args);
		}
	}

	get_typlenbyvalalign(type, &len, &byval, &align);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, 1, &keys.length,
											 &lower_bound, type, len, byval, align));
}

/*
 * get_many(map, keys) returns text[]; get_many(map, keys, as) returns an array of
 * that type: the values in the order of the keys, NULL where there is none.  Needs
 * SELECT.
 */
Datum
syncmap_get_many(PG_FUNCTION_ARGS)
{
	return get_values(fcinfo, false);
}

/* fetch_many(map, keys), fetch_many(map, keys, as): the same by fetch.  Needs SELECT. */
Datum
syncmap_fetch_many(PG_FUNCTION_ARGS)
{
	return get_values(fcinfo, true);
}

/*
 * put_many(map, keys, values, ttl) returns bigint: how many keys are new.
 * Needs INSERT and UPDATE.
 *
 * Errors: 22004 for a NULL anywhere, 2202E if the arrays differ in length,
 * 54000 for a key that is too long, what conversions raise, all before anything
 * is stored; 53200 when memory ends in between.
 */
Datum
syncmap_put_many(PG_FUNCTION_ARGS)
{
	sm_elements keys;
	sm_elements values;
	sm_bytes *key_bytes;
	sm_bytes *value_bytes;
	int64 *own_expires; /* of rows */
	int64 expires;
	sm_call call;
	sm_args args;
	int64 added = 0;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "keys");
	sm_check_not_null(fcinfo, 2, "values");
	keys = elements_argument(fcinfo, 1, "keys");
	values = elements_argument(fcinfo, 2, "values");
	if (keys.length != values.length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays \"%s\" and \"%s\" must have the same length", "keys",
						"values"),
				 errdetail("There are %d keys and %d values.", keys.length,
						   values.length)));
	check_no_nulls(&keys, "keys");
	check_no_nulls(&values, "values");

	if (!start(&args, &call, fcinfo, ACL_INSERT | ACL_UPDATE, &keys, values.type))
		PG_RETURN_NULL();
	key_bytes = palloc(keys.length * sizeof(sm_bytes));
	value_bytes = palloc(keys.length * sizeof(sm_bytes));
	own_expires = palloc0(keys.length * sizeof(int64));
	for (int i = 0; i < keys.length; i++)
	{
		key_bytes[i] = keep(&args, key_at(&args, &keys, i));
		sm_check_key(key_bytes[i]);
		value_bytes[i] = keep(&args, value_at(&args, &values, i));
		if (args.site != NULL && sm_is_row(&args.site->types) && PG_ARGISNULL(3))
			own_expires[i] = args.expires;
	}

	args.expires = 0;
	expires = sm_args_expires(&args, 3);
	for (int i = 0; i < keys.length; i++)
	{
		next_key(&args);
		call.wanted = key_bytes[i].len + value_bytes[i].len;
		while (!sm_call_done(&call,
							 sm_put(&call.ref->map, key_bytes[i], value_bytes[i],
									own_expires[i] != 0 ? own_expires[i] : expires)))
			;
		if (call.status == SM_ABSENT)
			added++;
	}
	PG_RETURN_INT64(added);
}

/*
 * delete_many(map, keys) returns bigint: how many keys were there.  Needs
 * DELETE.
 */
Datum
syncmap_delete_many(PG_FUNCTION_ARGS)
{
	sm_elements keys = elements_argument(fcinfo, 1, "keys");
	sm_call call;
	sm_args args;
	int64 deleted = 0;

	if (!start(&args, &call, fcinfo, ACL_DELETE, &keys, TEXTOID))
		PG_RETURN_NULL();
	for (int i = 0; i < keys.length; i++)
	{
		sm_bytes key;

		next_key(&args);
		if (keys.nulls[i])
			continue;
		key = key_at(&args, &keys, i);
		if (key.len > SM_MAX_KEY)
			continue;
		while (!sm_call_done(&call, sm_delete(&call.ref->map, key)))
			;
		if (call.status == SM_FOUND)
			deleted++;
	}
	PG_RETURN_INT64(deleted);
}
