/*
 * log.c
 *	  A shard's log: entries appended to segments, and what of them is dead.
 */
#include "log.h"

#include <assert.h>

#include "extent.h"

/* A segment takes no more of the log than one part in so many, nor entries. */
#define LOG_PARTS		64
#define SEGMENT_ENTRIES 1024

/* Nor more entries that have extents. */
#define SEGMENT_LARGES 8

/* Which of a segment's links a list goes by. */
typedef size_t list_kind;

#define BY_ORDER	offsetof(sm_segment, order)
#define BY_WASTEFUL offsetof(sm_segment, wasteful)

static sm_links *
links_at(const sm_arena *arena, uint64_t segment, list_kind kind)
{
	return (sm_links *) (arena->base + segment + kind);
}

/* Puts a segment between two that are neighbours, or an end where one is 0. */
static void
list_insert(const sm_arena *arena, sm_list *list, uint64_t prev, uint64_t segment,
			uint64_t next, list_kind kind)
{
	sm_links *links = links_at(arena, segment, kind);

	sm_store(&links->prev, prev);
	sm_store(&links->next, next);
	if (prev != 0)
		sm_store(&links_at(arena, prev, kind)->next, segment);
	else
		list->first = segment;
	if (next != 0)
		sm_store(&links_at(arena, next, kind)->prev, segment);
	else
		list->last = segment;
}

static void
list_remove(const sm_arena *arena, sm_list *list, uint64_t segment, list_kind kind)
{
	sm_links *links = links_at(arena, segment, kind);
	uint64_t prev = sm_load(&links->prev);
	uint64_t next = sm_load(&links->next);

	if (prev != 0)
		sm_store(&links_at(arena, prev, kind)->next, next);
	else
		list->first = next;
	if (next != 0)
		sm_store(&links_at(arena, next, kind)->prev, prev);
	else
		list->last = prev;
	sm_store(&links->prev, 0);
	sm_store(&links->next, 0);
}

static bool
is_wasteful(const sm_arena *arena, const sm_log *log, uint64_t segment)
{
	return log->wasteful.first == segment ||
		sm_load(&links_at(arena, segment, BY_WASTEFUL)->prev) != 0;
}

static uint64_t
segment_size(const sm_arena *arena, uint64_t segment)
{
	return sm_load(&sm_segment_at(arena, segment)->npages) * SM_PAGE_SIZE;
}

static bool
is_newest(const sm_arena *arena, const sm_log *log, uint64_t segment)
{
	return log->queues[sm_load(&sm_segment_at(arena, segment)->queue)].first == segment;
}

/* Makes a segment that is in no queue the newest of one. */
static void
enqueue(const sm_arena *arena, sm_log *log, sm_queue queue, uint64_t segment)
{
	sm_segment *header = sm_segment_at(arena, segment);

	sm_store(&header->queue, queue);
	list_insert(arena, &log->queues[queue], 0, segment, log->queues[queue].first,
				BY_ORDER);
	log->pages[queue] += sm_load(&header->npages);
}

/* Takes a segment out of its queue.  A sweep goes on behind it. */
static void
dequeue(const sm_arena *arena, sm_log *log, uint64_t segment)
{
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t queue = sm_load(&header->queue);

	if (log->hand == segment)
		log->hand = sm_load(&header->order.prev);
	list_remove(arena, &log->queues[queue], segment, BY_ORDER);
	log->pages[queue] -= sm_load(&header->npages);
}

static void
free_segment(const sm_arena *arena, sm_log *log, uint64_t segment)
{
	dequeue(arena, log, segment);
	sm_pages_free(segment, (uint32_t) sm_load(&sm_segment_at(arena, segment)->npages));
}

/* Makes a segment an empty one. */
static void
reset_segment(const sm_arena *arena, uint64_t segment)
{
	sm_segment *header = sm_segment_at(arena, segment);

	sm_store(&header->used, sizeof(sm_segment));
	sm_store(&header->dead, 0);
	sm_store(&header->larges, 0);
	sm_store(&header->earliest, (uint64_t) SM_NEVER);
}

/*
 * Does the newest segment of a queue take an entry with that header?  Not if it
 * has some that have extents: a segment is evicted from as a whole, and those
 * would be too much of the map, and too long under the lock (W5).
 */
