/*
 * fdw_modify.c
 *	  Writing a map as a table: INSERT, UPDATE, DELETE, COPY, TRUNCATE.
 *
 * As with the functions, each row is an operation of its own: it takes effect at
 * once, for everybody, and ROLLBACK does not undo it.
 *
 * An UPDATE or DELETE first reads its rows.  When it writes one, the pair may be
 * another one already.  Where the statement has looked at nothing but the key, that makes
 * no difference, and an UPDATE leaves what it does not set as it is.  Where it has looked at
 * more, in WHERE, or in what it sets, the pair is compared, and if it is another one the row
 * is looked at again, as one of a table is in READ COMMITTED: what no longer qualifies is
 * left alone, and no change of others is lost.  Where that can't be, it is an error (40001).
 *
 * ON CONFLICT DO UPDATE reads the pair, has PostgreSQL evaluate the clause against it, and
 * compares it in the same way: from the start again, until the pair is the one that it saw, or
 * the key is not there and the row is stored.  So each row takes effect at one moment.  What
 * has been tried in vain leaves nothing behind, but for what triggers and functions have done.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "expiry.h"
#include "fdw_modify.h"
#include "options.h"
#include "returning.h"
#include "row.h"
#include "seen.h"

/*
 * How often a row is tried again if code that the statement runs for it changes maps, too.
 * If that is what gets in the way each time, trying is of no use.
 */
#define MOST_OWN_CHANGES 10

typedef struct modify_state
{
	Oid relid;
	sm_types types;
	sm_call call;
	ModifyTableState
		*mtstate; /* NULL: rows come by COPY, or from a partitioned table */
	OnConflictAction conflict; /* what happens to a row whose key is there */
	bool compares;			   /* the pair must still be what was read... */
	bool retries;			   /* ...and if it is not, the row may be looked at again */
	bool moves_in;			   /* the rows come from an UPDATE of the whole */
	bool keeps_expiry;		   /* an UPDATE leaves it as it is */
	bool leaves_expiry;	 /* as keeps_expiry, where the pair is compared: it is known */
	bool returns;		 /* a row that was stored is looked at */
	bool returns_system; /* RETURNING asks for a system column */
	/* ON CONFLICT DO UPDATE: NULL, or what the executor is told, see tell_executor */
	TriggerDesc *triggers;
	TriggerDesc *silent;
	sm_returning *returning;
	bool begun;		/* its first row has come */
	TupleDesc desc; /* of the map's table */
	AttrNumber
		*old;		/* where its columns, as they were read, stand in the plan's slot */
	uint64 room[4]; /* of the old key and value, and of the new value and key */
	/* what was changed so far, if the statement may come to a key again; or NULL */
	sm_seen *seen;
	/* of the row that is being tried */
	ExprContext *again; /* memory of each try but the first; NULL: there was none yet */
	uint64 locks;		/* taken in the map when the pair was read, see sm_pg_locks */
	int own_changes; /* tries that failed after code of the statement's had run that writes */
} modify_state;

/* A row's columns, and as bytes. */
typedef struct row_bytes
{
	sm_bytes key;
	sm_bytes value;
	int64 expires;
} row_bytes;

/* ---- rows as bytes ---- */

static modify_state *
make_state(Relation relation)
{
	modify_state *state = palloc0(sizeof(modify_state));

	state->relid = RelationGetRelid(relation);
	state->desc = RelationGetDescr(relation);
	state->call.ref = sm_ref_get(state->relid, 0);
	state->types = state->call.ref->types;
	state->call.version = state->call.ref->version;
	return state;
}

/* Raises 23502. */
static _Noreturn void
null_column(const modify_state *state, AttrNumber column, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of map \"%s\"",
					get_attname(state->relid, column, false),
					get_rel_name(state->relid)),
			 errhint("%s", hint)));
}

static Datum
column_of(const modify_state *state, TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum datum = slot_getattr(slot, column, &isnull);

	if (isnull)
		null_column(
			state, column,
			column == state->types.key_column ?
				"A key is never null." :
				"A map with one column for its value has no nulls: delete the key instead.");
	return datum;
}

/* The bytes of the value of a row in a slot. */
static sm_bytes
new_value(modify_state *state, TupleTableSlot *slot)
{
	const sm_types *types = &state->types;

	if (!sm_is_row(types))
		return sm_value_bytes(types, column_of(state, slot, types->value_column),
							  &state->room[2]);
	slot_getallattrs(slot);
	sm_row_check_nulls(types, state->desc, slot->tts_isnull);
	return sm_row_pack(types, state->desc, slot->tts_values, slot->tts_isnull);
}

