/*
 * port_posix.c
 *	  The engine's host in its own tests and benches: shared memory and locks
 *	  of POSIX, without PostgreSQL.
 *
 * The mapping holds the host's own state, the shards' locks, the table, a
 * bitmap of the pages in use, the marks, and the arena.  Pages are taken next-fit under
 * one mutex.
 */
#define _GNU_SOURCE
#include "port_posix.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "port.h"

#define WORD_PAGES 64 /* pages in a word of the bitmap */

/*
 * A shard's lock, on a line of its own as in PostgreSQL.  Whoever waits for it sleeps; in
 * benches (-DSPINLOCKS) he spins, since the other maps' writers do so, and nobody shares
 * it: there hardly anybody asks for that.
 */
typedef union shard_lock
{
#ifdef SPINLOCKS
	pthread_spinlock_t lock;
#else
	pthread_rwlock_t lock;
#endif
	char line[128];
} shard_lock;

/* At the mapping's start; the offsets are from there. */
typedef struct shared
{
	uint64_t length;
	uint64_t locks; /* shard_lock[nshards] */
	uint64_t table; /* sm_shard[nshards] */
	uint64_t bitmap;
	uint64_t marks;
	uint64_t arena; /* page 0 of it */
	uint64_t arena_size;
	uint32_t nshards;
	unsigned char secret[SM_SECRET_SIZE];
	sm_word giving_way;
	_Atomic int64_t now;

	pthread_mutex_t mutex; /* of all that follows, and of the bitmap */
	uint32_t npages;
	uint32_t next; /* where the next search starts */
	uint32_t free;
	uint64_t shortages;
	bool scribbles;		/* overwrites pages that are given back */
	int64_t fail_after; /* allocations that still succeed, or -1 */
} shared;

/* Where they are in this process. */
static shared *state;
static shard_lock *locks;
static uint64_t *bitmap;

_Thread_local volatile sig_atomic_t sm_host_held;

/* Pauses of this thread's after which it is to do something else, or -1. */
static _Thread_local int64_t pauses = -1;

static uint64_t
align_up(uint64_t n, uint64_t alignment)
{
	return (n + alignment - 1) / alignment * alignment;
}

static void
lock_pages(void)
{
	sm_host_held++;
	pthread_mutex_lock(&state->mutex);
}

static void
unlock_pages(void)
{
	pthread_mutex_unlock(&state->mutex);
	sm_host_held--;
}

/* Finds the parts of a mapping. */
static void
set_addresses(sm_host *host)
{
	char *base = host->mapping;

	state = host->mapping;
	locks = (shard_lock *) (base + state->locks);
	bitmap = (uint64_t *) (base + state->bitmap);
	host->length = state->length;
	host->engine = (sm_engine) {
		.arena = {base + state->arena, state->arena_size},
		.shards = (sm_shard *) (base + state->table),
		.nshards = state->nshards,
		.secret = state->secret,
		.marks = (sm_mark *) (base + state->marks),
		.giving_way = &state->giving_way,
		.hash_mask = UINT64_MAX,
		.promote_ratio = 30,
		.compact_ratio = 30,
	};
}

static void
init_shard_locks(uint32_t nshards)
{
#ifdef SPINLOCKS
	for (uint32_t i = 0; i < nshards; i++)
		pthread_spin_init(&locks[i].lock, PTHREAD_PROCESS_SHARED);
#else
	pthread_rwlockattr_t rwlock;

	pthread_rwlockattr_init(&rwlock);
	pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
	for (uint32_t i = 0; i < nshards; i++)
		pthread_rwlock_init(&locks[i].lock, &rwlock);
	pthread_rwlockattr_destroy(&rwlock);
#endif
}

static void
init_locks(uint32_t nshards)
{
	pthread_mutexattr_t mutex;

	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&state->mutex, &mutex);
	pthread_mutexattr_destroy(&mutex);

	init_shard_locks(nshards);
}

static void
set_pages(uint32_t first, uint32_t npages, bool used)
{
	for (uint32_t page = first; page < first + npages; page++)
	{
		uint64_t bit = (uint64_t) 1 << page % WORD_PAGES;

		sm_check(((bitmap[page / WORD_PAGES] & bit) != 0) != used, "page %u %s twice",
				 page, used ? "taken" : "freed");
		bitmap[page / WORD_PAGES] ^= bit;
	}
}

void
sm_host_create(sm_host *host, uint64_t arena_size, uint32_t nshards, int fd,
			   uint64_t seed)
{
	uint32_t npages = (uint32_t) (arena_size / SM_PAGE_SIZE);
	sm_rng rng = sm_rng_seed(seed);
	shared layout = {.nshards = nshards, .arena_size = arena_size, .npages = npages};

	layout.locks = align_up(sizeof(shared), 128);
	layout.table = layout.locks + nshards * sizeof(shard_lock);
	layout.bitmap = align_up(layout.table + sm_table_size(nshards), 128);
	layout.marks = layout.bitmap + align_up(npages / 8 + 8, 8);
	layout.arena = align_up(layout.marks + sm_marks_size(arena_size), SM_PAGE_SIZE);
	layout.length = layout.arena + arena_size;
	if (fd >= 0)
		sm_check(ftruncate(fd, (off_t) layout.length) == 0, "no room in the file");
	host->mapping = mmap(NULL, layout.length, PROT_READ | PROT_WRITE,
						 fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd, 0);
	sm_check(host->mapping != MAP_FAILED, "no memory for the host");
	memcpy(host->mapping, &layout, sizeof(layout));
	set_addresses(host);

	for (int i = 0; i < SM_SECRET_SIZE; i++)
		state->secret[i] = (unsigned char) sm_rng_next(&rng);
	init_locks(nshards);
	sm_table_init(host->engine.shards, nshards);
	state->fail_after = -1;
	state->scribbles = true;
	state->free = npages - 1;
	set_pages(0, 1, true);
}