bool
sm_log_has_room(const sm_arena *arena, const sm_log *log, sm_queue queue, uint64_t head)
{
	uint64_t newest = log->queues[queue].first;
	const sm_segment *header = sm_segment_at(arena, newest);

	return newest != 0 &&
		sm_load(&header->used) + sm_head_size(head) <= segment_size(arena, newest) &&
		(!(head & SM_HEAD_LARGE) || sm_load(&header->larges) < SEGMENT_LARGES);
}

/* The pages of the smallest segment that takes an entry with that header. */
uint32_t
sm_log_least_pages(uint64_t head)
{
	return (uint32_t) ((sizeof(sm_segment) + sm_head_size(head) + SM_PAGE_SIZE - 1) /
					   SM_PAGE_SIZE);
}

/*
 * Starts a new segment in a queue that takes at least an entry with that header,
 * of up to most pages if that is enough.  Segments grow with the log, so that a
 * small map takes little and a large one keeps few; but not past so many entries
 * of that size that rewriting one would hold the lock for long (W5).  Returns
 * false if there is no memory.
 */
bool
sm_log_extend(const sm_arena *arena, sm_log *log, sm_queue queue, uint64_t head,
			  uint64_t most)
{
	uint32_t least = sm_log_least_pages(head);
	uint64_t want = (log->pages[SM_YOUNG] + log->pages[SM_MAIN]) / LOG_PARTS;
	uint64_t newest = log->queues[queue].first;
	uint32_t npages;
	uint64_t segment;
	sm_segment *header;

	if (want > sm_head_size(head) * SEGMENT_ENTRIES / SM_PAGE_SIZE)
		want = sm_head_size(head) * SEGMENT_ENTRIES / SM_PAGE_SIZE;
	if (want > SM_MAX_RUN)
		want = SM_MAX_RUN;
	if (want > most)
		want = most;
	if (want < least || (head & SM_HEAD_LARGE))
		want = least;
	segment = sm_pages_alloc_upto((uint32_t) want, least, &npages);
	if (segment == 0)
		return false;

	/* an empty one was kept for its room, which is too small */
	if (newest != 0 &&
		sm_load(&sm_segment_at(arena, newest)->used) == sizeof(sm_segment))
		free_segment(arena, log, newest);

	header = sm_segment_at(arena, segment);
	sm_store(&header->wasteful.prev, 0);
	sm_store(&header->wasteful.next, 0);
	sm_store(&header->npages, npages);
	reset_segment(arena, segment);
	enqueue(arena, log, queue, segment);
	return true;
}

/* A segment has an entry now with that word. */
void
sm_log_note_expiry(const sm_arena *arena, uint64_t segment, int64_t expires)
{
	sm_segment *header = sm_segment_at(arena, segment);

	if (sm_due(expires) < (int64_t) sm_load(&header->earliest))
		sm_store(&header->earliest, (uint64_t) sm_due(expires));
}

/*
 * Takes the place of an entry with that header from the newest segment of a
 * queue, which must have room for it, and writes the header and, with
 * SM_HEAD_EXPIRES, when it expires.  Returns the entry's offset; nobody knows
 * it until a slot points at it.
 */
uint64_t
sm_log_append(const sm_arena *arena, sm_log *log, sm_queue queue, uint64_t head,
			  int64_t expires)
{
	uint64_t segment = log->queues[queue].first;
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t used = sm_load(&header->used);
	uint64_t size = sm_head_size(head);

	assert(sm_log_has_room(arena, log, queue, head));
	head &= ~((uint64_t) 0xf << SM_HEAD_PAGE_SHIFT);
	head |= used / SM_PAGE_SIZE << SM_HEAD_PAGE_SHIFT;
	sm_store(sm_at(arena, segment + used), head);
	if (head & SM_HEAD_EXPIRES)
	{
		sm_store(sm_at(arena, sm_expires_offset(segment + used, head)),
				 (uint64_t) expires);
		sm_log_note_expiry(arena, segment, expires);
	}
	sm_store(&header->used, used + size);
	if (head & SM_HEAD_LARGE)
		sm_store(&header->larges, sm_load(&header->larges) + 1);
	log->live += size;
	return segment + used;
}

/*
 * Marks an entry as dead whose slot is gone: only its bytes are left, for
 * compaction.  When nothing is alive in its segment any more, that goes back
 * at once, or is empty again if it is the newest.  Returns whether that is so.
 * An entry's extents are its caller's to free.
 */
