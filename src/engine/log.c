/*
 * log.c
 *	  A shard's log: entries appended to segments, and what of them is dead.
 */
#include "log.h"

#include <assert.h>

#include "extent.h"

/* Which of a segment's links a list goes by. */
typedef size_t list_kind;

#define BY_ORDER	   offsetof(sm_segment, order)
#define BY_COMPACTABLE offsetof(sm_segment, compactable)

static sm_links *
links_at(const sm_arena *arena, uint64_t segment, list_kind kind)
{
	return (sm_links *) (arena->base + segment + kind);
}

static void
list_push_first(const sm_arena *arena, sm_list *list, uint64_t segment, list_kind kind)
{
	sm_links *links = links_at(arena, segment, kind);

	sm_store(&links->prev, 0);
	sm_store(&links->next, list->first);
	if (list->first != 0)
		sm_store(&links_at(arena, list->first, kind)->prev, segment);
	else
		list->last = segment;
	list->first = segment;
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
is_compactable(const sm_arena *arena, const sm_log *log, uint64_t segment)
{
	return log->compactable.first == segment ||
		sm_load(&links_at(arena, segment, BY_COMPACTABLE)->prev) != 0;
}

static uint64_t
segment_size(const sm_arena *arena, uint64_t segment)
{
	return sm_load(&sm_segment_at(arena, segment)->npages) * SM_PAGE_SIZE;
}

/* Does the newest segment take size bytes more? */
bool
sm_log_has_room(const sm_arena *arena, const sm_log *log, uint64_t size)
{
	uint64_t newest = log->segments.first;

	return newest != 0 &&
		sm_load(&sm_segment_at(arena, newest)->used) + size <=
		segment_size(arena, newest);
}

/*
 * Starts a new segment that takes at least size bytes.  Segments grow with
 * the log, so that a small map takes little and a large one keeps few.
 * Returns false if there is no memory.
 */
bool
sm_log_extend(const sm_arena *arena, sm_log *log, uint64_t size)
{
	uint32_t least =
		(uint32_t) ((sizeof(sm_segment) + size + SM_PAGE_SIZE - 1) / SM_PAGE_SIZE);
	uint64_t want = log->pages / 16;
	uint32_t npages;
	uint64_t segment;
	sm_segment *header;

	if (want > SM_MAX_RUN)
		want = SM_MAX_RUN;
	if (want < least)
		want = least;
	segment = sm_pages_alloc_upto((uint32_t) want, least, &npages);
	if (segment == 0)
		return false;

	header = sm_segment_at(arena, segment);
	sm_store(&header->compactable.prev, 0);
	sm_store(&header->compactable.next, 0);
	sm_store(&header->npages, npages);
	sm_store(&header->used, sizeof(sm_segment));
	sm_store(&header->dead, 0);
	sm_store(&header->larges, 0);
	list_push_first(arena, &log->segments, segment, BY_ORDER);
	log->pages += npages;
	return true;
}

/*
 * Takes the place of an entry with that header from the newest segment, which
 * must have room for it, and writes the header.  Returns the entry's offset;
 * nobody knows it until a slot points at it.
 */
uint64_t
sm_log_append(const sm_arena *arena, sm_log *log, uint64_t head)
{
	uint64_t segment = log->segments.first;
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t used = sm_load(&header->used);
	uint64_t size = sm_head_size(head);

	assert(sm_log_has_room(arena, log, size));
	head &= ~((uint64_t) 0xf << SM_HEAD_PAGE_SHIFT);
	head |= used / SM_PAGE_SIZE << SM_HEAD_PAGE_SHIFT;
	sm_store(sm_at(arena, segment + used), head);
	sm_store(&header->used, used + size);
	if (head & SM_HEAD_LARGE)
		sm_store(&header->larges, sm_load(&header->larges) + 1);
	log->live += size;
	return segment + used;
}

static void
free_segment(const sm_arena *arena, sm_log *log, uint64_t segment)
{
	uint32_t npages = (uint32_t) sm_load(&sm_segment_at(arena, segment)->npages);

	list_remove(arena, &log->segments, segment, BY_ORDER);
	log->pages -= npages;
	sm_pages_free(segment, npages);
}

/*
 * Marks an entry as dead whose slot is gone: only its bytes are left, for
 * compaction.  A segment with nothing alive in it goes back at once, and one
 * with more than compact_ratio percent of dead bytes becomes compactable.
 * An entry's extents are its caller's to free.
 */
void
sm_log_kill(const sm_arena *arena, sm_log *log, uint64_t entry, uint32_t compact_ratio)
{
	uint64_t head = sm_load(sm_at(arena, entry));
	uint64_t size = sm_head_size(head);
	uint64_t segment = sm_segment_of(entry, head);
	sm_segment *header = sm_segment_at(arena, segment);
	uint64_t dead = sm_load(&header->dead) + size;

	assert(!(head & SM_HEAD_DEAD));
	sm_store(sm_at(arena, entry), head | SM_HEAD_DEAD);
	sm_store(&header->dead, dead);
	if (head & SM_HEAD_LARGE)
		sm_store(&header->larges, sm_load(&header->larges) - 1);
	log->live -= size;
	log->dead += size;

	if (dead == sm_load(&header->used) - sizeof(sm_segment))
	{
		sm_log_begin_compaction(arena, log, segment);
		sm_log_end_compaction(arena, log, segment, sizeof(sm_segment), 0);
	}
	else if (dead * 100 > segment_size(arena, segment) * compact_ratio &&
			 !is_compactable(arena, log, segment))
		list_push_first(arena, &log->compactable, segment, BY_COMPACTABLE);
}

/*
 * The caller is about to move a segment's live entries to its front or
 * elsewhere.  Its dead bytes count as gone from here on.
 */
void
sm_log_begin_compaction(const sm_arena *arena, sm_log *log, uint64_t segment)
{
	if (is_compactable(arena, log, segment))
		list_remove(arena, &log->compactable, segment, BY_COMPACTABLE);
	log->dead -= sm_load(&sm_segment_at(arena, segment)->dead);
}

/*
 * The segment's live entries now end at used, and larges of them have extents.
 * An empty segment is freed, unless it is the only one or the newest: that
 * one, like every compacted segment, becomes the newest, with room at its end.
 */
void
sm_log_end_compaction(const sm_arena *arena, sm_log *log, uint64_t segment,
					  uint64_t used, uint64_t larges)
{
	sm_segment *header = sm_segment_at(arena, segment);

	if (used == sizeof(sm_segment) && log->segments.first != segment)
	{
		free_segment(arena, log, segment);
		return;
	}
	sm_store(&header->used, used);
	sm_store(&header->dead, 0);
	sm_store(&header->larges, larges);
	if (log->segments.first != segment)
	{
		list_remove(arena, &log->segments, segment, BY_ORDER);
		list_push_first(arena, &log->segments, segment, BY_ORDER);
	}
}

/*
 * Gives every segment and every extent back, and leaves an empty log.  No
 * index may point into it any more.  Returns how many pages it held, without
 * extents.
 */
uint64_t
sm_log_free(const sm_arena *arena, sm_log *log)
{
	uint64_t pages = log->pages;
	uint64_t segment = log->segments.first;

	while (segment != 0)
	{
		sm_segment *header = sm_segment_at(arena, segment);
		uint64_t next = sm_load(&header->order.next);
		uint64_t larges = sm_load(&header->larges);
		uint64_t entry = segment + sizeof(sm_segment);

		while (larges > 0)
		{
			uint64_t head = sm_load(sm_at(arena, entry));

			if ((head & SM_HEAD_LARGE) && !(head & SM_HEAD_DEAD))
			{
				sm_extents_free(arena,
								sm_load(sm_at(arena, sm_value_offset(entry, head))));
				larges--;
			}
			entry += sm_head_size(head);
		}
		sm_pages_free(segment, (uint32_t) sm_load(&header->npages));
		segment = next;
	}
	*log = (sm_log) {0};
	return pages;
}
