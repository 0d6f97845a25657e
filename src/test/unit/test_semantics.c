/*
 * test_semantics.c
 *	  What sync.Map promises, case by case, under a good hash and two bad ones.
 *
 *	  test_semantics whole|truncated|constant
 *
 * The cases are those of Go's own tests (src/sync/map_test.go and
 * src/internal/sync/hashtriemap_test.go), in our words; sql/semantics.sql tells those of
 * one session in SQL.  Those of replace and of pairs are ours: Go has none of them.
 * Keys and values are numbers.  Each case starts with an empty map,
 * and when it is cleared afterwards, all memory must be back.
 */
#include "check.h"
#include "port_posix.h"

#include <pthread.h>

#define KEYS	300
#define THREADS 4
#define ROUNDS	20
#define NONE	INT64_C(-1)
#define WRONG	INT64_C(-2)

static sm_host host;
static sm_map map;

/* A handle is one thread's. */
static _Thread_local sm_map *my = &map;

/* ---- operations on numbers ---- */

static sm_bytes
bytes_of(const int64_t *number)
{
	return (sm_bytes) {number, sizeof(*number)};
}

/* Is the key there?  SM_ABSENT means the same of all operations. */
static bool
there(sm_status status)
{
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d", status);
	return status == SM_FOUND;
}

static bool
put(int64_t key, int64_t value)
{
	return there(sm_put(my, bytes_of(&key), bytes_of(&value), SM_NEVER));
}

static bool
delete_key(int64_t key)
{
	return there(sm_delete(my, bytes_of(&key)));
}

/* The number that was copied, or NONE. */
static int64_t
number_if(bool found, const sm_buffer *buffer)
{
	if (!found)
		return NONE;
	sm_check(buffer->len == sizeof(int64_t), "a value of %zu bytes", buffer->len);
	return *(const int64_t *) buffer->data;
}

static int64_t
get(int64_t key)
{
	int64_t value = WRONG;
	sm_buffer buffer = {.data = &value, .size = sizeof(value)};
	int64_t found = number_if(there(sm_get(my, bytes_of(&key), &buffer)), &buffer);

	return found;
}

/* What is there afterwards; *loaded: it was there before. */
static int64_t
get_or_put(int64_t key, int64_t value, bool *loaded)
{
	int64_t old = WRONG;
	sm_buffer buffer = {.data = &old, .size = sizeof(old)};

	*loaded =
		there(sm_get_or_put(my, bytes_of(&key), bytes_of(&value), SM_NEVER, &buffer));
	return *loaded ? number_if(true, &buffer) : value;
}

static int64_t
swap(int64_t key, int64_t value)
{
	int64_t old = WRONG;
	sm_buffer buffer = {.data = &old, .size = sizeof(old)};
	bool found =
		there(sm_swap(my, bytes_of(&key), bytes_of(&value), SM_NEVER, &buffer));

	return number_if(found, &buffer);
}

static int64_t
get_and_delete(int64_t key)
{
	int64_t old = WRONG;
	sm_buffer buffer = {.data = &old, .size = sizeof(old)};
	bool found = there(sm_get_and_delete(my, bytes_of(&key), &buffer));

	return number_if(found, &buffer);
}

static bool
compare_and_swap(int64_t key, int64_t old, int64_t value)
{
	sm_status status = sm_compare_and_swap(my, bytes_of(&key), bytes_of(&old),
										   bytes_of(&value), SM_NEVER);

	return status != SM_MISMATCH && there(status);
}

static bool
compare_and_delete(int64_t key, int64_t old)
{
	sm_status status = sm_compare_and_delete(my, bytes_of(&key), bytes_of(&old));

	return status != SM_MISMATCH && there(status);
}

static int
add_one(void *arg, const void *old, size_t old_len, void *new_value)
{
	int64_t sum = 1;

	(void) arg;
	if (old != NULL && old_len == sizeof(sum))
		sum += *(const int64_t *) old;
	memcpy(new_value, &sum, sizeof(sum));
	return sizeof(sum);
}

static void
increment(int64_t key)
{
	there(sm_update(my, bytes_of(&key), add_one, NULL, SM_NEVER));
}

/* Calls visit with each pair, until it returns false. */
typedef bool (*visitor)(int64_t key, int64_t value, void *arg);

static void
range(visitor visit, void *arg)
{
	size_t size = 1 << 20;
	sm_buffer buffer = {.data = malloc(size), .size = size};
	sm_cursor cursor = {0, 0};
	sm_status status;

	do
	{
		const char *at = buffer.data;

		status = sm_range(my, &cursor, &buffer);
		while (there(status) && at < (char *) buffer.data + buffer.len)
		{
			const sm_pair *pair = (const sm_pair *) at;
			const int64_t *key = (const int64_t *) (pair + 1);

			sm_check(pair->key_len == sizeof(*key) && pair->value_len == sizeof(*key),
					 "a pair of %u and %u bytes", pair->key_len, pair->value_len);
			if (!visit(key[0], key[1], arg))
				status = SM_ABSENT;
			at += sm_pair_size(pair);
		}
	} while (status == SM_FOUND);
	free(buffer.data);
}

/* ---- many keys ---- */

