/*
 * scenario.c
 *	  Small scenarios for the explorer: what is in a map, and what actors do.
 *
 * Each is meant for one thing that a reader without a lock must survive.
 * Phases are the same with the key in another index, or with growth further on.
 */
#include "scenario.h"

static void
put_many(int first, int last, int version)
{
	for (int key = first; key <= last; key++)
		sm_prepare_put(1, key, version);
}

/* In dirty, or with phase 1 in read. */
static void
prepare_keys(int phase, int n)
{
	sm_scheduler_engine()->promote_ratio = phase == 1 ? 0 : 100;
	put_many(0, n - 1, 1);
}

static void
prepare_one(int phase)
{
	prepare_keys(phase, 1);
}

static void
prepare_three(int phase)
{
	prepare_keys(phase, 3);
}

/* A chain of two buckets: six slots and two. */
static void
prepare_chain(int phase)
{
	prepare_keys(phase, 8);
}

/*
 * A read index that is full, or whose growth went on for some puts.  Eight
 * keys are watched: the buckets that are moved next hold one of them or not.
 */
static void
prepare_growth(int phase)
{
	sm_scheduler_engine()->promote_ratio = 0;
	put_many(0, 7, 1);
	put_many(SM_FILLER, SM_FILLER + 327, 1);
	for (int i = 0; i < phase; i++)
		sm_prepare_put(1, SM_FILLER + 328, 1);
}

/* The same, and another map that needs a page next. */
static void
prepare_growth_and_other(int phase)
{
	sm_scheduler_engine()->promote_ratio = 100;
	sm_prepare_put(SM_OTHER_MAP, 9, 1);
	prepare_growth(phase + 28);
}

/* A full segment whose dead first entry lets the others slide to the front. */
static void
prepare_slide(int phase)
{
	prepare_keys(phase, 0);
	sm_prepare_put(1, 2, 2);
	sm_prepare_put(1, 0, 1);
	sm_prepare_put(1, 1, 1);
	sm_prepare_put(1, 2, 3);
	sm_prepare_put(1, 3, 5);
}

/* One segment with one small entry, and a full one. */
static void
prepare_lonely(int phase)
{
	prepare_keys(phase, 1);
	sm_prepare_put(1, 1, 3);
}

/* The other way round: the small entry is in the newest segment. */
static void
prepare_newest(int phase)
{
	prepare_keys(phase, 0);
	sm_prepare_put(1, 1, 3);
	sm_prepare_put(1, 0, 1);
}

/* A key in each shard of the wide map, not in any index that waits for promotion. */
static void
prepare_wide(int phase)
{
	sm_scheduler_engine()->promote_ratio = 0;
	sm_prepare_put(SM_WIDE_MAP, SM_FIRST_KEY, 1);
	if (phase == 0)
		sm_prepare_put(SM_WIDE_MAP, SM_SECOND_KEY, 1);
}

/* The page of fences is there, or comes with the first of them. */
static void
prepare_watched(int phase)
{
	prepare_keys(0, 2);
	sm_prepare_watch();
	if (phase == 1)
		sm_prepare_fence(SM_FILLER);
}

