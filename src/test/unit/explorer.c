/*
 * explorer.c
 *	  Readers, writers, and those who move and drop things, in every order.
 *
 *	  explorer [scenario [preemptions]]
 *
 * All scenarios whose names begin so, or "all".
 *
 * Runs the engine itself (see scheduler.h) through small scenarios, each meant
 * for one thing that readers without a lock must survive.  After every
 * schedule each key's operations must have an order (history.h): that is R1,
 * R2, and W4.  Built with one of the engine's planted mistakes, it must find
 * it.  Memory is sequentially consistent here: what the fences are for is not
 * explored.
 */
#include <string.h>

#include "check.h"
#include "scenario.h"

/* The mistake in the engine, which must be found (src/test/plants). */
#ifndef PLANTED
#define PLANTED NULL
#endif

#define BUFFER (48 << 10)

#define WATCHED 1 /* the horizon of a map that is watched */

static const sm_scenario *now;
static sm_map maps[SM_EXPLORER_ACTORS][SM_MAPS + 1];
static char buffers[SM_EXPLORER_ACTORS][BUFFER];
static sm_history history;
static int initial[SM_EXPLORER_SHARDS][SM_KEYS]; /* versions */
static int fillers;								 /* that the map has */
static const char *wrong;						 /* what was seen that nobody stored */

/* ---- keys and values ---- */

static size_t
value_len(int version)
{
	return now->lens[version] != 0 ? now->lens[version] : 40;
}

/* No two values share a word. */
static uint64_t
value_word(int key, int version, size_t i)
{
	return sm_mix((uint64_t) key << 40 | (uint64_t) version << 32 | i);
}

static sm_bytes
make_value(char *to, int key, int version)
{
	size_t len = value_len(version);

	for (size_t i = 0; i < len; i += 8)
	{
		uint64_t word = value_word(key, version, i);

		memcpy(to + i, &word, 8);
	}
	return (sm_bytes) {to, len};
}

static bool
is_value(const char *bytes, size_t len, int key, int version)
{
	if (len != value_len(version))
		return false;
	for (size_t i = 0; i < len; i += 8)
	{
		uint64_t word = value_word(key, version, i);

		if (memcmp(bytes + i, &word, len - i < 8 ? len - i : 8) != 0)
			return false;
	}
	return true;
}

static int
version_of(const char *bytes, size_t len, int key)
{
	for (int version = 0; version < SM_VERSIONS; version++)
	{
		if (is_value(bytes, len, key, version))
			return version;
	}
	wrong = "a value that the key never had";
	return SM_ABSENT_VERSION;
}

static sm_bytes
make_key(uint64_t *to, int key)
{
	*to = (uint64_t) key;
	return (sm_bytes) {to, sizeof(*to)};
}

/* ---- what actors do ---- */

static void
add_event_until(sm_event event, int end)
{
	sm_check(history.n < SM_HISTORY_MAX, "a history of too many events");
	event.end = end;
	history.events[history.n++] = event;
}

static void
add_event(sm_event event)
{
	add_event_until(event, sm_scheduler_now());
}

/* A range gives an event for every key. */
static void
do_range(int actor, sm_map *map, sm_event event)
{
	int found[SM_KEYS];
	bool seen[SM_ALL_KEYS] = {false};
	int seen_fillers = 0;
	sm_cursor cursor = {0};

	for (int key = 0; key < SM_KEYS; key++)
		found[key] = SM_ABSENT_VERSION;
	for (;;)
	{
		sm_buffer pairs = {.data = buffers[actor], .size = BUFFER};

		event.status = sm_range(map, &cursor, &pairs);
		if (event.status != SM_FOUND)
			break;
		for (size_t at = 0; at < pairs.len;)
		{
			const char *bytes = buffers[actor] + at;
			const sm_pair *pair = (const sm_pair *) bytes;
			uint64_t key = UINT64_MAX;

			memcpy(&key, bytes + sizeof(*pair), sizeof(key));
			if (pair->key_len != sizeof(key) || key >= SM_ALL_KEYS || seen[key])
			{
				wrong = "range gave a key twice, or one that never was";
				return;
			}
			seen[key] = true;
			if (key < SM_KEYS)
				found[key] = version_of(bytes + sizeof(*pair) + sizeof(key),
										pair->value_len, (int) key);
			else
				seen_fillers++;
			at += sizeof(*pair) + sm_pad(pair->key_len) + sm_pad(pair->value_len);
		}
	}
	if (event.status == SM_GONE)
	{
		event.key = -1;
		add_event(event);
		return;
	}
	if (seen_fillers != fillers)
		wrong = "range passed over a key that was there throughout";
	for (int key = 0; key < SM_KEYS; key++)
	{
		event.key = key;
		event.found = found[key];
		event.status = found[key] == SM_ABSENT_VERSION ? SM_ABSENT : SM_FOUND;
		add_event(event);
	}
}