static void
fill(void)
{
	for (int64_t i = 0; i < KEYS; i++)
		sm_check(!put(i, i), "key %ld is new, and was there", (long) i);
}

static void
check_key(int64_t key, int64_t value)
{
	int64_t found = get(key);

	sm_check(found == value, "key %ld has %ld, not %ld", (long) key, (long) found,
			 (long) value);
	sm_check((sm_contains(my, bytes_of(&key)) == SM_FOUND) == (value != NONE),
			 "contains and get of key %ld differ", (long) key);
}

/* All keys from here to there have the value that is key + more, or none. */
static void
check_keys(int64_t from, int64_t to, int64_t more)
{
	for (int64_t i = from; i < to; i++)
		check_key(i, more == NONE ? NONE : i + more);
}

typedef struct sightings
{
	int64_t values[KEYS];
	int count;
} sightings;

static bool
see(int64_t key, int64_t value, void *arg)
{
	sightings *seen = arg;

	sm_check(key >= 0 && key < KEYS, "a range gave key %ld", (long) key);
	sm_check(seen->values[key] == NONE, "a range gave key %ld twice", (long) key);
	seen->values[key] = value;
	seen->count++;
	return true;
}

static sightings
look(void)
{
	sightings seen = {.count = 0};

	for (int i = 0; i < KEYS; i++)
		seen.values[i] = NONE;
	range(see, &seen);
	return seen;
}

/* A range gives what gets give, and count says how many. */
static void
check_range(int count)
{
	sightings seen = look();

	for (int64_t i = 0; i < KEYS; i++)
		check_key(i, seen.values[i]);
	sm_check(seen.count == count, "a range of %d keys, not %d", seen.count, count);
	sm_check(sm_count(my) == (uint64_t) count, "a count of %lu, not %d",
			 (unsigned long) sm_count(my), count);
}

/* ---- one thread ---- */

static void
empty_map_has_nothing(void)
{
	check_keys(0, KEYS, NONE);
	check_range(0);
}

static void
get_finds_each_key(void)
{
	fill();
	check_keys(0, KEYS, 0);
	check_key(KEYS, NONE);
	check_range(KEYS);
}

static void
put_overwrites(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i++)
		sm_check(put(i, i + 7), "key %ld is new", (long) i);
	check_keys(0, KEYS, 7);
	check_range(KEYS);
}

static void
put_of_one_changes_no_other(void)
{
	fill();
	put(5, 1005);
	check_key(5, 1005);
	check_keys(0, 5, 0);
	check_keys(6, KEYS, 0);
}

static void
get_or_put_stores_once(void)
{
	bool loaded;

	for (int64_t i = 0; i < KEYS; i++)
	{
		sm_check(get_or_put(i, i, &loaded) == i && !loaded, "key %ld was there",
				 (long) i);
		sm_check(get_or_put(i, i + 1, &loaded) == i && loaded, "key %ld is lost",
				 (long) i);
	}
	check_keys(0, KEYS, 0);
}

static void
get_or_put_after_delete_stores(void)
{
	bool loaded;

	fill();
	delete_key(9);
	sm_check(get_or_put(9, 90, &loaded) == 90 && !loaded, "key 9 came back");
	check_key(9, 90);
	check_range(KEYS);
}

static void
swap_of_a_new_key_finds_nothing(void)
{
	for (int64_t i = 0; i < KEYS; i++)
		sm_check(swap(i, i) == NONE, "key %ld was there", (long) i);
	check_keys(0, KEYS, 0);
}

static void
swap_returns_what_was(void)
{
	fill();
	for (int64_t more = 1; more < 5; more++)
		for (int64_t i = 0; i < KEYS; i++)
			sm_check(swap(i, i + more) == i + more - 1, "another value of key %ld",
					 (long) i);
	check_keys(0, KEYS, 4);
}

static void
swap_of_one_changes_no_other(void)
{
	fill();
	sm_check(swap(8, 1008) == 8, "another value");
	sm_check(swap(8, 8) == 1008, "another value");
	check_range(KEYS);
	check_keys(0, KEYS, 0);
}

static void
compare_and_swap_of_no_key_stores_nothing(void)
{
	sm_check(!compare_and_swap(1, 0, 5), "swapped nothing");
	sm_check(!compare_and_swap(1, NONE, 5), "swapped nothing");
	check_range(0);
}

static void
compare_and_swap_needs_the_value(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i++)
	{
		sm_check(!compare_and_swap(i, i + 1, i + 2), "swapped another value");
		sm_check(compare_and_swap(i, i, i + 1), "did not swap key %ld", (long) i);
		sm_check(!compare_and_swap(i, i, i + 2), "swapped an old value");
	}
	check_keys(0, KEYS, 1);
}

static void
compare_and_swap_by_the_same_is_done(void)
{
	fill();
	sm_check(compare_and_swap(3, 3, 3), "refused");
	check_keys(0, KEYS, 0);
}

static void
compare_and_swap_again_and_again(void)
{
	fill();
	for (int64_t more = 0; more < 5; more++)
		for (int64_t i = 0; i < KEYS; i++)
			sm_check(compare_and_swap(i, i + more, i + more + 1), "did not swap %ld",
					 (long) i);
	check_keys(0, KEYS, 5);
}

