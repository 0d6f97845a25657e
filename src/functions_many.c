/*
 * functions_many.c
 *	  The SQL functions that act on an array of keys.
 *
 * Each key is an operation of its own: others may come in between, and an
 * error or a cancellation leaves what is done by then.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "functions.h"

SM_FUNCTION(syncmap_get_many);
SM_FUNCTION(syncmap_put_many);
SM_FUNCTION(syncmap_delete_many);

typedef struct sm_texts
{
	int length;
	Datum *elements;
	bool *nulls;
} sm_texts;

/* The elements of argument number n.  Raises 2202E if it is a matrix. */
static sm_texts
texts_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(n);
	sm_texts texts;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must be a one-dimensional array", name)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts.elements,
					  &texts.nulls, &texts.length);
	return texts;
}

static sm_bytes
text_at(const sm_texts *texts, int i)
{
	return sm_text_bytes(DatumGetTextPP(texts->elements[i]));
}

static void
check_no_nulls(const sm_texts *texts, const char *name)
{
	for (int i = 0; i < texts->length; i++)
	{
		if (texts->nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", name),
					 errdetail("Element %d is null.", i + 1)));
	}
}

/* Makes a call ready for the next key. */
static void
next_key(sm_call *call)
{
	CHECK_FOR_INTERRUPTS();
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;
	call->shortages = 0;
}

/*
 * get_many(map, keys) returns text[]: the values in the order of the keys,
 * NULL where there is none.  Needs SELECT.
 */
Datum
syncmap_get_many(PG_FUNCTION_ARGS)
{
	sm_texts keys = texts_argument(fcinfo, 1, "keys");
	sm_call call;
	Datum *values;
	bool *nulls;
	int lower_bound = 1;
	bool enabled;

	enabled = sm_call_start(&call, fcinfo, ACL_SELECT);
	if (keys.length == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	values = palloc(keys.length * sizeof(Datum));
	nulls = palloc(keys.length * sizeof(bool));

	for (int i = 0; i < keys.length; i++)
	{
		sm_bytes key;

		next_key(&call);
		nulls[i] = true;
		if (keys.nulls[i] || !enabled)
			continue;
		key = text_at(&keys, i);
		if (key.len > SM_MAX_KEY)
			continue;
		while (!sm_call_done(&call, sm_get(&call.ref->map, key, &call.value)))
			;
		if (call.status == SM_ABSENT)
			continue;
		nulls[i] = false;
		values[i] = PointerGetDatum(sm_call_text(&call));
	}

	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, 1, &keys.length,
											 &lower_bound, TEXTOID, -1, false,
											 TYPALIGN_INT));
}

/*
 * put_many(map, keys, values, ttl) returns bigint: how many keys are new.
 * Needs INSERT and UPDATE.
 *
 * Errors: 22004 for a NULL anywhere, 2202E if the arrays differ in length,
 * 54000 for a key that is too long, all before anything is stored; 53200 when
 * memory ends in between.
 */
Datum
syncmap_put_many(PG_FUNCTION_ARGS)
{
	sm_texts keys;
	sm_texts values;
	sm_call call;
	int64 expires;
	int64 added = 0;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "keys");
	sm_check_not_null(fcinfo, 2, "values");
	keys = texts_argument(fcinfo, 1, "keys");
	values = texts_argument(fcinfo, 2, "values");
	if (keys.length != values.length)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays \"%s\" and \"%s\" must have the same length", "keys",
						"values"),
				 errdetail("There are %d keys and %d values.", keys.length,
						   values.length)));
	check_no_nulls(&keys, "keys");
	check_no_nulls(&values, "values");
	for (int i = 0; i < keys.length; i++)
		sm_check_key(text_at(&keys, i));

	if (!sm_call_start(&call, fcinfo, ACL_INSERT | ACL_UPDATE))
		PG_RETURN_NULL();
	expires = sm_call_expires(&call, fcinfo, 3);
	for (int i = 0; i < keys.length; i++)
	{
		sm_bytes key = text_at(&keys, i);
		sm_bytes value = text_at(&values, i);

		next_key(&call);
		call.wanted = key.len + value.len;
		while (!sm_call_done(&call, sm_put(&call.ref->map, key, value, expires)))
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
	sm_texts keys = texts_argument(fcinfo, 1, "keys");
	sm_call call;
	int64 deleted = 0;

	if (!sm_call_start(&call, fcinfo, ACL_DELETE))
		PG_RETURN_NULL();
	for (int i = 0; i < keys.length; i++)
	{
		sm_bytes key;

		next_key(&call);
		if (keys.nulls[i])
			continue;
		key = text_at(&keys, i);
		if (key.len > SM_MAX_KEY)
			continue;
		while (!sm_call_done(&call, sm_delete(&call.ref->map, key)))
			;
		if (call.status == SM_FOUND)
			deleted++;
	}
	PG_RETURN_INT64(deleted);
}
