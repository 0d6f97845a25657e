/*
 * shard_memory.c
 *	  A shard's memory: compaction, eviction, and what has expired.
 *
 * Compaction and eviction rewrite a segment: what is to stay goes to the
 * newest segment of its queue where that has room, and slides to its own
 * segment's front otherwise.  So they need no memory to make memory free.
 *
 * Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache
 * eviction", SOSP 2023), by segments.  New keys are appended to the young
 * queue.  While that is more than a tenth of the log, its oldest segment is
 * taken: keys that were used often since they came go to the main queue, and
 * the others are dropped and leave a ghost.  Otherwise the oldest segment of
 * the main queue is taken: keys that were used go to its front and lose a mark,
 * the others are dropped.  A key that comes back as long as its ghost is there
 * goes to the main queue at once (shard_write.c).
 *
 * All of it goes in steps that take the lock anew, each of one segment or a few
 * (W5).
 */
#include "shard.h"

#include <assert.h>

#include "extent.h"
#include "port.h"

/* How many segments a write compacts, and how many it evicts from, to make room. */
#define COMPACTIONS_A_WRITE 2
#define EVICTIONS_A_WRITE	2

/* The young queue's share of the log, in parts. */
#define YOUNG_PARTS 10

/* A shard with an even share but for one part in so many evicts its own keys. */
#define EVEN_PARTS 8

/* A young entry with that many marks has been used often. */
#define OFTEN 2

/*
 * What a sweep does in one go: entries that it takes out, 16 pages of extents
 * count for one; segments that it searches, and others that it passes.
 */
#define SWEEP_ENTRIES  256
#define SWEEP_SEARCHES 8
#define SWEEP_SEGMENTS 64

/* Pages of an index that was replaced, or of what was kept, given back in one go. */
#define RECLAIM_PAGES 64

/* Where an entry is known from. */
typedef struct home
{
	uint32_t tag;
	sm_index *index;
	sm_place place;
	sm_bytes key; /* in bytes */
	char bytes[SM_MAX_KEY];
} home;

/* Finds an entry's slot. */
static void
find_home(const sm_engine *engine, sm_shard *shard, uint64_t entry, uint64_t head,
		  home *found)
{
	const sm_arena *arena = &engine->arena;

	found->key = (sm_bytes) {found->bytes, sm_head_key_len(head)};
	sm_copy_out(found->bytes, sm_at(arena, entry) + 1, found->key.len);
	found->tag = sm_hash_tag(sm_hash(engine, found->bytes, found->key.len));
	found->index = &shard->read_index;
	found->place = sm_index_find_slot(arena, found->index, sm_slot(found->tag, entry));
	if (found->place.home == NULL)
	{
		found->index = &shard->dirty_index;
		found->place =
			sm_index_find_slot(arena, found->index, sm_slot(found->tag, entry));
	}
	assert(found->place.home != NULL);
}

/* Takes an entry's slot away, and its extents. */
static void
unlink_entry(const sm_engine *engine, sm_shard *shard, uint64_t entry, uint64_t head,
			 const home *known)
{
	const sm_arena *arena = &engine->arena;

	sm_index_remove(arena, known->index, known->place);
	if (sm_shard_orders(shard, known->tag))
		sm_order_remove(arena, &shard->order, known->key);
	sm_store(&shard->entries, sm_load(&shard->entries) - 1);
	sm_shard_count_hidden(shard, sm_entry_expires(arena, entry, head), -1);
	shard->log.extents -= sm_entry_extent_pages(arena, entry, head);
	if (!sm_shard_keeps(shard) ||
		!sm_shard_keep(engine, shard, known->tag, known->key, entry, true))
		sm_extents_free(arena, sm_entry_extents(arena, entry, head));
}

/*
 * Moves an entry to another place in the log.  The old place may overlap the
 * new one; then the copy, too, stands under the odd version (R1).
 */
