/*
 * functions_key.c
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

#include "args.h"

SM_FUNCTIONS(syncmap_get);
SM_FUNCTIONS(syncmap_contains);
SM_FUNCTIONS(syncmap_put);
SM_FUNCTIONS(syncmap_get_or_put);
SM_FUNCTIONS(syncmap_swap);
SM_FUNCTIONS(syncmap_compare_and_swap);
SM_FUNCTIONS(syncmap_delete);
SM_FUNCTIONS(syncmap_get_and_delete);
SM_FUNCTIONS(syncmap_compare_and_delete);

/*
 * get(map, key) returns text; get(map, key, as) returns a value of that type.
 * Needs SELECT.
 */
static pg_attribute_always_inline Datum
do_get(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_call call;
	sm_args args;
	sm_bytes key;

	if (entry == SM_TYPED_ENTRY && (PG_ARGISNULL(0) || PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	sm_args_check_result(&args, entry == SM_TYPED_ENTRY && PG_NARGS() > 2 ? 2 : 0);
	if (unlikely(key.len > SM_MAX_KEY) || sm_is_noted(call.ref->relid, key))
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_get(&call.ref->map, key, &call.value)))
		;
	if (call.status == SM_ABSENT)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_get, do_get)

/* contains(map, key) returns boolean.  Needs SELECT. */
static pg_attribute_always_inline Datum
do_contains(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_call call;
	sm_args args;
	sm_bytes key;

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry))
		PG_RETURN_BOOL(false);
	key = sm_args_key(&args);
	if (unlikely(key.len > SM_MAX_KEY) || sm_is_noted(call.ref->relid, key))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_contains(&call.ref->map, key)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

SM_ENTRIES(syncmap_contains, do_contains)

/*
 * put(map, key, value, ttl) returns boolean: true if the key is new.  Needs
 * INSERT and UPDATE.
 */
static pg_attribute_always_inline Datum
do_put(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	sm_args args;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");

	if (!sm_args_start(&args, &call, fcinfo, ACL_INSERT | ACL_UPDATE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	value = sm_args_value(&args, 2);
	sm_check_key(key);
	expires = sm_args_expires(&args, 3);
	call.wanted = key.len + value.len;
	while (!sm_call_done(&call, sm_put(&call.ref->map, key, value, expires)))
		;
	PG_RETURN_BOOL(call.status == SM_ABSENT);
}

SM_ENTRIES(syncmap_put, do_put)

/* The row type of get_or_put's result, the same for all calls on text. */
static TupleDesc
text_row(void)
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
 * get_or_put(map, key, value, ttl, OUT actual, OUT loaded boolean): the value that
 * was there, or the one that is there now; loaded is NULL if nothing was stored
 * since syncmap.enabled is off.  Needs SELECT and INSERT.
 */
static pg_attribute_always_inline Datum
do_get_or_put(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes given;
	sm_call call;
	sm_args args;
	int64 expires;
	TupleDesc row;
	Datum values[2];
	bool nulls[2] = {false, false};

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");

	nulls[1] = !sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_INSERT, entry);
	key = sm_args_key(&args);
	sm_args_check_result(&args, 2);
	given = sm_args_value(&args, 2);
	sm_check_key(key);
	row = args.site == NULL ? text_row() : sm_site_row(&args);

	call.status = SM_ABSENT;
	expires = sm_args_expires(&args, 3);
	call.wanted = key.len + given.len;
	/* it would be new to this transaction, and is not to be stored */
	if (sm_is_noted(call.ref->relid, key))
		(void) sm_call_done(&call, SM_WATCHED);
	while (
		!nulls[1] &&
		!sm_call_done(&call,
					  sm_get_or_put(&call.ref->map, key, given, expires, &call.value)))
		;
	if (call.status == SM_FOUND)
		values[0] = sm_args_result(&args);
	else if (args.site == NULL)
		values[0] = PG_GETARG_DATUM(2);
	else
		values[0] = sm_site_stored(&args, given, expires);
	values[1] = BoolGetDatum(call.status == SM_FOUND);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(row, values, nulls)));
}

SM_ENTRIES(syncmap_get_or_put, do_get_or_put)

/*
 * swap(map, key, value, ttl) returns the value before, NULL if the key is new.
 * Needs SELECT, INSERT and UPDATE.
 */
static pg_attribute_always_inline Datum
do_swap(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes value;
	sm_call call;
	sm_args args;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "value");

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_INSERT | ACL_UPDATE,
					   entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	sm_args_check_result(&args, 2);
	value = sm_args_value(&args, 2);
	sm_check_key(key);
	expires = sm_args_expires(&args, 3);
	call.wanted = key.len + value.len;
	while (
		!sm_call_done(&call, sm_swap(&call.ref->map, key, value, expires, &call.value)))
		;
	if (call.status == SM_ABSENT)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_swap, do_swap)

/*
 * compare_and_swap(map, key, old, new, ttl) returns boolean: true if the value
 * was old, byte for byte, and is new now.  Needs SELECT and UPDATE.
 */
static pg_attribute_always_inline Datum
do_compare_and_swap(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes old;
	sm_bytes value;
	sm_call call;
	sm_args args;
	int64 expires;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "old");
	sm_check_not_null(fcinfo, 3, "new");

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_UPDATE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	old = sm_args_value(&args, 2);
	value = sm_args_value(&args, 3);
	sm_check_key(key);
	expires = sm_args_expires(&args, 4);
	call.wanted = key.len + value.len;
	while (!sm_call_done(&call,
						 sm_compare_and_swap(&call.ref->map, key, old, value, expires)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

SM_ENTRIES(syncmap_compare_and_swap, do_compare_and_swap)

/* delete(map, key) returns boolean: true if it was there.  Needs DELETE. */
static pg_attribute_always_inline Datum
do_delete(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_call call;
	sm_args args;

	if (!sm_args_start(&args, &call, fcinfo, ACL_DELETE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_delete(&call.ref->map, key)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

SM_ENTRIES(syncmap_delete, do_delete)

/*
 * get_and_delete(map, key) returns text, get_and_delete(map, key, as) a value of
 * that type: the value before, NULL if the key was not there.  Needs SELECT and
 * DELETE.
 */
static pg_attribute_always_inline Datum
do_get_and_delete(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_call call;
	sm_args args;

	if (entry == SM_TYPED_ENTRY && (PG_ARGISNULL(0) || PG_ARGISNULL(1)))
		PG_RETURN_NULL();
	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_DELETE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	sm_args_check_result(&args, entry == SM_TYPED_ENTRY && PG_NARGS() > 2 ? 2 : 0);
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_get_and_delete(&call.ref->map, key, &call.value)))
		;
	if (call.status == SM_ABSENT || sm_is_noted(call.ref->relid, key))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_get_and_delete, do_get_and_delete)

/*
 * compare_and_delete(map, key, old) returns boolean: true if the value was
 * old, byte for byte, and the key is gone now.  Needs SELECT and DELETE.
 */
static pg_attribute_always_inline Datum
do_compare_and_delete(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_bytes old;
	sm_call call;
	sm_args args;

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_DELETE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	old = sm_args_value(&args, 2);
	if (unlikely(key.len > SM_MAX_KEY) || sm_is_noted(call.ref->relid, key))
		PG_RETURN_BOOL(false);
	while (!sm_call_done(&call, sm_compare_and_delete(&call.ref->map, key, old)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

SM_ENTRIES(syncmap_compare_and_delete, do_compare_and_delete)
