/*
 * watches.c
 *	  The watches of this database, as the catalogs have them.
 *
 * A watch is a trigger whose function is syncmap.invalidate, with the map's name and the
 * key's expression as arguments, so that pg_dump knows all of it.  watch.c makes it
 * depend on the map, by which it is found from there.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/dependency.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "watches.h"

/* Is it syncmap.invalidate?  C functions are made by superusers only. */
static bool
is_invalidate(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool isnull;
	Datum symbol;
	bool is = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
	{
		symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
		is = !isnull && strcmp(TextDatumGetCString(symbol), "syncmap_invalidate") == 0;
	}
	ReleaseSysCache(tuple);
	return is;
}

/* The rows of pg_depend with two values, by an index on these; of FormData_pg_depend. */
static List *
find_dependencies(Oid index, AttrNumber class_column, Oid class,
				  AttrNumber object_column, Oid object)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *found = NIL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], class_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], object_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(depend, index, true, NULL, lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = lappend(found,
						memcpy(palloc(sizeof(FormData_pg_depend)), GETSTRUCT(tuple),
							   sizeof(FormData_pg_depend)));
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/* What a trigger depends on. */
static List *
dependencies_of(Oid trigger)
{
	return find_dependencies(DependDependerIndexId, Anum_pg_depend_classid,
							 TriggerRelationId, Anum_pg_depend_objid, trigger);
}

/* The map that a trigger has been made to depend on, or InvalidOid. */
static Oid
map_of(Oid trigger, Oid source)
{
	ListCell *cell;

	foreach (cell, dependencies_of(trigger))
	{
		const FormData_pg_depend *row = lfirst(cell);

		if (row->refclassid == RelationRelationId && row->refobjid != source &&
			row->deptype == DEPENDENCY_AUTO &&
			get_rel_relkind(row->refobjid) == RELKIND_FOREIGN_TABLE)
			return row->refobjid;
	}
	return InvalidOid;
}

/* Reads a trigger's row.  False if it is none of a watch. */
static bool
read_tuple(HeapTuple tuple, TupleDesc desc, sm_watch *watch)
{
	Form_pg_trigger row = (Form_pg_trigger) GETSTRUCT(tuple);
	bool isnull;
	Datum args;

	if (!is_invalidate(row->tgfoid))
		return false;
	*watch = (sm_watch) {.trigger = row->oid,
						 .source = row->tgrelid,
						 .map = map_of(row->oid, row->tgrelid),
						 .is_clone = OidIsValid(row->tgparentid),
						 .enabled = row->tgenabled,
						 .type = row->tgtype,
						 .name = pstrdup(NameStr(row->tgname))};
	args = heap_getattr(tuple, Anum_pg_trigger_tgargs, desc, &isnull);
	if (row->tgnargs > 0 && !isnull)
	{
		bytea *bytes = DatumGetByteaPP(args);
		const char *at = VARDATA_ANY(bytes);

		watch->map_name = pstrdup(at);
		if (row->tgnargs > 1)
			watch->key = pstrdup(at + strlen(at) + 1);
	}
	watch->has_more = row->tgnargs > 2 || row->tgattr.dim1 > 0 || row->tgdeferrable;
	(void) heap_getattr(tuple, Anum_pg_trigger_tgqual, desc, &isnull);
	watch->has_more |= !isnull;
	(void) heap_getattr(tuple, Anum_pg_trigger_tgoldtable, desc, &isnull);
	watch->has_more |= !isnull;
	(void) heap_getattr(tuple, Anum_pg_trigger_tgnewtable, desc, &isnull);
	watch->has_more |= !isnull;
	return true;
}

/* The triggers of watches that an index of pg_trigger has for an OID. */
static List *
find_triggers(Oid index, AttrNumber column, Oid wanted, Snapshot snapshot)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	List *found = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	sm_watch watch;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(wanted));
	scan = systable_beginscan(triggers, index, true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (read_tuple(tuple, RelationGetDescr(triggers), &watch))
			found =
				lappend(found, memcpy(palloc(sizeof(watch)), &watch, sizeof(watch)));
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return found;
}