static void
compare_and_swap_of_some_changes_no_other(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i += 10)
		sm_check(compare_and_swap(i, i, -i - 10), "did not swap %ld", (long) i);
	for (int64_t i = 0; i < KEYS; i++)
		check_key(i, i % 10 == 0 ? -i - 10 : i);
}

static void
compare_and_swap_after_delete_finds_nothing(void)
{
	fill();
	delete_key(4);
	sm_check(!compare_and_swap(4, 4, 5), "swapped what was deleted");
	check_key(4, NONE);
}

static void
compare_and_delete_of_no_key_finds_nothing(void)
{
	sm_check(!compare_and_delete(1, 0) && !compare_and_delete(1, NONE),
			 "deleted nothing");
	check_range(0);
}

static void
compare_and_delete_needs_the_value(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i++)
	{
		sm_check(!compare_and_delete(i, i + 1), "deleted another value");
		check_key(i, i);
		sm_check(compare_and_delete(i, i), "did not delete key %ld", (long) i);
		sm_check(!compare_and_delete(i, i), "deleted key %ld twice", (long) i);
	}
	check_range(0);
}

static void
compare_and_delete_of_one_changes_no_other(void)
{
	fill();
	sm_check(compare_and_delete(7, 7), "did not delete");
	check_key(7, NONE);
	check_range(KEYS - 1);
}

static void
compare_and_delete_after_overwrite_needs_the_new_value(void)
{
	fill();
	put(6, 66);
	sm_check(!compare_and_delete(6, 6), "deleted what was overwritten");
	sm_check(compare_and_delete(6, 66), "did not delete");
	check_range(KEYS - 1);
}

/* ---- replacing, and comparing pairs: a value and when it expires ---- */

#define LARGE  40000
#define MIDDLE 3000

/* The i-th value of each kind of place: in its entry, in a larger one, in extents. */
static sm_bytes
value_in(int place, int i)
{
	static const size_t lens[] = {8, MIDDLE, LARGE};
	static char bytes[3 * 4][LARGE];
	char *value = bytes[place * 4 + i];

	memset(value, 'a' + i, LARGE);
	return (sm_bytes) {value, lens[place]};
}

/* The key has exactly this, or with data NULL is not there. */
static void
check_pair(int64_t key, sm_bytes value, int64_t wanted)
{
	static char found[LARGE];
	sm_buffer buffer = {.data = found, .size = sizeof(found)};
	int64_t expires = 0;
	sm_status status = sm_get_expiry(my, bytes_of(&key), &buffer, &expires);

	if (value.data == NULL)
	{
		sm_check(status == SM_ABSENT, "status %d of key %ld", status, (long) key);
		return;
	}
	sm_check(status == SM_FOUND, "status %d of key %ld", status, (long) key);
	sm_check(buffer.len == value.len && memcmp(found, value.data, value.len) == 0,
			 "another value of key %ld", (long) key);
	sm_check(expires == wanted, "key %ld expires at %ld", (long) key, (long) expires);
}

static void
replace_of_no_key_stores_nothing(void)
{
	for (int place = 0; place < 3; place++)
	{
		int64_t key = place;
		sm_bytes v = value_in(place, 0);

		sm_check(sm_replace(my, bytes_of(&key), v, SM_NEVER) == SM_ABSENT, "replaced");
		sm_check(sm_replace(my, bytes_of(&key), v, 500) == SM_ABSENT, "replaced");
		sm_check(sm_replace(my, bytes_of(&key), v, SM_KEEP) == SM_ABSENT, "replaced");
		check_pair(key, (sm_bytes) {NULL, 0}, 0);
		put(key, 1);
		sm_check(sm_replace(my, bytes_of(&key), v, SM_NEVER) == SM_FOUND, "not there");
		check_pair(key, v, SM_NEVER);
		delete_key(key);
		sm_check(sm_replace(my, bytes_of(&key), v, SM_NEVER) == SM_ABSENT, "replaced");
	}
	sm_check(sm_count(my) == 0, "keys are left");
}

/* From every place to every other, with an expiry and without. */
static void
put_and_replace_keep_when_it_expires(void)
{
	for (int how = 0; how < 2 * 9 * 2; how++)
	{
		int64_t key = how;
		int64_t expires = how % 2 == 0 ? 1000 + how : SM_NEVER;
		sm_bytes before = value_in(how / 2 % 3, 1);
		sm_bytes after = value_in(how / 6 % 3, 2);

		sm_check(sm_put(my, bytes_of(&key), before, SM_KEEP) == SM_ABSENT, "there");
		check_pair(key, before, SM_NEVER);
		sm_put(my, bytes_of(&key), before, expires);
		sm_check((how < 18 ? sm_put : sm_replace)(my, bytes_of(&key), after, SM_KEEP) ==
					 SM_FOUND,
				 "not there");
		check_pair(key, after, expires);
		sm_replace(my, bytes_of(&key), before, 77);
		check_pair(key, before, 77);
		sm_replace(my, bytes_of(&key), before, SM_NEVER);
		check_pair(key, before, SM_NEVER);
	}
}

