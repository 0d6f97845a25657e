/*
 * fuzz_engine.c
 *	  A fuzzer's bytes as operations on two maps, compared with naive ones.
 *
 * For libFuzzer, which looks for bytes that lead to code not seen before; see
 * the Makefile.  A file of bytes is run again by naming it: fuzz_engine FILE.
 *
 * The first bytes are the settings (hash whole, constant, or of 8 bits; ratios;
 * size of the arena; for each map a quota, eviction, order), then follow
 * operations.  A key that a map has evicted is taken out of its naive map where
 * that is found out: keys may be missing from a map that evicts, but no others,
 * no more than it has counted, and none comes back.  In the end every page must
 * be back.
 *
 * A map may be watched, too, and the first one is from its start.  The other operations go
 * on then, with a handle that is not checked, beside fills and invalidations of a few keys
 * (fuzz_fences.c).
 */
#include "check.h"
#include "fuzz_fences.h"
#include "operation.h"
#include "port_posix.h"

#define MAPS	   2
#define NKEYS	   1024
#define NEAR_KEYS  240 /* those that one byte names */
#define FENCED	   5   /* those that are filled and invalidated */
#define MAX_LEN	   (64 << 10)
#define LARGE	   (12 << 10) /* a value that may be given memory before it is needed */
#define NO_NUMBER  UINT32_MAX
#define MOST_BYTES 6000

typedef struct trial
{
	sm_map map;
	uint64_t max_memory;
	bool evicts;
	bool ordered;
	sm_reference *reference;
	int64_t expires[NKEYS];
	uint32_t nkeys;	  /* those from here on have not been used */
	uint64_t evicted; /* keys that were found to be gone */

	/* the iteration */
	sm_cursor cursor;
	bool throughout[NKEYS];
	bool seen[NKEYS];

	/* a snapshot, what it should give, and what it has given */
	bool has_snapshot;
	sm_snapshot snapshot;
	uint32_t done_shards;
	sm_reference *then;
	sm_reference *given;

	sm_fuzz_log *fences;
} trial;

typedef struct input
{
	const uint8_t *at;
	const uint8_t *end;
} input;

static sm_host host;
static trial trials[MAPS];
static sm_fuzz_log logs[MAPS]; /* theirs */
static uint64_t next_id;
static int64_t now;
static sm_fuzz_moment moments[4]; /* for fills that come late */

static char random_bytes[2 * MAX_LEN];
static char out[2 * MAX_LEN];
static sm_bytes keys[NKEYS];
static char key_bytes[NKEYS * 128 + 4 * SM_MAX_KEY];
static sm_reference *numbers; /* of the keys */

extern int LLVMFuzzerInitialize(int *argc, char ***argv);
extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what the bytes say ---- */

/* The next byte; zeros after the end. */
static uint32_t
take(input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint32_t
take_two(input *in)
{
	uint32_t high = take(in);

	return high << 8 | take(in);
}

static uint32_t
use_key(trial *t, uint32_t number)
{
	if (number >= t->nkeys)
		t->nkeys = number + 1;
	return number;
}

static uint32_t
take_key(trial *t, input *in)
{
	uint32_t number = take(in);

	return use_key(t, number < NEAR_KEYS ? number : take_two(in) % NKEYS);
}

static sm_bytes
take_value(input *in)
{
	uint32_t byte = take(in);
	size_t len = byte >> 3;

	switch (byte & 7)
	{
		case 4:
			len = len * 8 + take(in);
			break;
		case 5:
			len = take_two(in) % 5000;
			break;
		case 6:
			len = 15 * 1024 + take_two(in) % 2048;
			break;
		case 7:
			len = take_two(in) % MAX_LEN;
			break;
	}
	return (sm_bytes) {random_bytes + byte * 37, len};
}

static int64_t
take_expiry(input *in)
{
	uint32_t byte = take(in);

	return byte < 8 ? SM_NEVER : now + (int64_t) byte - 16;
}

/* Keys of all lengths, many of which begin with the same bytes. */
static void
make_keys(void)
{
	static const size_t same[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 60, 64, 100};
	char *at = key_bytes;

	numbers = sm_reference_hash();
	for (uint32_t i = 0; i < NKEYS; i++)
	{
		sm_bytes number = {&i, sizeof(i)};
		size_t len = same[i % 12];

		memset(at, i % 5 == 0 ? 0xff : 'k', len);
		/* what is different: i in 1 or 2 bytes, with zeros behind for some */
		if (i > 0)
			at[len++] = (char) (i / 12);
		if (i > 100)
			at[len++] = (char) i;
		if (i > 100 && i % 7 == 0)
			len = len + i % 3;
		if (i >= 60 && i < 64)
		{
			memset(at, 'k', SM_MAX_KEY);
			at[SM_MAX_KEY / (i - 59) - 1] = (char) i;
			len = SM_MAX_KEY - i % 2;
		}
		keys[i] = (sm_bytes) {at, len};
		at += len;
		sm_check(!numbers->load(numbers, keys[i], &number), "key %u twice", i);
		number = (sm_bytes) {&i, sizeof(i)};
		numbers->store(numbers, keys[i], number);
	}
}

static uint32_t
number_of(sm_bytes key)
{
	sm_bytes number;
	uint32_t i;

	sm_check(numbers->load(numbers, key, &number), "a foreign key");
	memcpy(&i, number.data, sizeof(i));
	return i;
}

/* ---- the naive map ---- */

static void
forget(trial *t, uint32_t number)
{
	t->reference->remove(t->reference, keys[number]);
	t->throughout[number] = false;
}

/* Is the key there?  One that has expired is not. */
static bool
load(trial *t, uint32_t number, sm_bytes *value)
{
	if (!t->reference->load(t->reference, keys[number], value))
		return false;
	if (t->expires[number] > now)
		return true;
	forget(t, number);
	return false;
}

static uint64_t
evictions(const trial *t)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 1U << t->map.shard_bits; i++)
	{
		sm_shard_stats stats;

		sm_check(sm_get_shard_stats(&t->map, i, &stats), "no statistics");
		sum += stats.counts[SM_EVICTIONS];
	}
	return sum;
}

