/*
 * test_memory.c
 *	  What happens when memory runs short, and that all of it comes back.
 *
 * Every operation meets a shortage at its first allocation, its second, and so
 * on until it gets through: what it did not do must not show (M2).  A full
 * arena still answers, deletes, and overwrites.  Free pages that are no longer
 * next to each other are as good as others.  Dead bytes come back before memory
 * runs short.  And an index of one shard goes through all of its sizes, up to
 * two levels of directory; this looks into the shard, to see that promotion and
 * growth really happened.
 */
#include "check.h"
#include "port.h"
#include "port_posix.h"
#include "shard.h"

#define VALUE_MAX (1 << 20)

static sm_host host;
static sm_map map;
static uint32_t fresh; /* free pages with no map */
static char value_bytes[VALUE_MAX + 1000];
static char out[VALUE_MAX];

static void
begin(uint64_t arena_size, uint32_t shard_bits)
{
	sm_host_create(&host, arena_size, 1U << shard_bits, -1, 1);
	fresh = sm_host_free_pages();
	sm_map_open(&map, &host.engine, 1, 0, shard_bits);
	sm_map_create(&map);
}

static void
end(void)
{
	sm_map_destroy(&map);
	sm_check(sm_host_free_pages() == fresh, "%u pages free, not %u",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
}

static sm_bytes
key_of(uint64_t *number)
{
	return (sm_bytes) {number, sizeof(*number)};
}

/* The bytes of a value depend on its version. */
static sm_bytes
value_of(int version, size_t len)
{
	return (sm_bytes) {value_bytes + version % 900, len};
}

static void
check_key(uint64_t number, int version, size_t len)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_status status = sm_get(&map, key_of(&number), &buffer);

	sm_check(status == SM_FOUND, "status %d of key %lu", status,
			 (unsigned long) number);
	sm_check(buffer.len == len && memcmp(out, value_of(version, len).data, len) == 0,
			 "another value of key %lu", (unsigned long) number);
}

/* ---- a shortage at every allocation ---- */

/* The ways to store a value. */
enum
{
	PUT,
	SWAP,
	COMPARE_AND_SWAP,
	GET_OR_PUT,
	UPDATE,
	REPLACE,
	COMPARE_PAIR_AND_SWAP,
	PUT_AND_KEEP,
	WAYS
};

/* When a key expires that is there before, in a way that keeps that. */
#define LATER 5000

static int64_t
expires_of(int how)
{
	return how >= COMPARE_PAIR_AND_SWAP ? LATER : SM_NEVER;
}

static void
check_expires(uint64_t number, int64_t wanted)
{
	int64_t expires = 0;

	sm_check(sm_get_expiry(&map, key_of(&number), NULL, &expires) == SM_FOUND &&
				 expires == wanted,
			 "key %lu expires at %ld", (unsigned long) number, (long) expires);
}

static int
update(void *arg, const void *old, size_t old_len, void *new_value)
{
	(void) old;
	(void) old_len;
	memcpy(new_value, ((const sm_bytes *) arg)->data, 60);
	return 60;
}

static sm_status
store(int how, uint64_t number, sm_bytes value, sm_bytes expected)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};

	switch (how)
	{
		case PUT:
			return sm_put(&map, key_of(&number), value, SM_NEVER);
		case SWAP:
			return sm_swap(&map, key_of(&number), value, SM_NEVER, &buffer);
		case COMPARE_AND_SWAP:
			return sm_compare_and_swap(&map, key_of(&number), expected, value,
									   SM_NEVER);
		case GET_OR_PUT:
			return sm_get_or_put(&map, key_of(&number), value, SM_NEVER, &buffer);
		case REPLACE:
			return sm_replace(&map, key_of(&number), value, SM_NEVER);
		case COMPARE_PAIR_AND_SWAP:
			return sm_compare_pair_and_swap(&map, key_of(&number), expected, LATER,
											value, SM_KEEP);
		case PUT_AND_KEEP:
			return sm_put(&map, key_of(&number), value, SM_KEEP);
		default:
			return sm_update(&map, key_of(&number), update, &value, SM_NEVER);
	}
}

