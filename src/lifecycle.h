/*
 * lifecycle.h
 *	  Giving back the memory of maps whose relation is gone, and making room.
 */
#ifndef SM_LIFECYCLE_H
#define SM_LIFECYCLE_H

#include "port_pg.h"

extern void sm_lifecycle_init(void);
extern void sm_lifecycle_created(Oid relation, SubTransactionId creator);
extern uint32 sm_reconcile(void);
extern bool sm_make_room(sm_map *map, uint64 bytes);

#endif /* SM_LIFECYCLE_H */
