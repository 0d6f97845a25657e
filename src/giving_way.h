/*
 * giving_way.h
 *	  Which map gives way when the arena is full.
 */
#ifndef SM_GIVING_WAY_H
#define SM_GIVING_WAY_H

#include "registry.h"

extern int sm_find_giving_way(const sm_registration *list, uint32 length,
							  sm_map *found);
extern void sm_choose_giving_way(void);

#endif /* SM_GIVING_WAY_H */
