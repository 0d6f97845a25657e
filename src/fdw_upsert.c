/*
 * fdw_upsert.c
 *	  INSERT ... ON CONFLICT (key) DO UPDATE.
 *
 * It reads the pair, has PostgreSQL evaluate the clause against it, and stores what comes of
 * that if the pair is still the one that it saw; or, where the key was not there, the row
 * itself if it is still not.  Otherwise it starts again.  So each row takes effect at one
 * moment (W1).  What has been tried in vain leaves nothing behind, but for what triggers and
 * functions have done.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "utils/rel.h"

#include "fdw_modify.h"

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
tell_executor(sm_modify *state, ResultRelInfo *result, TupleTableSlot *old)
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
fire_before_update(sm_modify *state, EState *estate, ResultRelInfo *result,
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
set_row(sm_modify *state, EState *estate, ResultRelInfo *result,
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
		!sm_modify_check_row(estate, result, slot, false))
		return NULL;
	return slot;
}

/*
 * Does to the pair of a row's key what the statement says: *stored is the row as it is now, or
 * NULL if it was left as it is.  False if the pair is not what it was: to be tried again.
 *
 * Errors: 21000 the statement has stored this key; 23505 it would get a key that is there.
 */
static bool
update_pair(sm_modify *state, EState *estate, ResultRelInfo *result,
			TupleTableSlot *excluded, sm_row_bytes old, TupleTableSlot **stored)
{
	TupleTableSlot *existing = result->ri_onConflict->oc_Existing;
	sm_row_bytes row;
	sm_status status;

	if (sm_seen_has(state->seen, old.key))
		second_time();
	sm_modify_fill_slot(state, existing, &old);
	*stored = set_row(state, estate, result, excluded);
	if (*stored != NULL && !sm_modify_begin(state))
		*stored = NULL;
	if (*stored == NULL)
		return true;
	row = sm_modify_new_row(state, *stored, false);
	if (state->leaves_expiry)
		row.expires = old.expires;
	sm_modify_count_own(state);
	if (sm_same_bytes(old.key, row.key))
		status = sm_modify_replace(state, old, row);
	else
		status = sm_modify_move(state, old, row);
	if (status != SM_FOUND)
		return false;
	sm_seen_add(state->seen, row.key);
	sm_modify_show_expiry(state, *stored, row.expires);
	if (result->ri_TrigDesc != NULL && result->ri_TrigDesc->trig_update_after_row)
		ExecARUpdateTriggers(estate, result, NULL, NULL, NULL, tuple_of(existing),
							 *stored, NIL, NULL, false);
	return true;
}

/* Stores a row whose key was not there.  False if it is, or syncmap.enabled is off. */
static bool
insert_pair(sm_modify *state, EState *estate, ResultRelInfo *result,
			TupleTableSlot *slot)
{
	sm_row_bytes row;

	if (!sm_modify_check_view(estate, result, slot, true) || !sm_modify_begin(state))
		return false;
	row = sm_modify_new_row(state, slot, true);
	if (sm_modify_insert(state, row) != SM_ABSENT)
		return false;
	sm_seen_add(state->seen, row.key);
	sm_modify_show_expiry(state, slot, row.expires);
	return true;
}

/* Prepares for the first row; the executor has not made all of it when the statement begins. */
static void
begin_upsert(sm_modify *state, EState *estate, const ResultRelInfo *result)
{
	const ModifyTable *plan = (const ModifyTable *) state->mtstate->ps.plan;
	TriggerDesc *triggers = result->ri_TrigDesc;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	state->begun = true;
	state->compares = true;
	state->seen = sm_seen_make();
	state->leaves_expiry = sm_modify_leaves_expiry(state, result, plan->onConflictCols);
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
TupleTableSlot *
sm_modify_upsert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	sm_modify *state = result->ri_FdwState;
	TupleTableSlot *stored = NULL;
	sm_row_bytes row;
	sm_row_bytes old;

	state->own_changes = 0;
	if (!state->begun)
		begin_upsert(state, estate, result);
	sm_modify_check_bounds(estate, result, slot);
	if (!sm_modify_begin(state))
		return NULL;
	/* EXCLUDED is what would be stored, and the slot is not changed in a try's memory */
	sm_modify_set_expiry(state, slot, sm_modify_new_row(state, slot, true).expires);
	do
	{
		row = sm_modify_new_row(state, slot, true);
		/* it would be new to this transaction, and is not to be stored */
		if (!state->call.ref->unchecked && sm_is_noted(state->relid, row.key))
			(void) sm_call_done(&state->call, SM_WATCHED);
		if (sm_modify_read_pair(state, row.key, &old) != SM_FOUND)
		{
			if (insert_pair(state, estate, result, slot))
			{
				tell_executor(state, result, NULL);
				sm_modify_show_header(state, slot, true);
				return slot;
			}
		}
		else if (update_pair(state, estate, result, slot, old, &stored))
		{
			tell_executor(state, result, result->ri_onConflict->oc_Existing);
			InstrCountTuples2(&state->mtstate->ps, 1);
			if (stored != NULL)
				sm_modify_show_header(state, stored, false);
			return stored;
		}
		if (state->own_changes > SM_MOST_OWN_CHANGES)
			sm_modify_changed(state);
		sm_modify_begin_again(state, estate);
	} while (sm_modify_begin(state));
	return NULL;
}
