/*
 * worker.h
 *	  The maintenance worker.
 */
#ifndef SM_WORKER_H
#define SM_WORKER_H

extern void sm_worker_init(void);
extern void sm_worker_request(void);
extern void sm_worker_startup(void);
extern void sm_worker_wake(void);

#endif /* SM_WORKER_H */
