/*
 * shard_fence.c
 *	  What stands in the way of fills of a shard's keys: its horizon, and stripes of fences.
 *
 * A shard that is watched has a horizon, and from its first fence on a page of stripes.  A
 * key belongs to one of these by its tag; a stripe has a horizon and a few fences.  No
 * state is kept of single keys, so nothing can run out: keys of one stripe cost each other
 * a fill now and then.
 *
 * All of it is read and changed under the shard's lock.  An invalidation fences the key
 * and takes the pair out under one hold of it, and a fill asks and stores under one hold:
 * a fill that comes first is taken out, and one that comes after meets the fence (C3).
 * What has been put in the way is never taken away, except with the whole shard, but it
 * may become more: a number that is pushed out of a stripe, or finds no page, raises a
 * horizon, which stands in the way of whatever the number did.
 */
#include "shard.h"

#include "port.h"

#define STRIPE_BITS 7

typedef struct stripe
{
	sm_word horizon;
	sm_word fence[SM_FENCES]; /* each greater than the horizon, or 0: none */
} stripe;

_Static_assert(sizeof(stripe) << STRIPE_BITS == SM_PAGE_SIZE, "stripes fill a page");

/* All bits of a tag decide, not just those that name its bucket, or its neighbours. */
static stripe *
stripe_of(const sm_engine *engine, const sm_shard *shard, uint32_t tag)
{
	stripe *stripes = (stripe *) sm_at(&engine->arena, shard->stripes);

	return &stripes[tag * (uint32_t) 0x9e3779b1 >> (32 - STRIPE_BITS)];
}

/* It watches a shard that was not watched before. */
void
sm_shard_raise_horizon(sm_shard *shard, uint64_t horizon)
{
	if (shard->horizon < horizon)
		shard->horizon = horizon;
}

/*
 * Fences the keys of a tag's stripe.  Keys may be evicted for a page of them, within the
 * quota and the arena (M1); where there is none, the shard's horizon is raised.  A fence
 * that is no greater than a horizon stands in the way already.  Of one too many the least,
 * which has most likely ended for all, becomes the stripe's horizon; that is no less than
 * the one before, see stripe.
 */
void
sm_shard_fence(const sm_engine *engine, sm_shard *shard, uint32_t tag, uint64_t fence)
{
	stripe *at;
	sm_word *least;

	if (fence <= shard->horizon)
		return;
	if (shard->stripes == 0)
		shard->stripes = sm_shard_make_page(engine, shard);
	if (shard->stripes == 0)
	{
		sm_shard_raise_horizon(shard, fence);
		return;
	}

	at = stripe_of(engine, shard, tag);
	if (fence <= sm_load(&at->horizon))
		return;
	least = &at->fence[0];
	for (int i = 0; i < SM_FENCES; i++)
	{
		if (sm_load(&at->fence[i]) == fence)
			return;
		if (sm_load(&at->fence[i]) < sm_load(least))
			least = &at->fence[i];
	}
	if (sm_load(least) > fence)
		sm_store(&at->horizon, fence);
	else
	{
		/* a place that is free is the least */
		if (sm_load(least) != 0)
			sm_store(&at->horizon, sm_load(least));
		sm_store(least, fence);
	}
}

/* Asks whether a fill of a key with that tag may be stored. */
bool
sm_shard_covers(const sm_engine *engine, const sm_shard *shard, uint32_t tag,
				sm_covers_fn covers, void *arg)
{
	sm_fences fences = {.horizon = shard->horizon};

	if (shard->stripes != 0)
	{
		const stripe *at = stripe_of(engine, shard, tag);

		if (sm_load(&at->horizon) > fences.horizon)
			fences.horizon = sm_load(&at->horizon);
		for (int i = 0; i < SM_FENCES; i++)
			fences.fence[i] = sm_load(&at->fence[i]);
	}
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

	if (is_there)
		sm_shard_raise_horizon(shard, horizon);
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
	{
		stripes = shard->stripes;
		shard->stripes = 0;
		shard->horizon = 0;
	}
	sm_shard_unlock(engine, number);

	/* nobody looks at it without the lock, so it is out of reach (R5) */
	if (stripes != 0)
		sm_pages_free(stripes, 1);
	return is_there;
}
