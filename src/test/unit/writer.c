/*
 * writer.c
 *	  Writers: each is the only one that changes its keys, and all of them
 *	  change the counters and the tokens.
 */
#include "workload.h"

#include "port.h"

/* How long a key stays that expires, at most, in microseconds of the host's clock. */
#define LIFETIME 2000

typedef struct writer
{
	sm_work *work;
	sm_engine *engine;
	int self;
	int number;
	sm_rng rng;
	sm_map map;
	bool exact; /* nobody else clears or drops the map, or lets keys go */
	bool lossy; /* keys are evicted and expire */
	int turn;	/* the counter to count up next */
	char *value;
	sm_buffer old;
	char key[SM_MAX_KEY];
} writer;

/* How a writer changes one of its keys. */
typedef enum way
{
	PUT,
	SWAP,
	COMPARE_AND_SWAP,
	GET_OR_PUT,
	DELETE,
	GET_AND_DELETE,
	COMPARE_AND_DELETE
} way;

static way
draw_way(writer *w, bool permanent)
{
	static const int weights[] = {60, 10, 8, 6, 8, 4, 4};
	int dice = (int) sm_rng_below(&w->rng, permanent ? 84 : 100);
	int i = 0;

	while (dice >= weights[i])
		dice -= weights[i++];
	return (way) i;
}

/* The writer's own key must have the value that it gave it last. */
static void
check_own(const writer *w, uint64_t key, uint64_t done, sm_buffer bytes)
{
	sm_value value = sm_value_read(bytes.data, bytes.len);

	sm_check(value.key == key && value.map == w->map.id, "a foreign value");
	sm_check(!(w->exact || w->lossy) || value.number == sm_note_number(done),
			 "key %lu has the value of operation %lu, its owner's last was %lu",
			 (unsigned long) key, (unsigned long) value.number,
			 (unsigned long) sm_note_number(done));
}

/* Nothing changes for a writer whose expectation is wrong. */
static void
mismatch(writer *w, sm_bytes k, bool there)
{
	sm_bytes wrong = {"wrong", sm_rng_below(&w->rng, 6)};
	sm_status status = sm_rng_below(&w->rng, 2) == 0 ?
		sm_compare_and_swap(&w->map, k, wrong, wrong, SM_NEVER) :
		sm_compare_and_delete(&w->map, k, wrong);

	sm_check(!w->exact || status == (there ? SM_MISMATCH : SM_ABSENT),
			 "status %d of a mismatch", status);
}

static sm_status
change(writer *w, way way, sm_bytes k, sm_bytes value, int64_t expires)
{
	sm_bytes was = {w->old.data, w->old.len};

	switch (way)
	{
		case PUT:
			return sm_put(&w->map, k, value, expires);
		case SWAP:
			return sm_swap(&w->map, k, value, expires, &w->old);
		case COMPARE_AND_SWAP:
			return sm_compare_and_swap(&w->map, k, was, value, expires);
		case GET_OR_PUT:
			return sm_get_or_put(&w->map, k, value, expires, &w->old);
		case DELETE:
			return sm_delete(&w->map, k);
		case GET_AND_DELETE:
			return sm_get_and_delete(&w->map, k, &w->old);
		default:
			return sm_compare_and_delete(&w->map, k, was);
	}
}

/* Until there is room for it, where keys may be evicted (M5). */
static sm_status
change_with_room(writer *w, way way, sm_bytes k, sm_bytes value, int64_t expires)
{
	sm_status status = change(w, way, k, value, expires);

	for (int tries = 0; w->lossy && status == SM_NO_MEMORY; tries++)
	{
		sm_check(tries < 10000, "no room after %d evictions", tries);
		atomic_fetch_add(&w->work->shortages, 1);
		sm_evict(&w->map, 2 + value.len / SM_PAGE_SIZE);
		status = change(w, way, k, value, expires);
	}
	return status;
}

static int64_t
draw_expires(writer *w)
{
	if (!w->lossy || sm_rng_below(&w->rng, 3) == 0)
		return SM_NEVER;
	return sm_port_now() + (int64_t) sm_rng_below(&w->rng, LIFETIME);
}

