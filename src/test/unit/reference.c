/*
 * reference.c
 *	  Naive maps that the engine is compared with.
 *
 * They share nothing but the pair, so that a mistake in one shows as a
 * difference from the other.
 */
#include "reference.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct pair
{
	struct pair *next; /* in its chain of the hash */
	int arrays;		   /* in how many versions of the array it is */
	size_t key_len;
	size_t value_len;
	char bytes[]; /* key, value */
} pair;

static pair *
make_pair(sm_bytes key, sm_bytes value)
{
	pair *p = malloc(sizeof(pair) + key.len + value.len + 1);

	*p = (pair) {.arrays = 1, .key_len = key.len, .value_len = value.len};
	if (key.len > 0)
		memcpy(p->bytes, key.data, key.len);
	if (value.len > 0)
		memcpy(p->bytes + key.len, value.data, value.len);
	return p;
}

static int
compare(const pair *p, sm_bytes key)
{
	size_t len = p->key_len < key.len ? p->key_len : key.len;
	int order = len > 0 ? memcmp(p->bytes, key.data, len) : 0;

	return order != 0 ? order : (p->key_len > key.len) - (p->key_len < key.len);
}

static sm_bytes
value_of(const pair *p)
{
	return (sm_bytes) {p->bytes + p->key_len, p->value_len};
}

/* ---- a chained hash under one mutex ---- */

#define CHAINS 4096

typedef struct hash
{
	sm_reference methods;
	pthread_mutex_t mutex;
	size_t count;
	pair *chains[CHAINS];
} hash;

/* The link that leads to the key's pair, or the end of its chain. */
static pair **
hash_find(hash *map, sm_bytes key)
{
	uint32_t h = 2166136261;
	pair **link;

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ ((const unsigned char *) key.data)[i]) * 16777619;
	for (link = &map->chains[h % CHAINS]; *link != NULL; link = &(*link)->next)
	{
		if (compare(*link, key) == 0)
			break;
	}
	return link;
}

static bool
hash_load(sm_reference *reference, sm_bytes key, sm_bytes *value)
{
	hash *map = (hash *) reference;
	pair *p;

	pthread_mutex_lock(&map->mutex);
	p = *hash_find(map, key);
	if (p != NULL)
		*value = value_of(p);
	pthread_mutex_unlock(&map->mutex);
	return p != NULL;
}

static void
hash_unlink(hash *map, pair **link)
{
	pair *p = *link;

	*link = p->next;
	free(p);
	map->count--;
}

static void
hash_remove(sm_reference *reference, sm_bytes key)
{
	hash *map = (hash *) reference;
	pair **link;

	pthread_mutex_lock(&map->mutex);
	link = hash_find(map, key);
	if (*link != NULL)
		hash_unlink(map, link);
	pthread_mutex_unlock(&map->mutex);
}

static void
hash_store(sm_reference *reference, sm_bytes key, sm_bytes value)
{
	hash *map = (hash *) reference;
	pair *p = make_pair(key, value);
	pair **link;

	pthread_mutex_lock(&map->mutex);
	link = hash_find(map, key);
	if (*link != NULL)
		hash_unlink(map, link);
	p->next = *link;
	*link = p;
	map->count++;
	pthread_mutex_unlock(&map->mutex);
}

static void
hash_clear(sm_reference *reference)
{
	hash *map = (hash *) reference;

	pthread_mutex_lock(&map->mutex);
	for (int i = 0; i < CHAINS; i++)
	{
		while (map->chains[i] != NULL)
			hash_unlink(map, &map->chains[i]);
	}
	pthread_mutex_unlock(&map->mutex);
}

static size_t
hash_count(sm_reference *reference)
{
	return ((hash *) reference)->count;
}

static void
hash_destroy(sm_reference *reference)
{
	hash *map = (hash *) reference;

	hash_clear(reference);
	pthread_mutex_destroy(&map->mutex);
	free(map);
}

sm_reference *
sm_reference_hash(void)
{
	hash *map = calloc(1, sizeof(hash));

	map->methods = (sm_reference) {hash_load,  hash_store, hash_remove,
								   hash_clear, hash_count, hash_destroy};
	pthread_mutex_init(&map->mutex, NULL);
	return &map->methods;
}

/* ---- a sorted array, copied with every change ---- */

typedef struct array
{
	size_t n;
	pair *pairs[];
} array;

typedef struct copy_on_write
{
	sm_reference methods;
	array *now;
} copy_on_write;

static array *
array_make(size_t n)
{
	array *a = malloc(sizeof(array) + n * sizeof(pair *));

	a->n = n;
	return a;
}

static void
array_free(array *a)
{
	for (size_t i = 0; i < a->n; i++)
	{
		if (--a->pairs[i]->arrays == 0)
			free(a->pairs[i]);
	}
	free(a);
}

/* Where the key is, or would be. */
static size_t
array_search(const array *a, sm_bytes key, bool *found)
{
	size_t low = 0;
	size_t high = a->n;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (compare(a->pairs[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < a->n && compare(a->pairs[low], key) == 0;
	return low;
}

/* Another array: without those from at on that leave, with p there unless NULL. */
static void
array_replace(copy_on_write *map, size_t at, size_t leave, pair *p)
{
	array *old = map->now;
	array *a = array_make(old->n - leave + (p != NULL));
	size_t n = 0;

	for (size_t i = 0; i <= old->n; i++)
	{
		if (i == at && p != NULL)
			a->pairs[n++] = p;
		if (i < old->n && (i < at || i >= at + leave))
		{
			old->pairs[i]->arrays++;
			a->pairs[n++] = old->pairs[i];
		}
	}
	map->now = a;
	array_free(old);
}

static bool
copy_load(sm_reference *reference, sm_bytes key, sm_bytes *value)
{
	copy_on_write *map = (copy_on_write *) reference;
	bool found;
	size_t at = array_search(map->now, key, &found);

	if (found)
		*value = value_of(map->now->pairs[at]);
	return found;
}

static void
copy_store(sm_reference *reference, sm_bytes key, sm_bytes value)
{
	copy_on_write *map = (copy_on_write *) reference;
	pair *p = make_pair(key, value);
	bool found;
	size_t at = array_search(map->now, key, &found);

	array_replace(map, at, found, p);
}

static void
copy_remove(sm_reference *reference, sm_bytes key)
{
	copy_on_write *map = (copy_on_write *) reference;
	bool found;
	size_t at = array_search(map->now, key, &found);

	if (found)
		array_replace(map, at, 1, NULL);
}

static void
copy_clear(sm_reference *reference)
{
	copy_on_write *map = (copy_on_write *) reference;

	array_replace(map, 0, map->now->n, NULL);
}

static size_t
copy_count(sm_reference *reference)
{
	return ((copy_on_write *) reference)->now->n;
}

static void
copy_destroy(sm_reference *reference)
{
	copy_on_write *map = (copy_on_write *) reference;

	array_free(map->now);
	free(map);
}

sm_reference *
sm_reference_copy_on_write(void)
{
	copy_on_write *map = calloc(1, sizeof(copy_on_write));

	map->methods = (sm_reference) {copy_load,  copy_store, copy_remove,
								   copy_clear, copy_count, copy_destroy};
	map->now = array_make(0);
	return &map->methods;
}