/* Also while a snapshot is open, which has the pairs of before. */
static void
compare_pair_needs_value_and_expiry(void)
{
	sm_snapshot snapshot;

	for (int64_t key = 0; key < 6; key++)
		sm_put(my, bytes_of(&key), value_in((int) key / 2, 0),
			   key % 2 == 0 ? 900 : SM_NEVER);
	sm_check(sm_snapshot_open(my, &snapshot) == SM_FOUND, "no snapshot");
	for (int64_t key = 0; key < 6; key++)
	{
		int place = (int) key / 2;
		int64_t is = key % 2 == 0 ? 900 : SM_NEVER;
		int64_t other = key % 2 == 0 ? SM_NEVER : 900;
		sm_bytes old = value_in(place, 0);
		sm_bytes wrong = value_in(place, 1);
		sm_bytes next = value_in((place + 1) % 3, 2);
		sm_bytes k = bytes_of(&key);

		sm_check(sm_compare_pair_and_swap(my, k, old, other, next, 5) == SM_MISMATCH &&
					 sm_compare_pair_and_swap(my, k, wrong, is, next, 5) ==
						 SM_MISMATCH &&
					 sm_compare_pair_and_swap(my, k, old, 901, next, 5) == SM_MISMATCH,
				 "swapped another pair");
		sm_check(sm_compare_pair_and_delete(my, k, old, other) == SM_MISMATCH &&
					 sm_compare_pair_and_delete(my, k, wrong, is) == SM_MISMATCH &&
					 sm_compare_pair_and_delete(my, k, old, 899) == SM_MISMATCH,
				 "deleted another pair");
		check_pair(key, old, is);
		sm_check(sm_compare_pair_and_swap(my, k, old, is, next, SM_KEEP) == SM_FOUND,
				 "did not swap");
		check_pair(key, next, is);
		sm_check(sm_compare_pair_and_swap(my, k, next, is, old, 800) == SM_FOUND,
				 "did not swap");
		check_pair(key, old, 800);
		/* the value alone is not enough, and was */
		sm_check(sm_compare_and_swap(my, k, old, wrong, is) == SM_FOUND,
				 "did not swap");
		sm_check(sm_compare_pair_and_delete(my, k, wrong, 800) == SM_MISMATCH,
				 "deleted another pair");
		sm_check(sm_compare_pair_and_delete(my, k, wrong, is) == SM_FOUND,
				 "did not delete");
		check_pair(key, (sm_bytes) {NULL, 0}, 0);
		sm_check(sm_compare_pair_and_delete(my, k, wrong, is) == SM_ABSENT &&
					 sm_compare_pair_and_swap(my, k, wrong, is, old, 5) == SM_ABSENT,
				 "found what was deleted");
	}
	for (uint32_t shard = 0, kept = 0; shard < 4; shard++)
	{
		static char room[4 * LARGE];
		sm_changes changes = {0};
		sm_buffer pairs = {.data = room, .size = sizeof(room)};

		while (sm_snapshot_changes(my, &snapshot, shard, &changes, &pairs) == SM_FOUND)
		{
			for (size_t at = 0; at < pairs.len; kept++)
			{
				const sm_pair *pair = (const sm_pair *) (room + at);
				int64_t key;

				memcpy(&key, pair + 1, sizeof(key));
				sm_check(pair->value_len == value_in((int) key / 2, 0).len &&
							 pair->expires == (key % 2 == 0 ? 900 : SM_NEVER) &&
							 *((const char *) (pair + 1) + 8) == 'a',
						 "the snapshot has another pair of key %ld", (long) key);
				at += sm_pair_size(pair);
			}
		}
		sm_check(shard < 3 || kept == 6, "the snapshot has %u keys", kept);
	}
	sm_snapshot_close(my, &snapshot);
}

static void
compare_pair_finds_no_key_that_has_expired(void)
{
	int64_t key = 1;
	sm_bytes k = bytes_of(&key);

	for (int place = 0; place < 3; place++)
	{
		sm_bytes v = value_in(place, 0);

		sm_put(my, k, v, 100);
		sm_host_set_clock(100);
		sm_check(sm_compare_pair_and_swap(my, k, v, 100, v, SM_NEVER) == SM_ABSENT,
				 "swapped what had expired");
		sm_host_set_clock(0);
		sm_put(my, k, v, 100);
		sm_host_set_clock(100);
		sm_check(sm_compare_pair_and_delete(my, k, v, 100) == SM_ABSENT,
				 "deleted what had expired");
		sm_host_set_clock(0);
		sm_put(my, k, v, 100);
		sm_host_set_clock(100);
		sm_check(sm_replace(my, k, v, SM_KEEP) == SM_ABSENT,
				 "replaced what had expired");
		sm_check(sm_put(my, k, v, SM_KEEP) == SM_ABSENT, "kept what had expired");
		check_pair(key, v, SM_NEVER);
		sm_host_set_clock(0);
		delete_key(key);
	}
}

static void
delete_of_no_key_finds_nothing(void)
{
	sm_check(!delete_key(1), "deleted nothing");
	fill();
	sm_check(!delete_key(KEYS), "deleted nothing");
	check_range(KEYS);
}

static void
delete_takes_each_key_once(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i++)
	{
		sm_check(delete_key(i), "key %ld was not there", (long) i);
		sm_check(!delete_key(i), "key %ld is still there", (long) i);
		check_keys(i + 1, KEYS, 0);
	}
	check_range(0);
}

