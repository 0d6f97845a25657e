/*
 * wal.c
 *	  Invalidations in the WAL, for the maps of standbys.  (C5)
 *
 * A transaction that has noted keys of a map with the option wal_invalidation writes them
 * to the WAL, before its commit record, or before that of PREPARE (noted.c).  A standby
 * redoes what the transaction has done to the primary's map: each key's stripe is fenced
 * with the transaction's number, and its pair removed, under the lock of its shard.
 *
 * So let a record be redone at r, and its transaction T become visible to the standby at c,
 * when its commit record is.  A value that was computed there without T has a snapshot of
 * before c, to which T is in progress (moment.c).  Stored before r, T's record removes it.
 * Stored after r, it meets the fence.  If T is never heard of again, since the primary has
 * crashed, the fence does no harm, as that of an abort.
 *
 * A map that the standby has not is ignored: one that is made later begins with a horizon
 * that is no less than T's number, since the next number is past that of a record before the
 * record is redone.  So it is in crash recovery, when there are no maps yet.
 *
 * An error in redo would be the end of the standby.  Nothing here raises any: all that is
 * called takes locks and shared memory only.  A record that cannot be read takes the whole
 * map that it is of.
 *
 * A server without the library cannot replay these records.  So an option of the map says
 * whether they are written, and a setting whether that option may be set (ddl.c).  The
 * option stands in the catalog, whose change reaches the standby in the order of the WAL and
 * with the map's lock: each session there knows whether a map is told of changes.
 */
#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogreader.h"
#include "access/xlogrecord.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "ended.h"
#include "ref.h"
#include "registry.h"
#include "wal.h"

/*
 * Our number among the resource managers, far from those that are being given out one by
 * one: https://wiki.postgresql.org/wiki/CustomWALResourceManagers.  A server where another
 * library has it does not start.
 */
#define RESOURCE_MANAGER 213

/* The kinds of records. */
#define KEYS   0x00 /* keys of the map, until the record's end */
#define WHOLE  0x10 /* all keys of the map */
#define FORGET 0x20 /* the map, of which no more records come */

/* What all of them begin with. */
typedef struct record_head
{
	Oid database;
	Oid relation;
	Oid rowtype; /* another relation of that OID has another */
	uint32 unused;
	uint64 number;	/* of the transaction */
	uint64 horizon; /* WHOLE: which the map has from then on, or 0 */
} record_head;

/* A key is its length, without alignment, and its bytes. */
typedef uint16 key_length;

StaticAssertDecl(SM_MAX_KEY <= PG_UINT16_MAX, "a key's length fits");

/* A record is no longer than that; more keys make another one. */
#define MAX_RECORD 65536

struct sm_wal_record
{
	record_head head;
	uint32 length; /* bytes of keys so far */
	uint32 size;   /* room for them */
	char *keys;
};

/* ---- writing ---- */

static record_head
make_head(Oid map, uint64 horizon)
{
	return (record_head) {.database = MyDatabaseId,
						  .relation = map,
						  .rowtype = get_rel_type_id(map),
						  .number = U64FromFullTransactionId(GetTopFullTransactionId()),
						  .horizon = horizon};
}

static void
insert(record_head *head, char *keys, uint32 length, uint8 kind)
{
	XLogBeginInsert();
	XLogRegisterData((char *) head, sizeof(*head));
	if (length > 0)
		XLogRegisterData(keys, (int) length);
	(void) XLogInsert(RESOURCE_MANAGER, kind);
}

/*
 * Begins a record of keys that this transaction makes old.
 * None of this may be called once the commit record has been written.
 */
sm_wal_record *
sm_wal_begin(Oid map)
{
	sm_wal_record *record =
		MemoryContextAllocZero(TopTransactionContext, sizeof(sm_wal_record));

	record->head = make_head(map, 0);
	record->size = 256;
	record->keys = MemoryContextAlloc(TopTransactionContext, record->size);
	return record;
}

static void
write_keys(sm_wal_record *record)
{
	if (record->length > 0)
		insert(&record->head, record->keys, record->length, KEYS);
	record->length = 0;
}

/* Adds a key; a record that is full is written. */
void
sm_wal_add_key(sm_wal_record *record, sm_bytes key)
{
	key_length length = (key_length) key.len;
	uint32 more = (uint32) (sizeof(length) + key.len);

	if (sizeof(record_head) + record->length + more > MAX_RECORD)
		write_keys(record);
	while (record->length + more > record->size)
	{
		record->size *= 2;
		record->keys = repalloc(record->keys, record->size);
	}
	memcpy(record->keys + record->length, &length, sizeof(length));
	memcpy(record->keys + record->length + sizeof(length), key.data, key.len);
	record->length += more;
}

