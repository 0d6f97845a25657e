/*
 * shard.c
 *	  Promotion, growth, compaction, and clearing of a shard.
 *
 * Writers do all of it, a bounded piece with each write, so that no lock is
 * held for long (W5).
 *
 * Promotion moves dirty's slots into read.  When read is full after that, an
 * index of twice the size or more becomes dirty, and every write moves a few
 * of read's buckets into it; when read is empty, one word makes dirty the read
 * index.  Both are the same move: place a slot there, then clear it here (R2).
 */
#include "shard.h"

#include <assert.h>

#include "port.h"

/* Dirty is promoted at this many keys, whatever the ratio: it stays in cache. */
#define DIRTY_MAX 256

/* A write's share of the work while read grows, and when it has grown. */
#define GROWTH_BUCKETS 2
#define RETIRED_PAGES  8

/* How many segments a write compacts at most to make room. */
#define COMPACTIONS_A_WRITE 2

/*
 * Publishes an index under a new generation.  What a reader loads through the
 * word was stored before; what is stored afterwards into memory that the word
 * before led to is ordered behind it (R5).
 */
static void
publish(sm_shard *shard, sm_word *where, sm_index *index)
{
	shard->generation++;
	index->word = (index->word & 0xffffffff) | (uint64_t) shard->generation << 32;
	sm_store_release(where, index->word);
	sm_fence_release();
}

static sm_index *
make_index(const sm_engine *engine, sm_shard *shard, sm_word *where, sm_index *index,
		   unsigned bits)
{
	if (sm_index_root(index->word) == 0)
	{
		if (!sm_index_create(&engine->arena, index, bits))
			return NULL;
		publish(shard, where, index);
	}
	return index;
}

static sm_index *
make_read(const sm_engine *engine, sm_shard *shard)
{
	return make_index(engine, shard, &shard->read, &shard->read_index,
					  SM_MIN_INDEX_BITS);
}

/*
 * The index that new keys go to, made if it is not there: dirty, or read
 * itself where nothing is to wait for its promotion.  Returns NULL if there is
 * no memory.
 */
sm_index *
sm_shard_index_for_new(const sm_engine *engine, sm_shard *shard)
{
	if (engine->promote_ratio == 0 && !shard->growing)
		return make_read(engine, shard);
	return make_index(engine, shard, &shard->dirty, &shard->dirty_index,
					  SM_MIN_INDEX_BITS);
}

/*
 * Starts to replace a full read index: an index that will be half full takes
 * the place of the dirty one, which is empty.  Without memory for it, read
 * chains on.
 */
static void
start_growth(const sm_engine *engine, sm_shard *shard)
{
	unsigned bits = sm_index_bits(shard->read_index.word) + 1;
	sm_index next;

	assert(shard->dirty_index.count == 0);
	while (((uint64_t) SM_SLOTS << bits) < 2 * shard->read_index.count)
		bits++;
	if (bits > SM_MAX_INDEX_BITS || !sm_index_create(&engine->arena, &next, bits))
		return;

	/* nobody can be in it any more once the pages of the one before are free */
	sm_index_free(&engine->arena, &shard->retired, UINT64_MAX);
	shard->retired = shard->dirty_index;
	shard->dirty_index = next;
	publish(shard, &shard->dirty, &shard->dirty_index);
	shard->growing = true;
	shard->moved = 0;
}

/*
 * Moves a few of read's buckets into dirty.  When none is left, dirty becomes
 * read: its word is stored there first, so that a reader who finds dirty gone
 * sees the read word changed (R2).
 */
static void
grow(const sm_engine *engine, sm_shard *shard)
{
	uint32_t nbuckets = (uint32_t) 1 << sm_index_bits(shard->read_index.word);

	for (int i = 0; i < GROWTH_BUCKETS && shard->moved < nbuckets; i++)
	{
		if (!sm_index_move_bucket(&engine->arena, &shard->read_index,
								  &shard->dirty_index, shard->moved))
			return;
		shard->moved++;
	}
	if (shard->moved < nbuckets)
		return;

	assert(shard->read_index.count == 0);
	sm_index_free(&engine->arena, &shard->retired, UINT64_MAX);
	shard->retired = shard->read_index;
	shard->read_index = shard->dirty_index;
	shard->dirty_index = (sm_index) {0};
	publish(shard, &shard->read, &shard->read_index);
	publish(shard, &shard->dirty, &shard->dirty_index);
	shard->growing = false;
}

/* Moves dirty's slots into read, all of them: they are few. */
static void
promote(const sm_engine *engine, sm_shard *shard)
{
	uint32_t nbuckets = (uint32_t) 1 << sm_index_bits(shard->dirty_index.word);

	if (make_read(engine, shard) == NULL)
		return;
	for (uint32_t bucket = 0; bucket < nbuckets; bucket++)
	{
		if (!sm_index_move_bucket(&engine->arena, &shard->dirty_index,
								  &shard->read_index, bucket))
			return;
	}
	sm_store(&shard->misses, 0);
}