/* A key that is missing from the engine's map: it must have been evicted. */
static void
was_evicted(trial *t, uint32_t number)
{
	t->evicted++;
	sm_check(t->evicted <= evictions(t), "key %u is missing, and was not evicted",
			 number);
	forget(t, number);
}

/* load, and takes a key out that has been evicted. */
static bool
load_now(trial *t, uint32_t number, sm_bytes *value)
{
	if (!load(t, number, value))
		return false;
	if (sm_contains(&t->map, keys[number]) == SM_FOUND)
		return true;
	was_evicted(t, number);
	return false;
}

static void
check_value(trial *t, uint32_t number)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_bytes value = {NULL, 0};
	int64_t expires = 0;
	bool there = load(t, number, &value);
	sm_status status = sm_get_expiry(&t->map, keys[number], &buffer, &expires);

	if (there && status == SM_ABSENT)
	{
		was_evicted(t, number);
		return;
	}
	sm_check(status == (there ? SM_FOUND : SM_ABSENT), "status %d of key %u that is %s",
			 status, number, there ? "there" : "not there");
	if (!there)
		return;
	sm_check(sm_bytes_are(value, out, buffer.len), "another value of key %u", number);
	sm_check(expires == t->expires[number], "another expiry of key %u", number);
}

static void
check_all(trial *t)
{
	size_t count = 0;
	sm_bytes value;

	for (uint32_t i = 0; i < t->nkeys; i++)
	{
		check_value(t, i);
		count += load(t, i, &value);
	}
	sm_check(sm_count(&t->map) == count, "a count of %lu, not %zu",
			 (unsigned long) sm_count(&t->map), count);
}

/* ---- one key ---- */

static void
take_operation(trial *t, input *in, sm_operation *op)
{
	uint32_t how = take(in);
	sm_bytes old;

	op->number = take_key(t, in);
	op->key = keys[op->number];
	op->room = how & 1 ? sizeof(out) : take_two(in) % 2000;
	op->value = take_value(in);
	op->expires = (how & 4) == 0 ? SM_NEVER : SM_KEEP;
	op->old_expires = op->expected_expires = t->expires[op->number];
	if (op->kind >= OP_REPLACE && how & 8)
		op->expires = take_expiry(in);
	if (op->kind >= OP_COMPARE_PAIR_AND_SWAP && (how & 16) == 0)
		op->expected_expires = take_expiry(in);
	if (op->kind == OP_COMPARE_AND_SWAP || op->kind == OP_COMPARE_AND_DELETE ||
		op->kind >= OP_COMPARE_PAIR_AND_SWAP)
	{
		bool pair = op->kind >= OP_COMPARE_PAIR_AND_SWAP;

		if (((how & 2) != 0) != pair && load(t, op->number, &old))
			op->expected = old;
		else
			op->expected = take_value(in);
	}
	op->updater.answer = (int) (how >> 2) - 1;
	memcpy(op->updater.bytes, op->value.data, SM_MAX_UPDATE);
	if (how == 255)
		sm_host_fail_after(take(in) % 8);
}

