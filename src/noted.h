/*
 * noted.h
 *	  The keys whose cached values this transaction has made old.
 */
#ifndef SM_NOTED_H
#define SM_NOTED_H

#include "engine/map.h"

/* May this transaction have noted anything, or that which a parallel worker works for? */
extern bool sm_noted_any;

extern void sm_noted_init(void);
extern void sm_noted_request(void);
extern void sm_noted_startup(void);

extern void sm_note_key(Oid map, sm_bytes key);
extern void sm_note_map(Oid map);
extern void sm_note_watch(Oid map);
extern bool sm_map_is_noted(Oid map);
extern bool sm_noted_has(Oid map, sm_bytes key);

/* Is a key of a map to be taken for absent, since its value may be older than our change?  (C2) */
static inline bool
sm_is_noted(Oid map, sm_bytes key)
{
	return unlikely(sm_noted_any) && sm_noted_has(map, key);
}

#endif /* SM_NOTED_H */
