/*
 * ref.h
 *	  What a backend remembers of a map: its handle, its lock, its privileges.
 */
#ifndef SM_REF_H
#define SM_REF_H

#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "port_pg.h"
#include "types.h"

/*
 * Stand in acl beside the privileges: the reference is up to date; and keys and
 * values are text.
 */
#define SM_ACL_MAP	((AclMode) 1 << 30)
#define SM_ACL_TEXT ((AclMode) 1 << 31)

/*
 * One a relation, private to the backend, at an address that stays.  A call
 * site keeps its address in fn_extra, and may keep it after the relation was
 * dropped: whatever is there then fails the test in sm_ref_fits.
 */
typedef struct sm_ref
{
	Oid relid;				 /* hash key, must be first */
	Oid userid;				 /* whom acl is about */
	AclMode acl;			 /* privileges found; none if not up to date */
	LocalTransactionId lxid; /* the transaction that has the relation locked */
	bool checked;			 /* it is a map, and map is its handle */
	bool temporary;			 /* and a temporary relation */
	bool has_ttl;			 /* keys have that time to live by default */
	Interval ttl;
	bool consistent; /* a scan of its table is a snapshot */
	sm_types types;
	uint64 version; /* another one each time that any of this is looked up */
	sm_map map;
} sm_ref;

/* The reference used last: most sessions have one map that matters. */
extern sm_ref *sm_ref_last;

extern void sm_require_loaded(void);
extern bool sm_relation_is_map(Oid relid);
extern _Noreturn void sm_not_a_map(Oid relid);
extern sm_ref *sm_ref_resolve(Oid relid, AclMode acl, bool clears);
extern sm_ref *sm_ref_get(Oid relid, AclMode acl);
extern void sm_ref_renew(sm_ref *ref);
extern _Noreturn void sm_map_was_altered(Oid relid);
extern void sm_ref_flush_reads(void);

/* Is ref good for a call in this transaction that needs all of acl? */
static inline bool
sm_ref_fits(const sm_ref *ref, Oid relid, AclMode acl)
{
	return ref != NULL && ref->relid == relid && (ref->acl & acl) == acl &&
		ref->lxid == SM_MY_LXID && ref->userid == GetUserId();
}

#endif /* SM_REF_H */