static void
step_key(trial *t, sm_op_kind kind, input *in)
{
	uint64_t shortages = sm_host_shortages();
	sm_operation op = {.kind = kind};
	sm_bytes old = {NULL, 0};
	sm_bytes stored;
	sm_result wanted;
	sm_result got;
	sm_change change;
	bool there;

	take_operation(t, in, &op);
	there = load_now(t, op.number, &old);
	got = sm_operation_execute(&op, &t->map, out);
	sm_host_fail_after(-1);
	change = sm_operation_predict(&op, there, old, &wanted, &stored);
	if (there && got.status != SM_NO_MEMORY && got.status != wanted.status)
	{
		was_evicted(t, op.number); /* to make room for its own new entry */
		there = false;
		change = sm_operation_predict(&op, there, old, &wanted, &stored);
	}
	if (op.kind == OP_UPDATE)
		sm_operation_check_updater(&op.updater, there, old);

	if (got.status == SM_NO_MEMORY)
	{
		sm_check(change == CHANGE_STORE || op.value.len > LARGE,
				 "out of memory, with nothing to store");
		sm_check(sm_host_shortages() > shortages || t->max_memory != 0,
				 "out of memory without a shortage");
		check_value(t, op.number);
		return;
	}
	sm_check(got.status == wanted.status, "%s: status %d, not %d", sm_op_names[kind],
			 got.status, wanted.status);
	sm_check(wanted.bytes == NULL || got.len == wanted.len, "%zu bytes, not %zu",
			 got.len, wanted.len);
	sm_check(wanted.bytes == NULL || got.status != SM_FOUND ||
				 memcmp(got.bytes, wanted.bytes, got.len) == 0,
			 "%s: other bytes", sm_op_names[kind]);
	if (change == CHANGE_STORE)
		t->expires[op.number] = sm_operation_expires(&op, there);
	if (change == CHANGE_REMOVE)
		t->throughout[op.number] = false;
	sm_operation_apply(t->reference, op.key, change, stored);
}

/* put or expire, with a time to live. */
static void
step_expiry(trial *t, bool puts, input *in)
{
	uint32_t number = take_key(t, in);
	int64_t expires = take_expiry(in);
	sm_bytes value = puts ? take_value(in) : (sm_bytes) {NULL, 0};
	sm_bytes old;
	bool there = load_now(t, number, &old);
	sm_status status = puts ? sm_put(&t->map, keys[number], value, expires) :
							  sm_expire(&t->map, keys[number], expires);

	if (status == SM_NO_MEMORY)
	{
		sm_check(puts || there, "out of memory, with nothing to store");
		check_value(t, number);
		return;
	}
	if (there && status == SM_ABSENT)
	{
		was_evicted(t, number); /* to make room for its own new entry */
		there = false;
	}
	sm_check(status == (there ? SM_FOUND : SM_ABSENT), "status %d of %s", status,
			 puts ? "put" : "expire");
	if (puts)
		t->reference->store(t->reference, keys[number], value);
	if (puts || there)
		t->expires[number] = expires;
}

/* Many keys at once, so that few bytes are enough for growth. */
static void
step_many(trial *t, bool puts, input *in)
{
	uint32_t first = take_two(in);
	uint32_t many = take(in);
	uint32_t apart = 1 + 2 * (take(in) % 8);
	sm_bytes value = take_value(in);

	value.len %= 300;
	for (uint32_t i = 0; i < many; i++)
	{
		uint32_t number = use_key(t, (first + i * apart) % NKEYS);
		sm_bytes old;
		bool there = load_now(t, number, &old);
		sm_status status = puts ? sm_put(&t->map, keys[number], value, SM_NEVER) :
								  sm_delete(&t->map, keys[number]);

		if (puts && status == SM_NO_MEMORY)
			break;
		sm_check(status == (there ? SM_FOUND : SM_ABSENT), "status %d of one of many",
				 status);
		if (puts)
			t->reference->store(t->reference, keys[number], value);
		else
			forget(t, number);
		t->expires[number] = SM_NEVER;
	}
}

/* ---- pairs ---- */

/* The pairs in a buffer, one after the other: NULL first, NULL at the end. */
static const sm_pair *
next_pair(const sm_buffer *buffer, const sm_pair *pair)
{
	const char *at = pair == NULL ? buffer->data : (char *) pair + sm_pair_size(pair);

	return at < (char *) buffer->data + buffer->len ? (const sm_pair *) at : NULL;
}