/* Is it time to promote?  By ratio, by count, or by misses, as in sync.Map. */
static bool
wants_promotion(const sm_engine *engine, const sm_shard *shard)
{
	uint64_t dirty = shard->dirty_index.count;

	return dirty > 0 &&
		(dirty >= DIRTY_MAX ||
		 dirty * 100 > sm_load(&shard->entries) * engine->promote_ratio ||
		 sm_load(&shard->misses) >= dirty);
}

/* A write's share of the shard's housekeeping. */
void
sm_shard_maintain(const sm_engine *engine, sm_shard *shard)
{
	if (shard->retired.pages > 0)
		sm_index_free(&engine->arena, &shard->retired, RETIRED_PAGES);
	if (shard->growing)
		grow(engine, shard);
	else if (wants_promotion(engine, shard))
		promote(engine, shard);
	if (!shard->growing && shard->dirty_index.count == 0 &&
		shard->read_index.count > sm_index_capacity(shard->read_index.word))
		start_growth(engine, shard);
}

/* The index that has a slot, and where. */
static sm_place
find_slot(const sm_engine *engine, const sm_shard *shard, uint64_t slot)
{
	sm_place place = sm_index_find_slot(&engine->arena, &shard->read_index, slot);

	if (place.home == NULL)
		place = sm_index_find_slot(&engine->arena, &shard->dirty_index, slot);
	assert(place.home != NULL);
	return place;
}

/*
 * Moves an entry to another place in the log.  The old place may overlap the
 * new one; then the copy, too, stands under the odd version (R1).
 */
static void
move_entry(const sm_engine *engine, const sm_shard *shard, uint64_t from, uint64_t to,
		   uint64_t head)
{
	const sm_arena *arena = &engine->arena;
	uint64_t size = sm_head_size(head);
	char key[SM_MAX_KEY];
	uint32_t tag;
	sm_place place;
	uint64_t version = 0;
	bool overlap = to < from && to + size > from;

	sm_copy_out(key, sm_at(arena, from) + 1, sm_head_key_len(head));
	tag = sm_hash_tag(sm_hash(engine, key, sm_head_key_len(head)));
	place = find_slot(engine, shard, sm_slot(tag, from));

	if (overlap)
		version = sm_version_begin(place.home);
	for (uint64_t i = 8; i < size; i += 8)
		sm_store(sm_at(arena, to + i), sm_load(sm_at(arena, from + i)));
	if (!overlap)
		version = sm_version_begin(place.home);
	sm_store(sm_at(arena, to), head);
	sm_store(place.slot, sm_slot(tag, to));
	sm_version_end(place.home, version);
}

/*
 * Compacts a segment: its live entries go to the newest segment as long as
 * there is room, and slide to their own segment's front otherwise.  This takes
 * no memory.  Returns the number of pages that became free.
 */
static uint64_t
compact(const sm_engine *engine, sm_shard *shard, uint64_t segment)
{
	const sm_arena *arena = &engine->arena;
	sm_log *log = &shard->log;
	uint64_t pages = log->pages;
	uint64_t from = segment + sizeof(sm_segment);
	uint64_t end = segment + sm_load(&sm_segment_at(arena, segment)->used);
	uint64_t to = from;
	uint64_t larges = 0;

	sm_log_begin_compaction(arena, log, segment);
	while (from < end)
	{
		uint64_t head = sm_load(sm_at(arena, from));
		uint64_t size = sm_head_size(head);

		if (head & SM_HEAD_DEAD)
			;
		else if (log->segments.first != segment && sm_log_has_room(arena, log, size))
		{
			uint64_t new_place = sm_log_append(arena, log, head);

			log->live -= size; /* it was counted where it was */
			move_entry(engine, shard, from, new_place,
					   sm_load(sm_at(arena, new_place)));
		}
		else
		{
			head &= ~((uint64_t) 0xf << SM_HEAD_PAGE_SHIFT);
			head |= (to - segment) / SM_PAGE_SIZE << SM_HEAD_PAGE_SHIFT;
			if (to != from)
				move_entry(engine, shard, from, to, head);
			if (head & SM_HEAD_LARGE)
				larges++;
			to += size;
		}
		from += size;
	}
	sm_log_end_compaction(arena, log, segment, to - segment, larges);
	return pages - log->pages;
}

/*
 * Makes room for an entry of size bytes in the newest segment: by compaction
 * where that is worth while, else by a new segment.  Entries may move; slots
 * stay in their places.  Returns false if there is no memory.
 */
