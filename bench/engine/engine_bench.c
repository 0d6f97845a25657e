/*
 * engine_bench.c
 *	  Measures one map: threads, or processes, that get, put, and remove.
 *
 *	  engine_bench KEYS THREADS[p] SECONDS|CALLSx WORKLOAD...
 *
 * With a p there are as many processes, where the map can be shared by them; with an x a
 * thread ends after so many calls.  The map is filled first, by all threads, which is the
 * workload "insert" if that is asked for.  Of each other one it prints a line of JSON:
 * millions of calls a second, percentiles of the time of a call, and the longest, ns, of each
 * new key and of each 32nd other call.
 * What is got is checked.
 *
 *	  uniform, zipf         how keys are drawn from here on; uniform is the default
 *	  none                  keys are drawn, and that is all: what the bench itself costs
 *	  get, 95, 80, 60, put  that share of gets (%), the rest puts of keys that are there
 *	  miss                  gets of keys that are not there
 *	  hot                   80 % gets, 20 % puts of one key
 *	  counter               increments of one key
 *	  many                  gets of 64 keys at once, where the map has that
 *	  remove                50 % gets, 25 % puts, 25 % removals; leaves fewer keys, so last
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "peer.h"

#define MAX_THREADS 8
#define BATCH		64
#define DRAWS		(1 << 20) /* of Zipf's distribution */
#define BUCKETS		(64 * 40) /* of the histogram, 64 a power of two */

typedef enum kind
{
	INSERT,
	NONE,
	MIXED,
	MISS,
	HOT,
	COUNTER,
	MANY,
	REMOVE
} kind;

static const struct
{
	const char *name;
	kind kind;
	int reads; /* % */
} workloads[] = {
	{"insert", INSERT, 0},	 {"none", NONE, 0}, {"get", MIXED, 100},
	{"95", MIXED, 95},		 {"80", MIXED, 80}, {"60", MIXED, 60},
	{"put", MIXED, 0},		 {"miss", MISS, 0}, {"hot", HOT, 80},
	{"counter", COUNTER, 0}, {"many", MANY, 0}, {"remove", REMOVE, 50},
};

typedef struct worker
{
	pthread_t thread;
	pid_t process;
	kind kind;
	int reads;
	uint64_t number;
	uint64_t calls;
	uint64_t longest; /* call that was timed, ns */
	uint64_t histogram[BUCKETS];
} worker;

/* Shared, since workers may be processes. */
static struct
{
	worker workers[MAX_THREADS];
	_Atomic bool stop;
} * shared;

static uint64_t nkeys;
static uint64_t nthreads;
static bool processes;
static uint64_t limit = UINT64_MAX; /* of a thread's calls */
static uint32_t *draws;				/* NULL: uniform */

static void
make_key(uint64_t *key, uint64_t number)
{
	key[0] = sm_mix(number);
	key[1] = number;
}

/*
 * Gray et al., Quickly Generating Billion-Record Synthetic Databases (SIGMOD'94), with
 * the ranks scattered, as YCSB does it.
 */
static void
draw_zipf(double theta)
{
	double zeta = 0;
	double alpha = 1 / (1 - theta);
	double eta;
	sm_rng rng = sm_rng_seed(42);

	for (uint64_t i = 1; i <= nkeys; i++)
		zeta += pow(1.0 / (double) i, theta);
	eta =
		(1 - pow(2.0 / (double) nkeys, 1 - theta)) / (1 - (1 + pow(0.5, theta)) / zeta);
	draws = malloc(DRAWS * sizeof(*draws));
	for (int i = 0; i < DRAWS; i++)
	{
		double u = (double) (sm_rng_next(&rng) >> 11) / (double) (1ULL << 53);
		double uz = u * zeta;
		uint64_t rank = uz < 1 ?
			0 :
			uz < 1 + pow(0.5, theta) ?
			1 :
			(uint64_t) ((double) nkeys * pow(eta * u - eta + 1, alpha));

		draws[i] = (uint32_t) (sm_mix(rank) % nkeys);
	}
}

static uint64_t
draw(sm_rng *rng)
{
	uint64_t dice = sm_rng_next(rng);

	return draws != NULL ? draws[dice >> 44] : (dice >> 32) * nkeys >> 32;
}

static int
bucket_of(uint64_t ns)
{
	int power = 0;

	while (ns >> power >= 128)
		power++;
	return power * 64 + (int) (ns >> power);
}

