/*
 * trial.c
 *	  Random operations on a map whose keys expire and may be evicted, against
 *	  a naive record of every key.
 */
#include "trial.h"

#include "port.h"
#include "port_posix.h"

#define MAX_KEY 300

/* More tries than any sequence of evictions has to offer. */
#define MAX_TRIES 10000

typedef enum op_kind
{
	OP_PUT,
	OP_GET_OR_PUT,
	OP_SWAP,
	OP_COMPARE_AND_SWAP,
	OP_DELETE,
	OP_GET_AND_DELETE,
	OP_COMPARE_AND_DELETE,
	OP_UPDATE,
	OP_EXPIRE,
	OP_REPLACE,
	OP_COMPARE_PAIR_AND_SWAP,
	OP_COMPARE_PAIR_AND_DELETE,
	OP_FILL_NOTHING,
	OP_INVALIDATE,
	/* of the whole map, or of no key */
	OP_CLOCK,
	OP_MAINTAIN,
	OP_RECLAIM,
	OP_CHECK,
	OP_CLEAR,
	OP_KINDS
} op_kind;

/* Of 1000. */
static const int weights[OP_KINDS] = {210, 60, 50, 50, 50,	30, 40, 70, 80, 40,
									  50,  10, 30, 50, 110, 40, 20, 8,	2};

static const char *const names[OP_KINDS] = {
	"put",
	"get_or_put",
	"swap",
	"compare_and_swap",
	"delete",
	"get_and_delete",
	"compare_and_delete",
	"update",
	"expire",
	"replace",
	"compare_pair_and_swap",
	"compare_pair_and_delete",
	"fill_nothing",
	"invalidate",
	"clock",
	"maintain",
	"reclaim",
	"check",
	"clear",
};

typedef struct op
{
	op_kind kind;
	sm_record *record;
	sm_bytes value;
	int64_t expires;
	sm_bytes expected;
	int64_t expected_expires;
	bool watched;

	/* sm_update's function: what it answers, and what it was given */
	int answer;
	bool old_given;
	size_t old_len;
	char old[SM_MAX_UPDATE];
} op;

static char random_bytes[2 * SM_TRIAL_LONGEST];
static char out[SM_TRIAL_LONGEST];

static uint32_t
shards_of(const sm_map *map)
{
	return 1U << map->shard_bits;
}

/* From the very microsecond on it is not. */
static bool
is_live(const sm_record *record)
{
	return record->there && record->expires > sm_port_now();
}

static bool
same(sm_bytes a, const void *bytes, size_t len)
{
	return a.len == len && (len == 0 || memcmp(a.data, bytes, len) == 0);
}

/* ---- what is drawn ---- */

static size_t
draw_key_len(sm_rng *rng)
{
	switch (sm_rng_below(rng, 4))
	{
		case 0:
			return 2 + sm_rng_below(rng, MAX_KEY - 1);
		case 1:
			return 16;
		default:
			return 2 + sm_rng_below(rng, 40);
	}
}

/* A key says its number: in its only byte, or in its first two. */
static void
draw_keys(sm_trial *trial)
{
	trial->key_bytes = malloc((size_t) trial->nkeys * MAX_KEY);
	trial->records = calloc(trial->nkeys, sizeof(sm_record));
	for (uint32_t i = 0; i < trial->nkeys; i++)
	{
		char *bytes = trial->key_bytes + (size_t) i * MAX_KEY;
		size_t len = i < 16 ? 1 : draw_key_len(&trial->rng);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (char) sm_rng_next(&trial->rng);
		bytes[0] = (char) i;
		if (len > 1)
			bytes[1] = (char) (i >> 8);
		trial->records[i].key = (sm_bytes) {bytes, len};
	}
}

static sm_record *
record_of(sm_trial *trial, sm_bytes key)
{
	const unsigned char *bytes = key.data;
	uint32_t number = 0;

	if (key.len > 0)
		number = bytes[0] + (key.len > 1 ? 256U * bytes[1] : 0);
	sm_check(key.len > 0 && number < trial->nkeys &&
				 same(trial->records[number].key, key.data, key.len),
			 "a foreign key of %zu bytes", key.len);
	return &trial->records[number];
}

