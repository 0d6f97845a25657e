/*
 * map.h
 *	  The engine's interface: a concurrent map in shared memory.
 *
 * A map is a range of shards of one fixed table; each shard is a small store
 * of its own (shard.h).  Everything here may be called by any number of
 * processes and threads at once, each with an sm_map handle of its own.
 *
 * Reads (sm_get, sm_contains, sm_range, sm_count) take no lock, but for the
 * fallback of a reader that failed many times.  Writes take the lock of the
 * key's shard.  Nothing here throws or allocates private memory: results are
 * statuses, and bytes go to buffers that the caller owns.
 *
 * A status other than SM_FOUND and SM_ABSENT means that the map was not changed.
 * A large value is copied before its key is looked at, so SM_NO_MEMORY may come
 * where SM_MISMATCH or SM_ABSENT would have been the answer.
 */
#ifndef SM_MAP_H
#define SM_MAP_H

#include "arena.h"
#include "mark.h"
#include "port.h"

#define SM_MAX_SHARD_BITS 6 /* a map has at most 64 shards */
#define SM_MAX_SHARDS	  (1 << SM_MAX_SHARD_BITS)
#define SM_SECRET_SIZE	  192			  /* bytes of randomness that seed the hash */
#define SM_MAX_KEY		  2048			  /* bytes */
#define SM_MAX_VALUE	  ((1 << 30) - 1) /* bytes */
#define SM_MAX_UPDATE	  64 /* bytes that sm_update hands to its function */

typedef struct sm_shard sm_shard;

/* Where the shared memory is mapped in this process, and this process' settings. */
typedef struct sm_engine
{
	sm_arena arena;
	sm_shard *shards;			 /* the fixed table */
	uint32_t nshards;			 /* its length */
	const unsigned char *secret; /* SM_SECRET_SIZE bytes, the same for all */
	sm_mark *marks;				 /* sm_marks_size() of them, see mark.h */
	const sm_word *giving_way;	 /* id of the map that evicts when the arena is full */
	uint64_t hash_mask;			 /* all ones; tests keep fewer bits of the hash */
	uint32_t promote_ratio;		 /* dirty is promoted past this % of a shard's keys,
								  * in maps that have no ratio of their own */
	uint32_t compact_ratio;		 /* a segment is compacted past this % of dead bytes */
} sm_engine;

/* What a process has counted of its reads of a map and not flushed yet. */
typedef struct sm_reads
{
	uint32_t gets;
	uint32_t hits;
	uint32_t retries;
	uint32_t loads; /* the next two by the host, see sm_read_stats */
	uint32_t load_waits;
} sm_reads;

/* A process' handle of one map.  Never stored in shared memory. */
typedef struct sm_map
{
	const sm_engine *engine;
	uint64_t id; /* never reused */
	uint32_t first_shard;
	uint32_t shard_bits;		   /* it has 2^shard_bits shards */
	bool evicts;				   /* its keys may be evicted: reads leave marks */
	bool unchecked;				   /* plain stores are allowed on a watched map, too */
	sm_reads reads;				   /* not flushed yet, see sm_flush_reads */
	uint8_t misses[SM_MAX_SHARDS]; /* not flushed yet, see shard.h */
} sm_map;

typedef struct sm_bytes
{
	const void *data;
	size_t len;
} sm_bytes;

/*
 * Where a value is copied to.  len is set with SM_FOUND and SM_TOO_SMALL; expires with the
 * value of a key: when that expires, or SM_NEVER.
 */
typedef struct sm_buffer
{
	void *data;
	size_t size;
	size_t len;
	int64_t expires;
} sm_buffer;

/* An end of a range of keys, which are compared as unsigned bytes. */
typedef struct sm_bound
{
	sm_bytes key; /* data is NULL: there is no end */
	bool inclusive;
} sm_bound;

