/*
 * test_model.c
 *	  Random sequences of all operations against two naive maps.
 *
 *	  test_model [seed [seconds [round]]]
 *
 * Each round takes the next of all combinations of settings (hash whole,
 * constant, or of 8 bits; ratios; one shard or 16), draws a number of keys and
 * a size of arena, which may be too small, and compares every result.  After
 * SM_NO_MEMORY the old value must be there (M2).  An iteration goes on beside
 * the changes.  The map is ordered from some time on, or not, and ranges in order
 * are compared with the one of the two that is a sorted array.  Snapshots are opened,
 * read beside the changes, and compared with what was there.  In the end every page must be back.  A round depends on the
 * seed and its number alone, so it can be had again by itself.
 */
#include "check.h"
#include "operation.h"
#include "port_posix.h"

#define MAX_KEYS	 3000
#define MAX_LEN		 (3 << 20)
#define COMBINATIONS 54
#define LARGE		 (12 << 10) /* a value that may be given memory before it is needed */
#define ARENA(mb)	 ((uint64_t) (mb) << 20)

/* Of 1000. */
static const int weights[OP_KINDS] = {170, 30, 250, 60, 60, 60, 80, 30, 50, 60,
									  30,  30, 20,	1,	9,	8,	30, 10, 2,	10};

typedef struct trial
{
	sm_rng rng;
	sm_host host;
	sm_map map;
	sm_reference *references[2];
	sm_reference *numbers; /* of the keys */
	uint32_t nkeys;
	sm_bytes keys[MAX_KEYS];
	uint32_t fresh; /* free pages before the map was made */
	bool small;
	char title[160];

	/* the iteration */
	sm_cursor cursor;
	bool throughout[MAX_KEYS];
	int seen[MAX_KEYS];

	bool ordered;
	uint64_t ordered_ranges;

	/* a snapshot, what it should give, and what it has given */
	bool has_snapshot;
	sm_snapshot snapshot;
	uint32_t done_shards;
	sm_reference *then;
	sm_reference *given;
	uint64_t snapshots;
	uint64_t lost_snapshots;

	uint64_t operations;
	uint64_t shortages;
} trial;

static char random_bytes[2 * MAX_LEN];
static char out[MAX_LEN];
static char key_bytes[MAX_KEYS * (SM_MAX_KEY + 1)];

/* ---- what is drawn ---- */

static size_t
draw_key_len(sm_rng *rng)
{
	switch (sm_rng_below(rng, 12))
	{
		case 0:
			return sm_rng_below(rng, 4);
		case 1:
			return sm_rng_below(rng, 300);
		case 2:
			return sm_rng_below(rng, 8) == 0 ? SM_MAX_KEY - sm_rng_below(rng, 9) : 16;
		case 3:
		case 4:
		case 5:
			return 16;
		default:
			return 1 + sm_rng_below(rng, 40);
	}
}

/* Half of the rounds have keys that are alike: they begin or end with the same. */
static void
draw_key(sm_rng *rng, bool alike, char *at, size_t len)
{
	size_t differ = sm_rng_below(rng, 4);
	size_t from = len > differ && sm_rng_below(rng, 4) > 0 ? len - differ : 0;

	for (size_t j = 0; j < len; j++)
	{
		if (alike && (j < from || j >= from + differ))
			at[j] = "user:"[j % 5];
		else
			at[j] = (char) sm_rng_next(rng);
	}
}

static void
draw_keys(trial *round)
{
	char *at = key_bytes;
	bool alike = sm_rng_below(&round->rng, 2) == 0;

	round->numbers = sm_reference_hash();
	for (uint32_t i = 0; i < round->nkeys;)
	{
		sm_bytes key = {at, draw_key_len(&round->rng)};
		sm_bytes number = {&i, sizeof(i)};
		sm_bytes taken;

		draw_key(&round->rng, alike, at, key.len);
		if (round->numbers->load(round->numbers, key, &taken))
			continue;
		round->numbers->store(round->numbers, key, number);
		round->keys[i++] = key;
		at += key.len;
	}
}

