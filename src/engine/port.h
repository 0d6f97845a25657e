/*
 * port.h
 *	  What the engine asks of its host.
 *
 * The engine knows no PostgreSQL.  src/port_pg.c is its host inside a server,
 * src/test/unit/port_posix.c the one of the engine's own tests and benches.
 * All of these are infallible or say by their result that they failed: none
 * may throw, and none may be interrupted by a signal's handler that does not
 * return.
 */
#ifndef SM_PORT_H
#define SM_PORT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * One reader/writer lock a shard, named by the shard's place in the fixed
 * table.  Acquiring a lock has acquire semantics, releasing it has release
 * semantics.  Nobody ever holds two, but for all of a map's, taken in ascending
 * order, where a snapshot is opened.
 */
extern void sm_port_lock_exclusive(uint32_t shard);
extern void sm_port_lock_shared(uint32_t shard);
extern void sm_port_unlock(uint32_t shard);

/*
 * Called between two pieces of maintenance, with no lock held: whoever waits for
 * the lock that was just released is to get it first.  Returns false when the work is
 * to end soon, since the host has something else to do: what is left is for another
 * call.
 */
extern bool sm_port_pause(void);

/*
 * Pages of the arena, SM_PAGE_SIZE bytes each.  The host takes its own lock
 * around each call, and may be called with a shard's lock held: shard before
 * pages is the only lock order there is.
 *
 * sm_port_alloc_pages returns the number of the first page of a contiguous
 * run, or 0 when there is none of that length (page 0 is never handed out).
 */
extern uint32_t sm_port_alloc_pages(uint32_t npages);
extern void sm_port_free_pages(uint32_t first, uint32_t npages);

/* What expires then never does. */
#define SM_NEVER INT64_MAX

/* The host's clock, in microseconds: what an expiry is compared with. */
extern int64_t sm_port_now(void);

#endif /* SM_PORT_H */
