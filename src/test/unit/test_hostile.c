/*
 * test_hostile.c
 *	  Readers who load nothing but garbage (R4).
 *
 *	  test_hostile [seed [seconds]]
 *
 * What a reader looks at may be freed and in use for anything else at any
 * moment.  Here it is, at a random access of a call: the index' word changes,
 * as R5 promises, and from then on each word that the reader loads has just
 * been overwritten, mostly with something that looks right: a slot with the
 * key's tag, a link, a header with the key's length, the key itself, a run of
 * pages.  They may lead anywhere, or round in a ring.  The reader must stay in
 * the arena, must come to an end, and must answer what is right when it takes
 * the lock, where everything is as it was before.
 *
 * The engine is compiled to call sm_explorer_step before each access.
 */
#include "check.h"
#include "explorer_step.h"
#include "port_posix.h"
#include "shard.h"

#define MAX_JOURNAL 8000000
#define MAX_STEPS	6000000 /* of one call */
#define MAX_LEN		40000
#define NEVER		INT64_MAX

static sm_host host;
static sm_map map;
static sm_rng rng;

/* The call that runs: after how many accesses everything turns hostile. */
static int64_t countdown = NEVER;
static uint64_t steps;
static bool ring; /* it turns into a ring of links */
static uint32_t key_tag;
static uint64_t key_words[SM_MAX_KEY / 8];
static size_t key_len;

/* What was overwritten, to be put back. */
static struct
{
	sm_word *word;
	uint64_t value;
} journal[MAX_JOURNAL];
static size_t journaled;

