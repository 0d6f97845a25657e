/*
 * registry.c
 *	  Which relation is which map: the table in shared memory.
 *
 * A relation that is used as a map for the first time since the server started
 * gets an entry here: a fresh id, and a range of shards.  The entries in use
 * stand at the front of an array.  One lock ("syncmap_registry") guards it
 * all; it comes before a shard's lock, and is held for a look at the array or
 * for the creation of an empty map.
 *
 * A map's memory is given back without that lock, since it takes long: the
 * entry first loses its relation, so that nobody finds it, and goes when the
 * shards are empty.  Whoever still has a handle of the map, or copied the
 * entry before, is told by the engine that its id is gone.
 */
#include "compat.h"

#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "port_pg.h"
#include "registry.h"

typedef struct sm_registry
{
	uint64 last_id;
	pg_atomic_uint64 additions;						/* entries made so far */
	uint32 length;									/* entries in use */
	sm_registration entries[FLEXIBLE_ARRAY_MEMBER]; /* syncmap.max_maps */
} sm_registry;

static sm_registry *registry;
static uint64 *shards_used; /* a bit a shard, under the registry's lock */
static LWLock *registry_lock;

static Size
registry_size(void)
{
	return add_size(offsetof(sm_registry, entries),
					mul_size(sm_guc_max_maps, sizeof(sm_registration)));
}

static uint32
used_words(void)
{
	return ((uint32) sm_guc_max_maps * (1 << SM_MAP_SHARD_BITS) + 63) / 64;
}

/* Notes what a relation's columns are in its entry. */
void
sm_registration_set_types(sm_registration *entry, const sm_types *types)
{
	entry->key_type = types->key_type;
	entry->key_typmod = types->key_typmod;
	entry->value_type = types->value_type;
	entry->value_typmod = types->value_typmod;
	entry->key_column = types->key_column;
	entry->value_column = types->value_column;
	memcpy(entry->columns, types->columns, sizeof(entry->columns));
}

/* Are the keys and values of two entries stored in the same way? */
bool
sm_registration_same_types(const sm_registration *a, const sm_registration *b)
{
	return a->key_type == b->key_type && a->key_typmod == b->key_typmod &&
		a->value_type == b->value_type && a->value_typmod == b->value_typmod &&
		a->key_column == b->key_column && a->value_column == b->value_column &&
		memcmp(a->columns, b->columns, sizeof(a->columns)) == 0;
}

/* Asks for shared memory and the lock; runs in shmem_request_hook. */
void
sm_registry_request(void)
{
	RequestAddinShmemSpace(registry_size());
	RequestAddinShmemSpace(used_words() * sizeof(uint64));
	RequestNamedLWLockTranche("syncmap_registry", 1);
}

/*
 * Makes the table, or finds it where it has been made already.  Runs in
 * shmem_startup_hook, after sm_port_startup, with AddinShmemInitLock held.
 */
void
sm_registry_startup(void)
{
	bool found;
	uint32 nshards = sm_pg_engine.nshards;

	shards_used =
		ShmemInitStruct("syncmap shards in use", used_words() * sizeof(uint64), &found);
	registry = ShmemInitStruct("syncmap registry", registry_size(), &found);
	registry_lock = &GetNamedLWLockTranche("syncmap_registry")->lock;

	if (!found)
	{
		registry->last_id = 0;
		pg_atomic_init_u64(&registry->additions, 0);
		registry->length = 0;
		memset(shards_used, 0, used_words() * sizeof(uint64));
		/* what the last word has too many is nobody's to take */
		if (nshards % 64 != 0)
			shards_used[used_words() - 1] = ~UINT64CONST(0) << (nshards % 64);
	}
}

static sm_registration *
find_relation(Oid database, Oid relation)
{
	for (uint32 i = 0; i < registry->length; i++)
	{
		sm_registration *entry = &registry->entries[i];

		if (entry->relation == relation && entry->database == database)
			return entry;
	}
	return NULL;
}

static sm_registration *
find_id(uint64 id)
{
	for (uint32 i = 0; i < registry->length; i++)
	{
		if (registry->entries[i].id == id)
			return &registry->entries[i];
	}
	return NULL;
}

/* A map's shards as bits of the word of shards_used that they stand in. */
static uint64
shards_mask(uint32 first_shard, uint32 shard_bits)
{
	uint64 mask = (~UINT64CONST(0)) >> (64 - (1 << shard_bits));

	return mask << (first_shard % 64);
}

/* The first free range of 2^shard_bits shards at a multiple of its length. */
static bool
take_shards(uint32 shard_bits, uint32 *first_shard)
{
	for (uint32 shard = 0; shard < sm_pg_engine.nshards; shard += 1 << shard_bits)
	{
		uint64 mask = shards_mask(shard, shard_bits);

		if ((shards_used[shard / 64] & mask) == 0)
		{
			shards_used[shard / 64] |= mask;
			*first_shard = shard;
			return true;
		}
	}
	return false;
}

/* Copies the entry of a relation to *found; false when it has none. */
bool
sm_registry_find(Oid database, Oid relation, sm_registration *found)
{
	sm_registration *entry;

	LWLockAcquire(registry_lock, LW_SHARED);
	entry = find_relation(database, relation);
	if (entry != NULL)
		*found = *entry;
	LWLockRelease(registry_lock);

	return entry != NULL;
}

