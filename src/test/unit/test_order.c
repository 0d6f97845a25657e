/*
 * test_order.c
 *	  The order of keys alone: runs of neighbouring keys come and go, as in a queue.
 *
 *	  test_order [seed [seconds]]
 *
 * Runs empty whole leaves and fill the gaps that they leave, which keys drawn one by one
 * seldom do.  After each operation its key must be found, or not; after each run all keys
 * must, and a walk must give them in order.  Keys are numbers close to each other, far
 * from each other, or texts of several lengths with beginnings in common.
 */
#include "check.h"
#include "log.h"
#include "order_node.h"
#include "port.h"
#include "port_posix.h"

/* enough for three levels, as far as memory goes */
#define KEYS	  (SM_NODE_SLOTS < 60 ? 4000 : 150000)
#define KEY_MAX	  40
#define ENTRY_MAX (8 + KEY_MAX + 8)
#define PER_PAGE  (SM_PAGE_SIZE / ENTRY_MAX)

static sm_host host;
static const sm_arena *arena;
static sm_order order;
static uint64_t pages[KEYS / PER_PAGE + 1];
static bool there[KEYS];
static int kind; /* of keys, see above */

static uint64_t
entry_of(int i)
{
	return pages[i / PER_PAGE] + (uint64_t) (i % PER_PAGE) * ENTRY_MAX;
}

/* Key number i, in the order of the numbers. */
static sm_bytes
key_of(int i)
{
	static char bytes[KEY_MAX + 1];
	uint32_t number = __builtin_bswap32((uint32_t) i * (kind == 0 ? 1 : 20011));

	if (kind < 2)
	{
		memcpy(bytes, &number, sizeof(number));
		return (sm_bytes) {bytes, sizeof(number)};
	}
	return (sm_bytes) {bytes,
					   (size_t) snprintf(bytes, sizeof(bytes), "%.*s%04d:%05d%.*s",
										 i / 700 % 3 * 7, "session:of:a:user:", i / 700,
										 i, i % 5, "xxxxx")};
}

static int
compare(sm_bytes a, sm_bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order_of = memcmp(a.data, b.data, len);

	return order_of != 0 ? order_of : (a.len > b.len) - (a.len < b.len);
}

/* Keys that all begin with their number are in its order; others must be sorted. */
static int numbers[KEYS];

static int
compare_numbers(const void *a, const void *b)
{
	char bytes[KEY_MAX];
	sm_bytes key = key_of(*(const int *) a);

	memcpy(bytes, key.data, key.len);
	return compare((sm_bytes) {bytes, key.len}, key_of(*(const int *) b));
}

static void
make_entries(void)
{
	for (int i = 0; i < KEYS; i++)
		numbers[i] = i;
	qsort(numbers, KEYS, sizeof(int), compare_numbers);
	for (int i = 0; i < KEYS; i++)
	{
		sm_bytes key = key_of(numbers[i]);

		sm_store(sm_at(arena, entry_of(i)), sm_head(key.len, 8, 0, 0));
		sm_copy_in(sm_at(arena, entry_of(i) + 8), key.data, key.len);
	}
	memset(there, 0, sizeof(there));
}

static bool
is_found(int i)
{
	sm_bound bound = {key_of(numbers[i]), true};
	sm_walk walk;

	sm_order_seek(&walk, arena, &order, &bound, false);
	return sm_order_next(&walk) == entry_of(i);
}

static void
check_all(void)
{
	sm_walk walk;

	sm_order_seek(&walk, arena, &order, NULL, false);
	for (int i = 0; i < KEYS; i++)
	{
		if (!there[i])
			continue;
		sm_check(sm_order_next(&walk) == entry_of(i), "a walk does not give key %d", i);
		sm_check(is_found(i), "key %d is there, and not found", i);
	}
	sm_check(sm_order_next(&walk) == 0, "a walk gives more than there is");

	sm_order_seek(&walk, arena, &order, NULL, true);
	for (int i = KEYS - 1; i >= 0; i--)
	{
		if (there[i])
			sm_check(sm_order_next(&walk) == entry_of(i),
					 "a walk backwards does not give key %d", i);
	}
	sm_check(sm_order_next(&walk) == 0, "a walk backwards gives more than there is");
}

