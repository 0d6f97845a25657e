/*
 * ref.c
 *	  What a backend remembers of a map: its handle, its lock, its privileges.
 *
 * A reference is good for a call if the relation is locked in this transaction,
 * and if the current user was found to have the privileges before, and nothing
 * came in meanwhile that could change this.  Whatever may change it (the
 * relation, a role, a membership) is announced by an invalidation, and the
 * next call looks again.
 *
 * The lock is AccessShareLock, taken once a transaction and owned by the top
 * transaction, as nextval does, so that a DROP waits.  A parallel worker's ends
 * with the worker.
 *
 * To read, plan, or remove makes no map: until something is stored, a reference's
 * handle is of no map, for which the engine says SM_GONE.  The registry counts the
 * maps that it adds, so that a reference whose count is not behind needs no search.
 */
#include "compat.h"

#include "access/parallel.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "lifecycle.h"
#include "options.h"
#include "ref.h"
#include "registry.h"
#include "watches.h"

/* Milliseconds between two flushes of what a session has counted. */
#define FLUSH_INTERVAL 1000

sm_ref *sm_ref_last = NULL;

static HTAB *refs = NULL;

/* Has any map been seen whose values have a composite type in them? */
static bool has_layouts = false;

uint64 sm_ref_conversions = 0;

/* Counts invalidations, so that one that comes while we look is noticed. */
static uint64 invalidations = 0;

static void
invalidate(sm_ref *ref)
{
	ref->acl = 0;
	ref->checked = false;
}

static void
invalidate_all(void)
{
	HASH_SEQ_STATUS scan;
	sm_ref *ref;

	hash_seq_init(&scan, refs);
	while ((ref = hash_seq_search(&scan)) != NULL)
		invalidate(ref);
}

static void
at_relcache_invalidation(Datum arg, Oid relid)
{
	sm_ref *ref;

	invalidations++;
	if (!OidIsValid(relid))
		invalidate_all();
	else if ((ref = hash_search(refs, &relid, HASH_FIND, NULL)) != NULL)
		invalidate(ref);
	else if (has_layouts)
		invalidate_all(); /* it may be a composite type in a map's values */
}

static void
at_syscache_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	invalidate_all();
}

static void
at_conversion_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	sm_ref_conversions++;
}

/* Adds what this session has counted of its reads to the maps' sums. */
void
sm_ref_flush_reads(void)
{
	HASH_SEQ_STATUS scan;
	sm_ref *ref;

	if (refs == NULL)
		return;
	hash_seq_init(&scan, refs);
	while ((ref = hash_seq_search(&scan)) != NULL)
	{
		if (ref->map.id != 0)
			sm_flush_reads(&ref->map);
	}
}

/*
 * Takes references out of the table, for others to be made in their place: those
 * that are not up to date, if there are more than there can be maps, or all.
 */
static void
recycle_refs(bool all)
{
	HASH_SEQ_STATUS scan;
	sm_ref *ref;

	if (refs == NULL || (!all && hash_get_num_entries(refs) <= sm_guc_max_maps))
		return;
	sm_ref_last = NULL;
	sm_ref_flush_reads();
	hash_seq_init(&scan, refs);
	while ((ref = hash_seq_search(&scan)) != NULL)
	{
		if (ref->checked && !all)
			continue;
		hash_search(refs, &ref->relid, HASH_REMOVE, NULL);
		/* whoever still looks there finds no relation and no map */
		memset((void *) ref, 0, sizeof(sm_ref));
	}
}

/*
 * At the end of a transaction, but not of each: what others see of a session's
 * reads is as old as PostgreSQL's own statistics.
 */
static void
at_xact_end(XactEvent event, void *arg)
{
	static TimestampTz last_flush = 0;
	TimestampTz now;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	recycle_refs(false);
	now = GetCurrentTransactionStopTimestamp();
	if (!TimestampDifferenceExceeds(last_flush, now, FLUSH_INTERVAL))
		return;
	last_flush = now;
	sm_ref_flush_reads();
}