static void
move_entry(const sm_engine *engine, sm_shard *shard, uint64_t from, uint64_t to,
		   uint64_t head, const home *known)
{
	const sm_arena *arena = &engine->arena;
	uint64_t size = sm_head_size(head);
	uint64_t version = 0;
	bool overlap = to < from && to + size > from;

	/* while its key is still where the order finds it */
	if (sm_shard_orders(shard, known->tag))
		sm_order_move(arena, &shard->order, known->key, to);
	if (overlap)
		version = sm_version_begin(known->place.home);
	for (uint64_t i = 8; i < size; i += 8)
		sm_store(sm_at(arena, to + i), sm_load(sm_at(arena, from + i)));
	if (!overlap)
		version = sm_version_begin(known->place.home);
	sm_store(sm_at(arena, to), head);
	sm_store(known->place.slot, sm_slot(known->tag, to));
	sm_version_end(known->place.home, version);
}

/* What a rewrite is for, and what it keeps. */
typedef struct rewrite
{
	sm_queue to; /* where entries that stay go */
	bool evicts;
	unsigned marks;	   /* evicts: entries with fewer are dropped... */
	uint64_t may_stay; /* ...but for so many bytes of those with one less */
	int64_t now;	   /* evicts: the clock */
	uint64_t seen;	   /* where marks were looked at last, and what they were */
	unsigned seen_marks;
} rewrite;

/*
 * The marks that an entry had before the rewrite: its neighbours, which share them,
 * may have been moved there and marked anew.
 */
static unsigned
marks_before(const sm_engine *engine, rewrite *plan, uint64_t entry)
{
	if (entry / SM_MARK_BYTES != plan->seen)
	{
		plan->seen = entry / SM_MARK_BYTES;
		plan->seen_marks = sm_mark_get(engine->marks, entry);
	}
	return plan->seen_marks;
}

typedef enum fate
{
	STAYS,
	EVICTED,
	EXPIRED
} fate;

/* What becomes of an entry with so many marks. */
static fate
decide(const sm_engine *engine, rewrite *plan, uint64_t entry, uint64_t head,
	   unsigned marks)
{
	if (!plan->evicts)
		return STAYS;
	if (sm_entry_due(&engine->arena, entry, head) <= plan->now)
		return EXPIRED;
	if (marks >= plan->marks)
		return STAYS;
	if (marks > 0 && marks + 1 == plan->marks && sm_head_size(head) <= plan->may_stay)
	{
		plan->may_stay -= sm_head_size(head);
		return STAYS;
	}
	return EVICTED;
}

/* Takes an entry out that the rewrite of a queue's segment drops. */
static void
drop_entry(const sm_engine *engine, sm_shard *shard, sm_queue queue, uint64_t entry,
		   uint64_t head, fate why)
{
	bool hidden = sm_is_hidden(sm_entry_expires(&engine->arena, entry, head));
	home known;

	find_home(engine, shard, entry, head, &known);
	unlink_entry(engine, shard, entry, head, &known);
	shard->log.live -= sm_head_size(head);
	if (hidden)
		sm_shard_count_one(shard, SM_FORGOTTEN);
	else
		sm_shard_count_one(shard, why == EXPIRED ? SM_EXPIRATIONS : SM_EVICTIONS);
	if (why == EVICTED && queue == SM_YOUNG)
		sm_ghosts_add(&engine->arena, &shard->ghosts, known.tag);
}

/* The marks that an entry has after it was kept. */
static unsigned
marks_left(const rewrite *plan, sm_queue from, unsigned marks)
{
	if (!plan->evicts)
		return marks;
	if (from != plan->to)
		return 0;
	return marks > 0 ? marks - 1 : 0;
}

/*
 * Moves an entry that stays: to the newest segment of the queue if that is
 * another one with room, else to *to in its own.  Returns its new place.
 */
static uint64_t
keep_entry(const sm_engine *engine, sm_shard *shard, const rewrite *plan,
		   uint64_t segment, uint64_t from, uint64_t head, uint64_t *to,
		   sm_remains *left)
{
	const sm_arena *arena = &engine->arena;
	sm_log *log = &shard->log;
	int64_t expires = sm_entry_expires(arena, from, head);
	int64_t due = sm_due(expires);
	uint64_t place = *to;
	home known;

	/* it may go where a sweep has been already */
	if (due < shard->swept_earliest)
		shard->swept_earliest = due;

	if (log->queues[plan->to].first != segment &&
		sm_log_has_room(arena, log, plan->to, head))
	{
		find_home(engine, shard, from, head, &known);
		place = sm_log_append(arena, log, plan->to, head, expires);
		log->live -= sm_head_size(head); /* it was counted where it was */
		move_entry(engine, shard, from, place, sm_load(sm_at(arena, place)), &known);
		return place;
	}

	head &= ~((uint64_t) 0xf << SM_HEAD_PAGE_SHIFT);
	head |= (place - segment) / SM_PAGE_SIZE << SM_HEAD_PAGE_SHIFT;
	if (head & SM_HEAD_LARGE)
		left->larges++;
	if (due < left->earliest)
		left->earliest = due;
	if (place != from)
	{
		find_home(engine, shard, from, head, &known);
		move_entry(engine, shard, from, place, head, &known);
	}
	*to += sm_head_size(head);
	return place;
}