static sm_bytes
pair_key(const sm_pair *pair)
{
	return (sm_bytes) {pair + 1, pair->key_len};
}

static sm_bytes
pair_value(const sm_pair *pair)
{
	return (sm_bytes) {(char *) (pair + 1) + sm_pad(pair->key_len), pair->value_len};
}

/* The pair's key, which must be there as it is in the pair. */
static uint32_t
check_pair(trial *t, const sm_pair *pair)
{
	uint32_t number = number_of(pair_key(pair));
	sm_bytes value;

	sm_check(load(t, number, &value), "key %u, which is not there", number);
	if (pair->value_len == SM_NO_VALUE)
		check_value(t, number);
	else
		sm_check(sm_bytes_are(value, pair_value(pair).data, pair->value_len),
				 "another value of key %u", number);
	sm_check(pair->expires == t->expires[number], "another expiry of key %u", number);
	return number;
}

/* ---- ranges ---- */

static void
start_range(trial *t)
{
	sm_bytes value;

	t->cursor = (sm_cursor) {0};
	memset(t->seen, 0, sizeof(t->seen));
	for (uint32_t i = 0; i < t->nkeys; i++)
		t->throughout[i] = load(t, i, &value);
}

/* One call of sm_range, and the checks at its end. */
static void
step_range(trial *t, size_t room)
{
	sm_buffer buffer = {.data = malloc(room), .size = room};
	sm_status status = sm_range(&t->map, &t->cursor, &buffer);
	sm_bytes value;

	if (status == SM_TOO_SMALL)
	{
		sm_check(buffer.len > buffer.size, "too small, for %zu bytes", buffer.len);
		buffer.size = buffer.len;
		free(buffer.data);
		buffer.data = malloc(buffer.size);
		status = sm_range(&t->map, &t->cursor, &buffer);
	}
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d of range", status);
	if (status == SM_FOUND)
	{
		for (const sm_pair *pair = NULL; (pair = next_pair(&buffer, pair)) != NULL;)
		{
			uint32_t number = check_pair(t, pair);

			sm_check(!t->seen[number], "range gave key %u twice", number);
			t->seen[number] = true;
		}
	}
	free(buffer.data);
	if (status == SM_FOUND)
		return;
	for (uint32_t i = 0; i < t->nkeys; i++)
		sm_check(t->seen[i] || !t->throughout[i] || !load_now(t, i, &value),
				 "range passed over key %u, which was there throughout", i);
	start_range(t);
}