/* Stores until it gets through, with one allocation more each time. */
static void
store_in_shortage(int how, uint64_t number, size_t len, size_t old_len, bool there)
{
	int64_t n = 0;

	for (;; n++)
	{
		sm_status status;

		sm_host_fail_after(n);
		status = store(how, number, value_of(2, len), value_of(1, old_len));
		sm_host_fail_after(-1);
		if (status == (there ? SM_FOUND : SM_ABSENT))
			break;
		sm_check(status == SM_NO_MEMORY, "status %d in a shortage", status);
		if (there)
		{
			check_key(number, 1, old_len);
			check_expires(number, expires_of(how));
		}
		else
			sm_check(sm_contains(&map, key_of(&number)) == SM_ABSENT,
					 "half of a new key is there");
		sm_check(n < 1000, "out of memory with %ld pages", (long) n);
	}
	check_key(number, 2, how == UPDATE ? 60 : len);
	check_expires(number, there ? expires_of(how) : SM_NEVER);
}

static void
test_every_allocation(void)
{
	static const size_t lens[] = {0, 50, 5000, 16000, 17000, 200000};
	uint64_t number = 0;

	for (uint32_t ratio = 0; ratio <= 100; ratio += 100)
	{
		for (int how = 0; how < WAYS; how++)
		{
			for (int i = 0; i < 36; i++)
			{
				size_t len = lens[i / 6];
				size_t old_len = lens[i % 6];

				begin(4 << 20, 0);
				host.engine.promote_ratio = ratio;
				if (how != COMPARE_AND_SWAP && how != REPLACE &&
					how != COMPARE_PAIR_AND_SWAP)
					store_in_shortage(how, ++number, len, 0, false);
				if (how != GET_OR_PUT)
				{
					number++;
					sm_check(sm_put(&map, key_of(&number), value_of(1, old_len),
									expires_of(how)) == SM_ABSENT,
							 "no room for key %lu", (unsigned long) number);
					store_in_shortage(how, number, len, old_len, true);
				}
				end();
			}
		}
	}

	/* growth and promotion without memory go on when there is some again */
	begin(16 << 20, 0);
	for (number = 1; number <= 20000; number++)
	{
		sm_status status;

		sm_host_fail_after(number % 50 < 25 ? (int64_t) (number % 3) : -1);
		status = sm_put(&map, key_of(&number), value_of(1, number % 40), SM_NEVER);
		sm_host_fail_after(-1);
		if (status == SM_NO_MEMORY)
			status = sm_put(&map, key_of(&number), value_of(1, number % 40), SM_NEVER);
		sm_check(status == SM_ABSENT, "status %d with memory", status);
	}
	for (uint64_t i = 1; i < number; i++)
		check_key(i, 1, i % 40);
	end();
}

/* ---- a full arena ---- */

static void
test_full(size_t len)
{
	uint64_t number = 0;
	uint64_t n;
	uint64_t refused;

	begin(2 << 20, 2);
	for (int rounds = 0; rounds < 5; rounds++)
	{
		for (number = 1;; number++)
		{
			sm_status status =
				sm_put(&map, key_of(&number), value_of(1, len), SM_NEVER);

			if (status == SM_NO_MEMORY)
				break;
			sm_check(status == SM_ABSENT, "status %d of key %lu", status,
					 (unsigned long) number);
		}
		refused = number;
		sm_check(refused * (len + 8) > (2 << 20) / 3, "%lu keys fill the arena",
				 (unsigned long) refused);
		sm_check(sm_contains(&map, key_of(&refused)) == SM_ABSENT,
				 "a key is there that had no room");
		for (n = 1; n < refused; n++)
			check_key(n, 1, len);
		if (len <= 1000)
		{
			for (n = 1; n < refused; n++)
				sm_check(sm_put(&map, key_of(&n), value_of(3, len), SM_NEVER) ==
							 SM_FOUND,
						 "no room to overwrite");
			for (n = 1; n < refused; n++)
				check_key(n, 3, len);
		}
		for (n = 1; n < refused; n++)
			sm_check(sm_delete(&map, key_of(&n)) == SM_FOUND, "can't delete");
		sm_check(sm_count(&map) == 0, "keys are left");
	}
	end();
}