/* The row in a slot as it is to be stored. */
static row_bytes
new_row(modify_state *state, TupleTableSlot *slot, bool is_new)
{
	const sm_types *types = &state->types;
	row_bytes row = {.expires = SM_NEVER};
	bool isnull = true;

	row.key = sm_key_bytes(types->key_type, column_of(state, slot, types->key_column),
						   &state->room[3]);
	row.value = new_value(state, slot);
	sm_check_key(row.key);
	if (types->expires_column != InvalidAttrNumber)
	{
		Datum expires = slot_getattr(slot, types->expires_column, &isnull);

		if (!isnull)
			row.expires = sm_expiry_from(types, expires);
		else if (types->expires_not_null && !(is_new && state->call.ref->has_ttl))
			null_column(state, types->expires_column, "The column is NOT NULL.");
	}
	if (state->keeps_expiry)
		row.expires = SM_KEEP;
	/* null, for an INSERT, is the map's default; an UPDATE that sets it means never */
	if (isnull && (is_new || types->expires_column == InvalidAttrNumber) &&
		state->call.ref->has_ttl)
		row.expires = sm_ttl_expires(&state->call.ref->ttl);
	return row;
}

/* A column of the row that was read. */
static Datum
old_column(const modify_state *state, TupleTableSlot *plan_slot, AttrNumber column,
		   bool *isnull)
{
	return slot_getattr(plan_slot, state->old[column - 1], isnull);
}

/* All columns of the row that was read. */
static void
old_columns(const modify_state *state, TupleTableSlot *plan_slot, Datum *values,
			bool *nulls)
{
	for (int i = 0; i < state->desc->natts; i++)
	{
		nulls[i] = true;
		if (state->old[i] != InvalidAttrNumber)
			values[i] = slot_getattr(plan_slot, state->old[i], &nulls[i]);
	}
}

static sm_bytes
old_value(modify_state *state, TupleTableSlot *plan_slot)
{
	const sm_types *types = &state->types;
	int natts = state->desc->natts;
	Datum *values;
	bool *nulls;
	bool isnull;

	if (!sm_is_row(types))
		return sm_value_bytes(types,
							  old_column(state, plan_slot, types->value_column,
										 &isnull),
							  &state->room[1]);
	values = palloc0(natts * sizeof(Datum));
	nulls = palloc(natts * sizeof(bool));
	old_columns(state, plan_slot, values, nulls);
	return sm_row_pack(types, state->desc, values, nulls);
}

/* The row that was read, for an UPDATE or DELETE. */
static row_bytes
old_row(modify_state *state, TupleTableSlot *plan_slot)
{
	const sm_types *types = &state->types;
	row_bytes row = {.expires = SM_NEVER};
	bool isnull;

	row.key = sm_key_bytes(types->key_type,
						   old_column(state, plan_slot, types->key_column, &isnull),
						   &state->room[0]);
	row.value = old_value(state, plan_slot);
	if (types->expires_column != InvalidAttrNumber)
	{
		Datum expires = old_column(state, plan_slot, types->expires_column, &isnull);

		if (!isnull)
			row.expires = sm_expiry_from(types, expires);
	}
	return row;
}

/* ---- operations on a row ---- */

/*
 * Starts with another row, when all code of users that may look at it has run.  False if
 * syncmap.enabled is off: nothing is done.
 */
static bool
begin(modify_state *state)
{
	sm_call_begin(&state->call, state->relid, &state->types);
	return sm_guc_enabled;
}

/*
 * Makes the expiry of the row that was read one that the engine can compare, where its column
 * does not say it to the microsecond: what the pair has that is there, if that shows the same.
 */
static void
refine_expiry(modify_state *state, row_bytes *old)
{
	const sm_types *types = &state->types;
	sm_call *call = &state->call;
	int64 expires;
	int64 shown = SM_NEVER;
	bool isnull;
	Datum datum;

	if (!state->compares || types->expires_column == InvalidAttrNumber ||
		sm_expiry_is_exact(types))
		return;
	while (
		!sm_call_done(call, sm_get_expiry(&call->ref->map, old->key, NULL, &expires)))
		;
	if (call->status != SM_FOUND)
		return;
	datum = sm_expiry_datum(types, expires, call->ref->has_ttl, &isnull);
	if (!isnull)
		shown = sm_expiry_from(types, datum);
	if (shown == old->expires)
		old->expires = expires;
}

/* Stores a key that is not there.  Returns SM_FOUND if it is. */
static sm_status
insert(modify_state *state, row_bytes row)
{
	sm_call *call = &state->call;
	sm_buffer nothing = {0};
	sm_status status;

	call->stores = true;
	call->wanted = row.key.len + row.value.len;
	do
	{
		status =
			sm_get_or_put(&call->ref->map, row.key, row.value, row.expires, &nothing);
		if (status == SM_TOO_SMALL)
			status = SM_FOUND;
	} while (!sm_call_done(call, status));
	call->stores = false;
	return call->status;
}

