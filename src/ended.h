/*
 * ended.h
 *	  Which of the transactions that have fenced keys have ended.
 */
#ifndef SM_ENDED_H
#define SM_ENDED_H

extern void sm_ended_request(void);
extern void sm_ended_startup(void);

extern void sm_ended_publish(uint64 id, bool will_prepare);
extern void sm_ended_retract(void);
extern uint64 sm_ended_below(void);

#endif /* SM_ENDED_H */