static uint64_t
ns_of(int bucket)
{
	int power = bucket < 128 ? 0 : bucket / 64 - 1;

	return (uint64_t) (bucket - power * 64 + 1) << power;
}

static void
get(void *handle, uint64_t number)
{
	uint64_t key[KEY_LEN / 8];
	uint64_t value[VALUE_LEN / 8];

	make_key(key, number);
	sm_check(the_peer.get(handle, key, value) && value[1] == number,
			 "key %lu is missing, or has another's value", (unsigned long) number);
}

static void
put(void *handle, uint64_t number)
{
	uint64_t key[KEY_LEN / 8];
	uint64_t value[VALUE_LEN / 8] = {0, number};

	make_key(key, number);
	the_peer.put(handle, key, value);
}

static void
call(worker *w, void *handle, sm_rng *rng)
{
	uint64_t key[KEY_LEN / 8];
	uint64_t value[VALUE_LEN / 8];
	int dice = (int) sm_rng_below(rng, 100);

	switch (w->kind)
	{
		case INSERT:
			break;
		case NONE:
			make_key(key, draw(rng));
			__asm__ volatile("" : : "r"(key) : "memory");
			break;
		case MIXED:
			if (dice < w->reads)
				get(handle, draw(rng));
			else
				put(handle, draw(rng));
			break;
		case MISS:
			make_key(key, nkeys + 1 + draw(rng));
			sm_check(!the_peer.get(handle, key, value), "what nobody put is there");
			break;
		case HOT:
			if (dice < w->reads)
				get(handle, 7);
			else
				put(handle, 7);
			break;
		case COUNTER:
			make_key(key, nkeys);
			the_peer.increment(handle, key);
			break;
		case REMOVE:
			make_key(key, draw(rng));
			if (dice < w->reads)
				the_peer.get(handle, key, value);
			else if (dice < w->reads + (100 - w->reads) / 2)
				put(handle, key[1]);
			else
				the_peer.remove(handle, key);
			break;
		case MANY:
		{
			uint64_t keys[BATCH][KEY_LEN / 8];
			uint64_t values[BATCH][VALUE_LEN / 8];

			for (int i = 0; i < BATCH; i++)
				make_key(keys[i], draw(rng));
			the_peer.get_many(handle, keys, BATCH, values);
			for (int i = 0; i < BATCH; i++)
				sm_check(values[i][1] == keys[i][1], "another key's value");
			break;
		}
	}
}

static void
took(worker *w, uint64_t ns)
{
	w->histogram[bucket_of(ns)]++;
	if (ns > w->longest)
		w->longest = ns;
}

static void *
work(void *arg)
{
	worker *w = arg;
	void *handle = the_peer.enter();
	sm_rng rng = sm_rng_seed(w->number + 1);
	uint64_t calls = 0;

	if (w->kind == INSERT)
	{
		for (uint64_t i = w->number; i < nkeys; i += nthreads, calls++)
		{
			uint64_t start = sm_now_ns();

			put(handle, i);
			took(w, sm_now_ns() - start);
		}
	}
	else
	{
		while (calls < limit &&
			   !atomic_load_explicit(&shared->stop, memory_order_relaxed))
		{
			uint64_t start = sm_now_ns();

			call(w, handle, &rng);
			took(w, sm_now_ns() - start);
			for (int i = 1; i < 32; i++)
				call(w, handle, &rng);
			calls += 32;
		}
	}
	the_peer.leave(handle);
	w->calls = w->kind == MANY ? calls * BATCH : calls;
	return NULL;
}

static uint64_t
percentile(const uint64_t *histogram, double share)
{
	uint64_t all = 0;
	uint64_t before = 0;
	int i;

	for (i = 0; i < BUCKETS; i++)
		all += histogram[i];
	for (i = 0; i < BUCKETS - 1; i++)
	{
		before += histogram[i];
		if ((double) before >= (double) all * share)
			break;
	}
	return ns_of(i);
}

static uint64_t
resident(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t) usage.ru_maxrss << 10;
}

static void
start(worker *w)
{
	pid_t process;

	if (!processes)
	{
		pthread_create(&w->thread, NULL, work, w);
		return;
	}
	process = fork();
	if (process == 0)
	{
		work(w);
		_exit(0);
	}
	w->process = process;
}

