/*
 * query.c
 *	  Queries that compute values of a map: a loader's, and a caller's own.
 *
 * A caller's query runs with the rights and the settings of the caller, as any query of
 * his; he may put what he likes anyway.  A session keeps the plans of the last ones.  When
 * such a plan was made under another search_path, PostgreSQL makes it anew.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "args.h"
#include "query.h"

/* Plans that a session keeps. */
#define KEPT 64

typedef struct kept_plan
{
	SPIPlanPtr plan; /* NULL: the place is free */
	char *text;
	uint32 hash;
	int nparameters;
	Oid *parameters; /* their types */
	int busy;		 /* how often it runs, further up */
	uint64 used;	 /* when it was last */
} kept_plan;

static kept_plan kept[KEPT];
static uint64 uses = 0;

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
	bytes = sm_value_bytes(types, sm_input_convert(input, datum), room);
	value->len = bytes.len;
	value->data = memcpy(MemoryContextAllocHuge(context, Max(bytes.len, 1)), bytes.data,
						 bytes.len);
	return true;
}

static void
forget(kept_plan *place)
{
	/* one of these may be all that there is, after an error */
	if (place->plan != NULL)
		SPI_freeplan(place->plan);
	if (place->text != NULL)
		pfree(place->text);
	if (place->parameters != NULL)
		pfree(place->parameters);
	*place = (kept_plan) {0};
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

/* The place of a plan that is kept, or NULL; *oldest is one to keep another in, or NULL. */
static kept_plan *
find_place(const char *text, uint32 hash, int nparameters, const Oid *parameters,
		   kept_plan **oldest)
{
	*oldest = NULL;
	for (int i = 0; i < KEPT; i++)
	{
		kept_plan *place = &kept[i];

		if (place->plan != NULL && place->hash == hash &&
			place->nparameters == nparameters &&
			memcmp(place->parameters, parameters, nparameters * sizeof(Oid)) == 0 &&
			strcmp(place->text, text) == 0)
			return place;
		if (place->busy == 0 && (*oldest == NULL || place->used < (*oldest)->used))
			*oldest = place;
	}
	return NULL;
}

/*
 * The plan of a query.  Called within SPI.  *place is where it is kept, or NULL where all
 * that are kept are running, further up: then it goes with SPI.
 */
static SPIPlanPtr
find_plan(const char *text, int nparameters, const Oid *parameters, kept_plan **place)
{
	uint32 hash = hash_bytes((const unsigned char *) text, (int) strlen(text));
	MemoryContext old;
	SPIPlanPtr plan;
	kept_plan *oldest;

	*place = find_place(text, hash, nparameters, parameters, &oldest);
	if (*place != NULL)
		return (*place)->plan;
	/* that may run code of users, which may take places, or the same one */
	plan = prepare(text, nparameters, parameters);
	*place = find_place(text, hash, nparameters, parameters, &oldest);
	if (*place != NULL || oldest == NULL)
		return plan;

	forget(oldest);
	old = MemoryContextSwitchTo(TopMemoryContext);
	oldest->text = pstrdup(text);
	oldest->parameters = memcpy(palloc((Size) nparameters * sizeof(Oid)), parameters,
								(Size) nparameters * sizeof(Oid));
	MemoryContextSwitchTo(old);
	oldest->hash = hash;
	oldest->nparameters = nparameters;
	SPI_keepplan(plan);
	oldest->plan = plan;
	*place = oldest;
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
	kept_plan *place;
	SPIPlanPtr volatile plan;
	volatile bool found;

	types[0] = map_types.key_type;
	values[0] = sm_key_datum(map_types.key_type, key);
	nulls[0] = ' ';
	for (int i = 0; i < query->nargs; i++)
	{
		types[i + 1] = query->types[i];
		values[i + 1] = query->values[i];
		nulls[i + 1] = query->nulls[i] ? 'n' : ' ';
	}

	SPI_connect();
	plan = find_plan(query->text, nparameters, types, &place);
	if (place != NULL)
	{
		place->busy++;
		place->used = ++uses;
	}
	PG_TRY();
	{
		found = sm_query_value("query", relid, &map_types, plan, values, nulls, context,
							   value);
	}
	PG_FINALLY();
	{
		if (place != NULL)
			place->busy--;
	}
	PG_END_TRY();
	SPI_finish();
	return found;
}