/* Takes pairs as they are; those of changes are as they were, or were not. */
static void
take_pairs(const sm_buffer *pairs, int *found)
{
	const char *at = pairs->data;

	while (at < (const char *) pairs->data + pairs->len)
	{
		const sm_pair *pair = (const sm_pair *) at;
		uint64_t key = UINT64_MAX;

		memcpy(&key, pair + 1, sizeof(key));
		if (pair->key_len != sizeof(key) || key >= SM_KEYS)
		{
			wrong = "a snapshot gave a key that never was";
			return;
		}
		if (pair->value_len == SM_NO_VALUE)
			found[key] = SM_ABSENT_VERSION;
		else
			found[key] = version_of((const char *) (pair + 1) + sizeof(key),
									pair->value_len, (int) key);
		at += sm_pair_size(pair);
	}
}

/* Returns SM_ABSENT if all of it has come. */
static sm_status
read_snapshot(int actor, sm_map *map, sm_snapshot *snapshot, int *found)
{
	uint32_t shard = 0;
	sm_status status;

	do
	{
		sm_buffer pairs = {.data = buffers[actor], .size = BUFFER};

		status = sm_snapshot_range(map, snapshot, &pairs);
		if (status == SM_FOUND)
			take_pairs(&pairs, found);
		for (; shard < snapshot->cursor.shard; shard++)
		{
			sm_changes changes = {0};
			sm_status more;

			while ((more = sm_snapshot_changes(map, snapshot, shard, &changes,
											   &pairs)) == SM_FOUND)
				take_pairs(&pairs, found);
			if (more != SM_ABSENT)
				return more;
		}
	} while (status == SM_FOUND);
	return status;
}

/*
 * A snapshot gives an event for every key, of the time in which it was opened.  Where
 * one is taken, keys get their versions in turn, so that no key has at any moment a
 * later one than those before it.
 */
static void
do_snapshot(int actor, sm_map *map, sm_event event)
{
	int found[SM_KEYS];
	sm_snapshot snapshot;
	sm_status status = sm_snapshot_open(map, &snapshot);
	int opened = sm_scheduler_now();
	int before = SM_VERSIONS;

	for (int key = 0; key < SM_KEYS; key++)
		found[key] = SM_ABSENT_VERSION;
	if (status == SM_FOUND)
		status = read_snapshot(actor, map, &snapshot, found);
	sm_snapshot_close(map, &snapshot);
	/* one that is closed is not the map's any more */
	sm_snapshot_close(map, &snapshot);
	if (status != SM_ABSENT)
	{
		if (status != SM_REFUSED && status != SM_NO_MEMORY)
			wrong = "a snapshot that ended in another way";
		return;
	}
	for (int key = 0; key < SM_KEYS; key++)
	{
		if (key != SM_FIRST_KEY && key != SM_SECOND_KEY)
			continue;
		if (found[key] > before)
			wrong = "a snapshot of more than one moment";
		if (found[key] != SM_ABSENT_VERSION)
			before = found[key];
		event.key = key;
		event.found = found[key];
		event.status = found[key] == SM_ABSENT_VERSION ? SM_ABSENT : SM_FOUND;
		add_event_until(event, opened);
	}
}