/* For every place a value may have: over another one, in a segment, in extents. */
static sm_bytes
draw_value(sm_trial *trial, const sm_record *record)
{
	sm_rng *rng = &trial->rng;
	uint64_t dice = sm_rng_below(rng, 100);
	size_t len;

	if (dice < 25)
		len = record->value.len;
	else if (dice < 60)
		len = sm_rng_below(rng, 100);
	else if (dice < 78)
		len = sm_rng_below(rng, 1300);
	else if (dice < 90)
		len = sm_rng_below(rng, 6000);
	else if (dice < 94)
		len = 15 * 1024 + sm_rng_below(rng, 2048);
	else
		len = sm_rng_below(rng, trial->longest);
	if (len > trial->longest)
		len = trial->longest;
	return (sm_bytes) {random_bytes + sm_rng_below(rng, SM_TRIAL_LONGEST), len};
}

static int64_t
draw_expires(sm_rng *rng)
{
	int64_t now = sm_port_now();

	switch (sm_rng_below(rng, 10))
	{
		case 0:
			now -= (int64_t) sm_rng_below(rng, 3);
			return now > 0 ? now : 1;
		case 1:
		case 2:
			return now + 1 + (int64_t) sm_rng_below(rng, 20);
		case 3:
		case 4:
		case 5:
			return now + 1 + (int64_t) sm_rng_below(rng, 5000);
		default:
			return SM_NEVER;
	}
}

static op
draw_op(sm_trial *trial)
{
	sm_rng *rng = &trial->rng;
	op o = {.record = &trial->records[sm_rng_below(rng, trial->nkeys)]};
	int dice = (int) sm_rng_below(rng, 1000);

	while (dice >= weights[o.kind])
		dice -= weights[o.kind++];
	/* under a clear too many nothing would ever be full */
	if (o.kind == OP_CLEAR && sm_rng_below(rng, 4) > 0)
		o.kind = OP_CHECK;
	o.value = draw_value(trial, o.record);
	o.expires = draw_expires(rng);
	o.watched = trial->stale != 0;
	/* a map that is not watched has nothing to invalidate */
	if (o.kind == OP_INVALIDATE && !o.watched)
		o.kind = OP_DELETE;
	if (o.kind == OP_FILL_NOTHING)
		o.expires = sm_port_now() + 2 + (int64_t) sm_rng_below(rng, 60);
	else if (o.kind != OP_EXPIRE && sm_rng_below(rng, 4) == 0)
		o.expires = SM_KEEP;
	o.expected_expires =
		sm_rng_below(rng, 8) > 0 ? o.record->expires : draw_expires(rng);
	o.expected =
		sm_rng_below(rng, 4) > 0 ? o.record->value : draw_value(trial, o.record);
	o.answer = (int) sm_rng_below(rng, SM_MAX_UPDATE + 1);
	if (sm_rng_below(rng, 8) == 0)
		o.answer = -1;
	return o;
}

/* ---- one key ---- */

/* A key that may be evicted is not there any more. */
static void
vanish(sm_trial *trial, sm_record *record)
{
	sm_check(trial->vanishes, "a key is missed, which does not expire before %ld",
			 (long) record->expires);
	record->there = false;
	trial->vanished++;
}

/*
 * What is hidden is found by who asks for it, and is what it was, until its time is over;
 * once it was not found it does not come back.
 */
static void
check_hidden(sm_trial *trial, sm_record *record)
{
	int wanted = (int) sm_rng_below(&trial->rng, 4);
	int kind = is_live(record) ? SM_SHOWN : record->hidden;
	bool there = is_live(record) ||
		((kind & wanted) != 0 && record->hidden_until > sm_port_now());
	sm_bytes value = is_live(record) ? record->value : record->hidden_value;
	sm_buffer buffer = {.data = out, .size = sizeof(out)};
	sm_hidden hidden;
	sm_status status =
		sm_get_hidden(&trial->map, record->key, wanted, &buffer, &hidden);

	if (!is_live(record) && status == SM_ABSENT && there)
	{
		record->hidden = 0;
		return;
	}
	sm_check(status == (there ? SM_FOUND : SM_ABSENT),
			 "C1: get_hidden has status %d of what is hidden as %d, wanted %d", status,
			 kind, wanted);
	if (!there)
		return;
	sm_check((int) hidden == kind, "C1: it is hidden as %d, not as %d", hidden, kind);
	sm_check(same(value, out, buffer.len), "C1: another hidden value");
	trial->found_hidden += kind != SM_SHOWN;
}