/*
 * Stores a value where the old pair is, or whatever is there.  SM_MISMATCH, SM_ABSENT: it
 * is not there.
 */
static sm_status
replace(modify_state *state, row_bytes old, row_bytes row)
{
	sm_call *call = &state->call;
	sm_status status;

	call->wanted = row.key.len + row.value.len;
	do
	{
		sm_map *map = &call->ref->map;

		if (!state->compares)
			status = sm_replace(map, row.key, row.value, row.expires);
		else if (state->types.expires_column != InvalidAttrNumber)
			status = sm_compare_pair_and_swap(map, row.key, old.value, old.expires,
											  row.value, row.expires);
		else
			status =
				sm_compare_and_swap(map, row.key, old.value, row.value, row.expires);
	} while (!sm_call_done(call, status));
	return call->status;
}

/* Removes the pair that was read, or whatever its key has. */
static sm_status
remove_row(modify_state *state, row_bytes old)
{
	sm_call *call = &state->call;
	sm_status status;

	do
	{
		sm_map *map = &call->ref->map;

		if (!state->compares)
			status = sm_delete(map, old.key);
		else if (state->types.expires_column != InvalidAttrNumber)
			status = sm_compare_pair_and_delete(map, old.key, old.value, old.expires);
		else
			status = sm_compare_and_delete(map, old.key, old.value);
	} while (!sm_call_done(call, status));
	return call->status;
}

/* Raises 40001. */
static _Noreturn void
changed_meanwhile(const modify_state *state)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
		 errmsg("could not change map \"%s\" due to another change of the same key",
				get_rel_name(state->relid)),
		 errdetail(
			 "The key was changed after it was read, by another session or by this statement."),
		 errhint("Try again, or use syncmap.increment or syncmap.compare_and_swap.")));
}

/* Raises 23505. */
static _Noreturn void
duplicate_key(const modify_state *state, sm_bytes key)
{
	Oid output;
	bool is_varlena;
	Datum datum = sm_key_datum(&state->types, key);

	getTypeOutputInfo(state->types.key_type, &output, &is_varlena);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key in map \"%s\"", get_rel_name(state->relid)),
			 errdetail("Key (%s)=(%s) already exists.",
					   get_attname(state->relid, state->types.key_column, false),
					   OidOutputFunctionCall(output, datum)),
			 errhint(
				 "syncmap.put and ON CONFLICT ... DO UPDATE replace its value; ON CONFLICT DO NOTHING leaves it.")));
}

/*
 * Has a row show when it expires, as a scan would, if that is not what it shows.  In memory of
 * the current context.
 */
static void
set_expiry(const modify_state *state, TupleTableSlot *slot, int64 expires)
{
	AttrNumber column = state->types.expires_column;
	TupleDesc desc = slot->tts_tupleDescriptor;
	Datum *values;
	bool *nulls;
	Datum datum;
	bool isnull;

	if (column == InvalidAttrNumber || expires == SM_KEEP || expires == SM_LONG_PAST)
		return;
	slot_getallattrs(slot);
	datum = sm_expiry_datum(&state->types, expires, state->call.ref->has_ttl, &isnull);
	if (slot->tts_isnull[column - 1] == isnull &&
		(isnull || slot->tts_values[column - 1] == datum))
		return;
	values = palloc(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	memcpy(values, slot->tts_values, desc->natts * sizeof(Datum));
	memcpy(nulls, slot->tts_isnull, desc->natts * sizeof(bool));
	values[column - 1] = datum;
	nulls[column - 1] = isnull;
	ExecForceStoreHeapTuple(heap_form_tuple(desc, values, nulls), slot, false);
}

/* The same of a row that is stored, for RETURNING, triggers, and the checks of views. */
static void
show_expiry(const modify_state *state, TupleTableSlot *slot, int64 expires)
{
	if (state->returns)
		set_expiry(state, slot, expires);
}

/* Raises 23514 if the map is a partition, and the row belongs to another one. */
static void
check_bounds(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	if (result->ri_RelationDesc->rd_rel->relispartition)
		ExecPartitionCheck(result, slot, estate, true);
}

/*
 * What PostgreSQL would find out when the row is stored already, about the row as it is
 * going to be stored.  False if syncmap.enabled is off.  Raises 44000 if a view does not
 * let the row in, and 42501 if a policy of the table does not that the map is a partition of:
 * PostgreSQL leaves that out for foreign tables.
 */
static bool
check_view(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, bool is_new)
{
	modify_state *state = result->ri_FdwState;

	if (result->ri_WithCheckOptions == NIL)
		return true;
	if (!begin(state))
		return false;
	show_expiry(state, slot, new_row(state, slot, is_new).expires);
	ExecWithCheckOptions(is_new && !state->moves_in ? WCO_RLS_INSERT_CHECK :
													  WCO_RLS_UPDATE_CHECK,
						 result, slot, estate);
	ExecWithCheckOptions(WCO_VIEW_CHECK, result, slot, estate);
	return true;
}

/* Both. */
static bool
check_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, bool is_new)
{
	check_bounds(estate, result, slot);
	return check_view(estate, result, slot, is_new);
}