static int
compare_keys(sm_bytes a, sm_bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* No bound, a key, or the beginning of one. */
static sm_bound
take_bound(trial *t, input *in)
{
	uint32_t how = take(in);
	sm_bound bound = {.inclusive = (how & 1) != 0};

	if ((how & 6) == 0)
		return bound;
	bound.key = keys[take_key(t, in)];
	if ((how & 6) == 2 && bound.key.len > 0)
		bound.key.len -= how % bound.key.len;
	return bound;
}

static bool
is_within(sm_bytes key, const sm_span *span)
{
	int sign = span->descending ? -1 : 1;
	int from =
		span->from.key.data == NULL ? 1 : sign * compare_keys(key, span->from.key);
	int to = span->to.key.data == NULL ? -1 : sign * compare_keys(key, span->to.key);

	return (from > 0 || (from == 0 && span->from.inclusive)) &&
		(to < 0 || (to == 0 && span->to.inclusive));
}

/* All of a range of one shard, in pieces; false if it is not ordered. */
static bool
range_shard(trial *t, uint32_t shard, const sm_span *all, uint32_t most, bool *found)
{
	static char bytes[8192];
	sm_span span = *all;
	sm_buffer buffer = {.data = bytes, .size = 64 + most * 16};
	uint32_t last = NO_NUMBER;
	sm_status status;

	do
	{
		status = sm_range_ordered(&t->map, shard, &span, most, &buffer);
		if (status == SM_TOO_SMALL)
		{
			sm_check(buffer.len <= sizeof(bytes), "too small, for %zu bytes",
					 buffer.len);
			buffer.size = buffer.len;
			status = sm_range_ordered(&t->map, shard, &span, most, &buffer);
		}
		if (status == SM_REFUSED)
			return false;
		sm_check(status == SM_FOUND || status == SM_ABSENT,
				 "status %d of a range in order", status);
		sm_check(status == SM_ABSENT || buffer.len > 0, "a range that does not move");
		for (const sm_pair *pair = NULL; (pair = next_pair(&buffer, pair)) != NULL;)
		{
			uint32_t number = check_pair(t, pair);

			sm_check(is_within(keys[number], all), "a key out of bounds");
			sm_check(last == NO_NUMBER ||
						 (compare_keys(keys[number], keys[last]) < 0) ==
							 all->descending,
					 "a key out of order");
			sm_check(!found[number], "a key twice");
			found[number] = true;
			last = number;
		}
		if (last != NO_NUMBER)
			span.from = (sm_bound) {keys[last], false};
	} while (status == SM_FOUND);
	return true;
}

static void
step_range_ordered(trial *t, input *in)
{
	uint32_t how = take(in);
	sm_span span = {take_bound(t, in), take_bound(t, in), (how & 1) != 0};
	bool found[NKEYS] = {false};
	bool ready = true;
	sm_bytes value;

	for (uint32_t i = 0; i < 1U << t->map.shard_bits; i++)
		ready = range_shard(t, i, &span, 1 + how / 2, found) && ready;
	sm_check(t->ordered || !ready, "a range in order of a map that is not ordered");
	for (uint32_t i = 0; i < t->nkeys && ready; i++)
		sm_check(found[i] || !is_within(keys[i], &span) || !load_now(t, i, &value),
				 "a range in order passed over key %u", i);
}

/* Switches the order on or off, or does a part of what it takes. */
static void
step_set_ordered(trial *t, input *in)
{
	uint32_t how = take(in);
	sm_status status = SM_FOUND;

	if (how < 32)
	{
		t->ordered = !t->ordered;
		sm_map_set_ordered(&t->map, t->ordered);
	}
	for (uint32_t i = 0; i < how % 32 && status == SM_FOUND; i++)
		status = sm_order_step(&t->map);
	sm_check(status == SM_FOUND || status == SM_ABSENT || status == SM_NO_MEMORY,
			 "status %d of a step", status);
}

/* ---- snapshots ---- */

static void
end_snapshot(trial *t)
{
	if (!t->has_snapshot)
		return;
	sm_snapshot_close(&t->map, &t->snapshot);
	t->has_snapshot = false;
	t->then->destroy(t->then);
	t->given->destroy(t->given);
}

static void
open_snapshot(trial *t)
{
	t->has_snapshot = true;
	t->done_shards = 0;
	t->then = sm_reference_hash();
	t->given = sm_reference_hash();
	for (uint32_t i = 0; i < t->nkeys; i++)
	{
		sm_bytes value;

		if (load_now(t, i, &value))
			t->then->store(t->then, keys[i], value);
	}
	sm_check(sm_snapshot_open(&t->map, &t->snapshot) == SM_FOUND,
			 "a snapshot is refused");
}

/* Takes pairs as given; changes may be of keys that were given before. */
static void
take_pairs(trial *t, const sm_buffer *buffer, bool changes)
{
	for (const sm_pair *pair = NULL; (pair = next_pair(buffer, pair)) != NULL;)
	{
		sm_bytes key = pair_key(pair);
		sm_bytes given;
		bool there = t->given->load(t->given, key, &given);

		sm_check(changes || !there, "a snapshot gave a key twice");
		if (pair->value_len != SM_NO_VALUE)
			t->given->store(t->given, key, pair_value(pair));
		else if (there)
			t->given->remove(t->given, key);
	}
}

/* Takes a shard's changes; false if the snapshot is lost. */
static bool
take_changes(trial *t, uint32_t shard)
{
	static char bytes[4 * MAX_LEN];
	sm_changes changes = {0};
	sm_status status;

	do
	{
		sm_buffer buffer = {.data = bytes, .size = sizeof(bytes)};

		status = sm_snapshot_changes(&t->map, &t->snapshot, shard, &changes, &buffer);
		if (status == SM_FOUND)
			take_pairs(t, &buffer, true);
	} while (status == SM_FOUND);
	sm_check(status == SM_ABSENT || status == SM_NO_MEMORY, "status %d of changes",
			 status);
	return status == SM_ABSENT;
}

static void
check_snapshot(trial *t)
{
	sm_check(t->given->count(t->given) == t->then->count(t->then),
			 "a snapshot of %zu keys, not %zu", t->given->count(t->given),
			 t->then->count(t->then));
	for (uint32_t i = 0; i < t->nkeys; i++)
	{
		sm_bytes given;
		sm_bytes then;

		if (t->then->load(t->then, keys[i], &then))
			sm_check(t->given->load(t->given, keys[i], &given) &&
						 sm_bytes_are(then, given.data, given.len),
					 "a snapshot gave another value of key %u", i);
	}
}

/* Opens a snapshot, or reads a piece of it; at its end, compares it. */
static void
step_snapshot(trial *t, size_t room)
{
	static char bytes[4 * MAX_LEN];
	sm_buffer buffer = {.data = bytes, .size = room};
	sm_status status;

	if (!t->has_snapshot)
		open_snapshot(t);
	status = sm_snapshot_range(&t->map, &t->snapshot, &buffer);
	if (status == SM_TOO_SMALL)
	{
		buffer.size = buffer.len;
		if (buffer.size > sizeof(bytes))
			buffer.data = malloc(buffer.size);
		status = sm_snapshot_range(&t->map, &t->snapshot, &buffer);
	}
	if (status == SM_FOUND)
		take_pairs(t, &buffer, false);
	if (buffer.data != bytes)
		free(buffer.data);
	while (t->done_shards < t->snapshot.cursor.shard)
	{
		if (!take_changes(t, t->done_shards++))
		{
			end_snapshot(t);
			return;
		}
	}
	if (status == SM_ABSENT)
	{
		check_snapshot(t);
		end_snapshot(t);
	}
}

/* ---- fills and invalidations ---- */

static void
watch(trial *t, uint64_t horizon)
{
	sm_check(sm_map_watch(&t->map, horizon) == SM_FOUND, "watch failed");
	t->fences->watched = true;
	if (horizon > t->fences->horizon)
		t->fences->horizon = horizon;
}

/* Watches the map, or raises its horizon, or does not watch it any more. */
static void
step_watch(trial *t, input *in)
{
	uint32_t how = take(in);

	if (how < 192)
	{
		watch(t, sm_fuzz_last() + 1 - how % 2);
		return;
	}
	sm_check(sm_map_unwatch(&t->map) == SM_FOUND, "unwatch failed");
	sm_fuzz_forget(t->fences);
}

/* A transaction begins or ends, and somebody takes a snapshot. */
static void
step_turn(input *in)
{
	uint32_t how = take(in);

	sm_fuzz_turn(how >> 3);
	if (how & 4)
		moments[how & 3] = sm_fuzz_now();
}

/* A moment of now, which may be wanted again, or one of before. */
static sm_fuzz_moment *
take_moment(input *in)
{
	uint32_t how = take(in);
	sm_fuzz_moment *moment = &moments[how % 4];

	if (how >= 64)
		*moment = sm_fuzz_now();
	return moment;
}

static uint32_t
take_fenced(trial *t, input *in)
{
	return use_key(t, take(in) % FENCED);
}

/* May that be the answer to a fill, with these fences?  (C3) */
static void
check_refusal(trial *t, uint32_t number, const sm_fuzz_moment *moment, bool refused)
{
	sm_check(refused || !sm_fuzz_is_forbidden(t->fences, number, moment),
			 "C3: a fill of key %u that is older than an invalidation", number);
	sm_check(!refused || !sm_fuzz_is_free(t->fences, moment),
			 "a fill of key %u is refused, with nothing in its way", number);
}

static void
step_fill(trial *t, input *in)
{
	uint32_t number = take_fenced(t, in);
	int64_t expires = take_expiry(in);
	sm_fuzz_moment *moment = take_moment(in);
	sm_bytes value = take_value(in);
	sm_bytes old;
	bool there = load_now(t, number, &old);
	sm_status status =
		sm_fill(&t->map, keys[number], value, expires, sm_fuzz_covers, moment);

	if (status == SM_NO_MEMORY || status == SM_REFUSED || status == SM_UNWATCHED)
	{
		sm_check(status == SM_NO_MEMORY || t->fences->watched == (status == SM_REFUSED),
				 "status %d of a fill", status);
		if (status == SM_REFUSED)
			check_refusal(t, number, moment, true);
		check_value(t, number);
		return;
	}
	if (there && status == SM_ABSENT)
		was_evicted(t, number); /* to make room for its own new entry */
	else
		sm_check(status == (there ? SM_FOUND : SM_ABSENT), "status %d of fill", status);
	sm_check(t->fences->watched, "C3: a map that is not watched takes a fill");
	check_refusal(t, number, moment, false);
	t->reference->store(t->reference, keys[number], value);
	t->expires[number] = expires;
}

/* One key, or all; with little memory, now and then. */
static void
invalidate(trial *t, uint32_t number, uint32_t how)
{
	bool all = number == SM_FUZZ_ALL;
	sm_ended_fn ended = how & 1 ? sm_fuzz_ended : NULL;
	uint64_t id = sm_fuzz_fencer(how >> 2);
	sm_bytes old;
	bool there = !all && load_now(t, number, &old);
	sm_status status;

	if (how & 2)
		sm_host_fail_after(0);
	status = all ? sm_invalidate_all(&t->map, id, ended) :
				   sm_invalidate(&t->map, keys[number], id, ended);
	sm_host_fail_after(-1);
	if (!t->fences->watched)
	{
		sm_check(status == SM_UNWATCHED, "status %d of an invalidation", status);
		return;
	}
	sm_fuzz_note(t->fences, number, id);
	if (all)
	{
		sm_check(status == SM_FOUND && sm_count(&t->map) == 0,
				 "C1: an invalidation of all leaves keys");
		t->reference->clear(t->reference);
		memset(t->throughout, 0, sizeof(t->throughout));
		end_snapshot(t);
		return;
	}
	if (there && status == SM_ABSENT)
		was_evicted(t, number); /* to make room for its own fence */
	else
		sm_check(status == (there ? SM_FOUND : SM_ABSENT),
				 "status %d of an invalidation", status);
	forget(t, number);
	check_value(t, number);
}

/* By one transaction after the other, so that fences find no place. */
static void
step_invalidate(trial *t, bool all, input *in)
{
	uint32_t how = take(in);
	uint32_t number = all ? SM_FUZZ_ALL : take_fenced(t, in);

	for (uint32_t i = 0; i <= how % 8; i++)
	{
		invalidate(t, number, how >> 3);
		sm_fuzz_turn(how >> 5);
	}
}

/* What a fill would be told, and what one that is none is told. */
static void
step_covered(trial *t, input *in)
{
	uint32_t number = take_fenced(t, in);
	sm_fuzz_moment *moment = take_moment(in);
	sm_status status = sm_covered(&t->map, keys[number], sm_fuzz_covers, moment);
	sm_map checked = t->map;
	sm_bytes old;

	if (!t->fences->watched)
	{
		sm_check(status == SM_UNWATCHED, "status %d of what is covered", status);
		return;
	}
	sm_check(status == SM_FOUND || status == SM_REFUSED, "status %d of what is covered",
			 status);
	check_refusal(t, number, moment, status == SM_REFUSED);
	checked.unchecked = false;
	status = sm_put(&checked, keys[number], take_value(in), SM_NEVER);
	sm_check(status == SM_WATCHED || status == SM_NO_MEMORY,
			 "C3: status %d of a plain store", status);
	if (load_now(t, number, &old))
		check_value(t, number);
}

/* ---- the whole map ---- */

static void
step_clear(trial *t)
{
	sm_check(sm_clear(&t->map) == SM_FOUND, "clear failed");
	t->reference->clear(t->reference);
	memset(t->throughout, 0, sizeof(t->throughout));
	end_snapshot(t);
	sm_check(sm_count(&t->map) == 0, "keys after clear");
}

static void
step_configure(trial *t, input *in)
{
	uint32_t how = take(in);

	check_all(t); /* what it has evicted is found out while it may */
	t->evicts = (how & 1) != 0;
	t->max_memory = how & 2 ? (uint64_t) (how >> 2) * 2 * SM_PAGE_SIZE : 0;
	sm_map_configure(&t->map, t->max_memory, t->evicts);
	if (how & 4)
		sm_host_give_way(t->evicts ? t->map.id : 0);
}

static void
step_room(trial *t, bool evicts, input *in)
{
	uint64_t pages = take(in);
	uint32_t before = sm_host_free_pages();
	uint64_t freed = evicts ? sm_evict(&t->map, pages) : sm_reclaim(&t->map, pages);

	sm_check(before + freed >= sm_host_free_pages(), "more pages than it has freed");
}

static void
make_map(trial *t, input *in)
{
	uint32_t how = take(in);

	*t = (trial) {.reference = sm_reference_hash(), .fences = &logs[t - trials]};
	sm_fuzz_forget(t->fences);
	sm_map_open(&t->map, &host.engine, ++next_id, t == trials ? 3 : 11, how & 3);
	t->map.unchecked = true;
	sm_map_create(&t->map);
	if (how & 4)
		sm_map_set_promote_ratio(&t->map, (int) (how >> 3) * 4);
	step_configure(t, in);
	t->ordered = (how & 128) != 0;
	sm_map_set_ordered(&t->map, t->ordered);
	if (t == trials)
		watch(t, sm_fuzz_last());
	start_range(t);
}

static void
destroy_map(trial *t)
{
	sm_operation op = {.value = {"value", 5}, .expected = {"value", 5}, .room = 100};

	check_all(t);
	if (t->map.id % 2 == 0)
		end_snapshot(t);
	sm_map_destroy(&t->map);
	for (op.kind = OP_GET; op.kind < OP_CLEAR; op.kind++)
		sm_check(sm_operation_execute(&op, &t->map, out).status == SM_GONE,
				 "%s of a map that is gone", sm_op_names[op.kind]);
	end_snapshot(t);
	t->reference->destroy(t->reference);
}

/* ---- a run ---- */

/* The lower bits of an operation's first byte say what it is, the highest where. */
static void
step(input *in)
{
	uint32_t byte = take(in);
	trial *t = &trials[byte >> 7];

	if (getenv("FUZZ_TRACE") != NULL)
		fprintf(stderr, "%ld bytes left: map %u, %u\n", (long) (in->end - in->at),
				byte >> 7, byte % 64);
	if (byte % 64 >= 52)
	{
		step_key(t, OP_REPLACE + byte % 3, in);
		return;
	}
	switch (byte % 64)
	{
		case 43:
		case 44:
			step_watch(t, in);
			return;
		case 45:
			step_turn(in);
			return;
		case 46:
		case 47:
			step_fill(t, in);
			return;
		case 48:
		case 49:
			step_invalidate(t, false, in);
			return;
		case 50:
			step_invalidate(t, true, in);
			return;
		case 51:
			step_covered(t, in);
			return;
		default:
			break;
	}
	switch (byte % 32)
	{
		case 10:
			step_clear(t);
			break;
		case 11:
			check_all(t);
			break;
		case 12:
			step_room(t, false, in);
			break;
		case 13:
			step_room(t, true, in);
			break;
		case 14:
			step_range(t, take(in) * 16);
			break;
		case 15:
		case 16:
			step_range_ordered(t, in);
			break;
		case 17:
			step_set_ordered(t, in);
			break;
		case 18:
		case 19:
			step_snapshot(t, take(in) * 32);
			break;
		case 20:
			step_configure(t, in);
			break;
		case 21:
		case 22:
			step_expiry(t, true, in);
			break;
		case 23:
			step_expiry(t, false, in);
			break;
		case 24:
			now += take(in);
			sm_host_set_clock(now);
			break;
		case 25:
			sm_maintain(&t->map, take(in) % (1U << t->map.shard_bits));
			break;
		case 26:
		case 27:
			step_many(t, true, in);
			break;
		case 28:
			step_many(t, false, in);
			break;
		case 29:
			destroy_map(t);
			make_map(t, in);
			break;
		case 30:
			step_key(t, OP_PUT, in);
			break;
		case 31:
			step_key(t, OP_GET, in);
			break;
		default:
			step_key(t, byte % 32, in);
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	sm_rng rng = sm_rng_seed(1);

	(void) argc;
	(void) argv;
	for (size_t i = 0; i < sizeof(random_bytes); i += 8)
		*(uint64_t *) (random_bytes + i) = sm_rng_next(&rng);
	make_keys();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t masks[] = {UINT64_MAX, (uint64_t) 0xff << 56, 0, UINT64_MAX};
	static const uint32_t ratios[] = {0, 1, 30, 100};
	input in = {data, data + (size < MOST_BYTES ? size : MOST_BYTES)};
	uint32_t how = take(&in);
	uint64_t pages = 20 + take(&in) * 4;
	uint32_t fresh;

	sm_host_create(&host, pages * SM_PAGE_SIZE, 20, -1, 1);
	host.engine.hash_mask = masks[how & 3];
	host.engine.promote_ratio = ratios[how >> 2 & 3];
	host.engine.compact_ratio = ratios[how >> 4 & 3];
	next_id = 0;
	sm_fuzz_start();
	for (int i = 0; i < 4; i++)
		moments[i] = sm_fuzz_now();
	now = 1000;
	sm_host_set_clock(now);
	fresh = sm_host_free_pages();
	for (int i = 0; i < MAPS; i++)
		make_map(&trials[i], &in);

	while (in.at < in.end)
		step(&in);

	for (int i = 0; i < MAPS; i++)
		destroy_map(&trials[i]);
	sm_check(sm_host_free_pages() == fresh, "%u pages, not %u, in the end",
			 sm_host_free_pages(), fresh);
	sm_host_detach(&host);
	return 0;
}
