/*
 * shard_clear.c
 *	  Taking all that a shard holds out of it: clear, destroy, and the end of an order.
 *
 * What stands in the way of fills is none of that: it stays with the shard until the map
 * is destroyed, since a fill that is to be refused may come any time later (C3).
 */
#include "shard.h"

/* All that a shard holds, taken out of it. */
typedef struct shard_contents
{
	sm_index indexes[3];
	uint64_t order;
	sm_log log;
	sm_ghosts ghosts;
} shard_contents;

/* Takes the order out of a shard, which then has none.  Returns its root. */
static uint64_t
take_order(sm_shard *shard)
{
	uint64_t root = sm_load(&shard->order.root);

	sm_store(&shard->order.root, 0);
	shard->order.pages = 0;
	sm_shard_set_ordered_tags(shard, 0);
	return root;
}

/*
 * Makes a shard keep its keys in order, at once if it has none, or no longer.
 * Returns false if the shard is not that map's.
 */
bool
sm_shard_set_ordered(const sm_engine *engine, uint32_t number, uint64_t id,
					 bool ordered)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	bool is_there = sm_load(&shard->id) == id;
	uint64_t order = 0;

	if (is_there && !ordered)
		order = take_order(shard);
	else if (is_there && sm_load(&shard->entries) == 0)
		sm_shard_set_ordered_tags(shard, SM_ALL_TAGS);
	sm_shard_unlock(engine, number);

	sm_order_free(&engine->arena, order);
	return is_there;
}

/*
 * Takes a shard's contents out of it, under its lock: from here on no reader
 * finds any of it valid, and no other writer finds it at all, so that
 * free_contents needs no lock (R5).
 */
static shard_contents
take_contents(const sm_engine *engine, sm_shard *shard)
{
	shard_contents contents = {.indexes = {shard->read_index, shard->dirty_index,
										   shard->retired},
							   .order = take_order(shard),
							   .log = shard->log,
							   .ghosts = shard->ghosts};

	if (sm_load(&shard->id) != 0 && sm_load(&sm_state_of(engine, shard)->ordered))
	{
		/* an empty order is the truth as soon as the keys are gone, and no sooner */
		sm_shard_begin_order(shard);
		sm_shard_set_ordered_tags(shard, SM_ALL_TAGS);
	}
	shard->read_index = shard->dirty_index = shard->retired = (sm_index) {0};
	shard->log = (sm_log) {0};
	shard->ghosts = (sm_ghosts) {0};
	shard->growing = false;
	shard->sweeping = false;
	shard->sweeping_hidden = false;
	if (sm_load(&shard->entries) > 0)
		sm_shard_lose_kept(shard);
	sm_store(&shard->earliest, (uint64_t) SM_NEVER);
	sm_store(&shard->entries, 0);
	sm_store(&shard->hidden, 0);
	sm_store(&shard->misses, 0);

	/* one word after the other: a reader between them finds nothing or retries */
	sm_shard_publish(shard, &shard->read, &shard->read_index);
	sm_shard_publish(shard, &shard->dirty, &shard->dirty_index);
	return contents;
}

static void
free_contents(const sm_engine *engine, shard_contents *contents)
{
	sm_order_free(&engine->arena, contents->order);
	sm_log_free(&engine->arena, &contents->log);
	sm_ghosts_free(&engine->arena, &contents->ghosts);
	for (int i = 0; i < 3; i++)
		sm_index_free(&engine->arena, &contents->indexes[i], UINT64_MAX);
}

/*
 * Gives back all that a shard without entries holds.  Returns how many pages
 * that were.
 */
uint64_t
sm_shard_free_empty(const sm_engine *engine, uint32_t number, uint64_t id)
{
	shard_contents contents = {0};
	uint64_t pages = 0;
	sm_shard *shard = sm_shard_lock(engine, number);

	if (sm_load(&shard->id) == id && sm_load(&shard->entries) == 0)
		pages = sm_shard_pages(shard) - sm_shard_kept_pages(shard) -
			sm_shard_fence_pages(shard);
	if (pages > 0)
		contents = take_contents(engine, shard);
	sm_shard_unlock(engine, number);

	free_contents(engine, &contents);
	return pages;
}

/*
 * Empties a shard of the map with that id, and with destroy makes it nobody's.
 * Returns false if the shard is not that map's.
 */
bool
sm_shard_clear(const sm_engine *engine, uint32_t number, uint64_t id, bool destroy)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	shard_contents contents = {0};
	bool is_there = sm_load(&shard->id) == id;
	sm_kept kept = {0};
	uint64_t stripes = 0;

	/* the id before the words: whoever sees a later word sees it gone (R1) */
	if (is_there && destroy)
	{
		sm_store(&shard->id, 0);
		kept = shard->kept;
		shard->kept = (sm_kept) {0};
		stripes = sm_shard_take_fences(shard);
	}
	if (is_there)
		contents = take_contents(engine, shard);
	sm_shard_unlock(engine, number);

	free_contents(engine, &contents);
	sm_shard_free_kept(engine, &kept, UINT64_MAX);
	if (stripes != 0)
		sm_pages_free(stripes, 1);
	return is_there;
}

/*
 * Empties a shard and fences all of its keys, under one hold of the lock: what a fill
 * stores before is taken out, and what comes later meets the fence (C3).  SM_FOUND,
 * SM_UNWATCHED, or SM_GONE.
 */
sm_status
sm_shard_invalidate(const sm_engine *engine, uint32_t number, uint64_t id,
					uint64_t fence, sm_ended_fn ended)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	shard_contents contents = {0};
	sm_status status = SM_FOUND;

	if (sm_load(&shard->id) != id)
		status = SM_GONE;
	else if (shard->horizon == 0)
		status = SM_UNWATCHED;
	else
	{
		sm_shard_fence_all(shard, fence, ended);
		if (number == shard->map_shard)
			sm_shard_count_one(shard, SM_INVALIDATIONS);
		contents = take_contents(engine, shard);
	}
	sm_shard_unlock(engine, number);

	free_contents(engine, &contents);
	return status;
}