static void
get_and_delete_of_no_key_finds_nothing(void)
{
	sm_check(get_and_delete(1) == NONE, "found something");
	check_range(0);
}

static void
get_and_delete_returns_a_value_once(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i++)
	{
		sm_check(get_and_delete(i) == i, "another value of key %ld", (long) i);
		sm_check(get_and_delete(i) == NONE, "key %ld twice", (long) i);
	}
	check_range(0);
}

static void
get_and_delete_of_some_leaves_the_others(void)
{
	fill();
	for (int64_t i = 0; i < KEYS; i += 3)
		sm_check(get_and_delete(i) == i, "another value of key %ld", (long) i);
	for (int64_t i = 0; i < KEYS; i++)
		check_key(i, i % 3 == 0 ? NONE : i);
	check_range(KEYS - KEYS / 3);
}

static void
deleted_keys_can_be_stored_again(void)
{
	bool loaded;

	for (int64_t round = 0; round < 5; round++)
	{
		for (int64_t i = 0; i < KEYS; i++)
		{
			bool was = round % 3 == 0 ? put(i, i) :
				round % 3 == 1		  ? swap(i, i) != NONE :
										(get_or_put(i, i, &loaded), loaded);

			sm_check(!was, "key %ld was there", (long) i);
		}
		check_range(KEYS);
		for (int64_t i = 0; i < KEYS; i++)
			sm_check(round % 2 == 0 ? delete_key(i) : compare_and_delete(i, i),
					 "key %ld was not there", (long) i);
		check_range(0);
	}
}

static void
deleted_keys_leave_no_memory(void)
{
	uint64_t pages = 0;

	for (int round = 0; round < 50; round++)
	{
		fill();
		for (int64_t i = 0; i < KEYS; i++)
			delete_key(i);
		if (round == 5)
			pages = sm_map_pages(&map);
	}
	sm_check(sm_map_pages(&map) <= pages, "%lu pages, and before %lu",
			 (unsigned long) sm_map_pages(&map), (unsigned long) pages);
}

static void
clear_takes_all(void)
{
	bool loaded;

	sm_check(sm_clear(my) == SM_FOUND, "clear failed");
	fill();
	sm_check(sm_clear(my) == SM_FOUND, "clear failed");
	check_range(0);
	sm_check(!compare_and_swap(1, 1, 2) && !compare_and_delete(1, 1) && !delete_key(1),
			 "something is left");
	sm_check(get_or_put(1, 5, &loaded) == 5 && !loaded, "something is left");
	sm_clear(my);
	fill();
	check_range(KEYS);
}

static void
keys_and_values_may_be_empty(void)
{
	static const sm_bytes empty = {"", 0};
	static const sm_bytes zero = {"\0", 1};
	char out[8];
	sm_buffer buffer = {.data = out, .size = sizeof(out), .len = 8};

	sm_check(sm_put(my, empty, empty, SM_NEVER) == SM_ABSENT, "it was there");
	sm_check(sm_get(my, zero, &buffer) == SM_ABSENT, "another key");
	sm_check(sm_get(my, empty, &buffer) == SM_FOUND && buffer.len == 0, "not empty");
	sm_check(sm_compare_and_swap(my, empty, zero, zero, SM_NEVER) == SM_MISMATCH,
			 "an empty value is none with a zero");
	sm_check(sm_compare_and_swap(my, empty, empty, zero, SM_NEVER) == SM_FOUND,
			 "refused");
	sm_check(sm_compare_and_delete(my, empty, empty) == SM_MISMATCH, "an old value");
	sm_check(sm_get_and_delete(my, empty, &buffer) == SM_FOUND && buffer.len == 1,
			 "another value");
	sm_check(sm_count(my) == 0, "it is still there");
}

/* Random operations, each compared with an array. */
static void
all_operations_agree_with_an_array(void)
{
	int64_t array[KEYS];
	sm_rng rng = sm_rng_seed(7);
	int count = 0;

	for (int i = 0; i < KEYS; i++)
		array[i] = NONE;
	for (int n = 0; n < 40000; n++)
	{
		int64_t key = (int64_t) sm_rng_below(&rng, KEYS);
		int64_t value = (int64_t) sm_rng_below(&rng, 4);
		int64_t *is = &array[key];
		bool was = *is != NONE;
		bool loaded;

		switch (sm_rng_below(&rng, 9))
		{
			case 0:
				sm_check(put(key, value) == was, "put");
				*is = value;
				break;
			case 1:
				sm_check(get(key) == *is, "get");
				break;
			case 2:
				sm_check(get_or_put(key, value, &loaded) == (was ? *is : value) &&
							 loaded == was,
						 "get_or_put");
				*is = was ? *is : value;
				break;
			case 3:
				sm_check(get_and_delete(key) == *is, "get_and_delete");
				*is = NONE;
				break;
			case 4:
				sm_check(delete_key(key) == was, "delete");
				*is = NONE;
				break;
			case 5:
				sm_check(swap(key, value) == *is, "swap");
				*is = value;
				break;
			case 6:
				sm_check(compare_and_swap(key, value, value + 1) == (*is == value),
						 "compare_and_swap");
				*is = *is == value ? value + 1 : *is;
				break;
			case 7:
				sm_check(compare_and_delete(key, value) == (*is == value),
						 "compare_and_delete");
				*is = *is == value ? NONE : *is;
				break;
			default:
				if (sm_rng_below(&rng, 100) == 0)
				{
					sm_clear(my);
					for (int i = 0; i < KEYS; i++)
						array[i] = NONE;
				}
		}
	}
	for (int64_t i = 0; i < KEYS; i++)
	{
		check_key(i, array[i]);
		count += array[i] != NONE;
	}
	check_range(count);
}

