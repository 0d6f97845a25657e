/*
 * scheduler.c
 *	  Runs a few actors, which execute the real engine, in every order.
 */
#include "scheduler.h"

#include <stdalign.h>
#include <string.h>
#include <ucontext.h>

#include "check.h"
#include "explorer_step.h"
#include "port.h"

#define PAGES		  96
#define STACK_SIZE	  (256 << 10)
#define MAX_CHOICES	  100000
#define MAX_TURNS	  1000
#define MAX_REPEATED  8 /* visits of a word in a slice without stores */
#define MAX_VISITED	  4096
#define TABLE_PAGES	  2
#define ALL_PAGES	  (TABLE_PAGES + PAGES) /* the table's, and the arena's */
#define MEMORY_SIZE	  (ALL_PAGES * SM_PAGE_SIZE)
#define MEMORY_WORDS  (MEMORY_SIZE / 8)
#define WORD_LOCK	  MEMORY_WORDS /* accesses that are no words of the memory */
#define WORD_PAGES	  (WORD_LOCK + SM_EXPLORER_SHARDS)
#define WORD_BOUNDARY (WORD_PAGES + 1)
#define WORDS		  (WORD_BOUNDARY + 1)

typedef struct actor
{
	ucontext_t context;
	char *stack;
	bool finished;
	bool waits; /* for a shard's lock */
	bool waits_shared;
	uint32_t waits_for;
} actor;

typedef struct rwlock
{
	int readers;
	bool writer;
} rwlock;

/* What a snapshot keeps beside the memory. */
typedef struct host
{
	bool used[PAGES];
	rwlock locks[SM_EXPLORER_SHARDS];
} host;

typedef struct choice
{
	int chosen;
	int options;
} choice;

/* For the report: who ran, who then, and after how many accesses of his. */
typedef struct turn
{
	int from;
	int to;
	int accesses;
} turn;

static alignas(SM_PAGE_SIZE) char memory[MEMORY_SIZE];
static char snapshot[MEMORY_SIZE];
static bool touched[ALL_PAGES]; /* since the snapshot was restored */
static host now;
static host then;
static unsigned char secret[SM_SECRET_SIZE];
static sm_mark marks[PAGES * SM_PAGE_SIZE / SM_MARK_BYTES]; /* nobody looks at them */
static sm_engine engine;

static const sm_exploration *plan;
static actor actors[SM_EXPLORER_ACTORS];
static ucontext_t outside;
static int current = -1; /* the actor that runs, or -1: nobody in particular */
static int moment;
static int preemptions_left;
static bool deadlocked;

/* The schedule: what was chosen where there was a choice. */
static choice choices[MAX_CHOICES];
static int nchoices;
static int depth;

static turn turns[MAX_TURNS];
static int nturns;
static int accesses[SM_EXPLORER_ACTORS];

/*
 * Who ever loads and stores a word, a bit an actor: what was known when the
 * enumeration began, and what is known now.
 */
typedef struct conflicts
{
	uint8_t loads[WORDS];
	uint8_t stores[WORDS];
} conflicts;

static conflicts known;
static conflicts learnt;

/* How often a word was visited in the slice that runs, which stored nothing. */
static uint8_t visits[WORDS];
static uint32_t visited[MAX_VISITED];
static int nvisited;
static bool stored_in_slice;

/* ---- switching ---- */

static bool
lock_is_free(uint32_t shard, bool shared)
{
	return !now.locks[shard].writer && (shared || now.locks[shard].readers == 0);
}

static bool
can_run(int i)
{
	return !actors[i].finished &&
		(!actors[i].waits || lock_is_free(actors[i].waits_for, actors[i].waits_shared));
}

static void
begin_slice(void)
{
	while (nvisited > 0)
		visits[visited[--nvisited]] = 0;
	stored_in_slice = false;
}

/* Takes the next choice of the schedule: the recorded one, or else the first. */
static int
choose(int options)
{
	choice *c = &choices[depth];

	if (options == 1)
		return 0;
	if (depth == nchoices)
	{
		sm_check(nchoices < MAX_CHOICES, "a schedule of too many choices");
		choices[nchoices++] = (choice) {.options = options};
	}
	sm_check(c->options == options, "a schedule can't be repeated");
	depth++;
	return c->chosen;
}

/* The n-th other actor that can run. */
static int
find_other(int n)
{
	int i = 0;

	for (;; i++)
	{
		if (i != current && can_run(i) && n-- == 0)
			return i;
	}
}

