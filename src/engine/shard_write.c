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
#include "pair.h"
#include "port.h"

/* Entries with more room for a value than so many bytes are not overwritten. */
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
		if (sm_chain_find(arena, &bucket, request->tag, request->key, NULL,
						  &target->found))
		{
			target->index = index;
			target->place = (sm_place) {(sm_bucket *) probe.bucket, target->found.slot};
			return true;
		}
	}
	return false;
}

static bool
find(const sm_request *request, write_target *target)
{
	target->index = NULL;
	return find_in(request, &request->shard->read_index, target) ||
		find_in(request, &request->shard->dirty_index, target);
}

/* Copies the value of a found entry, which has room for it. */
static void
copy_found(const sm_request *request, const sm_found *found, void *to)
{
	sm_entry_copy_value(&request->engine->arena, found->entry, found->head, to);
}

static bool
has_value(const sm_request *request, const sm_found *found, sm_bytes expected)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t run = sm_entry_extents(arena, found->entry, found->head);
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

/* Does a found entry have the value, and expire when, the write expects? */
static bool
is_expected(const sm_request *request, const sm_write *write, const sm_found *found)
{
	if (write->expected_expires != NULL &&
		sm_entry_expires(&request->engine->arena, found->entry, found->head) !=
			*write->expected_expires)
		return false;
	return has_value(request, found, *write->expected);
}

/* What a write stores. */
typedef struct new_value
{
	sm_bytes bytes;
	int64_t expires;
	uint64_t expiring;	   /* SM_HEAD_EXPIRES: it gets a word for when, else 0 */
	uint64_t extents;	   /* a large value's first run, else 0; of the value before */
	uint64_t extent_pages; /* and their number */
	uint64_t expired;	   /* the first run of a value that had expired, else 0 */
} new_value;

static uint64_t
make_head(const sm_request *request, const new_value *value)
{
	return sm_head(request->key.len, value->bytes.len, 0,
				   (value->extents != 0 ? SM_HEAD_LARGE : 0) | value->expiring);
}

/* Keeps an entry, or that there was none (0), for a snapshot that is open. */
static bool
keep(const sm_request *request, uint64_t entry, bool take_extents)
{
	return sm_shard_keeps(request->shard) &&
		sm_shard_keep(request->engine, request->shard, request->tag, request->key,
					  entry, take_extents);
}

/*
 * The slot of an entry is gone, or is another entry's now.  The entry's extents
 * are the caller's to free, unless a snapshot takes them; shared are those that the
 * other entry has, too.
 */
static uint64_t
bury(const sm_request *request, uint64_t entry, uint64_t head, uint64_t shared)
{
	const sm_arena *arena = &request->engine->arena;
	sm_log *log = &request->shard->log;
	uint64_t extents = sm_entry_extents(arena, entry, head);

	if (keep(request, entry, extents != shared) && extents != shared)
		extents = 0;
	log->extents -= sm_entry_extent_pages(arena, entry, head);
	sm_log_kill(arena, log, entry, request->engine->compact_ratio);
	return extents;
}

/* Takes a found entry out.  Returns its extents, the caller's to free. */
static uint64_t
remove_found(const sm_request *request, const write_target *target)
{
	sm_shard *shard = request->shard;

	sm_index_remove(&request->engine->arena, target->index, target->place);
	if (sm_shard_orders(shard, request->tag))
		sm_order_remove(&request->engine->arena, &shard->order, request->key);
	sm_store(&shard->entries, sm_load(&shard->entries) - 1);
	sm_shard_count_hidden(shard,
						  sm_entry_expires(&request->engine->arena, target->found.entry,
										   target->found.head),
						  -1);
	return bury(request, target->found.entry, target->found.head, 0);
}

/* A write is a use of its key. */
static void
leave_mark(const sm_request *request, uint64_t entry)
{
	if (request->map->evicts)
		sm_mark_use(request->engine->marks, entry);
}

/*
 * Overwrites a value in its place, if the new one fits there, is short enough,
 * and leaves no more than half of the entry unused.
 */
