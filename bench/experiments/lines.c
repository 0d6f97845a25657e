/*
 * lines.c
 *	  What it costs this machine that two threads store to one cache line: each adds to a
 *	  counter of its own, so many bytes apart.  Prints millions of additions a second.
 *
 *	  lines DISTANCE SECONDS
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static alignas(128) char lines[1024];
static atomic_bool stop;

static void *
add(void *arg)
{
	_Atomic unsigned long *counter = arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
	return NULL;
}

int
main(int argc, char **argv)
{
	unsigned distance = argc == 3 ? (unsigned) atoi(argv[1]) : 0;
	unsigned seconds = argc == 3 ? (unsigned) atoi(argv[2]) : 0;
	unsigned long sum = 0;
	pthread_t threads[2];

	if (distance < 8 || distance % 8 != 0 || distance >= sizeof(lines) || seconds == 0)
	{
		fputs("usage: lines DISTANCE SECONDS\n", stderr);
		return 2;
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, add, lines + i * distance);
	sleep(seconds);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
	{
		pthread_join(threads[i], NULL);
		sum += *(_Atomic unsigned long *) (lines + i * distance);
	}
	printf("%.3f\n", (double) sum / seconds / 1e6);
	return 0;
}
