/*
 * log.h
 *	  A shard's log: entries appended to segments, and what of them is dead.
 *
 * An entry is a header word, the key, a word that says when it expires if it
 * does, and the value, each padded to whole words.  It never moves but by
 * compaction or eviction, and its bytes change only under the odd version of
 * the bucket that points at it.  A large value stands in extents; its entry
 * then holds the first run and the number of their pages instead.
 *
 * A segment is a run of pages with a sm_segment at its start.  Segments stand
 * in one of two queues, young and main, in the order of age, which is the order
 * in which eviction takes them (shard_memory.c).  The newest of a queue takes the
 * appends to it.  A map that does not evict uses main only.
 *
 * All of this is called under the shard's lock, exclusive.
 */
#ifndef SM_LOG_H
#define SM_LOG_H

#include "arena.h"
#include "port.h"

/*
 * Entries over this many bytes keep their value in extents, and so do shorter
 * ones of more than a page where no run of pages is free.
 */
#define SM_MAX_INLINE (16 * 1024)

/*
 * The header word of an entry, from its low bits on:
 *	  12 key length, 30 value length, 8 slack, 4 page, 1 large, 1 dead, 1 expires
 * Slack is how many words at its end the entry does not use; page is which page
 * of its segment the entry starts on.  The top 7 bits are free.
 */
#define SM_HEAD_VALUE_SHIFT	  12
#define SM_HEAD_SLACK_SHIFT	  42
#define SM_HEAD_PAGE_SHIFT	  50
#define SM_HEAD_LARGE		  ((uint64_t) 1 << 54)
#define SM_HEAD_DEAD		  ((uint64_t) 1 << 55)
#define SM_HEAD_EXPIRES_SHIFT 56
#define SM_HEAD_EXPIRES		  ((uint64_t) 1 << SM_HEAD_EXPIRES_SHIFT)
#define SM_MAX_SLACK		  255 /* words */

