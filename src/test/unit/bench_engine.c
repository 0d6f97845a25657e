/*
 * bench_engine.c
 *	  The engine's speed and memory, without PostgreSQL.
 *
 *	  bench_engine [rounds]
 *
 * The arena's pages are touched before anything is timed, so that faults of
 * fresh memory do not count: a server's shared memory is in use for long.
 * Rounds of the variants alternate in one run, and what is compared is
 * compared within a round; of all rounds the median is printed.
 */
#include <pthread.h>

#include "check.h"
#include "port_posix.h"

#define KEYS		100000
#define KEY_LEN		16
#define VALUE_LEN	96
#define SHARD_BITS	4
#define ROUND_NS	250000000
#define MAX_ROUNDS	101
#define MAX_THREADS 2
#define BUCKETS		(64 * 40) /* of the histogram */

static sm_host host;
static sm_map map;
static char value[VALUE_LEN];

static void
make_key(char *to, uint64_t number)
{
	uint64_t words[2] = {sm_mix(number), number};

	memcpy(to, words, KEY_LEN);
}

static void
begin(uint64_t arena_size)
{
	sm_host_create(&host, arena_size, 1 << SHARD_BITS, -1, 1);
	sm_host_prepare_bench(&host);
	sm_map_open(&map, &host.engine, 1, 0, SHARD_BITS);
	sm_map_create(&map);
}

static void
end(void)
{
	sm_map_destroy(&map);
	sm_host_detach(&host);
}

static void
put(const char *key)
{
	sm_status status = sm_put(&map, (sm_bytes) {key, KEY_LEN},
							  (sm_bytes) {value, VALUE_LEN}, SM_NEVER);

	sm_check(status == SM_ABSENT, "status %d of a put", status);
}

/* ---- gets and puts a second, against one mutex ---- */

typedef struct worker
{
	pthread_t thread;
	int share; /* of reads, in percent */
	bool locks;
	uint64_t seed;
	uint64_t operations;
} worker;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool stop;

static void *
work(void *arg)
{
	worker *w = arg;
	sm_map own = map;
	sm_rng rng = sm_rng_seed(w->seed);
	char copy[VALUE_LEN];
	uint64_t operations = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
	{
		for (int i = 0; i < 64; i++)
		{
			uint64_t dice = sm_rng_next(&rng);
			char bytes[KEY_LEN]; /* made here: a table of keys would miss the cache */
			sm_bytes key = {bytes, KEY_LEN};
			sm_buffer buffer = {copy, sizeof(copy), 0};
			sm_status status;

			make_key(bytes, (dice >> 32) * KEYS >> 32);
			if (w->locks)
				pthread_mutex_lock(&mutex);
			if ((int) (dice % 100) < w->share)
				status = sm_get(&own, key, &buffer);
			else
				status = sm_put(&own, key, (sm_bytes) {value, VALUE_LEN}, SM_NEVER);
			if (w->locks)
				pthread_mutex_unlock(&mutex);
			sm_check(status == SM_FOUND, "status %d of a key that is there", status);
		}
		operations += 64;
	}
	w->operations = operations;
	return NULL;
}