void
sm_host_attach(sm_host *host, int fd)
{
	struct stat status;

	sm_check(fstat(fd, &status) == 0, "no file of a host");
	host->mapping =
		mmap(NULL, (size_t) status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sm_check(host->mapping != MAP_FAILED, "the host's file can't be mapped");
	set_addresses(host);
}

void
sm_host_detach(sm_host *host)
{
	munmap(host->mapping, host->length);
	state = NULL;
	locks = NULL;
	bitmap = NULL;
}

void
sm_host_prepare_bench(sm_host *host)
{
	host->engine.promote_ratio = 0;
	state->scribbles = false;
	memset(host->engine.arena.base, 0, host->engine.arena.size);
}

uint32_t
sm_host_free_pages(void)
{
	uint32_t free;

	lock_pages();
	free = state->free;
	unlock_pages();
	return free;
}

uint64_t
sm_host_shortages(void)
{
	uint64_t shortages;

	lock_pages();
	shortages = state->shortages;
	unlock_pages();
	return shortages;
}

void
sm_host_fail_after(int64_t n)
{
	lock_pages();
	state->fail_after = n;
	unlock_pages();
}

/* The first page of a run from state->next on, or from the start; 0: none. */
static uint32_t
find_run(uint32_t npages)
{
	uint32_t page = state->next;
	uint32_t run = 0;

	for (uint64_t seen = 0; seen < (uint64_t) state->npages + npages;)
	{
		if (page >= state->npages)
			page = run = 0;
		if (page % WORD_PAGES == 0 && bitmap[page / WORD_PAGES] == UINT64_MAX)
		{
			page += WORD_PAGES;
			seen += WORD_PAGES;
			run = 0;
			continue;
		}
		if (bitmap[page / WORD_PAGES] >> page % WORD_PAGES & 1)
			run = 0;
		else if (++run == npages)
			return page - npages + 1;
		page++;
		seen++;
	}
	return 0;
}

bool
sm_port_pause(void)
{
	sched_yield();
	sm_check(pauses != 0, "maintenance went on after it was told to end");
	if (pauses > 0)
		pauses--;
	return pauses != 0;
}

void
sm_host_interrupt_after(int64_t n)
{
	pauses = n;
}

uint32_t
sm_port_alloc_pages(uint32_t npages)
{
	uint32_t first = 0;

	sm_check(npages >= 1 && npages <= SM_MAX_RUN, "a run of %u pages", npages);
	lock_pages();
	if (state->fail_after != 0 && npages <= state->free)
		first = find_run(npages);
	if (first != 0)
	{
		set_pages(first, npages, true);
		state->next = first + npages;
		state->free -= npages;
		if (state->fail_after > 0)
			state->fail_after--;
	}
	else
		state->shortages++;
	unlock_pages();
	return first;
}

void
sm_host_give_way(uint64_t id)
{
	atomic_store_explicit(&state->giving_way, id, memory_order_relaxed);
}

void
sm_host_set_clock(int64_t now)
{
	atomic_store_explicit(&state->now, now, memory_order_relaxed);
}

int64_t
sm_port_now(void)
{
	return atomic_load_explicit(&state->now, memory_order_relaxed);
}

/* Readers may still be looking. */
static void
scribble(uint32_t first, uint32_t npages)
{
	sm_word *words =
		(sm_word *) ((char *) state + state->arena + (uint64_t) first * SM_PAGE_SIZE);

	for (uint32_t i = 0; i < npages * SM_PAGE_WORDS; i++)
		atomic_store_explicit(&words[i], 0x5a5a5a5a5a5a5a5a, memory_order_relaxed);
}

void
sm_port_free_pages(uint32_t first, uint32_t npages)
{
	sm_check(first > 0 && npages >= 1 && npages <= SM_MAX_RUN &&
				 (uint64_t) first + npages <= state->npages,
			 "pages %u+%u freed", first, npages);
	if (state->scribbles)
		scribble(first, npages);
	lock_pages();
	set_pages(first, npages, false);
	state->free += npages;
	unlock_pages();
}

/*
 * No operation holds two shard locks, but for a snapshot that takes a map's one after the
 * other (W2), nor pages before a shard.
 */
static void
before_lock(uint32_t shard)
{
	static _Thread_local uint32_t last;

	sm_check((sm_host_held == 0 || shard == last + 1) && shard < state->nshards,
			 "lock %u under another", shard);
	last = shard;
	sm_host_held++;
}

void
sm_port_lock_exclusive(uint32_t shard)
{
	before_lock(shard);
#ifdef SPINLOCKS
	pthread_spin_lock(&locks[shard].lock);
#else
	pthread_rwlock_wrlock(&locks[shard].lock);
#endif
}

void
sm_port_lock_shared(uint32_t shard)
{
	before_lock(shard);
#ifdef SPINLOCKS
	pthread_spin_lock(&locks[shard].lock);
#else
	pthread_rwlock_rdlock(&locks[shard].lock);
#endif
}

void
sm_port_unlock(uint32_t shard)
{
#ifdef SPINLOCKS
	pthread_spin_unlock(&locks[shard].lock);
#else
	pthread_rwlock_unlock(&locks[shard].lock);
#endif
	sm_host_held--;
}
