/*
 * history.c
 *	  Is what actors did to a map as if each operation had happened at one
 *	  moment?  By trying all orders: there are few operations.
 */
#include "history.h"

#include <stdio.h>

/* What a key's events see and change. */
typedef struct state
{
	uint64_t map; /* whose the shards are, 0: nobody's */
	int version;  /* of the key */
	bool fenced;  /* it was invalidated by SM_UNSEEN */
} state;

/* Could the event happen now?  Then does it. */
static bool
happens(const sm_event *event, state *now)
{
	bool there = now->version != SM_ABSENT_VERSION;

	if (event->kind == SM_CREATE)
	{
		now->map = event->map;
		now->version = SM_ABSENT_VERSION;
		now->fenced = false;
		return true;
	}
	if (now->map != event->map)
		return event->status == SM_GONE;
	switch (event->kind)
	{
		case SM_GET:
		case SM_RANGE:
		case SM_SNAPSHOT:
			return event->status == (there ? SM_FOUND : SM_ABSENT) &&
				(!there || event->found == now->version);
		case SM_PUT:
			now->version = event->version;
			return event->status == (there ? SM_FOUND : SM_ABSENT);
		case SM_FILL:
			/* C3; those of other keys may stand in its way, too */
			if (now->fenced || event->status == SM_REFUSED)
				return event->status == SM_REFUSED;
			now->version = event->version;
			return event->status == (there ? SM_FOUND : SM_ABSENT);
		case SM_REPLACE:
			if (there)
				now->version = event->version;
			return event->status == (there ? SM_FOUND : SM_ABSENT);
		case SM_GET_OR_PUT:
			if (there)
				return event->status == SM_FOUND && event->found == now->version;
			now->version = event->version;
			return event->status == SM_ABSENT;
		case SM_COMPARE_PAIR_AND_SWAP:
		case SM_COMPARE_AND_SWAP:
			if (!there)
				return event->status == SM_ABSENT;
			if (now->version != event->version - 1)
				return event->status == SM_MISMATCH;
			now->version = event->version;
			return event->status == SM_FOUND;
		case SM_INVALIDATE:
		case SM_DELETE:
			now->version = SM_ABSENT_VERSION;
			if (event->kind == SM_INVALIDATE && event->version == SM_UNSEEN)
				now->fenced = true;
			return event->status == (there ? SM_FOUND : SM_ABSENT);
		case SM_CLEAR:
			now->version = SM_ABSENT_VERSION;
			return event->status == SM_FOUND;
		case SM_DESTROY:
			now->map = 0;
			return true;
		default:
			return false;
	}
}

/* Tries all orders of the events that are left. */
static bool
has_order(const sm_event *const *events, int n, unsigned left, state now)
{
	if (left == 0)
		return true;
	for (int i = 0; i < n; i++)
	{
		state next = now;
		bool first = left >> i & 1;

		/* nothing that is left may have ended before it began */
		for (int j = 0; j < n && first; j++)
			first = !(left >> j & 1) || events[j]->end >= events[i]->begin;
		if (first && happens(events[i], &next) &&
			has_order(events, n, left & ~(1U << i), next))
			return true;
	}
	return false;
}

bool
sm_history_holds(const sm_history *history, int shard, int key, uint64_t map,
				 int version)
{
	const sm_event *events[SM_HISTORY_MAX];
	int n = 0;

	for (int i = 0; i < history->n; i++)
	{
		const sm_event *event = &history->events[i];

		if (event->shard == shard && (event->key == key || event->key == -1))
			events[n++] = event;
	}
	return has_order(events, n, (1U << n) - 1, (state) {map, version, false});
}

void
sm_history_print(const sm_history *history)
{
	static const char *const kinds[] = {"nothing",
										"get",
										"put",
										"fill",
										"replace",
										"get_or_put",
										"compare_pair_and_swap",
										"compare_and_swap",
										"delete",
										"invalidate",
										"range",
										"snapshot",
										"clear",
										"destroy",
										"create"};
	static const char *const statuses[] = {"found",		"absent",	 "mismatch",
										   "too small", "no memory", "refused",
										   "gone"};

	for (int i = 0; i < history->n; i++)
	{
		const sm_event *e = &history->events[i];

		printf("  [%3d, %3d] actor %d: map %d: %s", e->begin, e->end, e->actor,
			   (int) e->map, kinds[e->kind]);
		if (e->key >= 0)
			printf(" key %d", e->key);
		if (e->kind >= SM_PUT && e->kind <= SM_COMPARE_AND_SWAP)
			printf(" version %d", e->version);
		printf(": %s", statuses[e->status]);
		if (e->status == SM_FOUND && e->found >= 0)
			printf(" version %d", e->found);
		printf("\n");
	}
}
