/*
 * conflict.h
 *	  INSERT ... ON CONFLICT (key) on a map, as far as the planner is concerned.
 */
#ifndef SM_CONFLICT_H
#define SM_CONFLICT_H

extern void sm_conflict_init(void);

#endif /* SM_CONFLICT_H */
