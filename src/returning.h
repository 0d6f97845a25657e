/*
 * returning.h
 *	  RETURNING's OLD of a row that ON CONFLICT DO UPDATE has updated.
 */
#ifndef SM_RETURNING_H
#define SM_RETURNING_H

#include "nodes/execnodes.h"

typedef struct sm_returning sm_returning;

extern sm_returning *sm_returning_make(const ResultRelInfo *result);
extern void sm_returning_set(sm_returning *returning, ResultRelInfo *result,
							 TupleTableSlot *old);

#endif /* SM_RETURNING_H */