static bool
overwrite(const sm_request *request, const write_target *target, const new_value *value)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t entry = target->found.entry;
	uint64_t old_head = target->found.head;
	uint64_t head = make_head(request, value);
	uint64_t room = sm_head_room(old_head);
	uint64_t needs = sm_head_needs(head);
	uint64_t version;

	if ((old_head & SM_HEAD_LARGE) || (head & SM_HEAD_LARGE) || room > MAX_IN_PLACE ||
		needs > room || room - needs > sm_head_size(head) / 2)
		return false;
	head = sm_head(request->key.len, value->bytes.len, (room - needs) / 8,
				   head & SM_HEAD_EXPIRES);
	head |= old_head & (uint64_t) 0xf << SM_HEAD_PAGE_SHIFT;

	keep(request, entry, false);
	version = sm_version_begin(target->place.home);
	sm_store(sm_at(arena, entry), head);
	if (head & SM_HEAD_EXPIRES)
		sm_store(sm_at(arena, sm_expires_offset(entry, head)),
				 (uint64_t) value->expires);
	sm_copy_in(sm_at(arena, sm_value_offset(entry, head)), value->bytes.data,
			   value->bytes.len);
	sm_version_end(target->place.home, version);

	if (head & SM_HEAD_EXPIRES)
		sm_shard_note_expiry(request->engine, request->shard, entry, value->expires);
	leave_mark(request, entry);
	return true;
}

/*
 * The queue that the key's entry is to be appended to: the one that it is in,
 * or for a new key the young one, unless its ghost tells that it came back.
 */
static sm_queue
choose_queue(const sm_request *request, const write_target *target)
{
	const sm_arena *arena = &request->engine->arena;

	if (!sm_load(&sm_state_of(request->engine, request->shard)->evicts))
		return SM_MAIN;
	if (target->index != NULL)
	{
		uint64_t segment = sm_segment_of(target->found.entry, target->found.head);

		return (sm_queue) sm_load(&sm_segment_at(arena, segment)->queue);
	}
	return sm_ghosts_has(arena, &request->shard->ghosts, request->tag) ? SM_MAIN :
																		 SM_YOUNG;
}

/* Writes an entry that nobody knows yet. */
static uint64_t
append(const sm_request *request, sm_queue queue, const new_value *value)
{
	const sm_arena *arena = &request->engine->arena;
	sm_shard *shard = request->shard;
	uint64_t head = make_head(request, value);
	uint64_t entry = sm_log_append(arena, &shard->log, queue, head, value->expires);
	sm_word *place = sm_at(arena, sm_value_offset(entry, head));

	sm_copy_in(sm_at(arena, entry) + 1, request->key.data, request->key.len);
	if (head & SM_HEAD_LARGE)
	{
		sm_store(place, value->extents);
		sm_store(place + 1, value->extent_pages);
		shard->log.extents += value->extent_pages;
	}
	else
		sm_copy_in(place, value->bytes.data, value->bytes.len);
	if (head & SM_HEAD_EXPIRES)
	{
		sm_shard_note_expiry(request->engine, shard, entry, value->expires);
		sm_shard_count_hidden(shard, value->expires, 1);
	}
	return entry;
}

/*
 * Sees to it that there is room for an entry with that header in *queue, where
 * the key's entry belongs.  What was found may have been evicted for it: then
 * the key is looked up again.  Returns false if there is no memory.
 */
static bool
make_room(const sm_request *request, write_target *target, uint64_t head,
		  sm_queue *queue, bool *dropped)
{
	*queue = choose_queue(request, target);
	if (!sm_shard_make_room(request->engine, request->shard, *queue, head, dropped))
		return false;
	if (*dropped)
		find(request, target);
	return true;
}

/*
 * Appends an entry for the key, for which there is room, and makes it the one
 * that is found.  A large value's extents are taken over, and exchanged for
 * those of the value before.  Returns false if there is no memory, with nothing
 * changed (M2).
 */