/*
 * How many entries have been made since the server started.  A search that began after
 * this was read, and found nothing, holds as long as it stays the same.
 */
uint64
sm_registry_additions(void)
{
	return pg_atomic_read_u64(&registry->additions);
}

/*
 * Makes an entry of what *wanted says, with an empty map, unless its relation has
 * one, and copies the entry to *wanted.  False when there is no room for another
 * map.
 */
bool
sm_registry_add(sm_registration *wanted, bool *is_new)
{
	sm_registration *entry;

	*is_new = false;
	LWLockAcquire(registry_lock, LW_EXCLUSIVE);
	entry = find_relation(wanted->database, wanted->relation);
	if (entry == NULL && registry->length < (uint32) sm_guc_max_maps &&
		take_shards(wanted->shard_bits, &wanted->first_shard))
	{
		sm_map map;

		entry = &registry->entries[registry->length++];
		*entry = *wanted;
		entry->id = ++registry->last_id;
		entry->stats_reset = 0;
		entry->in_doubt = false;
		sm_registry_open(&map, entry);
		sm_map_create(&map);
		pg_atomic_fetch_add_u64(&registry->additions, 1);
		*is_new = true;
	}
	if (entry != NULL)
		*wanted = *entry;
	LWLockRelease(registry_lock);

	return entry != NULL;
}

/*
 * Frees the entry that *taken is a copy of and whose relation has been taken
 * away already.  Throws nothing, so that it may run after a commit.
 */
static void
free_entry(const sm_registration *taken)
{
	sm_registration *entry;
	sm_map map;

	sm_registry_open(&map, taken);
	sm_map_destroy(&map);

	LWLockAcquire(registry_lock, LW_EXCLUSIVE);
	entry = find_id(taken->id);
	Assert(entry != NULL);
	shards_used[taken->first_shard / 64] &=
		~shards_mask(taken->first_shard, taken->shard_bits);
	*entry = registry->entries[--registry->length];
	LWLockRelease(registry_lock);
}

/* Hides an entry from all look-ups and copies it to *taken. */
static void
take_entry(sm_registration *entry, sm_registration *taken)
{
	Assert(LWLockHeldByMeInMode(registry_lock, LW_EXCLUSIVE));
	entry->database = InvalidOid;
	entry->relation = InvalidOid;
	*taken = *entry;
}

/*
 * Gives back all memory of a map, and its place, if it is still there.  This
 * one and the next two throw nothing and allocate nothing, so that they may
 * run after a commit or an abort.
 */
void
sm_registry_remove(uint64 id)
{
	sm_registration *entry;
	sm_registration taken;

	LWLockAcquire(registry_lock, LW_EXCLUSIVE);
	entry = find_id(id);
	if (entry != NULL && OidIsValid(entry->relation))
		take_entry(entry, &taken);
	else
		entry = NULL;
	LWLockRelease(registry_lock);

	if (entry != NULL)
		free_entry(&taken);
}

/* The same for the map of a relation. */
void
sm_registry_remove_relation(Oid database, Oid relation)
{
	sm_registration found;

	if (sm_registry_find(database, relation, &found))
		sm_registry_remove(found.id);
}

/* The same for all maps of a database. */
void
sm_registry_remove_database(Oid database)
{
	uint64 id;

	do
	{
		id = 0;
		LWLockAcquire(registry_lock, LW_SHARED);
		for (uint32 i = 0; i < registry->length && id == 0; i++)
		{
			if (registry->entries[i].database == database)
				id = registry->entries[i].id;
		}
		LWLockRelease(registry_lock);

		if (id != 0)
			sm_registry_remove(id);
	} while (id != 0);
}

/* Says whether a relation's map is in doubt, if it has one.  Throws nothing. */
void
sm_registry_set_in_doubt(Oid database, Oid relation, bool in_doubt)
{
	sm_registration *entry;

	LWLockAcquire(registry_lock, LW_EXCLUSIVE);
	entry = find_relation(database, relation);
	if (entry != NULL)
		entry->in_doubt = in_doubt;
	LWLockRelease(registry_lock);
}

/* Notes that a map's statistics have been reset now. */
void
sm_registry_note_reset(uint64 id)
{
	TimestampTz now = GetCurrentTimestamp();
	sm_registration *entry;

	LWLockAcquire(registry_lock, LW_EXCLUSIVE);
	entry = find_id(id);
	if (entry != NULL)
		entry->stats_reset = now;
	LWLockRelease(registry_lock);
}

/*
 * Copies all entries that have a relation, in palloc'ed memory, and sets *length
 * to how many there are.
 */
sm_registration *
sm_registry_list(uint32 *length)
{
	sm_registration *list = palloc(sm_guc_max_maps * sizeof(sm_registration));

	*length = 0;
	LWLockAcquire(registry_lock, LW_SHARED);
	for (uint32 i = 0; i < registry->length; i++)
	{
		if (OidIsValid(registry->entries[i].relation))
			list[(*length)++] = registry->entries[i];
	}
	LWLockRelease(registry_lock);

	return list;
}

/* Opens a handle of an entry's map. */
void
sm_registry_open(sm_map *map, const sm_registration *entry)
{
	sm_map_open(map, &sm_pg_engine, entry->id, entry->first_shard, entry->shard_bits);
}