/* Millions of operations a second. */
static double
measure(int threads, int share, bool locks)
{
	worker workers[MAX_THREADS];
	struct timespec pause = {0, ROUND_NS};
	uint64_t start = sm_now_ns();
	uint64_t operations = 0;
	uint64_t ended;

	atomic_store(&stop, false);
	for (int i = 0; i < threads; i++)
	{
		workers[i] =
			(worker) {.share = share, .locks = locks, .seed = start + (uint64_t) i};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	nanosleep(&pause, NULL);
	atomic_store(&stop, true);
	ended = sm_now_ns();
	for (int i = 0; i < threads; i++)
	{
		pthread_join(workers[i].thread, NULL);
		operations += workers[i].operations;
	}
	return (double) operations * 1e3 / (double) (ended - start);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *numbers, int n)
{
	qsort(numbers, (size_t) n, sizeof(*numbers), compare);
	return n % 2 == 1 ? numbers[n / 2] : (numbers[n / 2 - 1] + numbers[n / 2]) / 2;
}

static void
bench_speed(int rounds)
{
	static const int shares[] = {100, 95, 80};
	static double rates[2][MAX_THREADS][3][MAX_ROUNDS];
	static double ratios[MAX_THREADS][3][MAX_ROUNDS];

	begin((uint64_t) 64 << 20);
	for (int i = 0; i < KEYS; i++)
	{
		char key[KEY_LEN];

		make_key(key, (uint64_t) i);
		put(key);
	}
	for (int round = 0; round < rounds; round++)
	{
		for (int i = 0; i < MAX_THREADS * 3; i++)
		{
			int threads = i / 3;
			int share = i % 3;
			int first = round % 2;

			for (int locks = first; locks != first + 2; locks++)
				rates[locks % 2][threads][share][round] =
					measure(threads + 1, shares[share], locks % 2 == 1);
			ratios[threads][share][round] =
				rates[0][threads][share][round] / rates[1][threads][share][round];
		}
	}
	end();

	printf("%d keys of %d bytes, values of %d bytes, copied out; medians of %d rounds\n"
		   "threads  reads    engine, M/s  one mutex, M/s   times\n",
		   KEYS, KEY_LEN, VALUE_LEN, rounds);
	for (int i = 0; i < MAX_THREADS * 3; i++)
		printf("%7d  %4d%%  %13.2f  %14.2f  %6.2f\n", i / 3 + 1, shares[i % 3],
			   median(rates[0][i / 3][i % 3], rounds),
			   median(rates[1][i / 3][i % 3], rounds),
			   median(ratios[i / 3][i % 3], rounds));
}

/* ---- memory, and how long a single put takes while the map grows ---- */

static uint64_t histogram[BUCKETS];

/* 64 buckets a power of two. */
static int
bucket_of(uint64_t ns)
{
	int power = 0;

	while (ns >> power >= 128)
		power++;
	return power * 64 + (int) (ns >> power);
}

static double
microseconds_of(int bucket)
{
	int power = bucket < 128 ? 0 : bucket / 64 - 1;

	return (double) ((uint64_t) (bucket - power * 64 + 1) << power) / 1e3;
}

static double
percentile(uint64_t n, double share)
{
	uint64_t left = (uint64_t) ((double) n * (1 - share));
	int bucket = BUCKETS - 1;

	while (left >= histogram[bucket])
		left -= histogram[bucket--];
	return microseconds_of(bucket);
}

/* The longest put; with idle, of the clock alone: what the machine adds. */
static double
time_puts(uint64_t n, bool idle)
{
	uint64_t worst = 0;

	memset(histogram, 0, sizeof(histogram));
	for (uint64_t i = 0; i < n; i++)
	{
		char key[KEY_LEN];
		uint64_t start;
		uint64_t taken;

		make_key(key, i);
		start = sm_now_ns();
		if (!idle)
			put(key);
		taken = sm_now_ns() - start;
		histogram[bucket_of(taken)]++;
		if (taken > worst)
			worst = taken;
	}
	return (double) worst / 1e3;
}

static void
bench_growth(uint64_t n, uint64_t arena_size, int runs)
{
	for (int run = 0; run < runs; run++)
	{
		double idle;
		double worst;
		uint64_t taken;

		begin(arena_size);
		taken = sm_host_free_pages();
		idle = time_puts(n, true);
		worst = time_puts(n, false);
		taken = (taken - sm_host_free_pages()) * SM_PAGE_SIZE;
		printf("%9lu  %8.1f  %9.2f  %7.2f  %8.1f  %8.1f  %10.3f\n", (unsigned long) n,
			   worst, percentile(n, 0.999), percentile(n, 0.5), idle,
			   (double) taken / (1 << 20),
			   (double) taken / ((double) n * (KEY_LEN + VALUE_LEN)));
		end();
	}
}

int
main(int argc, char **argv)
{
	int rounds = (int) sm_argument(argc, argv, 1, 11);

	sm_check(rounds >= 1 && rounds <= MAX_ROUNDS, "1 to %d rounds", MAX_ROUNDS);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < VALUE_LEN; i++)
		value[i] = (char) ('a' + i % 26);

	bench_speed(rounds);
	printf(
		"\ngrowth from 0 keys, a single put, in us; memory taken from the arena\n"
		"     keys     worst     99.9 %%     50 %%      idle        MB   times data\n");
	bench_growth(1000000, (uint64_t) 256 << 20, 3);
	bench_growth(10000000, (uint64_t) 2 << 30, 1);
	printf("(idle: the longest that the same loop took without the put)\n");
	return 0;
}
