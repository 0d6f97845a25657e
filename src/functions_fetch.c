/*
 * functions_fetch.c
 *	  The SQL functions that read a map through to the tables behind it.
 *
 * fetch has the map's loader compute what is missing; lease and put_leased are for a client
 * that computes values itself: a lease is a snapshot.
 */
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "fetch.h"

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

/* What a lease is, behind its length word. */
typedef struct sm_lease
{
	Oid database;
	Oid map;
	uint64 xmin;
	uint64 xmax;
	uint32 nrunning;
	TransactionId running[FLEXIBLE_ARRAY_MEMBER];
} sm_lease;

/*
 * lease(map) returns bytea: the moment of the statement that calls it.  What is read
 * from then on, by that statement or by later ones, may be stored with put_leased.  Needs
 * SELECT.
 */
Datum
syncmap_lease(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	sm_moment moment;
	sm_lease *lease;
	bytea *result;
	Size size;

	(void) sm_ref_get(relid, ACL_SELECT);
	moment = sm_moment_of(ActiveSnapshotSet() ? GetActiveSnapshot() :
												GetTransactionSnapshot());
	/* what it reads may be its own changes, which it may roll back */
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) || RecoveryInProgress())
		moment = (sm_moment) {0};
	size = offsetof(sm_lease, running) + moment.nrunning * sizeof(TransactionId);
	result = palloc0(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	lease = palloc0(size);
	lease->database = MyDatabaseId;
	lease->map = relid;
	lease->xmin = moment.xmin;
	lease->xmax = moment.xmax;
	lease->nrunning = moment.nrunning;
	if (moment.nrunning > 0)
		memcpy(lease->running, moment.running, moment.nrunning * sizeof(TransactionId));
	memcpy(VARDATA(result), lease, size);
	PG_RETURN_BYTEA_P(result);
}

/* Reads a lease, in memory of its own.  Raises 22023 if it is none of this map. */
static sm_moment
read_lease(bytea *bytes, Oid relid)
{
	Size size = VARSIZE_ANY_EXHDR(bytes);
	sm_lease *lease =
		memcpy(palloc(Max(size, sizeof(sm_lease))), VARDATA_ANY(bytes), size);

	if (size < offsetof(sm_lease, running) || lease->database != MyDatabaseId ||
		lease->map != relid || lease->xmin > lease->xmax ||
		size != offsetof(sm_lease, running) + lease->nrunning * sizeof(TransactionId))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("that is no lease of map \"%s\"", get_rel_name(relid)),
				 errhint("Use what syncmap.lease has returned for it.")));
	return (sm_moment) {lease->xmin, lease->xmax, lease->nrunning, lease->running};
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
	moment = read_lease(PG_GETARG_BYTEA_PP(3), call.ref->relid);
	expires = sm_args_expires(&args, 4);
	PG_RETURN_BOOL(sm_fetch_may_store(&call, key) &&
				   sm_fetch_store(&call, key, value, expires, &moment));
}

SM_ENTRIES(syncmap_put_leased, do_put_leased)