/* Writes what has not been yet, and frees the record. */
void
sm_wal_end(sm_wal_record *record)
{
	write_keys(record);
	pfree(record->keys);
	pfree(record);
}

/* Writes that this transaction makes all keys of a map old, which gets a horizon, if not 0. */
void
sm_wal_whole(Oid map, uint64 horizon)
{
	record_head head = make_head(map, horizon);

	insert(&head, NULL, 0, WHOLE);
}

/* Writes that no more records of a map come after this transaction. */
void
sm_wal_forget(Oid map)
{
	record_head head = make_head(map, 0);

	insert(&head, NULL, 0, FORGET);
}

/* ---- reading ---- */

/* What is left to be read of a record. */
typedef struct record_rest
{
	const char *at;
	uint32 length;
} record_rest;

static bool
read_bytes(record_rest *rest, void *to, uint32 length)
{
	if (length > rest->length)
		return false;
	memcpy(to, rest->at, length);
	rest->at += length;
	rest->length -= length;
	return true;
}

/* The next key, where it stands; false if that is beyond the record's end. */
static bool
read_key(record_rest *rest, sm_bytes *key)
{
	key_length length;

	if (!read_bytes(rest, &length, sizeof(length)) || length > rest->length ||
		length > SM_MAX_KEY)
		return false;
	*key = (sm_bytes) {rest->at, length};
	rest->at += length;
	rest->length -= length;
	return true;
}

static record_rest
rest_of(XLogReaderState *record)
{
	return (record_rest) {XLogRecGetData(record), XLogRecGetDataLen(record)};
}

static uint8
kind_of(XLogReaderState *record)
{
	return XLogRecGetInfo(record) & ~XLR_INFO_MASK;
}

/* ---- redo ---- */

/* Fences a key and removes its pair.  Whoever has just made the map has not watched it yet. */
static void
redo_key(sm_map *map, sm_bytes key, uint64 number)
{
	while (sm_invalidate(map, key, number, NULL) == SM_UNWATCHED)
		(void) sm_map_watch(map, sm_last_id());
}

/* Returns false if the record cannot be read. */
static bool
redo_keys(sm_map *map, record_rest *rest, uint64 number)
{
	sm_bytes key;

	while (rest->length > 0)
	{
		if (!read_key(rest, &key))
			return false;
		redo_key(map, key, number);
	}
	return true;
}

/* The same of all keys. */
static void
redo_whole(sm_map *map, const record_head *head)
{
	if (head->horizon != 0)
		(void) sm_map_watch(map, head->horizon);
	while (sm_invalidate_all(map, head->number, NULL) == SM_UNWATCHED)
		(void) sm_map_watch(map, sm_last_id());
}

static void
redo(XLogReaderState *record)
{
	record_rest rest = rest_of(record);
	record_head head;
	sm_registration entry;
	sm_map map;

	if (!sm_pg_loaded() || !read_bytes(&rest, &head, sizeof(head)) ||
		!sm_registry_find(head.database, head.relation, &entry) ||
		entry.rowtype != head.rowtype || head.number == 0)
		return;
	sm_ended_replayed(head.number);
	sm_registry_open(&map, &entry);
	if (kind_of(record) == FORGET)
		sm_registry_remove(entry.id);
	else if (kind_of(record) != KEYS || !redo_keys(&map, &rest, head.number))
		redo_whole(&map, &head);
}

/* ---- what tools show ---- */

static void
describe(StringInfo buf, XLogReaderState *record)
{
	record_rest rest = rest_of(record);
	record_head head;
	sm_bytes key;
	int keys = 0;

	if (!read_bytes(&rest, &head, sizeof(head)))
		return;
	while (kind_of(record) == KEYS && read_key(&rest, &key))
		keys++;
	appendStringInfo(buf, "map %u/%u; row type %u; transaction " UINT64_FORMAT,
					 head.database, head.relation, head.rowtype, head.number);
	if (kind_of(record) == KEYS)
		appendStringInfo(buf, "; keys %d", keys);
	if (kind_of(record) == WHOLE)
		appendStringInfo(buf, "; horizon " UINT64_FORMAT, head.horizon);
}

static const char *
identify(uint8 info)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case KEYS:
			return "INVALIDATE";
		case WHOLE:
			return "INVALIDATE_ALL";
		case FORGET:
			return "FORGET";
		default:
			return NULL;
	}
}

/* Registers the resource manager.  Called once, while we are preloaded. */
void
sm_wal_init(void)
{
	static RmgrData manager = {.rm_name = "syncmap",
							   .rm_redo = redo,
							   .rm_desc = describe,
							   .rm_identify = identify};

	RegisterCustomRmgr(RESOURCE_MANAGER, &manager);
}
