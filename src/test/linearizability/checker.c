/*
 * checker.c
 *	  Are recorded histories linearizable?  Reads them from standard input.
 *
 * A history is if each of its operations can be given one moment between its begin
 * and its end so that the answers are those of a map to which the operations happen
 * one after the other.  Keys are checked one by one, which is enough (Herlihy and
 * Wing, "Linearizability", 1990, theorem of locality); clear is one operation for
 * each key.
 *
 * The algorithm is the just-in-time linearization of Lowe, "Testing for
 * linearizability", 2017: it goes through begins and ends in the order of time, with
 * the set of all configurations that the answers so far allow.  A configuration is the
 * key's value and which of the operations under way have happened.  When one ends that
 * must have happened by then, others may have happened before it, in any order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

#define MAX_OPERATIONS 100000
#define MAX_PENDING	   64
#define SHOWN		   16

static const char *const kind_names[] = KIND_NAMES;
static const char *const outcome_names[] = OUTCOME_NAMES;

/* ---- what a map does ---- */

/*
 * Could the operation have happened to a key with that value, answering what it did?
 * Then *value is the one after it.
 */
static bool
happens(const operation *op, int64_t *value)
{
	int64_t before = *value;
	bool there = before != NONE;
	bool matches = there && before == op->expected;
	bool unknown = op->outcome == UNKNOWN;
	bool said = op->outcome == YES;

	switch (op->kind)
	{
		case GET:
			return unknown || op->value == before;
		case PUT:
			*value = op->argument;
			return unknown || said == !there;
		case DELETE:
			*value = NONE;
			return unknown || said == there;
		case GET_OR_PUT:
			if (!there)
				*value = op->argument;
			return unknown || (said == there && op->value == *value);
		case GET_AND_DELETE:
			*value = NONE;
			return unknown || op->value == before;
		case SWAP:
			*value = op->argument;
			return unknown || op->value == before;
		case COMPARE_AND_SWAP:
			if (matches)
				*value = op->argument;
			return unknown || said == matches;
		case COMPARE_AND_DELETE:
			if (matches)
				*value = NONE;
			return unknown || said == matches;
		case INCREMENT:
			*value = (there ? before : 0) + op->argument;
			return unknown || op->value == *value;
		case UPDATE:
			if (there)
				*value = op->argument;
			return unknown || said == there;
		case CLEAR:
			*value = NONE;
			return true;
		default:
			return false;
	}
}

/* ---- configurations ---- */

typedef struct configuration
{
	int64_t value;
	uint64_t happened; /* a bit for each operation under way */
} configuration;

/* A set; its members stand in the order of their addition. */
typedef struct set
{
	configuration *members;
	int n;
	int room;
	int *slots; /* a hash table of 1 + member, or 0 */
	int nslots; /* a power of two */
} set;

static void *
allocate(size_t size)
{
	void *p = calloc(1, size);

	if (p == NULL)
	{
		perror("checker");
		exit(2);
	}
	return p;
}

static void
make_room(set *s)
{
	configuration *members;

	if (s->n < s->room)
		return;
	s->room = s->room == 0 ? 1024 : s->room * 2;
	members = allocate((size_t) s->room * sizeof(configuration));
	if (s->n > 0)
		memcpy(members, s->members, (size_t) s->n * sizeof(configuration));
	free(s->members);
	s->members = members;
	free(s->slots);
	s->nslots = s->room * 2;
	s->slots = allocate((size_t) s->nslots * sizeof(int));
	s->n = -s->n; /* to be entered again */
}

static uint64_t
hash(configuration c)
{
	uint64_t h = ((uint64_t) c.value ^ c.happened * UINT64_C(0x9e3779b97f4a7c15)) *
		UINT64_C(0xff51afd7ed558ccd);

	return h ^ h >> 32;
}

/* The slot of a configuration, or the one that it would have. */
static int *
find_slot(const set *s, configuration c)
{
	int at = (int) (hash(c) & (uint64_t) (s->nslots - 1));

	while (s->slots[at] != 0 &&
		   (s->members[s->slots[at] - 1].value != c.value ||
			s->members[s->slots[at] - 1].happened != c.happened))
		at = (at + 1) & (s->nslots - 1);
	return &s->slots[at];
}