/* All that can be asked about a key agrees with its record. */
static void
check_key(sm_trial *trial, sm_record *record)
{
	bool cramped = sm_rng_below(&trial->rng, 8) == 0;
	sm_buffer buffer = {.data = out,
						.size =
							cramped ? sm_rng_below(&trial->rng, 2000) : sizeof(out)};
	sm_status status = sm_get(&trial->map, record->key, &buffer);
	sm_status wanted = SM_ABSENT;
	int64_t expires = 0;

	if (status == SM_ABSENT && is_live(record))
		vanish(trial, record);
	if (is_live(record))
		wanted = record->value.len <= buffer.size ? SM_FOUND : SM_TOO_SMALL;
	sm_check(status == wanted, "get has status %d, not %d", status, wanted);
	sm_check(status == SM_ABSENT || buffer.len == record->value.len,
			 "a value of %zu bytes, not of %zu", buffer.len, record->value.len);
	sm_check(status != SM_FOUND || same(record->value, out, buffer.len),
			 "another value of %zu bytes", buffer.len);
	sm_check(status != SM_FOUND || buffer.expires == record->expires,
			 "get says that it expires at %ld, not at %ld", (long) buffer.expires,
			 (long) record->expires);

	status = sm_get_expiry(&trial->map, record->key, &buffer, &expires);
	sm_check(status == wanted, "get_expiry with a value has status %d, not %d", status,
			 wanted);
	sm_check(status != SM_FOUND ||
				 (same(record->value, out, buffer.len) && expires == record->expires),
			 "get_expiry gives another value, or time");
	wanted = is_live(record) ? SM_FOUND : SM_ABSENT;
	status = sm_get_expiry(&trial->map, record->key, NULL, &expires);
	sm_check(status == wanted, "get_expiry has status %d, not %d", status, wanted);
	sm_check(status == SM_ABSENT || expires == record->expires,
			 "it expires at %ld, not at %ld", (long) expires, (long) record->expires);
	status = sm_contains(&trial->map, record->key);
	sm_check(status == wanted, "contains has status %d, not %d", status, wanted);
	check_hidden(trial, record);
}

static int
answer(void *arg, const void *old, size_t old_len, void *new_value)
{
	op *o = arg;

	o->old_given = old != NULL;
	o->old_len = old_len;
	if (old != NULL)
		memcpy(o->old, old, old_len);
	if (o->answer > 0)
		memcpy(new_value, o->value.data, (size_t) o->answer);
	return o->answer;
}

static bool
covers(void *arg, const sm_fences *fences)
{
	(void) arg;
	(void) fences;
	return true;
}

static sm_status
execute(sm_map *map, op *o, sm_buffer *old)
{
	sm_bytes key = o->record->key;

	switch (o->kind)
	{
		case OP_PUT:
			return sm_put(map, key, o->value, o->expires);
		case OP_GET_OR_PUT:
			return sm_get_or_put(map, key, o->value, o->expires, old);
		case OP_SWAP:
			return sm_swap(map, key, o->value, o->expires, old);
		case OP_COMPARE_AND_SWAP:
			return sm_compare_and_swap(map, key, o->expected, o->value, o->expires);
		case OP_DELETE:
			return sm_delete(map, key);
		case OP_GET_AND_DELETE:
			return sm_get_and_delete(map, key, old);
		case OP_COMPARE_AND_DELETE:
			return sm_compare_and_delete(map, key, o->expected);
		case OP_UPDATE:
			return sm_update(map, key, answer, o, o->expires);
		case OP_REPLACE:
			return sm_replace(map, key, o->value, o->expires);
		case OP_COMPARE_PAIR_AND_SWAP:
			return sm_compare_pair_and_swap(map, key, o->expected, o->expected_expires,
											o->value, o->expires);
		case OP_COMPARE_PAIR_AND_DELETE:
			return sm_compare_pair_and_delete(map, key, o->expected,
											  o->expected_expires);
		case OP_FILL_NOTHING:
			return sm_fill_nothing(map, key, o->expires, o->watched ? covers : NULL,
								   NULL);
		case OP_INVALIDATE:
			return sm_invalidate(map, key, 1, NULL);
		default:
			return sm_expire(map, key, o->expires);
	}
}

