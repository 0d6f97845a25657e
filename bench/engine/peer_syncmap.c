/*
 * peer_syncmap.c
 *	  The engine, as it is or under one lock (-DLOCK=1: a mutex, 2: a reader/writer lock).
 */
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "peer.h"
#include "port_posix.h"

#ifndef LOCK
#define LOCK 0
#endif
#ifndef SHARD_BITS
#define SHARD_BITS 4
#endif

static sm_host host;
static sm_map map;
static uint32_t all_pages;
#if LOCK == 1
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#elif LOCK == 2
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
#endif

static inline void
begin(bool writes)
{
#if LOCK == 1
	pthread_mutex_lock(&lock);
#elif LOCK == 2
	if (writes)
		pthread_rwlock_wrlock(&lock);
	else
		pthread_rwlock_rdlock(&lock);
#endif
}

static inline void
end(void)
{
#if LOCK == 1
	pthread_mutex_unlock(&lock);
#elif LOCK == 2
	pthread_rwlock_unlock(&lock);
#endif
}

static void
open_map(uint64_t keys)
{
	uint64_t size = ((keys * 256 + (64 << 20)) >> 12) << 12;

	sm_host_create(&host, size, 1 << SHARD_BITS, -1, 1);
	sm_host_prepare_bench(&host);
	sm_map_open(&map, &host.engine, 1, 0, SHARD_BITS);
	sm_map_create(&map);
	all_pages = sm_host_free_pages();
}

static void *
enter(void)
{
	sm_map *own = malloc(sizeof(map));

	*own = map;
	return own;
}

static bool
get(void *handle, const void *key, void *value)
{
	sm_buffer buffer = {.data = value, .size = VALUE_LEN};
	bool found;

	begin(false);
	found = sm_get(handle, (sm_bytes) {key, KEY_LEN}, &buffer) == SM_FOUND;
	end();
	return found;
}

static void
put(void *handle, const void *key, const void *value)
{
	sm_status status;

	begin(true);
	status = sm_put(handle, (sm_bytes) {key, KEY_LEN}, (sm_bytes) {value, VALUE_LEN},
					SM_NEVER);
	end();
	sm_check(status <= SM_ABSENT, "status %d of a put", status);
}

static void
take_out(void *handle, const void *key)
{
	begin(true);
	sm_delete(handle, (sm_bytes) {key, KEY_LEN});
	end();
}

/* Values of more than SM_MAX_UPDATE are not given to sm_update: a counter is a short one. */
static int
add_one(void *arg, const void *old, size_t old_len, void *new_value)
{
	uint64_t number = 0;

	if (old != NULL)
		memcpy(&number, old, sizeof(number));
	number++;
	memcpy(new_value, &number, sizeof(number));
	return sizeof(number);
}

static void
increment(void *handle, const void *key)
{
	begin(true);
	sm_update(handle, (sm_bytes) {key, KEY_LEN}, add_one, NULL, SM_NEVER);
	end();
}

static void
get_many(void *handle, const void *keys, int n, void *values)
{
	sm_bytes ahead[SM_AHEAD] = {0};

	begin(false);
	for (int i = 0; i < n; i++)
		ahead[i] = (sm_bytes) {(const char *) keys + i * KEY_LEN, KEY_LEN};
	sm_prefetch(handle, ahead, n);
	for (int i = 0; i < n; i++)
	{
		sm_buffer buffer = {.data = (char *) values + i * VALUE_LEN, .size = VALUE_LEN};

		sm_check(sm_get(handle, ahead[i], &buffer) == SM_FOUND, "a key is missing");
	}
	end();
}

static uint64_t
memory(void)
{
	return (uint64_t) (all_pages - sm_host_free_pages()) * SM_PAGE_SIZE;
}

const peer the_peer = {
	.name = LOCK == 1 ? "one mutex" : LOCK == 2 ? "one rwlock" : "syncmap",
	.open = open_map,
	.enter = enter,
	.leave = free,
	.get = get,
	.put = put,
	.remove = take_out,
	.increment = increment,
	.get_many = get_many,
	.memory = memory,
};
