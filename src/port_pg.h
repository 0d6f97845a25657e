/*
 * port_pg.h
 *	  The engine's host inside PostgreSQL: shared memory, locks, pages, clock.
 */
#ifndef SM_PORT_PG_H
#define SM_PORT_PG_H

#include "engine/map.h"

/* Bits of a map's shards: it has 16 of them, and fewer if its quota is small. */
#define SM_MAP_SHARD_BITS 4

/* This process' engine; all zeroes unless the library was preloaded. */
extern sm_engine sm_pg_engine;

static inline bool
sm_pg_loaded(void)
{
	return sm_pg_engine.shards != NULL;
}

extern void sm_port_request(void);
extern void sm_port_startup(void);
extern uint64 sm_pg_pages(void);
extern uint64 sm_pg_pages_free(void);
extern uint64 sm_pg_longest_run(void);
extern void sm_pg_give_way(uint64 id);
extern uint64 sm_pg_locks(const sm_map *map);

#endif /* SM_PORT_PG_H */
