/*
 * functions.h
 *	  What the SQL functions share: arguments, results, and what to do when the
 *	  engine could not do what it was asked.
 *
 * A function reads its arguments, calls the engine until the answer is final,
 * and builds the datum:
 *
 *		while (!sm_call_done(&call, sm_get(&call.ref->map, key, &call.value)))
 *			;
 */
#ifndef SM_FUNCTIONS_H
#define SM_FUNCTIONS_H

#include "guc.h"
#include "ref.h"

/* Values up to this length are copied out without asking for memory first. */
#define SM_SCRATCH_SIZE 8192

typedef struct sm_call
{
	sm_ref *ref;
	sm_status status; /* the engine's last answer */
	sm_buffer value;  /* where values go, scratch at first */
	uint64 wanted;	  /* bytes that the call may want to store */
	int shortages;	  /* how often there was no memory */
} sm_call;

extern char sm_scratch[SM_SCRATCH_SIZE];

extern void sm_call_again(sm_call *call);
extern text *sm_call_text(sm_call *call);
extern int64 sm_call_expires(const sm_call *call, FunctionCallInfo fcinfo, int n);
extern _Noreturn void sm_null_argument(const char *name);
extern _Noreturn void sm_key_too_long(size_t len);

static inline sm_bytes
sm_text_bytes(const text *t)
{
	sm_bytes bytes = {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};

	return bytes;
}

/*
 * The map in argument 0, for a call that needs all privileges in acl.  Returns
 * false if syncmap.enabled is off: then all keys are absent, and a function
 * that would change the map does nothing and returns NULL.
 */
static inline bool
sm_call_start(sm_call *call, FunctionCallInfo fcinfo, AclMode acl)
{
	call->ref = sm_ref_get(fcinfo, PG_GETARG_OID(0), acl);
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;
	call->wanted = 0;
	call->shortages = 0;
	return likely(sm_guc_enabled);
}

/*
 * Is status final?  If not, and no error is raised, what stood in the way has
 * been removed, and the engine is to be called again.
 *
 * Errors: 53200 there is no memory for the call.
 */
static inline bool
sm_call_done(sm_call *call, sm_status status)
{
	call->status = status;
	if (likely(status <= SM_MISMATCH || status == SM_REFUSED))
		return true;
	sm_call_again(call);
	return false;
}

/* Raises 22004 if argument number n is NULL. */
static inline void
sm_check_not_null(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (unlikely(PG_ARGISNULL(n)))
		sm_null_argument(name);
}

/* Raises 54000 if the key is too long to be stored. */
static inline void
sm_check_key(sm_bytes key)
{
	if (unlikely(key.len > SM_MAX_KEY))
		sm_key_too_long(key.len);
}

#endif /* SM_FUNCTIONS_H */
