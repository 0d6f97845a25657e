/*
 * lifecycle.h
 *	  Giving back the memory of maps whose relation is gone.
 */
#ifndef SM_LIFECYCLE_H
#define SM_LIFECYCLE_H

extern void sm_lifecycle_init(void);
extern void sm_lifecycle_created(Oid relation, SubTransactionId creator);
extern uint32 sm_reconcile(void);

#endif /* SM_LIFECYCLE_H */
