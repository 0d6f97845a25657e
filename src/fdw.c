/*
 * fdw.c
 *	  Maps as foreign tables: the wrapper's functions.
 *
 * fdw_plan.c finds what of a query is a lookup of keys, fdw_scan.c reads, and
 * fdw_modify.c writes.  The executor has checked privileges, of whom it has to
 * (a view's owner, perhaps), so nothing here asks for any.
 */
#include "compat.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "fdw.h"
#include "options.h"

SM_FUNCTION(syncmap_fdw_handler);
SM_FUNCTION(syncmap_fdw_validator);

/*
 * A worker of a parallel query reads the same memory as its leader.  But each would take
 * a snapshot of its own.
 */
static bool
is_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return !sm_ref_get(rte->relid, 0)->consistent;
}

/*
 * Raises 0A000 for FOR UPDATE, FOR SHARE, and so on, which would lock nothing.  Rows that an UPDATE
 * or DELETE joins are copied.
 */
static RowMarkType
row_mark_type(RangeTblEntry *rte, LockClauseStrength strength)
{
	if (strength != LCS_NONE)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot lock rows of map \"%s\"", get_rel_name(rte->relid)),
			 errhint(
				 "Name other tables, as in FOR UPDATE OF ...; to claim a key, use DELETE ... RETURNING, syncmap.get_and_delete, or syncmap.get_or_put.")));
	return ROW_MARK_COPY;
}

Datum
syncmap_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = sm_fdw_rel_size;
	routine->GetForeignPaths = sm_fdw_paths;
	routine->GetForeignPlan = sm_fdw_plan;
	routine->ReparameterizeForeignPathByChild = sm_fdw_reparameterize;
	routine->IsForeignScanParallelSafe = is_parallel_safe;

	routine->BeginForeignScan = sm_fdw_begin_scan;
	routine->IterateForeignScan = sm_fdw_next;
	routine->ReScanForeignScan = sm_fdw_rescan;
	routine->EndForeignScan = sm_fdw_end_scan;
	routine->ExplainForeignScan = sm_fdw_explain_scan;
	routine->AnalyzeForeignTable = sm_fdw_analyze;

	routine->GetForeignRowMarkType = row_mark_type;

	sm_fdw_modify_routines(routine);
	PG_RETURN_POINTER(routine);
}

/*
 * Raises HV00D for an option that does not exist: only maps have any, see options.c, and
 * their columns, see columns.c; and what these raise for a value.
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
	else if (PG_GETARG_OID(1) == AttributeRelationId)
		sm_check_column_options(options);
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