/* ---- a row is tried again ---- */

/*
 * Makes a row ready to be tried again.  What a try leaves in memory goes with the next one,
 * so that many take no more than one: from now on the executor's memory for a row is
 * another one, which is not the one that the row came in.
 */
static void
begin_again(modify_state *state, EState *estate)
{
	CHECK_FOR_INTERRUPTS();
	if (state->again == NULL)
		state->again = CreateExprContext(estate);
	ResetExprContext(state->again);
	if (state->mtstate->ps.ps_ExprContext != NULL)
		ResetExprContext(state->mtstate->ps.ps_ExprContext);
	estate->es_per_tuple_exprcontext = state->again;
	MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
}

/*
 * A pair is about to be stored, if it is still what was read.  If the statement has run
 * code that writes to the map since, that may be what changes the pair, and would each time.
 */
static void
count_own_change(modify_state *state)
{
	if (sm_pg_locks(&state->call.ref->map) != state->locks)
		state->own_changes++;
}

/* The pair of a key, in memory of its own.  SM_FOUND, or SM_ABSENT. */
static sm_status
read_pair(modify_state *state, sm_bytes key, row_bytes *pair)
{
	sm_call *call = &state->call;
	char *copy = palloc(key.len);

	memcpy(copy, key.data, key.len);
	pair->key = (sm_bytes) {copy, key.len};
	while (!sm_call_done(call,
						 sm_get_expiry(&call->ref->map, key, &call->value,
									   &pair->expires)))
		;
	state->locks = sm_pg_locks(&call->ref->map);
	if (call->status != SM_FOUND)
		return call->status;
	copy = call->value.data;
	if (copy == sm_scratch)
		copy = memcpy(palloc(call->value.len), copy, call->value.len);
	pair->value = (sm_bytes) {copy, call->value.len};
	return SM_FOUND;
}

/* Fills a slot with the row of a pair, as a scan would. */
static void
fill_slot(const modify_state *state, TupleTableSlot *slot, const row_bytes *pair)
{
	sm_row row = {.key = pair->key, .value = pair->value, .expires = pair->expires};

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	sm_fill_row(&state->types, state->desc, &row, true, state->call.ref->has_ttl,
				slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = state->relid;
}

/*
 * The row of a pair that is not what was read, if the statement is still about it: as its
 * plan gives it now, and in ri_oldTupleSlot, for an UPDATE.  This is what PostgreSQL does
 * to a table's row in READ COMMITTED.  NULL if it is gone, or does not qualify any more.
 * *pair is what was found, in the bytes that the map has.
 *
 * Errors: 40001 the row can't be looked at again, or not in this transaction.
 */
static TupleTableSlot *
look_again(modify_state *state, EState *estate, ResultRelInfo *result,
		   TupleTableSlot *plan_slot, row_bytes *pair)
{
	EPQState *epq = &state->mtstate->mt_epqstate;
	Relation relation = result->ri_RelationDesc;
	TupleTableSlot *input;
	MemoryContext old;

	if (!state->retries || IsolationUsesXactSnapshot() ||
		state->own_changes > MOST_OWN_CHANGES)
		changed_meanwhile(state);
	begin_again(state, estate);
	if (!begin(state) ||
		read_pair(state, old_row(state, plan_slot).key, pair) != SM_FOUND)
		return NULL;
	input = EvalPlanQualSlot(epq, relation, result->ri_RangeTableIndex);
	fill_slot(state, input, pair);
	if (state->mtstate->operation == CMD_UPDATE)
		fill_slot(state, result->ri_oldTupleSlot, pair);

	/* what it makes at its first call stays */
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	plan_slot = EvalPlanQual(epq, relation, result->ri_RangeTableIndex, input);
	MemoryContextSwitchTo(old);
	/* never, see sm_fdw_add_update_targets: it would be empty, whatever was found */
	if (plan_slot == input)
		changed_meanwhile(state);
	return TupIsNull(plan_slot) ? NULL : plan_slot;
}

/* ---- what the executor calls ---- */

/* Does an update that sets some columns leave the expiry as it was read? */
static bool
leaves_expiry(const modify_state *state, const ResultRelInfo *result, List *columns)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return state->compares && state->types.expires_column != InvalidAttrNumber &&
		!list_member_int(columns, state->types.expires_column) &&
		(triggers == NULL || !triggers->trig_update_before_row);
}

/* Will anybody look at the rows that are stored? */
static bool
returns_rows(const ResultRelInfo *result)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return result->ri_projectReturning != NULL || result->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (triggers->trig_insert_after_row || triggers->trig_update_after_row));
}

