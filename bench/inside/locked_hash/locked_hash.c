/*
 * locked_hash.c
 *	  What one would build with PostgreSQL's own means: dynahash in shared
 *	  memory, under LWLocks.
 *
 * There are two tables: one under a single lock, as Go's map with a Mutex (gets
 * lock it exclusively, too) or with an RWMutex (gets share it), and one that is
 * partitioned, with a lock a partition.  Keys have up to 16 bytes, values up to
 * 96, and both stand in the entry: less than this no shared table can do.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

#define MAX_ENTRIES	   131072
#define PARTITIONS	   16
#define MAX_KEY_SIZE   16
#define MAX_VALUE_SIZE 96

/* The first argument of the functions. */
typedef enum variant
{
	ONE_MUTEX,
	ONE_RWLOCK,
	PARTITIONED
} variant;

typedef struct entry
{
	char key[MAX_KEY_SIZE]; /* the rest is zeros */
	int64 count;
	int32 size;
	char value[MAX_VALUE_SIZE];
} entry;

typedef struct place
{
	HTAB *table;
	LWLock *lock;
	uint32 hash;
	char key[MAX_KEY_SIZE];
} place;

static HTAB *single, *partitioned;
static LWLockPadded *locks; /* of the partitions, then the single table's */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(mul_size(2, hash_estimate_size(MAX_ENTRIES, sizeof(entry))));
	RequestNamedLWLockTranche("locked_hash", PARTITIONS + 1);
}

static void
shmem_startup(void)
{
	HASHCTL control = {.keysize = MAX_KEY_SIZE,
					   .entrysize = sizeof(entry),
					   .num_partitions = PARTITIONS};

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	single = ShmemInitHash("locked_hash single", MAX_ENTRIES, MAX_ENTRIES, &control,
						   HASH_ELEM | HASH_BLOBS);
	partitioned = ShmemInitHash("locked_hash partitioned", MAX_ENTRIES, MAX_ENTRIES,
								&control, HASH_ELEM | HASH_BLOBS | HASH_PARTITION);
	locks = GetNamedLWLockTranche("locked_hash");
	LWLockRelease(AddinShmemInitLock);
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

/* Finds where a key belongs, and locks that. */
static inline void
lock_place(place *at, variant wanted, text *key, bool to_write)
{
	int size = VARSIZE_ANY_EXHDR(key);

	if (size > MAX_KEY_SIZE)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("key is longer than %d bytes", MAX_KEY_SIZE));
	memset(at->key, 0, MAX_KEY_SIZE);
	memcpy(at->key, VARDATA_ANY(key), size);

	at->table = wanted == PARTITIONED ? partitioned : single;
	at->hash = get_hash_value(at->table, at->key);
	at->lock = &locks[wanted == PARTITIONED ? at->hash % PARTITIONS : PARTITIONS].lock;
	LWLockAcquire(at->lock, to_write || wanted == ONE_MUTEX ? LW_EXCLUSIVE : LW_SHARED);
}

static inline entry *
search(place *at, HASHACTION action, bool *found)
{
	return hash_search_with_hash_value(at->table, at->key, at->hash, action, found);
}

PG_FUNCTION_INFO_V1(lh_get);

/* lh_get(variant, key) returns text */
Datum
lh_get(PG_FUNCTION_ARGS)
{
	text *result = palloc(VARHDRSZ + MAX_VALUE_SIZE);
	place at;
	entry *e;

	lock_place(&at, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1), false);
	e = search(&at, HASH_FIND, NULL);
	if (e != NULL)
	{
		SET_VARSIZE(result, VARHDRSZ + e->size);
		memcpy(VARDATA(result), e->value, e->size);
	}
	LWLockRelease(at.lock);

	if (e == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

PG_FUNCTION_INFO_V1(lh_put);

/* lh_put(variant, key, value) returns boolean: is the key new? */
Datum
lh_put(PG_FUNCTION_ARGS)
{
	text *value = PG_GETARG_TEXT_PP(2);
	int size = VARSIZE_ANY_EXHDR(value);
	bool found;
	place at;
	entry *e;

	if (size > MAX_VALUE_SIZE)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("value is longer than %d bytes", MAX_VALUE_SIZE));

	lock_place(&at, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1), true);
	e = search(&at, HASH_ENTER, &found);
	if (!found)
		e->count = 0;
	e->size = size;
	memcpy(e->value, VARDATA_ANY(value), size);
	LWLockRelease(at.lock);

	PG_RETURN_BOOL(!found);
}

PG_FUNCTION_INFO_V1(lh_increment);

/* lh_increment(variant, key) returns bigint: a count beside the value */
Datum
lh_increment(PG_FUNCTION_ARGS)
{
	int64 count;
	bool found;
	place at;
	entry *e;

	lock_place(&at, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1), true);
	e = search(&at, HASH_ENTER, &found);
	if (!found)
	{
		e->size = 0;
		e->count = 0;
	}
	count = ++e->count;
	LWLockRelease(at.lock);

	PG_RETURN_INT64(count);
}
