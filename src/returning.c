/*
 * returning.c
 *	  RETURNING's OLD of a row that ON CONFLICT DO UPDATE has updated.
 *
 * ExecInsert computes RETURNING of what the wrapper gives back, and says that there is no old
 * row.  So for a row that was updated the projection is another one, which tells the real one
 * of the old row first.
 */
#include "compat.h"

#include "returning.h"

struct sm_returning
{
	ProjectionInfo told; /* first: what is evaluated is its expression */
	ProjectionInfo *real;
	TupleTableSlot *old;
};

/* The told projection's evaluation. */
static Datum
evaluate(ExprState *state, ExprContext *econtext, bool *isnull)
{
	sm_returning *returning =
		(sm_returning *) ((char *) state - offsetof(ProjectionInfo, pi_state));
	ExprState *real = &returning->real->pi_state;

	SM_TELL_OLD(real, econtext, returning->old);
	return real->evalfunc(real, econtext, isnull);
}

/* NULL if the statement does not return the old row. */
sm_returning *
sm_returning_make(const ResultRelInfo *result)
{
	sm_returning *returning;

	if (result->ri_projectReturning == NULL ||
		!SM_RETURNS_OLD(result->ri_projectReturning))
		return NULL;
	returning = palloc0(sizeof(sm_returning));
	returning->real = result->ri_projectReturning;
	returning->told = *returning->real;
	returning->told.pi_state.evalfunc = evaluate;
	return returning;
}

/* Sets what RETURNING is of next: a row that was updated, or with NULL one that was not. */
void
sm_returning_set(sm_returning *returning, ResultRelInfo *result, TupleTableSlot *old)
{
	returning->old = old;
	result->ri_projectReturning = old != NULL ? &returning->told : returning->real;
}