/*
 * May a row be looked at again if its pair is not what was read, as far as its plan goes?
 * Not if row triggers have seen it as it was, or will be told so.
 */
static bool
may_look_again(const ResultRelInfo *result, CmdType operation)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	if (triggers == NULL)
		return true;
	return operation == CMD_DELETE ?
		!(triggers->trig_delete_before_row || triggers->trig_delete_after_row) :
		!(triggers->trig_update_before_row || triggers->trig_update_after_row);
}

/* Does an expression use a system column of a relation, other than its OID? */
static bool
uses_system_columns(List *exprs, Index rtindex)
{
	Bitmapset *attrs = NULL;
	int attr;

	pull_varattnos((Node *) exprs, rtindex, &attrs);
	attrs =
		bms_del_member(attrs,
					   TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber);
	attr = bms_next_member(attrs, -1);
	return attr >= 0 && attr < 0 - FirstLowInvalidHeapAttributeNumber;
}

/* Finds the columns of the row that was read among those of the plan. */
static void
find_old_columns(modify_state *state, List *targets)
{
	state->old = palloc0(state->desc->natts * sizeof(AttrNumber));
	for (int i = 0; i < state->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(state->desc, i);

		if (att->attisdropped)
			continue;
		state->old[i] = ExecFindJunkAttributeInTlist(targets, SM_JUNK_NAME(att));
		if (state->old[i] == InvalidAttrNumber)
			elog(ERROR, "could not find the row that was read");
	}
}

static void
begin_modify(ModifyTableState *mtstate, ResultRelInfo *result, List *fdw_private,
			 int subplan_index, int eflags)
{
	const ModifyTable *plan = (const ModifyTable *) mtstate->ps.plan;
	modify_state *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	result->ri_FdwState = state = make_state(result->ri_RelationDesc);
	state->mtstate = mtstate;
	state->conflict = plan->onConflictAction;
	state->returns = plan->returningLists != NIL || plan->withCheckOptionLists != NIL ||
		returns_rows(result);
	state->compares = intVal(list_nth(fdw_private, SM_MODIFY_COMPARES)) != 0;
	state->keeps_expiry = intVal(list_nth(fdw_private, SM_MODIFY_KEEPS_EXPIRY)) != 0;
	if (plan->operation == CMD_INSERT)
	{
		state->returns_system = plan->returningLists != NIL &&
			uses_system_columns(linitial(plan->returningLists),
								result->ri_RangeTableIndex);
		return;
	}

	state->retries = intVal(list_nth(fdw_private, SM_MODIFY_RETRIES)) != 0 &&
		may_look_again(result, plan->operation);
	if (plan->operation == CMD_UPDATE)
		state->leaves_expiry =
			leaves_expiry(state, result,
						  list_nth(plan->updateColnosLists, subplan_index));
	if (intVal(list_nth(fdw_private, SM_MODIFY_REPEATS)) != 0)
		state->seen = sm_seen_make();
	find_old_columns(state, outerPlanState(mtstate)->plan->targetlist);
}

/*
 * COPY, and rows that come from a partitioned table.  Raises 0A000 if an UPDATE moves
 * one to a map that it is about, too: it might meet it again there.
 */
static void
begin_insert(ModifyTableState *mtstate, ResultRelInfo *result)
{
	const ModifyTable *plan = (const ModifyTable *) mtstate->ps.plan;
	modify_state *state;

	if (result->ri_FdwState != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move rows to map \"%s\", which is to be updated",
						RelationGetRelationName(result->ri_RelationDesc)),
				 errhint("Delete the rows, and insert them anew.")));
	state = make_state(result->ri_RelationDesc);
	state->conflict = plan != NULL ? plan->onConflictAction : ONCONFLICT_NONE;
	state->moves_in = plan != NULL && plan->operation == CMD_UPDATE;
	state->returns = returns_rows(result);
	result->ri_FdwState = state;
}

static bool
insert_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	modify_state *state = result->ri_FdwState;
	row_bytes row;

	if (!check_row(estate, result, slot, true) || !begin(state))
		return false;
	row = new_row(state, slot, true);
	if (insert(state, row) == SM_ABSENT)
	{
		show_expiry(state, slot, row.expires);
		return true;
	}
	if (state->conflict == ONCONFLICT_NONE)
		duplicate_key(state, row.key);
	if (state->mtstate != NULL)
		InstrCountTuples2(&state->mtstate->ps, 1);
	return false;
}

/* The key changes: the new one first, so that nothing is lost. */
static sm_status
move(modify_state *state, row_bytes old, row_bytes row)
{
	sm_call *call = &state->call;
	sm_status status;

	if (insert(state, row) != SM_ABSENT)
		duplicate_key(state, row.key);
	status = remove_row(state, old);
	while (
		status != SM_FOUND &&
		!sm_call_done(call, sm_compare_and_delete(&call->ref->map, row.key, row.value)))
		;
	return status;
}