typedef enum sm_status
{
	SM_FOUND,	  /* the key was there */
	SM_ABSENT,	  /* the key was not there */
	SM_MISMATCH,  /* it was there with another value or expiry: not changed */
	SM_TOO_SMALL, /* the buffer must hold buffer.len bytes */
	SM_NO_MEMORY, /* the arena has no room for it */
	SM_REFUSED,	  /* sm_update's function declined, or the fill may be too old */
	SM_GONE,	  /* the map has been dropped */
	SM_WATCHED,	  /* a plain store, and the map is watched */
	SM_UNWATCHED  /* a fill or an invalidation, and the map is not watched */
} sm_status;

/*
 * sm_update's function.  Called under the shard's lock, so it may only
 * compute: no error, no allocation, no wait.  old is NULL when the key is
 * absent or its value is longer than SM_MAX_UPDATE (then old_len says so).
 * Writes at most SM_MAX_UPDATE bytes to new_value and returns how many, or -1
 * to decline.
 */
typedef int (*sm_update_fn)(void *arg, const void *old, size_t old_len,
							void *new_value);

/* The size in bytes of the fixed table for nshards shards, 128-byte aligned. */
extern size_t sm_table_size(uint32_t nshards);
extern void sm_table_init(sm_shard *shards, uint32_t nshards);

/* The size in bytes of the marks of an arena; they start as zeros. */
extern size_t sm_marks_size(uint64_t arena_size);

/*
 * A map's life.  The caller keeps which shards are free and sees to it that
 * ids are never reused (0 is none).  sm_map_create makes shards that belong to
 * no map a map's, with no quota, eviction, order, or promote_ratio of its own, not watched,
 * keeping nothing that is stale;
 * sm_map_destroy gives all memory back and leaves the shards to nobody: handles
 * that are still about get SM_GONE from then on, or 0 where a number is asked
 * for, and change nothing, whoever has the shards by then.
 *
 * No map has the id SM_NO_MAP: every call with such a handle, which sm_map_open_none
 * makes, gives SM_GONE, or 0.
 */
#define SM_NO_MAP UINT64_MAX

extern void sm_map_open(sm_map *map, const sm_engine *engine, uint64_t id,
						uint32_t first_shard, uint32_t shard_bits);
extern void sm_map_open_none(sm_map *map, const sm_engine *engine);
extern bool sm_map_is_there(const sm_map *map);
extern void sm_map_create(sm_map *map);
extern void sm_map_destroy(sm_map *map);

/*
 * Sets a map's quota in bytes, 0 for none, and whether its keys may be evicted.
 * When it returns, no key is evicted any more from a map that does not evict.
 * Another process' reads leave marks from when it opens or configures its handle.
 * This and the next three take the shards' locks, and return SM_FOUND or SM_GONE.
 */
extern sm_status sm_map_configure(sm_map *map, uint64_t max_memory, bool evicts);

/* Sets a map's own promote_ratio, -1 for the engine's. */
extern sm_status sm_map_set_promote_ratio(sm_map *map, int percent);

/* Sets how long a map keeps values that are invalidated, in microseconds; 0: not at all. */
extern sm_status sm_map_set_stale(sm_map *map, int64_t stale);

/*
 * Says whether a map's keys are kept in order, too.  With keys in it that takes
 * sm_order_step, for the worker or whoever needs the order: each call does a bounded
 * piece of it, under a shard's lock.  SM_ABSENT: nothing is left to do; SM_FOUND: call
 * again; SM_NO_MEMORY, SM_GONE.
 */
extern sm_status sm_map_set_ordered(sm_map *map, bool ordered);
extern sm_status sm_order_step(sm_map *map);
extern bool sm_map_is_ordered(const sm_map *map);

/* Reads: SM_FOUND, SM_ABSENT, SM_TOO_SMALL, SM_GONE */
extern sm_status sm_get(sm_map *map, sm_bytes key, sm_buffer *value);
extern sm_status sm_contains(sm_map *map, sm_bytes key);

/*
 * Has the processor fetch what sm_get is going to look at for these keys, SM_AHEAD at
 * most: what a lookup waits for is waited for by all of them at once.  No more than a
 * hint; nothing is read, counted, or changed.
 */
#define SM_AHEAD 64
extern void sm_prefetch(sm_map *map, const sm_bytes *keys, int n);

