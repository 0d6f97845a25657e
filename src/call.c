/*
 * call.c
 *	  What the SQL functions share, apart from the usual path.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "functions.h"
#include "options.h"
#include "room.h"

#define SM_PAGE_KB (SM_PAGE_SIZE / 1024)

/*
 * A call that had no memory this often does not get any.  After some tries it
 * waits between them, for random times of up to so many milliseconds: others may
 * hold what they have got so far of their own.
 */
#define MAX_SHORTAGES	  100
#define SHORTAGES_AT_ONCE 10
#define LONGEST_PAUSE	  50

char sm_scratch[SM_SCRATCH_SIZE] pg_attribute_aligned(8);

/* Raises 53200. */
static void
out_of_memory(const sm_call *call)
{
	const sm_map *map = &call->ref->map;
	uint64 quota = sm_map_quota(map);

	if (sm_map_pages(map) + call->wanted / SM_PAGE_SIZE + 2 > quota)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("map \"%s\" is full", get_rel_name(call->ref->relid)),
			 errdetail("A key and value of " UINT64_FORMAT
					   " bytes do not fit: " UINT64_FORMAT " of its " UINT64_FORMAT
					   " kB are in use.",
					   call->wanted, sm_map_pages(map) * SM_PAGE_KB,
					   quota * SM_PAGE_KB),
			 map->evicts ?
				 errhint("Raise the map's option max_memory.") :
				 errhint(
					 "Delete keys, raise the map's option max_memory, or set its option eviction to 's3fifo'.")));
	ereport(
		ERROR,
		(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("syncmap is out of memory"),
		 errdetail("A key and value of " UINT64_FORMAT
				   " bytes do not fit: " UINT64_FORMAT " of " UINT64_FORMAT
				   " kB are free.",
				   call->wanted, sm_port_pages_free() * SM_PAGE_KB,
				   sm_pg_engine.arena.size / 1024),
		 errhint(
			 "Delete keys or drop maps, or raise syncmap.memory and restart the server.")));
}

static void
grow(sm_call *call)
{
	size_t len = call->value.len;

	if (call->value.data != sm_scratch)
		pfree((char *) call->value.data - VARHDRSZ);
	call->value.data = sm_scratch;
	call->value.data = (char *) palloc(VARHDRSZ + len) + VARHDRSZ;
	call->value.size = len;
}

/* Waits a moment for others. */
static void
pause_shortage(int shortages)
{
	long ms = Min(shortages - SHORTAGES_AT_ONCE, LONGEST_PAUSE);

	if (ms <= 0)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1 + random() % ms, SM_WAIT_MEMORY);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* The rest of sm_call_done. */
void
sm_call_again(sm_call *call)
{
	CHECK_FOR_INTERRUPTS();
	switch (call->status)
	{
		case SM_TOO_SMALL:
			grow(call);
			break;
		case SM_GONE:
			sm_ref_renew(call->ref);
			break;
		case SM_NO_MEMORY:
			if (++call->shortages > MAX_SHORTAGES ||
				!sm_make_room(&call->ref->map, call->wanted))
				out_of_memory(call);
			pause_shortage(call->shortages);
			break;
		default:
			elog(ERROR, "unexpected status %d of a map", (int) call->status);
	}
}

/* The value that the engine has copied out, as a text. */
Datum
sm_call_text(sm_call *call)
{
	size_t len = call->value.len;
	text *result;

	if (call->value.data == sm_scratch)
	{
		result = palloc(VARHDRSZ + len);
		memcpy(VARDATA(result), sm_scratch, len);
	}
	else
		result = (text *) ((char *) call->value.data - VARHDRSZ);
	SET_VARSIZE(result, VARHDRSZ + len);

	return PointerGetDatum(result);
}

/* ---- calls with types ---- */

static sm_site *
site_of(FunctionCallInfo fcinfo)
{
	sm_site *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(sm_site));
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
	site->types = ref->types;
	site->key = NULL;
	site->key_as_is = false;
	site->value = NULL;
	site->row = NULL;
	site->result = InvalidOid;
	site->result_as_text = false;
}

/*
 * The rest of sm_call_start: sets call->ref, and call->site if anything may have to
 * be converted.
 */