static void
at_exit(int code, Datum arg)
{
	sm_ref_flush_reads();
}

static void
make_refs(void)
{
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(sm_ref);
	ctl.hcxt = TopMemoryContext;
	refs = hash_create("syncmap references", 32, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	RegisterXactCallback(at_xact_end, NULL);
	before_shmem_exit(at_exit, (Datum) 0);
	CacheRegisterRelcacheCallback(at_relcache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, at_syscache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, at_syscache_invalidation, (Datum) 0);
	/* its owner is who pg_database_owner stands for */
	CacheRegisterSyscacheCallback(DATABASEOID, at_syscache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, at_conversion_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(CONSTROID, at_conversion_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, at_conversion_invalidation,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, at_conversion_invalidation, (Datum) 0);
}

static sm_ref *
find_ref(Oid relid)
{
	/* the first call in a new transaction most often comes with this one */
	if (sm_ref_last != NULL && sm_ref_last->relid == relid)
		return sm_ref_last;
	return refs == NULL ? NULL : hash_search(refs, &relid, HASH_FIND, NULL);
}

static sm_ref *
make_ref(Oid relid)
{
	sm_ref *ref;

	if (refs == NULL)
		make_refs();
	ref = hash_search(refs, &relid, HASH_ENTER, NULL);
	memset((char *) ref + sizeof(Oid), 0, sizeof(sm_ref) - sizeof(Oid));
	sm_map_open_none(&ref->map, &sm_pg_engine);
	return ref;
}

/* Raises 55000 unless the library was preloaded.  (S1) */
void
sm_require_loaded(void)
{
	if (!sm_pg_loaded())
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("syncmap must be loaded via shared_preload_libraries"),
			 errhint(
				 "Add this line to postgresql.conf and restart the server: shared_preload_libraries = 'syncmap'")));
}

static _Noreturn void
no_such_relation(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation with OID %u does not exist", relid)));
	pg_unreachable();
}

extern Datum syncmap_fdw_handler(PG_FUNCTION_ARGS);

/* Is it our handler?  That of another wrapper is not loaded for the answer. */
static bool
is_our_handler(Oid handler)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler));
	FmgrInfo function;
	bool isnull;
	Datum symbol;
	bool named;

	if (!HeapTupleIsValid(tuple))
		return false;
	symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	named = !isnull && strcmp(TextDatumGetCString(symbol), "syncmap_fdw_handler") == 0;
	ReleaseSysCache(tuple);
	if (!named)
		return false;
	fmgr_info(handler, &function);
	return function.fn_addr == syncmap_fdw_handler;
}

/*
 * Is a server of our wrapper, so that its foreign tables are maps?  The wrapper is
 * known by its handler, whatever its name is.
 */
bool
sm_server_has_maps(const ForeignServer *server)
{
	Oid handler = GetForeignDataWrapper(server->fdwid)->fdwhandler;

	return OidIsValid(handler) && is_our_handler(handler);
}

/* Is it a map?  Raises 42P01 if there is no such relation. */
bool
sm_relation_is_map(Oid relid)
{
	char relkind = get_rel_relkind(relid);

	if (relkind == '\0')
		no_such_relation(relid);
	if (relkind != RELKIND_FOREIGN_TABLE ||
		!SearchSysCacheExists1(FOREIGNTABLEREL, ObjectIdGetDatum(relid)))
		return false;
	return sm_server_has_maps(GetForeignServer(GetForeignTable(relid)->serverid));
}

/* Raises 42809. */
void
sm_not_a_map(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL) /* dropped just now */
		no_such_relation(relid);
	ereport(
		ERROR,
		(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a map", name),
		 errhint(
			 "Create a map with syncmap.create, or with CREATE FOREIGN TABLE on the server of syncmap.")));
}

/* What this transaction may have done to a relation. */
typedef struct own_changes
{
	SubTransactionId creator; /* the subtransaction that created it, if any */
	bool altered;			  /* it may have altered it, too */
} own_changes;