static bool
store(const sm_request *request, const write_target *target, sm_queue queue,
	  new_value *value)
{
	const sm_engine *engine = request->engine;
	const sm_arena *arena = &engine->arena;
	sm_shard *shard = request->shard;
	sm_index *index = target->index;
	bool ordered = sm_shard_orders(shard, request->tag);
	sm_order_place place;
	uint64_t entry;

	if (index == NULL)
	{
		index = sm_shard_index_for_new(engine, shard);
		if (index == NULL || !sm_index_reserve(arena, index, request->tag) ||
			(ordered && !sm_order_reserve(arena, &shard->order, request->key, &place)))
			return false;
	}

	entry = append(request, queue, value);
	if (target->index == NULL)
	{
		value->extents = 0;
		keep(request, 0, false);
		sm_ghosts_forget(arena, &shard->ghosts, request->tag);
		sm_mark_set(engine->marks, entry, 0);
		sm_index_place(arena, index, sm_slot(request->tag, entry));
		if (ordered)
			sm_order_insert(arena, &place, entry);
		sm_store(&shard->entries, sm_load(&shard->entries) + 1);
	}
	else
	{
		/* compaction may have moved the old entry, though not its slot */
		uint64_t old = sm_slot_entry(sm_load(target->place.slot));
		uint64_t version;

		sm_mark_set(engine->marks, entry, sm_mark_get(engine->marks, old));
		leave_mark(request, entry);
		version = sm_version_begin(target->place.home);
		sm_store(target->place.slot, sm_slot(request->tag, entry));
		sm_version_end(target->place.home, version);
		if (ordered)
			sm_order_move(arena, &shard->order, request->key, entry);
		value->extents = bury(request, old, sm_load(sm_at(arena, old)), value->extents);
	}
	return true;
}

/* Overwrites a found value where it is, or stores it anew. */
static sm_status
put_value(const sm_request *request, write_target *target, new_value *value)
{
	sm_shard *shard = request->shard;
	sm_status status = target->index != NULL ? SM_FOUND : SM_ABSENT;
	sm_queue queue;
	bool dropped;

	if (target->index == NULL || !overwrite(request, target, value))
	{
		if (value->extents != 0 &&
			sm_shard_exceeds(request->engine, shard, value->extent_pages))
			return SM_NO_MEMORY;
		if (!make_room(request, target, make_head(request, value), &queue, &dropped) ||
			!store(request, target, queue, value))
			return SM_NO_MEMORY;
	}
	if (!sm_is_hidden(value->expires))
		sm_shard_count_one(shard, SM_PUTS);
	return status;
}

/*
 * Sets when a found entry expires: in its place if it has one for that, else
 * in a copy of the entry, which keeps its extents.
 */
static sm_status
expire_found(const sm_request *request, write_target *target, int64_t expires)
{
	const sm_engine *engine = request->engine;
	const sm_arena *arena = &engine->arena;
	sm_shard *shard = request->shard;
	uint64_t head = target->found.head;
	uint64_t entry = target->found.entry;
	new_value value = {.expires = expires, .expiring = SM_HEAD_EXPIRES};
	char copy[SM_MAX_INLINE];
	sm_queue queue;
	bool dropped;

	if (head & SM_HEAD_EXPIRES)
	{
		uint64_t version;

		keep(request, entry, false);
		version = sm_version_begin(target->place.home);
		sm_store(sm_at(arena, sm_expires_offset(entry, head)), (uint64_t) expires);
		sm_version_end(target->place.home, version);
		sm_shard_note_expiry(engine, shard, entry, expires);
		return SM_FOUND;
	}
	if (expires == SM_NEVER)
		return SM_FOUND;

	/* room first, until nothing is evicted for it; what is found then stays */
	do
	{
		head = sm_head(request->key.len, sm_head_value_len(target->found.head), 0,
					   (target->found.head & SM_HEAD_LARGE) | SM_HEAD_EXPIRES);
		if (!make_room(request, target, head, &queue, &dropped))
			return SM_NO_MEMORY;
		if (!find(request, target))
			return SM_ABSENT;
	} while (dropped);
	head = target->found.head;
	entry = target->found.entry;
	value.extents = sm_entry_extents(arena, entry, head);
	value.extent_pages = sm_entry_extent_pages(arena, entry, head);
	value.bytes = (sm_bytes) {copy, sm_head_value_len(head)};
	if (value.extents == 0)
		copy_found(request, &target->found, copy);
	/* extents change hands from the old entry to the new one */
	store(request, target, queue, &value);
	return SM_FOUND;
}

/* Is a write an invalidation? */
static inline bool
invalidates(const sm_write *write)
{
	return write->coherence != NULL && write->coherence->fence != 0;
}

/*
 * Looks the key up, and takes it out if it has expired, or is hidden; *expired are then
 * its extents, the caller's to free.  An invalidation leaves what an earlier one has
 * hidden.
 */
