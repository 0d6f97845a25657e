/*
 * watch.c
 *	  The SQL functions that declare which tables invalidate a map's keys.
 *
 * watch is short for CREATE TRIGGER, twice: what holds of a watch is in watch_rules.c.
 */
#include "compat.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ref.h"
#include "watch.h"

SM_FUNCTION(syncmap_watch);
SM_FUNCTION(syncmap_unwatch);

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
run(const char *command)
{
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", command);
}

/*
 * A name that no trigger of the table has.  It comes before most others, in whose order
 * triggers fire: what the others look at has been noted by then.
 */
static char *
choose_name(Oid source, Oid map, const char *suffix)
{
	for (int n = 0;; n++)
	{
		char *label = n == 0 ? pstrdup(suffix) : psprintf("%s_%d", suffix, n);
		char *name = makeObjectName("_watch", get_rel_name(map), label);

		if (!OidIsValid(get_trigger_oid(source, name, true)))
			return name;
	}
}

static void
make_trigger(Oid source, Oid map, const char *suffix, const char *when, const char *key)
{
	char *name = pstrdup(quote_identifier(choose_name(source, map, suffix)));
	StringInfoData command;

	initStringInfo(&command);
	appendStringInfo(
		&command, "CREATE TRIGGER %s AFTER %s EXECUTE FUNCTION syncmap.invalidate(%s",
		name, psprintf(when, qualified_name(source)),
		quote_literal_cstr(qualified_name(map)));
	if (key != NULL)
		appendStringInfo(&command, ", %s", quote_literal_cstr(key));
	appendStringInfoChar(&command, ')');
	run(command.data);
	run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", qualified_name(source),
				 name));
}

static bool
same_key(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Raises 42P01, 42501. */
static void
check_owner(Oid relid)
{
	char relkind = get_rel_relkind(relid);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!sm_owns_relation(relid))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind),
					   get_rel_name(relid));
}

static void
check_owners(Oid map, Oid source)
{
	if (!sm_relation_is_map(map))
		sm_not_a_map(map);
	check_owner(map);
	check_owner(source);
}

/* Raises 42710. */
static void
check_new(Oid source, Oid map, const char *key)
{
	ListCell *cell;

	foreach (cell, sm_watches_of_source(source))
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->map == map && watch->type != TRIGGER_TYPE_TRUNCATE &&
			same_key(watch->key, key))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("map \"%s\" has that watch of table \"%s\" already",
							get_rel_name(map), get_rel_name(source))));
	}
}

/*
 * watch(map, source, key): from now on a change of a row of the table source invalidates
 * what the map has for its key, an expression over the row; or all of it if key is NULL.
 * To be called by the owner of both.
 *
 * Locks the table, ShareRowExclusive, and then the map, AccessExclusive, as CREATE
 * TRIGGER and ALTER do.
 *
 * Errors: 42501, 42809, 42804, 42P17, 0A000, 42710; those of the parser.
 */
Datum
syncmap_watch(PG_FUNCTION_ARGS)
{
	Oid map;
	Oid source;
	char *key = NULL;
	sm_types types;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("arguments \"map\" and \"source\" must not be null")));
	map = PG_GETARG_OID(0);
	source = PG_GETARG_OID(1);
	sm_require_loaded();
	/* nothing is locked for somebody who has no right to it; again, with the locks */
	check_owners(map, source);
	LockRelationOid(source, ShareRowExclusiveLock);
	LockRelationOid(map, AccessExclusiveLock);
	check_owners(map, source);
	types = sm_watch_types(map);
	if (!PG_ARGISNULL(2))
		key =
			sm_watch_qualify_key(source, text_to_cstring(PG_GETARG_TEXT_PP(2)), &types);
	check_new(source, map, key);
	SPI_connect();
	make_trigger(source, map, "rows", "INSERT OR DELETE OR UPDATE ON %s FOR EACH ROW",
				 key);
	make_trigger(source, map, "truncate", "TRUNCATE ON %s FOR EACH STATEMENT", NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/* Is the current user the owner of a map that is watched by the table? */
static bool
owns_watch(Oid map, Oid source)
{
	ListCell *cell;

	foreach (cell, sm_watches_of_source(source))
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->map == map && !watch->is_clone)
			return sm_owns_relation(map);
	}
	return false;
}

/* Drops a trigger: as a statement does, or for who is not its table's owner, as its map's end. */
static void
drop_trigger(const sm_watch *watch)
{
	ObjectAddress address = {TriggerRelationId, watch->trigger, 0};

	if (sm_owns_relation(watch->source))
		run(psprintf("DROP TRIGGER %s ON %s", quote_identifier(watch->name),
					 qualified_name(watch->source)));
	else
		performDeletion(&address, DROP_RESTRICT, 0);
}

/*
 * unwatch(map, source) returns boolean: was there any?  Removes all watches of the table
 * for the map.  To be called by the owner of the table, or by that of the map, with which
 * they would go, too.  Errors: 42501; 25006 in a transaction that is READ ONLY.
 */
Datum
syncmap_unwatch(PG_FUNCTION_ARGS)
{
	Oid map = PG_GETARG_OID(0);
	Oid source = PG_GETARG_OID(1);
	bool found = false;
	ListCell *cell;

	PreventCommandIfReadOnly("syncmap.unwatch()");
	/* nothing is locked for somebody who has no right to it; again, with the lock */
	if (!owns_watch(map, source))
		check_owner(source);
	LockRelationOid(source, AccessExclusiveLock);
	if (!owns_watch(map, source))
		check_owner(source);
	SPI_connect();
	foreach (cell, sm_watches_of_source(source))
	{
		const sm_watch *watch = lfirst(cell);

		if (watch->map != map || watch->is_clone)
			continue;
		drop_trigger(watch);
		found = true;
	}
	SPI_finish();
	PG_RETURN_BOOL(found);
}
