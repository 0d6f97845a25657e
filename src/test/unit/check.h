/*
 * check.h
 *	  What every test needs: checks, random numbers, a clock.
 */
#ifndef SM_CHECK_H
#define SM_CHECK_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Says what was expected and does not hold, and aborts, so that a core is left. */
#define sm_check(holds, ...) ((holds) ? (void) 0 : sm_failed(__VA_ARGS__))

static void __attribute__((noinline, noreturn, unused, format(printf, 1, 2)))
sm_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "FAILED: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

/*
 * What to say of the run when it aborts, be it by sm_check or by an assertion
 * of the engine: how to have it again.
 */
static char sm_context[256];

static inline void
sm_say_context(int signal_number)
{
	ssize_t written = write(STDERR_FILENO, sm_context, strlen(sm_context));

	(void) written;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static inline void __attribute__((format(printf, 1, 2)))
sm_set_context(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sm_context, sizeof(sm_context), format, args);
	va_end(args);
	signal(SIGABRT, sm_say_context);
}

/* xorshift64*: good enough, and the same everywhere. */
typedef struct sm_rng
{
	uint64_t state;
} sm_rng;

static inline uint64_t
sm_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static inline sm_rng
sm_rng_seed(uint64_t seed)
{
	return (sm_rng) {sm_mix(seed + 0x9e3779b97f4a7c15) | 1};
}

static inline uint64_t
sm_rng_next(sm_rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1d;
}

/* 0 .. n - 1 */
static inline uint64_t
sm_rng_below(sm_rng *rng, uint64_t n)
{
	return (sm_rng_next(rng) >> 32) * n >> 32;
}

static inline uint64_t
sm_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* The n-th argument as a number, or what stands for it. */
static inline uint64_t
sm_argument(int argc, char **argv, int n, uint64_t otherwise)
{
	return argc > n ? strtoull(argv[n], NULL, 0) : otherwise;
}

/* The seed that was asked for; 0 asks for another one each time. */
static inline uint64_t
sm_seed(uint64_t asked)
{
	return asked != 0 ? asked : sm_mix(sm_now_ns()) % 1000000 + 1;
}

#endif /* SM_CHECK_H */
