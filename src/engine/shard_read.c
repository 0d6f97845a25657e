/*
 * shard_read.c
 *	  Reading a shard without a lock.
 *
 * A reader loads, copies, and then checks that nothing has moved.  It holds
 * nothing meanwhile, so it delays nobody and leaks nothing, however slow it is
 * (R6), and it stores nothing that others load, but for marks and the flush of
 * its counts (R3).
 *
 * A try that finds something changed is repeated.  After MAX_TRIES the reader
 * takes the shard's lock, shared, for one copy: then nothing changes.
 */
#include "shard.h"

#include <assert.h>

#include "extent.h"
#include "pair.h"
#include "port.h"

#define MAX_TRIES 32

/* A flush of a process' misses; must fit sm_map's counters. */
#define MISSES_FLUSHED 16

/* A flush of its other counts, where the host does not do it before. */
#define READS_FLUSHED (1 << 16)

/* What came of a search, or of a try. */
typedef struct answer
{
	enum
	{
		DONE,	   /* status is the call's answer: validated */
		NOT_THERE, /* the chain was walked to its end: not validated */
		CHANGED	   /* start again */
	} how;
	sm_status status;
	uint64_t entry; /* SM_FOUND: where, for its mark */
} answer;

/* An index as one try sees it. */
typedef struct index_view
{
	const sm_word *where; /* the shard's word */
	uint64_t word;		  /* what it was */
	sm_probe probe;		  /* of the key's home bucket */
} index_view;

/*
 * Validates what was seen: nothing has changed since the view was taken in the bucket,
 * its chain, and its entries, and they still belong to this map.
 *
 * The order is the point.  The fence puts all loads before it before the
 * version's load: if one of them saw a changed byte, the version is seen
 * changed (R1).  The version comes before the word: if the bucket's memory has
 * been given away and by chance holds the version again, then the word had
 * changed before, and is seen changed (R5).  The id comes last for the same
 * reason: shards change hands with their words.
 */
static inline bool
validate(const sm_request *request, const index_view *view)
{
	const sm_shard *shard = request->shard;

	sm_fence_acquire();
	return sm_load_acquire(view->probe.check) == view->probe.seen &&
		sm_load_acquire(view->where) == view->word &&
		sm_load(&shard->id) == request->map->id;
}

/*
 * Looks at an index: its word, and the home bucket of a tag in it.  Where
 * there is no index, the word itself is what must not change.
 */
static inline bool
look(const sm_request *request, const sm_word *where, uint32_t tag, index_view *view)
{
	view->where = where;
	view->word = sm_load_acquire(where);
	if (sm_index_root(view->word) == 0)
	{
		view->probe = (sm_probe) {where, view->word, NULL};
		return true;
	}
	return sm_index_probe(&request->engine->arena, view->word, tag, &view->probe);
}

/* Copies a value from its extents, validating before each run is believed. */
static SM_NOINLINE bool
copy_extents(const sm_request *request, index_view view, uint64_t place, void *to,
			 uint64_t len)
{
	const sm_arena *arena = &request->engine->arena;
	char *bytes = to;
	uint64_t run;

	if (!sm_in_arena(arena, place, 8))
		return false;
	run = sm_load(sm_at(arena, place));
	while (len > 0)
	{
		uint64_t part;

		if (!validate(request, &view))
			return false;
		part = sm_extent_read(arena, &run, bytes, len);
		if (part == 0)
			return false;
		bytes += part;
		len -= part;
	}
	return true;
}

/* Copies the value of an entry; the caller validates afterwards. */
SM_INLINE bool
copy_value(const sm_request *request, const index_view *view, uint64_t entry,
		   uint64_t head, void *to)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t place = sm_value_offset(entry, head);
	uint64_t len = sm_head_value_len(head);

	if (head & SM_HEAD_LARGE)
		return copy_extents(request, *view, place, to, len);
	if (!sm_in_arena(arena, place, sm_pad(len)))
		return false;
	sm_copy_out(to, sm_at(arena, place), len);
	return true;
}

/* What live_until says of an entry that has expired. */
#define LONG_AGO INT64_MIN

/*
 * When an entry expires, SM_NEVER, or LONG_AGO: also for garbage, since the validation
 * that follows tells (R4).  Only an entry that may expire costs a look at the clock.
 */
static inline int64_t
live_until(const sm_request *request, uint64_t entry, uint64_t head)
{
	const sm_arena *arena = &request->engine->arena;
	int64_t expires;

	if (!(head & SM_HEAD_EXPIRES))
		return SM_NEVER;
	if (!sm_in_arena(arena, sm_expires_offset(entry, head), 8))
		return LONG_AGO;
	expires = sm_entry_expires(arena, entry, head);
	if (expires == SM_NEVER)
		return SM_NEVER;
	return expires > sm_port_now() ? expires : LONG_AGO;
}