static uint64_t
load(const sm_word *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
overwrite(sm_word *word, uint64_t value)
{
	sm_check(journaled < MAX_JOURNAL, "a call without an end");
	journal[journaled].word = word;
	journal[journaled++].value = load(word);
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static void
put_back(void)
{
	while (journaled > 0)
	{
		journaled--;
		atomic_store_explicit(journal[journaled].word, journal[journaled].value,
							  memory_order_relaxed);
	}
}

/* An offset: in the arena, at its end, or behind it. */
static uint64_t
draw_offset(uint64_t alignment)
{
	uint64_t size = host.engine.arena.size;
	uint64_t offset = sm_rng_next(&rng) % size;

	switch (sm_rng_below(&rng, 4))
	{
		case 0:
			offset = size - sm_rng_below(&rng, 128);
			break;
		case 1:
			offset = size - 8 * sm_rng_below(&rng, 3);
			break;
		case 2:
			if (sm_rng_below(&rng, 4) == 0)
				offset = sm_rng_next(&rng) >> 26;
	}
	return offset / alignment * alignment;
}

static uint64_t
draw_head(void)
{
	static const uint64_t longest[] = {16, 2000, MAX_LEN, SM_MAX_VALUE};
	uint64_t len = sm_rng_below(&rng, longest[sm_rng_below(&rng, 4)]);

	return sm_head(sm_rng_below(&rng, 4) > 0 ? key_len : sm_rng_below(&rng, 4096), len,
				   sm_rng_below(&rng, 256),
				   sm_rng_below(&rng, 3) == 0 ? SM_HEAD_LARGE : 0) |
		sm_rng_below(&rng, 64) << SM_HEAD_PAGE_SHIFT;
}

static uint64_t
draw_garbage(uint64_t honest)
{
	switch (sm_rng_below(&rng, 10))
	{
		case 0:
			return honest;
		case 1:
			return 0;
		case 2:
			return sm_rng_next(&rng);
		case 3:
		case 4:
			return sm_slot(key_tag, draw_offset(8));
		case 5:
			return SM_LINK | draw_offset(sm_rng_below(&rng, 8) == 0 ? 8 : 64) >> 3;
		case 6:
			return draw_head();
		case 7:
			return key_words[key_len < 8 ? 0 : sm_rng_below(&rng, key_len / 8)];
		case 8:
			return draw_offset(SM_PAGE_SIZE) | sm_rng_below(&rng, 20);
		default:
			return draw_offset(sm_rng_below(&rng, 8) == 0 ? 8 : SM_PAGE_SIZE);
	}
}

/* Moods: for a while nearly all garbage is of the same kind. */
static uint64_t
draw_moody_garbage(uint64_t honest)
{
	static uint64_t mood;

	if (sm_rng_below(&rng, 32) == 0)
		mood = sm_rng_below(&rng, 8);
	switch (mood)
	{
		case 0:
			return SM_LINK | draw_offset(64) >> 3;
		case 1:
			return sm_rng_below(&rng, 3) == 0 ? sm_slot(key_tag, draw_offset(8)) :
												draw_head();
		case 2:
			return honest;
		default:
			return draw_garbage(honest);
	}
}

/* A chain without an end: each last slot links on, and all others are empty. */
static uint64_t
draw_ring(const sm_word *word)
{
	uint64_t place = (uintptr_t) word % sizeof(sm_bucket);
	uint64_t nbuckets = host.engine.arena.size / sizeof(sm_bucket);

	if (place != sizeof(sm_bucket) - sizeof(sm_word))
		return 0;
	return SM_LINK | sm_rng_below(&rng, nbuckets) * sizeof(sm_bucket) >> 3;
}

void
sm_explorer_step(const volatile void *address, bool stores)
{
	sm_word *word = (sm_word *) (uintptr_t) address;
	sm_shard *shard = host.engine.shards;
	uint64_t offset = (uint64_t) ((char *) word - host.engine.arena.base);
	bool in_arena = sm_in_arena(&host.engine.arena, offset, sizeof(*word));

	sm_check(in_arena || (word >= &shard->id && word < (sm_word *) (shard + 1)),
			 "an access to offset %#lx of %#lx", (unsigned long) offset,
			 (unsigned long) host.engine.arena.size);
	if (countdown == NEVER || stores)
		return;
	if (sm_host_held > 0)
	{
		put_back();
		return;
	}
	sm_check(++steps < MAX_STEPS, "a reader goes on and on");
	if (--countdown > 0)
		return;
	if (in_arena)
		overwrite(word, ring ? draw_ring(word) : draw_moody_garbage(load(word)));
	else if (word != &shard->id)
		overwrite(word, load(word) + ((uint64_t) 1 << 32));
}

/* ---- calls ---- */

typedef struct answer
{
	sm_status status;
	sm_buffer buffer;
	sm_cursor cursor;
} answer;

static answer
call(int kind, sm_bytes key, size_t room, sm_cursor cursor)
{
	answer a = {.buffer = {malloc(room + 1), room, 0}, .cursor = cursor};

	memset(a.buffer.data, 0, room + 1);
	if (kind == 0)
		a.status = sm_range(&map, &a.cursor, &a.buffer);
	else if (kind == 1)
		a.status = sm_contains(&map, key);
	else
	{
		sm_prefetch(&map, &key, 1);
		a.status = sm_get(&map, key, &a.buffer);
	}
	return a;
}

/* What lies between a range's keys and values is not the same. */
static bool
same_pairs(const char *a, const char *b, size_t len)
{
	for (size_t at = 0; at < len;)
	{
		const sm_pair *pair = (const sm_pair *) (a + at);
		size_t value = at + sizeof(*pair) + sm_pad(pair->key_len);

		if (memcmp(a + at, b + at, sizeof(*pair) + pair->key_len) != 0 ||
			memcmp(a + value, b + value, pair->value_len) != 0)
			return false;
		at = value + sm_pad(pair->value_len);
	}
	return true;
}

/* The same call twice, the second time in a hostile arena. */
static void
try_call(sm_bytes key, int64_t most)
{
	int kind = (int) sm_rng_below(&rng, 5);
	size_t room =
		sm_rng_below(&rng, sm_rng_below(&rng, 2) == 0 ? 200 : 2 * MAX_LEN) & ~7U;
	sm_cursor cursor = {0, (uint32_t) sm_rng_below(&rng, 1 << SM_TAG_BITS)};
	answer honest = call(kind, key, room, cursor);
	answer hostile;

	key_len = key.len;
	memcpy(key_words, key.data, key.len);
	key_tag = sm_hash_tag(sm_hash(&host.engine, key.data, key.len));
	steps = 0;
	ring = sm_rng_below(&rng, 8) == 0;
	countdown = 1 + (int64_t) sm_rng_below(&rng, (uint64_t) most);
	hostile = call(kind, key, room, cursor);
	countdown = NEVER;
	put_back();

	sm_check(hostile.status == honest.status, "status %d, not %d", hostile.status,
			 honest.status);
	sm_check(honest.status == SM_ABSENT || hostile.buffer.len == honest.buffer.len,
			 "%zu bytes, not %zu", hostile.buffer.len, honest.buffer.len);
	sm_check(hostile.cursor.prefix == honest.cursor.prefix, "another cursor");
	if (hostile.status == SM_FOUND)
	{
		const char *is = hostile.buffer.data;
		const char *was = honest.buffer.data;
		size_t len = honest.buffer.len;

		sm_check(kind == 0 ? same_pairs(is, was, len) : memcmp(is, was, len) == 0,
				 "another value");
	}
	free(honest.buffer.data);
	free(hostile.buffer.data);
}

/* ---- maps ---- */

static sm_bytes
make_key(uint64_t *words, uint64_t number)
{
	size_t len = 8 + (number % 5 == 0 ? number % 32 : 0);

	memset(words, 1, SM_MAX_KEY);
	words[0] = number;
	return (sm_bytes) {words, len};
}

static void
prepare(uint64_t arena_size, uint64_t keys, uint32_t promote_ratio, bool one_bucket)
{
	static char value[MAX_LEN];

	sm_host_create(&host, arena_size, 1, -1, 1);
	host.engine.promote_ratio = promote_ratio;
	if (one_bucket)
		host.engine.hash_mask = 0;
	sm_map_open(&map, &host.engine, 1, 0, 0);
	sm_map_create(&map);
	for (uint64_t i = 0; i < keys; i++)
	{
		uint64_t words[SM_MAX_KEY / 8];
		size_t len = sm_rng_below(&rng, i % 1024 == 3 ? MAX_LEN : 40);
		sm_bytes key = make_key(words, i);

		memset(value, (int) i, len);
		sm_check(sm_put(&map, key, (sm_bytes) {value, len}, SM_NEVER) == SM_ABSENT,
				 "no room");
	}
}

/* Gets of keys that are there and of some that are not, for some seconds. */
static uint64_t
test_map(uint64_t keys, double seconds, int64_t most)
{
	uint64_t end = sm_now_ns() + (uint64_t) (seconds * 1e9);
	uint64_t calls = 0;

	for (; sm_now_ns() < end; calls++)
	{
		uint64_t words[SM_MAX_KEY / 8];
		uint64_t number = sm_rng_below(&rng, keys + 2);

		if (sm_rng_below(&rng, 4) == 0)
			number = 3;
		try_call(make_key(words, number), most);
	}
	sm_map_destroy(&map);
	sm_host_detach(&host);
	return calls;
}

int
main(int argc, char **argv)
{
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	double seconds = (double) sm_argument(argc, argv, 2, 4);
	uint64_t calls = 0;

	sm_set_context("hostile, seed %lu\n", (unsigned long) seed);
	rng = sm_rng_seed(seed);
	prepare(1 << 20, 5, 100, false);
	calls += test_map(5, seconds / 4, 60);
	prepare(1 << 20, 200, 30, true);
	calls += test_map(200, seconds / 4, 2000);
	prepare(4 << 20, 360, 30, false); /* while it grows */
	calls += test_map(360, seconds / 4, 60);
	prepare(64 << 20, 200000, 30, false); /* two levels of directory */
	calls += test_map(200000, seconds / 4, 60);
	printf("seed %lu: %lu calls\n", (unsigned long) seed, (unsigned long) calls);
	return 0;
}