static void
rewrite_segment(const sm_engine *engine, sm_shard *shard, uint64_t segment,
				rewrite *plan)
{
	const sm_arena *arena = &engine->arena;
	const sm_segment *header = sm_segment_at(arena, segment);
	sm_queue queue = (sm_queue) sm_load(&header->queue);
	uint64_t end = segment + sm_load(&header->used);
	uint64_t to = segment + sizeof(sm_segment);
	sm_remains left = {.larges = 0, .earliest = SM_NEVER};
	uint64_t size;

	sm_log_begin_rewrite(arena, &shard->log, segment);
	for (uint64_t from = to; from < end; from += size)
	{
		uint64_t head = sm_load(sm_at(arena, from));
		unsigned marks = marks_before(engine, plan, from);
		uint64_t place;
		fate what;

		size = sm_head_size(head);
		if (head & SM_HEAD_DEAD)
			continue;
		what = decide(engine, plan, from, head, marks);
		if (what != STAYS)
		{
			drop_entry(engine, shard, queue, from, head, what);
			continue;
		}
		place = keep_entry(engine, shard, plan, segment, from, head, &to, &left);
		sm_mark_set(engine->marks, place, marks_left(plan, queue, marks));
	}
	left.used = to - segment;
	sm_log_end_rewrite(arena, &shard->log, segment, plan->to, &left);
}

/* Gives a segment's dead bytes back. */
static void
compact(const sm_engine *engine, sm_shard *shard, uint64_t segment)
{
	rewrite plan = {
		.to = (sm_queue) sm_load(&sm_segment_at(&engine->arena, segment)->queue)};

	rewrite_segment(engine, shard, segment, &plan);
	sm_shard_count_one(shard, SM_COMPACTIONS);
}

/* Compacts a segment that is due for it. */
void
sm_shard_compact(const sm_engine *engine, sm_shard *shard)
{
	uint64_t segment =
		sm_log_most_wasteful(&engine->arena, &shard->log, engine->compact_ratio);

	if (segment != 0)
		compact(engine, shard, segment);
}

/*
 * How many marks an entry of a main segment needs to stay, so that no more than
 * half of the live bytes do: readers that are fast enough to mark everything
 * could otherwise hold up a writer for ever.
 */
static void
plan_half(const sm_engine *engine, uint64_t segment, rewrite *plan)
{
	const sm_arena *arena = &engine->arena;
	uint64_t bytes[SM_MARK_MAX + 1] = {0};
	uint64_t end = segment + sm_load(&sm_segment_at(arena, segment)->used);
	uint64_t live = 0;
	uint64_t stay = 0;
	uint64_t head;

	for (uint64_t entry = segment + sizeof(sm_segment); entry < end;
		 entry += sm_head_size(head))
	{
		head = sm_load(sm_at(arena, entry));
		if (head & SM_HEAD_DEAD)
			continue;
		bytes[sm_mark_get(engine->marks, entry)] += sm_head_size(head);
		live += sm_head_size(head);
	}
	plan->marks = SM_MARK_MAX + 1;
	while (plan->marks > 1 && stay + bytes[plan->marks - 1] <= live / 2)
		stay += bytes[--plan->marks];
	plan->may_stay = live / 2 - stay;
}

/*
 * Evicts from the segment whose turn it is.  What was used stays in the main
 * queue, or with pressing no more than half of it.  Returns false if there is
 * no segment.
 */