void
sm_call_resolve(sm_call *call, FunctionCallInfo fcinfo, AclMode acl, sm_entry entry,
				bool clears)
{
	Oid relid = PG_GETARG_OID(0);
	sm_site *site = fcinfo->flinfo->fn_extra;
	sm_ref *ref = site == NULL ? sm_ref_last : site->ref;

	if (!sm_ref_fits(ref, relid, acl))
		ref = sm_ref_resolve(relid, acl, clears);
	call->ref = ref;
	call->site = NULL;
	call->many = false;
	if (entry == SM_TEXT_ENTRY && ref->types.key_type == TEXTOID &&
		ref->types.value_type == TEXTOID)
	{
		/* who uses two maps in turn finds them here */
		if (ref != sm_ref_last)
			site_of(fcinfo)->ref = ref;
	}
	else
	{
		site = site_of(fcinfo);
		site->ref = ref;
		if (site->version != ref->version)
			renew_site(site, ref, fcinfo->flinfo->fn_mcxt);
		call->site = site;
	}
	sm_ref_last = ref;
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

/* What was converted may have run somebody's code, that may have altered the map. */
static Datum
convert(sm_call *call, sm_input *input, Datum datum)
{
	datum = sm_input_convert(input, datum);
	if (!sm_ref_fits(call->ref, call->site->relid, SM_ACL_MAP))
		call->ref = sm_ref_resolve(call->site->relid, 0, false);
	if (memcmp(&call->site->types, &call->ref->types, sizeof(sm_types)) != 0)
		sm_map_was_altered(call->site->relid);
	return datum;
}

/* The type of the keys or values in argument number n. */
static Oid
input_type(const sm_call *call, FunctionCallInfo fcinfo, int n)
{
	Oid type = sm_argument_type(fcinfo, n);
	Oid element = call->many ? get_base_element_type(type) : InvalidOid;

	return OidIsValid(element) ? element : type;
}

/* The key in argument 1, or in an element of it; see sm_call_key. */
sm_bytes
sm_site_key(sm_call *call, FunctionCallInfo fcinfo, Datum key)
{
	sm_site *site = call->site;

	if (likely(site->key_as_is))
		return sm_key_bytes(site->types.key_type, key, &call->room[0]);
	if (site->key == NULL)
	{
		site->key = sm_argument_input(site->relid, "key", input_type(call, fcinfo, 1),
									  site->types.key_type, -1, site->context);
		site->key_as_is = sm_input_is_none(site->key);
	}
	return sm_key_bytes(site->types.key_type, convert(call, site->key, key),
						&call->room[0]);
}

/* The value in argument number n, or in an element of it; see sm_call_value. */
sm_bytes
sm_site_value(sm_call *call, FunctionCallInfo fcinfo, int n, Datum value)
{
	sm_site *site = call->site;

	if (unlikely(site->value == NULL))
		site->value =
			sm_argument_input(site->relid, "value", input_type(call, fcinfo, n),
							  site->types.value_type, site->types.value_typmod,
							  site->context);
	return sm_value_bytes(&site->types, convert(call, site->value, value),
						  &call->room[n - 1]);
}

/* The rest of sm_call_check_result: type is that of the result. */
void
sm_site_check_result(sm_call *call, Oid type)
{
	sm_site *site = call->site;
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
						get_rel_name(call->ref->relid), format_type_be(value_type),
						format_type_be(type)),
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

/* The rest of sm_call_result. */
Datum
sm_site_result(sm_call *call)
{
	const sm_types *types = &call->site->types;
	char *data = call->value.data;
	size_t len = call->value.len;

	return result_datum(call->site,
						data == sm_scratch ?
							sm_value_datum(types, (sm_bytes) {data, len}) :
							sm_value_datum_in(types, data - VARHDRSZ, len));
}

/* The same of a value that was stored. */
Datum
sm_site_stored(sm_call *call, sm_bytes value)
{
	return result_datum(call->site, sm_value_datum(&call->site->types, value));
}

/* The type of rows that the function returns. */
TupleDesc
sm_site_row(sm_call *call, FunctionCallInfo fcinfo)
{
	sm_site *site = call->site;

	if (site->row == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);

		if (get_call_result_type(fcinfo, NULL, &site->row) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		site->row = BlessTupleDesc(site->row);
		MemoryContextSwitchTo(old);
	}
	return site->row;
}

/* ---- arguments ---- */

/*
 * When a key expires that the call stores: by argument number n, a time to live
 * or NULL, else by the map's option ttl.  Errors: see sm_ttl_expires.
 */
int64
sm_call_expires(const sm_call *call, FunctionCallInfo fcinfo, int n)
{
	if (!PG_ARGISNULL(n))
		return sm_ttl_expires(PG_GETARG_INTERVAL_P(n));
	if (call->ref->has_ttl)
		return sm_ttl_expires(&call->ref->ttl);
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

/* Raises 54000. */
void
sm_key_too_long(size_t len)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("key of %zu bytes is too long", len),
			 errdetail("A key has at most %d bytes.", SM_MAX_KEY),
			 errhint("Hash long keys, for example with sha256.")));
}