/* The same of an entry that has expired for live_until, if it is hidden and wanted. */
static SM_NOINLINE int64_t
hidden_until(const sm_request *request, uint64_t entry, uint64_t head, int wanted)
{
	const sm_arena *arena = &request->engine->arena;
	int64_t expires;

	if (!(head & SM_HEAD_EXPIRES) ||
		!sm_in_arena(arena, sm_expires_offset(entry, head), 8))
		return LONG_AGO;
	expires = sm_entry_expires(arena, entry, head);
	if (!sm_is_hidden(expires) || sm_due(expires) <= sm_port_now() ||
		!(wanted & (sm_is_stale(expires) ? SM_STALE : SM_NEGATIVE)))
		return LONG_AGO;
	return expires;
}

/* Searches a viewed index for the key, and copies what sm_shard_get wants of it. */
SM_INLINE answer
search(const sm_request *request, const index_view *view, sm_buffer *value,
	   sm_expiry *expiry)
{
	const sm_bucket *bucket = view->probe.bucket;
	answer found = {DONE, SM_FOUND, 0};

	while (bucket != NULL)
	{
		sm_found at;

		if (sm_chain_find(&request->engine->arena, &bucket, request->tag, request->key,
						  request->map->evicts ? request->engine->marks : NULL, &at))
		{
			int64_t until = live_until(request, at.entry, at.head);

			found.entry = at.entry;
			if (until == LONG_AGO &&
				(expiry == NULL ||
				 (until = hidden_until(request, at.entry, at.head, expiry->wanted)) ==
					 LONG_AGO))
				found.status = SM_ABSENT;
			else if (value != NULL)
			{
				value->len = sm_head_value_len(at.head);
				value->expires = until;
				if (value->len > value->size)
					found.status = SM_TOO_SMALL;
				else if (!copy_value(request, view, at.entry, at.head, value->data))
					return (answer) {.how = CHANGED};
			}
			if (!validate(request, view))
				return (answer) {.how = CHANGED};
			if (expiry != NULL && until != LONG_AGO)
				expiry->expires = until;
			return found;
		}
		if (bucket != NULL && !validate(request, view))
			return (answer) {.how = CHANGED};
	}
	return (answer) {.how = NOT_THERE};
}

/* Counts a lookup that had to look into dirty, towards the next promotion. */
static void
count_miss(const sm_request *request)
{
	sm_map *map = request->map;
	uint8_t *misses = &map->misses[request->number - map->first_shard];

	if (++*misses < MISSES_FLUSHED)
		return;
	*misses = 0;
	if (sm_load(&request->shard->id) == map->id)
		atomic_fetch_add_explicit(&request->shard->misses, MISSES_FLUSHED,
								  memory_order_relaxed);
}

/* What is left of a try when the key is not in read. */
static SM_NOINLINE answer
try_dirty(const sm_request *request, index_view read, sm_buffer *value,
		  sm_expiry *expiry)
{
	index_view dirty;

	if (!look(request, &request->shard->dirty, request->tag, &dirty))
		return (answer) {.how = CHANGED};
	if (sm_index_root(dirty.word) != 0)
	{
		answer found;

		count_miss(request);
		found = search(request, &dirty, value, expiry);
		if (found.how != NOT_THERE)
			return found;
	}

	/*
	 * In neither.  The key may have moved from the one not looked at yet to
	 * the other one, so both must have stayed as they were from before dirty
	 * was looked at until after it: dirty is validated first, read last (R2).
	 */
	if (!validate(request, &dirty) || !validate(request, &read))
		return (answer) {.how = CHANGED};
	return (answer) {DONE, SM_ABSENT, 0};
}

SM_INLINE answer
try_get(const sm_request *request, sm_buffer *value, sm_expiry *expiry)
{
	index_view read;
	answer found;

	if (!look(request, &request->shard->read, request->tag, &read))
		return (answer) {.how = CHANGED};
	found = search(request, &read, value, expiry);
	return found.how != NOT_THERE ? found : try_dirty(request, read, value, expiry);
}

static inline void
pause_a_moment(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}

/* Counts a lookup, and leaves a mark on what it found.  Returns its status. */
static inline sm_status
finish_get(const sm_request *request, answer found)
{
	sm_map *map = request->map;

	if (found.status == SM_TOO_SMALL)
		return found.status; /* it is going to be repeated */
	if (++map->reads.gets == READS_FLUSHED)
		sm_flush_reads(map);
	if (found.status == SM_FOUND)
	{
		map->reads.hits++;
		if (map->evicts)
			sm_mark_use(request->engine->marks, found.entry);
	}
	return found.status;
}

