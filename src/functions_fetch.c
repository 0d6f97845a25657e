/*
 * functions_fetch.c
 *	  The SQL functions that read a map through to the tables behind it.
 *
 * fetch has the map's loader compute what is missing; lease and put_leased are for a client
 * that computes values itself.
 */
#include "compat.h"

#include "utils/builtins.h"

#include "fetch.h"
#include "lease.h"

SM_FUNCTIONS(syncmap_fetch);
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
	if (!sm_fetch(&args, key, enabled))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sm_args_result(&args));
}

SM_ENTRIES(syncmap_fetch, do_fetch)

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
				   sm_fetch_store(&call, key, value, expires, &moment));
}

SM_ENTRIES(syncmap_put_leased, do_put_leased)