static bool
find_live(const sm_request *request, const sm_write *write, write_target *target,
		  uint64_t *expired)
{
	const sm_arena *arena = &request->engine->arena;
	int64_t expires;
	int64_t now;

	if (!find(request, target))
		return false;
	if (!(target->found.head & SM_HEAD_EXPIRES))
		return true;
	expires = sm_entry_expires(arena, target->found.entry, target->found.head);
	now = sm_port_now();
	if (expires > now)
		return true;
	if (sm_due(expires) <= now || !invalidates(write) || !sm_is_stale(expires))
	{
		*expired = remove_found(request, target);
		if (!sm_is_hidden(expires))
			sm_shard_count_one(request->shard, SM_EXPIRATIONS);
	}
	target->index = NULL;
	return false;
}

/* How long the map keeps what is invalidated, in microseconds. */
static inline int64_t
kept_stale(const sm_request *request)
{
	return (int64_t) sm_load(&sm_state_of(request->engine, request->shard)->stale);
}

/*
 * Hides a found entry that is invalidated, if its map keeps such, where it is.  An entry
 * that has no word for it was stored before the map did; false: it is to be removed.
 */
static bool
hide_found(const sm_request *request, const write_target *target)
{
	sm_shard *shard = request->shard;
	uint64_t entry = target->found.entry;
	uint64_t head = target->found.head;
	int64_t kept = kept_stale(request);
	int64_t until = sm_port_now() + kept;
	int64_t expires = sm_entry_expires(&request->engine->arena, entry, head);
	uint64_t version;

	/* the host's clock may stand before its beginning */
	if (kept == 0 || until <= 1 || !(head & SM_HEAD_EXPIRES))
		return false;
	/* and no longer than it would have been there */
	until = sm_hide_until(until < expires ? until : expires, true);
	keep(request, entry, false);
	version = sm_version_begin(target->place.home);
	sm_store(sm_at(&request->engine->arena, sm_expires_offset(entry, head)),
			 (uint64_t) until);
	sm_version_end(target->place.home, version);
	sm_shard_count_hidden(shard, until, 1);
	sm_shard_note_expiry(request->engine, shard, entry, until);
	return true;
}

/* Asks the write's function for the value to store. */
static bool
compute(const sm_request *request, const sm_write *write, const write_target *target,
		new_value *value, char *computed)
{
	const sm_found *found = &target->found;
	bool there = target->index != NULL;
	size_t len = there ? sm_head_value_len(found->head) : 0;
	bool fits = there && len <= SM_MAX_UPDATE;
	char old[SM_MAX_UPDATE];
	int new_len;

	if (fits)
		copy_found(request, found, old);
	if (there)
		value->expires =
			sm_entry_expires(&request->engine->arena, found->entry, found->head);
	new_len = write->fn(write->arg, fits ? old : NULL, len, computed);
	value->bytes = (sm_bytes) {computed, (size_t) new_len};
	return new_len >= 0;
}

/*
 * What a map that is watched, or is to be for this write, has to say before it: SM_FOUND,
 * and the write goes on, under the same hold of the lock (C3).  Comes before the key is
 * looked up: an invalidation may evict for a page of fences.  Anything else changes nothing.
 */
static SM_NOINLINE sm_status
pass_fences(const sm_request *request, const sm_write *write)
{
	const sm_coherence *coherence = write->coherence;
	sm_shard *shard = request->shard;

	if (coherence == NULL)
	{
		bool stores = write->value != NULL || write->fn != NULL;

		return stores && !request->map->unchecked ? SM_WATCHED : SM_FOUND;
	}
	if (shard->horizon == 0)
		return SM_UNWATCHED;
	if (coherence->fence != 0)
	{
		sm_shard_fence(request->engine, shard, request->tag, coherence->fence,
					   coherence->ended);
		sm_shard_count_one(shard, SM_INVALIDATIONS);
		return SM_FOUND;
	}
	if (sm_shard_covers(request->engine, shard, request->tag, coherence->covers,
						coherence->arg))
		return SM_FOUND;
	sm_shard_count_one(shard, SM_FILLS_REFUSED);
	return SM_REFUSED;
}

/*
 * The write itself, under the lock.  value has the extents of a large value,
 * and afterwards those that are the caller's to free; also value->expired.
 * computed is room for what the write's function answers.
 */
