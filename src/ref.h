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

/*
 * One a relation, private to the backend, at an address that stays.  A call
 * site keeps its address in fn_extra, and may keep it after the relation was
 * dropped: whatever is there then fails the test in sm_ref_get.
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
	sm_map map;
} sm_ref;

/* The reference used last: most sessions have one map that matters. */
extern sm_ref *sm_ref_last;

extern void sm_require_loaded(void);
extern bool sm_relation_is_map(Oid relid);
extern _Noreturn void sm_not_a_map(Oid relid);
extern sm_ref *sm_ref_resolve(Oid relid, AclMode acl);
extern void sm_ref_renew(sm_ref *ref);
extern void sm_ref_flush_reads(void);

static inline bool
sm_ref_fits(const sm_ref *ref, Oid relid, AclMode acl)
{
	return ref != NULL && ref->relid == relid && (ref->acl & acl) == acl &&
		ref->lxid == SM_MY_LXID && ref->userid == GetUserId();
}

/*
 * The map of a relation, locked against DROP until the end of the transaction,
 * for a call that needs all privileges in acl.
 *
 * Errors: 55000 the library was not preloaded; 42P01 no such relation; 42809
 * it is not a map; 42804 its columns are not (key text, value text); 42501 a
 * privilege is missing; 53400 there are syncmap.max_maps maps already.
 */
static inline sm_ref *
sm_ref_get(FunctionCallInfo fcinfo, Oid relid, AclMode acl)
{
	sm_ref *ref = sm_ref_last;

	if (likely(sm_ref_fits(ref, relid, acl)))
		return ref;
	ref = fcinfo->flinfo->fn_extra;
	if (!sm_ref_fits(ref, relid, acl))
		fcinfo->flinfo->fn_extra = ref = sm_ref_resolve(relid, acl);
	sm_ref_last = ref;
	return ref;
}

#endif /* SM_REF_H */