/* ---- free pages that are not next to each other ---- */

static void
test_fragments(size_t len)
{
	static uint32_t taken[1000];
	uint32_t n = 0;
	uint64_t number = 1;
	uint32_t page;

	begin(4 << 20, 0);
	while (n < 1000 && (page = sm_port_alloc_pages(1)) != 0)
		taken[n++] = page;
	for (uint32_t i = 0; i < n; i += 2)
		sm_port_free_pages(taken[i], 1);
	for (; number <= 20; number++)
		sm_check(sm_put(&map, key_of(&number), value_of(1, len), SM_NEVER) == SM_ABSENT,
				 "no room for a value of %zu bytes in %u single pages", len,
				 sm_host_free_pages());
	for (uint64_t i = 1; i < number; i++)
		check_key(i, 1, len);
	for (uint32_t i = 1; i < n; i += 2)
		sm_port_free_pages(taken[i], 1);
	end();
}

/* ---- dead bytes ---- */

/* Writes the arena's size many times over; a third of it is alive. */
static void
test_churn(uint32_t compact_ratio)
{
	static int versions[2500];
	static size_t lens[2500];
	sm_rng rng = sm_rng_seed(compact_ratio);

	begin(4 << 20, 1);
	host.engine.compact_ratio = compact_ratio;
	for (int version = 1; version < 100000; version++)
	{
		uint64_t number = sm_rng_below(&rng, 2500);
		size_t len = sm_rng_below(&rng, 1000);
		sm_status status =
			sm_put(&map, key_of(&number), value_of(version, len), SM_NEVER);

		sm_check(status == (versions[number] == 0 ? SM_ABSENT : SM_FOUND),
				 "status %d of write %d", status, version);
		versions[number] = version;
		lens[number] = len;
	}
	for (uint64_t i = 0; i < 2500; i++)
		check_key(i, versions[i], lens[i]);
	end();
	memset(versions, 0, sizeof(versions));
}

/* ---- an index of every size ---- */

/* All keys are promoted but the newest, and read is not overfull. */
static void
check_shape(uint64_t keys)
{
	const sm_shard *shard = host.engine.shards;
	uint64_t dirty = shard->dirty_index.count;
	uint64_t read = shard->read_index.count;

	sm_check(read + dirty == keys, "%lu and %lu keys in the indexes",
			 (unsigned long) read, (unsigned long) dirty);
	if (shard->growing)
	{
		sm_check(dirty <= sm_index_capacity(shard->dirty_index.word),
				 "%lu keys in the next index", (unsigned long) dirty);
		return;
	}
	sm_check(dirty <= 256, "%lu keys in dirty", (unsigned long) dirty);
	sm_check(read <= sm_index_capacity(shard->read_index.word) + 256,
			 "%lu keys in a read index of 2^%u buckets", (unsigned long) read,
			 sm_index_bits(shard->read_index.word));
}

static void
test_sizes(uint64_t keys, uint32_t promote_ratio)
{
	begin(256 << 20, 0);
	host.engine.promote_ratio = promote_ratio;
	for (uint64_t i = 0; i < keys; i++)
	{
		uint64_t half = i / 2;

		sm_check(sm_put(&map, key_of(&i), value_of((int) i, i % 20), SM_NEVER) ==
					 SM_ABSENT,
				 "key %lu is there", (unsigned long) i);
		check_key(i, (int) i, i % 20);
		check_key(half, (int) half, half % 20);
		check_shape(i + 1);
	}
	for (uint64_t i = 0; i < keys; i++)
		check_key(i, (int) i, i % 20);
	for (uint64_t i = 0; i < keys; i += 2)
		sm_check(sm_delete(&map, key_of(&i)) == SM_FOUND, "key %lu is gone",
				 (unsigned long) i);
	for (uint64_t i = 0; i < keys; i++)
	{
		if (i % 2 == 1)
			check_key(i, (int) i, i % 20);
		else
			sm_check(sm_contains(&map, key_of(&i)) == SM_ABSENT, "key %lu is back",
					 (unsigned long) i);
	}
	sm_check(sm_count(&map) == keys / 2, "%lu keys are left",
			 (unsigned long) sm_count(&map));
	end();
}

