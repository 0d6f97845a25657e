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
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "functions.h"
#include "options.h"

SM_FUNCTION(syncmap_count);
SM_FUNCTION(syncmap_clear);
SM_FUNCTION(syncmap_create);
SM_FUNCTION(syncmap_drop);

/* count(map) returns bigint.  Needs SELECT. */
Datum
syncmap_count(PG_FUNCTION_ARGS)
{
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_SELECT))
		PG_RETURN_INT64(0);
	PG_RETURN_INT64((int64) sm_count(&call.ref->map));
}

/* clear(map) returns void.  Needs TRUNCATE. */
Datum
syncmap_clear(PG_FUNCTION_ARGS)
{
	sm_call call;

	if (!sm_call_start(&call, fcinfo, ACL_TRUNCATE))
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

/* Appends OPTIONS (...) with those of create's arguments that are not NULL. */
static void
append_options(StringInfo command, FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"max_memory", "eviction", "ttl"};
	const char *separator = " OPTIONS (";

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		char *value;

		if (PG_ARGISNULL(i + 1))
			continue;
		if (strcmp(names[i], "ttl") == 0)
			value = sm_ttl_out(PG_GETARG_INTERVAL_P(i + 1));
		else
			value = text_to_cstring(PG_GETARG_TEXT_PP(i + 1));
		appendStringInfo(command, "%s%s %s", separator, names[i],
						 quote_literal_cstr(value));
		separator = ", ";
	}
	if (separator[0] == ',')
		appendStringInfoChar(command, ')');
}

/*
 * create(name, max_memory, eviction, ttl) returns regclass.  name is a name in
 * SQL, qualified or not; the others are the options of that name, none where NULL.
 *
 * Errors: 55000 the library was not preloaded; 22004, 42602 name is NULL, or
 * no name; what CREATE FOREIGN TABLE raises.
 */
Datum
syncmap_create(PG_FUNCTION_ARGS)
{
	List *names;
	RangeVar *name;
	Oid schema;
	StringInfoData command;

	sm_require_loaded();
	sm_check_not_null(fcinfo, 0, "name");
	names = textToQualifiedNameList(PG_GETARG_TEXT_PP(0));
	name = makeRangeVarFromNameList(names);
	schema = RangeVarGetCreationNamespace(name);

	initStringInfo(&command);
	appendStringInfo(
		&command,
		"CREATE FOREIGN TABLE %s (key pg_catalog.text COLLATE pg_catalog.\"C\", value pg_catalog.text) SERVER syncmap",
		quote_qualified_identifier(get_namespace_name(schema), name->relname));
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
