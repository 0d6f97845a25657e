/*
 * log.h
 *	  A shard's log: entries appended to segments, and what of them is dead.
 *
 * An entry is a header word, the key, and the value, each padded to whole
 * words.  It never moves but by compaction, and its bytes change only under
 * the odd version of the bucket that points at it.  A large value stands in
 * extents; its entry then holds the first run instead.
 *
 * A segment is a run of pages with a sm_segment at its start.  The newest one
 * takes the appends.  The list of segments is in the order of age, which is
 * the order in which an eviction policy takes them.
 *
 * All of this is called under the shard's lock, exclusive.
 */
#ifndef SM_LOG_H
#define SM_LOG_H

#include "arena.h"

/*
 * Entries over this many bytes keep their value in extents, and so do shorter
 * ones of more than a page where no run of pages is free.
 */
#define SM_MAX_INLINE (16 * 1024)

/*
 * The header word of an entry, from its low bits on:
 *	  12 key length, 30 value length, 8 slack, 4 page, 1 large, 1 dead
 * Slack is how many words the value's place is longer than the value; page is
 * which page of its segment the entry starts on.  The top 8 bits are free.
 */
#define SM_HEAD_VALUE_SHIFT 12
#define SM_HEAD_SLACK_SHIFT 42
#define SM_HEAD_PAGE_SHIFT	50
#define SM_HEAD_LARGE		((uint64_t) 1 << 54)
#define SM_HEAD_DEAD		((uint64_t) 1 << 55)
#define SM_MAX_SLACK		255 /* words */

static inline uint64_t
sm_head(uint64_t key_len, uint64_t value_len, uint64_t slack, bool large)
{
	return key_len | value_len << SM_HEAD_VALUE_SHIFT | slack << SM_HEAD_SLACK_SHIFT |
		(large ? SM_HEAD_LARGE : 0);
}

static inline uint64_t
sm_head_key_len(uint64_t head)
{
	return head & 0xfff;
}

static inline uint64_t
sm_head_value_len(uint64_t head)
{
	return head >> SM_HEAD_VALUE_SHIFT & 0x3fffffff;
}

static inline uint64_t
sm_head_slack(uint64_t head)
{
	return head >> SM_HEAD_SLACK_SHIFT & 0xff;
}

/* The bytes that the value's place in the entry takes, slack included. */
static inline uint64_t
sm_head_place(uint64_t head)
{
	return (head & SM_HEAD_LARGE ? 8 : sm_pad(sm_head_value_len(head))) +
		sm_head_slack(head) * 8;
}

/* The bytes that the whole entry takes in its segment. */
static inline uint64_t
sm_head_size(uint64_t head)
{
	return 8 + sm_pad(sm_head_key_len(head)) + sm_head_place(head);
}

/* Where the value stands in an entry with that header. */
static inline uint64_t
sm_value_offset(uint64_t entry, uint64_t head)
{
	return entry + 8 + sm_pad(sm_head_key_len(head));
}

/* Links of a list of segments, by offset; 0 is none. */
typedef struct sm_links
{
	sm_word prev;
	sm_word next;
} sm_links;

typedef struct sm_segment
{
	sm_links order;		  /* all segments, the newest first */
	sm_links compactable; /* those with many dead bytes */
	sm_word npages;
	sm_word used;	/* bytes from the segment's start */
	sm_word dead;	/* bytes of dead entries */
	sm_word larges; /* live entries that have extents */
} sm_segment;

typedef struct sm_list
{
	uint64_t first;
	uint64_t last;
} sm_list;

/* In a shard's control block. */
typedef struct sm_log
{
	sm_list segments; /* the newest first */
	sm_list compactable;
	uint64_t pages; /* of all segments */
	uint64_t live;	/* bytes of live entries, without extents */
	uint64_t dead;	/* bytes of dead entries in segments */
} sm_log;

static inline sm_segment *
sm_segment_at(const sm_arena *arena, uint64_t segment)
{
	return (sm_segment *) (arena->base + segment);
}

/* The segment that an entry with that header stands in. */
static inline uint64_t
sm_segment_of(uint64_t entry, uint64_t head)
{
	return (entry & ~(uint64_t) (SM_PAGE_SIZE - 1)) -
		(head >> SM_HEAD_PAGE_SHIFT & 0xf) * SM_PAGE_SIZE;
}

extern bool sm_log_has_room(const sm_arena *arena, const sm_log *log, uint64_t size);
extern bool sm_log_extend(const sm_arena *arena, sm_log *log, uint64_t size);
extern uint64_t sm_log_append(const sm_arena *arena, sm_log *log, uint64_t head);
extern void sm_log_kill(const sm_arena *arena, sm_log *log, uint64_t entry,
						uint32_t compact_ratio);
extern void sm_log_begin_compaction(const sm_arena *arena, sm_log *log,
									uint64_t segment);
extern void sm_log_end_compaction(const sm_arena *arena, sm_log *log, uint64_t segment,
								  uint64_t used, uint64_t larges);
extern uint64_t sm_log_free(const sm_arena *arena, sm_log *log);

#endif /* SM_LOG_H */