/* ---- ranges ---- */

static bool
count_to_ten(int64_t key, int64_t value, void *arg)
{
	(void) key;
	(void) value;
	return ++*(int *) arg < 10;
}

static void
range_ends_when_told(void)
{
	int count = 0;

	fill();
	range(count_to_ten, &count);
	sm_check(count == 10, "%d pairs, not 10", count);
}

static bool
see_and_delete(int64_t key, int64_t value, void *arg)
{
	see(key, value, arg);
	return delete_key(key);
}

static void
range_may_delete_what_it_gives(void)
{
	sightings seen = {.count = 0};

	fill();
	memset(seen.values, 0xff, sizeof(seen.values)); /* NONE */
	range(see_and_delete, &seen);
	sm_check(seen.count == KEYS, "%d keys, not %d", seen.count, KEYS);
	check_range(0);
}

static bool
see_and_store(int64_t key, int64_t value, void *arg)
{
	if (key < KEYS)
		see(key, value, arg);
	put(key, value + 1);
	put(KEYS + key, 1);
	return key < 4 * KEYS;
}

static void
range_may_store_meanwhile(void)
{
	sightings seen = {.count = 0};

	fill();
	memset(seen.values, 0xff, sizeof(seen.values));
	range(see_and_store, &seen);
	sm_check(seen.count == KEYS, "%d keys, not %d", seen.count, KEYS);
	check_keys(0, KEYS, 1);
}

static bool
clear_all(int64_t key, int64_t value, void *arg)
{
	see(key, value, arg);
	sm_clear(my);
	return true;
}

static void
range_may_clear(void)
{
	sightings seen = {.count = 0};

	fill();
	memset(seen.values, 0xff, sizeof(seen.values));
	range(clear_all, &seen);
	sm_check(seen.count > 0, "nothing was given");
	check_range(0);
}

static bool
look_again(int64_t key, int64_t value, void *arg)
{
	see(key, value, arg);
	if (key % 10 == 0)
		sm_check(look().count == KEYS, "a range within lacks keys");
	return true;
}

static void
range_within_a_range(void)
{
	sightings seen = {.count = 0};

	fill();
	memset(seen.values, 0xff, sizeof(seen.values));
	range(look_again, &seen);
	sm_check(seen.count == KEYS, "the range without lacks keys");
	check_range(KEYS);
}

/* ---- some threads at once ---- */

static pthread_barrier_t barrier;
static sm_map handles[THREADS];
static void (*part)(int64_t thread);
static int64_t sums[THREADS];

static void *
run_part(void *arg)
{
	int64_t thread = (int64_t) (intptr_t) arg;

	my = &handles[thread];
	sm_map_open(my, &host.engine, map.id, map.first_shard, map.shard_bits);
	sums[thread] = 0;
	pthread_barrier_wait(&barrier);
	part(thread);
	return NULL;
}

/* The sum of what the threads have counted. */
static int64_t
at_once(void (*what)(int64_t thread))
{
	pthread_t threads[THREADS];
	int64_t sum = 0;

	part = what;
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int64_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run_part, (void *) (intptr_t) i);
	for (int64_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	for (int64_t i = 0; i < THREADS; i++)
		sum += sums[i];
	return sum;
}

/* A key's life, with nobody else about: what it does must show at once. */
static void
live(int64_t key, int64_t round)
{
	bool loaded;
	int64_t value = key + round;

	check_key(key, NONE);
	switch (round % 3)
	{
		case 0:
			sm_check(!put(key, value), "key %ld was there", (long) key);
			break;
		case 1:
			sm_check(get_or_put(key, value, &loaded) == value && !loaded, "was there");
			break;
		default:
			sm_check(swap(key, value) == NONE, "key %ld was there", (long) key);
	}
	check_key(key, value);
	sm_check(!compare_and_swap(key, value + 1, 0), "swapped another value");
	sm_check(compare_and_swap(key, value, value + 1), "did not swap");
	sm_check(swap(key, value + 2) == value + 1, "another value");
	sm_check(get_or_put(key, 0, &loaded) == value + 2 && loaded, "another value");
	switch (round % 3)
	{
		case 0:
			sm_check(compare_and_delete(key, value + 2), "did not delete");
			break;
		case 1:
			sm_check(get_and_delete(key) == value + 2, "another value");
			break;
		default:
			sm_check(delete_key(key), "did not delete");
	}
	check_key(key, NONE);
}

static void
live_alone(int64_t thread)
{
	for (int64_t round = 0; round < ROUNDS; round++)
		for (int64_t i = thread; i < KEYS; i += THREADS)
			live(i, round);
}

