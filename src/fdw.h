/*
 * fdw.h
 *	  Maps as foreign tables.
 */
#ifndef SM_FDW_H
#define SM_FDW_H

#include "nodes/pathnodes.h"

extern void sm_fdw_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid);

#endif /* SM_FDW_H */
