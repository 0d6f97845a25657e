/*
 * shard.h
 *	  A shard: a whole little store, two indexes and a log under one lock.
 *
 * The read index holds the keys promoted so far, the dirty index new ones.
 * While the read index grows, dirty is the index that will replace it, and
 * the read index is moved into it bucket by bucket.  A key stands in one of
 * the two; while a slot moves it stands in both, with the same entry.
 *
 * Readers load the first line of a shard and nothing else of it.  Everything
 * under the lock is changed by writers, exclusive.
 */
#ifndef SM_SHARD_H
#define SM_SHARD_H

#include <stdalign.h>

#include "ghost.h"
#include "index.h"
#include "log.h"
#include "chain.h"
#include "map.h"
#include "order.h"

/* Every tag is less than that. */
#define SM_ALL_TAGS ((uint32_t) 1 << SM_TAG_BITS)

/* Lines that different processes load and store lie this far apart. */
#define SM_LINE 128

/*
 * What a snapshot keeps of a shard: for each key that has changed since, an entry as
 * it was, or one that is marked dead for a key that was not there.  They stand in a
 * chain of page runs, newest run first, see shard_snapshot.c.  A large value of an entry
 * that has changed otherwise is borrowed until that lets go of it.
 */
typedef struct sm_kept
{
	bool open;		   /* a snapshot is, and its owner has not done with this shard */
	bool lost;		   /* something was not kept */
	uint32_t borrowed; /* large values that are still those of live entries */
	uint64_t runs;	   /* the newest run, or 0 */
	sm_index index;	   /* of the kept entries, by their keys */
	uint64_t pages;	   /* without the index */
} sm_kept;

/* Of the whole map; kept in its first shard. */
typedef struct sm_map_state
{
	sm_word pages;	   /* that all its shards hold */
	sm_word max_pages; /* its quota, UINT64_MAX: none */
	sm_word evicts;	   /* may keys be evicted? */
	sm_word own_ratio; /* its promote_ratio plus 1, 0: the engine's */
	sm_word ordered;   /* are keys to be kept in order? */
	sm_word owner;	   /* of the snapshot that is open, 0: none is */
	sm_word tickets;   /* how many owners there have been */
	sm_word stale;	   /* microseconds that a value is kept after an invalidation */
} sm_map_state;

/* An sm_stripe: what stands in the way of fills of a few keys, or of all. */
typedef struct sm_stripe_words
{
	sm_word horizon;
	sm_word fence[SM_FENCES];
} sm_stripe_words;

struct sm_shard
{
	/* Loaded by readers; stored when an index or the map is replaced. */
	alignas(SM_LINE) sm_word id; /* of the map, 0: the shard is nobody's */
	sm_word read;				 /* the read index' word, see index.h */
	sm_word dirty;				 /* the dirty index' word */

	/* Readers' counts, flushed now and then. */
	alignas(SM_LINE) sm_word misses; /* lookups that had to look into dirty */
	sm_word gets;					 /* these of the map, in its first shard */
	sm_word hits;
	sm_word retries;
	sm_word loads;
	sm_word load_waits;

	/*
	 * Loaded by readers of keys in order, and by no other; stored by writers of maps
	 * that are ordered.  The version is odd while a writer holds the lock.
	 */
	alignas(SM_LINE) sm_word order_version;
	sm_word order_ready; /* are all keys in the order? */
	sm_order order;

