/*
 * port_posix.h
 *	  The engine's host in its own tests and benches: shared memory and locks
 *	  of POSIX, without PostgreSQL.
 *
 * One host at a time lives in a process, since the engine's port knows no
 * more than one.  All of its state but the addresses stands in the mapping, so
 * that processes which mapped the same file elsewhere share it.
 */
#ifndef SM_PORT_POSIX_H
#define SM_PORT_POSIX_H

#include <signal.h>

#include "map.h"

typedef struct sm_host
{
	void *mapping; /* where the shared memory is in this process */
	size_t length;
	sm_engine engine;
} sm_host;

/*
 * Locks that this thread holds now.  A signal handler may end the process, as
 * SIGKILL would, where this is 0: what a killed reader leaves behind is then
 * nothing (R6).
 */
extern _Thread_local volatile sig_atomic_t sm_host_held;

/*
 * Makes shared memory with an arena of arena_size bytes (whole pages), an empty
 * table of nshards shards, and a secret drawn from seed.  fd is an empty file
 * to map, or -1 for anonymous memory.  The engine's settings are set to
 * ratios of 30 and the whole hash.  Ends the process if there is no memory.
 */
extern void sm_host_create(sm_host *host, uint64_t arena_size, uint32_t nshards, int fd,
						   uint64_t seed);

/* Maps the file of another process' host, wherever the system likes to. */
extern void sm_host_attach(sm_host *host, int fd);

/* Unmaps it; nothing is left of an anonymous one. */
extern void sm_host_detach(sm_host *host);

/*
 * For benches: the settings that are the extension's by default.  Touches every page of
 * the arena, which must not be in use yet, and no longer overwrites pages that are given
 * back.  Tests want that: a host may keep its books in free pages, as PostgreSQL's does.
 */
extern void sm_host_prepare_bench(sm_host *host);

extern uint32_t sm_host_free_pages(void);

/* How often there was no run of the length that was asked for. */
extern uint64_t sm_host_shortages(void);

/* From now on, n allocations succeed and all further ones fail; -1: no limit. */
extern void sm_host_fail_after(int64_t n);

/* The n-th pause from now tells this thread's maintenance to end; -1: none does. */
extern void sm_host_interrupt_after(int64_t n);

/* The map with that id evicts its own keys when the arena is full. */
extern void sm_host_give_way(uint64_t id);

/* The clock stands still between two calls; it starts at 0. */
extern void sm_host_set_clock(int64_t now);

#endif /* SM_PORT_POSIX_H */