/* Makes room as a host does.  Returns false if there is nothing to be had. */
static bool
make_room(sm_trial *trial, uint64_t pages)
{
	return sm_reclaim(&trial->map, pages) + sm_reclaim(trial->gives_way, pages) +
		sm_evict(trial->gives_way, pages) >
		0;
}

/* Until there is room for it, or nobody is left to make room (M5). */
static sm_status
execute_with_room(sm_trial *trial, op *o, sm_buffer *old)
{
	uint64_t pages = o->value.len / SM_PAGE_SIZE + 2;
	sm_status status = execute(&trial->map, o, old);

	for (int tries = 0; status == SM_NO_MEMORY && trial->gives_way != NULL; tries++)
	{
		trial->shortages++;
		sm_check(tries < MAX_TRIES, "there is always something to evict, and no room");
		if (!make_room(trial, pages))
		{
			sm_check(sm_map_pages(trial->gives_way) == 0, "%lu pages can't be evicted",
					 (unsigned long) sm_map_pages(trial->gives_way));
			sm_check(sm_host_free_pages() < 2 * pages + 4,
					 "no room for %lu pages, with %u free", (unsigned long) pages,
					 sm_host_free_pages());
			break;
		}
		status = execute(&trial->map, o, old);
	}
	return status;
}

/* What an operation is to do to a record. */
typedef struct effect
{
	sm_status status;
	bool stores;
	bool removes;
	sm_bytes value;
	int64_t expires;
} effect;

static effect
predict(const op *o, bool live)
{
	const sm_record *record = o->record;
	effect e = {live ? SM_FOUND : SM_ABSENT, .value = o->value, .expires = o->expires};
	bool matches = live && same(record->value, o->expected.data, o->expected.len);
	bool pairs =
		o->kind == OP_COMPARE_PAIR_AND_SWAP || o->kind == OP_COMPARE_PAIR_AND_DELETE;

	if (pairs && o->expected_expires != record->expires)
		matches = false;
	if (o->expires == SM_KEEP)
		e.expires = live ? record->expires : SM_NEVER;
	switch (o->kind)
	{
		case OP_PUT:
		case OP_SWAP:
			e.stores = true;
			break;
		case OP_GET_OR_PUT:
			e.stores = !live;
			break;
		case OP_COMPARE_AND_SWAP:
		case OP_COMPARE_PAIR_AND_SWAP:
			e.stores = matches;
			break;
		case OP_DELETE:
		case OP_GET_AND_DELETE:
		case OP_INVALIDATE:
			e.removes = live;
			break;
		case OP_COMPARE_AND_DELETE:
		case OP_COMPARE_PAIR_AND_DELETE:
			e.removes = matches;
			break;
		case OP_UPDATE:
			e.stores = o->answer >= 0;
			e.value.len = o->answer >= 0 ? (size_t) o->answer : 0;
			if (live)
				e.expires = record->expires;
			break;
		case OP_REPLACE:
			e.stores = live;
			break;
		case OP_FILL_NOTHING:
			break;
		default:
			e.value = record->value; /* sm_expire, where it is there */
	}
	if (live && !matches &&
		(pairs || o->kind == OP_COMPARE_AND_SWAP || o->kind == OP_COMPARE_AND_DELETE))
		e.status = SM_MISMATCH;
	if (o->kind == OP_UPDATE && !e.stores)
		e.status = SM_REFUSED;
	return e;
}

/* Does the result tell that the key had vanished? */
static bool
tells_vanished(const op *o, sm_status status)
{
	return status == SM_ABSENT ||
		(status == SM_REFUSED && !o->old_given && o->old_len == 0);
}

/* What came out besides the status: the value that was there. */
static void
check_old(const op *o, sm_status status, const sm_buffer *old, bool live)
{
	const sm_record *record = o->record;

	if (status == SM_FOUND &&
		(o->kind == OP_GET_OR_PUT || o->kind == OP_SWAP ||
		 o->kind == OP_GET_AND_DELETE))
	{
		sm_check(same(record->value, old->data, old->len), "another value came out");
		sm_check(old->expires == record->expires, "another expiry came out");
	}
	if (o->kind != OP_UPDATE)
		return;
	sm_check(o->old_given == (live && record->value.len <= SM_MAX_UPDATE) &&
				 o->old_len == (live ? record->value.len : 0),
			 "sm_update was given %zu bytes", o->old_len);
	sm_check(!o->old_given || same(record->value, o->old, o->old_len),
			 "sm_update was given another value");
}