/*
 * sm_get that also says when the key expires: SM_FOUND with *expires, SM_NEVER if
 * it does not, of the same moment.  value may be NULL.
 */
extern sm_status sm_get_expiry(sm_map *map, sm_bytes key, sm_buffer *value,
							   int64_t *expires);

/*
 * What is hidden: for all other calls its key is absent, and so it is in ranges, counts, and
 * snapshots.  It goes when its time is over, or that of the value that it was; with any
 * other write to its key than an invalidation, which leaves what is stale; is evicted as a
 * value is; and sm_reclaim takes it.
 */
typedef enum sm_hidden
{
	SM_SHOWN = 0,	 /* nothing: it is a value */
	SM_NEGATIVE = 1, /* it was found out that there is no value */
	SM_STALE = 2	 /* the value before an invalidation */
} sm_hidden;

/*
 * sm_get that also finds what is hidden, if it is wanted, some of the above.  *hidden, with
 * SM_FOUND, says which of them it was; with SM_NEGATIVE the value is empty.
 */
extern sm_status sm_get_hidden(sm_map *map, sm_bytes key, int wanted, sm_buffer *value,
							   sm_hidden *hidden);

/*
 * Writes.  SM_FOUND: the key was there (and for compare_and_*, matched).
 * value/old buffers receive the value that was there before the call.  From
 * the microsecond expires of the host's clock on, which is greater than 0, the key is
 * absent for every read and write; SM_NEVER: it stays.  SM_KEEP, where a value is stored:
 * a key that is there keeps when it expires, and a new one never does.  sm_update keeps
 * it always; expires is for a new key.  sm_expire sets it and keeps the value.
 *
 * sm_replace stores only if the key is there.  sm_compare_pair_and_* match only if
 * the key has this value and expires at this moment, SM_NEVER included.
 */
#define SM_KEEP INT64_MIN

extern sm_status sm_put(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires);
extern sm_status sm_replace(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires);
extern sm_status sm_get_or_put(sm_map *map, sm_bytes key, sm_bytes value,
							   int64_t expires, sm_buffer *found);
extern sm_status sm_swap(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires,
						 sm_buffer *old);
extern sm_status sm_compare_and_swap(sm_map *map, sm_bytes key, sm_bytes old,
									 sm_bytes value, int64_t expires);
extern sm_status sm_compare_pair_and_swap(sm_map *map, sm_bytes key, sm_bytes old,
										  int64_t old_expires, sm_bytes value,
										  int64_t expires);
extern sm_status sm_delete(sm_map *map, sm_bytes key);
extern sm_status sm_get_and_delete(sm_map *map, sm_bytes key, sm_buffer *old);
extern sm_status sm_compare_and_delete(sm_map *map, sm_bytes key, sm_bytes old);
extern sm_status sm_compare_pair_and_delete(sm_map *map, sm_bytes key, sm_bytes old,
											int64_t old_expires);
extern sm_status sm_update(sm_map *map, sm_bytes key, sm_update_fn fn, void *arg,
						   int64_t expires);
extern sm_status sm_expire(sm_map *map, sm_bytes key, int64_t expires);

/*
 * A map that is watched holds what its host computes from data of its own, and the host
 * says here when that changes.  What may stand in the way of storing a value for a key is
 * told in numbers of the host's transactions, 64 bits, which only grow, 0 being none.
 *
 * The host's transaction invalidates the keys that it makes old, with its number, before
 * it becomes visible.  A fill is stored if what it was computed from covers its key: if it
 * was taken when every transaction up to the horizons had ended, and none of the fences
 * was in progress.  So nothing that could be older than an invalidation is stored (C3),
 * and nothing has to be done to a map when a transaction ends, however it does.
 *
 * Several keys share what stands in their way, so some fills are refused without need.  A
 * fence that finds no place in its stripe is pushed out, or pushes another one out, and
 * raises a horizon instead, unless there are some that are known to have ended.
 */
#define SM_FENCES 3

typedef struct sm_stripe
{
	uint64_t horizon;		   /* no less than what was pushed out */
	uint64_t fence[SM_FENCES]; /* 0: none */
} sm_stripe;

