/*
 * shard_fence.c
 *	  What stands in the way of fills of a shard's keys: its horizon, and stripes of fences.
 *
 * A shard that is watched has a horizon and a stripe of fences for all of its keys, and
 * from its first fence of a single key on a page of stripes.  A key belongs to one of these
 * by its tag.  No state is kept of single keys, so nothing can run out: keys of one stripe
 * cost each other a fill now and then.
 *
 * All of it is read and changed under the shard's lock.  An invalidation fences the key
 * and takes the pair out under one hold of it, and a fill asks and stores under one hold:
 * a fill that comes first is taken out, and one that comes after meets the fence (C3).
 *
 * What has been put in the way may become more: a number that is pushed out of a stripe
 * raises its horizon, and one that finds no page stands in the way of all keys.  It is
 * taken away with the whole shard, and when it is not needed any more, see fence_stripe.
 */
#include "shard.h"

#include "port.h"

#define STRIPE_BITS 7

_Static_assert(sizeof(sm_stripe_words) << STRIPE_BITS == SM_PAGE_SIZE,
			   "stripes fill a page");

/* All bits of a tag decide, not just those that name its bucket, or its neighbours. */
static sm_stripe_words *
stripe_of(const sm_engine *engine, const sm_shard *shard, uint32_t tag)
{
	sm_stripe_words *stripes =
		(sm_stripe_words *) sm_at(&engine->arena, shard->stripes);

	return &stripes[tag * (uint32_t) 0x9e3779b1 >> (32 - STRIPE_BITS)];
}

static void
forget_below(sm_word *number, uint64_t below)
{
	if (sm_load(number) < below)
		sm_store(number, 0);
}

/*
 * Puts a fence into a stripe.  If there is no place, those of transactions that have ended
 * are forgotten: what is computed from now on sees that, and what was computed before now
 * meets the new fence, whose transaction was in progress then (C3).  If there is still
 * none, the least of all, which may be the new one, becomes the horizon.
 */
static void
fence_stripe(sm_stripe_words *stripe, uint64_t fence, sm_ended_fn ended)
{
	sm_word *least = &stripe->fence[0];

	for (int i = 0; i < SM_FENCES; i++)
	{
		if (sm_load(&stripe->fence[i]) == fence)
			return;
		if (sm_load(&stripe->fence[i]) < sm_load(least))
			least = &stripe->fence[i];
	}
	/* a place that is free is the least */
	if (sm_load(least) != 0 && ended != NULL)
	{
		uint64_t below = ended();

		for (int i = 0; i < SM_FENCES; i++)
			forget_below(&stripe->fence[i], below);
		forget_below(&stripe->horizon, below);
	}
	if (sm_load(least) > fence)
	{
		if (sm_load(&stripe->horizon) < fence)
			sm_store(&stripe->horizon, fence);
		return;
	}
	if (sm_load(&stripe->horizon) < sm_load(least))
		sm_store(&stripe->horizon, sm_load(least));
	sm_store(least, fence);
}

/* Fences all keys of a shard. */
void
sm_shard_fence_all(sm_shard *shard, uint64_t fence, sm_ended_fn ended)
{
	/* it stands in the way already */
	if (fence > shard->horizon)
		fence_stripe(&shard->all, fence, ended);
}

/*
 * Fences the keys of a tag's stripe.  Keys may be evicted for a page of them, within the
 * quota and the arena (M1); where there is none, all keys are fenced.
 */
void
sm_shard_fence(const sm_engine *engine, sm_shard *shard, uint32_t tag, uint64_t fence,
			   sm_ended_fn ended)
{
	if (fence <= shard->horizon)
		return;
	if (shard->stripes == 0)
		shard->stripes = sm_shard_make_page(engine, shard);
	if (shard->stripes == 0)
		sm_shard_fence_all(shard, fence, ended);
	else
		fence_stripe(stripe_of(engine, shard, tag), fence, ended);
}

/* Forgets all fences.  Returns the page that they had, for the caller to free, or 0. */
uint64_t
sm_shard_take_fences(sm_shard *shard)
{
	uint64_t stripes = shard->stripes;

	shard->stripes = 0;
	shard->horizon = 0;
	shard->all = (sm_stripe_words) {0};
	return stripes;
}

static void
copy_stripe(sm_stripe *to, const sm_stripe_words *from)
{
	to->horizon = sm_load(&from->horizon);
	for (int i = 0; i < SM_FENCES; i++)
		to->fence[i] = sm_load(&from->fence[i]);
}

/* Asks whether a fill of a key with that tag may be stored. */
bool
sm_shard_covers(const sm_engine *engine, const sm_shard *shard, uint32_t tag,
				sm_covers_fn covers, void *arg)
{
	sm_fences fences = {.horizon = shard->horizon};

	if (shard->stripes != 0)
		copy_stripe(&fences.stripe[0], stripe_of(engine, shard, tag));
	copy_stripe(&fences.stripe[1], &shard->all);
	return covers(arg, &fences);
}

/* See sm_covered in map.h. */
sm_status
sm_shard_covered(const sm_request *request, sm_covers_fn covers, void *arg)
{
	const sm_shard *shard = request->shard;
	sm_status status;

	sm_port_lock_shared(request->number);
	if (sm_load(&shard->id) != request->map->id)
		status = SM_GONE;
	else if (shard->horizon == 0)
		status = SM_UNWATCHED;
	else if (sm_shard_covers(request->engine, shard, request->tag, covers, arg))
		status = SM_FOUND;
	else
		status = SM_REFUSED;
	sm_port_unlock(request->number);
	return status;
}

/* Raises the horizon of a shard.  Returns false if the shard is not that map's. */
bool
sm_shard_watch(const sm_engine *engine, uint32_t number, uint64_t id, uint64_t horizon)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	bool is_there = sm_load(&shard->id) == id;

	if (is_there && shard->horizon < horizon)
		shard->horizon = horizon;
	sm_shard_unlock(engine, number);
	return is_there;
}

/* Forgets all that stands in the way of a shard's fills.  Returns as above. */
bool
sm_shard_unwatch(const sm_engine *engine, uint32_t number, uint64_t id)
{
	sm_shard *shard = sm_shard_lock(engine, number);
	bool is_there = sm_load(&shard->id) == id;
	uint64_t stripes = 0;

	if (is_there)
		stripes = sm_shard_take_fences(shard);
	sm_shard_unlock(engine, number);

	/* nobody looks at it without the lock, so it is out of reach (R5) */
	if (stripes != 0)
		sm_pages_free(stripes, 1);
	return is_there;
}