sm_sums
sm_sum_stats(const sm_map *map)
{
	sm_sums sums = {0};

	for (uint32_t shard = 0; shard < shards_of(map); shard++)
	{
		sm_shard_stats stats;

		sm_check(sm_get_shard_stats(map, shard, &stats), "the map is gone");
		for (int i = 0; i < SM_COUNTERS; i++)
			sums.counts[i] += stats.counts[i];
		sums.entries += stats.entries;
		sums.hidden += stats.hidden;
		sums.pages += stats.index + stats.young + stats.main + stats.extents;
	}
	return sums;
}

/* Entries that came: all that are there, and all that went. */
static uint64_t
came(const sm_sums *sums)
{
	return sums->entries - sums->hidden + sums->counts[SM_DELETES] +
		sums->counts[SM_EVICTIONS] + sums->counts[SM_EXPIRATIONS];
}

static uint64_t
counted(const sm_trial *trial, const sm_sums *sums, sm_counter counter)
{
	return sums->counts[counter] - trial->sums.counts[counter];
}

/*
 * The statistics tell of one step: a new key came or none, and what was stored
 * or deleted was counted.  A key may be evicted to make room for its own new
 * value; then it came anew.
 */
static void
check_stats(sm_trial *trial, bool is_new, bool stores, bool removes)
{
	sm_sums sums = sm_sum_stats(&trial->map);
	uint64_t more = came(&sums) - came(&trial->sums);
	uint64_t evictions = counted(trial, &sums, SM_EVICTIONS);

	sm_check(more == is_new || (stores && evictions > 0 && more == 1),
			 "%lu entries came, and %s was stored", (unsigned long) more,
			 is_new ? "a new key" : "no new key");
	sm_check(counted(trial, &sums, SM_PUTS) == stores, "%lu puts were counted",
			 (unsigned long) counted(trial, &sums, SM_PUTS));
	sm_check(counted(trial, &sums, SM_DELETES) == removes, "%lu deletes were counted",
			 (unsigned long) counted(trial, &sums, SM_DELETES));
	sm_check(trial->vanishes || sums.counts[SM_EVICTIONS] == 0,
			 "something was evicted");
	sm_check(sums.pages == sm_map_pages(&trial->map),
			 "%lu pages, and %lu in the shards",
			 (unsigned long) sm_map_pages(&trial->map), (unsigned long) sums.pages);
	trial->sums = sums;
}

/* What an operation that was not out of memory does to what is hidden of a key. */
static void
hide(const sm_trial *trial, const op *o, bool live)
{
	sm_record *record = o->record;

	/* what is hidden stays so to an invalidation */
	if (o->kind == OP_INVALIDATE && !live && record->hidden == SM_STALE)
		return;
	record->hidden = 0;
	if (o->kind == OP_INVALIDATE && live)
	{
		record->hidden = SM_STALE;
		record->hidden_value = record->value;
		record->hidden_until = sm_port_now() + trial->stale;
	}
	else if (o->kind == OP_FILL_NOTHING && !live)
	{
		record->hidden = SM_NEGATIVE;
		record->hidden_value = (sm_bytes) {"", 0};
		record->hidden_until = o->expires;
	}
	/* the lowest bit is not the time's */
	record->hidden_until &= ~(int64_t) 1;
}

static void
step_key(sm_trial *trial, op *o)
{
	sm_record *record = o->record;
	sm_buffer old = {.data = out, .size = sizeof(out)};
	uint64_t shortages = sm_host_shortages();
	bool limited = sm_map_quota(&trial->map) != UINT64_MAX;
	bool live = is_live(record);
	sm_status status = execute_with_room(trial, o, &old);
	effect e;

	if (status == SM_NO_MEMORY)
	{
		trial->shortages++;
		sm_check(limited || sm_host_shortages() > shortages, "no memory, no shortage");
		check_stats(trial, false, false, false);
		return;
	}
	if (live && trial->vanishes && tells_vanished(o, status))
	{
		vanish(trial, record);
		live = false;
	}
	e = predict(o, live);
	hide(trial, o, live);
	sm_check(status == e.status, "status %d, not %d", status, e.status);
	check_old(o, status, &old, live);
	if (e.stores || (o->kind == OP_EXPIRE && live))
	{
		record->there = true;
		record->value = e.value;
		record->expires = e.expires;
	}
	if (e.removes)
		record->there = false;
	check_stats(trial, e.stores && !live, e.stores, e.removes);

	/* nothing else came since: it can't have vanished yet */
	sm_check(!e.stores || !is_live(record) ||
				 sm_contains(&trial->map, record->key) == SM_FOUND,
			 "what was just stored is not there");
}

