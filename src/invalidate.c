/*
 * invalidate.c
 *	  The trigger of a watch: notes which keys of a map a changed row makes old.
 *
 * It runs AFTER each row, when the row is what it will be, and notes the key that the row
 * had, and the one that it has (noted.c).  What it needs for that is remembered for each
 * trigger, and looked up anew when the table, the map, or anything in between may have
 * changed.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "noted.h"
#include "ref.h"
#include "watch.h"

SM_FUNCTION(syncmap_invalidate);

/* What is remembered of a trigger. */
typedef struct sm_invalidator
{
	Oid trigger; /* hash key, must be first */
	bool valid;
	bool busy; /* its expression is being made, or evaluated */
	Oid source;
	Oid map;
	Oid key_type;
	bool whole;		   /* all keys of the map */
	AttrNumber column; /* the key is that column as it is, if there is no econtext */
	ExprState *key;
	ExprContext *econtext;
	MemoryContext context; /* of the two */
} sm_invalidator;

static HTAB *invalidators = NULL;

/* Counts invalidations, so that one that comes while a trigger is looked up is noticed. */
static uint64 invalidations = 0;

static void
at_relcache_invalidation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	sm_invalidator *invalidator;

	invalidations++;
	hash_seq_init(&scan, invalidators);
	while ((invalidator = hash_seq_search(&scan)) != NULL)
	{
		if (!OidIsValid(relid) || invalidator->source == relid ||
			invalidator->map == relid)
			invalidator->valid = false;
	}
}

static void
at_syscache_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	at_relcache_invalidation(arg, InvalidOid);
}

static void
make_invalidators(void)
{
	HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(sm_invalidator)};

	invalidators =
		hash_create("syncmap invalidators", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(at_relcache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, at_syscache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, at_syscache_invalidation, (Datum) 0);
}

/* Looks a trigger up; what is made for it is made in a child of the context. */
static void
fill_invalidator(sm_invalidator *invalidator, Relation source, MemoryContext parent)
{
	uint64 seen = invalidations;
	sm_watch watch;
	sm_types types;
	Node *key;
	MemoryContext old;

	if (invalidator->context != NULL)
		MemoryContextDelete(invalidator->context);
	*invalidator = (sm_invalidator) {.trigger = invalidator->trigger, .busy = true};
	if (!sm_watch_read(invalidator->trigger, NULL, &watch) || !OidIsValid(watch.map))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger of table \"%s\" was made while syncmap was not loaded",
						RelationGetRelationName(source)),
				 errhint("Drop it, and use syncmap.watch.")));
	if (watch.enabled != TRIGGER_FIRES_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of table \"%s\" does not fire always",
						watch.name, RelationGetRelationName(source)),
				 errhint(
					 "Use: ALTER TABLE ... ENABLE ALWAYS TRIGGER; or syncmap.watch.")));
	types = sm_watch_types(watch.map);
	invalidator->source = watch.source;
	invalidator->map = watch.map;
	invalidator->key_type = types.key_type;
	invalidator->whole = watch.key == NULL;
	if (!invalidator->whole)
	{
		key = sm_watch_key(source, watch.key, &types, invalidator->trigger);
		if (IsA(key, Var))
			invalidator->column = ((Var *) key)->varattno;
		else
		{
			invalidator->context = AllocSetContextCreate(parent, "syncmap invalidator",
														 ALLOCSET_SMALL_SIZES);
			old = MemoryContextSwitchTo(invalidator->context);
			/* a copy: constants stay where they are */
			invalidator->key =
				ExecInitExpr(expression_planner((Expr *) copyObject(key)), NULL);
			invalidator->econtext = CreateStandaloneExprContext();
			MemoryContextSwitchTo(old);
		}
	}
	/* what changed while we looked was good for this row only */
	invalidator->valid = seen == invalidations;
}

/*
 * What is known of a trigger, with its map locked until the end of the transaction.  One
 * whose expression is being evaluated, further up, is not touched: this call gets its own.
 */
static sm_invalidator *
find_invalidator(const TriggerData *trigger)
{
	Oid oid = trigger->tg_trigger->tgoid;
	MemoryContext volatile parent = TopMemoryContext;
	sm_invalidator *invalidator;
	bool found;

	if (invalidators == NULL)
		make_invalidators();
	invalidator = hash_search(invalidators, &oid, HASH_ENTER, &found);
	if (!found)
		memset((char *) invalidator + sizeof(Oid), 0,
			   sizeof(sm_invalidator) - sizeof(Oid));
	if (invalidator->busy)
	{
		parent = CurrentMemoryContext;
		invalidator = palloc0(sizeof(sm_invalidator));
		invalidator->trigger = oid;
	}
	/* the lock may bring news */
	if (invalidator->valid)
		(void) sm_ref_get(invalidator->map, 0);
	if (!invalidator->valid)
	{
		/* to plan the key may run its functions, which may come here again */
		PG_TRY();
		{
			fill_invalidator(invalidator, trigger->tg_relation, parent);
		}
		PG_FINALLY();
		{
			invalidator->busy = false;
		}
		PG_END_TRY();
		(void) sm_ref_get(invalidator->map, 0);
	}
	return invalidator;
}

/* The key that a row has.  False if it is NULL: that invalidates nothing. */
static bool
evaluate_key(sm_invalidator *invalidator, TupleTableSlot *row, Datum *key)
{
	ExprContext *econtext = invalidator->econtext;
	bool isnull = true;

	if (econtext == NULL)
	{
		*key = slot_getattr(row, invalidator->column, &isnull);
		return !isnull;
	}
	ResetExprContext(econtext);
	econtext->ecxt_scantuple = row;
	invalidator->busy = true;
	PG_TRY();
	{
		*key = ExecEvalExprSwitchContext(invalidator->key, econtext, &isnull);
	}
	PG_FINALLY();
	{
		invalidator->busy = false;
	}
	PG_END_TRY();
	return !isnull;
}

static void
note_row(sm_invalidator *invalidator, TupleTableSlot *row)
{
	uint64 room;
	Datum key;

	if (evaluate_key(invalidator, row, &key))
		sm_note_key(invalidator->map, sm_key_bytes(invalidator->key_type, key, &room));
}

/*
 * The trigger function of a watch.  Without shared memory there is no map that could be
 * old: then it does nothing.
 */
Datum
syncmap_invalidate(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	sm_invalidator *invalidator;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("syncmap.invalidate() is a trigger function"),
				 errhint("Use syncmap.watch.")));
	if (!sm_pg_loaded())
		return PointerGetDatum(NULL);

	invalidator = find_invalidator(trigger);
	if (invalidator->whole || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		sm_note_map(invalidator->map);
	else if (!sm_map_is_noted(invalidator->map))
	{
		note_row(invalidator, trigger->tg_trigslot);
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			note_row(invalidator, trigger->tg_newslot);
	}
	return PointerGetDatum(NULL);
}