/* Lets a key expire a little earlier. */
static void
hasten(writer *w, sm_bytes k)
{
	int64_t now = sm_port_now();
	int64_t expires;
	sm_status status = sm_get_expiry(&w->map, k, NULL, &expires);

	if (status == SM_FOUND)
	{
		if (expires > now + LIFETIME)
			expires = now + LIFETIME;
		if (expires > now)
			expires -= (int64_t) sm_rng_below(&w->rng, (uint64_t) (expires - now));
		status = sm_expire(&w->map, k, expires);
	}
	sm_check(status == SM_FOUND || status == SM_ABSENT || status == SM_NO_MEMORY,
			 "status %d of an expiry", status);
}

/* Changes one of the writer's own keys. */
static void
write_own(writer *w)
{
	sm_work *work = w->work;
	const sm_plan *plan = work->plan;
	uint32_t writers = (uint32_t) plan->actors[SM_WRITER];
	uint64_t key =
		sm_rng_below(&w->rng, plan->nkeys / writers) * writers + (uint64_t) w->number;
	sm_ledger *ledger = &work->ledger[key];
	uint64_t done = atomic_load(&ledger->done);
	bool there = sm_note_map(done) == w->map.id && !sm_note_deleted(done);
	way way = draw_way(w, key < plan->permanent);
	bool deletes = way >= DELETE;
	uint64_t note =
		sm_note(sm_note_number(atomic_load(&ledger->begun)) + 1, deletes, w->map.id);
	sm_bytes k = {w->key, sm_key_make(w->key, key)};
	sm_bytes value = {w->value, sm_value_draw_len(&w->rng, plan->longest)};
	int64_t expires = draw_expires(w);
	uint64_t began_at;
	sm_status status;

	/* what it wrote must be there before it writes again (W4) */
	status = sm_get(&w->map, k, &w->old);
	sm_check(!w->exact || status == (there ? SM_FOUND : SM_ABSENT),
			 "status %d of a writer's own key", status);
	if (status == SM_FOUND)
		check_own(w, key, done, w->old);
	if (status != SM_FOUND && (way == COMPARE_AND_SWAP || way == COMPARE_AND_DELETE))
		return;
	if (sm_rng_below(&w->rng, 16) == 0)
		mismatch(w, k, there);
	if (w->lossy && sm_rng_below(&w->rng, 8) == 0)
		hasten(w, k);
	if (way == GET_OR_PUT && there && w->exact)
	{
		status = sm_get_or_put(&w->map, k, value, SM_NEVER, &w->old);
		sm_check(status == SM_FOUND, "status %d of get_or_put", status);
		check_own(w, key, done, w->old);
		return;
	}

	sm_value_make(w->value, value.len,
				  (sm_value) {.key = key,
							  .number = sm_note_number(note),
							  .map = w->map.id,
							  .expires = w->lossy ? expires : 0});
	began_at = sm_now_ns();
	atomic_store_explicit(&ledger->begun, note, memory_order_relaxed);
	status = change_with_room(w, way, k, value, expires);
	if (status == SM_FOUND && (way == SWAP || way == GET_AND_DELETE))
		check_own(w, key, done, w->old);
	if (status == SM_NO_MEMORY)
	{
		atomic_fetch_add(&work->shortages, 1);
		if (sm_rng_below(&w->rng, 2) == 0)
			sm_reclaim(&w->map, 1 + sm_rng_below(&w->rng, 100));
		return;
	}
	if (!w->exact &&
		(status == SM_GONE || status == SM_MISMATCH ||
		 (status == SM_ABSENT && way == COMPARE_AND_SWAP) ||
		 (status == SM_FOUND && way == GET_OR_PUT)))
		return;
	sm_check(!w->exact || status == (there ? SM_FOUND : SM_ABSENT),
			 "status %d of change %d of a key that was %s", status, way,
			 there ? "there" : "not there");

	atomic_store_explicit(&ledger->began_at, began_at, memory_order_relaxed);
	atomic_store_explicit(&ledger->ended_at, sm_now_ns(), memory_order_relaxed);
	atomic_store_explicit(&ledger->done, note, memory_order_release);
}

/* ---- what all writers change ---- */

static int
add_one(void *arg, const void *old, size_t old_len, void *new_value)
{
	uint64_t n = 0;

	sm_check(old_len == sizeof(n) && old != NULL, "a counter of %zu bytes", old_len);
	memcpy(&n, old, sizeof(n));
	n++;
	memcpy(new_value, &n, sizeof(n));
	*(bool *) arg = true;
	return sizeof(n);
}

