/*
 * reader.c
 *	  Readers and iterations, and how they know that what they see is right.
 */
#include "workload.h"

#include "port.h"

#define HANDLES 3 /* of maps, older and newer */

typedef struct reader
{
	sm_work *work;
	sm_engine *engine;
	int self;
	sm_rng rng;
	sm_map maps[HANDLES];
	sm_buffer buffer;
	uint64_t *least; /* for each key: of no operation before that comes a value */
} reader;

/* What was known before a call. */
typedef struct before
{
	uint64_t done;
	uint64_t began_at;
	uint64_t ended_at;
	bool times_known;
	uint64_t cleared_from;
	uint64_t dropped;
	int64_t now; /* the host's clock */
} before;

static before
look_before(const sm_work *work, uint64_t key)
{
	const sm_ledger *ledger = &work->ledger[key];
	before b;

	b.now = sm_port_now();
	b.dropped = atomic_load_explicit(&work->dropped, memory_order_acquire);
	b.cleared_from = atomic_load_explicit(&work->cleared_from, memory_order_acquire);
	b.done = atomic_load_explicit(&ledger->done, memory_order_acquire);
	b.began_at = atomic_load_explicit(&ledger->began_at, memory_order_acquire);
	b.ended_at = atomic_load_explicit(&ledger->ended_at, memory_order_acquire);
	/* the owner stores the times before done, so these may be of the next one */
	b.times_known =
		b.done == atomic_load_explicit(&ledger->begun, memory_order_acquire);
	return b;
}

/* The key was absent at some moment of the call. */
static void
check_absent(const sm_work *work, uint64_t key, uint64_t map, const before *b)
{
	uint64_t begun = atomic_load(&work->ledger[key].begun);
	uint64_t since = sm_note_number(begun) - sm_note_number(b->done);

	if (sm_note_map(b->done) != map || sm_note_deleted(b->done))
		return;
	if (sm_plan_is_lossy(work->plan))
		return;
	if (b->times_known && atomic_load(&work->cleared_to) > b->began_at)
		return;
	if (!b->times_known && atomic_load(&work->cleared_to) > 0)
		return;
	sm_check(key >= work->plan->permanent, "permanent key %lu is missed",
			 (unsigned long) key);
	sm_check(since >= 2 || (since == 1 && sm_note_deleted(begun)),
			 "key %lu is missed, which operation %lu put", (unsigned long) key,
			 (unsigned long) sm_note_number(b->done));
}

/* The key was there at some moment of the call. */
static void
check_present(const sm_work *work, uint64_t key, uint64_t map, const before *b)
{
	uint64_t begun = atomic_load(&work->ledger[key].begun);

	sm_check(sm_note_map(b->done) != map || !sm_note_deleted(b->done) ||
				 sm_note_number(begun) > sm_note_number(b->done),
			 "key %lu is there, which operation %lu deleted", (unsigned long) key,
			 (unsigned long) sm_note_number(b->done));
}

/*
 * The key was absent at some moment of the call.  If nobody was at work on it
 * meanwhile, then its value has gone, and does not come back.
 */
static void
note_absent(reader *r, uint64_t key, const before *b)
{
	uint64_t begun = atomic_load(&r->work->ledger[key].begun);

	if (b->times_known && begun == b->done && r->least[key] <= sm_note_number(begun))
		r->least[key] = sm_note_number(begun) + 1;
}

/* The key had this value at some moment of the call. */
static void
check_value(reader *r, uint64_t key, uint64_t map, const before *b, const void *bytes,
			size_t len)
{
	const sm_work *work = r->work;
	sm_value value = sm_value_read(bytes, len);
	uint64_t begun = atomic_load(&work->ledger[key].begun);

	sm_check(value.key == key, "key %lu has a value of key %lu", (unsigned long) key,
			 (unsigned long) value.key);
	sm_check(value.map == map, "map %lu has a value of map %lu", (unsigned long) map,
			 (unsigned long) value.map);
	sm_check(value.number >= r->least[key],
			 "key %lu has the value of operation %lu, and had one of %lu",
			 (unsigned long) key, (unsigned long) value.number,
			 (unsigned long) r->least[key]);
	r->least[key] = value.number;
	sm_check(value.expires == 0 || value.expires > b->now,
			 "a value that expired at %ld, at %ld", (long) value.expires,
			 (long) b->now);
	sm_check(value.number <= sm_note_number(begun), "a value that is not made yet");
	sm_check(sm_note_map(b->done) != map || value.number >= sm_note_number(b->done),
			 "key %lu has the value of operation %lu, after operation %lu",
			 (unsigned long) key, (unsigned long) value.number,
			 (unsigned long) sm_note_number(b->done));
	sm_check(!b->times_known || value.number != sm_note_number(b->done) ||
				 b->ended_at >= b->cleared_from,
			 "key %lu has a value that was cleared", (unsigned long) key);
}

