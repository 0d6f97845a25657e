/*
 * seen.h
 *	  The keys that a statement has changed.
 */
#ifndef SM_SEEN_H
#define SM_SEEN_H

#include "engine/map.h"

typedef struct sm_seen sm_seen;

extern sm_seen *sm_seen_make(void);
extern bool sm_seen_has(const sm_seen *seen, sm_bytes key);
extern void sm_seen_add(sm_seen *seen, sm_bytes key);

#endif /* SM_SEEN_H */