	/* Under the lock; the words may be loaded without it. */
	alignas(SM_LINE) sm_word entries;
	sm_word hidden;				 /* entries that are hidden, see log.h */
	sm_word earliest;			 /* no entry is due before that */
	sm_word counts[SM_COUNTERS]; /* see sm_counter */
	uint32_t generation;		 /* of the word published last; never reset */
	uint32_t map_shard;			 /* the first shard of the map */
	uint32_t map_shards;		 /* how many it has */
	uint32_t ordered_tags;		 /* keys with lesser tags are in the order */
	uint64_t horizon;			 /* see sm_fences; 0: it is not watched */
	bool order_changes;			 /* its version is odd */
	bool growing;				 /* dirty is the next read index */
	uint32_t moved;				 /* growing: the read index' buckets moved so far */
	sm_index read_index;
	sm_index dirty_index;
	sm_index retired; /* an index that was replaced, its pages not freed yet */
	sm_log log;
	sm_ghosts ghosts;
	sm_kept kept;
	sm_stripe_words all;	/* the fences of all keys */
	uint64_t stripes;		/* the page of the other ones, 0: there are none */
	sm_word settled;		/* pages of this shard that the map's sum has */
	bool sweeping;			/* a sweep of expired entries is under way */
	bool sweeping_hidden;	/* it takes all that is hidden, too */
	int64_t swept_earliest; /* earliest, of what it has seen and what came since */

	alignas(SM_LINE) sm_map_state state;
};

/* One call's key, and where it belongs. */
typedef struct sm_request
{
	sm_map *map;
	const sm_engine *engine;
	sm_shard *shard;
	uint32_t number; /* of the shard, in the fixed table */
	uint32_t tag;
	sm_bytes key;
} sm_request;

/* What a write on a map that is watched has to do with its fences. */
typedef struct sm_coherence
{
	uint64_t fence;		 /* an invalidation's; 0: it is a fill */
	sm_ended_fn ended;	 /* the same's */
	sm_covers_fn covers; /* a fill's: may it be stored? */
	void *arg;
} sm_coherence;

/*
 * What a write does.  With value and fn NULL it removes the key.
 */
typedef struct sm_write
{
	const sm_bytes *value;			 /* what to store */
	int64_t expires;				 /* when that expires; with fn, if the key is new */
	const sm_bytes *expected;		 /* only if the key is there with this value */
	const int64_t *expected_expires; /* and expires then, unless NULL */
	sm_buffer *old;					 /* receives the value before, unless NULL */
	sm_update_fn fn;				 /* computes what to store */
	void *arg;
	const sm_coherence *coherence; /* NULL: a plain store, or a removal */
	bool expire_only;			   /* keeps the value and sets when it expires */
	bool keep;					   /* only if the key is not there */
	bool replace;				   /* only if the key is there */
} sm_write;

/* What a read wants to know besides the value. */
typedef struct sm_expiry
{
	int wanted;		 /* what it finds that is hidden, see sm_hidden */
	int64_t expires; /* of what was found */
} sm_expiry;

/* map_stats.c */
extern void sm_shard_zero_counts(sm_shard *shard);

/* map.c */
extern uint64_t sm_hash(const sm_engine *engine, const void *key, size_t len);

static inline uint32_t
sm_hash_tag(uint64_t hash)
{
	return (uint32_t) (hash >> (64 - SM_MAX_SHARD_BITS - SM_TAG_BITS)) &
		(SM_ALL_TAGS - 1);
}

/*
 * The tries of a reader, as {0} before the first one.  Each looks without a lock, and
 * copies, and says whether what it saw was of one moment.  After some that were not,
 * the last one is made under the shard's lock, shared.  (R6)
 */
typedef struct sm_tries
{
	int failed;
	bool locked; /* this one is the last */
} sm_tries;

extern bool sm_tries_next(const sm_request *request, sm_tries *tries);

/* Ends tries of which one has succeeded. */
static inline void
sm_tries_end(const sm_request *request, const sm_tries *tries)
{
	if (tries->locked)
		sm_port_unlock(request->number);
}

/* shard_read.c: no lock is held, and none is taken but for the fallback */
extern const sm_bucket *sm_shard_prefetch_home(const sm_request *request);
extern void sm_shard_prefetch_entry(const sm_engine *engine, const sm_bucket *home,
									uint32_t tag);
