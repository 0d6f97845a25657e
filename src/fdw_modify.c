/*
 * fdw_modify.c
 *	  Writing a map as a table: INSERT, UPDATE, DELETE, COPY, TRUNCATE.
 *
 * As with the functions, each row is an operation of its own: it takes effect at
 * once, for everybody, and ROLLBACK does not undo it.
 *
 * An UPDATE or DELETE first reads its rows.  When it writes one, the pair may be
 * another one already.  Where the statement has looked at more than the key, in WHERE,
 * or in what it sets, that is an error (40001), so that no change of others is lost, and
 * nothing is deleted that did not qualify; where it has not, it makes no difference, and
 * an UPDATE leaves what it does not set as it is.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "expiry.h"
#include "fdw_modify.h"
#include "options.h"
#include "row.h"

typedef struct modify_state
{
	Oid relid;
	sm_types types;
	sm_call call;
	bool ignores_conflicts; /* ON CONFLICT DO NOTHING */
	bool compares;			/* the pair must still be what was read */
	bool keeps_expiry;		/* an UPDATE leaves it as it is */
	bool returns;			/* a row that was stored is looked at */
	TupleDesc desc;			/* of the map's table */
	AttrNumber
		*old;		/* where its columns, as they were read, stand in the plan's slot */
	uint64 room[4]; /* of the old key and value, and of the new value and key */
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

/* Raises 40001 if the pair is not what was read. */
static void
check_unchanged(const modify_state *state, sm_status status)
{
	if (status == SM_MISMATCH)
		ereport(
			ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not change map \"%s\" due to another change of the same key",
					get_rel_name(state->relid)),
			 errdetail(
				 "The key was changed after it was read, by another session or by this statement."),
			 errhint(
				 "Try again, or use syncmap.increment or syncmap.compare_and_swap; join each key with one row only.")));
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
				 "syncmap.put replaces its value; ON CONFLICT DO NOTHING leaves it.")));
}

/*
 * Has a row that is stored show when it expires, as a scan would: to RETURNING, to
 * triggers, and to the checks of views.  In memory of the current context.
 */
static void
show_expiry(const modify_state *state, TupleTableSlot *slot, int64 expires)
{
	AttrNumber column = state->types.expires_column;
	TupleDesc desc = slot->tts_tupleDescriptor;
	Datum *values;
	bool *nulls;

	if (!state->returns || column == InvalidAttrNumber || expires == SM_KEEP ||
		expires == SM_LONG_PAST)
		return;
	slot_getallattrs(slot);
	values = palloc(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	memcpy(values, slot->tts_values, desc->natts * sizeof(Datum));
	memcpy(nulls, slot->tts_isnull, desc->natts * sizeof(bool));
	values[column - 1] = sm_expiry_datum(&state->types, expires,
										 state->call.ref->has_ttl, &nulls[column - 1]);
	ExecForceStoreHeapTuple(heap_form_tuple(desc, values, nulls), slot, false);
}

/*
 * What PostgreSQL would find out when the row is stored already, about the row as it is
 * going to be stored.  False if syncmap.enabled is off.  Raises 23514 if the map is a
 * partition, and the row belongs to another one; 44000 if a view does not let the row in.
 */
static bool
check_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, bool is_new)
{
	modify_state *state = result->ri_FdwState;

	if (result->ri_RelationDesc->rd_rel->relispartition)
		ExecPartitionCheck(result, slot, estate, true);
	if (result->ri_WithCheckOptions == NIL)
		return true;
	if (!begin(state))
		return false;
	show_expiry(state, slot, new_row(state, slot, is_new).expires);
	ExecWithCheckOptions(WCO_VIEW_CHECK, result, slot, estate);
	return true;
}

/* ---- what the executor calls ---- */

/* Will anybody look at the rows that are stored? */
static bool
returns_rows(const ResultRelInfo *result)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return result->ri_projectReturning != NULL || result->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (triggers->trig_insert_after_row || triggers->trig_update_after_row));
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
	state->ignores_conflicts = plan->onConflictAction == ONCONFLICT_NOTHING;
	state->returns = plan->returningLists != NIL || plan->withCheckOptionLists != NIL ||
		returns_rows(result);
	state->compares = intVal(list_nth(fdw_private, SM_MODIFY_COMPARES)) != 0;
	state->keeps_expiry = intVal(list_nth(fdw_private, SM_MODIFY_KEEPS_EXPIRY)) != 0;
	if (plan->operation == CMD_INSERT)
		return;

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
	state->ignores_conflicts =
		plan != NULL && plan->onConflictAction == ONCONFLICT_NOTHING;
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
	if (!state->ignores_conflicts)
		duplicate_key(state, row.key);
	return false;
}

/* What a row needs on its way is of its own memory: a statement may have millions. */
static TupleTableSlot *
exec_insert(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	bool done = insert_row(estate, result, slot);

	MemoryContextSwitchTo(old);
	return done ? slot : NULL;
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

static bool
update_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	modify_state *state = result->ri_FdwState;
	row_bytes old;
	row_bytes row;
	sm_status status;

	if (!check_row(estate, result, slot, false) || !begin(state))
		return false;
	old = old_row(state, plan_slot);
	refine_expiry(state, &old);
	row = new_row(state, slot, false);
	if (old.key.len != row.key.len ||
		memcmp(old.key.data, row.key.data, row.key.len) != 0)
		status = move(state, old, row);
	else
		status = replace(state, old, row);
	check_unchanged(state, status);
	if (status != SM_FOUND)
		return false;
	show_expiry(state, slot, row.expires);
	return true;
}

static TupleTableSlot *
exec_update(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	bool done = update_row(estate, result, slot, plan_slot);

	MemoryContextSwitchTo(old);
	return done ? slot : NULL;
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

static bool
delete_row(modify_state *state, TupleTableSlot *plan_slot)
{
	row_bytes old;
	sm_status status;

	if (!begin(state))
		return false;
	old = old_row(state, plan_slot);
	refine_expiry(state, &old);
	status = remove_row(state, old);
	check_unchanged(state, status);
	return status == SM_FOUND;
}

static TupleTableSlot *
exec_delete(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
			TupleTableSlot *plan_slot)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	bool done = delete_row(result->ri_FdwState, plan_slot);

	MemoryContextSwitchTo(old);
	if (!done)
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