static void
keys_of_one_thread_each(void)
{
	at_once(live_alone);
	check_range(0);
}

static void
store_shared(int64_t thread)
{
	bool loaded;

	for (int64_t i = 0; i < KEYS; i++)
	{
		int64_t value = get_or_put(i, i * 10 + thread, &loaded);

		sm_check(value / 10 == i, "another key's value");
		sums[thread] += !loaded;
		check_key(i, value);
	}
}

static void
get_or_put_of_many_threads_stores_once(void)
{
	sm_check(at_once(store_shared) == KEYS, "a key was stored twice");
	check_range(KEYS);
}

static void
put_shared(int64_t thread)
{
	for (int64_t i = 0; i < KEYS; i++)
		sums[thread] += !put(i, i);
}

static void
put_of_many_threads_makes_a_key_once(void)
{
	sm_check(at_once(put_shared) == KEYS, "a key was made twice");
	check_keys(0, KEYS, 0);
	check_range(KEYS);
}

static void
delete_shared(int64_t thread)
{
	for (int64_t i = 0; i < KEYS; i++)
		sums[thread] += delete_key(i);
}

static void
delete_of_many_threads_is_done_once(void)
{
	fill();
	sm_check(at_once(delete_shared) == KEYS, "a key was deleted twice");
	check_range(0);
}

static void
get_and_delete_shared(int64_t thread)
{
	for (int64_t i = 0; i < KEYS; i++)
	{
		int64_t value = get_and_delete(i);

		sm_check(value == i || value == NONE, "another value");
		sums[thread] += value != NONE;
	}
}

static void
get_and_delete_of_many_threads_returns_a_value_once(void)
{
	fill();
	sm_check(at_once(get_and_delete_shared) == KEYS, "a value twice");
	check_range(0);
}

static void
compare_and_delete_shared(int64_t thread)
{
	for (int64_t i = 0; i < KEYS; i++)
		sums[thread] += compare_and_delete(i, i);
}

static void
compare_and_delete_of_many_threads_is_done_once(void)
{
	fill();
	sm_check(at_once(compare_and_delete_shared) == KEYS, "a key was deleted twice");
	check_range(0);
}

static void
compare_and_swap_shared(int64_t thread)
{
	for (int64_t round = 0; round < ROUNDS; round++)
		for (int64_t i = 0; i < KEYS; i++)
		{
			int64_t value = get(i);

			sums[thread] += compare_and_swap(i, value, value + 1);
		}
}

static void
compare_and_swap_of_many_threads_loses_none(void)
{
	int64_t done;
	int64_t sum = 0;

	fill();
	done = at_once(compare_and_swap_shared);
	for (int64_t i = 0; i < KEYS; i++)
		sum += get(i) - i;
	sm_check(sum == done, "%ld swaps, and they show %ld", (long) done, (long) sum);
}

/* Each value that was stored is returned once, or is there in the end. */
static void
swap_shared(int64_t thread)
{
	for (int64_t round = 0; round < ROUNDS; round++)
		for (int64_t i = 0; i < KEYS; i++)
		{
			int64_t value = 1 + round * THREADS + thread;
			int64_t old = swap(i, value);

			sums[thread] += value - (old == NONE ? 0 : old);
		}
}

static void
swap_of_many_threads_returns_each_value_once(void)
{
	int64_t left = at_once(swap_shared);
	int64_t sum = 0;

	for (int64_t i = 0; i < KEYS; i++)
		sum += get(i);
	sm_check(sum == left, "values of %ld are there, and %ld were not returned",
			 (long) sum, (long) left);
}

static void
increment_one(int64_t thread)
{
	for (int i = 0; i < 5000; i++)
		increment(thread >= 0);
}

static void
updates_of_one_key_lose_none(void)
{
	at_once(increment_one);
	check_key(1, INT64_C(5000) * THREADS);
}

/* All keys are there throughout; their values are multiples of them. */
static void
range_or_overwrite(int64_t thread)
{
	if (thread > 1)
	{
		for (int64_t n = 1; n < 4 * ROUNDS; n++)
			for (int64_t i = 0; i < KEYS; i++)
				put(i, i * n);
		return;
	}
	for (int n = 0; n < ROUNDS; n++)
	{
		sightings seen = look();

		sm_check(seen.count == KEYS, "%d keys, not %d", seen.count, KEYS);
		for (int64_t i = 1; i < KEYS; i++)
			sm_check(seen.values[i] % i == 0, "another key's value");
	}
}

static void
range_beside_writers_gives_each_key_once(void)
{
	fill();
	at_once(range_or_overwrite);
	check_range(KEYS);
}

/* The first half of the keys is there throughout. */
static void
range_or_delete(int64_t thread)
{
	if (thread > 1)
	{
		for (int n = 0; n < ROUNDS; n++)
			for (int64_t i = KEYS / 2 + thread; i < KEYS; i += 2)
			{
				put(i, i);
				delete_key(i);
			}
		return;
	}
	for (int n = 0; n < ROUNDS; n++)
	{
		sightings seen = look();

		for (int64_t i = 0; i < KEYS / 2; i++)
			sm_check(seen.values[i] == i, "key %ld was passed over", (long) i);
	}
}