/*
 * After a try that failed: prepares another one, and takes the lock for the last.
 * Returns false, with no lock held, if the map is gone.
 */
bool
sm_tries_next(const sm_request *request, sm_tries *tries)
{
	if (tries->locked)
	{
		sm_tries_end(request, tries);
		return false; /* nothing else changes under the lock */
	}

	if (sm_load(&request->shard->id) != request->map->id)
		return false;
	pause_a_moment();
	tries->locked = ++tries->failed == MAX_TRIES;
	if (tries->locked)
		sm_port_lock_shared(request->number);
	return true;
}

/* Goes on when the first try failed. */
static SM_NOINLINE sm_status
get_again(const sm_request *request, sm_buffer *value, sm_expiry *expiry)
{
	sm_tries tries = {0};
	answer found;

	do
	{
		if (!sm_tries_next(request, &tries))
			return SM_GONE;
		request->map->reads.retries++;
		found = try_get(request, value, expiry);
	} while (found.how != DONE);
	sm_tries_end(request, &tries);
	return finish_get(request, found);
}

/*
 * Copies the key's value to the buffer, and when it expires to expiry->expires, each
 * unless NULL; with expiry->wanted also what is hidden.  Returns SM_FOUND, SM_ABSENT,
 * SM_TOO_SMALL (value->len is the length that the value had), or SM_GONE.
 */
sm_status
sm_shard_get(const sm_request *request, sm_buffer *value, sm_expiry *expiry)
{
	answer found = try_get(request, value, expiry);

	return found.how == DONE ? finish_get(request, found) :
							   get_again(request, value, expiry);
}

/*
 * The two waits of a lookup that is to come, begun for many keys at once: for the home
 * bucket in read, which is returned, and then for the entry of a slot in it.  NULL: there
 * is none.  Nothing is validated, since nothing is believed: what was fetched may be
 * something else by now, and sm_shard_get looks for itself.
 */
const sm_bucket *
sm_shard_prefetch_home(const sm_request *request)
{
	uint64_t word = sm_load_acquire(&request->shard->read);
	sm_probe probe;

	if (sm_index_root(word) == 0 ||
		!sm_index_home(&request->engine->arena, word, request->tag, &probe) ||
		probe.bucket == NULL)
		return NULL;
	__builtin_prefetch(probe.bucket);
	return probe.bucket;
}

void
sm_shard_prefetch_entry(const sm_engine *engine, const sm_bucket *home, uint32_t tag)
{
	uint64_t last;

	for (unsigned match = sm_bucket_match(home, tag, &last); match != 0;
		 match &= match - 1)
		/* a place outside the arena is fetched as little as it is read (R4) */
		sm_entry_prefetch(&engine->arena,
						  sm_slot_entry(sm_load(&home->slots[__builtin_ctz(match)])));
}

/* A range's step over one bucket: what of it is in the buffer so far. */
typedef struct range_batch
{
	uint32_t low;  /* the tags of the step */
	uint32_t high; /* inclusive */
	char *data;
	size_t size;
	size_t need;	/* bytes that all pairs so far take */
	uint64_t pairs; /* how many they are */
	int64_t now;	/* asked of the clock when it is 0 */
} range_batch;

/* Adds a slot's pair to a batch, or only its size where that is too small. */
static bool
add_pair(const sm_request *request, const index_view *view, uint64_t slot,
		 range_batch *batch)
{
	const sm_arena *arena = &request->engine->arena;
	uint64_t entry = sm_slot_entry(slot);
	uint64_t head;
	sm_pair pair;
	size_t at = batch->need;

	if (!sm_pair_of(arena, entry, &head, &pair))
		return false;
	if (pair.expires != SM_NEVER)
	{
		if (batch->now == 0)
			batch->now = sm_port_now();
		if (pair.expires <= batch->now)
			return true;
	}

	batch->pairs++;
	batch->need += sm_pair_size(&pair);
	if (batch->need > batch->size)
		return true; /* for its size only */
	assert(batch->data != NULL);
	return copy_value(request, view, entry, head,
					  sm_pair_write(arena, entry, &pair, batch->data + at));
}

/* Is exactly this slot in the chain?  The step validates the view once more. */
static bool
chain_has(const sm_request *request, const index_view *view, uint64_t slot)
{
	sm_chain_walk walk = {.bucket = view->probe.bucket};

	do
	{
		uint64_t other;

		while ((other = sm_chain_next(&request->engine->arena, &walk)) != 0)
			if (other == slot)
				return true;
	} while (walk.bucket != NULL && validate(request, view));
	return false;
}

