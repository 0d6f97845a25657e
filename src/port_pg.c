/*
 * port_pg.c
 *	  The engine's host inside PostgreSQL: shared memory, locks, pages, clock.
 *
 * The arena is one block of main shared memory of syncmap.memory bytes.  Its
 * pages belong to PostgreSQL's FreePageManager, whose struct lies in page 0
 * and whose btree lies in free pages.  It has no lock of its own, and so all
 * calls are made under ours ("syncmap_pages").  The shards' control blocks
 * and locks ("syncmap_shard") and the marks stand outside the arena, in tables
 * whose size is known at start.
 */
#include "compat.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/freepage.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/port.h"
#include "guc.h"
#include "port_pg.h"

StaticAssertDecl(FPM_PAGE_SIZE == SM_PAGE_SIZE, "pages are the same");
StaticAssertDecl(sizeof(FreePageManager) <= SM_PAGE_SIZE,
				 "FreePageManager fits in page 0");

/* The fixed part of the shared memory, but for the shards' table. */
typedef struct sm_port_shared
{
	uint64 pages_free;					  /* written under the pages lock */
	sm_word giving_way;					  /* see giving_way.c */
	unsigned char secret[SM_SECRET_SIZE]; /* written at start only */
} sm_port_shared;

sm_engine sm_pg_engine;

static sm_port_shared *shared;
static LWLockPadded *shard_locks;
static LWLock *pages_lock;
static uint32 *locks_taken; /* of each shard, by this process, to write there */

static Size
arena_size(void)
{
	return (Size) sm_guc_memory << 20;
}

static uint32
shard_count(void)
{
	return (uint32) sm_guc_max_maps << SM_MAP_SHARD_BITS;
}

/* Asks for shared memory and locks; runs in shmem_request_hook. */
void
sm_port_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(sm_port_shared)));
	RequestAddinShmemSpace(add_size(sm_table_size(shard_count()), PG_CACHE_LINE_SIZE));
	RequestAddinShmemSpace(add_size(arena_size(), SM_PAGE_SIZE));
	RequestAddinShmemSpace(sm_marks_size(arena_size()));
	RequestNamedLWLockTranche("syncmap_shard", (int) shard_count());
	RequestNamedLWLockTranche("syncmap_pages", 1);
}

/*
 * Makes the shared memory, or finds it where it has been made already.  Runs
 * in shmem_startup_hook, with AddinShmemInitLock held.
 */
void
sm_port_startup(void)
{
	FreePageManager *fpm;
	char *arena;
	sm_shard *shards;
	sm_mark *marks;
	bool found;

	shared = ShmemInitStruct("syncmap", sizeof(sm_port_shared), &found);
	shards = (sm_shard *) TYPEALIGN(PG_CACHE_LINE_SIZE,
									ShmemInitStruct("syncmap shards",
													sm_table_size(shard_count()) +
														PG_CACHE_LINE_SIZE,
													&found));
	arena = (char *) TYPEALIGN(SM_PAGE_SIZE,
							   ShmemInitStruct("syncmap arena",
											   arena_size() + SM_PAGE_SIZE, &found));
	marks = ShmemInitStruct("syncmap marks", sm_marks_size(arena_size()), &found);
	shard_locks = GetNamedLWLockTranche("syncmap_shard");
	pages_lock = &GetNamedLWLockTranche("syncmap_pages")->lock;
	if (locks_taken == NULL)
		locks_taken =
			MemoryContextAllocZero(TopMemoryContext, shard_count() * sizeof(uint32));

	if (!found)
	{
		if (!pg_strong_random(shared->secret, SM_SECRET_SIZE))
			ereport(FATAL,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("syncmap could not generate its random secret")));

		fpm = (FreePageManager *) arena;
		FreePageManagerInitialize(fpm, arena);
		shared->pages_free = arena_size() / SM_PAGE_SIZE - 1;
		FreePageManagerPut(fpm, 1, shared->pages_free);

		sm_table_init(shards, shard_count());
		memset((void *) marks, 0, sm_marks_size(arena_size()));
		atomic_init(&shared->giving_way, 0);
	}

	sm_pg_engine.arena.base = arena;
	sm_pg_engine.arena.size = arena_size();
	sm_pg_engine.nshards = shard_count();
	sm_pg_engine.secret = shared->secret;
	sm_pg_engine.marks = marks;
	sm_pg_engine.giving_way = &shared->giving_way;
	sm_pg_engine.hash_mask = ~UINT64CONST(0);
	sm_pg_engine.shards = shards;
}

/* Pages of the arena that can be used, and those that no map has now. */
uint64
sm_pg_pages(void)
{
	return arena_size() / SM_PAGE_SIZE - 1;
}

uint64
sm_pg_pages_free(void)
{
	return *(volatile uint64 *) &shared->pages_free;
}

/* The pages of the longest run of free ones. */
uint64
sm_pg_longest_run(void)
{
	FreePageManager *fpm = (FreePageManager *) sm_pg_engine.arena.base;
	uint64 pages;

	LWLockAcquire(pages_lock, LW_SHARED);
	pages = fpm->contiguous_pages;
	LWLockRelease(pages_lock);
	return pages;
}

/* From now on the map with that id evicts its own keys when the arena is full. */
void
sm_pg_give_way(uint64 id)
{
	atomic_store_explicit(&shared->giving_way, id, memory_order_relaxed);
}

/* How often this process has locked shards of a map as whoever writes there does. */
uint64
sm_pg_locks(const sm_map *map)
{
	uint64 sum = 0;

	for (uint32 i = 0; i < (uint32) 1 << map->shard_bits; i++)
		sum += locks_taken[map->first_shard + i];
	return sum;
}

int64_t
sm_port_now(void)
{
	return GetCurrentTimestamp();
}

void
sm_port_lock_exclusive(uint32_t shard)
{
	locks_taken[shard]++;
	LWLockAcquire(&shard_locks[shard].lock, LW_EXCLUSIVE);
}

void
sm_port_lock_shared(uint32_t shard)
{
	LWLockAcquire(&shard_locks[shard].lock, LW_SHARED);
}

void
sm_port_unlock(uint32_t shard)
{
	LWLockRelease(&shard_locks[shard].lock);
}

/*
 * Long enough for a process that has been woken to run.  Whoever is asked to do
 * something else does that first.
 */
bool
sm_port_pause(void)
{
	pg_usleep(50);
	return !(InterruptPending || ShutdownRequestPending || ConfigReloadPending);
}

uint32_t
sm_port_alloc_pages(uint32_t npages)
{
	FreePageManager *fpm = (FreePageManager *) sm_pg_engine.arena.base;
	Size first = 0;

	LWLockAcquire(pages_lock, LW_EXCLUSIVE);
	if (FreePageManagerGet(fpm, npages, &first))
		shared->pages_free -= npages;
	else
		first = 0;
	LWLockRelease(pages_lock);

	return (uint32_t) first;
}

void
sm_port_free_pages(uint32_t first, uint32_t npages)
{
	FreePageManager *fpm = (FreePageManager *) sm_pg_engine.arena.base;

	LWLockAcquire(pages_lock, LW_EXCLUSIVE);
	FreePageManagerPut(fpm, first, npages);
	shared->pages_free += npages;
	LWLockRelease(pages_lock);
}
