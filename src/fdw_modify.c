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
 * ON CONFLICT DO UPDATE is fdw_upsert.c.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "fdw_modify.h"

/* ---- when a statement begins ---- */

/* Will anybody look at the rows that are stored? */
static bool
returns_rows(const ResultRelInfo *result)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return result->ri_projectReturning != NULL || result->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (triggers->trig_insert_after_row || triggers->trig_update_after_row));
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
find_old_columns(sm_modify *state, List *targets)
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
	sm_modify *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	result->ri_FdwState = state = sm_modify_make(result->ri_RelationDesc);
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
		sm_modify_may_look_again(result, plan->operation);
	if (plan->operation == CMD_UPDATE)
		state->leaves_expiry =
			sm_modify_leaves_expiry(state, result,
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
	sm_modify *state;

	if (result->ri_FdwState != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot move rows to map \"%s\", which is to be updated",
						RelationGetRelationName(result->ri_RelationDesc)),
				 errhint("Delete the rows, and insert them anew.")));
	state = sm_modify_make(result->ri_RelationDesc);
	state->conflict = plan != NULL ? plan->onConflictAction : ONCONFLICT_NONE;
	state->moves_in = plan != NULL && plan->operation == CMD_UPDATE;
	state->returns = returns_rows(result);
	result->ri_FdwState = state;
}

/* ---- INSERT ---- */

static bool
insert_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	sm_modify *state = result->ri_FdwState;
	sm_row_bytes row;

	if (!sm_modify_check_row(estate, result, slot, true) || !sm_modify_begin(state))
		return false;
	row = sm_modify_new_row(state, slot, true);
	if (sm_modify_insert(state, row) == SM_ABSENT)
	{
		sm_modify_show_expiry(state, slot, row.expires);
		return true;
	}
	if (state->conflict == ONCONFLICT_NONE)
		sm_modify_duplicate(state, row.key);
	if (state->mtstate != NULL)
		InstrCountTuples2(&state->mtstate->ps, 1);
	return false;
}

/* ---- UPDATE and DELETE ---- */

/*
 * Has this statement changed the pair of the row before?  A join may come to it again; as a
 * table's row it is changed once, and what comes later is left out.
 */
static bool
changed_before(sm_modify *state, TupleTableSlot *plan_slot)
{
	return state->seen != NULL && sm_modify_begin(state) &&
		sm_seen_has(state->seen, sm_modify_old_row(state, plan_slot).key);
}

/* Returns the row as it is stored, or NULL if there is nothing to be done. */
static TupleTableSlot *
update_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	sm_modify *state = result->ri_FdwState;
	sm_row_bytes old;
	sm_row_bytes row;
	sm_status status;
	bool again = false;

	state->own_changes = 0;
	state->locks = sm_pg_locks(&state->call.ref->map);
	for (;;)
	{
		if (changed_before(state, plan_slot) ||
			!sm_modify_check_row(estate, result, slot, false) ||
			!sm_modify_begin(state))
			return NULL;
		if (!again)
		{
			old = sm_modify_old_row(state, plan_slot);
			sm_modify_refine_expiry(state, &old);
		}
		row = sm_modify_new_row(state, slot, false);
		if (state->leaves_expiry)
			row.expires = old.expires;
		sm_modify_count_own(state);
		if (sm_same_bytes(old.key, row.key))
			status = sm_modify_replace(state, old, row);
		else
			status = sm_modify_move(state, old, row);
		if (status == SM_FOUND)
			break;
		if (status != SM_MISMATCH)
			return NULL;
		/* the pair may stand somewhere else by now */
		if (!sm_same_bytes(old.key, row.key))
			sm_modify_changed(state);
		plan_slot = sm_modify_look_again(state, estate, result, plan_slot, &old);
		again = true;
		if (plan_slot == NULL)
			return NULL;
		slot = ExecGetUpdateNewTuple(result, plan_slot, result->ri_oldTupleSlot);
		slot->tts_tableOid = state->relid;
	}
	if (state->seen != NULL)
		sm_seen_add(state->seen, old.key);
	sm_modify_show_expiry(state, slot, row.expires);
	return slot;
}

/* Fills the slot with the row that was read, for RETURNING. */
static void
return_old_row(const sm_modify *state, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	ExecClearTuple(slot);
	sm_modify_old_columns(state, plan_slot, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

/* Returns the row that was removed, as the plan gives it, or NULL. */
static TupleTableSlot *
delete_row(EState *estate, ResultRelInfo *result, TupleTableSlot *plan_slot)
{
	sm_modify *state = result->ri_FdwState;
	sm_row_bytes old;
	sm_status status;
	bool again = false;

	state->own_changes = 0;
	state->locks = sm_pg_locks(&state->call.ref->map);
	for (;;)
	{
		if (changed_before(state, plan_slot) || !sm_modify_begin(state))
			return NULL;
		if (!again)
		{
			old = sm_modify_old_row(state, plan_slot);
			sm_modify_refine_expiry(state, &old);
		}
		sm_modify_count_own(state);
		status = sm_modify_remove(state, old);
		if (status == SM_FOUND)
			break;
		if (status != SM_MISMATCH)
			return NULL;
		plan_slot = sm_modify_look_again(state, estate, result, plan_slot, &old);
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
	const sm_modify *state = result->ri_FdwState;
	ExprContext *context = GetPerTupleExprContext(estate);
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	if (state->conflict == ONCONFLICT_UPDATE)
		slot = sm_modify_upsert(estate, result, slot);
	else if (!insert_row(estate, result, slot))
		slot = NULL;
	else
		sm_modify_show_header(state, slot, true);
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
