/*
 * port_pg.h
 *	  The engine's host inside PostgreSQL: shared memory, locks, pages.
 */
#ifndef SM_PORT_PG_H
#define SM_PORT_PG_H

#include "engine/map.h"

/* Bits of a map's shards: every map has 16 of them. */
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
extern uint64 sm_port_bytes_free(void);

#endif /* SM_PORT_PG_H */
