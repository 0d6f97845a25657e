/*
 * shard_write.c
 *	  Writing to a shard: one function does every kind of change.
 *
 * Memory for a large value is found before the lock is taken, everything else
 * before a version turns odd, and what turned out not to be needed is given
 * back after the lock (W1, W2).  A write that returned was done before the
 * lock was released, so every later call sees it (W4).
 */
#include "shard.h"

#include <assert.h>

#include "extent.h"
#include "port.h"

/* Values in a place over this many bytes are not overwritten there. */
#define MAX_IN_PLACE 1024

_Static_assert(MAX_IN_PLACE / 8 <= SM_MAX_SLACK, "a header can tell the slack");

/* Where a write found its key. */
typedef struct write_target
{
	sm_index *index; /* NULL: nowhere */
	sm_place place;
	sm_found found;
} write_target;

static bool
find_in(const sm_request *request, sm_index *index, write_target *target)
{
	const sm_arena *arena = &request->engine->arena;
	const sm_bucket *bucket;
	sm_probe probe;

	if (sm_index_root(index->word) == 0 ||
		!sm_index_probe(arena, index->word, request->tag, &probe))
		return false;
	for (bucket = probe.bucket; bucket != NULL;)
	{
		if (sm_chain_find(arena, &bucket, request->tag, request->key, &target->found))
		{
			target->index = index;
			target->place = (sm_place) {(sm_bucket *) probe.bucket, target->found.slot};
			return true;
		}
	}
	return false;
}

/* The first run of an entry's extents, or 0 if it has none. */
static uint64_t
extents_of(const sm_request *request, uint64_t entry, uint64_t head)
{
	return head & SM_HEAD_LARGE ?
		sm_load(sm_at(&request->engine->arena, sm_value_offset(entry, head))) :
		0;
}

/* Copies the value of a found entry, which has room for it. */
static void
copy_found(const sm_request *request, const sm_found *found, void *to)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t len = sm_head_value_len(found->head);
	uint64_t run = extents_of(request, found->entry, found->head);
	char *bytes = to;

	if (run == 0)
		sm_copy_out(to, sm_at(arena, sm_value_offset(found->entry, found->head)), len);
	while (run != 0)
	{
		uint64_t part = sm_extent_read(arena, &run, bytes, len);

		bytes += part;
		len -= part;
	}
}

static bool
has_value(const sm_request *request, const sm_found *found, sm_bytes expected)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t run = extents_of(request, found->entry, found->head);
	const char *bytes = expected.data;
	uint64_t len = expected.len;

	if (sm_head_value_len(found->head) != len)
		return false;
	if (run == 0)
		return sm_equal(sm_at(arena, sm_value_offset(found->entry, found->head)), bytes,
						len);
	while (run != 0)
	{
		uint64_t part = sm_extent_equal(arena, &run, bytes, len);

		if (part == 0)
			return false;
		bytes += part;
		len -= part;
	}
	return true;
}

/* Takes a found entry out.  Its extents become the caller's to free. */
static void
remove_found(const sm_request *request, const write_target *target, uint64_t *extents)
{
	sm_shard *shard = request->shard;

	*extents = extents_of(request, target->found.entry, target->found.head);
	sm_index_remove(&request->engine->arena, target->index, target->place);
	sm_log_kill(&request->engine->arena, &shard->log, target->found.entry,
				request->engine->compact_ratio);
	sm_store(&shard->entries, sm_load(&shard->entries) - 1);
}

/*
 * Overwrites a value in its place, if the new one fits there, is short enough,
 * and leaves no more than half of the entry unused.
 */
static bool
overwrite(const sm_request *request, const write_target *target, sm_bytes value)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t old_head = target->found.head;
	uint64_t place = sm_head_place(old_head);
	uint64_t head;
	uint64_t version;

	if ((old_head & SM_HEAD_LARGE) || place > MAX_IN_PLACE || sm_pad(value.len) > place)
		return false;
	head = sm_head(request->key.len, value.len, (place - sm_pad(value.len)) / 8, false);
	if (place - sm_pad(value.len) > sm_head_size(head) / 2)
		return false;
	head |= old_head & (uint64_t) 0xf << SM_HEAD_PAGE_SHIFT;

	version = sm_version_begin(target->place.home);
	sm_store(sm_at(arena, target->found.entry), head);
	sm_copy_in(sm_at(arena, sm_value_offset(target->found.entry, head)), value.data,
			   value.len);
	sm_version_end(target->place.home, version);
	return true;
}

/*
 * Appends an entry for the key and makes it the one that is found.  extents
 * is the value's first run if it is large: taken over, and exchanged for the
 * run of the value before.  Returns false if there is no memory, with nothing
 * changed (M2).
 */