static void
check_gone(const sm_work *work, uint64_t map)
{
	sm_check(map <= atomic_load(&work->dropping), "map %lu is gone too early",
			 (unsigned long) map);
}

/* Opens one of the handles anew; the others become older. */
static void
open_newest(reader *r, int i)
{
	sm_map_open(&r->maps[i], r->engine, atomic_load(&r->work->map_id), 0,
				r->work->plan->shard_bits);
}

/* What does not come before its time is not there after it. */
static void
read_expiry(reader *r)
{
	char bytes[SM_MAX_KEY];
	uint64_t key = sm_rng_below(&r->rng, r->work->plan->nkeys);
	sm_bytes k = {bytes, sm_key_make(bytes, key)};
	int64_t now = sm_port_now();
	int64_t expires = 0;

	if (sm_get_expiry(&r->maps[0], k, NULL, &expires) == SM_FOUND)
		sm_check(expires > now, "key %lu expired at %ld, and is there at %ld",
				 (unsigned long) key, (long) expires, (long) now);
}

static void
read_once(reader *r)
{
	sm_work *work = r->work;
	char bytes[SM_MAX_KEY];
	bool hot = sm_rng_below(&r->rng, 2) == 0;
	uint64_t key =
		sm_rng_below(&r->rng, hot ? work->plan->nkeys / 64 + 1 : work->plan->nkeys);
	sm_map *map = &r->maps[sm_rng_below(&r->rng, HANDLES)];
	uint64_t dice = sm_rng_below(&r->rng, 16);
	sm_buffer buffer = r->buffer;
	sm_bytes k = {bytes, sm_key_make(bytes, key)};
	before b = look_before(work, key);
	sm_status status;

	if (dice == 0)
		buffer.size = sm_rng_below(&r->rng, 300);
	if (dice == 2)
		sm_prefetch(map, &k, 1);
	status = dice == 1 ? sm_contains(map, k) : sm_get(map, k, &buffer);
	if (status == SM_GONE)
	{
		check_gone(work, map->id);
		return;
	}
	sm_check(map->id > b.dropped, "map %lu is not gone", (unsigned long) map->id);
	switch (status)
	{
		case SM_ABSENT:
			check_absent(work, key, map->id, &b);
			note_absent(r, key, &b);
			break;
		case SM_FOUND:
			check_present(work, key, map->id, &b);
			if (dice != 1)
				check_value(r, key, map->id, &b, buffer.data, buffer.len);
			break;
		case SM_TOO_SMALL:
			check_present(work, key, map->id, &b);
			sm_check(buffer.len > buffer.size && buffer.len <= r->buffer.size,
					 "%zu bytes do not fit in %zu", buffer.len, buffer.size);
			break;
		default:
			sm_check(false, "status %d of a get", status);
	}
}

static reader
make_reader(sm_work *work, sm_engine *engine, int self)
{
	reader r = {.work = work, .engine = engine, .self = self};

	r.rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);
	r.buffer.size = work->plan->longest + SM_MAX_KEY;
	r.buffer.data = malloc(r.buffer.size);
	r.least = calloc(work->plan->nkeys, sizeof(uint64_t));
	for (int i = 0; i < HANDLES; i++)
		open_newest(&r, i);
	return r;
}

void
sm_run_reader(sm_work *work, sm_engine *engine, int self)
{
	reader r = make_reader(work, engine, self);

	for (uint64_t n = 0; !atomic_load(&work->stop); n++)
	{
		read_once(&r);
		if (n % 8 == 0)
			read_expiry(&r);
		if (n % 64 == 0)
			open_newest(&r, (int) (n / 64 % HANDLES));
		atomic_fetch_add_explicit(&work->operations[self], 1, memory_order_relaxed);
	}
	free(r.buffer.data);
	free(r.least);
}

/* ---- iterations ---- */

/* One iteration over a map. */
typedef struct iteration
{
	reader *r;
	sm_map *map;
	uint64_t calls;
	before *known;	 /* of each key, before it began */
	uint64_t *begun; /* a snapshot: what was begun on each key when it was open */
	uint8_t *seen;	 /* how often each key came */
} iteration;

