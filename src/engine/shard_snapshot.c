/*
 * shard_snapshot.c
 *	  What a snapshot keeps of a shard: the entries that have changed since.
 *
 * The snapshot's owner reads the shard as all readers do, without a lock, and then
 * what was kept here.  A key that is here has changed since the snapshot, and what is
 * here holds; one that is not here was the same throughout, so the owner's reading
 * found it, as it was.  A writer keeps a key before it changes it, under the lock that it
 * has anyway, if none has done so before: copy-on-write, a key at a time.
 *
 * It takes memory that is charged to the map.  Where there is none, or where somebody
 * else needs it, the snapshot is lost, and the writer goes on.
 */
#include "shard.h"

#include <assert.h>

#include "extent.h"
#include "pair.h"
#include "port.h"

/* Pages of a run, where an entry does not need more. */
#define RUN_PAGES 4

/* The index is that much smaller than the shard's, in bits: a few keys change. */
#define INDEX_BITS_LESS 3

/* A run of pages: this, and then entries. */
typedef struct kept_run
{
	sm_word next; /* the run before, or 0 */
	sm_word npages;
	sm_word used; /* bytes from the run's start */
} kept_run;

static kept_run *
run_at(const sm_arena *arena, uint64_t run)
{
	return (kept_run *) (arena->base + run);
}

/* The snapshot is lost, if one is open or has not been read yet. */
void
sm_shard_lose_kept(sm_shard *shard)
{
	if (shard->kept.open || shard->kept.runs != 0)
		shard->kept.lost = true;
	shard->kept.open = false;
	shard->kept.borrowed = 0;
}

/* A kept entry whose large value is still that of a live one; DEAD alone: no entry. */
#define BORROWED (SM_HEAD_DEAD | SM_HEAD_LARGE)

static inline bool
is_borrowed(uint64_t head)
{
	return (head & BORROWED) == BORROWED;
}

/* Where a key's entry is kept, or 0. */
static uint64_t
find_kept(const sm_arena *arena, const sm_kept *kept, uint32_t tag, sm_bytes key)
{
	const sm_bucket *bucket;
	sm_found found;
	sm_probe probe;

	if (sm_index_root(kept->index.word) == 0 ||
		!sm_index_probe(arena, kept->index.word, tag, &probe))
		return 0;
	for (bucket = probe.bucket; bucket != NULL;)
	{
		if (sm_chain_find(arena, &bucket, tag, key, NULL, &found))
			return found.entry;
	}
	return 0;
}

/* Makes the index if it is not there, and room in it. */
static bool
reserve_slot(const sm_engine *engine, sm_shard *shard, uint32_t tag)
{
	sm_kept *kept = &shard->kept;
	unsigned bits = SM_MIN_INDEX_BITS;

	if (sm_index_root(kept->index.word) == 0)
	{
		if (sm_index_bits(shard->read_index.word) > bits + INDEX_BITS_LESS)
			bits = sm_index_bits(shard->read_index.word) - INDEX_BITS_LESS;
		if (!sm_index_create(&engine->arena, &kept->index, bits))
			return false;
	}
	return sm_index_reserve(&engine->arena, &kept->index, tag);
}

/* A place for an entry of that size, or 0. */
static uint64_t
reserve_entry(const sm_engine *engine, sm_shard *shard, uint64_t size)
{
	const sm_arena *arena = &engine->arena;
	sm_kept *kept = &shard->kept;
	uint64_t need = (sizeof(kept_run) + size + SM_PAGE_SIZE - 1) / SM_PAGE_SIZE;
	uint64_t run = kept->runs;
	uint32_t npages;

	if (run != 0 &&
		sm_load(&run_at(arena, run)->used) + size <=
			sm_load(&run_at(arena, run)->npages) * SM_PAGE_SIZE)
		return run + sm_load(&run_at(arena, run)->used);

	if (sm_shard_exceeds(engine, shard, need))
		return 0;
	run = sm_pages_alloc_upto(need > RUN_PAGES ? (uint32_t) need : RUN_PAGES,
							  (uint32_t) need, &npages);
	if (run == 0)
		return 0;
	sm_store(&run_at(arena, run)->next, kept->runs);
	sm_store(&run_at(arena, run)->npages, npages);
	sm_store(&run_at(arena, run)->used, sizeof(kept_run));
	kept->runs = run;
	kept->pages += npages;
	return run + sizeof(kept_run);
}