static bool
append(const sm_request *request, const write_target *target, sm_bytes value,
	   uint64_t *extents)
{
	const sm_engine *engine = request->engine;
	const sm_arena *arena = &engine->arena;
	sm_shard *shard = request->shard;
	uint64_t head = sm_head(request->key.len, value.len, 0, *extents != 0);
	sm_index *index = target->index;
	uint64_t entry;
	sm_word *place;

	if (!sm_shard_make_room(engine, shard, sm_head_size(head)))
		return false;
	if (index == NULL)
	{
		index = sm_shard_index_for_new(engine, shard);
		if (index == NULL || !sm_index_reserve(arena, index, request->tag))
			return false;
	}

	entry = sm_log_append(arena, &shard->log, head);
	sm_copy_in(sm_at(arena, entry) + 1, request->key.data, request->key.len);
	place = sm_at(arena, sm_value_offset(entry, head));
	if (*extents != 0)
		sm_store(place, *extents);
	else
		sm_copy_in(place, value.data, value.len);

	if (target->index == NULL)
	{
		*extents = 0;
		sm_index_place(arena, index, sm_slot(request->tag, entry));
		sm_store(&shard->entries, sm_load(&shard->entries) + 1);
	}
	else
	{
		/* making room may have moved the old entry, though not its slot */
		uint64_t old = sm_slot_entry(sm_load(target->place.slot));
		uint64_t version;

		*extents = extents_of(request, old, sm_load(sm_at(arena, old)));
		version = sm_version_begin(target->place.home);
		sm_store(target->place.slot, sm_slot(request->tag, entry));
		sm_version_end(target->place.home, version);
		sm_log_kill(arena, &shard->log, old, engine->compact_ratio);
	}
	return true;
}

/* The write itself, under the lock. */
static sm_status
do_write(const sm_request *request, const sm_write *write, uint64_t *extents)
{
	sm_shard *shard = request->shard;
	write_target target = {.index = NULL};
	char computed[SM_MAX_UPDATE];
	sm_bytes value;
	bool there;

	if (sm_load(&shard->id) != request->map->id)
		return SM_GONE;
	there = find_in(request, &shard->read_index, &target) ||
		find_in(request, &shard->dirty_index, &target);

	if (there && write->expected != NULL &&
		!has_value(request, &target.found, *write->expected))
		return SM_MISMATCH;
	if (there && write->old != NULL)
	{
		write->old->len = sm_head_value_len(target.found.head);
		if (write->old->len > write->old->size)
			return SM_TOO_SMALL;
		copy_found(request, &target.found, write->old->data);
	}
	if (there ? write->keep : write->expected != NULL)
		return there ? SM_FOUND : SM_ABSENT;

	if (write->value == NULL && write->fn == NULL)
	{
		if (there)
			remove_found(request, &target, extents);
		return there ? SM_FOUND : SM_ABSENT;
	}

	if (write->fn != NULL)
	{
		char old[SM_MAX_UPDATE];
		size_t len = there ? sm_head_value_len(target.found.head) : 0;
		bool fits = there && len <= SM_MAX_UPDATE;
		int new_len;

		if (fits)
			copy_found(request, &target.found, old);
		new_len = write->fn(write->arg, fits ? old : NULL, len, computed);
		if (new_len < 0)
			return SM_REFUSED;
		value = (sm_bytes) {computed, (size_t) new_len};
	}
	else
		value = *write->value;

	if (there && overwrite(request, &target, value))
		return SM_FOUND;
	if (!append(request, &target, value, extents))
		return SM_NO_MEMORY;
	return there ? SM_FOUND : SM_ABSENT;
}

/* One try, with a large value in extents. */
static sm_status
try_write(const sm_request *request, const sm_write *write, bool large)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t extents = 0;
	sm_status status;

	if (large)
	{
		extents = sm_extents_write(arena, write->value->data, write->value->len);
		if (extents == 0)
			return SM_NO_MEMORY;
	}

	sm_port_lock_exclusive(request->number);
	/* what comes may go where readers still look (R5) */
	sm_fence_release();
	status = do_write(request, write, &extents);
	if (status == SM_FOUND || status == SM_ABSENT)
		sm_shard_maintain(request->engine, request->shard);
	sm_port_unlock(request->number);

	/* the value before, or one that was not stored: out of everyone's reach */
	sm_extents_free(arena, extents);
	return status;
}

/*
 * Changes what is stored for a key as the write says.  Takes the shard's lock,
 * exclusive.  Returns what map.h says of the calls that use it.
 */
sm_status
sm_shard_write(const sm_request *request, const sm_write *write)
{
	uint64_t size = 0;
	sm_status status;

	assert(write->value == NULL || write->value->len <= SM_MAX_VALUE);
	if (write->value != NULL)
		size = sm_head_size(sm_head(request->key.len, write->value->len, 0, false));
	status = try_write(request, write, size > SM_MAX_INLINE);

	/* where no run of pages is long enough for a segment, extents may do */
	if (status == SM_NO_MEMORY && size > SM_PAGE_SIZE - sizeof(sm_segment) &&
		size <= SM_MAX_INLINE)
		status = try_write(request, write, true);
	return status;
}
