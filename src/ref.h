/*
 * ref.h
 *	  What a backend remembers of a map: its handle, its lock, its privileges.
 */
#ifndef SM_REF_H
#define SM_REF_H

#include "datatype/timestamp.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "port_pg.h"
#include "types.h"

/*
 * Two flags in acl, in bits that no privilege has: the reference is up to date, and its
 * keys and values are text.
 */
#define SM_ACL_MAP	((AclMode) 1 << 30)
#define SM_ACL_TEXT ((AclMode) 1 << 31)

/*
 * One a relation, private to the backend.
 *
 * The rule: a pointer to a reference is good until code of a user may run, and no
 * longer.  That code may look up other relations, alter or drop this one, revoke
 * privileges, or become another user.  Whoever goes on after it knows the relation by
 * its OID and asks again: sm_ref_get, sm_call_begin, or sm_args_look, which also
 * compare the types.  src/README.md lists where code of users runs.
 *
 * A call site keeps the pointer in fn_extra for its next call, and believes nothing
 * there before sm_ref_fits has said that it is this relation's, of this transaction.
 * References are recycled at the end of a transaction only, when no call and no query
 * is under way.  A build with SM_RECYCLE_REFS recycles them at each lookup, so that
 * tests find what breaks the rule.
 */
typedef struct sm_ref
{
	Oid relid;				 /* hash key, must be first */
	Oid userid;				 /* whom acl is about */
	AclMode acl;			 /* privileges found; none if not up to date */
	LocalTransactionId lxid; /* the transaction that has the relation locked */
	bool checked;			 /* what follows is up to date */
	bool temporary;			 /* a temporary relation */
	bool has_ttl;			 /* keys have that time to live by default */
	bool consistent;		 /* a scan of its table is a snapshot */
	bool ordered;			 /* its option says so */
	bool watched;			 /* tables invalidate its keys, see watch.c */
	bool logged;			 /* and the WAL tells standbys of it, see wal.c */
	bool unchecked;			 /* any value may be stored all the same */
	int load_wait;			 /* milliseconds to wait for another session's load */
	int64 absent_ttl;		 /* microseconds that no row is remembered; 0: not at all */
	int64 stale;			 /* microseconds that what is invalidated is kept */
	Interval ttl;
	sm_types types;
	uint64 version;	  /* another one each time that any of this is looked up */
	uint64 additions; /* the registry's, when it was searched for the map */
	sm_map map;		  /* a handle of no map (SM_NO_MAP) until there is one */
} sm_ref;

/* The reference used last: most sessions have one map that matters. */
extern sm_ref *sm_ref_last;

/* Another number each time that a type, a cast, or a function may have changed. */
extern uint64 sm_ref_conversions;

extern void sm_require_loaded(void);
extern bool sm_server_has_maps(const ForeignServer *server);
extern bool sm_relation_is_map(Oid relid);
extern _Noreturn void sm_not_a_map(Oid relid);
extern sm_ref *sm_ref_resolve(Oid relid, AclMode acl, bool clears);
extern sm_ref *sm_ref_get(Oid relid, AclMode acl);
extern sm_ref *sm_ref_renew(sm_ref *ref);
extern void sm_ref_make_map(sm_ref *ref);
extern sm_ref *sm_ref_find_map(Oid relid);
extern void sm_ref_watch(sm_ref *ref);
extern bool sm_ref_is_blind(const sm_ref *ref);
extern uint64 sm_last_id(void);
extern void sm_ref_check_types(const sm_ref *ref, const sm_types *types);
extern void sm_ref_flush_reads(void);

/* Is ref good for a call in this transaction that needs all of acl? */
static inline bool
sm_ref_fits(const sm_ref *ref, Oid relid, AclMode acl)
{
	return ref != NULL && ref->relid == relid && (ref->acl & acl) == acl &&
		ref->lxid == SM_MY_LXID && ref->userid == GetUserId();
}

#endif /* SM_REF_H */
