/*
 * loader.c
 *	  A map's loader: the query that computes what a key's value is.
 *
 * It is the map's option loader, with the key as $1, and gives one column of the type of
 * the map's values, and one row at most.  All who may read the map share what it gives,
 * so it runs as the map's owner, whoever asks, in a security-restricted context, with
 * settings of its own; names in it must be qualified.  A session keeps its plan.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/builtins.h"

#include "args.h"
#include "fixed.h"
#include "loader.h"
#include "options.h"
#include "query.h"

/* What a session keeps of a map's loader. */
typedef struct sm_loader
{
	Oid relid;		/* hash key, must be first */
	uint64 version; /* of the map's reference, that the rest is about; 0: none */
	char *query;
	Oid owner; /* by whose rights names were looked up */
	sm_types types;
	SPIPlanPtr plan;
	int busy; /* how often it runs, further up */
} sm_loader;

static HTAB *loaders = NULL;

/* Whose rights and settings hold outside of the loader. */
typedef struct outside
{
	Oid userid;
	int context;
	int level;
} outside;

/* Goes on as the map's owner. */
static outside
enter(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	outside before;
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&before.userid, &before.context);
	SetUserIdAndSecContext(owner,
						   before.context | SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
	before.level = sm_fixed_begin();
	return before;
}

static void
leave(const outside *before)
{
	sm_fixed_end(before->level);
	SetUserIdAndSecContext(before->userid, before->context);
}

/* Raises 42P17 unless a plan is a query that gives one column. */
static SPIPlanPtr
prepare(Oid relid, const sm_types *types, const char *query)
{
	Oid key_type = types->key_type;
	SPIPlanPtr plan = SPI_prepare(query, 1, &key_type);
	CachedPlanSource *source;

	if (plan == NULL)
		elog(ERROR, "could not prepare the loader of a map: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan) || list_length(SPI_plan_get_plan_sources(plan)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the loader of map \"%s\" is not a query", get_rel_name(relid)),
				 errhint("It is one SELECT, with the key as $1.")));
	source = linitial(SPI_plan_get_plan_sources(plan));
	if (source->resultDesc == NULL || source->resultDesc->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the loader of map \"%s\" must give one column",
						get_rel_name(relid)),
				 errhint("It is one SELECT of the value, with the key as $1.")));
	(void) sm_argument_input(relid, "value",
							 TupleDescAttr(source->resultDesc, 0)->atttypid,
							 types->value_type, types->value_typmod,
							 CurrentMemoryContext);
	return plan;
}

/*
 * Raises an error if a query is no loader for a map with these types: what the parser
 * raises, 42P17, 42804.
 */
void
sm_loader_check(Oid relid, const sm_types *types, const char *query)
{
	outside before;

	SPI_connect();
	before = enter(relid);
	(void) prepare(relid, types, query);
	leave(&before);
	SPI_finish();
}

/* Raises 55000. */
static _Noreturn void
no_loader(Oid relid)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("map \"%s\" has no loader", get_rel_name(relid)),
		 errhint(
			 "Use: ALTER FOREIGN TABLE ... OPTIONS (ADD loader 'SELECT ... WHERE ... = $1').")));
	pg_unreachable();
}

/*
 * The loader of a map, prepared.  Called within SPI, as the map's owner.  As long as the
 * reference is the one of before, so are the map's options and types.
 */
static sm_loader *
find_loader(const sm_ref *ref)
{
	uint64 version = ref->version; /* to prepare it may run code of users */
	sm_options options;
	sm_loader *loader;
	bool found;

	if (loaders == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(sm_loader)};

		loaders = hash_create("syncmap loaders", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	loader = hash_search(loaders, &ref->relid, HASH_ENTER, &found);
	if (!found)
		memset((char *) loader + sizeof(Oid), 0, sizeof(sm_loader) - sizeof(Oid));
	if (loader->version == ref->version && ref->checked)
		return loader;
	sm_options_parse(GetForeignTable(ref->relid)->options, &options);
	if (options.loader == NULL)
		no_loader(ref->relid);
	if (loader->plan != NULL && loader->owner == GetUserId() &&
		strcmp(loader->query, options.loader) == 0 &&
		memcmp(&loader->types, &ref->types, sizeof(sm_types)) == 0)
	{
		loader->version = ref->version;
		return loader;
	}
	if (loader->busy > 0)
	{
		/* it has altered its own map: what runs further up stays */
		loader = palloc0(sizeof(sm_loader));
		loader->plan = prepare(ref->relid, &ref->types, options.loader);
		return loader;
	}
	loader->version = 0;
	if (loader->plan != NULL)
		SPI_freeplan(loader->plan);
	loader->plan = NULL;
	if (loader->query != NULL)
		pfree(loader->query);
	loader->query = NULL;
	loader->query = MemoryContextStrdup(TopMemoryContext, options.loader);
	loader->owner = GetUserId();
	loader->types = ref->types;
	loader->plan = prepare(ref->relid, &ref->types, options.loader);
	SPI_keepplan(loader->plan);
	loader->version = version;
	return loader;
}

/*
 * Computes a key's value, in the active snapshot, in the current memory context.  Returns
 * false if there is none.  Code of users runs: the caller looks at the map again.
 *
 * Errors: 55000 the map has no loader; 21000 it gives more than one row; what it raises.
 */
bool
sm_loader_run(const sm_ref *ref, sm_bytes key, sm_bytes *value)
{
	MemoryContext context = CurrentMemoryContext;
	/* to prepare it may run code of users, too: the reference is not good afterwards */
	Oid relid = ref->relid;
	sm_types types = ref->types;
	Datum key_datum = sm_key_datum(&types, key);
	sm_loader *volatile loader;
	outside before;
	bool found = false;

	SPI_connect();
	before = enter(relid);
	loader = find_loader(ref);
	loader->busy++;
	PG_TRY();
	{
		found = sm_query_value("loader", relid, &types, loader->plan, &key_datum, NULL,
							   context, value);
	}
	PG_FINALLY();
	{
		loader->busy--;
	}
	PG_END_TRY();
	leave(&before);
	SPI_finish();
	return found;
}