typedef struct sm_fences
{
	uint64_t horizon;	 /* of the map */
	sm_stripe stripe[2]; /* of the key, and of all keys */
} sm_fences;

/*
 * Does what a value was computed from cover a key with these fences?  Called under the
 * shard's lock, so it may only compute: no error, no allocation, no wait.
 */
typedef bool (*sm_covers_fn)(void *arg, const sm_fences *fences);

/*
 * The host's answer to: which of those that have fenced anything have ended?  All with
 * numbers below that.  Called under a shard's lock, as above; whoever has fenced one of
 * its keys has told the host of it before.
 */
typedef uint64_t (*sm_ended_fn)(void);

/*
 * From sm_map_watch on, every store that is not a fill, except with a handle that is
 * unchecked, is SM_WATCHED, and changes nothing; a get_or_put that finds its key stores
 * nothing and may be SM_FOUND.  Deletions, sm_expire, and sm_clear go on.  The horizon,
 * which is not 0, becomes that of all keys that do not have a greater one.
 *
 * sm_map_unwatch forgets horizon and fences; nothing but that and sm_map_destroy does.
 * Both return SM_FOUND or SM_GONE, and need no memory.
 */
extern sm_status sm_map_watch(sm_map *map, uint64_t horizon);
extern sm_status sm_map_unwatch(sm_map *map);

/*
 * Stores a value as sm_put does if covers, asked at the moment of storing, says so.
 * SM_FOUND and SM_ABSENT as sm_put; SM_REFUSED; SM_UNWATCHED; SM_NO_MEMORY; SM_GONE.
 */
extern sm_status sm_fill(sm_map *map, sm_bytes key, sm_bytes value, int64_t expires,
						 sm_covers_fn covers, void *arg);

/*
 * The same of what says that there is no value, until a moment; where there is one it stays,
 * and that is SM_FOUND.  With covers NULL as sm_put, of a map that is not watched.
 */
extern sm_status sm_fill_nothing(sm_map *map, sm_bytes key, int64_t until,
								 sm_covers_fn covers, void *arg);

/*
 * Fences a key with the number of a transaction, and takes its pair out, at one moment, or
 * hides it in a map that keeps such: SM_FOUND or SM_ABSENT, whether there was one;
 * SM_UNWATCHED: nothing was done; SM_GONE.  Never fails for memory: where there is none, even
 * by eviction, it fences more keys.  ended may be NULL: nothing is known.
 */
extern sm_status sm_invalidate(sm_map *map, sm_bytes key, uint64_t fence,
							   sm_ended_fn ended);

/*
 * Fences and removes all keys, a shard at one moment, but not all at the same.  SM_FOUND,
 * SM_UNWATCHED, or SM_GONE.
 */
extern sm_status sm_invalidate_all(sm_map *map, uint64_t fence, sm_ended_fn ended);

/* What covers says of a key now: SM_FOUND or SM_REFUSED; SM_UNWATCHED; SM_GONE. */
extern sm_status sm_covered(sm_map *map, sm_bytes key, sm_covers_fn covers, void *arg);

/*
 * Making room, one shard's lock at a time, until npages pages more of the arena
 * are free or there is nothing left to give: sm_reclaim gives back expired
 * entries and dead bytes, sm_evict takes live keys of a map that evicts.  Both
 * return the number of pages that became free, and at least 1 if room became
 * free inside the map's own segments: 0 means that trying again is of no use.
 */
extern uint64_t sm_reclaim(sm_map *map, uint64_t npages);
extern uint64_t sm_evict(sm_map *map, uint64_t npages);

/*
 * What a maintenance worker does at each of its visits to a shard of a map,
 * numbered from 0, in bounded pieces: promotes, goes on growing or shrinking,
 * puts keys in order, takes out what has expired, compacts, and gives back what is
 * empty.  Returns true if the host cut it short (sm_port_pause) and more is to be
 * done: each call does a piece at least.
 */
extern bool sm_maintain(sm_map *map, uint32_t shard);

/* Removes all keys, each at one moment, but not all at the same.  SM_FOUND or SM_GONE. */
extern sm_status sm_clear(sm_map *map);