extern sm_status sm_shard_get(const sm_request *request, sm_buffer *value,
							  sm_expiry *expiry);
extern sm_status sm_shard_range(const sm_request *request, uint32_t *prefix,
								int64_t now, sm_buffer *pairs);
extern bool sm_shard_count(const sm_request *request, uint64_t *count);

/* shard_order.c: the first takes the shard's lock; the second only as the fallback */
extern sm_status sm_shard_order_step(const sm_engine *engine, uint32_t number,
									 uint64_t id);
extern sm_status sm_shard_range_ordered(const sm_request *request, const sm_span *span,
										uint32_t most, sm_buffer *pairs);

/* shard_snapshot.c: with the shard's lock held, exclusive */
extern bool sm_shard_keep(const sm_engine *engine, sm_shard *shard, uint32_t tag,
						  sm_bytes key, uint64_t entry, bool take_extents);
extern void sm_shard_lose_kept(sm_shard *shard);
extern uint64_t sm_shard_free_kept(const sm_engine *engine, sm_kept *kept,
								   uint64_t most);

/* shard_snapshot.c: takes the shard's lock, shared or for a moment exclusive */
extern sm_status sm_shard_changes(const sm_engine *engine, uint32_t number, uint64_t id,
								  uint64_t owner, sm_changes *changes,
								  sm_buffer *pairs);
extern void sm_shard_close_snapshot(const sm_engine *engine, uint32_t number,
									uint64_t id, uint64_t owner);

/* shard_fence.c: with the shard's lock held, exclusive */
extern void sm_shard_fence(const sm_engine *engine, sm_shard *shard, uint32_t tag,
						   uint64_t fence, sm_ended_fn ended);
extern void sm_shard_fence_all(sm_shard *shard, uint64_t fence, sm_ended_fn ended);
extern uint64_t sm_shard_take_fences(sm_shard *shard);

/* shard_fence.c: with the shard's lock held, shared or exclusive */
extern bool sm_shard_covers(const sm_engine *engine, const sm_shard *shard,
							uint32_t tag, sm_covers_fn covers, void *arg);

/* shard_fence.c: these take and release the shard's lock */
extern sm_status sm_shard_covered(const sm_request *request, sm_covers_fn covers,
								  void *arg);
extern bool sm_shard_watch(const sm_engine *engine, uint32_t number, uint64_t id,
						   uint64_t horizon);
extern bool sm_shard_unwatch(const sm_engine *engine, uint32_t number, uint64_t id);

/* shard_write.c: takes the shard's lock, exclusive */
extern sm_status sm_shard_write(const sm_request *request, const sm_write *write);

/* shard.c: the shard's lock */
extern sm_shard *sm_shard_lock(const sm_engine *engine, uint32_t number);
extern void sm_shard_unlock(const sm_engine *engine, uint32_t number);

/* shard.c: with the shard's lock held, exclusive */
extern void sm_shard_begin_order(sm_shard *shard);
extern void sm_shard_set_ordered_tags(sm_shard *shard, uint32_t tags);
extern uint64_t sm_shard_pages(const sm_shard *shard);
extern bool sm_shard_exceeds(const sm_engine *engine, sm_shard *shard, uint64_t npages);
extern void sm_shard_note_expiry(const sm_engine *engine, sm_shard *shard,
								 uint64_t entry, int64_t expires);

/* shard_growth.c: with the shard's lock held, exclusive */
extern void sm_shard_publish(sm_shard *shard, sm_word *where, sm_index *index);
extern sm_index *sm_shard_index_for_new(const sm_engine *engine, sm_shard *shard);
extern void sm_shard_maintain(const sm_engine *engine, sm_shard *shard);

/* shard_growth.c: takes and releases the shard's lock */
extern bool sm_shard_step(const sm_engine *engine, uint32_t number, uint64_t id);

/* shard_clear.c: these take and release the shard's lock */
extern bool sm_shard_set_ordered(const sm_engine *engine, uint32_t number, uint64_t id,
								 bool ordered);