static void
join(const worker *w)
{
	int status = 0;

	if (!processes)
		pthread_join(w->thread, NULL);
	else
		sm_check(waitpid(w->process, &status, 0) == w->process && status == 0,
				 "a process failed");
}

/* Runs a workload on all threads, and prints what came of it unless quiet. */
static void
measure(int which, double seconds, bool quiet)
{
	static uint64_t histogram[BUCKETS];
	struct timespec pause = {(time_t) seconds,
							 (long) ((seconds - (double) (time_t) seconds) * 1e9)};
	uint64_t started = sm_now_ns();
	uint64_t calls = 0;
	uint64_t longest = 0;
	uint64_t end;

	atomic_store(&shared->stop, false);
	for (uint64_t i = 0; i < nthreads; i++)
	{
		worker *w = &shared->workers[i];

		memset(w, 0, sizeof(*w));
		w->kind = workloads[which].kind;
		w->reads = workloads[which].reads;
		w->number = i;
		start(w);
	}
	if (workloads[which].kind != INSERT && limit == UINT64_MAX)
	{
		nanosleep(&pause, NULL);
		atomic_store(&shared->stop, true);
	}
	end = sm_now_ns();
	memset(histogram, 0, sizeof(histogram));
	for (uint64_t i = 0; i < nthreads; i++)
	{
		join(&shared->workers[i]);
		if (workloads[which].kind == INSERT || limit != UINT64_MAX)
			end = sm_now_ns();
		calls += shared->workers[i].calls;
		if (shared->workers[i].longest > longest)
			longest = shared->workers[i].longest;
		for (int j = 0; j < BUCKETS; j++)
			histogram[j] += shared->workers[i].histogram[j];
	}
	if (quiet)
		return;
	printf(
		"{\"peer\": \"%s%s\", \"keys\": %lu, \"threads\": %lu, \"distribution\": "
		"\"%s\", \"workload\": \"%s\", \"mops\": %.3f, \"p50\": %lu, \"p99\": %lu, \"p999\": "
		"%lu, \"longest\": %lu, \"memory\": %lu}\n",
		the_peer.name, processes ? ", processes" : "", (unsigned long) nkeys,
		(unsigned long) nthreads, draws != NULL ? "zipf" : "uniform",
		workloads[which].name, (double) calls * 1e3 / (double) (end - started),
		(unsigned long) percentile(histogram, 0.5),
		(unsigned long) percentile(histogram, 0.99),
		(unsigned long) percentile(histogram, 0.999), (unsigned long) longest,
		(unsigned long) (the_peer.memory != NULL ? the_peer.memory() : resident()));
}

static int
workload_of(const char *name)
{
	for (int i = 0; i < (int) (sizeof(workloads) / sizeof(*workloads)); i++)
	{
		if (strcmp(name, workloads[i].name) == 0)
			return i;
	}
	sm_check(false, "no workload %s", name);
	return -1;
}

int
main(int argc, char **argv)
{
	char *unit = NULL;
	double seconds;
	bool inserts = false;

	sm_check(argc > 4,
			 "usage: engine_bench KEYS THREADS[p] SECONDS|CALLSx WORKLOAD...");
	nkeys = strtoull(argv[1], NULL, 10);
	nthreads = strtoull(argv[2], &unit, 10);
	processes = *unit == 'p';
	seconds = strtod(argv[3], &unit);
	if (*unit == 'x')
		limit = (uint64_t) seconds;
	sm_check(nkeys > 8 && nkeys < 1ULL << 32 && nthreads >= 1 &&
				 nthreads <= MAX_THREADS && seconds > 0,
			 "wrong numbers");
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sm_check(shared != MAP_FAILED, "no memory");
	the_peer.open(nkeys);
	for (int i = 4; i < argc; i++)
		inserts |= strcmp(argv[i], "insert") == 0;
	measure(workload_of("insert"), 0, !inserts);
	{
		void *handle = the_peer.enter();

		put(handle, nkeys);
		the_peer.leave(handle);
	}
	for (int i = 4; i < argc; i++)
	{
		if (strcmp(argv[i], "zipf") == 0)
			draw_zipf(0.99);
		else if (strcmp(argv[i], "uniform") == 0)
			draws = NULL;
		else if (strcmp(argv[i], "insert") != 0 &&
				 (strcmp(argv[i], "many") != 0 || the_peer.get_many != NULL))
			measure(workload_of(argv[i]), seconds, false);
	}
	return 0;
}