static void
range_beside_deletes_gives_the_others(void)
{
	fill();
	at_once(range_or_delete);
	check_keys(0, KEYS / 2, 0);
}

static void
clear_or_live(int64_t thread)
{
	bool loaded;

	for (int64_t round = 0; round < ROUNDS; round++)
	{
		if (thread == 0)
			sm_clear(my);
		for (int64_t i = thread; i < KEYS; i += THREADS)
		{
			int64_t value = get_or_put(i, i, &loaded);

			sm_check(value == i, "another value");
			value = get(i);
			sm_check(value == i || value == NONE, "another value");
			sm_check(!compare_and_swap(i, i + 1, 0), "swapped another value");
		}
	}
}

static void
clear_beside_others_leaves_the_map_whole(void)
{
	sightings seen;

	at_once(clear_or_live);
	seen = look();
	for (int64_t i = 0; i < KEYS; i++)
		sm_check(seen.values[i] == i || seen.values[i] == NONE, "another value");
	check_range(seen.count);
	sm_clear(my);
	check_range(0);
}

/* ---- all of them ---- */

#define CASE(name)  \
	{               \
#name, name \
	}

static const struct
{
	const char *name;
	void (*run)(void);
} cases[] = {
	CASE(empty_map_has_nothing),
	CASE(get_finds_each_key),
	CASE(put_overwrites),
	CASE(put_of_one_changes_no_other),
	CASE(get_or_put_stores_once),
	CASE(get_or_put_after_delete_stores),
	CASE(swap_of_a_new_key_finds_nothing),
	CASE(swap_returns_what_was),
	CASE(swap_of_one_changes_no_other),
	CASE(compare_and_swap_of_no_key_stores_nothing),
	CASE(compare_and_swap_needs_the_value),
	CASE(compare_and_swap_by_the_same_is_done),
	CASE(compare_and_swap_again_and_again),
	CASE(compare_and_swap_of_some_changes_no_other),
	CASE(compare_and_swap_after_delete_finds_nothing),
	CASE(compare_and_delete_of_no_key_finds_nothing),
	CASE(compare_and_delete_needs_the_value),
	CASE(compare_and_delete_of_one_changes_no_other),
	CASE(compare_and_delete_after_overwrite_needs_the_new_value),
	CASE(replace_of_no_key_stores_nothing),
	CASE(put_and_replace_keep_when_it_expires),
	CASE(compare_pair_needs_value_and_expiry),
	CASE(compare_pair_finds_no_key_that_has_expired),
	CASE(delete_of_no_key_finds_nothing),
	CASE(delete_takes_each_key_once),
	CASE(get_and_delete_of_no_key_finds_nothing),
	CASE(get_and_delete_returns_a_value_once),
	CASE(get_and_delete_of_some_leaves_the_others),
	CASE(deleted_keys_can_be_stored_again),
	CASE(deleted_keys_leave_no_memory),
	CASE(clear_takes_all),
	CASE(keys_and_values_may_be_empty),
	CASE(all_operations_agree_with_an_array),
	CASE(range_ends_when_told),
	CASE(range_may_delete_what_it_gives),
	CASE(range_may_store_meanwhile),
	CASE(range_may_clear),
	CASE(range_within_a_range),
	CASE(keys_of_one_thread_each),
	CASE(get_or_put_of_many_threads_stores_once),
	CASE(put_of_many_threads_makes_a_key_once),
	CASE(delete_of_many_threads_is_done_once),
	CASE(get_and_delete_of_many_threads_returns_a_value_once),
	CASE(compare_and_delete_of_many_threads_is_done_once),
	CASE(compare_and_swap_of_many_threads_loses_none),
	CASE(swap_of_many_threads_returns_each_value_once),
	CASE(updates_of_one_key_lose_none),
	CASE(range_beside_writers_gives_each_key_once),
	CASE(range_beside_deletes_gives_the_others),
	CASE(clear_beside_others_leaves_the_map_whole),
};

static const struct
{
	const char *name;
	uint64_t mask;
} hashes[] = {{"whole", UINT64_MAX},
			  {"truncated", (uint64_t) 0xff << 56},
			  {"constant", 0}};

int
main(int argc, char **argv)
{
	int ncases = sizeof(cases) / sizeof(cases[0]);
	const char *hash = argc > 1 ? argv[1] : hashes[0].name;
	uint32_t fresh;

	alarm(250);
	sm_host_create(&host, 16 << 20, 4, -1, 1);
	for (int i = 0;; i++)
	{
		sm_check(i < 3, "no hash %s", hash);
		if (strcmp(hash, hashes[i].name) == 0)
		{
			host.engine.hash_mask = hashes[i].mask;
			break;
		}
	}
	fresh = sm_host_free_pages();
	for (int i = 0; i < ncases; i++)
	{
		sm_set_context("%s, hash %s\n", cases[i].name, hash);
		sm_map_open(&map, &host.engine, (uint64_t) i + 1, 0, 2);
		sm_map_create(&map);
		cases[i].run();
		sm_map_destroy(&map);
		sm_check(sm_host_free_pages() == fresh, "memory is not back");
	}
	sm_host_detach(&host);
	printf("%d cases\n", ncases);
	return 0;
}