static int
count_others(void)
{
	int n = 0;

	for (int i = 0; i < plan->actors; i++)
		n += i != current && can_run(i);
	return n;
}

static void
switch_to(int next)
{
	int from = current;

	if (nturns < MAX_TURNS)
		turns[nturns++] = (turn) {from, next, from < 0 ? 0 : accesses[from]};
	current = next;
	begin_slice();
	if (from < 0)
		swapcontext(&outside, &actors[next].context);
	else
		swapcontext(&actors[from].context, &actors[next].context);
}

/* The actor that runs can't go on. */
static void
switch_away(void)
{
	int others = count_others();

	if (others == 0)
	{
		for (int i = 0; i < plan->actors; i++)
			deadlocked |= !actors[i].finished;
		current = -1;
		setcontext(&outside);
	}
	switch_to(find_other(choose(others)));
}

/* A place where the actor that runs may be preempted. */
static void
preempt(void)
{
	int others = preemptions_left > 0 ? count_others() : 0;
	int chosen = choose(1 + others);

	if (chosen > 0)
	{
		preemptions_left--;
		switch_to(find_other(chosen - 1));
	}
}

/* ---- what the actors do ---- */

/*
 * The actor that runs is about to access a word.  Going round in a slice that
 * stores nothing, as a reader does that tries again, leads nowhere new.
 */
static void
access_word(uint32_t word, bool store)
{
	uint8_t self = (uint8_t) (1 << current);
	uint8_t others = known.stores[word];

	accesses[current]++;
	if (store)
	{
		learnt.stores[word] |= self;
		others |= known.loads[word];
	}
	else
		learnt.loads[word] |= self;

	if (others & ~self)
	{
		bool repeated = !store && !stored_in_slice && visits[word] == MAX_REPEATED;

		if (visits[word] < MAX_REPEATED && nvisited < MAX_VISITED)
		{
			if (visits[word]++ == 0)
				visited[nvisited++] = word;
		}
		if (!repeated)
			preempt();
	}
	stored_in_slice |= store;
}

void
sm_explorer_step(const volatile void *word, bool store)
{
	size_t offset = (size_t) ((const volatile char *) word - memory);

	if (store)
		touched[offset / SM_PAGE_SIZE] = true;
	if (current >= 0)
		access_word((uint32_t) (offset / 8), store);
}

void
sm_scheduler_boundary(void)
{
	moment++;
	access_word(WORD_BOUNDARY, true);
}

int
sm_scheduler_now(void)
{
	return ++moment;
}

/* ---- the engine's host ---- */

static void
lock(uint32_t shard, bool shared)
{
	if (current >= 0)
	{
		actor *self = &actors[current];

		access_word(WORD_LOCK + shard, true);
		self->waits = true;
		self->waits_for = shard;
		self->waits_shared = shared;
		while (!lock_is_free(shard, shared))
			switch_away();
		self->waits = false;
	}
	if (shared)
		now.locks[shard].readers++;
	else
		now.locks[shard].writer = true;
}

void
sm_port_lock_exclusive(uint32_t shard)
{
	lock(shard, false);
}

void
sm_port_lock_shared(uint32_t shard)
{
	lock(shard, true);
}

void
sm_port_unlock(uint32_t shard)
{
	if (current >= 0)
		access_word(WORD_LOCK + shard, true);
	if (now.locks[shard].writer)
		now.locks[shard].writer = false;
	else
		now.locks[shard].readers--;
}

/* Pages are overwritten at once, without a step for each word. */
static void
touch_page(uint32_t page)
{
	touched[TABLE_PAGES + page] = true;
	for (uint32_t i = 0; i < SM_PAGE_WORDS && current >= 0; i++)
		learnt.stores[(TABLE_PAGES + page) * SM_PAGE_WORDS + i] |=
			(uint8_t) (1 << current);
}

/* The first run that is long enough, so that memory is soon in use again. */
uint32_t
sm_port_alloc_pages(uint32_t npages)
{
	uint32_t run = 0;

	if (current >= 0)
		access_word(WORD_PAGES, true);
	for (uint32_t page = 1; page < PAGES; page++)
	{
		run = now.used[page] ? 0 : run + 1;
		if (run == npages)
		{
			for (uint32_t i = 0; i < npages; i++)
			{
				now.used[page - i] = true;
				touch_page(page - i);
			}
			return page - npages + 1;
		}
	}
	return 0;
}

