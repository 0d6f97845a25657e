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
 * transaction, as nextval does, so that a DROP waits.
 */
#include "compat.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "fdw.h"
#include "guc.h"
#include "lifecycle.h"
#include "ref.h"
#include "registry.h"

sm_ref *sm_ref_last = NULL;

static HTAB *refs = NULL;

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
}

static void
at_syscache_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	invalidate_all();
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

	CacheRegisterRelcacheCallback(at_relcache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, at_syscache_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, at_syscache_invalidation, (Datum) 0);
}

/*
 * Forgets what is not up to date, when there are more references than there
 * can be maps.  A call site that still has the address of one finds acl 0
 * there, or another relation.
 */
static void
prune_refs(void)
{
	HASH_SEQ_STATUS scan;
	sm_ref *ref;

	sm_ref_last = NULL;
	hash_seq_init(&scan, refs);
	while ((ref = hash_seq_search(&scan)) != NULL)
	{
		if (!ref->checked)
			hash_search(refs, &ref->relid, HASH_REMOVE, NULL);
	}
}

static sm_ref *
find_ref(Oid relid)
{
	sm_ref *ref;

	/* the first call in a new transaction most often comes with this one */
	if (sm_ref_last != NULL && sm_ref_last->relid == relid)
		return sm_ref_last;

	if (refs == NULL)
		make_refs();

	ref = hash_search(refs, &relid, HASH_FIND, NULL);
	if (ref == NULL)
	{
		if (hash_get_num_entries(refs) > sm_guc_max_maps)
			prune_refs();
		ref = hash_search(refs, &relid, HASH_ENTER, NULL);
		ref->userid = InvalidOid;
		ref->acl = 0;
		ref->lxid = InvalidLocalTransactionId;
		ref->checked = false;
		ref->map.id = 0;
	}
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

/*
 * Is it a foreign table on a server of our wrapper?  The wrapper is known by
 * its handler, whatever its name is.  Raises 42P01 if there is no such
 * relation.
 */
bool
sm_relation_is_map(Oid relid)
{
	char relkind = get_rel_relkind(relid);
	ForeignServer *server;
	Oid handler;

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (relkind != RELKIND_FOREIGN_TABLE)
		return false;

	server = GetForeignServer(GetForeignTable(relid)->serverid);
	handler = GetForeignDataWrapper(server->fdwid)->fdwhandler;
	return OidIsValid(handler) &&
		GetFdwRoutine(handler)->GetForeignRelSize == sm_fdw_rel_size;
}

/* Raises 42809. */
void
sm_not_a_map(Oid relid)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_WRONG_OBJECT_TYPE),
		 errmsg("\"%s\" is not a map", get_rel_name(relid)),
		 errhint(
			 "Create a map with syncmap.create, or with CREATE FOREIGN TABLE on the server of syncmap.")));
}

static void
check_columns(Relation rel)
{
	static const char *const names[] = {"key", "value"};
	TupleDesc desc = RelationGetDescr(rel);
	int live = 0;
	bool fits = true;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (live >= 2 || att->atttypid != TEXTOID ||
			strcmp(NameStr(att->attname), names[live]) != 0)
			fits = false;
		live++;
	}

	if (!fits || live != 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("map \"%s\" does not have the columns of a map",
						RelationGetRelationName(rel)),
				 errhint("A map has the columns (key text, value text).")));
}

/*
 * Checks that the relation is a map.  Returns the subtransaction of ours that
 * created it, if any.
 */
static SubTransactionId
check_relation(Oid relid)
{
	Relation rel = try_relation_open(relid, NoLock);
	SubTransactionId creator;

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!sm_relation_is_map(relid))
		sm_not_a_map(relid);
	check_columns(rel);
	creator = rel->rd_createSubid;
	relation_close(rel, NoLock);

	return creator;
}

/*
 * Finds the relation's map in the registry, or makes one, and opens a handle.
 */
static void
attach(sm_ref *ref, SubTransactionId creator)
{
	sm_registration entry;
	bool is_new = false;

	if (!sm_registry_find(MyDatabaseId, ref->relid, &entry))
	{
		sm_reconcile();
		if (!sm_registry_add(MyDatabaseId, ref->relid, &entry, &is_new))
			ereport(
				ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many maps are in use"),
				 errdetail("Map \"%s\" would be one more than syncmap.max_maps (%d).",
						   get_rel_name(ref->relid), sm_guc_max_maps),
				 errhint(
					 "Drop maps that are not needed, or raise syncmap.max_maps and restart the server.")));
	}
	if (is_new && creator != InvalidSubTransactionId)
		sm_lifecycle_created(ref->relid, creator);
	if (ref->map.id != entry.id)
		sm_map_open(&ref->map, &sm_pg_engine, entry.id, entry.first_shard,
					entry.shard_bits);
}

static void
lock_relation(sm_ref *ref)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	LockRelationOid(ref->relid, AccessShareLock);
	CurrentResourceOwner = owner;
	ref->lxid = SM_MY_LXID;
}

/*
 * The slow path of sm_ref_get, which says what it raises.  Takes the
 * relation's lock, and perhaps the registry's.
 */
sm_ref *
sm_ref_resolve(Oid relid, AclMode acl)
{
	Oid userid = GetUserId();
	SubTransactionId creator = InvalidSubTransactionId;
	sm_ref *ref;
	uint64 seen;

	sm_require_loaded();

	ref = find_ref(relid);
	if (ref->lxid != SM_MY_LXID)
		lock_relation(ref);

	/* the wait for the lock may have brought news */
	seen = invalidations;
	if (ref->userid != userid)
	{
		ref->userid = userid;
		ref->acl = 0;
	}

	if (!ref->checked)
		creator = check_relation(relid);
	if ((ref->acl & acl) != acl &&
		pg_class_aclmask(relid, userid, acl, ACLMASK_ALL) != acl)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	if (!ref->checked)
		attach(ref, creator);

	/* what changed while we looked was good for this call only */
	if (seen == invalidations)
	{
		ref->checked = true;
		ref->acl |= acl;
	}
	return ref;
}

/*
 * The engine said that ref's map is gone.  Looks its relation up again, which
 * may raise what sm_ref_get raises, and opens the new map's handle.
 */
void
sm_ref_renew(sm_ref *ref)
{
	invalidate(ref);
	sm_ref_resolve(ref->relid, 0);
}
