/*
 * fdw_modify_row.c
 *	  A row that is written: its columns as bytes, and what is done to its pair.
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

/* ---- rows as bytes ---- */

sm_modify *
sm_modify_make(Relation relation)
{
	sm_modify *state = palloc0(sizeof(sm_modify));

	state->relid = RelationGetRelid(relation);
	state->desc = RelationGetDescr(relation);
	state->call.ref = sm_ref_get(state->relid, 0);
	state->types = state->call.ref->types;
	state->call.version = state->call.ref->version;
	return state;
}

/* Raises 23502. */
static _Noreturn void
null_column(const sm_modify *state, AttrNumber column, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of map \"%s\"",
					get_attname(state->relid, column, false),
					get_rel_name(state->relid)),
			 errhint("%s", hint)));
}

static Datum
column_of(const sm_modify *state, TupleTableSlot *slot, AttrNumber column)
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
new_value(sm_modify *state, TupleTableSlot *slot)
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
sm_row_bytes
sm_modify_new_row(sm_modify *state, TupleTableSlot *slot, bool is_new)
{
	const sm_types *types = &state->types;
	sm_row_bytes row = {.expires = SM_NEVER};
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
old_column(const sm_modify *state, TupleTableSlot *plan_slot, AttrNumber column,
		   bool *isnull)
{
	return slot_getattr(plan_slot, state->old[column - 1], isnull);
}

/* All columns of the row that was read. */
void
sm_modify_old_columns(const sm_modify *state, TupleTableSlot *plan_slot, Datum *values,
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
old_value(sm_modify *state, TupleTableSlot *plan_slot)
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
	sm_modify_old_columns(state, plan_slot, values, nulls);
	return sm_row_pack(types, state->desc, values, nulls);
}

/* The row that was read, for an UPDATE or DELETE. */
sm_row_bytes
sm_modify_old_row(sm_modify *state, TupleTableSlot *plan_slot)
{
	const sm_types *types = &state->types;
	sm_row_bytes row = {.expires = SM_NEVER};
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
bool
sm_modify_begin(sm_modify *state)
{
	sm_call_begin(&state->call, state->relid, &state->types);
	return sm_guc_enabled;
}

/*
 * Makes the expiry of the row that was read one that the engine can compare, where its column
 * does not say it to the microsecond: what the pair has that is there, if that shows the same.
 */
void
sm_modify_refine_expiry(sm_modify *state, sm_row_bytes *old)
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
sm_status
sm_modify_insert(sm_modify *state, sm_row_bytes row)
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
sm_status
sm_modify_replace(sm_modify *state, sm_row_bytes old, sm_row_bytes row)
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
sm_status
sm_modify_remove(sm_modify *state, sm_row_bytes old)
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
void
sm_modify_changed(const sm_modify *state)
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
void
sm_modify_duplicate(const sm_modify *state, sm_bytes key)
{
	Oid output;
	bool is_varlena;
	Datum datum = sm_key_datum(&state->types, key);

	getTypeOutputInfo(state->types.key_type, &output, &is_varlena);
	ereport(
		ERROR,
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
void
sm_modify_set_expiry(const sm_modify *state, TupleTableSlot *slot, int64 expires)
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
void
sm_modify_show_expiry(const sm_modify *state, TupleTableSlot *slot, int64 expires)
{
	if (state->returns)
		sm_modify_set_expiry(state, slot, expires);
}

/* Raises 23514 if the map is a partition, and the row belongs to another one. */
void
sm_modify_check_bounds(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
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
bool
sm_modify_check_view(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
					 bool is_new)
{
	sm_modify *state = result->ri_FdwState;

	if (result->ri_WithCheckOptions == NIL)
		return true;
	if (!sm_modify_begin(state))
		return false;
	sm_modify_show_expiry(state, slot, sm_modify_new_row(state, slot, is_new).expires);
	ExecWithCheckOptions(is_new && !state->moves_in ? WCO_RLS_INSERT_CHECK :
													  WCO_RLS_UPDATE_CHECK,
						 result, slot, estate);
	ExecWithCheckOptions(WCO_VIEW_CHECK, result, slot, estate);
	return true;
}

/* Both. */
bool
sm_modify_check_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot,
					bool is_new)
{
	sm_modify_check_bounds(estate, result, slot);
	return sm_modify_check_view(estate, result, slot, is_new);
}

/* The pair of a key, in memory of its own.  SM_FOUND, or SM_ABSENT. */
sm_status
sm_modify_read_pair(sm_modify *state, sm_bytes key, sm_row_bytes *pair)
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
void
sm_modify_fill_slot(const sm_modify *state, TupleTableSlot *slot,
					const sm_row_bytes *pair)
{
	sm_row row = {.key = pair->key, .value = pair->value, .expires = pair->expires};

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	sm_fill_row(&state->types, state->desc, &row, true, state->call.ref->has_ttl,
				slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = state->relid;
}

/* The key changes: the new one first, so that nothing is lost. */
sm_status
sm_modify_move(sm_modify *state, sm_row_bytes old, sm_row_bytes row)
{
	sm_call *call = &state->call;
	sm_status status;

	if (sm_modify_insert(state, row) != SM_ABSENT)
		sm_modify_duplicate(state, row.key);
	status = sm_modify_remove(state, old);
	while (
		status != SM_FOUND &&
		!sm_call_done(call, sm_compare_and_delete(&call->ref->map, row.key, row.value)))
		;
	return status;
}

/*
 * Has a row that is returned the system columns of a table's: xmax = 0 is how clients ask
 * whether it was inserted.
 */
void
sm_modify_show_header(const sm_modify *state, TupleTableSlot *slot, bool inserted)
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

/* Does an update that sets some columns leave the expiry as it was read? */
bool
sm_modify_leaves_expiry(const sm_modify *state, const ResultRelInfo *result,
						List *columns)
{
	const TriggerDesc *triggers = result->ri_TrigDesc;

	return state->compares && state->types.expires_column != InvalidAttrNumber &&
		!list_member_int(columns, state->types.expires_column) &&
		(triggers == NULL || !triggers->trig_update_before_row);
}