/* Checks that the relation is a map, and notes what its entry in the registry says. */
static own_changes
check_relation(sm_ref *ref, sm_registration *entry)
{
	Relation rel = try_relation_open(ref->relid, NoLock);
	own_changes changes;
	sm_types types;

	if (rel == NULL)
		no_such_relation(ref->relid);
	if (!sm_relation_is_map(ref->relid))
		sm_not_a_map(ref->relid);
	sm_types_read(rel, &types);
	ref->types = types;
	entry->rowtype = rel->rd_rel->reltype;
	ref->temporary = RelationUsesLocalBuffers(rel);
	changes.creator = rel->rd_createSubid;
	changes.altered = CheckRelationLockedByMe(rel, AccessExclusiveLock, false);
	relation_close(rel, NoLock);

	has_layouts = has_layouts || sm_has_layout(&ref->types);
	entry->database = MyDatabaseId;
	entry->relation = ref->relid;
	sm_registration_set_types(entry, &ref->types);
	return changes;
}

/*
 * Finds a relation's entry.  One of another relation that had its OID is removed
 * (on a standby no hook does so), and so is one with other types that holds
 * nothing, or whose map is to be cleared anyway: nobody has stored anything in it
 * since the types were changed, under AccessExclusiveLock.
 *
 * Raises 42804 if the map holds keys or values of other types.
 */
static bool
find_entry(const sm_registration *wanted, bool clears, sm_registration *entry)
{
	sm_map map;

	if (!sm_registry_find(wanted->database, wanted->relation, entry))
		return false;
	if (entry->rowtype == wanted->rowtype && sm_registration_same_types(entry, wanted))
		return true;

	sm_registry_open(&map, entry);
	if (entry->rowtype == wanted->rowtype && !clears && sm_count(&map) > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg(
				 "map \"%s\" holds keys and values of other types than its columns have",
				 get_rel_name(wanted->relation)),
			 errhint("Clear the map, or undo the ALTER TABLE.")));
	sm_registry_remove(entry->id);
	return false;
}

/* Reads what of a relation's options concerns its reference. */
static void
read_options(sm_ref *ref, sm_options *options)
{
	sm_options_parse(GetForeignTable(ref->relid)->options, options);
	ref->has_ttl = options->has_ttl;
	ref->ttl = options->ttl;
	ref->consistent = options->consistent;
	ref->ordered = options->ordered;
	ref->load_wait = options->load_wait;
	ref->absent_ttl = options->absent_ttl;
	ref->stale = options->stale;
	ref->watched = sm_map_is_watched(ref->relid);
	ref->logged = options->wal_invalidation && !ref->temporary;
	ref->unchecked = !ref->watched || options->unchecked_puts;
}

static void
open_map(sm_ref *ref, const sm_registration *entry)
{
	if (ref->map.id != entry->id)
		sm_registry_open(&ref->map, entry);
	ref->map.unchecked = ref->unchecked;
}

/* The last number of a transaction that has been given so far. */
uint64
sm_last_id(void)
{
	return U64FromFullTransactionId(ReadNextFullTransactionId()) - 1;
}

/*
 * Has the engine refuse what is stored without its snapshot, and what was computed while
 * any transaction of now was in progress.
 */
void
sm_ref_watch(sm_ref *ref)
{
	(void) sm_map_watch(&ref->map, sm_last_id());
}

/*
 * Is the map on a standby that hears of no change of the tables that it is beside?  Then
 * nothing is stored in it that is computed from these.  (C5)
 */
bool
sm_ref_is_blind(const sm_ref *ref)
{
	return ref->watched && !ref->logged && RecoveryInProgress();
}

/* The map of a standby that is blind may hold what was stored before it was watched. */
static bool
remove_if_blind(const sm_ref *ref, const sm_registration *entry)
{
	if (ref->unchecked || !sm_ref_is_blind(ref))
		return false;
	sm_registry_remove(entry->id);
	return true;
}

static bool
covers_nothing(void *arg, const sm_fences *fences)
{
	return false;
}

