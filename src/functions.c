/*
 * functions.c
 *	  The SQL functions that act on one key, but for increment.
 *
 * None of these is transactional: what a function did to the map stays when
 * the transaction rolls back.  Functions that only read are strict; those that
 * store raise 22004 for NULL.  A key that is too long to be stored is absent
 * for a function that does not store it.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "functions.h"

SM_FUNCTION(syncmap_get);
SM_FUNCTION(syncmap_contains);
SM_FUNCTION(syncmap_put);
SM_FUNCTION(syncmap_get_or_put);
SM_FUNCTION(syncmap_swap);
SM_FUNCTION(syncmap_compare_and_swap);
SM_FUNCTION(syncmap_delete);
SM_FUNCTION(syncmap_get_and_delete);
SM_FUNCTION(syncmap_compare_and_delete);

/* get(map, key) returns text.  Needs SELECT. */
Datum
syncmap_get(PG_FUNCTION_ARGS)
{
	sm_bytes key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_SELECT))
		PG_RETURN_NULL();
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_get(&call.ref->map, key, &call.value)))
		;
	if (call.status == SM_ABSENT)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(sm_call_text(&call));
}

/* contains(map, key) returns boolean.  Needs SELECT. */
Datum
syncmap_contains(PG_FUNCTION_ARGS)
{
	sm_bytes key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_SELECT))
		PG_RETURN_BOOL(false);
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_contains(&call.ref->map, key)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

/*
 * put(map, key, value, ttl) returns boolean: true if the key is new.  Needs
 * INSERT and UPDATE.
 */
Datum
syncmap_put(PG_FUNCTION_ARGS)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");
	key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	value = sm_text_bytes(PG_GETARG_TEXT_PP(2));
	sm_check_key(key);

	if (!sm_call_start(&call, fcinfo, ACL_INSERT | ACL_UPDATE))
		PG_RETURN_NULL();
	expires = sm_call_expires(&call, fcinfo, 3);
	call.wanted = key.len + value.len;
	while (!sm_call_done(&call, sm_put(&call.ref->map, key, value, expires)))
		;
	PG_RETURN_BOOL(call.status == SM_ABSENT);
}

/* The row type of get_or_put's result, the same for all calls. */
static TupleDesc
get_or_put_row(void)
{
	static TupleDesc row = NULL;

	if (row == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc desc = CreateTemplateTupleDesc(2);

		TupleDescInitEntry(desc, 1, "actual", TEXTOID, -1, 0);
		TupleDescInitEntry(desc, 2, "loaded", BOOLOID, -1, 0);
		row = BlessTupleDesc(desc);
		MemoryContextSwitchTo(old);
	}
	return row;
}

/*
 * get_or_put(map, key, value, ttl, OUT actual text, OUT loaded boolean): the
 * value that was there, or the one that is there now; loaded is NULL if nothing
 * was stored since syncmap.enabled is off.  Needs SELECT and INSERT.
 */
Datum
syncmap_get_or_put(PG_FUNCTION_ARGS)
{
	text *given;
	sm_bytes key;
	sm_call call;
	int64 expires;
	Datum values[2];
	bool nulls[2] = {false, false};

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");
	key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	given = PG_GETARG_TEXT_PP(2);
	sm_check_key(key);

	if (!sm_call_start(&call, fcinfo, ACL_SELECT | ACL_INSERT))
	{
		nulls[1] = true;
		values[0] = PointerGetDatum(given);
		PG_RETURN_DATUM(
			HeapTupleGetDatum(heap_form_tuple(get_or_put_row(), values, nulls)));
	}
	expires = sm_call_expires(&call, fcinfo, 3);
	call.wanted = key.len + VARSIZE_ANY_EXHDR(given);
	while (!sm_call_done(&call,
						 sm_get_or_put(&call.ref->map, key, sm_text_bytes(given),
									   expires, &call.value)))
		;
	if (call.status == SM_FOUND)
		given = sm_call_text(&call);
	values[0] = PointerGetDatum(given);
	values[1] = BoolGetDatum(call.status == SM_FOUND);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(get_or_put_row(), values, nulls)));
}

/*
 * swap(map, key, value, ttl) returns text: the value before, NULL if the key is
 * new.  Needs SELECT, INSERT and UPDATE.
 */
Datum
syncmap_swap(PG_FUNCTION_ARGS)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");
	key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	value = sm_text_bytes(PG_GETARG_TEXT_PP(2));
	sm_check_key(key);

	if (!sm_call_start(&call, fcinfo, ACL_SELECT | ACL_INSERT | ACL_UPDATE))
		PG_RETURN_NULL();
	expires = sm_call_expires(&call, fcinfo, 3);
	call.wanted = key.len + value.len;
	while (
		!sm_call_done(&call, sm_swap(&call.ref->map, key, value, expires, &call.value)))
		;
	if (call.status == SM_ABSENT)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(sm_call_text(&call));
}

/*
 * compare_and_swap(map, key, old, new, ttl) returns boolean: true if the value
 * was old, byte for byte, and is new now.  Needs SELECT and UPDATE.
 */
Datum
syncmap_compare_and_swap(PG_FUNCTION_ARGS)
{
	sm_bytes key;
	sm_bytes old;
	sm_bytes value;
	sm_call call;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "old");
	sm_check_not_null(fcinfo, 3, "new");
	key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	old = sm_text_bytes(PG_GETARG_TEXT_PP(2));
	value = sm_text_bytes(PG_GETARG_TEXT_PP(3));
	sm_check_key(key);

	if (!sm_call_start(&call, fcinfo, ACL_SELECT | ACL_UPDATE))
		PG_RETURN_NULL();
	expires = sm_call_expires(&call, fcinfo, 4);
	call.wanted = key.len + value.len;
	while (!sm_call_done(&call,
						 sm_compare_and_swap(&call.ref->map, key, old, value, expires)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

/* delete(map, key) returns boolean: true if it was there.  Needs DELETE. */
Datum
syncmap_delete(PG_FUNCTION_ARGS)
{
	sm_bytes key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_DELETE))
		PG_RETURN_NULL();
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_delete(&call.ref->map, key)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

/*
 * get_and_delete(map, key) returns text: the value before, NULL if the key was
 * not there.  Needs SELECT and DELETE.
 */
Datum
syncmap_get_and_delete(PG_FUNCTION_ARGS)
{
	sm_bytes key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_SELECT | ACL_DELETE))
		PG_RETURN_NULL();
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_get_and_delete(&call.ref->map, key, &call.value)))
		;
	if (call.status == SM_ABSENT)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(sm_call_text(&call));
}

/*
 * compare_and_delete(map, key, old) returns boolean: true if the value was
 * old, byte for byte, and the key is gone now.  Needs SELECT and DELETE.
 */
Datum
syncmap_compare_and_delete(PG_FUNCTION_ARGS)
{
	sm_bytes key = sm_text_bytes(PG_GETARG_TEXT_PP(1));
	sm_bytes old = sm_text_bytes(PG_GETARG_TEXT_PP(2));
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_SELECT | ACL_DELETE))
		PG_RETURN_NULL();
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_compare_and_delete(&call.ref->map, key, old)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}
