/*
 * compat.h
 *	  What differs between PostgreSQL 15 and 18, in one place.
 *
 * The first header that every file of the PostgreSQL layer includes.
 */
#ifndef SM_COMPAT_H
#define SM_COMPAT_H

#include "postgres.h"

#include "fmgr.h"
#include "storage/proc.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "syncmap needs PostgreSQL 15 or later"
#endif

/* Up to 15, postgres.h has what is in there. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* What explains plans, all in explain.h up to 17. */
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* The library is built with hidden symbols, which 15 does not know about. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* Raises an error for what is no type, as all versions can. */
#if PG_VERSION_NUM >= 160000
#define sm_parse_type(string, type, typmod) parseTypeString(string, type, typmod, NULL)
#else
#define sm_parse_type(string, type, typmod) parseTypeString(string, type, typmod, false)
#endif

/* The names in a qualified name. */
#if PG_VERSION_NUM >= 160000
#define sm_name_list(name) stringToQualifiedNameList(name, NULL)
#else
#define sm_name_list(name) stringToQualifiedNameList(name)
#endif

/* Does the current user own a relation? */
#if PG_VERSION_NUM >= 160000
#define sm_owns_relation(relid) \
	object_ownercheck(RelationRelationId, relid, GetUserId())
#else
#define sm_owns_relation(relid) pg_class_ownercheck(relid, GetUserId())
#endif

/* The variable of a setting, or NULL. */
#include "utils/guc_tables.h"
#if PG_VERSION_NUM >= 160000
#define sm_find_setting(name) find_option(name, false, true, 0)
#else
static inline struct config_generic *
sm_find_setting(const char *name)
{
	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (strcmp(get_guc_variables()[i]->name, name) == 0)
			return get_guc_variables()[i];
	}
	return NULL;
}
#endif

/* Takes a lock if nobody else has it. */
#if PG_VERSION_NUM >= 180000
#define sm_lock_at_once(tag, mode)                                      \
	(LockAcquireExtended(tag, mode, false, true, false, NULL, false) != \
	 LOCKACQUIRE_NOT_AVAIL)
#else
#define sm_lock_at_once(tag, mode) \
	(LockAcquireExtended(tag, mode, false, true, false, NULL) != LOCKACQUIRE_NOT_AVAIL)
#endif

/* Which transaction this is, as a number that no other one has here. */
#if PG_VERSION_NUM >= 170000
#define SM_MY_LXID (MyProc->vxid.lxid)
#else
#define SM_MY_LXID (MyProc->lxid)
#endif

/* A number that this backend has to itself, from 0 on, and that of a worker's leader. */
#if PG_VERSION_NUM >= 170000
#define SM_MY_SLOT	   MyProcNumber
#define SM_LEADER_SLOT ParallelLeaderProcNumber
#else
#define SM_MY_SLOT	   (MyBackendId - 1)
#define SM_LEADER_SLOT (ParallelLeaderBackendId - 1)
#endif

/* What the worker, a write that finds no memory, a snapshot, and fetch are seen to wait for. */
#if PG_VERSION_NUM >= 170000
#define SM_WAIT_MAINTENANCE sm_wait_event(0)
#define SM_WAIT_MEMORY		sm_wait_event(1)
#define SM_WAIT_SNAPSHOT	sm_wait_event(2)
#define SM_WAIT_LOAD		sm_wait_event(3)
static inline uint32
sm_wait_event(int which)
{
	static const char *const names[] = {"SyncmapMaintenance", "SyncmapMemory",
										"SyncmapSnapshot", "SyncmapLoad"};
	static uint32 events[lengthof(names)] = {0};

	if (events[which] == 0)
		events[which] = WaitEventExtensionNew(names[which]);
	return events[which];
}
#else
#define SM_WAIT_MAINTENANCE PG_WAIT_EXTENSION
#define SM_WAIT_MEMORY		PG_WAIT_EXTENSION
#define SM_WAIT_SNAPSHOT	PG_WAIT_EXTENSION
#define SM_WAIT_LOAD		PG_WAIT_EXTENSION
#endif

/* Do columns of a relation depend on others? */
#if PG_VERSION_NUM >= 180000
#define SM_HAS_GENERATED(constr) \
	((constr)->has_generated_stored || (constr)->has_generated_virtual)