/* flags: SM_HEAD_LARGE, SM_HEAD_EXPIRES */
static inline uint64_t
sm_head(uint64_t key_len, uint64_t value_len, uint64_t slack, uint64_t flags)
{
	return key_len | value_len << SM_HEAD_VALUE_SHIFT | slack << SM_HEAD_SLACK_SHIFT |
		flags;
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

/* The bytes behind the key that are in use. */
static inline uint64_t
sm_head_needs(uint64_t head)
{
	return (head >> SM_HEAD_EXPIRES_SHIFT & 1) * 8 +
		(head & SM_HEAD_LARGE ? 16 : sm_pad(sm_head_value_len(head)));
}

/* The bytes behind the key that there are, slack included. */
static inline uint64_t
sm_head_room(uint64_t head)
{
	return sm_head_needs(head) + sm_head_slack(head) * 8;
}

/* The bytes that the whole entry takes in its segment. */
static inline uint64_t
sm_head_size(uint64_t head)
{
	return 8 + sm_pad(sm_head_key_len(head)) + sm_head_room(head);
}

/* Where an entry with that header, and SM_HEAD_EXPIRES, says when it expires. */
static inline uint64_t
sm_expires_offset(uint64_t entry, uint64_t head)
{
	return entry + 8 + sm_pad(sm_head_key_len(head));
}

/* Where the value stands in an entry with that header. */
static inline uint64_t
sm_value_offset(uint64_t entry, uint64_t head)
{
	return sm_expires_offset(entry, head) + (head >> SM_HEAD_EXPIRES_SHIFT & 1) * 8;
}

/* Links of a list of segments, by offset; 0 is none. */
typedef struct sm_links
{
	sm_word prev;
	sm_word next;
} sm_links;

typedef enum sm_queue
{
	SM_YOUNG,
	SM_MAIN,
	SM_QUEUES
} sm_queue;

typedef struct sm_segment
{
	sm_links order;	   /* its queue, the newest first */
	sm_links wasteful; /* those with dead bytes */
	sm_word queue;
	sm_word npages;
	sm_word used;	  /* bytes from the segment's start */
	sm_word dead;	  /* bytes of dead entries */
	sm_word larges;	  /* live entries that have extents */
	sm_word earliest; /* none of its entries is due before that */
} sm_segment;

/* What a rewrite left of a segment. */
typedef struct sm_remains
{
	uint64_t used;
	uint64_t larges;
	int64_t earliest;
} sm_remains;

typedef struct sm_list
{
	uint64_t first;
	uint64_t last;
} sm_list;

/* In a shard's control block. */
typedef struct sm_log
{
	sm_list queues[SM_QUEUES]; /* segments, the newest first */
	sm_list wasteful;		   /* with dead bytes; past compact_ratio at the end */
	uint64_t hand;			   /* the segment that a sweep is at */
	sm_queue hand_queue;	   /* and its queue */
	uint64_t pages[SM_QUEUES]; /* of all segments */
	uint64_t extents;		   /* pages of live entries' extents */
	uint64_t live;			   /* bytes of live entries, without extents */
	uint64_t dead;			   /* bytes of dead entries in segments */
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

/*
 * Begins to fetch an entry: three lines, which is all of one with a short key and a
 * value of a hundred bytes.  Only the first line tells how long it is, too late to wait
 * for the others at the same time.  A hint: the offset may be anything.
 */
static inline void
sm_entry_prefetch(const sm_arena *arena, uint64_t entry)
{
	const char *at = arena->base + entry;

	__builtin_prefetch(at);
	__builtin_prefetch(at + 64);
	__builtin_prefetch(at + 128);
}

/*
 * What an entry's word says of when it expires is less than 0 if the entry is hidden: the
 * key is absent, but for who asks for what is hidden, until the moment that is the word's
 * negation, in which the lowest bit tells what it is (see sm_hidden in map.h).  So
 * whoever takes what has expired for absent takes what is hidden for absent as well, and
 * only who collects what has expired has to know when what is hidden is due for that.
 */
#define SM_HIDDEN_STALE 1

static inline bool
sm_is_hidden(int64_t expires)
{
	return expires < 0;
}

static inline bool
sm_is_stale(int64_t expires)
{
	return sm_is_hidden(expires) && (-expires & SM_HIDDEN_STALE);
}

/* When it goes. */
static inline int64_t
sm_due(int64_t expires)
{
	return sm_is_hidden(expires) ? -expires & ~(int64_t) SM_HIDDEN_STALE : expires;
}

/* The word of an entry that is hidden until a moment, which is greater than 1. */
static inline int64_t
sm_hide_until(int64_t moment, bool stale)
{
	return -((moment & ~(int64_t) SM_HIDDEN_STALE) | (stale ? SM_HIDDEN_STALE : 0));
}

/* When an entry with that header expires, or SM_NEVER. */
static inline int64_t
sm_entry_expires(const sm_arena *arena, uint64_t entry, uint64_t head)
{
	return head & SM_HEAD_EXPIRES ?
		(int64_t) sm_load(sm_at(arena, sm_expires_offset(entry, head))) :
		SM_NEVER;
}

/* When an entry with that header goes, or SM_NEVER. */
static inline int64_t
sm_entry_due(const sm_arena *arena, uint64_t entry, uint64_t head)
{
	return sm_due(sm_entry_expires(arena, entry, head));
}

/* An entry's first run of extents, or 0 if it has none. */
static inline uint64_t
sm_entry_extents(const sm_arena *arena, uint64_t entry, uint64_t head)
{
	return head & SM_HEAD_LARGE ? sm_load(sm_at(arena, sm_value_offset(entry, head))) :
								  0;
}

/* How many pages they take. */
static inline uint64_t
sm_entry_extent_pages(const sm_arena *arena, uint64_t entry, uint64_t head)
{
	return head & SM_HEAD_LARGE ?
		sm_load(sm_at(arena, sm_value_offset(entry, head)) + 1) :
		0;
}

extern bool sm_log_has_room(const sm_arena *arena, const sm_log *log, sm_queue queue,
							uint64_t head);
extern uint32_t sm_log_least_pages(uint64_t head);
extern bool sm_log_extend(const sm_arena *arena, sm_log *log, sm_queue queue,
						  uint64_t head, uint64_t most);
extern uint64_t sm_log_append(const sm_arena *arena, sm_log *log, sm_queue queue,
							  uint64_t head, int64_t expires);
extern void sm_log_note_expiry(const sm_arena *arena, uint64_t segment,
							   int64_t expires);
extern bool sm_log_kill(const sm_arena *arena, sm_log *log, uint64_t entry,
						uint32_t compact_ratio);
extern uint64_t sm_log_most_wasteful(const sm_arena *arena, const sm_log *log,
									 uint32_t compact_ratio);
extern void sm_log_begin_rewrite(const sm_arena *arena, sm_log *log, uint64_t segment);
extern void sm_log_end_rewrite(const sm_arena *arena, sm_log *log, uint64_t segment,
							   sm_queue queue, const sm_remains *left);
extern void sm_log_free(const sm_arena *arena, sm_log *log);

#endif /* SM_LOG_H */