/*
 * Empties a map that is watched, but not as far as the engine knows: the server was a
 * standby that was blind, and nobody has taken out what has been changed there since, nor
 * has what is prepared left a fence.  (C5)
 */
static void
drop_unwatched(sm_ref *ref)
{
	/* a worker does not know whether its leader has declared the watch just now */
	if (ref->watched && !sm_ref_is_blind(ref) && !IsParallelWorker() &&
		sm_covered(&ref->map, (sm_bytes) {"", 0}, covers_nothing, NULL) == SM_UNWATCHED)
	{
		/* in this order, so that whoever finds it watched finds it empty */
		(void) sm_clear(&ref->map);
		sm_ref_watch(ref);
	}
}

/*
 * Opens a handle of the relation's map, or of none, and sees to it that the relation's
 * options hold.  The relation is locked, so nobody else can be changing them; what this
 * transaction has changed, and may roll back, holds from its commit on, see lifecycle.c.
 */
static void
attach(sm_ref *ref, const sm_registration *wanted, own_changes changes, bool clears)
{
	sm_registration entry;
	sm_options options;

	read_options(ref, &options);
	/* before the search: a map that is made during it is found by the next one (W4) */
	ref->additions = sm_registry_additions();
	if (!find_entry(wanted, clears, &entry) || remove_if_blind(ref, &entry))
	{
		sm_map_open_none(&ref->map, &sm_pg_engine);
		return;
	}
	open_map(ref, &entry);
	if (!changes.altered)
		drop_unwatched(ref);
	if (!changes.altered)
		sm_options_apply(&options, &ref->map);
}

/*
 * Makes the map of a reference that has none, since something is to be stored.
 *
 * Errors: see sm_ref_resolve; 53400 there are syncmap.max_maps maps already.
 */
void
sm_ref_make_map(sm_ref *ref)
{
	sm_registration entry = {0};
	own_changes changes = check_relation(ref, &entry);
	sm_options options;
	bool is_new;

	read_options(ref, &options);
	sm_reconcile();
	entry.shard_bits = options.shard_bits;
	if (!sm_registry_add(&entry, &is_new))
		ereport(
			ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many maps are in use"),
			 errdetail(
				 "Map \"%s\" would be one more than syncmap.max_maps (%d), each with up to %d shards.",
				 get_rel_name(ref->relid), sm_guc_max_maps, 1 << SM_MAP_SHARD_BITS),
			 errhint(
				 "Drop maps that are not needed, or raise syncmap.max_maps and restart the server.")));
	if (is_new && changes.creator != InvalidSubTransactionId)
		sm_lifecycle_created(ref->relid, changes.creator);
	open_map(ref, &entry);
	/* with an ALTER that may be rolled back, to be on the safe side (M3) */
	if (is_new && changes.altered && changes.creator == InvalidSubTransactionId)
		options.evicts = false;
	if (is_new || !changes.altered)
		sm_options_apply(&options, &ref->map);
	if (ref->watched && !sm_ref_is_blind(ref))
		sm_ref_watch(ref);
}

/* Marks the transaction, too, as relation_open does: PREPARE refuses it then. */
static void
lock_relation(Oid relid, bool temporary)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	LockRelationOid(relid, AccessShareLock);
	CurrentResourceOwner = owner;
	if (temporary)
		MyXactFlags |= XACT_FLAGS_ACCESSEDTEMPNAMESPACE;
}

/* The relation's reference, which is locked now.  What is no map gets none. */
static sm_ref *
locked_ref(Oid relid)
{
	sm_ref *ref = find_ref(relid);

	if (ref != NULL && ref->lxid == SM_MY_LXID)
		return ref;
	/* what is no map is not locked either */
	if (ref == NULL && !sm_relation_is_map(relid))
		sm_not_a_map(relid);
	lock_relation(relid, ref != NULL && ref->temporary);
	if (ref == NULL)
	{
		if (!sm_relation_is_map(relid))
			sm_not_a_map(relid);
		ref = make_ref(relid);
	}
	ref->lxid = SM_MY_LXID;
	return ref;
}