/* ---- ON CONFLICT DO UPDATE ---- */

/* Raises 21000, as PostgreSQL does. */
static _Noreturn void
second_time(void)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_CARDINALITY_VIOLATION),
		 errmsg("%s command cannot affect row a second time", "ON CONFLICT DO UPDATE"),
		 errhint(
			 "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")));
}

/*
 * Has ExecInsert treat the row that it gets back as what it is: it fires the triggers after an
 * INSERT, and returns no old row.  For one that was updated the triggers are another desc, which
 * has none of these; old is the row as it was.
 */
static void
tell_executor(modify_state *state, ResultRelInfo *result, TupleTableSlot *old)
{
	if (state->triggers != NULL)
		result->ri_TrigDesc = old == NULL ? state->triggers : state->silent;
	if (state->returning != NULL)
		sm_returning_set(state->returning, result, old);
}

/* The row in a slot as a tuple, for triggers; the slot keeps it. */
static HeapTuple
tuple_of(TupleTableSlot *slot)
{
	bool is_copy;

	return ExecFetchSlotHeapTuple(slot, true, &is_copy);
}

/*
 * Runs the triggers before an UPDATE of the row in oc_Existing.  False if one of them does not
 * want it.  They may run again, if the pair changes meanwhile.
 */
static bool
fire_before_update(modify_state *state, EState *estate, ResultRelInfo *result,
				   TupleTableSlot *slot)
{
	MemoryContext old;
	bool goes_on;

	if (result->ri_TrigDesc == NULL || !result->ri_TrigDesc->trig_update_before_row)
		return true;
	/* a trigger's function stays for the statement */
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	ExecMaterializeSlot(slot);
	goes_on = sm_before_update(estate, &state->mtstate->mt_epqstate, result,
							   tuple_of(result->ri_onConflict->oc_Existing), slot);
	MemoryContextSwitchTo(old);
	return goes_on;
}

/*
 * The row in oc_Existing as the statement sets it; NULL if it leaves it as it is.  Runs code
 * of users.
 */