static bool
evict(const sm_engine *engine, sm_shard *shard, bool pressing)
{
	const sm_arena *arena = &engine->arena;
	const sm_log *log = &shard->log;
	uint64_t pages = log->pages[SM_YOUNG] + log->pages[SM_MAIN];
	bool young =
		log->pages[SM_YOUNG] * YOUNG_PARTS > pages || log->queues[SM_MAIN].last == 0;
	uint64_t segment = log->queues[young ? SM_YOUNG : SM_MAIN].last;
	rewrite plan = {.to = SM_MAIN, .evicts = true, .marks = OFTEN, .now = INT64_MIN};

	if (segment == 0)
		return false;
	if ((int64_t) sm_load(&shard->earliest) != SM_NEVER)
		plan.now = sm_port_now();
	if (!young)
		plan.marks = 1;
	if (!young && pressing)
		plan_half(engine, segment, &plan);
	rewrite_segment(engine, shard, segment, &plan);
	sm_ghosts_fit(arena, &shard->ghosts, sm_load(&shard->entries));
	return true;
}

/*
 * May a write evict from its own shard?  If the map is the one to give way, by
 * its quota or in the whole arena; but a shard that has less than an even share
 * of the map leaves it to the others, which would otherwise take all it gives.
 */
static bool
may_evict(const sm_engine *engine, const sm_shard *shard, bool exceeds)
{
	const sm_map_state *state = sm_state_of(engine, shard);

	return sm_load(&state->evicts) &&
		(exceeds || sm_load(engine->giving_way) == sm_load(&shard->id)) &&
		sm_shard_pages(shard) * shard->map_shards >=
		sm_load(&state->pages) - sm_load(&state->pages) / EVEN_PARTS;
}

/*
 * Makes room for an entry with that header in a queue's newest segment: by
 * compaction where that is worth while, else by a new segment, else by
 * eviction.  Entries may move; slots stay in their places unless *dropped is
 * set.  Returns false if there is no memory.
 */
bool
sm_shard_make_room(const sm_engine *engine, sm_shard *shard, sm_queue queue,
				   uint64_t head, bool *dropped)
{
	const sm_arena *arena = &engine->arena;
	const sm_map_state *state = sm_state_of(engine, shard);
	int compactions = 0;
	int evictions = 0;

	*dropped = false;
	for (;;)
	{
		uint64_t wasteful =
			sm_log_most_wasteful(arena, &shard->log, engine->compact_ratio);
		bool exceeds = sm_shard_exceeds(engine, shard, 0);

		/* with room, too: an index that grows may have gone over the quota */
		if (sm_log_has_room(arena, &shard->log, queue, head) &&
			(!exceeds || !sm_load(&state->evicts)))
			return true;
		if (wasteful != 0 && compactions++ < COMPACTIONS_A_WRITE)
		{
			compact(engine, shard, wasteful);
			continue;
		}
		if (!exceeds)
			exceeds = sm_shard_exceeds(engine, shard, sm_log_least_pages(head));
		if (!exceeds &&
			sm_log_extend(arena, &shard->log, queue, head,
						  sm_load(&state->max_pages) - sm_load(&state->pages)))
			return true;
		if (evictions == EVICTIONS_A_WRITE || !may_evict(engine, shard, exceeds) ||
			!evict(engine, shard, evictions > 0))
			return false;
		evictions++;
		*dropped = true;
	}
}

/*
 * A page of zeros for a shard, charged to its map when it is counted, by eviction where a
 * write would evict for one: a map at its quota would never have any otherwise.  Slots do
 * not stay in their places.  Returns 0 if there is none.
 */
uint64_t
sm_shard_make_page(const sm_engine *engine, sm_shard *shard)
{
	for (int evictions = 0;; evictions++)
	{
		bool exceeds = sm_shard_exceeds(engine, shard, 1);
		uint64_t page = exceeds ? 0 : sm_page_alloc_zeroed(&engine->arena);

		if (page != 0 || evictions == EVICTIONS_A_WRITE ||
			!may_evict(engine, shard, exceeds) || !evict(engine, shard, evictions > 0))
			return page;
	}
}

