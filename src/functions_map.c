/*
 * functions_map.c
 *	  The SQL functions that act on a map as a whole.
 *
 * create and drop are short for CREATE and DROP FOREIGN TABLE, run as the
 * caller: those, and their effects, are transactional.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "args.h"
#include "options.h"

SM_FUNCTION(syncmap_count);
SM_FUNCTION(syncmap_clear);
SM_FUNCTION(syncmap_create);
SM_FUNCTION(syncmap_drop);

/* The arguments of create. */
enum
{
	ARG_NAME,
	ARG_MAX_MEMORY,
	ARG_EVICTION,
	ARG_TTL,
	ARG_KEY_TYPE,
	ARG_VALUE_TYPE,
	ARG_EXPIRES_AT,
	ARG_SHARDS,
	ARG_PROMOTE_RATIO,
	ARG_ORDERED,
	ARG_CONSISTENT,
	ARG_LOADER
};

/* count(map) returns bigint.  Needs SELECT. */
Datum
syncmap_count(PG_FUNCTION_ARGS)
{
	sm_ref *ref = sm_ref_get(PG_GETARG_OID(0), ACL_SELECT);

	if (!sm_guc_enabled)
		PG_RETURN_INT64(0);
	PG_RETURN_INT64((int64) sm_count(&ref->map));
}

/* clear(map) returns void.  Needs TRUNCATE. */
Datum
syncmap_clear(PG_FUNCTION_ARGS)
{
	sm_call call = {.ref = NULL};

	/* before the map is looked for: one of other types goes at once */
	sm_check_writable(fcinfo);
	call.ref = sm_ref_resolve(PG_GETARG_OID(0), ACL_TRUNCATE, sm_guc_enabled);
	if (!sm_guc_enabled)
		PG_RETURN_NULL();
	while (!sm_call_done(&call, sm_clear(&call.ref->map)))
		;
	PG_RETURN_VOID();
}

static void
run(const char *command)
{
	SPI_connect();
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", command);
	SPI_finish();
}

/* Argument number n of create as an option's value. */
static char *
option_value(FunctionCallInfo fcinfo, int n)
{
	switch (n)
	{
		case ARG_TTL:
			return sm_ttl_out(PG_GETARG_INTERVAL_P(n));
		case ARG_SHARDS:
		case ARG_PROMOTE_RATIO:
			return psprintf("%d", PG_GETARG_INT32(n));
		case ARG_ORDERED:
		case ARG_CONSISTENT:
			return PG_GETARG_BOOL(n) ? "true" : "false";
		default:
			return text_to_cstring(PG_GETARG_TEXT_PP(n));
	}
}

/* Appends OPTIONS (...) with those of create's arguments that are not NULL. */
static void
append_options(StringInfo command, FunctionCallInfo fcinfo)
{
	static const char *const names[] = {[ARG_MAX_MEMORY] = "max_memory",
										[ARG_EVICTION] = "eviction",
										[ARG_TTL] = "ttl",
										[ARG_SHARDS] = "shards",
										[ARG_PROMOTE_RATIO] = "promote_ratio",
										[ARG_ORDERED] = "ordered",
										[ARG_CONSISTENT] = "consistent",
										[ARG_LOADER] = "loader"};
	const char *separator = " OPTIONS (";

	for (int n = 0; n < (int) lengthof(names); n++)
	{
		if (names[n] == NULL || PG_ARGISNULL(n))
			continue;
		appendStringInfo(command, "%s%s %s", separator, names[n],
						 quote_literal_cstr(option_value(fcinfo, n)));
		separator = ", ";
	}
	if (separator[0] == ',')
		appendStringInfoChar(command, ')');
}

/* Argument number n, a type as it stands in SQL, qualified and quoted; text for NULL. */
static char *
type_argument(FunctionCallInfo fcinfo, int n, Oid *type)
{
	int32 typmod = -1;

	*type = TEXTOID;
	if (!PG_ARGISNULL(n))
		sm_parse_type(text_to_cstring(PG_GETARG_TEXT_PP(n)), type, &typmod);
	return format_type_extended(*type, typmod,
								FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/*
 * create(name, max_memory, eviction, ttl, key_type, value_type, expires_at, shards,
 * promote_ratio, ordered, consistent, loader) returns regclass.  name is a name in SQL,
 * qualified or not; key_type and value_type are types in SQL; expires_at says whether there is that
 * column; the others are the options of that name, none where NULL.
 *
 * Errors: 55000 the library was not preloaded; 22004, 42602 name is NULL, or
 * no name; 42704, 42601 a type is none; what CREATE FOREIGN TABLE raises.
 */
Datum
syncmap_create(PG_FUNCTION_ARGS)
{
	List *names;
	RangeVar *name;
	Oid schema;
	Oid key_type;
	Oid value_type;
	char *key;
	StringInfoData command;

	sm_require_loaded();
	sm_check_not_null(fcinfo, ARG_NAME, "name");
	names = textToQualifiedNameList(PG_GETARG_TEXT_PP(ARG_NAME));
	name = makeRangeVarFromNameList(names);
	schema = RangeVarGetCreationNamespace(name);
	key = type_argument(fcinfo, ARG_KEY_TYPE, &key_type);

	initStringInfo(&command);
	appendStringInfo(&command,
					 "CREATE FOREIGN TABLE %s (key %s%s, value %s%s) SERVER syncmap",
					 quote_qualified_identifier(get_namespace_name(schema),
												name->relname),
					 key, sm_is_string_key(key_type) ? " COLLATE pg_catalog.\"C\"" : "",
					 type_argument(fcinfo, ARG_VALUE_TYPE, &value_type),
					 !PG_ARGISNULL(ARG_EXPIRES_AT) && PG_GETARG_BOOL(ARG_EXPIRES_AT) ?
						 ", expires_at timestamp with time zone" :
						 "");
	append_options(&command, fcinfo);
	run(command.data);

	PG_RETURN_OID(get_relname_relid(name->relname, schema));
}

/*
 * drop(map) returns void.
 *
 * Errors: 55000 the library was not preloaded; 22004 map is NULL; 42P01 no
 * such relation; 42809 it is not a map; what DROP FOREIGN TABLE raises.
 */
Datum
syncmap_drop(PG_FUNCTION_ARGS)
{
	Oid relid;
	char *name;
	char *schema;
	StringInfoData command;

	sm_require_loaded();
	sm_check_not_null(fcinfo, 0, "map");
	relid = PG_GETARG_OID(0);
	if (!sm_relation_is_map(relid))
		sm_not_a_map(relid);

	/* it may be dropped meanwhile: DROP FOREIGN TABLE is what locks it */
	name = get_rel_name(relid);
	schema = get_namespace_name(get_rel_namespace(relid));
	if (name == NULL || schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));

	initStringInfo(&command);
	appendStringInfo(&command, "DROP FOREIGN TABLE %s",
					 quote_qualified_identifier(schema, name));
	run(command.data);

	PG_RETURN_VOID();
}