static void
add(set *s, configuration c)
{
	int *slot;

	make_room(s);
	if (s->n < 0)
	{
		int n = -s->n;

		for (s->n = 0; s->n < n; s->n++)
			*find_slot(s, s->members[s->n]) = s->n + 1;
	}
	slot = find_slot(s, c);
	if (*slot == 0)
	{
		s->members[s->n++] = c;
		*slot = s->n;
	}
}

/* Last in, first out: so the table is at each step what it was before. */
static void
empty(set *s)
{
	while (s->n > 0)
	{
		int *slot = find_slot(s, s->members[s->n - 1]);

		*slot = 0;
		s->n--;
	}
}

/* ---- checking a key ---- */

/* A begin or an end. */
typedef struct event
{
	uint64_t time;
	bool is_end;
	const operation *op;
} event;

static int
compare_events(const void *a, const void *b)
{
	const event *x = a;
	const event *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->is_end - y->is_end;
}

static const operation *pending[MAX_PENDING];
static set sets[2];
static long long most_configurations;

/*
 * Adds what follows when operations under way happen, in all orders, until the one
 * that is needed has; and, with weak, when the key vanishes.
 */
static void
let_happen(set *s, int needed, bool weak)
{
	for (int i = 0; i < s->n; i++)
	{
		configuration now = s->members[i];

		if (now.happened >> needed & 1)
			continue;
		if (weak && now.value != NONE)
			add(s, (configuration) {NONE, now.happened});
		for (int slot = 0; slot < MAX_PENDING; slot++)
		{
			configuration next = now;

			if (pending[slot] == NULL || now.happened >> slot & 1)
				continue;
			if (!happens(pending[slot], &next.value))
				continue;
			next.happened |= UINT64_C(1) << slot;
			add(s, next);
		}
	}
	if (s->n > most_configurations)
		most_configurations = s->n;
}

static void
print_operation(const operation *op)
{
	char argument[24] = "-", expected[24] = "-", value[24] = "-";

	if (op->argument != NONE)
		snprintf(argument, sizeof(argument), "%" PRId64, op->argument);
	if (op->expected != NONE)
		snprintf(expected, sizeof(expected), "%" PRId64, op->expected);
	if (op->value != NONE)
		snprintf(value, sizeof(value), "%" PRId64, op->value);
	printf("%d %d %s %s %s %s %s %" PRIu64 " %" PRIu64 "\n", op->client, op->key,
		   kind_names[op->kind], argument, expected, outcome_names[op->outcome], value,
		   op->begin, op->end);
}

/* Says what could not be, with the operations of the key that ended before it. */
static void
complain(const char *history, const operation *culprit, const event *events, int at)
{
	int first = at;

	printf("%s: key %d: no moment for:\n\t", history, culprit->key);
	print_operation(culprit);
	printf("which follows\n");
	for (int ends = 0; first > 0 && ends < SHOWN; ends += events[first].is_end)
		first--;
	for (int i = first; i < at; i++)
	{
		if (events[i].is_end)
		{
			printf("\t");
			print_operation(events[i].op);
		}
	}
	for (int slot = 0; slot < MAX_PENDING; slot++)
	{
		if (pending[slot] != NULL && pending[slot] != culprit)
		{
			printf("\tunder way: ");
			print_operation(pending[slot]);
		}
	}
}

static void
begin_operation(const operation *op)
{
	for (int slot = 0; slot < MAX_PENDING; slot++)
	{
		if (pending[slot] == NULL)
		{
			pending[slot] = op;
			return;
		}
	}
	fprintf(stderr, "checker: more than %d operations under way\n", MAX_PENDING);
	exit(2);
}

