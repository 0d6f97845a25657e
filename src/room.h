/*
 * room.h
 *	  Making room in a full arena, or in a map that is over its quota.
 */
#ifndef SM_ROOM_H
#define SM_ROOM_H

#include "port_pg.h"

extern bool sm_make_room(sm_map *map, uint64 bytes);
extern void sm_choose_giving_way(void);

#endif /* SM_ROOM_H */