static uint32_t
number_of(trial *round, sm_bytes key)
{
	sm_bytes number;
	uint32_t i;

	sm_check(round->numbers->load(round->numbers, key, &number), "a foreign key");
	memcpy(&i, number.data, sizeof(i));
	return i;
}

static sm_bytes
draw_value(trial *round, sm_bytes key)
{
	sm_rng *rng = &round->rng;
	uint64_t dice = sm_rng_below(rng, 1000);
	size_t len;
	sm_bytes old;

	if (dice < 200 && round->references[0]->load(round->references[0], key, &old))
		len = (old.len + sm_rng_below(rng, 3) * 8) * (2 + sm_rng_below(rng, 3)) / 3;
	else if (dice < 600 || (round->small && dice < 850))
		len = sm_rng_below(rng, 100);
	else if (dice < 800 || (round->small && dice < 930))
		len = sm_rng_below(rng, 1200);
	else if (dice < 900 || (round->small && dice < 980))
		len = sm_rng_below(rng, 6000);
	else if (dice < 960)
		len = 15 * 1024 + sm_rng_below(rng, 2048);
	else if (dice < 997 || round->small)
		len = sm_rng_below(rng, 150 * 1024);
	else
		len = sm_rng_below(rng, MAX_LEN);
	if (len > MAX_LEN)
		len = MAX_LEN;
	return (sm_bytes) {random_bytes + sm_rng_below(rng, MAX_LEN), len};
}

static sm_operation
draw_operation(trial *round)
{
	sm_rng *rng = &round->rng;
	uint32_t number = (uint32_t) sm_rng_below(rng, round->nkeys);
	sm_operation op = {.number = number,
					   .key = round->keys[number],
					   .expires = SM_NEVER,
					   .expected_expires = SM_NEVER,
					   .old_expires = SM_NEVER,
					   .room = sizeof(out)};
	int dice = (int) sm_rng_below(rng, 1000);
	sm_bytes old;

	while (dice >= weights[op.kind])
		dice -= weights[op.kind++];

	op.value = draw_value(round, op.key);
	if (round->references[0]->load(round->references[0], op.key, &old) &&
		sm_rng_below(rng, 4) > 0)
		op.expected = old;
	else
		op.expected = draw_value(round, op.key);
	if (sm_rng_below(rng, 16) == 0)
		op.room = sm_rng_below(rng, 2000);

	/* here nothing expires: to keep that is to have none */
	if (sm_rng_below(rng, 4) == 0)
		op.expires = SM_KEEP;
	if (sm_rng_below(rng, 4) == 0)
		op.expected_expires = (int64_t) sm_rng_below(rng, 1000);
	op.updater.answer = (int) sm_rng_below(rng, SM_MAX_UPDATE + 1);
	if (sm_rng_below(rng, 8) == 0)
		op.updater.answer = -1;
	else
		memcpy(op.updater.bytes, op.value.data, SM_MAX_UPDATE);
	return op;
}

/* ---- what comes out ---- */

static void
check_value(trial *round, sm_bytes key, bool there, sm_bytes value)
{
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_status status = sm_get(&round->map, key, &buffer);

	sm_check(status == (there ? SM_FOUND : SM_ABSENT), "status %d of a key that is %s",
			 status, there ? "there" : "not there");
	sm_check(!there || sm_bytes_are(value, out, buffer.len),
			 "another value of %zu bytes", buffer.len);
}