/* Checks the operations of one key.  Returns whether they are linearizable. */
static bool
check_key(const char *history, bool weak, const operation *ops, int n, int key)
{
	static event events[2 * MAX_OPERATIONS];
	set *now = &sets[0];
	set *next = &sets[1];
	int nevents = 0;

	memset(pending, 0, sizeof(pending));
	empty(now);
	add(now, (configuration) {NONE, 0});
	for (int i = 0; i < n; i++)
	{
		if (ops[i].key != key && ops[i].kind != CLEAR)
			continue;
		events[nevents++] = (event) {ops[i].begin, false, &ops[i]};
		events[nevents++] = (event) {ops[i].end, true, &ops[i]};
	}
	qsort(events, (size_t) nevents, sizeof(event), compare_events);

	for (int i = 0; i < nevents; i++)
	{
		const operation *op = events[i].op;
		set *swapped = now;
		int slot = 0;

		if (!events[i].is_end)
		{
			begin_operation(op);
			continue;
		}
		while (pending[slot] != op)
			slot++;
		let_happen(now, slot, weak);
		empty(next);
		for (int j = 0; j < now->n; j++)
		{
			configuration c = now->members[j];

			if (!(c.happened >> slot & 1) && op->outcome != UNKNOWN)
				continue;
			c.happened &= ~(UINT64_C(1) << slot);
			add(next, c);
		}
		if (next->n == 0)
		{
			complain(history, op, events, i);
			return false;
		}
		pending[slot] = NULL;
		now = next;
		next = swapped;
	}
	return true;
}

/* ---- reading histories ---- */

static int
find_name(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	fprintf(stderr, "checker: what is \"%s\"?\n", name);
	exit(2);
}

static int64_t
parse_value(const char *word)
{
	return strcmp(word, "-") == 0 ? NONE : strtoll(word, NULL, 10);
}

static operation
parse_operation(const char *line)
{
	char kind[24], outcome[24], argument[24], expected[24], value[24];
	operation op;

	if (sscanf(line, "%d %d %23s %23s %23s %23s %23s %" SCNu64 " %" SCNu64, &op.client,
			   &op.key, kind, argument, expected, outcome, value, &op.begin,
			   &op.end) != 9)
	{
		fprintf(stderr, "checker: not an operation: %s", line);
		exit(2);
	}
	op.kind = find_name(kind, kind_names, KINDS);
	op.outcome = find_name(outcome, outcome_names, OUTCOMES);
	op.argument = parse_value(argument);
	op.expected = parse_value(expected);
	op.value = parse_value(value);
	return op;
}

int
main(void)
{
	static operation ops[MAX_OPERATIONS];
	char line[256];
	char name[64] = "";
	char model[16] = "";
	long long histories = 0, operations = 0, unknown = 0, violations = 0;
	int keys = 0;
	int n = 0;
	bool inside = false;

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "history %48s %15s", name, model) == 2)
		{
			if (strcmp(model, "weak") != 0 && strcmp(model, "strong") != 0)
				find_name(model, NULL, 0);
			n = 0;
			keys = 0;
			inside = true;
		}
		else if (strcmp(line, "end\n") == 0)
		{
			histories++;
			operations += n;
			for (int key = 0; key < keys; key++)
				violations += !check_key(name, strcmp(model, "weak") == 0, ops, n, key);
			inside = false;
		}
		else
		{
			if (n == MAX_OPERATIONS || !inside)
			{
				fprintf(stderr, "checker: %s\n",
						inside ? "a history is too long" : "a line of no history");
				return 2;
			}
			ops[n] = parse_operation(line);
			unknown += ops[n].outcome == UNKNOWN;
			if (ops[n].key >= keys)
				keys = ops[n].key + 1;
			n++;
		}
	}
	if (inside)
	{
		fprintf(stderr, "checker: the last history has no end\n");
		return 2;
	}
	if (histories == 0)
	{
		fprintf(stderr, "checker: no history\n");
		return 2;
	}
	if (unknown > operations / 3)
	{
		fprintf(stderr, "checker: %lld of %lld operations are of unknown fate\n",
				unknown, operations);
		return 2;
	}
	printf(
		"%lld histories, %lld operations, %lld of them of unknown fate, at most %lld "
		"configurations: %lld keys are not linearizable\n",
		histories, operations, unknown, most_configurations, violations);
	return violations == 0 ? 0 : 1;
}