/*
 * An index that grows, or a new ghost page, may take a page or two before the
 * next write evicts for it.
 */
uint64_t
sm_check_quota(const sm_map *map)
{
	uint64_t pages = sm_map_pages(map);
	uint64_t quota = sm_map_quota(map);
	uint64_t over = pages > quota ? pages - quota : 0;

	sm_check(over <= (uint64_t) 4 << map->shard_bits, "%lu pages under a quota of %lu",
			 (unsigned long) pages, (unsigned long) quota);
	return over;
}

/* ---- the clock ---- */

/* Goes to the last microsecond of a key, looks, and goes on to the next one. */
static void
pass_expiry(sm_trial *trial, sm_record *record)
{
	if (!is_live(record) || record->expires == SM_NEVER)
		return;
	sm_host_set_clock(record->expires - 1);
	check_key(trial, record);
	sm_host_set_clock(record->expires);
	check_key(trial, record);
}

static void
step_clock(sm_trial *trial, sm_record *record)
{
	switch (sm_rng_below(&trial->rng, 16))
	{
		case 0:
			pass_expiry(trial, record);
			break;
		case 1:
			sm_host_set_clock(sm_port_now() +
							  (int64_t) sm_rng_below(&trial->rng, 4000));
			break;
		default:
			sm_host_set_clock(sm_port_now() + (int64_t) sm_rng_below(&trial->rng, 30));
	}
}

/* ---- the whole map ---- */

static uint64_t
take_pairs(sm_trial *trial, const sm_buffer *pairs)
{
	uint64_t n = 0;

	for (size_t at = 0; at < pairs->len; n++)
	{
		const char *bytes = (char *) pairs->data + at;
		const sm_pair *pair = (const sm_pair *) bytes;
		sm_bytes key = {bytes + sizeof(*pair), pair->key_len};
		sm_record *record = record_of(trial, key);

		sm_check(is_live(record), "range gave a key that is not there");
		sm_check(!record->seen, "range gave a key twice");
		sm_check(same(record->value, bytes + sizeof(*pair) + sm_pad(key.len),
					  pair->value_len),
				 "range gave another value");
		sm_check(pair->expires == record->expires,
				 "range says it expires at %ld, not at %ld", (long) pair->expires,
				 (long) record->expires);
		record->seen = true;
		at += sizeof(*pair) + sm_pad(key.len) + sm_pad(pair->value_len);
	}
	return n;
}

/* One iteration over everything; returns the number of pairs. */
static uint64_t
range(sm_trial *trial)
{
	sm_buffer pairs = {.data = malloc(4096), .size = 4096};
	sm_cursor cursor = {0};
	sm_status status;
	uint64_t n = 0;

	while ((status = sm_range(&trial->map, &cursor, &pairs)) != SM_ABSENT)
	{
		if (status == SM_TOO_SMALL)
		{
			pairs.size = pairs.len;
			pairs.data = realloc(pairs.data, pairs.size);
			continue;
		}
		sm_check(status == SM_FOUND, "status %d of range", status);
		n += take_pairs(trial, &pairs);
	}
	free(pairs.data);
	return n;
}

void
sm_trial_check(sm_trial *trial)
{
	uint64_t n;

	for (uint32_t i = 0; i < trial->nkeys; i++)
		trial->records[i].seen = false;
	n = range(trial);
	for (uint32_t i = 0; i < trial->nkeys; i++)
	{
		if (is_live(&trial->records[i]) && !trial->records[i].seen)
			vanish(trial, &trial->records[i]);
	}
	sm_check(sm_count(&trial->map) == n, "a count of %lu, not %lu",
			 (unsigned long) sm_count(&trial->map), (unsigned long) n);
	for (uint32_t i = 0; i < trial->nkeys; i++)
		check_key(trial, &trial->records[i]);
}

