/*
 * query.c
 *	  Queries that compute values of a map: a loader's, and a caller's own.
 *
 * A caller's query runs with the rights and the settings of the caller, as any query of
 * his; he may put what he likes anyway.  No plan of it is kept: what it means depends on
 * those settings, and on who asks.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "args.h"
#include "query.h"

/*
 * Runs a plan in the active snapshot, and copies its one value to the context, as bytes of
 * the map's type.  Returns false if there is no row, or NULL.  Called within SPI; what: of
 * whom errors say that it was.
 *
 * Errors: 21000 more than one row; 22023 not one column; 42804 it is of another type; what
 * the plan raises.
 */
bool
sm_query_value(const char *what, Oid relid, const sm_types *types, SPIPlanPtr plan,
			   Datum *parameters, const char *nulls, MemoryContext context,
			   sm_bytes *value)
{
	TupleDesc desc;
	sm_input *input;
	Datum datum;
	bool isnull;
	uint64 *room;
	sm_bytes bytes;

	if (SPI_execute_plan(plan, parameters, nulls, true, 2) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s of map \"%s\" is not a query that gives rows", what,
						get_rel_name(relid))));
	desc = SPI_tuptable->tupdesc;
	if (desc->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s of map \"%s\" must give one column", what,
						get_rel_name(relid)),
				 sm_is_row(types) ?
					 errhint("It is one SELECT of ROW(...)::%s, with the key as $1.",
							 format_type_be_qualified(types->value_type)) :
					 errhint("It is one SELECT of the value, with the key as $1.")));
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the %s of map \"%s\" gave more than one row", what,
						get_rel_name(relid))));
	/* also when there is no row, so that a wrong type is seen at once */
	input = sm_argument_input(relid, "value", SPI_gettypeid(desc, 1), types->value_type,
							  types->value_typmod, CurrentMemoryContext);
	if (SPI_processed == 0)
		return false;
	datum = SPI_getbinval(SPI_tuptable->vals[0], desc, 1, &isnull);
	if (isnull)
		return false;
	room = MemoryContextAlloc(context, sizeof(uint64));
	datum = sm_input_convert(input, datum);
	/* that may have altered the map: a row is not of the type any more that it was */
	sm_ref_check_types(sm_ref_get(relid, 0), types);
	bytes = sm_value_bytes(types, datum, room);
	value->len = bytes.len;
	value->data = memcpy(MemoryContextAllocHuge(context, Max(bytes.len, 1)), bytes.data,
						 bytes.len);
	return true;
}

/* Raises 22023 unless it is a query that gives rows. */
static SPIPlanPtr
prepare(const char *text, int nparameters, const Oid *parameters)
{
	SPIPlanPtr plan = SPI_prepare(text, nparameters, unconstify(Oid *, parameters));

	if (plan == NULL)
		elog(ERROR, "could not prepare a query: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("that is not a query that gives rows"),
				 errhint("It is one SELECT of the value, with the key as $1.")));
	return plan;
}

/*
 * Computes a key's value by a caller's query, in the active snapshot, in the current memory
 * context.  Returns false if there is none.  Code of users runs: the caller looks at the map
 * again.
 *
 * Errors: 22023 it is not one that gives rows of one column; 0A000 it would change
 * something; those of sm_query_value.
 */
bool
sm_query_run(const sm_query *query, const sm_ref *ref, sm_bytes key, sm_bytes *value)
{
	MemoryContext context = CurrentMemoryContext;
	/* to prepare it may run code of users, too: the reference is not good afterwards */
	Oid relid = ref->relid;
	sm_types map_types = ref->types;
	int nparameters = query->nargs + 1;
	Oid *types = palloc((Size) nparameters * sizeof(Oid));
	Datum *values = palloc((Size) nparameters * sizeof(Datum));
	char *nulls = palloc((Size) nparameters);
	bool found;

	types[0] = map_types.key_type;
	values[0] = sm_key_datum(&map_types, key);
	nulls[0] = ' ';
	for (int i = 0; i < query->nargs; i++)
	{
		types[i + 1] = query->types[i];
		values[i + 1] = query->values[i];
		nulls[i + 1] = query->nulls[i] ? 'n' : ' ';
	}

	SPI_connect();
	found = sm_query_value("query", relid, &map_types,
						   prepare(query->text, nparameters, types), values, nulls,
						   context, value);
	SPI_finish();
	return found;
}