static void
begin_iteration(iteration *it)
{
	const sm_work *work = it->r->work;

	it->calls = 0;
	memset(it->seen, 0, work->plan->nkeys + 2 * SM_SHARED_KEYS);
	for (uint32_t i = 0; i < work->plan->nkeys; i++)
		it->known[i] = look_before(work, i);
}

/* Of all keys that did not come. */
static void
end_iteration(iteration *it)
{
	const sm_work *work = it->r->work;

	for (uint32_t i = 0; i < work->plan->nkeys && !atomic_load(&work->stop); i++)
	{
		if (it->seen[i])
			continue;
		check_absent(work, i, it->map->id, &it->known[i]);
		note_absent(it->r, i, &it->known[i]);
	}
}

static void
grow_buffer(reader *r, size_t size)
{
	r->buffer.size = size + 8;
	r->buffer.data = realloc(r->buffer.data, r->buffer.size);
}

static uint64_t
count_key(iteration *it, const sm_pair *pair)
{
	uint64_t key = sm_key_read(pair + 1, pair->key_len);

	sm_check(key < it->r->work->plan->nkeys + 2 * SM_SHARED_KEYS, "a foreign key");
	sm_check(it->seen[key]++ == 0, "a range gave key %lu twice", (unsigned long) key);
	return key;
}

/* The value of a pair that came without it: SM_FOUND, or what has become of it. */
static sm_status
get_value(iteration *it, sm_bytes key, sm_buffer *value)
{
	sm_status status;

	*value = (sm_buffer) {.data = malloc(it->r->work->plan->longest), .size = 0};
	value->size = it->r->work->plan->longest;
	status = sm_get(it->map, key, value);
	sm_check(status <= SM_ABSENT || status == SM_GONE, "status %d", status);
	if (status != SM_FOUND)
		free(value->data);
	return status;
}

/* Takes the pairs of one call, which must be of the map. */
static void
take_pairs(iteration *it, sm_buffer pairs)
{
	for (size_t at = 0; at < pairs.len;)
	{
		const sm_pair *pair = (const sm_pair *) ((char *) pairs.data + at);
		uint64_t key = count_key(it, pair);
		const char *bytes = (const char *) (pair + 1) + sm_pad(pair->key_len);
		sm_buffer value;
		sm_status status;

		at += sm_pair_size(pair);
		if (key >= it->r->work->plan->nkeys)
			continue;
		if (pair->value_len != SM_NO_VALUE)
		{
			check_value(it->r, key, it->map->id, &it->known[key], bytes,
						pair->value_len);
			continue;
		}
		status = get_value(it, (sm_bytes) {pair + 1, pair->key_len}, &value);
		if (status == SM_FOUND)
		{
			check_value(it->r, key, it->map->id, &it->known[key], value.data,
						value.len);
			free(value.data);
		}
		/* it was there, if all else is gone */
		it->seen[key] = status != SM_ABSENT;
	}
}

/* All pairs, in the order of hashes. */
static void
range_once(iteration *it)
{
	sm_cursor cursor = {0};
	sm_status status;

	begin_iteration(it);
	do
	{
		sm_buffer pairs = {.data = it->r->buffer.data,
						   .size = it->r->buffer.size / 8 * 8};

		it->calls++;
		status = sm_range(it->map, &cursor, &pairs);
		if (status == SM_TOO_SMALL)
			grow_buffer(it->r, pairs.len);
		else if (status == SM_FOUND)
			take_pairs(it, pairs);
	} while ((status == SM_FOUND || status == SM_TOO_SMALL) &&
			 !atomic_load(&it->r->work->stop));
	if (status == SM_GONE)
		check_gone(it->r->work, it->map->id);
	else
		end_iteration(it);
}

/* ---- in the order of keys ---- */