void
sm_port_free_pages(uint32_t first, uint32_t npages)
{
	if (current >= 0)
		access_word(WORD_PAGES, true);
	for (uint32_t page = first; page < first + npages; page++)
	{
		sm_check(now.used[page], "page %u freed twice", page);
		now.used[page] = false;
		if (plan != NULL && plan->scribble)
		{
			memset(engine.arena.base + (size_t) page * SM_PAGE_SIZE, 0x5a,
				   SM_PAGE_SIZE);
			touch_page(page);
		}
	}
}

bool
sm_port_pause(void)
{
	return true;
}

int64_t
sm_port_now(void)
{
	return 0;
}

/* ---- exploring ---- */

sm_engine *
sm_scheduler_engine(void)
{
	return &engine;
}

void
sm_scheduler_reset(void)
{
	sm_rng rng = sm_rng_seed(1);

	plan = NULL;
	for (int i = 0; i < SM_SECRET_SIZE; i++)
		secret[i] = (unsigned char) sm_rng_next(&rng);
	memset(memory, 0, sizeof(memory));
	now = (host) {.used = {true}};
	engine = (sm_engine) {
		.arena = {memory + TABLE_PAGES * SM_PAGE_SIZE, PAGES * SM_PAGE_SIZE},
		.shards = (sm_shard *) memory,
		.nshards = SM_EXPLORER_SHARDS,
		.secret = secret,
		.marks = marks,
		.hash_mask = UINT64_MAX,
		.promote_ratio = 30,
		.compact_ratio = 30,
	};
	sm_check(sm_table_size(SM_EXPLORER_SHARDS) <= TABLE_PAGES * SM_PAGE_SIZE,
			 "too many shards");
	sm_table_init(engine.shards, SM_EXPLORER_SHARDS);
}

static void
run_actor(int i)
{
	plan->act(i);
	actors[i].finished = true;
	switch_away();
}

static void
restore(void)
{
	for (int page = 0; page < ALL_PAGES; page++)
	{
		/* readers count their misses in the table */
		if (touched[page] || page < TABLE_PAGES)
			memcpy(memory + page * SM_PAGE_SIZE, snapshot + page * SM_PAGE_SIZE,
				   SM_PAGE_SIZE);
		touched[page] = false;
	}
	now = then;
}

static void
prepare_actor(int i)
{
	actor *a = &actors[i];

	if (a->stack == NULL)
		a->stack = malloc(STACK_SIZE);
	a->finished = a->waits = false;
	getcontext(&a->context);
	a->context.uc_stack.ss_sp = a->stack;
	a->context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&a->context, (void (*)(void)) run_actor, 1, i);
}

static void
run_schedule(void)
{
	for (int i = 0; i < plan->actors; i++)
		prepare_actor(i);
	depth = nturns = moment = 0;
	memset(accesses, 0, sizeof(accesses));
	preemptions_left = plan->preemptions;
	plan->begin();
	switch_to(find_other(choose(plan->actors)));
	sm_check(depth == nchoices, "a schedule can't be repeated");
}

/* Turns to the next schedule; false: that was the last. */
static bool
next_schedule(void)
{
	while (nchoices > 0 &&
		   choices[nchoices - 1].chosen == choices[nchoices - 1].options - 1)
		nchoices--;
	if (nchoices == 0)
		return false;
	choices[nchoices - 1].chosen++;
	return true;
}

uint64_t
sm_explore(const sm_exploration *exploration, bool *violated)
{
	uint64_t schedules;

	plan = exploration;
	memcpy(snapshot, memory, sizeof(memory));
	memset(touched, 0, sizeof(touched));
	memset(&learnt, 0, sizeof(learnt));
	then = now;
	*violated = deadlocked = false;
	do
	{
		schedules = 0;
		nchoices = 0;
		known = learnt;
		do
		{
			run_schedule();
			schedules++;
			*violated = deadlocked || !plan->check();
			restore();
		} while (!*violated && next_schedule());
	} while (!*violated && memcmp(&known, &learnt, sizeof(known)) != 0);
	return schedules;
}

void
sm_scheduler_print(void)
{
	if (deadlocked)
		printf("  the actors wait for each other\n");
	for (int i = 0; i < nturns; i++)
		printf("  actor %d after %d accesses, then actor %d\n", turns[i].from,
			   turns[i].accesses, turns[i].to);
}