extern bool sm_shard_clear(const sm_engine *engine, uint32_t number, uint64_t id,
						   bool destroy);
extern sm_status sm_shard_invalidate(const sm_engine *engine, uint32_t number,
									 uint64_t id, uint64_t fence, sm_ended_fn ended);
extern uint64_t sm_shard_free_empty(const sm_engine *engine, uint32_t number,
									uint64_t id);

/* shard_memory.c: with the shard's lock held, exclusive */
extern bool sm_shard_make_room(const sm_engine *engine, sm_shard *shard, sm_queue queue,
							   uint64_t head, bool *dropped);
extern void sm_shard_compact(const sm_engine *engine, sm_shard *shard);
extern uint64_t sm_shard_make_page(const sm_engine *engine, sm_shard *shard);

/* shard_memory.c: these take and release the shard's lock */
extern bool sm_shard_sweep(const sm_engine *engine, uint32_t number, uint64_t id,
						   int64_t now, bool *begun, uint64_t *freed);
extern uint64_t sm_shard_reclaim(const sm_engine *engine, uint32_t number, uint64_t id,
								 uint32_t compact_ratio, uint64_t npages,
								 bool *cut_short);
extern bool sm_shard_evict(const sm_engine *engine, uint32_t number, uint64_t id,
						   bool pressing, uint64_t *freed);

/*
 * Is what was loaded of a shard without its lock of the map with that id?  The fence
 * puts those loads before the id's: giving a shard away changes its id first, and a
 * release fence stands before anything that the next map stores there (R1, R5).
 */
static inline bool
sm_shard_was_of(const sm_shard *shard, uint64_t id)
{
	sm_fence_acquire();
	return sm_load(&shard->id) == id;
}

/* The same of one of a map's shards, by its number in the fixed table. */
static inline bool
sm_map_had(const sm_map *map, uint32_t number)
{
	return sm_shard_was_of(&map->engine->shards[number], map->id);
}

/* The number behind a map's last shard. */
static inline uint32_t
sm_map_end(const sm_map *map)
{
	return map->first_shard + (1U << map->shard_bits);
}

/* The state that is this map's as long as its first shard is. */
static inline sm_map_state *
sm_map_state_of(const sm_map *map)
{
	return &map->engine->shards[map->first_shard].state;
}

static inline sm_map_state *
sm_state_of(const sm_engine *engine, const sm_shard *shard)
{
	return &engine->shards[shard->map_shard].state;
}

/* Must a change of an entry be kept?  Then sm_shard_keep is to be called before it. */
static inline bool
sm_shard_keeps(const sm_shard *shard)
{
	return shard->kept.open || shard->kept.borrowed > 0;
}

/* The pages of what a snapshot keeps. */
static inline uint64_t
sm_shard_kept_pages(const sm_shard *shard)
{
	return shard->kept.index.pages + shard->kept.pages;
}

/* The pages of what stands in the way of fills. */
static inline uint64_t
sm_shard_fence_pages(const sm_shard *shard)
{
	return shard->stripes != 0;
}

/* Is a key with that tag in the order, or does it belong there? */
static inline bool
sm_shard_orders(const sm_shard *shard, uint32_t tag)
{
	return tag < shard->ordered_tags;
}

/* An entry with that word is there from now on, or no longer. */
static inline void
sm_shard_count_hidden(sm_shard *shard, int64_t expires, int change)
{
	if (sm_is_hidden(expires))
		sm_store(&shard->hidden, sm_load(&shard->hidden) + (uint64_t) (int64_t) change);
}

/* Counts something, under the lock. */
static inline void
sm_shard_count_one(sm_shard *shard, sm_counter counter)
{
	sm_store(&shard->counts[counter], sm_load(&shard->counts[counter]) + 1);
}

#endif /* SM_SHARD_H */