/*
 * May the registry have another map by now than the reference?  One that a rolled back
 * ALTER has had removed is announced by nothing else.
 */
static inline bool
is_behind(const sm_ref *ref)
{
	if (unlikely(ref->map.id == SM_NO_MAP))
		return ref->additions != sm_registry_additions();
	return !sm_map_is_there(&ref->map);
}

/*
 * The reference of a relation that is a map, locked against DROP until the end of the
 * transaction, for a call that needs all privileges in acl; clears: the map is to be
 * cleared.
 *
 * Errors: 55000 the library was not preloaded; 42P01 no such relation; 42809
 * it is not a map; 42804 its columns are not a map's, or not those of what it
 * holds; 42501 a privilege is missing.
 */
sm_ref *
sm_ref_resolve(Oid relid, AclMode acl, bool clears)
{
	static uint64 versions = 0;
	Oid userid = GetUserId();
	own_changes changes = {InvalidSubTransactionId, false};
	sm_registration wanted = {0};
	sm_ref *ref;
	uint64 seen;

	sm_require_loaded();
#ifdef SM_RECYCLE_REFS
	recycle_refs(true);
#endif
	ref = locked_ref(relid);

	/* the wait for the lock may have brought news */
	seen = invalidations;
	if (ref->userid != userid)
	{
		ref->userid = userid;
		ref->acl = 0;
	}
	if (is_behind(ref))
		invalidate(ref);

	if (!ref->checked)
		changes = check_relation(ref, &wanted);
	if ((ref->acl & acl) != acl &&
		pg_class_aclmask(relid, userid, acl, ACLMASK_ALL) != acl)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	if (!ref->checked)
	{
		attach(ref, &wanted, changes, clears);
		ref->version = ++versions;
	}

	/* what changed while we looked was good for this call only */
	if (seen == invalidations)
	{
		ref->checked = true;
		ref->acl |= acl | SM_ACL_MAP;
		if (sm_is_text(&ref->types))
			ref->acl |= SM_ACL_TEXT;
	}
	return ref;
}

/* The same, first of all the reference used last.  That it is, then. */
sm_ref *
sm_ref_get(Oid relid, AclMode acl)
{
	if (!sm_ref_fits(sm_ref_last, relid, acl | SM_ACL_MAP) || is_behind(sm_ref_last))
		sm_ref_last = sm_ref_resolve(relid, acl, false);
	return sm_ref_last;
}

/*
 * The engine said that ref's map is gone, or there was none.  Looks again, which may
 * raise what sm_ref_resolve raises, and returns the relation's reference, which may
 * still have no map.  Keys and values that are at hand must fit it, too: raises 40001 if
 * they do not.
 */
sm_ref *
sm_ref_renew(sm_ref *ref)
{
	Oid relid = ref->relid;
	sm_types types = ref->types;

	if (ref->map.id == SM_NO_MAP && !is_behind(ref))
		return ref;
	invalidate(ref);
	AcceptInvalidationMessages();
	ref = sm_ref_resolve(relid, 0, false);
	sm_ref_check_types(ref, &types);
	return ref;
}

/*
 * The relation's reference, with the map that it has at this moment.  If there is none, one
 * that is made begins with a horizon that is no less than the number that this transaction
 * has been given: whoever makes it counts it among the registry's additions before he looks
 * for the last number, and both are done with barriers, as is the giving of a number.  So
 * either he sees the number, or we see the addition.
 */
sm_ref *
sm_ref_find_map(Oid relid)
{
	sm_ref *ref = sm_ref_get(relid, 0);

	if (ref->map.id == SM_NO_MAP)
		return ref;
	invalidate(ref);
	return sm_ref_get(relid, 0);
}

/* Raises 40001 unless the map's columns are of these types. */
void
sm_ref_check_types(const sm_ref *ref, const sm_types *types)
{
	if (memcmp(&ref->types, types, sizeof(sm_types)) != 0)
		sm_map_was_altered(ref->relid);
}