bool
sm_shard_make_room(const sm_engine *engine, sm_shard *shard, uint64_t size)
{
	for (int tries = 0; !sm_log_has_room(&engine->arena, &shard->log, size); tries++)
	{
		if (tries == COMPACTIONS_A_WRITE || shard->log.compactable.last == 0)
			return sm_log_extend(&engine->arena, &shard->log, size);
		compact(engine, shard, shard->log.compactable.last);
	}
	return true;
}

/* The oldest segment that has dead bytes, or nothing else at all; or 0. */
static uint64_t
find_compactable(const sm_engine *engine, const sm_shard *shard)
{
	const sm_arena *arena = &engine->arena;

	for (uint64_t segment = shard->log.segments.last; segment != 0;)
	{
		const sm_segment *header = sm_segment_at(arena, segment);
		bool newest = segment == shard->log.segments.first;

		if (sm_load(&header->dead) > 0 ||
			(!newest && sm_load(&header->used) == sizeof(sm_segment)))
			return segment;
		segment = sm_load(&header->order.prev);
	}
	return 0;
}

/* All that a shard holds, taken out of it. */
typedef struct shard_contents
{
	sm_index indexes[3];
	sm_log log;
} shard_contents;

static uint64_t
count_pages(const sm_shard *shard)
{
	return shard->read_index.pages + shard->dirty_index.pages + shard->retired.pages +
		shard->log.pages;
}

/*
 * Takes a shard's contents out of it, under its lock: from here on no reader
 * finds any of it valid, and no other writer finds it at all, so that
 * free_contents needs no lock (R5).
 */
static shard_contents
take_contents(sm_shard *shard)
{
	shard_contents contents = {.indexes = {shard->read_index, shard->dirty_index,
										   shard->retired},
							   .log = shard->log};

	shard->read_index = shard->dirty_index = shard->retired = (sm_index) {0};
	shard->log = (sm_log) {0};
	shard->growing = false;
	sm_store(&shard->entries, 0);
	sm_store(&shard->misses, 0);

	/* one word after the other: a reader between them finds nothing or retries */
	publish(shard, &shard->read, &shard->read_index);
	publish(shard, &shard->dirty, &shard->dirty_index);
	return contents;
}

/* Returns how many pages that gave, without extents. */
static uint64_t
free_contents(const sm_engine *engine, shard_contents *contents)
{
	uint64_t pages = sm_log_free(&engine->arena, &contents->log);

	for (int i = 0; i < 3; i++)
		pages += sm_index_free(&engine->arena, &contents->indexes[i], UINT64_MAX);
	return pages;
}

/*
 * Compacts a shard's segments one by one, each under the lock anew, until
 * npages pages are free or there was a turn for every segment; an empty shard
 * gives all that it holds.  Returns how many pages that gave, and at least 1 if
 * it gave dead bytes back: they are room in the newest segment.
 */
uint64_t
sm_shard_reclaim(const sm_engine *engine, uint32_t number, uint64_t id, uint64_t npages)
{
	sm_shard *shard = &engine->shards[number];
	uint64_t freed = 0;
	uint64_t turns = UINT64_MAX;
	bool made_room = false;

	for (uint64_t turn = 0; turn < turns && freed < npages; turn++)
	{
		shard_contents contents = {0};
		uint64_t segment = 0;

		sm_port_lock_exclusive(number);
		sm_fence_release(); /* what comes may go where readers still look (R5) */
		if (sm_load(&shard->id) != id)
			;
		else if (sm_load(&shard->entries) == 0)
		{
			if (count_pages(shard) > 0)
				contents = take_contents(shard);
		}
		else
		{
			if (turn == 0)
			{
				turns = shard->log.pages; /* no fewer than segments */
				contents.indexes[0] = shard->retired;
				shard->retired = (sm_index) {0};
			}
			segment = find_compactable(engine, shard);
			if (segment != 0)
			{
				made_room |= sm_load(&sm_segment_at(&engine->arena, segment)->dead) > 0;
				freed += compact(engine, shard, segment);
			}
		}
		sm_port_unlock(number);

		freed += free_contents(engine, &contents);
		if (segment == 0)
			break;
	}
	return freed == 0 && made_room ? 1 : freed;
}

/*
 * Empties a shard of the map with that id, and with destroy makes it nobody's.
 * Returns false if the shard is not that map's.
 */
bool
sm_shard_clear(const sm_engine *engine, uint32_t number, uint64_t id, bool destroy)
{
	sm_shard *shard = &engine->shards[number];
	shard_contents contents;

	sm_port_lock_exclusive(number);
	if (sm_load(&shard->id) != id)
	{
		sm_port_unlock(number);
		return false;
	}
	/* the id before the words: whoever sees a later word sees it gone (R1) */
	if (destroy)
		sm_store(&shard->id, 0);
	contents = take_contents(shard);
	sm_port_unlock(number);

	free_contents(engine, &contents);
	return true;
}