/* Takes a segment's expired entries out, up to *most; true if none is left. */
static bool
sweep_segment(const sm_engine *engine, sm_shard *shard, uint64_t segment, int64_t now,
			  int *most)
{
	const sm_arena *arena = &engine->arena;
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t end = segment + sm_load(&header->used);
	int64_t earliest = SM_NEVER;
	uint64_t head;

	for (uint64_t entry = segment + sizeof(sm_segment); entry < end;
		 entry += sm_head_size(head))
	{
		int64_t expires;
		int64_t due;
		home known;

		head = sm_load(sm_at(arena, entry));
		if (head & SM_HEAD_DEAD)
			continue;
		expires = sm_entry_expires(arena, entry, head);
		due = sm_due(expires);
		if (due > now && !(shard->sweeping_hidden && sm_is_hidden(expires)))
		{
			if (due < earliest)
				earliest = due;
			continue;
		}
		if (*most <= 0)
			return false;
		*most -= 1 + (int) (sm_entry_extent_pages(arena, entry, head) / SM_MAX_RUN);
		find_home(engine, shard, entry, head, &known);
		unlink_entry(engine, shard, entry, head, &known);
		sm_shard_count_one(shard,
						   sm_is_hidden(expires) ? SM_FORGOTTEN : SM_EXPIRATIONS);
		/* when its last entry goes, so may the segment */
		if (sm_log_kill(arena, &shard->log, entry, engine->compact_ratio))
			return true;
	}
	sm_store(&header->earliest, (uint64_t) earliest);
	return true;
}

/* The segment that a sweep is at, or 0 when it has been at all of them. */
static uint64_t
at_hand(sm_log *log)
{
	if (log->hand == 0 && log->hand_queue == SM_MAIN)
	{
		log->hand_queue = SM_YOUNG;
		log->hand = log->queues[SM_YOUNG].last;
	}
	return log->hand;
}

static void
start_sweep(sm_shard *shard)
{
	shard->sweeping = true;
	shard->swept_earliest = SM_NEVER;
	shard->log.hand_queue = SM_MAIN;
	shard->log.hand = shard->log.queues[SM_MAIN].last;
}

/* A piece of a sweep.  Returns true when all segments have been swept. */
static bool
sweep_some(const sm_engine *engine, sm_shard *shard, int64_t now)
{
	const sm_arena *arena = &engine->arena;
	sm_log *log = &shard->log;
	int most = SWEEP_ENTRIES;
	int searches = 0;

	for (int i = 0; i < SWEEP_SEGMENTS && searches < SWEEP_SEARCHES; i++)
	{
		uint64_t segment = at_hand(log);
		sm_segment *header = sm_segment_at(arena, segment);

		if (segment == 0)
			return true;
		if ((int64_t) sm_load(&header->earliest) <= now ||
			(shard->sweeping_hidden && sm_load(&shard->hidden) > 0))
		{
			searches++;
			if (!sweep_segment(engine, shard, segment, now, &most))
				return false;
		}
		/* if it is still there */
		if (log->hand == segment)
		{
			if ((int64_t) sm_load(&header->earliest) < shard->swept_earliest)
				shard->swept_earliest = (int64_t) sm_load(&header->earliest);
			log->hand = sm_load(&header->order.prev);
		}
	}
	return false;
}

/* The pages that became free since there were so many. */
static uint64_t
pages_less(const sm_shard *shard, uint64_t before)
{
	uint64_t after = sm_shard_pages(shard);

	return after < before ? before - after : 0;
}

static bool
is_worth_a_sweep(const sm_shard *shard, int64_t now, bool hidden_too)
{
	return (int64_t) sm_load(&shard->earliest) <= now ||
		(hidden_too && sm_load(&shard->hidden) > 0);
}

/*
 * Goes on with a sweep of what has expired by now, or starts one if something has.  begun
 * is NULL unless there is a need: then also of all that is hidden, and *begun, which is
 * false before the need's first call, says that one has been started for it.  Adds to
 * *freed the pages that this gave.  Returns true if there is more to do: with the same now
 * in each call, that comes to an end.
 */
bool
sm_shard_sweep(const sm_engine *engine, uint32_t number, uint64_t id, int64_t now,
			   bool *begun, uint64_t *freed)
{
	sm_shard *shard = &engine->shards[number];
	bool more = false;
	uint64_t before;

	if (!is_worth_a_sweep(shard, now, begun != NULL))
		return false;

	sm_shard_lock(engine, number);
	before = sm_shard_pages(shard);
	if (sm_load(&shard->id) == id && is_worth_a_sweep(shard, now, begun != NULL))
	{
		if (!shard->sweeping || (begun != NULL && !shard->sweeping_hidden))
		{
			start_sweep(shard);
			if (begun != NULL)
				*begun = true;
		}
		shard->sweeping_hidden = begun != NULL;
		more = !sweep_some(engine, shard, now);
		if (!more)
		{
			/* where it had been before, something may have expired, or been hidden, since */
			shard->sweeping = false;
			shard->sweeping_hidden = false;
			sm_store(&shard->earliest, (uint64_t) shard->swept_earliest);
			more = shard->swept_earliest <= now ||
				(begun != NULL && !*begun && sm_load(&shard->hidden) > 0);
		}
	}
	*freed += pages_less(shard, before);
	sm_shard_unlock(engine, number);
	return more;
}

