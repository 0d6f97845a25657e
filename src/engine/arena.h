/*
 * arena.h
 *	  The shared memory that everything lives in: offsets, words, page runs.
 *
 * The arena is mapped at another address in every process, so whatever is
 * stored in it names other places by offset from its start.  It is handed out
 * in runs of 4 KB pages, never more than SM_MAX_RUN at once, because a budget
 * that has been in use for long has no long runs left.
 *
 * A reader holds nothing, so it may look at memory that has been given back
 * and is in use for something else by now.  Hence the rule that makes this
 * well defined in C11: every access to the arena is a relaxed atomic access
 * of an aligned 8-byte word, through the functions below.  What orders them
 * is said where it is needed.
 */
#ifndef SM_ARENA_H
#define SM_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SM_PAGE_SIZE  4096
#define SM_PAGE_WORDS (SM_PAGE_SIZE / 8)
#define SM_MAX_RUN	  16 /* pages in the longest run */

/* 2^35 words of 8 bytes: what an index slot can address (see index.h) */
#define SM_MAX_ARENA ((uint64_t) 1 << 38)

/*
 * SM_STEP() stands before every shared access.  It is nothing, except in the
 * explorer of interleavings, which switches threads there.
 */
#ifndef SM_STEP
#define SM_STEP() ((void) 0)
#endif

typedef _Atomic uint64_t sm_word;

/* Where the arena is mapped in this process; never stored in shared memory. */
typedef struct sm_arena
{
	char *base;	   /* page-aligned */
	uint64_t size; /* bytes, whole pages, at most SM_MAX_ARENA */
} sm_arena;

static inline sm_word *
sm_at(const sm_arena *arena, uint64_t offset)
{
	return (sm_word *) (arena->base + offset);
}

/* Do len bytes from offset on lie in the arena?  (R4) */
static inline bool
sm_in_arena(const sm_arena *arena, uint64_t offset, uint64_t len)
{
	return offset <= arena->size && len <= arena->size - offset;
}

static inline uint64_t
sm_load(const sm_word *word)
{
	SM_STEP();
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint64_t
sm_load_acquire(const sm_word *word)
{
	SM_STEP();
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void
sm_store(sm_word *word, uint64_t value)
{
	SM_STEP();
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline void
sm_store_release(sm_word *word, uint64_t value)
{
	SM_STEP();
	atomic_store_explicit(word, value, memory_order_release);
}

/*
 * Stands before a store into memory that was in use before, so that a reader
 * who still sees the memory's new bytes, and then issues an acquire fence,
 * also sees the version or the word that was changed to take it away.  (R5)
 */
static inline void
sm_fence_release(void)
{
	atomic_thread_fence(memory_order_release);
}

static inline void
sm_fence_acquire(void)
{
	atomic_thread_fence(memory_order_acquire);
}

/* Bytes rounded up to whole words. */
static inline uint64_t
sm_pad(uint64_t len)
{
	return (len + 7) & ~(uint64_t) 7;
}

extern uint64_t sm_pages_alloc(uint32_t npages);
extern uint64_t sm_pages_alloc_upto(uint32_t want, uint32_t least, uint32_t *got);
extern uint64_t sm_page_alloc_zeroed(const sm_arena *arena);
extern void sm_pages_free(uint64_t offset, uint32_t npages);

extern void sm_copy_in(sm_word *to, const void *from, uint64_t len);
extern void sm_copy_out(void *to, const sm_word *from, uint64_t len);
extern bool sm_equal(const sm_word *stored, const void *bytes, uint64_t len);

#endif /* SM_ARENA_H */
