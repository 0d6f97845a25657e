/*
 * fdw_modify.h
 *	  What planning a change of a map and making it have in common.
 */
#ifndef SM_FDW_MODIFY_H
#define SM_FDW_MODIFY_H

#include "fdw.h"

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

#endif /* SM_FDW_MODIFY_H */