/* Adds all pairs of a viewed bucket in the step, without those also in the other view. */
static bool
add_bucket(const sm_request *request, const index_view *view, const index_view *other,
		   range_batch *batch)
{
	sm_chain_walk walk = {.bucket = view->probe.bucket};

	do
	{
		uint64_t slot;

		while ((slot = sm_chain_next(&request->engine->arena, &walk)) != 0)
		{
			if (sm_slot_tag(slot) < batch->low || sm_slot_tag(slot) > batch->high)
				continue;
			if (other != NULL && chain_has(request, other, slot))
				continue;
			if (!add_pair(request, view, slot, batch))
				return false;
		}
	} while (walk.bucket != NULL && validate(request, view));
	return walk.bucket == NULL;
}

/*
 * Asks the memory for what the next step will look at: the entries of the bucket
 * that follows, and a bucket further on.  Hints only.
 */
static void
prefetch_next(const sm_request *request, const index_view *view)
{
	const sm_arena *arena = &request->engine->arena;
	const sm_bucket *next;

	if (view->probe.bucket == NULL)
		return;
	next = view->probe.bucket + 1;
	if (((const char *) next - arena->base) % SM_PAGE_SIZE == 0)
		return;
	__builtin_prefetch(next + 1);
	for (int i = 0; i < SM_SLOTS; i++)
		sm_entry_prefetch(arena, sm_slot_entry(sm_load(&next->slots[i])));
}

/*
 * One step: the pairs whose tags lie from prefix on to the end of its bucket,
 * in the index that has the smaller buckets, taken out of both indexes at one
 * moment.  A slot that is on its way from one to the other stands in both, and
 * is taken once.
 */
static bool
try_range(const sm_request *request, uint32_t prefix, range_batch *batch)
{
	const sm_shard *shard = request->shard;
	index_view read;
	index_view dirty;
	uint64_t read_word;
	unsigned bits = 0;

	if (!look(request, &shard->read, prefix, &read) ||
		!look(request, &shard->dirty, prefix, &dirty))
		return false;
	prefetch_next(request, &read);
	read_word = read.word;
	if (sm_index_root(read_word) != 0)
		bits = sm_index_bits(read_word);
	if (sm_index_root(dirty.word) != 0 && sm_index_bits(dirty.word) > bits)
		bits = sm_index_bits(dirty.word);

	batch->low = prefix;
	batch->high = prefix | (((uint32_t) 1 << (SM_TAG_BITS - bits)) - 1);
	batch->need = 0;
	batch->pairs = 0;
	return add_bucket(request, &read, NULL, batch) &&
		add_bucket(request, &dirty, &read, batch) && validate(request, &dirty) &&
		validate(request, &read);
}

/* Repeats a step until it is valid.  Returns false if the map is gone. */
static bool
range_step(const sm_request *request, uint32_t prefix, range_batch *batch)
{
	sm_tries tries = {0};

	while (!try_range(request, prefix, batch))
	{
		if (!sm_tries_next(request, &tries))
			return false;
	}
	sm_tries_end(request, &tries);
	return true;
}

/*
 * Copies the pairs of the next bucket from *prefix on to the buffer, and moves
 * *prefix behind it; at the shard's end it becomes 2^SM_TAG_BITS.  What has expired
 * by now is left out; 0 stands for the clock.  Returns
 * SM_FOUND with pairs->len, SM_TOO_SMALL with the length that the pairs had
 * (*prefix stays), or SM_GONE.
 */
sm_status
sm_shard_range(const sm_request *request, uint32_t *prefix, int64_t now,
			   sm_buffer *pairs)
{
	range_batch batch = {.data = pairs->data, .size = pairs->size, .now = now};

	if (!range_step(request, *prefix, &batch))
		return SM_GONE;
	pairs->len = batch.need;
	if (batch.need > batch.size)
		return SM_TOO_SMALL;
	*prefix = batch.high + 1;
	return SM_FOUND;
}

/*
 * How many keys there are that have not expired.  Nothing is copied, so this
 * is a walk over the index.  False if the map is gone.
 */
bool
sm_shard_count(const sm_request *request, uint64_t *count)
{
	range_batch batch = {.data = NULL};

	*count = 0;
	for (uint32_t prefix = 0; prefix < (uint32_t) 1 << SM_TAG_BITS;
		 prefix = batch.high + 1)
	{
		if (!range_step(request, prefix, &batch))
			return false;
		*count += batch.pairs;
	}
	return true;
}
