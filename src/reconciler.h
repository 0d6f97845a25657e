/*
 * reconciler.h
 *	  Reconciliation where no session happens to do it.
 */
#ifndef SM_RECONCILER_H
#define SM_RECONCILER_H

extern void sm_reconciler_visit(void);

#endif /* SM_RECONCILER_H */