void
sm_trial_maintain(sm_trial *trial)
{
	for (uint32_t shard = 0; shard < shards_of(&trial->map); shard++)
		sm_maintain(&trial->map, shard);
}

void
sm_trial_clear(sm_trial *trial)
{
	sm_check(sm_clear(&trial->map) == SM_FOUND, "clear failed");
	for (uint32_t i = 0; i < trial->nkeys; i++)
	{
		trial->records[i].there = false;
		trial->records[i].hidden = 0;
	}
	trial->sums.entries = 0;
	sm_check(sm_count(&trial->map) == 0, "keys are left");
	sm_check(sm_map_pages(&trial->map) == 0, "pages are left");
	/* what had expired goes uncounted */
	trial->sums = sm_sum_stats(&trial->map);
	sm_check(trial->sums.entries == 0, "entries are left");
}

void
sm_trial_expire_all(sm_trial *trial)
{
	int64_t soon = sm_port_now() + 1000;

	for (uint32_t i = 0; i < trial->nkeys; i++)
	{
		sm_record *record = &trial->records[i];
		bool live = is_live(record);
		sm_status status = sm_expire(&trial->map, record->key, soon);

		/* it may take a word more */
		if (status == SM_NO_MEMORY)
			status = sm_delete(&trial->map, record->key);
		sm_check(status == (live ? SM_FOUND : SM_ABSENT) ||
					 (trial->vanishes && status == SM_ABSENT),
				 "status %d of an expiry", status);
		record->there = false;
		record->hidden = 0;
	}
	sm_host_set_clock(soon);
}

void
sm_trial_step(sm_trial *trial)
{
	op o = draw_op(trial);

	trial->operations++;
	sm_set_context("%s, operation %lu: %s\n", trial->title,
				   (unsigned long) trial->operations, names[o.kind]);
	switch (o.kind)
	{
		case OP_CLOCK:
			step_clock(trial, o.record);
			break;
		case OP_MAINTAIN:
			sm_maintain(&trial->map,
						(uint32_t) sm_rng_below(&trial->rng, shards_of(&trial->map)));
			break;
		case OP_RECLAIM:
			sm_reclaim(&trial->map, 1 + sm_rng_below(&trial->rng, 40));
			sm_check(trial->vanishes || sm_evict(&trial->map, 1) == 0,
					 "a map was evicted from that is not to be");
			break;
		case OP_CHECK:
			sm_trial_check(trial);
			break;
		case OP_CLEAR:
			sm_trial_clear(trial);
			break;
		default:
			step_key(trial, &o);
	}
	if (o.kind >= OP_CLOCK)
		check_stats(trial, false, false, false);
	/* too many looks would make a use of everything */
	if (!trial->vanishes || sm_rng_below(&trial->rng, 3) == 0)
		check_key(trial, o.record);
	if (sm_rng_below(&trial->rng, 4) == 0)
		check_key(trial, &trial->records[sm_rng_below(&trial->rng, trial->nkeys)]);
}

void
sm_trial_begin(sm_trial *trial, const sm_engine *engine, uint64_t id,
			   uint32_t first_shard, uint32_t shard_bits, uint32_t nkeys, uint64_t seed)
{
	sm_rng rng = sm_rng_seed(seed);

	for (size_t i = 0; i < sizeof(random_bytes); i += 8)
		*(uint64_t *) (random_bytes + i) = sm_rng_next(&rng);
	*trial = (sm_trial) {.rng = rng, .nkeys = nkeys, .longest = SM_TRIAL_LONGEST};
	draw_keys(trial);
	sm_map_open(&trial->map, engine, id, first_shard, shard_bits);
	sm_map_create(&trial->map);
}

void
sm_trial_watch(sm_trial *trial, int64_t stale)
{
	trial->stale = stale;
	trial->map.unchecked = true;
	sm_check(sm_map_watch(&trial->map, 1) == SM_FOUND &&
				 sm_map_set_stale(&trial->map, stale) == SM_FOUND,
			 "a new map");
}

void
sm_trial_end(sm_trial *trial)
{
	free(trial->records);
	free(trial->key_bytes);
}