/* ---- large values that a snapshot keeps ---- */

/* The kept pairs in a buffer must be keys with their first value. */
static void
check_pairs(const sm_buffer *pairs, size_t len, bool *seen)
{
	const sm_pair *pair = pairs->data;
	const sm_pair *end = (const sm_pair *) ((const char *) pairs->data + pairs->len);

	while (pair < end)
	{
		const char *bytes = (const char *) (pair + 1);
		uint64_t number = *(const uint64_t *) bytes;

		sm_check(pair->value_len == len && pair->expires == 1000 + (int64_t) number,
				 "key %lu has %u bytes", (unsigned long) number, pair->value_len);
		sm_check(memcmp(bytes + sm_pad(pair->key_len), value_of(1, len).data, len) == 0,
				 "another value of key %lu", (unsigned long) number);
		seen[number] = true;
		pair = (const sm_pair *) ((const char *) pair + sm_pair_size(pair));
	}
}

/*
 * A large value whose time to live is set goes on living, and is the snapshot's when it
 * is overwritten or removed, also while the snapshot's owner is reading what was kept.
 */
static void
test_kept_large_values(size_t len)
{
	sm_changes changes = {0};
	sm_snapshot snapshot;
	sm_buffer pairs = {.data = out, .size = 100};
	bool seen[7] = {false};
	uint64_t number;

	begin(8 << 20, 0);
	for (number = 1; number <= 6; number++)
		sm_put(&map, key_of(&number), value_of(1, len), 1000 + (int64_t) number);
	sm_check(sm_snapshot_open(&map, &snapshot) == SM_FOUND, "refused");
	for (number = 1; number <= 6; number++)
	{
		sm_check(sm_expire(&map, key_of(&number), 5000) == SM_FOUND, "not there");
		sm_check(sm_expire(&map, key_of(&number), SM_NEVER) == SM_FOUND, "not there");
	}
	number = 1;
	sm_delete(&map, key_of(&number));
	number = 2;
	sm_put(&map, key_of(&number), value_of(2, len), SM_NEVER);
	number = 3;
	sm_put(&map, key_of(&number), value_of(2, 8), 7000);
	sm_put(&map, key_of(&number), value_of(2, len), 7000);

	sm_check(sm_snapshot_changes(&map, &snapshot, 0, &changes, &pairs) == SM_TOO_SMALL,
			 "fits");
	number = 4;
	sm_delete(&map, key_of(&number));
	number = 5;
	sm_put(&map, key_of(&number), value_of(2, len), SM_NEVER);
	pairs.size = 2 * len;
	while (sm_snapshot_changes(&map, &snapshot, 0, &changes, &pairs) == SM_FOUND)
		check_pairs(&pairs, len, seen);
	for (number = 1; number <= 6; number++)
		sm_check(seen[number], "key %lu was not kept", (unsigned long) number);
	sm_snapshot_close(&map, &snapshot);

	check_key(2, 2, len);
	check_key(5, 2, len);
	check_key(6, 1, len);
	end();
}

int
main(int argc, char **argv)
{
	uint64_t keys = sm_argument(argc, argv, 1, 400000);
	sm_rng rng = sm_rng_seed(1);

	sm_set_context("in test_memory\n");
	for (size_t i = 0; i < sizeof(value_bytes); i++)
		value_bytes[i] = (char) sm_rng_next(&rng);

	test_every_allocation();
	test_kept_large_values(100);
	test_kept_large_values(20000);
	test_kept_large_values(300000);
	test_full(20);
	test_full(1000);
	test_full(3000);
	test_full(15000);
	test_full(100000);
	test_churn(30);
	test_churn(1);
	test_sizes(keys, 30);
	test_sizes(keys / 4, 0);
	test_fragments(3000);
	test_fragments(100000);
	test_fragments(10000);
	printf("shortages, a full arena, fragments, and %lu keys in a shard\n",
		   (unsigned long) keys);
	return 0;
}
