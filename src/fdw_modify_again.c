/*
 * fdw_modify_again.c
 *	  Looking again at a row whose pair is not what was read.
 */
#include "compat.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"

#include "fdw_modify.h"

/*
 * Makes a row ready to be tried again.  What a try leaves in memory goes with the next one,
 * so that many take no more than one: from now on the executor's memory for a row is
 * another one, which is not the one that the row came in.
 */
void
sm_modify_begin_again(sm_modify *state, EState *estate)
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
void
sm_modify_count_own(sm_modify *state)
{
	if (sm_pg_locks(&state->call.ref->map) != state->locks)
		state->own_changes++;
}

/*
 * The row of a pair that is not what was read, if the statement is still about it: as its
 * plan gives it now, and in ri_oldTupleSlot, for an UPDATE.  This is what PostgreSQL does
 * to a table's row in READ COMMITTED.  NULL if it is gone, or does not qualify any more.
 * *pair is what was found, in the bytes that the map has.
 *
 * Errors: 40001 the row can't be looked at again, or not in this transaction.
 */
TupleTableSlot *
sm_modify_look_again(sm_modify *state, EState *estate, ResultRelInfo *result,
					 TupleTableSlot *plan_slot, sm_row_bytes *pair)
{
	EPQState *epq = &state->mtstate->mt_epqstate;
	Relation relation = result->ri_RelationDesc;
	TupleTableSlot *input;
	MemoryContext old;

	if (!state->retries || IsolationUsesXactSnapshot() ||
		state->own_changes > SM_MOST_OWN_CHANGES)
		sm_modify_changed(state);
	sm_modify_begin_again(state, estate);
	if (!sm_modify_begin(state) ||
		sm_modify_read_pair(state, sm_modify_old_row(state, plan_slot).key, pair) !=
			SM_FOUND)
		return NULL;
	input = EvalPlanQualSlot(epq, relation, result->ri_RangeTableIndex);
	sm_modify_fill_slot(state, input, pair);
	if (state->mtstate->operation == CMD_UPDATE)
		sm_modify_fill_slot(state, result->ri_oldTupleSlot, pair);

	/* what it makes at its first call stays */
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	plan_slot = EvalPlanQual(epq, relation, result->ri_RangeTableIndex, input);
	MemoryContextSwitchTo(old);
	/* never, see sm_fdw_add_update_targets: it would be empty, whatever was found */
	if (plan_slot == input)
		sm_modify_changed(state);
	return TupIsNull(plan_slot) ? NULL : plan_slot;
}

/*
 * May a row be looked at again if its pair is not what was read, as far as its plan goes?
 * Not if row triggers have seen it as it was, or will be told so.
 */
bool
sm_modify_may_look_again(const ResultRelInfo *result, CmdType operation)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	if (triggers == NULL)
		return true;
	return operation == CMD_DELETE ?
		!(triggers->trig_delete_before_row || triggers->trig_delete_after_row) :
		!(triggers->trig_update_before_row || triggers->trig_update_after_row);
}