bool
sm_log_kill(const sm_arena *arena, sm_log *log, uint64_t entry, uint32_t compact_ratio)
{
	uint64_t head = sm_load(sm_at(arena, entry));
	uint64_t size = sm_head_size(head);
	uint64_t segment = sm_segment_of(entry, head);
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t dead = sm_load(&header->dead) + size;
	uint64_t ratio = segment_size(arena, segment) * compact_ratio;
	bool listed = is_wasteful(arena, log, segment);

	assert(!(head & SM_HEAD_DEAD));
	sm_store(sm_at(arena, entry), head | SM_HEAD_DEAD);
	sm_store(&header->dead, dead);
	if (head & SM_HEAD_LARGE)
		sm_store(&header->larges, sm_load(&header->larges) - 1);
	log->live -= size;
	log->dead += size;

	if (dead == sm_load(&header->used) - sizeof(sm_segment))
	{
		sm_log_begin_rewrite(arena, log, segment);
		if (is_newest(arena, log, segment))
			reset_segment(arena, segment);
		else
			free_segment(arena, log, segment);
		return true;
	}

	if (listed && dead * 100 > ratio && (dead - size) * 100 <= ratio)
	{
		list_remove(arena, &log->wasteful, segment, BY_WASTEFUL);
		listed = false;
	}
	if (!listed && dead * 100 > ratio)
		list_insert(arena, &log->wasteful, log->wasteful.last, segment, 0, BY_WASTEFUL);
	else if (!listed)
		list_insert(arena, &log->wasteful, 0, segment, log->wasteful.first,
					BY_WASTEFUL);
	return false;
}

/* A segment with more than compact_ratio percent of dead bytes, or 0. */
uint64_t
sm_log_most_wasteful(const sm_arena *arena, const sm_log *log, uint32_t compact_ratio)
{
	uint64_t segment = log->wasteful.last;

	if (segment == 0 ||
		sm_load(&sm_segment_at(arena, segment)->dead) * 100 <=
			segment_size(arena, segment) * compact_ratio)
		return 0;
	return segment;
}

/*
 * The caller is about to move a segment's live entries to its front or
 * elsewhere, or to drop them.  Its dead bytes count as gone from here on.
 */
void
sm_log_begin_rewrite(const sm_arena *arena, sm_log *log, uint64_t segment)
{
	if (is_wasteful(arena, log, segment))
		list_remove(arena, &log->wasteful, segment, BY_WASTEFUL);
	log->dead -= sm_load(&sm_segment_at(arena, segment)->dead);
}

/*
 * A rewrite is done.  An empty segment is freed; any other becomes the newest
 * of the queue, with room at its end.
 */
void
sm_log_end_rewrite(const sm_arena *arena, sm_log *log, uint64_t segment, sm_queue queue,
				   const sm_remains *left)
{
	sm_segment *header = sm_segment_at(arena, segment);

	if (left->used == sizeof(sm_segment))
	{
		free_segment(arena, log, segment);
		return;
	}
	dequeue(arena, log, segment);
	sm_store(&header->used, left->used);
	sm_store(&header->dead, 0);
	sm_store(&header->larges, left->larges);
	sm_store(&header->earliest, (uint64_t) left->earliest);
	enqueue(arena, log, queue, segment);
}

/* Gives back the extents of a segment's live entries. */
static void
free_extents(const sm_arena *arena, uint64_t segment)
{
	uint64_t larges = sm_load(&sm_segment_at(arena, segment)->larges);
	uint64_t entry = segment + sizeof(sm_segment);

	while (larges > 0)
	{
		uint64_t head = sm_load(sm_at(arena, entry));

		if ((head & SM_HEAD_LARGE) && !(head & SM_HEAD_DEAD))
		{
			sm_extents_free(arena, sm_entry_extents(arena, entry, head));
			larges--;
		}
		entry += sm_head_size(head);
	}
}

/*
 * Gives every segment and every extent back, and leaves an empty log.  No
 * index may point into it any more.
 */
void
sm_log_free(const sm_arena *arena, sm_log *log)
{
	for (int queue = 0; queue < SM_QUEUES; queue++)
	{
		uint64_t segment = log->queues[queue].first;

		while (segment != 0)
		{
			sm_segment *header = sm_segment_at(arena, segment);
			uint64_t next = sm_load(&header->order.next);

			free_extents(arena, segment);
			sm_pages_free(segment, (uint32_t) sm_load(&header->npages));
			segment = next;
		}
	}
	*log = (sm_log) {0};
}