/* What a moment covers to which SM_UNSEEN was in progress. */
static bool
covers(void *arg, const sm_fences *fences)
{
	bool covers = fences->horizon < SM_UNSEEN;

	(void) arg;
	for (int stripe = 0; stripe < 2; stripe++)
	{
		covers = covers && fences->stripe[stripe].horizon < SM_UNSEEN;
		for (int i = 0; i < SM_FENCES; i++)
			covers = covers && fences->stripe[stripe].fence[i] != SM_UNSEEN;
	}
	return covers;
}

static sm_status
invalidate(sm_map *map, sm_bytes key, uint64_t id)
{
	return sm_invalidate(map, key, id, NULL);
}

static void
do_op(int actor, const sm_op *op)
{
	sm_map *map = &maps[actor][op->map == 0 ? 1 : op->map];
	sm_event event = {.kind = op->kind,
					  .actor = actor,
					  .shard = (int) map->first_shard,
					  .map = map->id,
					  .key = op->key,
					  .version = op->version,
					  .found = SM_ABSENT_VERSION};
	sm_buffer found = {.data = buffers[actor], .size = BUFFER / 2};
	char *made = buffers[actor] + BUFFER / 2;
	uint64_t key_word;
	sm_bytes key = make_key(&key_word, op->key);
	sm_bytes value = {NULL, 0};
	sm_bytes expected;

	if (op->kind >= SM_PUT && op->kind <= SM_COMPARE_AND_SWAP)
		value = make_value(made, op->key, op->version);
	sm_scheduler_boundary();
	event.begin = sm_scheduler_now();
	switch (op->kind)
	{
		case SM_GET:
			event.status = sm_get(map, key, &found);
			break;
		case SM_PUT:
			event.status = sm_put(map, key, value, SM_NEVER);
			break;
		case SM_FILL:
			event.status = sm_fill(map, key, value, SM_NEVER, covers, NULL);
			break;
		case SM_INVALIDATE:
			event.status = invalidate(map, key, (uint64_t) op->version);
			break;
		case SM_REPLACE:
			event.status = sm_replace(map, key, value, SM_KEEP);
			break;
		case SM_GET_OR_PUT:
			event.status = sm_get_or_put(map, key, value, SM_NEVER, &found);
			break;
		case SM_COMPARE_AND_SWAP:
			expected = make_value(buffers[actor], op->key, op->version - 1);
			event.status = sm_compare_and_swap(map, key, expected, value, SM_NEVER);
			break;
		case SM_COMPARE_PAIR_AND_SWAP:
			expected = make_value(buffers[actor], op->key, op->version - 1);
			event.status =
				sm_compare_pair_and_swap(map, key, expected, SM_NEVER, value, SM_KEEP);
			break;
		case SM_DELETE:
			event.status = sm_delete(map, key);
			break;
		case SM_RANGE:
			do_range(actor, map, event);
			return;
		case SM_SNAPSHOT:
			do_snapshot(actor, map, event);
			return;
		case SM_CLEAR:
			event.status = sm_clear(map);
			event.key = -1;
			break;
		case SM_DESTROY:
			sm_map_destroy(map);
			event.key = -1;
			break;
		default:
			sm_map_create(map);
			event.key = -1;
	}
	if (event.status == SM_FOUND && (op->kind == SM_GET || op->kind == SM_GET_OR_PUT))
		event.found = version_of(found.data, found.len, op->key);
	add_event(event);
}

static void
act(int actor)
{
	for (int i = 0; i < SM_OPS && now->ops[actor][i].kind != SM_NOTHING; i++)
		do_op(actor, &now->ops[actor][i]);
}

static uint32_t
first_shard(uint64_t id)
{
	switch (id)
	{
		case SM_OTHER_MAP:
			return 1;
		case SM_WIDE_MAP:
			return 2;
		default:
			return 0;
	}
}

static void
begin(void)
{
	history.n = 0;
	wrong = NULL;
	for (int actor = 0; actor < SM_EXPLORER_ACTORS; actor++)
	{
		for (uint64_t id = 1; id <= SM_MAPS; id++)
			sm_map_open(&maps[actor][id], sm_scheduler_engine(), id, first_shard(id),
						id == SM_WIDE_MAP);
	}
}