static int
compare_keys(sm_bytes a, sm_bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = memcmp(a.data, b.data, len);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The pairs of a call must go on in order behind the last key before; notes the last. */
static void
check_order(sm_buffer pairs, bool descending, sm_bound *last)
{
	for (size_t at = 0; at < pairs.len;)
	{
		const sm_pair *pair = (const sm_pair *) ((char *) pairs.data + at);
		sm_bytes key = {pair + 1, pair->key_len};
		int order = last->key.len > 0 ? compare_keys(key, last->key) : 0;

		sm_check(last->key.len == 0 || (descending ? order < 0 : order > 0),
				 "a range out of order");
		memcpy((void *) last->key.data, key.data, key.len);
		last->key.len = key.len;
		at += sm_pair_size(pair);
	}
}

/* Returns SM_ABSENT if all of a shard's pairs have come. */
static sm_status
range_shard_ordered(iteration *it, uint32_t shard, bool descending)
{
	reader *r = it->r;
	char key[SM_MAX_KEY];
	sm_bound last = {{key, 0}, false};
	sm_span span = {.descending = descending};
	sm_status status;

	do
	{
		sm_buffer pairs = {.data = r->buffer.data,
						   .size = sm_rng_below(&r->rng, 4096) / 8 * 8};
		uint32_t most = 1 + (uint32_t) sm_rng_below(&r->rng, 200);

		it->calls++;
		status = sm_range_ordered(it->map, shard, &span, most, &pairs);
		if (status != SM_FOUND && status != SM_ABSENT)
			continue;
		check_order(pairs, descending, &last);
		take_pairs(it, pairs);
		if (last.key.len > 0)
			span.from = last;
	} while ((status == SM_FOUND || status == SM_TOO_SMALL) &&
			 !atomic_load(&r->work->stop));
	return status;
}

/* All pairs, in the order of keys; that order is switched off now and then. */
static void
range_ordered_once(iteration *it)
{
	bool descending = sm_rng_below(&it->r->rng, 2) == 0;
	sm_status status;

	if (sm_rng_below(&it->r->rng, 8) == 0)
		sm_map_set_ordered(it->map, false);
	sm_map_set_ordered(it->map, true);
	while ((status = sm_order_step(it->map)) == SM_FOUND)
		it->calls++;
	if (status != SM_ABSENT)
		return;
	begin_iteration(it);
	for (uint32_t i = 0; status == SM_ABSENT && i < 1U << it->map->shard_bits; i++)
		status = range_shard_ordered(it, i, descending);
	if (status == SM_ABSENT)
		end_iteration(it);
	else if (status == SM_GONE)
		check_gone(it->r->work, it->map->id);
}

/* ---- snapshots ---- */

/* The key had this value at the snapshot's moment. */
static void
check_value_then(iteration *it, uint64_t key, const void *bytes, size_t len)
{
	sm_value value = sm_value_read(bytes, len);

	sm_check(value.key == key && value.map == it->map->id, "a foreign value");
	sm_check(value.number <= sm_note_number(it->begun[key]),
			 "a snapshot has a value of key %lu that came after it",
			 (unsigned long) key);
	sm_check(sm_note_map(it->known[key].done) != it->map->id ||
				 value.number >= sm_note_number(it->known[key].done),
			 "a snapshot has a value of key %lu that had been replaced",
			 (unsigned long) key);
}

/* Takes pairs as they are, or with changes as they were. */
static void
take_pairs_then(iteration *it, sm_buffer pairs, sm_buffer *values, bool changes)
{
	for (size_t at = 0; at < pairs.len;)
	{
		const sm_pair *pair = (const sm_pair *) ((char *) pairs.data + at);
		const char *bytes = (const char *) (pair + 1) + sm_pad(pair->key_len);
		uint64_t key = sm_key_read(pair + 1, pair->key_len);

		at += sm_pair_size(pair);
		if (!changes)
			count_key(it, pair);
		/* what has changed meanwhile is not known before its shard's end */
		free(values[key].data);
		values[key] = (sm_buffer) {0};
		it->seen[key] = pair->value_len != SM_NO_VALUE;
		if (pair->value_len == SM_NO_VALUE)
			continue;
		values[key] =
			(sm_buffer) {.data = malloc(pair->value_len + 1), .len = pair->value_len};
		memcpy(values[key].data, bytes, pair->value_len);
	}
}

static sm_status
take_changes(iteration *it, const sm_snapshot *snapshot, uint32_t shard,
			 sm_buffer *values)
{
	sm_changes changes = {0};
	sm_status status;

	do
	{
		sm_buffer pairs = {.data = it->r->buffer.data,
						   .size = it->r->buffer.size / 8 * 8};

		it->calls++;
		status = sm_snapshot_changes(it->map, snapshot, shard, &changes, &pairs);
		if (status == SM_TOO_SMALL)
			grow_buffer(it->r, pairs.len);
		else if (status == SM_FOUND)
			take_pairs_then(it, pairs, values, true);
	} while (status == SM_FOUND || status == SM_TOO_SMALL);
	return status;
}

/* Reads a snapshot.  Returns SM_ABSENT if all of it has come. */
static sm_status
read_snapshot(iteration *it, sm_snapshot *snapshot, sm_buffer *values)
{
	uint32_t shard = 0;
	sm_status status;

	do
	{
		sm_buffer pairs = {.data = it->r->buffer.data,
						   .size = it->r->buffer.size / 8 * 8};

		it->calls++;
		status = sm_snapshot_range(it->map, snapshot, &pairs);
		if (status == SM_TOO_SMALL)
			grow_buffer(it->r, pairs.len);
		else if (status == SM_FOUND)
			take_pairs_then(it, pairs, values, false);
		for (; shard < snapshot->cursor.shard; shard++)
		{
			sm_status changes = take_changes(it, snapshot, shard, values);

			if (changes != SM_ABSENT)
				return changes;
		}
	} while (status == SM_FOUND || status == SM_TOO_SMALL);
	return status;
}

/* At each moment no counter is ahead of those before it: see write_counter. */
static void
check_counters_then(const iteration *it, const sm_buffer *values)
{
	const sm_plan *plan = it->r->work->plan;
	uint64_t counters[SM_SHARED_KEYS];

	if (sm_plan_is_lossy(plan) ||
		plan->actors[SM_CLEARER] + plan->actors[SM_RECREATOR] > 0)
		return;
	for (int i = 0; i < SM_SHARED_KEYS; i++)
	{
		sm_check(values[i].len == sizeof(uint64_t), "a snapshot has not a counter");
		memcpy(&counters[i], values[i].data, sizeof(uint64_t));
		sm_check(counters[i] <= counters[0] &&
					 counters[i] + (uint64_t) plan->actors[SM_WRITER] >= counters[0] &&
					 (i == 0 || counters[i] <= counters[i - 1]),
				 "a snapshot of more than one moment");
	}
}

/* All pairs of one moment: of none of them is there an earlier or a later value. */
static void
snapshot_once(iteration *it)
{
	const sm_work *work = it->r->work;
	bool may_clear = work->plan->actors[SM_CLEARER] > 0;
	uint32_t nvalues = work->plan->nkeys + 2 * SM_SHARED_KEYS;
	sm_buffer *values = calloc(nvalues, sizeof(sm_buffer));
	sm_snapshot snapshot;
	sm_status status;

	begin_iteration(it);
	status = sm_snapshot_open(it->map, &snapshot);
	if (status == SM_FOUND)
	{
		for (uint32_t i = 0; i < work->plan->nkeys; i++)
			it->begun[i] = atomic_load(&work->ledger[i].begun);
		status = read_snapshot(it, &snapshot, values);
		sm_snapshot_close(it->map, &snapshot);
	}
	for (uint32_t i = 0; status == SM_ABSENT && i < work->plan->nkeys; i++)
	{
		uint64_t done = it->known[i].done;
		uint64_t since = sm_note_number(it->begun[i]) - sm_note_number(done);

		if (it->seen[i])
		{
			check_value_then(it, i, values[i].data, values[i].len);
			sm_check(!sm_note_deleted(done) || since > 0 ||
						 sm_note_map(done) != it->map->id,
					 "a snapshot has key %u, which was deleted", i);
		}
		else if (!sm_plan_is_lossy(work->plan) && !may_clear &&
				 sm_note_map(done) == it->map->id && !sm_note_deleted(done))
			sm_check(since >= 2 || (since == 1 && sm_note_deleted(it->begun[i])),
					 "a snapshot has not key %u", i);
	}
	if (status == SM_ABSENT)
		check_counters_then(it, values + work->plan->nkeys);
	for (uint32_t i = 0; i < nvalues; i++)
		free(values[i].data);
	free(values);
	if (status == SM_GONE)
		check_gone(work, it->map->id);
}

void
sm_run_ranger(sm_work *work, sm_engine *engine, int self)
{
	reader r = make_reader(work, engine, self);
	iteration it = {.r = &r, .map = &r.maps[0]};

	it.known = calloc(work->plan->nkeys, sizeof(before));
	it.begun = calloc(work->plan->nkeys, sizeof(uint64_t));
	it.seen = calloc(work->plan->nkeys + 2 * SM_SHARED_KEYS, 1);
	while (!atomic_load(&work->stop))
	{
		open_newest(&r, 0);
		switch (sm_rng_below(&r.rng, 3))
		{
			case 0:
				range_once(&it);
				break;
			case 1:
				range_ordered_once(&it);
				break;
			default:
				snapshot_once(&it);
		}
		atomic_fetch_add_explicit(&work->operations[self], it.calls,
								  memory_order_relaxed);
	}
	free(it.known);
	free(it.begun);
	free(it.seen);
	free(r.buffer.data);
	free(r.least);
}