/* One operation on one key, on all maps. */
static void
step_key(trial *round, sm_operation *op)
{
	sm_bytes key = op->key;
	uint64_t shortages = sm_host_shortages();
	bool inject = sm_rng_below(&round->rng, 50) == 0;
	sm_result wanted[2];
	sm_change changes[2];
	sm_bytes stored[2];
	sm_bytes old[2] = {{NULL, 0}};
	bool there[2];
	sm_result got;

	if (inject)
		sm_host_fail_after((int64_t) sm_rng_below(&round->rng, 6));
	got = sm_operation_execute(op, &round->map, out);
	sm_host_fail_after(-1);

	for (int i = 0; i < 2; i++)
	{
		there[i] = round->references[i]->load(round->references[i], key, &old[i]);
		changes[i] = sm_operation_predict(op, there[i], old[i], &wanted[i], &stored[i]);
	}
	if (op->kind == OP_UPDATE)
		sm_operation_check_updater(&op->updater, there[0], old[0]);

	if (got.status == SM_NO_MEMORY)
	{
		sm_check(changes[0] == CHANGE_STORE || op->value.len > LARGE,
				 "out of memory, with nothing to store");
		sm_check(sm_host_shortages() > shortages, "out of memory without a shortage");
		check_value(round, key, there[0], old[0]);
		round->shortages++;
		return;
	}
	for (int i = 0; i < 2; i++)
	{
		sm_check(got.status == wanted[i].status, "status %d, not %d", got.status,
				 wanted[i].status);
		sm_check(wanted[i].bytes == NULL || got.len == wanted[i].len,
				 "%zu bytes, not %zu", got.len, wanted[i].len);
		sm_check(wanted[i].bytes == NULL || got.status != SM_FOUND ||
					 memcmp(got.bytes, wanted[i].bytes, got.len) == 0,
				 "other bytes");
		sm_operation_apply(round->references[i], key, changes[i], stored[i]);
	}
	if (changes[0] == CHANGE_REMOVE)
		round->throughout[op->number] = false;
}

/* ---- the operations on the whole map ---- */

static void
start_range(trial *round)
{
	sm_bytes value;

	round->cursor = (sm_cursor) {0};
	for (uint32_t i = 0; i < round->nkeys; i++)
	{
		round->throughout[i] =
			round->references[0]->load(round->references[0], round->keys[i], &value);
		round->seen[i] = 0;
	}
}

static void
end_range(trial *round)
{
	for (uint32_t i = 0; i < round->nkeys; i++)
		sm_check(round->seen[i] > 0 || !round->throughout[i],
				 "range passed over key %u, which was there throughout", i);
	start_range(round);
}

/* One call of sm_range; returns false at the end. */
static bool
step_range(trial *round, size_t room)
{
	sm_buffer buffer = {.data = malloc(room + 8), .size = room};
	sm_cursor before = round->cursor;
	sm_status status = sm_range(&round->map, &round->cursor, &buffer);

	if (status == SM_TOO_SMALL)
	{
		sm_check(buffer.len > buffer.size, "too small, for %zu bytes", buffer.len);
		sm_check(round->cursor.shard > before.shard ||
					 round->cursor.prefix >= before.prefix,
				 "the cursor went back");
		buffer.size = buffer.len;
		buffer.data = realloc(buffer.data, buffer.len);
		status = sm_range(&round->map, &round->cursor, &buffer);
	}
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d of range", status);
	for (size_t at = 0; status == SM_FOUND && at < buffer.len;)
	{
		const sm_pair *pair = (const sm_pair *) ((char *) buffer.data + at);
		sm_bytes key = {(char *) buffer.data + at + sizeof(sm_pair), pair->key_len};
		char *value = (char *) buffer.data + at + sizeof(sm_pair) + sm_pad(key.len);
		uint32_t number = number_of(round, key);
		sm_bytes wanted;

		sm_check(round->seen[number]++ == 0, "range gave key %u twice", number);
		sm_check(round->references[1]->load(round->references[1], key, &wanted),
				 "range gave key %u, which is not there", number);
		sm_check(sm_bytes_are(wanted, value, pair->value_len),
				 "range gave another value");
		at += sizeof(sm_pair) + sm_pad(pair->key_len) + sm_pad(pair->value_len);
	}
	free(buffer.data);
	return status == SM_FOUND;
}

/* ---- ranges in order ---- */