/* Between two pieces, with no lock held.  A caller that is not patient goes on at once. */
static bool
may_go_on(bool *cut_short)
{
	if (cut_short == NULL)
		return true;
	*cut_short = !sm_port_pause();
	return !*cut_short;
}

/* How many entries sweeps have taken out, whoever made them. */
static uint64_t
taken_out(const sm_shard *shard)
{
	return sm_load(&shard->counts[SM_EXPIRATIONS]) +
		sm_load(&shard->counts[SM_FORGOTTEN]);
}

/*
 * Takes expired entries out, for a need also what is hidden, gives back the pages of an
 * index that was replaced, and then compacts segments with more than compact_ratio percent
 * of dead bytes, each piece under the lock anew, until npages pages are free or nothing is left
 * to do.  Returns how many pages that gave, and at least 1 if it gave bytes back:
 * they are room in the newest segment.  With cut_short it is patient: it lets others go
 * first between two pieces, and ends where its host does not want it to go on, which
 * *cut_short then says.
 */
uint64_t
sm_shard_reclaim(const sm_engine *engine, uint32_t number, uint64_t id,
				 uint32_t compact_ratio, uint64_t npages, bool *cut_short)
{
	const sm_shard *peeked = &engine->shards[number];
	uint64_t taken = taken_out(peeked);
	uint64_t freed = 0;
	bool begun = false;
	bool made_room;
	bool more = true;

	/* where nothing ever expires, this costs no look at the clock */
	if ((int64_t) sm_load(&peeked->earliest) != SM_NEVER)
	{
		int64_t now = sm_port_now();

		while (more &&
			   sm_shard_sweep(engine, number, id, now,
							  cut_short == NULL ? &begun : NULL, &freed) &&
			   freed < npages)
			more = may_go_on(cut_short);
	}
	made_room = taken_out(peeked) != taken && sm_shard_was_of(peeked, id);

	while (more && freed < npages)
	{
		sm_shard *shard = sm_shard_lock(engine, number);
		uint64_t before = sm_shard_pages(shard);
		uint64_t segment = 0;

		more = sm_load(&shard->id) == id;
		if (more && shard->retired.pages > 0)
			sm_index_free(&engine->arena, &shard->retired, RECLAIM_PAGES);
		else if (more && shard->kept.lost && sm_shard_kept_pages(shard) > 0)
			sm_shard_free_kept(engine, &shard->kept, RECLAIM_PAGES);
		else if (more)
		{
			segment = sm_log_most_wasteful(&engine->arena, &shard->log, compact_ratio);
			if (segment != 0)
				compact(engine, shard, segment);
			made_room |= segment != 0;
			/* what is kept for a snapshot goes last, and only for a need */
			if (segment == 0 && cut_short == NULL && sm_shard_kept_pages(shard) > 0)
				sm_shard_lose_kept(shard);
			more = segment != 0 || (shard->kept.lost && sm_shard_kept_pages(shard) > 0);
		}
		freed += pages_less(shard, before);
		sm_shard_unlock(engine, number);
		more = more && may_go_on(cut_short);
	}
	return freed == 0 && made_room ? 1 : freed;
}

/*
 * Evicts from a segment, with pressing also what is much used; adds to *freed
 * the pages that this gave.  Returns false if there is no segment.
 */
bool
sm_shard_evict(const sm_engine *engine, uint32_t number, uint64_t id, bool pressing,
			   uint64_t *freed)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	uint64_t before = sm_shard_pages(shard);
	bool evicted = sm_load(&shard->id) == id &&
		sm_load(&sm_state_of(engine, shard)->evicts) && evict(engine, shard, pressing);

	*freed += pages_less(shard, before);
	sm_shard_unlock(engine, number);
	return evicted;
}