const sm_scenario sm_scenarios[] = {
	{.name = "promotion",
	 .preemptions = 3,
	 .promote_ratio = 1,
	 .prepare = prepare_three,
	 .ops = {{{SM_GET, 0}, {SM_GET, 5}}, {{SM_PUT, 1, 2}}}},
	{.name = "promotion_chain",
	 .preemptions = 2,
	 .one_bucket = true,
	 .promote_ratio = 1,
	 .prepare = prepare_chain,
	 .ops = {{{SM_GET, 7}, {SM_GET, 0}}, {{SM_PUT, 1, 2}}}},
	{.name = "growth",
	 .preemptions = 2,
	 .phases = 36,
	 .promote_ratio = 0,
	 .prepare = prepare_growth,
	 .ops = {{{SM_GET, 0},
			  {SM_GET, 1},
			  {SM_GET, 2},
			  {SM_GET, 3},
			  {SM_GET, 4},
			  {SM_GET, 5},
			  {SM_GET, 6},
			  {SM_GET, 7}},
			 {{SM_PUT, SM_FILLER + 329, 1}}}},
	{.name = "growth_other_map",
	 .preemptions = 2,
	 .phases = 8,
	 .promote_ratio = 0,
	 .prepare = prepare_growth_and_other,
	 .ops = {{{SM_GET, 0}},
			 {{SM_PUT, SM_FILLER + 327, 2}},
			 {{SM_PUT, 0, 2, SM_OTHER_MAP}}}},
	{.name = "in_place",
	 .preemptions = 3,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_one,
	 .ops = {{{SM_GET, 0}, {SM_GET, 0}}, {{SM_PUT, 0, 2}, {SM_PUT, 0, 3}}}},
	{.name = "slide",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .compact_ratio = 1,
	 .prepare = prepare_slide,
	 .lens = {0, 40, 600, 608, 400, 2600},
	 .ops = {{{SM_GET, 0}, {SM_GET, 2}}, {{SM_PUT, 3, 4}, {SM_PUT, 0, 4}}}},
	{.name = "freed_segment",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_lonely,
	 .lens = {0, 40, 200, 4000, 3900},
	 .ops = {{{SM_GET, 0}, {SM_GET, 0}}, {{SM_PUT, 0, 2}, {SM_PUT, 2, 4}}}},
	{.name = "deleted_segment",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_lonely,
	 .lens = {0, 40, 200, 4000, 3900},
	 .ops = {{{SM_GET, 0}, {SM_GET, 0}}, {{SM_DELETE, 0}, {SM_PUT, 2, 4}}}},
	{.name = "reused_place",
	 .preemptions = 3,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_newest,
	 .lens = {0, 40, 40, 4000},
	 .ops = {{{SM_GET, 0}, {SM_GET, 0}},
			 {{SM_DELETE, 0}, {SM_PUT, 3, 1}, {SM_DELETE, 3}, {SM_PUT, 0, 2}}}},
	{.name = "recreate",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_one,
	 .ops = {{{SM_GET, 0}, {SM_GET, 0}},
			 {{SM_DESTROY}, {SM_CREATE, 0, 0, 2}, {SM_PUT, 0, 2, 2}, {SM_GET, 0, 0, 2}},
			 {{SM_PUT, 0, 3}}}},
	{.name = "clear",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 0,
	 .prepare = prepare_one,
	 .ops = {{{SM_GET, 0}}, {{SM_PUT, 0, 2}}, {{SM_CLEAR}, {SM_PUT, 0, 3}}}},
	{.name = "neighbour_leaves",
	 .preemptions = 3,
	 .phases = 2,
	 .one_bucket = true,
	 .promote_ratio = 100,
	 .prepare = prepare_three,
	 .ops = {{{SM_GET, 2}, {SM_GET, 5}}, {{SM_DELETE, 0}, {SM_PUT, 3, 1}}}},
	{.name = "chain_folds",
	 .preemptions = 2,
	 .phases = 2,
	 .one_bucket = true,
	 .promote_ratio = 100,
	 .prepare = prepare_chain,
	 .ops = {{{SM_GET, 7}, {SM_GET, 6}}, {{SM_DELETE, 0}, {SM_PUT, 8, 1}}}},
	{.name = "new_in_read",
	 .preemptions = 3,
	 .phases = 2,
	 .one_bucket = true,
	 .promote_ratio = 0,
	 .prepare = prepare_three,
	 .ops = {{{SM_GET, 3}, {SM_GET, 2}}, {{SM_DELETE, 0}, {SM_PUT, 3, 1}}}},
	{.name = "new_in_chain",
	 .preemptions = 2,
	 .phases = 2,
	 .one_bucket = true,
	 .promote_ratio = 0,
	 .prepare = prepare_chain,
	 .ops = {{{SM_GET, 8}, {SM_GET, 7}}, {{SM_PUT, 8, 1}, {SM_DELETE, 0}}}},
	{.name = "writers",
	 .preemptions = 2,
	 .promote_ratio = 30,
	 .prepare = prepare_one,
	 .ops = {{{SM_GET_OR_PUT, 1, 1}, {SM_COMPARE_AND_SWAP, 0, 2}, {SM_GET, 1}},
			 {{SM_GET_OR_PUT, 1, 2}, {SM_COMPARE_AND_SWAP, 0, 2}, {SM_DELETE, 1}},
			 {{SM_GET, 1}, {SM_GET, 0}}}},
	{.name = "replacers",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 30,
	 .prepare = prepare_one,
	 .ops = {{{SM_REPLACE, 0, 2}, {SM_REPLACE, 1, 3}, {SM_GET, 0}},
			 {{SM_COMPARE_PAIR_AND_SWAP, 0, 3}, {SM_DELETE, 0}, {SM_PUT, 1, 1}}}},
	{.name = "range_promotion",
	 .preemptions = 2,
	 .promote_ratio = 1,
	 .prepare = prepare_three,
	 .ops = {{{SM_RANGE}}, {{SM_PUT, 1, 2}, {SM_DELETE, 2}}}},
	{.name = "range_growth",
	 .preemptions = 1,
	 .phases = 36,
	 .promote_ratio = 0,
	 .prepare = prepare_growth,
	 .ops = {{{SM_RANGE}}, {{SM_PUT, SM_FILLER + 327, 2}}}},
	{.name = "range_clear",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_three,
	 .ops = {{{SM_RANGE}}, {{SM_CLEAR}, {SM_PUT, 1, 2}}}},
	{.name = "extents",
	 .preemptions = 1,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_one,
	 .lens = {0, 17000, 17000, 17000},
	 .ops = {{{SM_GET, 0}}, {{SM_PUT, 0, 2}, {SM_PUT, 1, 3}}}},
	{.name = "fence",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 100,
	 .prepare = prepare_watched,
	 .ops = {{{SM_FILL, 0, 2}, {SM_GET, 0}},
			 {{SM_INVALIDATE, 0, SM_UNSEEN}},
			 {{SM_FILL, 0, 3}}}},
	{.name = "fence_pushed",
	 .preemptions = 2,
	 .phases = 2,
	 .one_bucket = true,
	 .promote_ratio = 100,
	 .prepare = prepare_watched,
	 .ops = {{{SM_FILL, 0, 2}, {SM_FILL, 1, 2}, {SM_GET, 0}},
			 {{SM_INVALIDATE, 0, SM_UNSEEN},
			  {SM_INVALIDATE, 1, 6},
			  {SM_INVALIDATE, 1, 7},
			  {SM_INVALIDATE, 1, 8}}}},
	{.name = "snapshot",
	 .preemptions = 2,
	 .phases = 2,
	 .promote_ratio = 0,
	 .prepare = prepare_wide,
	 .ops = {{{SM_SNAPSHOT, 0, 0, SM_WIDE_MAP}},
			 {{SM_PUT, SM_FIRST_KEY, 2, SM_WIDE_MAP},
			  {SM_PUT, SM_SECOND_KEY, 2, SM_WIDE_MAP},
			  {SM_PUT, SM_FIRST_KEY, 3, SM_WIDE_MAP}}}},
	{.name = "snapshot_owners",
	 .preemptions = 2,
	 .promote_ratio = 0,
	 .prepare = prepare_wide,
	 .ops = {{{SM_SNAPSHOT, 0, 0, SM_WIDE_MAP}},
			 {{SM_SNAPSHOT, 0, 0, SM_WIDE_MAP}},
			 {{SM_PUT, SM_FIRST_KEY, 2, SM_WIDE_MAP},
			  {SM_PUT, SM_SECOND_KEY, 2, SM_WIDE_MAP}}}},
	{.name = NULL},
};