static TupleTableSlot *
set_row(modify_state *state, EState *estate, ResultRelInfo *result,
		TupleTableSlot *excluded)
{
	OnConflictSetState *conflict = result->ri_onConflict;
	ExprContext *econtext = conflict->oc_ProjInfo->pi_exprContext;
	TupleTableSlot *slot;

	econtext->ecxt_scantuple = conflict->oc_Existing;
	econtext->ecxt_innertuple = excluded;
	econtext->ecxt_outertuple = NULL;
	if (result->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(SM_WCO_VIEW_CONFLICT, result, conflict->oc_Existing,
							 estate);
	if (!ExecQual(conflict->oc_WhereClause, econtext))
	{
		InstrCountFiltered1(&state->mtstate->ps, 1);
		return NULL;
	}
	slot = ExecProject(conflict->oc_ProjInfo);
	slot->tts_tableOid = state->relid;
	if (!fire_before_update(state, estate, result, slot) ||
		!check_row(estate, result, slot, false))
		return NULL;
	return slot;
}

static bool
same_bytes(sm_bytes a, sm_bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/*
 * Does to the pair of a row's key what the statement says: *stored is the row as it is now, or
 * NULL if it was left as it is.  False if the pair is not what it was: to be tried again.
 *
 * Errors: 21000 the statement has stored this key; 23505 it would get a key that is there.
 */
static bool
update_pair(modify_state *state, EState *estate, ResultRelInfo *result,
			TupleTableSlot *excluded, row_bytes old, TupleTableSlot **stored)
{
	TupleTableSlot *existing = result->ri_onConflict->oc_Existing;
	row_bytes row;
	sm_status status;

	if (sm_seen_has(state->seen, old.key))
		second_time();
	fill_slot(state, existing, &old);
	*stored = set_row(state, estate, result, excluded);
	if (*stored != NULL && !begin(state))
		*stored = NULL;
	if (*stored == NULL)
		return true;
	row = new_row(state, *stored, false);
	if (state->leaves_expiry)
		row.expires = old.expires;
	count_own_change(state);
	if (same_bytes(old.key, row.key))
		status = replace(state, old, row);
	else
		status = move(state, old, row);
	if (status != SM_FOUND)
		return false;
	sm_seen_add(state->seen, row.key);
	show_expiry(state, *stored, row.expires);
	if (result->ri_TrigDesc != NULL && result->ri_TrigDesc->trig_update_after_row)
		ExecARUpdateTriggers(estate, result, NULL, NULL, NULL, tuple_of(existing),
							 *stored, NIL, NULL, false);
	return true;
}

/* Stores a row whose key was not there.  False if it is, or syncmap.enabled is off. */
static bool
insert_pair(modify_state *state, EState *estate, ResultRelInfo *result,
			TupleTableSlot *slot)
{
	row_bytes row;

	if (!check_view(estate, result, slot, true) || !begin(state))
		return false;
	row = new_row(state, slot, true);
	if (insert(state, row) != SM_ABSENT)
		return false;
	sm_seen_add(state->seen, row.key);
	show_expiry(state, slot, row.expires);
	return true;
}

/*
 * Has a row that is returned the system columns of a table's: xmax = 0 is how clients ask
 * whether it was inserted.
 */
static void
show_header(const modify_state *state, TupleTableSlot *slot, bool inserted)
{
	HeapTuple tuple;

	if (!state->returns_system)
		return;
	tuple = ExecCopySlotHeapTuple(slot);
	/* as a datum, which it was made as, it would tell its type there */
	tuple->t_data->t_infomask &= (uint16) ~HEAP_XACT_MASK;
	ItemPointerSetInvalid(&tuple->t_data->t_ctid);
	HeapTupleHeaderSetXmin(tuple->t_data, FrozenTransactionId);
	HeapTupleHeaderSetXmax(tuple->t_data,
						   inserted ? InvalidTransactionId : FrozenTransactionId);
	HeapTupleHeaderSetCmin(tuple->t_data, FirstCommandId);
	ItemPointerSetInvalid(&tuple->t_self);
	tuple->t_tableOid = state->relid;
	ExecForceStoreHeapTuple(tuple, slot, false);
	slot->tts_tableOid = state->relid;
}

/* Prepares for the first row; the executor has not made all of it when the statement begins. */
static void
begin_upsert(modify_state *state, EState *estate, const ResultRelInfo *result)
{
	const ModifyTable *plan = (const ModifyTable *) state->mtstate->ps.plan;
	TriggerDesc *triggers = result->ri_TrigDesc;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	state->begun = true;
	state->compares = true;
	state->seen = sm_seen_make();
	state->leaves_expiry = leaves_expiry(state, result, plan->onConflictCols);
	if (triggers != NULL && triggers->trig_insert_after_row)
	{
		state->triggers = triggers;
		state->silent = palloc(sizeof(TriggerDesc));
		*state->silent = *triggers;
		state->silent->trig_insert_after_row = false;
	}
	state->returning = sm_returning_make(result);
	MemoryContextSwitchTo(old);
}

/*
 * Stores a row, or updates the one that is there, whichever it is at one moment: if somebody
 * else gets in between, all is looked at again.  Returns the row as it is stored, or NULL.
 */
static TupleTableSlot *
upsert_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	modify_state *state = result->ri_FdwState;
	TupleTableSlot *stored = NULL;
	row_bytes row;
	row_bytes old;

	state->own_changes = 0;
	if (!state->begun)
		begin_upsert(state, estate, result);
	check_bounds(estate, result, slot);
	if (!begin(state))
		return NULL;
	/* EXCLUDED is what would be stored, and the slot is not changed in a try's memory */
	set_expiry(state, slot, new_row(state, slot, true).expires);
	do
	{
		row = new_row(state, slot, true);
		/* it would be new to this transaction, and is not to be stored */
		if (!state->call.ref->unchecked && sm_is_noted(state->relid, row.key))
			(void) sm_call_done(&state->call, SM_WATCHED);
		if (read_pair(state, row.key, &old) != SM_FOUND)
		{
			if (insert_pair(state, estate, result, slot))
			{
				tell_executor(state, result, NULL);
				show_header(state, slot, true);
				return slot;
			}
		}
		else if (update_pair(state, estate, result, slot, old, &stored))
		{
			tell_executor(state, result, result->ri_onConflict->oc_Existing);
			InstrCountTuples2(&state->mtstate->ps, 1);
			if (stored != NULL)
				show_header(state, stored, false);
			return stored;
		}
		if (state->own_changes > MOST_OWN_CHANGES)
			changed_meanwhile(state);
		begin_again(state, estate);
	} while (begin(state));
	return NULL;
}

/* ---- UPDATE and DELETE ---- */

/*
 * Has this statement changed the pair of the row before?  A join may come to it again; as a
 * table's row it is changed once, and what comes later is left out.
 */
static bool
changed_before(modify_state *state, TupleTableSlot *plan_slot)
{
	return state->seen != NULL && begin(state) &&
		sm_seen_has(state->seen, old_row(state, plan_slot).key);
}

/* Returns the row as it is stored, or NULL if there is nothing to be done. */
static TupleTableSlot *
update_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	modify_state *state = result->ri_FdwState;
	row_bytes old;
	row_bytes row;
	sm_status status;
	bool again = false;

	state->own_changes = 0;
	state->locks = sm_pg_locks(&state->call.ref->map);
	for (;;)
	{
		if (changed_before(state, plan_slot) ||
			!check_row(estate, result, slot, false) || !begin(state))
			return NULL;
		if (!again)
		{
			old = old_row(state, plan_slot);
			refine_expiry(state, &old);
		}
		row = new_row(state, slot, false);
		if (state->leaves_expiry)
			row.expires = old.expires;
		count_own_change(state);
		if (same_bytes(old.key, row.key))
			status = replace(state, old, row);
		else
			status = move(state, old, row);
		if (status == SM_FOUND)
			break;
		if (status != SM_MISMATCH)
			return NULL;
		/* the pair may stand somewhere else by now */
		if (!same_bytes(old.key, row.key))
			changed_meanwhile(state);
		plan_slot = look_again(state, estate, result, plan_slot, &old);
		again = true;
		if (plan_slot == NULL)
			return NULL;
		slot = ExecGetUpdateNewTuple(result, plan_slot, result->ri_oldTupleSlot);
		slot->tts_tableOid = state->relid;
	}
	if (state->seen != NULL)
		sm_seen_add(state->seen, old.key);
	show_expiry(state, slot, row.expires);
	return slot;
}