/* Reads a trigger.  False if it is none of a watch, or not there. */
bool
sm_watch_read(Oid trigger, Snapshot snapshot, sm_watch *watch)
{
	List *found =
		find_triggers(TriggerOidIndexId, Anum_pg_trigger_oid, trigger, snapshot);

	if (found == NIL)
		return false;
	*watch = *(sm_watch *) linitial(found);
	return true;
}

/* The watches whose triggers depend on an object. */
static List *
find_dependent(Oid class, Oid object)
{
	List *found = NIL;
	ListCell *cell;

	foreach (cell,
			 find_dependencies(DependReferenceIndexId, Anum_pg_depend_refclassid, class,
							   Anum_pg_depend_refobjid, object))
	{
		const FormData_pg_depend *row = lfirst(cell);
		sm_watch *watch;

		if (row->classid != TriggerRelationId)
			continue;
		watch = palloc(sizeof(sm_watch));
		if (sm_watch_read(row->objid, NULL, watch) &&
			(class != RelationRelationId || watch->map == object))
			found = lappend(found, watch);
	}
	return found;
}

/*
 * Does any table invalidate a map's keys?  One whose trigger for rows was taken away, with
 * CASCADE, does not, although that for TRUNCATE is there.
 */
bool
sm_map_is_watched(Oid map)
{
	ListCell *cell;

	foreach (cell, find_dependent(RelationRelationId, map))
	{
		if (TRIGGER_FOR_ROW(((sm_watch *) lfirst(cell))->type))
			return true;
	}
	return false;
}

/* The watches of a map, of sm_watch. */
List *
sm_watches_of_map(Oid map)
{
	return find_dependent(RelationRelationId, map);
}

/* The watches that have a table for their source. */
List *
sm_watches_of_source(Oid source)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source));
	bool has_triggers =
		HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relhastriggers;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!has_triggers)
		return NIL;
	return find_triggers(TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, source,
						 NULL);
}

/* The watches whose keys use an object, such as a function. */
List *
sm_watches_using(Oid class, Oid object)
{
	return find_dependent(class, object);
}

/* Does a trigger depend on an object? */
bool
sm_watch_uses(Oid trigger, Oid class, Oid object)
{
	ListCell *cell;

	foreach (cell, dependencies_of(trigger))
	{
		const FormData_pg_depend *row = lfirst(cell);

		if (row->refclassid == class && row->refobjid == object)
			return true;
	}
	return false;
}

/* All watches of this database. */
List *
sm_all_watches(void)
{
	oidvector *no_arguments = buildoidvector(NULL, 0);
	Oid schema = get_namespace_oid("syncmap", true);
	Oid function;

	if (!OidIsValid(schema))
		return NIL;
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							   CStringGetDatum("invalidate"),
							   PointerGetDatum(no_arguments), ObjectIdGetDatum(schema));
	return OidIsValid(function) ? find_dependent(ProcedureRelationId, function) : NIL;
}

/* Does a trigger depend on a function in a schema? */
static bool
uses_schema(Oid trigger, Oid schema)
{
	ListCell *cell;

	foreach (cell, dependencies_of(trigger))
	{
		const FormData_pg_depend *row = lfirst(cell);

		if (row->refclassid == ProcedureRelationId &&
			get_func_namespace(row->refobjid) == schema)
			return true;
	}
	return false;
}

/* The watches whose map, or a function of their key, is in a schema. */
List *
sm_watches_in(Oid schema)
{
	List *found = NIL;
	ListCell *cell;

	foreach (cell, sm_all_watches())
	{
		sm_watch *watch = lfirst(cell);

		if (get_rel_namespace(watch->map) == schema ||
			uses_schema(watch->trigger, schema))
			found = lappend(found, watch);
	}
	return found;
}