/*
 * Keeps a key's entry, or with entry 0 that there was none, if that has not been done
 * since the snapshot was opened.  With take_extents a large value is the snapshot's
 * from then on; without, that value goes on living and is borrowed, until this is called
 * again for its key.  Returns whether it took a large value.
 */
bool
sm_shard_keep(const sm_engine *engine, sm_shard *shard, uint32_t tag, sm_bytes key,
			  uint64_t entry, bool take_extents)
{
	const sm_arena *arena = &engine->arena;
	sm_kept *kept = &shard->kept;
	uint64_t head = sm_head(key.len, 0, 0, 0) | SM_HEAD_DEAD;
	uint64_t place = find_kept(arena, kept, tag, key);
	uint64_t size;

	if (place != 0)
	{
		head = sm_load(sm_at(arena, place));
		if (!take_extents || !is_borrowed(head))
			return false;
		sm_store(sm_at(arena, place), head & ~(uint64_t) SM_HEAD_DEAD);
		kept->pages += sm_entry_extent_pages(arena, place, head);
		kept->borrowed--;
		return true;
	}
	if (!kept->open)
		return false;
	/* what is hidden is not there, for a snapshot as for all others */
	if (entry != 0 &&
		sm_is_hidden(sm_entry_expires(arena, entry, sm_load(sm_at(arena, entry)))))
		entry = 0;
	if (entry != 0)
	{
		uint64_t old = sm_load(sm_at(arena, entry));

		head = sm_head(key.len, sm_head_value_len(old), 0,
					   old & (SM_HEAD_LARGE | SM_HEAD_EXPIRES));
		if ((head & SM_HEAD_LARGE) && !take_extents)
			head |= SM_HEAD_DEAD;
	}
	size = sm_head_size(head);
	if (!reserve_slot(engine, shard, tag) ||
		(place = reserve_entry(engine, shard, size)) == 0)
	{
		sm_shard_lose_kept(shard);
		return false;
	}

	sm_store(sm_at(arena, place), head);
	for (uint64_t i = 8; entry != 0 && i < size; i += 8)
		sm_store(sm_at(arena, place + i), sm_load(sm_at(arena, entry + i)));
	if (entry == 0)
		sm_copy_in(sm_at(arena, place + 8), key.data, key.len);
	if (is_borrowed(head))
		kept->borrowed++;
	else
		kept->pages += sm_entry_extent_pages(arena, place, head);
	sm_store(&run_at(arena, kept->runs)->used, place + size - kept->runs);
	sm_index_place(arena, &kept->index, sm_slot(tag, place));
	return (head & SM_HEAD_LARGE) && !is_borrowed(head);
}

/* Gives the extents of a run's entries back. */
static uint64_t
free_run_extents(const sm_arena *arena, uint64_t run)
{
	uint64_t end = run + sm_load(&run_at(arena, run)->used);
	uint64_t freed = 0;
	uint64_t head;

	for (uint64_t entry = run + sizeof(kept_run); entry < end;
		 entry += sm_head_size(head))
	{
		head = sm_load(sm_at(arena, entry));
		if (is_borrowed(head))
			continue;
		freed += sm_entry_extent_pages(arena, entry, head);
		sm_extents_free(arena, sm_entry_extents(arena, entry, head));
	}
	return freed;
}

/*
 * Gives back what was kept, but for the rest of it after most pages or more.  Returns
 * how many were given back.  Of a snapshot that is closed or lost.
 */
uint64_t
sm_shard_free_kept(const sm_engine *engine, sm_kept *kept, uint64_t most)
{
	const sm_arena *arena = &engine->arena;
	uint64_t freed = 0;

	if (kept->index.pages > 0)
		freed = sm_index_free(arena, &kept->index, most);
	while (kept->index.pages == 0 && kept->runs != 0 && freed < most)
	{
		uint64_t run = kept->runs;
		uint64_t npages = sm_load(&run_at(arena, run)->npages);
		uint64_t extents = free_run_extents(arena, run);

		kept->runs = sm_load(&run_at(arena, run)->next);
		sm_pages_free(run, (uint32_t) npages);
		kept->pages -= npages + extents;
		freed += npages + extents;
	}
	return freed;
}