static sm_status
do_write(const sm_request *request, const sm_write *write, new_value *value,
		 char *computed)
{
	write_target target;
	bool there;

	if (sm_load(&request->shard->id) != request->map->id)
		return SM_GONE;
	if (request->shard->horizon != 0 || write->coherence != NULL)
	{
		sm_status status = pass_fences(request, write);

		if (status != SM_FOUND)
			return status;
	}
	there = find_live(request, write, &target, &value->expired);

	if (there && write->expected != NULL && !is_expected(request, write, &target.found))
		return SM_MISMATCH;
	if (there && write->old != NULL)
	{
		write->old->len = sm_head_value_len(target.found.head);
		write->old->expires = sm_entry_expires(&request->engine->arena,
											   target.found.entry, target.found.head);
		if (write->old->len > write->old->size)
			return SM_TOO_SMALL;
		copy_found(request, &target.found, write->old->data);
	}
	if (there && write->keep)
		return SM_FOUND;
	if (!there && (write->expected != NULL || write->expire_only || write->replace))
		return SM_ABSENT;

	if (write->expire_only)
		return expire_found(request, &target, write->expires);
	if (write->value == NULL && write->fn == NULL)
	{
		if (!there)
			return SM_ABSENT;
		if (!invalidates(write) || !hide_found(request, &target))
			value->extents = remove_found(request, &target);
		sm_shard_count_one(request->shard, SM_DELETES);
		return SM_FOUND;
	}
	if (write->fn != NULL && !compute(request, write, &target, value, computed))
		return SM_REFUSED;
	if (value->expires == SM_KEEP)
		value->expires = there ?
			sm_entry_expires(&request->engine->arena, target.found.entry,
							 target.found.head) :
			SM_NEVER;
	/* what may be invalidated may be hidden then */
	if (value->expires != SM_NEVER ||
		(request->shard->horizon != 0 && kept_stale(request) != 0))
		value->expiring = SM_HEAD_EXPIRES;
	return put_value(request, &target, value);
}

/*
 * Waits for the key's bucket in read, and begins to fetch its entry and the shard's
 * counters while the lock is waited for: what is waited for under the lock, all other
 * writers wait for, too.  A hint; nothing of it is believed.
 */
static void
prefetch(const sm_request *request)
{
	const sm_bucket *home = sm_shard_prefetch_home(request);

	__builtin_prefetch(&request->shard->entries);
	if (home != NULL)
		sm_shard_prefetch_entry(request->engine, home, request->tag);
}

/* One try, with a large value in extents. */
static sm_status
try_write(const sm_request *request, const sm_write *write, bool large)
{
	const sm_arena *arena = &request->engine->arena;
	new_value value = {.expires = write->expires};
	char computed[SM_MAX_UPDATE];
	sm_status status;

	if (write->value != NULL)
		value.bytes = *write->value;
	if (large)
	{
		/* a handle of no map is not to be told to make room in it */
		if (sm_load(&request->shard->id) != request->map->id)
			return SM_GONE;
		value.extents = sm_extents_write(arena, value.bytes.data, value.bytes.len,
										 &value.extent_pages);
		if (value.extents == 0)
			return SM_NO_MEMORY;
	}

	prefetch(request);
	sm_shard_lock(request->engine, request->number);
	status = do_write(request, write, &value, computed);
	if (status == SM_FOUND || status == SM_ABSENT)
		sm_shard_maintain(request->engine, request->shard);
	sm_shard_unlock(request->engine, request->number);

	/* the value before, or one that was not stored: out of everyone's reach */
	if (value.extents != 0)
		sm_extents_free(arena, value.extents);
	if (value.expired != 0)
		sm_extents_free(arena, value.expired);
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
		/* with a word for when it expires: whether it gets one is not known yet */
		size = sm_head_size(
			sm_head(request->key.len, write->value->len, 0, SM_HEAD_EXPIRES));
	status = try_write(request, write, size > SM_MAX_INLINE);

	/* where no run of pages is long enough for a segment, extents may do */
	if (status == SM_NO_MEMORY && size > SM_PAGE_SIZE - sizeof(sm_segment) &&
		size <= SM_MAX_INLINE)
		status = try_write(request, write, true);
	return status;
}
