/*
 * fdw.c
 *	  Maps as foreign tables.
 *
 * A map is a foreign table for its name, its owner, and its privileges.
 * Reading and writing it as a table is not supported: a plan that would is
 * refused as soon as the planner asks for the table's size, and PostgreSQL
 * itself refuses INSERT, COPY and TRUNCATE, and leaves it out of ANALYZE, since
 * the wrapper has no functions for them.
 */
#include "compat.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_table.h"
#include "foreign/fdwapi.h"
#include "nodes/pathnodes.h"
#include "utils/lsyscache.h"

#include "fdw.h"
#include "options.h"

SM_FUNCTION(syncmap_fdw_handler);
SM_FUNCTION(syncmap_fdw_validator);

/*
 * GetForeignRelSize, the first thing that the planner asks.  Raises 0A000.
 * Also what tells our wrapper from others, see sm_relation_is_map.
 */
void
sm_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	const char *name = get_rel_name(foreigntableid);

	if (bms_is_member(baserel->relid, root->all_result_relids))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("changing a map with UPDATE, DELETE or MERGE is not supported yet"),
			 errdetail("\"%s\" is a map.", name),
			 errhint("Use syncmap.put and syncmap.delete.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("reading a map with SELECT is not supported yet"),
			 errdetail("\"%s\" is a map.", name),
			 errhint("Use syncmap.get for one key, and syncmap.range for all.")));
}

Datum
syncmap_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = sm_fdw_rel_size;

	PG_RETURN_POINTER(routine);
}

/*
 * Raises HV00D for an option that does not exist: only maps have any, see
 * options.c; and what that raises for a value.
 */
Datum
syncmap_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	sm_options parsed;

	if (PG_GETARG_OID(1) == ForeignTableRelationId)
	{
		sm_options_parse(options, &parsed);
		if (parsed.has_ttl)
			(void) sm_ttl_expires(&parsed.ttl);
	}
	else if (options != NIL)
	{
		DefElem *option = linitial(options);

		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", option->defname),
				 errhint("There are no valid options in this context.")));
	}
	PG_RETURN_VOID();
}
