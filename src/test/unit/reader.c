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

/* Takes the pairs of one call, which must be of the map. */
static void
take_pairs(reader *r, uint64_t map, sm_buffer pairs, const before *known, uint8_t *seen)
{
	for (size_t at = 0; at < pairs.len;)
	{
		const char *bytes = (char *) pairs.data + at;
		const sm_pair *pair = (const sm_pair *) bytes;
		uint64_t key = sm_key_read(bytes + sizeof(*pair), pair->key_len);
		const char *value = bytes + sizeof(*pair) + sm_pad(pair->key_len);

		sm_check(key < r->work->plan->nkeys + 2 * SM_SHARED_KEYS, "a foreign key");
		sm_check(seen[key]++ == 0, "range gave key %lu twice", (unsigned long) key);
		if (key < r->work->plan->nkeys)
			check_value(r, key, map, &known[key], value, pair->value_len);
		at += sizeof(*pair) + sm_pad(pair->key_len) + sm_pad(pair->value_len);
	}
}

/* One iteration; returns how many calls it took. */
static uint64_t
range_once(reader *r, sm_map *map, before *known, uint8_t *seen)
{
	sm_work *work = r->work;
	uint32_t nkeys = work->plan->nkeys;
	sm_cursor cursor = {0};
	uint64_t calls = 0;

	memset(seen, 0, nkeys + 2 * SM_SHARED_KEYS);
	for (uint32_t i = 0; i < nkeys; i++)
		known[i] = look_before(work, i);
	for (;; calls++)
	{
		sm_buffer pairs = {r->buffer.data, r->buffer.size / 8 * 8, 0};
		sm_status status = sm_range(map, &cursor, &pairs);

		if (status == SM_ABSENT || atomic_load(&work->stop))
			break;
		if (status == SM_GONE)
		{
			check_gone(work, map->id);
			return calls;
		}
		if (status == SM_TOO_SMALL)
		{
			r->buffer.size = pairs.len + 8;
			r->buffer.data = realloc(r->buffer.data, r->buffer.size);
			continue;
		}
		sm_check(status == SM_FOUND, "status %d of range", status);
		take_pairs(r, map->id, pairs, known, seen);
	}
	for (uint32_t i = 0; i < nkeys && !atomic_load(&work->stop); i++)
	{
		if (seen[i])
			continue;
		check_absent(work, i, map->id, &known[i]);
		note_absent(r, i, &known[i]);
	}
	return calls;
}

void
sm_run_ranger(sm_work *work, sm_engine *engine, int self)
{
	reader r = make_reader(work, engine, self);
	before *known = calloc(work->plan->nkeys, sizeof(before));
	uint8_t *seen = calloc(work->plan->nkeys + 2 * SM_SHARED_KEYS, 1);

	while (!atomic_load(&work->stop))
	{
		open_newest(&r, 0);
		atomic_fetch_add_explicit(&work->operations[self],
								  range_once(&r, &r.maps[0], known, seen),
								  memory_order_relaxed);
	}
	free(known);
	free(seen);
	free(r.buffer.data);
	free(r.least);
}
