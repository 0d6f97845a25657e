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
#include <string.h>

_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8,
			   "syncmap needs a 64-bit platform: pointers and size_t of 8 bytes");
_Static_assert(
	ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(long long) == 8,
	"syncmap needs atomic accesses of 8-byte words that are always lock-free");

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

/* What the compiler is not to decide: the path of a get is inline, what is rare is not. */
#define SM_INLINE	static inline __attribute__((always_inline))
#define SM_NOINLINE __attribute__((noinline))

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
 * that still sees the memory's new bytes, and then issues an acquire fence,
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

static inline void
sm_copy_word_in(sm_word *to, const char *from)
{
	uint64_t word;

	memcpy(&word, from, 8);
	sm_store(to, word);
}

/*
 * Copies len bytes in; the last word is filled up with zeros.  Here and below four words
 * a turn, since no compiler joins atomic accesses.
 */
static inline void
sm_copy_in(sm_word *to, const void *from, uint64_t len)
{
	const char *bytes = from;

	for (; len >= 32; len -= 32, bytes += 32, to += 4)
	{
		sm_copy_word_in(to, bytes);
		sm_copy_word_in(to + 1, bytes + 8);
		sm_copy_word_in(to + 2, bytes + 16);
		sm_copy_word_in(to + 3, bytes + 24);
	}
	for (; len >= 8; len -= 8, bytes += 8, to++)
		sm_copy_word_in(to, bytes);
	if (len > 0)
	{
		uint64_t word = 0;

		memcpy(&word, bytes, len);
		sm_store(to, word);
	}
}

static inline void
sm_copy_word_out(char *to, const sm_word *from)
{
	uint64_t word = sm_load(from);

	memcpy(to, &word, 8);
}

/* Copies len bytes out.  They may be torn: the caller validates afterwards. */
static inline void
sm_copy_out(void *to, const sm_word *from, uint64_t len)
{
	char *bytes = to;

	for (; len >= 32; len -= 32, bytes += 32, from += 4)
	{
		sm_copy_word_out(bytes, from);
		sm_copy_word_out(bytes + 8, from + 1);
		sm_copy_word_out(bytes + 16, from + 2);
		sm_copy_word_out(bytes + 24, from + 3);
	}
	for (; len >= 8; len -= 8, bytes += 8, from++)
		sm_copy_word_out(bytes, from);
	if (len > 0)
	{
		uint64_t word = sm_load(from);

		memcpy(bytes, &word, len);
	}
}

/* Are the len bytes stored by sm_copy_in these ones? */
static inline bool
sm_equal(const sm_word *stored, const void *bytes, uint64_t len)
{
	const char *given = bytes;
	uint64_t word;

	for (; len >= 8; len -= 8, given += 8, stored++)
	{
		memcpy(&word, given, 8);
		if (sm_load(stored) != word)
			return false;
	}
	if (len > 0)
	{
		word = 0;
		memcpy(&word, given, len);
		return sm_load(stored) == word;
	}
	return true;
}

#endif /* SM_ARENA_H */
