/*
 * fdw_modify.h
 *	  What planning a change of a map and making it have in common, and what its parts have.
 */
#ifndef SM_FDW_MODIFY_H
#define SM_FDW_MODIFY_H

#include "nodes/execnodes.h"

#include "fdw.h"
#include "returning.h"
#include "seen.h"

/*
 * A column's name among the row identity columns of UPDATE and DELETE.  Maps of
 * other types, or with their columns in another order, may stand in the same tree of
 * tables.
 */
#define SM_JUNK_NAME(att)                                                             \
	psprintf("syncmap_%d_%u_%d_%u", (att)->attnum, (att)->atttypid, (att)->atttypmod, \
			 (att)->attcollation)

/* What PlanForeignModify tells BeginForeignModify, booleans. */
typedef enum sm_modify_item
{
	SM_MODIFY_COMPARES,
	SM_MODIFY_KEEPS_EXPIRY,
	SM_MODIFY_REPEATS, /* the statement may come to a row again */
	SM_MODIFY_RETRIES  /* looking at a row again looks at all that was looked at */
} sm_modify_item;

/* fdw_modify_plan.c */
extern void sm_fdw_add_update_targets(PlannerInfo *root, Index rtindex,
									  RangeTblEntry *target_rte, Relation relation);
extern List *sm_fdw_plan_modify(PlannerInfo *root, ModifyTable *plan,
								Index resultRelation, int subplan_index);

/* ---- making it ---- */

/*
 * How often a row is tried again if code that the statement runs for it changes maps, too.
 * If that is what gets in the way each time, trying is of no use.
 */
#define SM_MOST_OWN_CHANGES 10

/* What a statement that changes a map has of one that it changes. */
typedef struct sm_modify
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
} sm_modify;

/* A row's columns, and as bytes. */
typedef struct sm_row_bytes
{
	sm_bytes key;
	sm_bytes value;
	int64 expires;
} sm_row_bytes;

static inline bool
sm_same_bytes(sm_bytes a, sm_bytes b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* fdw_modify_row.c */
extern sm_modify *sm_modify_make(Relation relation);
extern sm_row_bytes sm_modify_new_row(sm_modify *state, TupleTableSlot *slot,
									  bool is_new);
extern sm_row_bytes sm_modify_old_row(sm_modify *state, TupleTableSlot *plan_slot);
extern void sm_modify_old_columns(const sm_modify *state, TupleTableSlot *plan_slot,
								  Datum *values, bool *nulls);
extern bool sm_modify_begin(sm_modify *state);
extern void sm_modify_refine_expiry(sm_modify *state, sm_row_bytes *old);
extern sm_status sm_modify_insert(sm_modify *state, sm_row_bytes row);
extern sm_status sm_modify_replace(sm_modify *state, sm_row_bytes old,
								   sm_row_bytes row);
extern sm_status sm_modify_remove(sm_modify *state, sm_row_bytes old);
extern _Noreturn void sm_modify_changed(const sm_modify *state);
extern _Noreturn void sm_modify_duplicate(const sm_modify *state, sm_bytes key);
extern void sm_modify_set_expiry(const sm_modify *state, TupleTableSlot *slot,
								 int64 expires);
extern void sm_modify_show_expiry(const sm_modify *state, TupleTableSlot *slot,
								  int64 expires);
extern void sm_modify_check_bounds(EState *estate, ResultRelInfo *result,
								   TupleTableSlot *slot);
extern bool sm_modify_check_view(EState *estate, ResultRelInfo *result,
								 TupleTableSlot *slot, bool is_new);
extern bool sm_modify_check_row(EState *estate, ResultRelInfo *result,
								TupleTableSlot *slot, bool is_new);
extern sm_status sm_modify_read_pair(sm_modify *state, sm_bytes key,
									 sm_row_bytes *pair);
extern void sm_modify_fill_slot(const sm_modify *state, TupleTableSlot *slot,
								const sm_row_bytes *pair);
extern sm_status sm_modify_move(sm_modify *state, sm_row_bytes old, sm_row_bytes row);
extern void sm_modify_show_header(const sm_modify *state, TupleTableSlot *slot,
								  bool inserted);
extern bool sm_modify_leaves_expiry(const sm_modify *state, const ResultRelInfo *result,
									List *columns);

/* fdw_modify_again.c */
extern void sm_modify_begin_again(sm_modify *state, EState *estate);
extern void sm_modify_count_own(sm_modify *state);
extern TupleTableSlot *sm_modify_look_again(sm_modify *state, EState *estate,
											ResultRelInfo *result,
											TupleTableSlot *plan_slot,
											sm_row_bytes *pair);
extern bool sm_modify_may_look_again(const ResultRelInfo *result, CmdType operation);

/* fdw_upsert.c */
extern TupleTableSlot *sm_modify_upsert(EState *estate, ResultRelInfo *result,
										TupleTableSlot *slot);

#endif /* SM_FDW_MODIFY_H */