/*
 * How many keys there are, exactly if nobody writes meanwhile; 0 if the map is
 * gone.  Looks at all entries of a shard where something has expired that has
 * not been taken out yet.
 */
extern uint64_t sm_count(sm_map *map);

/* The same with keys that have expired and were not taken out; never walks. */
extern uint64_t sm_map_entries(const sm_map *map);

/*
 * Range: all pairs in the order of their hashes.  A cursor is a position in
 * that order and survives growth; zeroed, it is the start.  Each call copies
 * the pairs of at least one bucket into the buffer as a sequence of sm_pair,
 * each followed by its key and its value, each padded to 8 bytes.
 * SM_FOUND: value.len bytes of pairs (0 is possible), call again.  SM_ABSENT:
 * nothing is left.  SM_TOO_SMALL: the buffer must hold len bytes for the next
 * bucket; the cursor has not moved.
 * Every key present from the first call to the last is returned exactly once;
 * no key is returned twice.
 */
typedef struct sm_cursor
{
	uint32_t shard;
	uint32_t prefix; /* hash bits below the shard's, see index.h */
} sm_cursor;

typedef struct sm_pair
{
	uint32_t key_len;
	uint32_t value_len;
	int64_t expires; /* SM_NEVER: it does not */
} sm_pair;

extern sm_status sm_range(sm_map *map, sm_cursor *cursor, sm_buffer *pairs);

/*
 * A snapshot: all pairs as they were at one moment.  From sm_snapshot_open on each
 * writer keeps what it changes, once a key, charged to the map; nobody waits.  Its
 * owner goes through the map with sm_snapshot_range, which is sm_range as of then, and
 * when that has left a shard (cursor.shard is greater), takes what was changed there
 * meanwhile with sm_snapshot_changes: that is what holds of those keys.
 *
 * A map has one owner at most, from sm_snapshot_open until sm_snapshot_close has been
 * through all shards; every step of the others fails, and changes nothing.
 *
 * sm_snapshot_open: SM_FOUND; SM_REFUSED, another one of this map is open, which takes
 * as long as its owner needs to read it; SM_GONE.  It holds all locks of the map's
 * shards for a moment.
 *
 * sm_snapshot_changes ends the keeping in that shard, and copies what was kept from a
 * zeroed cursor on, pairs as in sm_range; value_len is SM_NO_VALUE for a key that was
 * not there.  SM_FOUND: call again.  SM_ABSENT: nothing is left.  SM_TOO_SMALL: the
 * next one takes len bytes.  SM_NO_MEMORY: there was none to keep it, or somebody
 * needed it, or the map was cleared, or the snapshot is not the map's any more: it is
 * lost.  SM_GONE.
 *
 * sm_snapshot_close gives everything back; to be called whatever happened.  It does
 * nothing to a snapshot that is not its caller's: one that was refused, or closed.
 */
typedef struct sm_snapshot
{
	uint64_t owner; /* a ticket that the map gives once; 0: it was not opened */
	int64_t now;	/* the moment, by the host's clock */
	sm_cursor cursor;
} sm_snapshot;

typedef struct sm_changes
{
	uint64_t run; /* where the next one stands, and in there */
	uint64_t at;
	bool started;
} sm_changes;

extern sm_status sm_snapshot_open(sm_map *map, sm_snapshot *snapshot);
extern sm_status sm_snapshot_range(sm_map *map, sm_snapshot *snapshot,
								   sm_buffer *pairs);
extern sm_status sm_snapshot_changes(sm_map *map, const sm_snapshot *snapshot,
									 uint32_t shard, sm_changes *changes,
									 sm_buffer *pairs);
extern void sm_snapshot_close(sm_map *map, const sm_snapshot *snapshot);

/*
 * Range in the order of keys, of one shard of a map that is ordered: copies the next
 * pairs from one bound on, not past the other, at most so many, as far as the buffer
 * goes.  Descending, from is the upper one.  Each call's pairs are of one moment; the
 * next goes on behind the last key.  Pairs are as in sm_range, but a value that is too
 * large for the buffer, or for being copied under a lock, is left out: value_len is
 * SM_NO_VALUE, and sm_get has it.
 * SM_FOUND: value.len bytes of pairs.  SM_ABSENT: the same, and they are the last.
 * SM_TOO_SMALL: the next key takes len bytes.  SM_REFUSED: the map is not ordered, or
 * not yet (see sm_order_step).  SM_GONE.
 */
