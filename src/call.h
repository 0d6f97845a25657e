/*
 * call.h
 *	  One operation on a map, repeated until its answer is final.
 *
 * Whoever uses the engine for SQL, functions and foreign tables alike, does so
 * through this:
 *
 *		while (!sm_call_done(&call, sm_get(&call.ref->map, key, &call.value)))
 *			;
 */
#ifndef SM_CALL_H
#define SM_CALL_H

#include "guc.h"
#include "noted.h"
#include "ref.h"

/* Values up to this length are copied out without asking for memory first. */
#define SM_SCRATCH_SIZE 8192

typedef struct sm_call
{
	sm_ref *ref;
	uint64 version;	  /* of ref, that the caller's types are about; see sm_call_begin */
	bool stores;	  /* it makes the map, if there is none */
	sm_status status; /* the engine's last answer */
	sm_buffer value;  /* where values go, scratch at first */
	uint64 wanted;	  /* bytes that the call may want to store */
	int shortages;	  /* how often there was no memory */
} sm_call;

extern char sm_scratch[SM_SCRATCH_SIZE];

extern void sm_call_begin(sm_call *call, Oid relid, const sm_types *types);
extern bool sm_call_again(sm_call *call);
extern void sm_call_free_value(sm_call *call);
extern void sm_call_set_value(sm_call *call, sm_bytes value, int64 expires);
extern Datum sm_call_text(sm_call *call);
extern _Noreturn void sm_key_too_long(size_t len);

/* Makes a call ready for its first key, or its next. */
static inline void
sm_call_prepare(sm_call *call)
{
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;
	call->shortages = 0;
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
	return sm_call_again(call);
}

/* Raises 54000 if the key is too long to be stored. */
static inline void
sm_check_key(sm_bytes key)
{
	if (unlikely(key.len > SM_MAX_KEY))
		sm_key_too_long(key.len);
}

#endif /* SM_CALL_H */
