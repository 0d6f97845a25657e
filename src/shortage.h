/*
 * shortage.h
 *	  Making room in a full arena, or in a map that is over its quota.
 */
#ifndef SM_SHORTAGE_H
#define SM_SHORTAGE_H

#include "port_pg.h"

extern bool sm_make_room(sm_map *map, uint64 bytes);

#endif /* SM_SHORTAGE_H */