static int
compare_keys(sm_bytes a, sm_bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* A key that is in the map at times, or one that is near it, or none. */
static sm_bound
draw_bound(trial *round, char *bytes)
{
	sm_rng *rng = &round->rng;
	sm_bytes key = round->keys[sm_rng_below(rng, round->nkeys)];
	sm_bound bound = {.inclusive = sm_rng_below(rng, 2) == 0};

	if (sm_rng_below(rng, 4) == 0)
		return bound;
	bound.key = (sm_bytes) {bytes, key.len};
	if (key.len > 0)
		memcpy(bytes, key.data, key.len);
	switch (sm_rng_below(rng, 4))
	{
		case 0:
			bound.key.len = sm_rng_below(rng, key.len + 1);
			break;
		case 1:
			if (key.len > 0)
				bytes[sm_rng_below(rng, key.len)] ^= (char) (1 << sm_rng_below(rng, 8));
			break;
		case 2:
			bytes[bound.key.len++] = (char) (sm_rng_below(rng, 2) == 0 ? 0 : -1);
			break;
	}
	return bound;
}

static bool
is_within(sm_bytes key, const sm_span *span)
{
	int from = span->from.key.data == NULL ? 1 : compare_keys(key, span->from.key);
	int to = span->to.key.data == NULL ? -1 : compare_keys(key, span->to.key);

	if (span->descending)
	{
		from = span->from.key.data == NULL ? 1 : -from;
		to = span->to.key.data == NULL ? -1 : -to;
	}
	return (from > 0 || (from == 0 && span->from.inclusive)) &&
		(to < 0 || (to == 0 && span->to.inclusive));
}

/*
 * Ranges over one shard, a call after the other, from behind the last key each
 * time.  Adds the number of pairs to *found; returns false if it is not ordered.
 */
static bool
range_shard(trial *round, uint32_t shard, const sm_span *all, size_t *found)
{
	sm_rng *rng = &round->rng;
	sm_span span = *all;
	sm_buffer buffer = {.data = malloc(1 << 16), .size = 0};
	char last[SM_MAX_KEY];
	size_t pairs = 0;
	sm_status status;

	do
	{
		const char *at = buffer.data;
		uint32_t most = 1 + (uint32_t) sm_rng_below(rng, 50);

		buffer.size = sm_rng_below(rng, 4096);
		status = sm_range_ordered(&round->map, shard, &span, most, &buffer);
		if (status == SM_TOO_SMALL)
		{
			buffer.size = buffer.len;
			status = sm_range_ordered(&round->map, shard, &span, most, &buffer);
		}
		if (status == SM_REFUSED)
			break;
		sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d", status);
		sm_check(status == SM_ABSENT || buffer.len > 0, "a range that does not move");
		while (at < (const char *) buffer.data + buffer.len)
		{
			const sm_pair *pair = (const sm_pair *) at;
			sm_bytes key = {at + sizeof(*pair), pair->key_len};
			sm_bytes value;
			bool there = round->references[1]->load(round->references[1], key, &value);

			sm_check(there, "a key that is not there");
			sm_check(is_within(key, all), "a key out of bounds");
			sm_check(pairs == 0 ||
						 (span.descending ? compare_keys(key, span.from.key) < 0 :
											compare_keys(key, span.from.key) > 0),
					 "a key out of order");
			if (pair->value_len == SM_NO_VALUE)
				check_value(round, key, true, value);
			else
				sm_check(sm_bytes_are(value, at + sizeof(*pair) + sm_pad(key.len),
									  pair->value_len),
						 "another value of %u bytes", pair->value_len);
			if (key.len > 0)
				memcpy(last, key.data, key.len);
			span.from = (sm_bound) {{last, key.len}, false};
			pairs++;
			at += sm_pair_size(pair);
		}
	} while (status == SM_FOUND);
	free(buffer.data);
	*found += pairs;
	return status != SM_REFUSED;
}

/* As many keys must be found as there are: all are different, and are there. */
static void
step_range_ordered(trial *round)
{
	char bytes[2][SM_MAX_KEY + 1];
	sm_span span = {.from = draw_bound(round, bytes[0]),
					.to = draw_bound(round, bytes[1]),
					.descending = sm_rng_below(&round->rng, 2) == 0};
	size_t wanted = 0;
	size_t found = 0;
	sm_bytes value;
	bool ready = true;

	for (uint32_t i = 0; i < 1U << round->map.shard_bits; i++)
		ready = range_shard(round, i, &span, &found) && ready;
	sm_check(round->ordered || !ready, "a range in order of a map that is not ordered");
	for (uint32_t i = 0; i < round->nkeys; i++)
	{
		if (is_within(round->keys[i], &span) &&
			round->references[1]->load(round->references[1], round->keys[i], &value))
			wanted++;
	}
	sm_check(!ready || found == wanted, "%zu keys, not %zu", found, wanted);
	round->ordered_ranges += ready;
}

/* Switches the order on or off, or does a part of what it takes. */
static void
step_set_ordered(trial *round)
{
	sm_status status = SM_FOUND;
	int steps = (int) sm_rng_below(&round->rng, 40);

	if (!round->ordered || sm_rng_below(&round->rng, 8) == 0)
	{
		round->ordered = !round->ordered;
		sm_map_set_ordered(&round->map, round->ordered);
	}
	while (status == SM_FOUND && steps-- > 0)
		status = sm_order_step(&round->map);
	sm_check(status == SM_FOUND || status == SM_ABSENT || status == SM_NO_MEMORY,
			 "status %d of a step", status);
}

/* ---- snapshots ---- */

static void
end_snapshot(trial *round)
{
	if (!round->has_snapshot)
		return;
	sm_snapshot_close(&round->map, &round->snapshot);
	round->has_snapshot = false;
	round->then->destroy(round->then);
	round->given->destroy(round->given);
}

static void
open_snapshot(trial *round)
{
	sm_snapshot other;

	sm_check(sm_snapshot_open(&round->map, &round->snapshot) == SM_FOUND,
			 "a snapshot is refused");
	sm_check(sm_snapshot_open(&round->map, &other) == SM_REFUSED,
			 "a second snapshot is not refused");
	round->has_snapshot = true;
	round->done_shards = 0;
	round->then = sm_reference_hash();
	round->given = sm_reference_hash();
	for (uint32_t i = 0; i < round->nkeys; i++)
	{
		sm_bytes value;

		if (round->references[0]->load(round->references[0], round->keys[i], &value))
			round->then->store(round->then, round->keys[i], value);
	}
}

/* Takes pairs as given; changes may be of keys that were given before. */
static void
take_pairs(trial *round, const sm_buffer *buffer, bool changes)
{
	const char *at = buffer->data;

	while (at < (const char *) buffer->data + buffer->len)
	{
		const sm_pair *pair = (const sm_pair *) at;
		sm_bytes key = {at + sizeof(*pair), pair->key_len};
		sm_bytes value = {at + sizeof(*pair) + sm_pad(key.len), pair->value_len};
		sm_bytes given;
		bool there = round->given->load(round->given, key, &given);

		sm_check(changes || !there, "a snapshot gave a key twice");
		if (pair->value_len != SM_NO_VALUE)
			round->given->store(round->given, key, value);
		else if (there)
			round->given->remove(round->given, key);
		at += sm_pair_size(pair);
	}
}

/* Takes a shard's changes; false if the snapshot is lost. */
static bool
take_changes(trial *round, uint32_t shard)
{
	sm_buffer buffer = {.data = malloc(1000), .size = 1000};
	sm_changes changes = {0};
	sm_status status;

	for (;;)
	{
		status = sm_snapshot_changes(&round->map, &round->snapshot, shard, &changes,
									 &buffer);
		if (status == SM_FOUND)
			take_pairs(round, &buffer, true);
		else if (status == SM_TOO_SMALL)
		{
			buffer.size = buffer.len;
			buffer.data = realloc(buffer.data, buffer.size);
		}
		else
			break;
	}
	free(buffer.data);
	sm_check(status == SM_ABSENT || status == SM_NO_MEMORY, "status %d of changes",
			 status);
	return status == SM_ABSENT;
}

static void
check_snapshot(trial *round)
{
	sm_check(round->given->count(round->given) == round->then->count(round->then),
			 "a snapshot of %zu keys, not %zu", round->given->count(round->given),
			 round->then->count(round->then));
	for (uint32_t i = 0; i < round->nkeys; i++)
	{
		sm_bytes given;
		sm_bytes then;

		if (round->then->load(round->then, round->keys[i], &then))
			sm_check(round->given->load(round->given, round->keys[i], &given) &&
						 sm_bytes_are(then, given.data, given.len),
					 "a snapshot gave another value of key %u", i);
	}
	round->snapshots++;
}

/* Opens a snapshot, and reads some of it; at its end, compares it. */
static void
step_snapshot(trial *round)
{
	sm_buffer buffer = {.data = malloc(5000), .size = 5000};
	sm_status status;

	if (!round->has_snapshot)
		open_snapshot(round);
	status = sm_snapshot_range(&round->map, &round->snapshot, &buffer);
	if (status == SM_TOO_SMALL)
	{
		buffer.size = buffer.len;
		buffer.data = realloc(buffer.data, buffer.size);
		status = sm_snapshot_range(&round->map, &round->snapshot, &buffer);
	}
	if (status == SM_FOUND)
		take_pairs(round, &buffer, false);
	free(buffer.data);
	while (round->done_shards < round->snapshot.cursor.shard)
	{
		if (!take_changes(round, round->done_shards++))
		{
			round->lost_snapshots++;
			end_snapshot(round);
			return;
		}
	}
	if (status == SM_ABSENT)
	{
		check_snapshot(round);
		end_snapshot(round);
	}
}

static void
check_count(trial *round)
{
	for (int i = 0; i < 2; i++)
		sm_check(sm_count(&round->map) ==
					 round->references[i]->count(round->references[i]),
				 "a count of %lu", (unsigned long) sm_count(&round->map));
}

static void
step_clear(trial *round)
{
	sm_check(sm_clear(&round->map) == SM_FOUND, "clear failed");
	for (int i = 0; i < 2; i++)
		round->references[i]->clear(round->references[i]);
	memset(round->throughout, 0, sizeof(round->throughout));
	end_snapshot(round);
	sm_check(sm_host_free_pages() == round->fresh, "%u pages, not %u, after clear",
			 sm_host_free_pages(), round->fresh);
	check_count(round);
}

static void
step_reclaim(trial *round)
{
	uint64_t most = sm_rng_below(&round->rng, 2) == 0 ?
		1 + sm_rng_below(&round->rng, 20) :
		UINT64_MAX;
	uint32_t before = sm_host_free_pages();
	uint64_t freed = sm_reclaim(&round->map, most);
	uint32_t after = sm_host_free_pages();

	/* a shard that got room inside its segments counts for 1 */
	sm_check(freed >= after - before &&
				 freed - (after - before) <= 1U << round->map.shard_bits,
			 "reclaim says %lu pages, %u are free after %u", (unsigned long) freed,
			 after, before);
}

static void
step(trial *round)
{
	sm_operation op = draw_operation(round);

	round->operations++;
	sm_set_context("%s, operation %lu: %s\n", round->title,
				   (unsigned long) round->operations, sm_op_names[op.kind]);
	switch (op.kind)
	{
		case OP_CLEAR:
			step_clear(round);
			break;
		case OP_COUNT:
			check_count(round);
			break;
		case OP_RECLAIM:
			step_reclaim(round);
			break;
		case OP_RANGE:
			if (!step_range(round, sm_rng_below(&round->rng, 20000)))
				end_range(round);
			break;
		case OP_RANGE_ORDERED:
			step_range_ordered(round);
			break;
		case OP_SET_ORDERED:
			step_set_ordered(round);
			break;
		case OP_SNAPSHOT:
			step_snapshot(round);
			break;
		default:
			step_key(round, &op);
	}
}

/* ---- rounds ---- */

static void
check_all(trial *round)
{
	start_range(round);
	while (step_range(round, 32 * 1024))
		;
	end_range(round);
	check_count(round);
	for (uint32_t i = 0; i < round->nkeys; i++)
	{
		sm_bytes value = {NULL, 0};
		bool there =
			round->references[0]->load(round->references[0], round->keys[i], &value);

		check_value(round, round->keys[i], there, value);
	}
}

static void
check_gone(trial *round)
{
	sm_operation op = {.value = {"value", 5}, .expected = {"value", 5}, .room = 100};

	for (op.kind = OP_GET; op.kind < OP_CLEAR; op.kind++)
		sm_check(sm_operation_execute(&op, &round->map, out).status == SM_GONE,
				 "%s of a map that is gone", sm_op_names[op.kind]);
	sm_check(sm_clear(&round->map) == SM_GONE, "clear of a map that is gone");
}

static trial *
run_round(uint64_t seed, uint64_t number)
{
	static const uint64_t masks[] = {UINT64_MAX, 0, (uint64_t) 0xff << 56};
	static const uint32_t promote[] = {0, 30, 100};
	static const uint32_t compact[] = {1, 30, 100};
	static const uint32_t numbers[] = {1, 8, 60, 600, MAX_KEYS};
	trial *round = calloc(1, sizeof(trial));
	int mask = (int) (number % 3);
	uint32_t shard_bits = number / 27 % 2 == 0 ? 0 : 4;
	uint64_t pages;
	int operations = 4000;

	round->rng = sm_rng_seed(seed * 1000003 + number);
	round->nkeys = numbers[sm_rng_below(&round->rng, 5)];
	if (mask == 1 && round->nkeys > 200)
		round->nkeys = 200;
	round->small = sm_rng_below(&round->rng, 2) == 0;
	pages = ARENA(64) / SM_PAGE_SIZE;
	if (round->small)
		pages = 20 +
			sm_rng_below(&round->rng, sm_rng_below(&round->rng, 2) == 0 ? 100 : 600);

	snprintf(
		round->title, sizeof(round->title),
		"seed %lu, round %lu: hash %d, ratios %u %u, shard bits %u, %u keys, %lu pages",
		(unsigned long) seed, (unsigned long) number, mask, promote[number / 3 % 3],
		compact[number / 9 % 3], shard_bits, round->nkeys, (unsigned long) pages);
	sm_host_create(&round->host, pages * SM_PAGE_SIZE, 20, -1, seed + number);
	round->host.engine.hash_mask = masks[mask];
	round->host.engine.promote_ratio = promote[number / 3 % 3];
	round->host.engine.compact_ratio = compact[number / 9 % 3];
	round->references[0] = sm_reference_hash();
	round->references[1] = sm_reference_copy_on_write();
	round->fresh = sm_host_free_pages();
	draw_keys(round);
	sm_map_open(&round->map, &round->host.engine, number + 1, 3, shard_bits);
	sm_map_create(&round->map);
	start_range(round);
	round->ordered = sm_rng_below(&round->rng, 2) == 0;
	sm_map_set_ordered(&round->map, round->ordered);

	for (int i = 0; i < operations; i++)
		step(round);
	check_all(round);
	if (number % 2 == 0)
		step_clear(round);
	else if (round->has_snapshot && number % 4 == 1)
		end_snapshot(round);
	sm_map_destroy(&round->map);
	sm_check(sm_host_free_pages() == round->fresh, "%u pages, not %u, after destroy",
			 sm_host_free_pages(), round->fresh);
	check_gone(round);
	end_snapshot(round);

	for (int i = 0; i < 2; i++)
		round->references[i]->destroy(round->references[i]);
	round->numbers->destroy(round->numbers);
	sm_host_detach(&round->host);
	return round;
}

int
main(int argc, char **argv)
{
	uint64_t seed = sm_seed(sm_argument(argc, argv, 1, 0));
	uint64_t seconds = sm_argument(argc, argv, 2, 5);
	uint64_t number = sm_argument(argc, argv, 3, 0);
	uint64_t end = sm_now_ns() + seconds * 1000000000;
	uint64_t operations = 0;
	uint64_t shortages = 0;
	uint64_t ordered_ranges = 0;
	uint64_t snapshots = 0;
	uint64_t lost_snapshots = 0;
	sm_rng rng = sm_rng_seed(seed);

	for (size_t i = 0; i < sizeof(random_bytes); i += 8)
		*(uint64_t *) (random_bytes + i) = sm_rng_next(&rng);
	do
	{
		trial *round = run_round(seed, number++);

		operations += round->operations;
		shortages += round->shortages;
		ordered_ranges += round->ordered_ranges;
		snapshots += round->snapshots;
		lost_snapshots += round->lost_snapshots;
		free(round);
	} while (argc <= 3 && sm_now_ns() < end);

	printf(
		"seed %lu: %lu rounds of %d combinations, %lu operations, %lu out of memory, "
		"%lu ranges in order, %lu snapshots, %lu lost\n",
		(unsigned long) seed, (unsigned long) number, COMBINATIONS,
		(unsigned long) operations, (unsigned long) shortages,
		(unsigned long) ordered_ranges, (unsigned long) snapshots,
		(unsigned long) lost_snapshots);
	return 0;
}