static bool
check(void)
{
	for (int key = 0; key < SM_KEYS && wrong == NULL; key++)
	{
		if (!sm_history_holds(&history, 0, key, 1, initial[0][key]) ||
			!sm_history_holds(&history, 1, key, SM_OTHER_MAP, initial[1][key]) ||
			!sm_history_holds(&history, 2, key, SM_WIDE_MAP, initial[2][key]))
			wrong = "no order explains what the operations found";
	}
	return wrong == NULL;
}

/* ---- running them ---- */

void
sm_prepare_put(uint64_t id, int key, int version)
{
	sm_map *map = &maps[0][id];
	uint64_t key_word;
	sm_status status = sm_put(map, make_key(&key_word, key),
							  make_value(buffers[0], key, version), SM_NEVER);

	sm_check(status == SM_FOUND || status == SM_ABSENT, "no room to prepare");
	if (key < SM_KEYS)
		initial[map->first_shard][key] = version;
	else if (status == SM_ABSENT)
		fillers++;
}

void
sm_prepare_watch(void)
{
	sm_check(sm_map_watch(&maps[0][1], WATCHED) == SM_FOUND, "watch");
}

void
sm_prepare_fence(int key)
{
	uint64_t key_word;

	sm_check(invalidate(&maps[0][1], make_key(&key_word, key), WATCHED + 1) ==
				 SM_ABSENT,
			 "there is no such key");
}

static uint64_t
explore_phase(const sm_scenario *s, int phase, bool scribble, int preemptions,
			  bool *violated)
{
	sm_engine *engine = sm_scheduler_engine();
	sm_exploration exploration = {.preemptions = preemptions,
								  .scribble = scribble,
								  .begin = begin,
								  .act = act,
								  .check = check};

	now = s;
	fillers = 0;
	for (int key = 0; key < SM_KEYS; key++)
		initial[0][key] = initial[1][key] = initial[2][key] = SM_ABSENT_VERSION;
	while (exploration.actors < SM_EXPLORER_ACTORS &&
		   s->ops[exploration.actors][0].kind != SM_NOTHING)
		exploration.actors++;

	sm_scheduler_reset();
	engine->hash_mask = s->one_bucket ? 0 : UINT64_MAX;
	begin();
	sm_map_create(&maps[0][1]);
	sm_map_create(&maps[0][SM_OTHER_MAP]);
	sm_map_create(&maps[0][SM_WIDE_MAP]);
	engine->compact_ratio = s->compact_ratio > 0 ? s->compact_ratio : 30;
	s->prepare(phase);
	engine->promote_ratio = s->promote_ratio;
	return sm_explore(&exploration, violated);
}

/* Explores all phases of a scenario, each twice; false: a violation was found. */
static bool
explore(const sm_scenario *s, int preemptions, uint64_t *total)
{
	uint64_t start = sm_now_ns();
	uint64_t schedules = 0;
	bool violated = false;

	for (int i = 0; i < 2 * (s->phases > 0 ? s->phases : 1) && !violated; i++)
		schedules += explore_phase(s, i / 2, i % 2 == 1, preemptions, &violated);
	*total += schedules;
	printf("%-17s %d preemptions, %9lu schedules, %6.2f s%s\n", s->name, preemptions,
		   (unsigned long) schedules, (double) (sm_now_ns() - start) / 1e9,
		   violated ? ": VIOLATED" : "");
	fflush(stdout);
	if (violated)
	{
		printf("  %s\n", wrong != NULL ? wrong : "no progress");
		sm_history_print(&history);
		sm_scheduler_print();
	}
	return !violated;
}

int
main(int argc, char **argv)
{
	const char *only = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
	uint64_t total = 0;
	bool holds = true;

	for (const sm_scenario *s = sm_scenarios; s->name != NULL && holds; s++)
	{
		if (only == NULL || strncmp(only, s->name, strlen(only)) == 0)
			holds =
				explore(s, (int) sm_argument(argc, argv, 2, (uint64_t) s->preemptions),
						&total);
	}
	printf("%lu schedules", (unsigned long) total);
	if (PLANTED != NULL)
		printf("; planted: %s: %s", (const char *) PLANTED,
			   holds ? "NOT FOUND" : "found");
	printf("\n");
	return holds == (PLANTED == NULL) ? 0 : 1;
}