#define SM_NO_VALUE UINT32_MAX

typedef struct sm_span
{
	sm_bound from;
	sm_bound to;
	bool descending;
} sm_span;

extern sm_status sm_range_ordered(sm_map *map, uint32_t shard, const sm_span *span,
								  uint32_t most, sm_buffer *pairs);

/* The bytes that a pair takes in a buffer. */
static inline size_t
sm_pair_size(const sm_pair *pair)
{
	return sizeof(*pair) + sm_pad(pair->key_len) +
		(pair->value_len == SM_NO_VALUE ? 0 : sm_pad(pair->value_len));
}

/*
 * Reads the pair at a position of a buffer, where its key and its value stay; value->len
 * is SM_NO_VALUE if it has none there.  Returns the position of the next one.
 */
static inline size_t
sm_pair_read(const sm_buffer *pairs, size_t position, sm_bytes *key, sm_bytes *value,
			 int64_t *expires)
{
	const char *at = (const char *) pairs->data + position;
	const sm_pair *pair = (const sm_pair *) at;

	*key = (sm_bytes) {at + sizeof(*pair), pair->key_len};
	*value = (sm_bytes) {at + sizeof(*pair) + sm_pad(pair->key_len), pair->value_len};
	*expires = pair->expires;
	return position + sm_pair_size(pair);
}

/*
 * Statistics.  What writers do is counted where they hold the lock; reads are
 * counted in the handle, and added to the map's sums by sm_flush_reads.
 */
typedef enum sm_counter
{
	SM_PUTS,	/* values stored, by whichever call */
	SM_DELETES, /* by an invalidation of the key, too */
	SM_EVICTIONS,
	SM_EXPIRATIONS, /* entries taken out because they had expired */
	SM_PROMOTIONS,	/* and completed growths */
	SM_COMPACTIONS,
	SM_INVALIDATIONS, /* of a key, there or not; of all keys, once */
	SM_FILLS_REFUSED, /* because they could be older than an invalidation */
	SM_FORGOTTEN,	  /* hidden entries that went, but for another store */
	SM_COUNTERS
} sm_counter;

typedef struct sm_shard_stats
{
	uint64_t counts[SM_COUNTERS];
	uint64_t entries; /* with those that have expired and are still there */
	uint64_t hidden;  /* of these */
	uint64_t dirty;	  /* keys in the dirty index */
	uint64_t live;	  /* bytes of live entries, without extents */
	uint64_t dead;	  /* bytes of dead ones */
	/* pages of */
	uint64_t index;	  /* indexes, keys' order, ghosts, fences; what a snapshot keeps */
	uint64_t young;	  /* the young queue's segments */
	uint64_t main;	  /* the main queue's */
	uint64_t extents; /* large values */
} sm_shard_stats;

typedef struct sm_read_stats
{
	uint64_t gets;
	uint64_t hits;
	uint64_t retries;	 /* lookups that had to start again, each time */
	uint64_t loads;		 /* values that were computed for a lookup */
	uint64_t load_waits; /* lookups that waited for another one's load */
} sm_read_stats;

/* Takes a shard's lock, shared.  False, and all is 0, if the map is gone. */
extern bool sm_get_shard_stats(const sm_map *map, uint32_t shard,
							   sm_shard_stats *stats);
extern void sm_get_read_stats(const sm_map *map, sm_read_stats *stats);
extern void sm_flush_reads(sm_map *map);

/* Sets all counts to 0, of the map and its shards.  Takes the shards' locks. */
extern void sm_reset_stats(sm_map *map);

/* The pages that a map holds now, and its quota; UINT64_MAX: none, or it is gone. */
extern uint64_t sm_map_pages(const sm_map *map);
extern uint64_t sm_map_quota(const sm_map *map);

#endif /* SM_MAP_H */