/* The first that a walk gives which begins at some key, there or not, and the next one. */
static void
check_seek(sm_rng *rng)
{
	int from = (int) sm_rng_below(rng, KEYS);
	bool descending = sm_rng_below(rng, 2) == 0;
	sm_bound bound = {key_of(numbers[from]), sm_rng_below(rng, 2) == 0};
	int step = descending ? -1 : 1;
	int i = bound.inclusive ? from : from + step;
	sm_walk walk;

	sm_order_seek(&walk, arena, &order, &bound, descending);
	for (int n = 0; n < 2; n++, i += step)
	{
		while (i >= 0 && i < KEYS && !there[i])
			i += step;
		sm_check(sm_order_next(&walk) == (i >= 0 && i < KEYS ? entry_of(i) : 0),
				 "a walk from key %d on does not give key %d", from, i);
	}
}

static void
put(int i)
{
	sm_bytes key = key_of(numbers[i]);
	sm_order_place place;

	sm_check(sm_order_reserve(arena, &order, key, &place), "out of memory");
	sm_order_insert(arena, &place, entry_of(i));
	there[i] = true;
	sm_check(is_found(i), "key %d was put, and is not found", i);
}

static void
take_out(int i)
{
	sm_check(is_found(i), "key %d is there, and not found", i);
	sm_order_remove(arena, &order, key_of(numbers[i]));
	there[i] = false;
	sm_check(!is_found(i), "key %d was removed, and is found", i);
}

/* Puts or removes most keys of a run, upwards or downwards. */
static void
run(sm_rng *rng)
{
	int most = (int[]) {60, 800, KEYS / 4}[sm_rng_below(rng, 3)];
	int start = (int) sm_rng_below(rng, KEYS);
	int length = 1 + (int) sm_rng_below(rng, (uint64_t) most);
	uint64_t percent = 30 + sm_rng_below(rng, 71);
	bool puts = sm_rng_below(rng, 2) == 0;
	bool downwards = sm_rng_below(rng, 2) == 0;

	for (int j = 0; j < length; j++)
	{
		int i = start + (downwards ? length - 1 - j : j);

		if (i >= KEYS || there[i] == puts || sm_rng_below(rng, 100) >= percent)
			continue;
		if (puts)
			put(i);
		else
			take_out(i);
	}
}

int
main(int argc, char **argv)
{
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	uint64_t end = sm_now_ns() + sm_argument(argc, argv, 2, 2) * 1000000000;
	sm_rng rng = sm_rng_seed(seed);
	uint32_t fresh;
	int runs = 0;

	sm_set_context("order, seed %lu\n", (unsigned long) seed);
	sm_host_create(&host, (uint64_t) (KEYS / PER_PAGE + 8000) * SM_PAGE_SIZE, 1, -1,
				   seed);
	arena = &host.engine.arena;
	for (size_t i = 0; i <= KEYS / PER_PAGE; i++)
		pages[i] = (uint64_t) sm_port_alloc_pages(1) * SM_PAGE_SIZE;
	fresh = sm_host_free_pages();
	while (sm_now_ns() < end)
	{
		kind = (int) sm_rng_below(&rng, 3);
		make_entries();
		for (int i = 0; i < 100 && sm_now_ns() < end; i++)
		{
			run(&rng);
			runs++;
			for (int j = 0; j < 50; j++)
				check_seek(&rng);
			if (KEYS < 10000 || i % 10 == 9)
				check_all();
		}
		check_all();
		for (int i = 0; i < KEYS; i++)
			if (there[i])
				take_out(i);
		sm_check(order.root == 0 && sm_host_free_pages() == fresh, "pages are lost");
	}
	sm_host_detach(&host);
	printf("seed %lu, %d runs of keys\n", (unsigned long) seed, runs);
	return 0;
}