/*
 * Counts one of the counters up, the next one each time, so that at no moment one is
 * ahead of those before it, or more behind than there are writers.
 */
static void
write_counter(writer *w)
{
	int i = w->turn;
	sm_bytes k = {w->key, sm_key_make(w->key, w->work->plan->nkeys + (uint64_t) i)};
	bool called = false;
	uint64_t was;
	uint64_t now;
	sm_buffer buffer = {.data = &was, .size = sizeof(was)};
	sm_status status;

	if (sm_rng_below(&w->rng, 2) == 0)
		status = sm_update(&w->map, k, add_one, &called, SM_NEVER);
	else
	{
		status = sm_get(&w->map, k, &buffer);
		sm_check(status == SM_FOUND, "status %d of a counter", status);
		now = was + 1;
		status = sm_compare_and_swap(&w->map, k, (sm_bytes) {&was, sizeof(was)},
									 (sm_bytes) {&now, sizeof(now)}, SM_NEVER);
	}
	if (status == SM_FOUND)
	{
		atomic_fetch_add(&w->work->counted[i], 1);
		w->turn = (i + 1) % SM_SHARED_KEYS;
	}
	else
		sm_check(status == SM_MISMATCH || status == SM_NO_MEMORY,
				 "status %d of a counter", status);
}

/* Tokens go in and come out: what comes out is what went in before. */
static void
write_token(writer *w, int i)
{
	uint64_t key = w->work->plan->nkeys + SM_SHARED_KEYS + (uint64_t) i;
	sm_bytes k = {w->key, sm_key_make(w->key, key)};
	sm_bytes value = {w->value, sm_value_draw_len(&w->rng, 3000)};
	uint64_t token = sm_rng_next(&w->rng);
	sm_status status;
	bool put = true;
	bool took;

	sm_value_make(w->value, value.len, (sm_value) {.key = key, .number = token});
	switch (sm_rng_below(&w->rng, 3))
	{
		case 0:
			status = sm_swap(&w->map, k, value, SM_NEVER, &w->old);
			took = status == SM_FOUND;
			break;
		case 1:
			status = sm_get_or_put(&w->map, k, value, SM_NEVER, &w->old);
			put = status == SM_ABSENT;
			took = false;
			break;
		default:
			status = sm_get_and_delete(&w->map, k, &w->old);
			put = false;
			took = status == SM_FOUND;
	}
	if (status == SM_NO_MEMORY)
		return;
	sm_check(status == SM_FOUND || status == SM_ABSENT, "status %d of a token", status);
	if (put)
		atomic_fetch_add(&w->work->tokens_in[i], token);
	if (status == SM_FOUND)
	{
		sm_value was = sm_value_read(w->old.data, w->old.len);

		sm_check(was.key == key, "a token of another key");
		if (took)
			atomic_fetch_add(&w->work->tokens_out[i], was.number);
	}
}

void
sm_run_writer(sm_work *work, sm_engine *engine, int self, int of_its_kind)
{
	const sm_plan *plan = work->plan;
	writer w = {.work = work, .engine = engine, .self = self, .number = of_its_kind};

	w.rng = sm_rng_seed(work->seed * 100 + (uint64_t) self);
	w.lossy = sm_plan_is_lossy(plan);
	w.exact =
		plan->actors[SM_CLEARER] == 0 && plan->actors[SM_RECREATOR] == 0 && !w.lossy;
	w.value = malloc(plan->longest + 4096);
	w.old = (sm_buffer) {.data = malloc(plan->longest + 4096),
						 .size = plan->longest + 4096};
	for (uint64_t n = 0; !atomic_load(&work->stop); n++)
	{
		int shared = (int) sm_rng_below(&w.rng, SM_SHARED_KEYS);
		uint64_t dice = sm_rng_below(&w.rng, 16);

		if (n % 64 == 0)
		{
			sm_work_vary(engine, &w.rng);
			sm_map_open(&w.map, engine, atomic_load(&work->map_id), 0,
						plan->shard_bits);
		}
		if (w.exact && dice == 0)
			write_counter(&w);
		else if (w.exact && dice == 1)
			write_token(&w, shared);
		else
			write_own(&w);
		atomic_fetch_add_explicit(&work->operations[self], 1, memory_order_relaxed);
	}
	free(w.value);
	free(w.old.data);
}