#else
#define SM_HAS_GENERATED(constr) ((constr)->has_generated_stored)
#endif

/* Is a column computed when it is read? */
#if PG_VERSION_NUM >= 180000
#define SM_IS_VIRTUAL(attribute) \
	((attribute)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define SM_IS_VIRTUAL(attribute) ((void) (attribute), false)
#endif

/* The provider of PostgreSQL's own collations, from 17 on. */
#define SM_PROVIDER_BUILTIN 'b'

/* Is a column that of the row as it was, in RETURNING? */
#if PG_VERSION_NUM >= 180000
#define SM_IS_OLD(var) ((var)->varreturningtype == VAR_RETURNING_OLD)
#else
#define SM_IS_OLD(var) (false)
#endif

/* Does RETURNING return the row as it was?  And: that is this one. */
#if PG_VERSION_NUM >= 180000
#define SM_RETURNS_OLD(projection) \
	(((projection)->pi_state.flags & EEO_FLAG_HAS_OLD) != 0)
#define SM_TELL_OLD(state, econtext, slot)                                             \
	((state)->flags &= ~EEO_FLAG_OLD_IS_NULL, (state)->flags &= ~EEO_FLAG_NEW_IS_NULL, \
	 (econtext)->ecxt_oldtuple = (slot))
#else
#define SM_RETURNS_OLD(projection) (false)
#define SM_TELL_OLD(state, econtext, slot) \
	((void) (state), (void) (econtext), (void) (slot))
#endif

/* A row without a header of a table's. */
#if PG_VERSION_NUM >= 180000
#define sm_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls, 0)
#else
#define sm_form_minimal_tuple(desc, values, nulls) \
	heap_form_minimal_tuple(desc, values, nulls)
#endif

/* The planner. */
#if PG_VERSION_NUM >= 180000
#define sm_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, \
							NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define sm_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer,    \
							NULL, NIL, private)
#else
#define sm_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer,    \
							NULL, private)
#endif

/* An expression over a partitioned table as one over a part of it. */
#if PG_VERSION_NUM >= 160000
#define sm_adjust_to_child(root, node, child) \
	adjust_appendrel_attrs_multilevel(root, node, child, (child)->top_parent)
#else
#define sm_adjust_to_child(root, node, child)                      \
	adjust_appendrel_attrs_multilevel(root, node, (child)->relids, \
									  (child)->top_parent_relids)
#endif

/* Does a path's key descend? */
#if PG_VERSION_NUM >= 180000
#define SM_DESCENDS(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define SM_DESCENDS(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

#if PG_VERSION_NUM >= 170000
#define sm_array_length(root, array) estimate_array_length(root, array)
#else
#define sm_array_length(root, array) estimate_array_length(array)
#endif

/*
 * A check of the row that is in conflict by a view's conditions.  Minor releases have brought
 * it, as the kind after the last one; in those before them there is nothing of that kind.
 */
#define SM_WCO_VIEW_CONFLICT ((WCOKind) (WCO_RLS_MERGE_DELETE_CHECK + 1))

/* Runs the triggers before an UPDATE of a foreign table's row. */
#if PG_VERSION_NUM >= 180000
#define sm_before_update(estate, epq, result, old, slot) \
	ExecBRUpdateTriggers(estate, epq, result, NULL, old, slot, NULL, NULL, false)
#elif PG_VERSION_NUM >= 160000
#define sm_before_update(estate, epq, result, old, slot) \
	ExecBRUpdateTriggers(estate, epq, result, NULL, old, slot, NULL, NULL)
#else
#define sm_before_update(estate, epq, result, old, slot) \
	ExecBRUpdateTriggers(estate, epq, result, NULL, old, slot, NULL)
#endif

/* 17 has no use for it any more; we have. */
#ifndef ERRCODE_SNAPSHOT_TOO_OLD
#define ERRCODE_SNAPSHOT_TOO_OLD MAKE_SQLSTATE('7', '2', '0', '0', '0')
#endif

/* Declares an SQL-callable function. */
#define SM_FUNCTION(name)                            \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif /* SM_COMPAT_H */