/* Fills the slot with the row that was read, for RETURNING. */
static void
return_old_row(const modify_state *state, TupleTableSlot *slot,
			   TupleTableSlot *plan_slot)
{
	ExecClearTuple(slot);
	old_columns(state, plan_slot, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

/* Returns the row that was removed, as the plan gives it, or NULL. */
static TupleTableSlot *
delete_row(EState *estate, ResultRelInfo *result, TupleTableSlot *plan_slot)
{
	modify_state *state = result->ri_FdwState;
	row_bytes old;
	sm_status status;
	bool again = false;

	state->own_changes = 0;
	state->locks = sm_pg_locks(&state->call.ref->map);
	for (;;)
	{
		if (changed_before(state, plan_slot) || !begin(state))
			return NULL;
		if (!again)
		{
			old = old_row(state, plan_slot);
			refine_expiry(state, &old);
		}
		count_own_change(state);
		status = remove_row(state, old);
		if (status == SM_FOUND)
			break;
		if (status != SM_MISMATCH)
			return NULL;
		plan_slot = look_again(state, estate, result, plan_slot, &old);
		again = true;
		if (plan_slot == NULL)
			return NULL;
	}
	if (state->seen != NULL)
		sm_seen_add(state->seen, old.key);
	return plan_slot;
}

/* ---- what the executor calls for a row ---- */

/*
 * What a row needs on its way is of its own memory: a statement may have millions.
 */
static TupleTableSlot *
exec_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	const modify_state *state = result->ri_FdwState;
	ExprContext *context = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	if (state->conflict == ONCONFLICT_UPDATE)
		slot = upsert_row(estate, result, slot);
	else if (!insert_row(estate, result, slot))
		slot = NULL;
	else
		show_header(state, slot, true);
	estate->es_per_tuple_exprcontext = context;
	MemoryContextSwitchTo(old);
	return slot;
}

static TupleTableSlot *
exec_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	ExprContext *context = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	slot = update_row(estate, result, slot, plan_slot);
	estate->es_per_tuple_exprcontext = context;
	MemoryContextSwitchTo(old);
	return slot;
}

static TupleTableSlot *
exec_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	ExprContext *context = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	plan_slot = delete_row(estate, result, plan_slot);
	estate->es_per_tuple_exprcontext = context;
	MemoryContextSwitchTo(old);
	if (plan_slot == NULL)
		return NULL;
	return_old_row(result->ri_FdwState, slot, plan_slot);
	return slot;
}

static void
exec_truncate(List *relations, DropBehavior behavior, bool restart_seqs)
{
	ListCell *cell;

	foreach (cell, relations)
	{
		Relation relation = lfirst(cell);
		sm_call call = {
			.ref = sm_ref_resolve(RelationGetRelid(relation), 0, true),
		};

		while (sm_guc_enabled && !sm_call_done(&call, sm_clear(&call.ref->map)))
			;
	}
}

static int
is_updatable(Relation relation)
{
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

void
sm_fdw_modify_routines(FdwRoutine *routine)
{
	routine->AddForeignUpdateTargets = sm_fdw_add_update_targets;
	routine->PlanForeignModify = sm_fdw_plan_modify;
	routine->BeginForeignModify = begin_modify;
	routine->ExecForeignInsert = exec_insert;
	routine->ExecForeignUpdate = exec_update;
	routine->ExecForeignDelete = exec_delete;
	routine->BeginForeignInsert = begin_insert;
	routine->ExecForeignTruncate = exec_truncate;
	routine->IsForeignRelUpdatable = is_updatable;
	routine->ExplainForeignModify = sm_fdw_explain_modify;
}