/* ---- what the owner does ---- */

/* Copies a kept entry's pair; false if there is no room for it. */
static bool
copy_entry(const sm_arena *arena, uint64_t entry, uint64_t head, sm_buffer *pairs,
		   size_t room)
{
	char *to = (char *) pairs->data + pairs->len;
	sm_pair pair = {0};

	/* under the lock it is no garbage: it lies in the arena */
	(void) sm_pair_of(arena, entry, &head, &pair);
	if ((head & BORROWED) == SM_HEAD_DEAD)
		pair.value_len = SM_NO_VALUE;
	if (sm_pair_size(&pair) > room)
	{
		if (pairs->len == 0)
			pairs->len = sm_pair_size(&pair);
		return false;
	}
	to = sm_pair_write(arena, entry, &pair, to);
	if (pair.value_len != SM_NO_VALUE)
		sm_entry_copy_value(arena, entry, head, to);
	pairs->len += sm_pair_size(&pair);
	return true;
}

/* Goes on copying, under the lock.  Returns what sm_snapshot_changes does. */
static sm_status
copy_kept(const sm_arena *arena, sm_changes *changes, sm_buffer *pairs)
{
	size_t size = pairs->size;

	pairs->len = 0;
	while (changes->run != 0)
	{
		const kept_run *run = run_at(arena, changes->run);
		uint64_t entry = changes->run + changes->at;
		uint64_t head;

		if (changes->at >= sm_load(&run->used))
		{
			changes->run = sm_load(&run->next);
			changes->at = sizeof(kept_run);
			continue;
		}
		head = sm_load(sm_at(arena, entry));
		if (!copy_entry(arena, entry, head, pairs, size - pairs->len))
			return pairs->len > size ? SM_TOO_SMALL : SM_FOUND;
		changes->at += sm_head_size(head);
	}
	return pairs->len > 0 ? SM_FOUND : SM_ABSENT;
}

/*
 * Is the snapshot that the map with that id keeps this owner's?  Under the shard's lock:
 * nobody becomes the owner without it, and an owner stays that until it has closed, so
 * the answer holds as long as the lock is held.
 */
static bool
is_owned(const sm_engine *engine, const sm_shard *shard, uint64_t id, uint64_t owner)
{
	return sm_load(&shard->id) == id && owner != 0 &&
		sm_load(&sm_state_of(engine, shard)->owner) == owner;
}

/* See sm_snapshot_changes in map.h. */
sm_status
sm_shard_changes(const sm_engine *engine, uint32_t number, uint64_t id, uint64_t owner,
				 sm_changes *changes, sm_buffer *pairs)
{
	sm_shard *shard = &engine->shards[number];
	sm_status status;

	if (!changes->started)
	{
		sm_shard_lock(engine, number);
		if (is_owned(engine, shard, id, owner))
		{
			shard->kept.open = false;
			changes->run = shard->kept.runs;
			changes->at = sizeof(kept_run);
			changes->started = true;
		}
		sm_shard_unlock(engine, number);
	}

	/* nobody adds to it any more, but it may be given up */
	sm_port_lock_shared(number);
	if (sm_load(&shard->id) != id)
		status = SM_GONE;
	else if (!changes->started || !is_owned(engine, shard, id, owner) ||
			 shard->kept.lost)
		status = SM_NO_MEMORY;
	else
		status = copy_kept(&engine->arena, changes, pairs);
	sm_port_unlock(number);
	return status;
}

/* Ends the owner's snapshot in a shard, and in the map's first one altogether. */
void
sm_shard_close_snapshot(const sm_engine *engine, uint32_t number, uint64_t id,
						uint64_t owner)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	sm_kept kept = {0};

	if (is_owned(engine, shard, id, owner))
	{
		kept = shard->kept;
		shard->kept = (sm_kept) {0};
		if (number == shard->map_shard)
			sm_store(&sm_state_of(engine, shard)->owner, 0);
	}
	sm_shard_unlock(engine, number);

	sm_shard_free_kept(engine, &kept, UINT64_MAX);
}
