/*
 * functions_ttl.c
 *	  The SQL functions about a key's time to live: expire, ttl.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "args.h"
#include "options.h"

/* What expire may have to copy: an entry whose value is not in extents. */
#define COPIED_BYTES (16 * 1024)

SM_FUNCTIONS(syncmap_expire);
SM_FUNCTIONS(syncmap_ttl);

/*
 * expire(map, key, ttl) returns boolean: true if the key is there.  It expires
 * after ttl from now on, never if that is NULL.  Needs UPDATE.
 */
static pg_attribute_always_inline Datum
do_expire(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_call call;
	sm_args args;
	int64 expires = SM_NEVER;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");

	if (!sm_args_start(&args, &call, fcinfo, ACL_UPDATE, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	if (!PG_ARGISNULL(2))
		expires = sm_ttl_expires(PG_GETARG_INTERVAL_P(2));
	if (unlikely(key.len > SM_MAX_KEY))
		PG_RETURN_BOOL(false);
	call.wanted = key.len + COPIED_BYTES;
	while (!sm_call_done(&call, sm_expire(&call.ref->map, key, expires)))
		;
	PG_RETURN_BOOL(call.status == SM_FOUND);
}

SM_ENTRIES(syncmap_expire, do_expire)

/*
 * ttl(map, key) returns interval: the time that the key has left to live, NULL
 * if it never expires or is not there.  Needs SELECT.
 */
static pg_attribute_always_inline Datum
do_ttl(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_call call;
	sm_args args;
	int64 expires;
	Interval *left;

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT, entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	if (key.len > SM_MAX_KEY || sm_is_noted(call.ref->relid, key))
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_get_expiry(&call.ref->map, key, NULL, &expires)))
		;
	if (call.status != SM_FOUND || expires == SM_NEVER)
		PG_RETURN_NULL();

	left = palloc0(sizeof(Interval));
	left->time = Max(expires - GetCurrentTimestamp(), 0);
	PG_RETURN_INTERVAL_P(left);
}

SM_ENTRIES(syncmap_ttl, do_ttl)
