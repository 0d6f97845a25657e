/*
 * shard.c
 *	  A shard's lock, and the account of its pages.
 */
#include "shard.h"

#include "port.h"

static uint64_t
index_pages(const sm_shard *shard)
{
	return shard->read_index.pages + shard->dirty_index.pages + shard->retired.pages +
		shard->order.pages;
}

/* All pages that a shard holds. */
uint64_t
sm_shard_pages(const sm_shard *shard)
{
	return index_pages(shard) + shard->log.pages[SM_YOUNG] + shard->log.pages[SM_MAIN] +
		shard->log.extents + sm_ghosts_pages(&shard->ghosts) +
		sm_shard_kept_pages(shard) + sm_shard_fence_pages(shard);
}

/* Brings the map's sum of pages up to date. */
static void
settle(const sm_engine *engine, sm_shard *shard)
{
	uint64_t pages = sm_shard_pages(shard);
	uint64_t settled = sm_load(&shard->settled);

	if (pages != settled)
	{
		atomic_fetch_add_explicit(&sm_state_of(engine, shard)->pages, pages - settled,
								  memory_order_relaxed);
		sm_store(&shard->settled, pages);
	}
}

/* Would npages pages more be over the map's quota? */
bool
sm_shard_exceeds(const sm_engine *engine, sm_shard *shard, uint64_t npages)
{
	const sm_map_state *state = sm_state_of(engine, shard);

	settle(engine, shard);
	return sm_load(&state->pages) + npages > sm_load(&state->max_pages);
}

/*
 * Turns the version of a shard's order odd, until the lock is released.  Whoever
 * sees one of the stores that follow sees that (R1, R5).
 */
void
sm_shard_begin_order(sm_shard *shard)
{
	if (!shard->order_changes)
		sm_store(&shard->order_version, sm_load(&shard->order_version) + 1);
	shard->order_changes = true;
	sm_fence_release();
}

/* Says which keys are in the order, those with lesser tags. */
void
sm_shard_set_ordered_tags(sm_shard *shard, uint32_t tags)
{
	shard->ordered_tags = tags;
	sm_store(&shard->order_ready, tags == SM_ALL_TAGS);
}

/* Takes a shard's lock, exclusive. */
sm_shard *
sm_shard_lock(const sm_engine *engine, uint32_t number)
{
	sm_shard *shard = &engine->shards[number];

	sm_port_lock_exclusive(number);
	if (shard->ordered_tags != 0)
		sm_shard_begin_order(shard);
	/* what comes may go where readers still look (R5) */
	sm_fence_release();
	return shard;
}

void
sm_shard_unlock(const sm_engine *engine, uint32_t number)
{
	sm_shard *shard = &engine->shards[number];

	settle(engine, shard);
	/* whoever sees the even version sees the stores before it (R1, W4) */
	if (shard->order_changes)
		sm_store_release(&shard->order_version, sm_load(&shard->order_version) + 1);
	shard->order_changes = false;
	sm_port_unlock(number);
}

/* An entry, at that offset, has a word that says when it expires. */
void
sm_shard_note_expiry(const sm_engine *engine, sm_shard *shard, uint64_t entry,
					 int64_t expires)
{
	uint64_t head = sm_load(sm_at(&engine->arena, entry));

	sm_log_note_expiry(&engine->arena, sm_segment_of(entry, head), expires);
	if (sm_due(expires) < (int64_t) sm_load(&shard->earliest))
		sm_store(&shard->earliest, (uint64_t) sm_due(expires));
	if (sm_due(expires) < shard->swept_earliest)
		shard->swept_earliest = sm_due(expires);
}
