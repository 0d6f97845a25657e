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
 *
 * Most have two C entries, one for text and one for all other types, which
 * share a body.  In the one for text, on a map of text, nothing is converted and
 * nothing is remembered about types: that is the path that is kept short.
 */
#ifndef SM_FUNCTIONS_H
#define SM_FUNCTIONS_H

#include "catalog/pg_type.h"

#include "guc.h"
#include "ref.h"

/* Values up to this length are copied out without asking for memory first. */
#define SM_SCRATCH_SIZE 8192

/* The two entries of a function. */
typedef enum sm_entry
{
	SM_TEXT_ENTRY,	/* keys and values are arguments of type text */
	SM_TYPED_ENTRY, /* they are of any type */
} sm_entry;

/*
 * What a call site remembers of a map and of its arguments' types, in fn_extra.
 * The conversions are made when they are first needed.
 */
typedef struct sm_site
{
	sm_ref *ref;
	uint64 version; /* of ref, that the rest is about */
	Oid relid;
	MemoryContext context; /* of the rest; a child of fn_mcxt */
	sm_types types;
	sm_input *key;
	sm_input *value;
	bool key_as_is;		 /* keys come in the map's type */
	bool result_as_text; /* values are text, and so is the result */
	Oid result;			 /* what sm_site_check_result has found good */
	FmgrInfo output;
	TupleDesc row;
} sm_site;

typedef struct sm_call
{
	sm_ref *ref;
	sm_site *site;	  /* NULL: keys and values are text, as they come */
	bool many;		  /* arguments are arrays of keys and values */
	sm_status status; /* the engine's last answer */
	sm_buffer value;  /* where values go, scratch at first */
	uint64 wanted;	  /* bytes that the call may want to store */
	int shortages;	  /* how often there was no memory */

	/* for arguments 1 to 3, if their bytes are not kept where they are */
	uint64 room[3];
} sm_call;

extern char sm_scratch[SM_SCRATCH_SIZE];

extern void sm_call_resolve(sm_call *call, FunctionCallInfo fcinfo, AclMode acl,
							sm_entry entry, bool clears);
extern void sm_call_again(sm_call *call);
extern Datum sm_call_text(sm_call *call);
extern sm_bytes sm_site_key(sm_call *call, FunctionCallInfo fcinfo, Datum key);
extern sm_bytes sm_site_value(sm_call *call, FunctionCallInfo fcinfo, int n,
							  Datum value);
extern void sm_site_check_result(sm_call *call, Oid type);
extern Datum sm_site_result(sm_call *call);
extern Datum sm_site_stored(sm_call *call, sm_bytes value);
extern TupleDesc sm_site_row(sm_call *call, FunctionCallInfo fcinfo);
extern sm_input *sm_argument_input(Oid relid, const char *column, Oid from, Oid to,
								   int32 typmod, MemoryContext context);
extern Oid sm_argument_type(FunctionCallInfo fcinfo, int n);
extern int64 sm_call_expires(const sm_call *call, FunctionCallInfo fcinfo, int n);
extern _Noreturn void sm_null_argument(const char *name);
extern _Noreturn void sm_key_too_long(size_t len);

static inline sm_bytes
sm_text_bytes(const text *t)
{
	sm_bytes bytes = {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};

	return bytes;
}

/* Declares the two entries of a function. */
#define SM_FUNCTIONS(name)       \
	SM_FUNCTION(syncmap_##name); \
	SM_FUNCTION(syncmap_##name##_typed)

/* Defines the two entries of a function with the body do_NAME(fcinfo, entry). */
#define SM_ENTRIES(name)                           \
	Datum syncmap_##name(PG_FUNCTION_ARGS)         \
	{                                              \
		return do_##name(fcinfo, SM_TEXT_ENTRY);   \
	}                                              \
	Datum syncmap_##name##_typed(PG_FUNCTION_ARGS) \
	{                                              \
		return do_##name(fcinfo, SM_TYPED_ENTRY);  \
	}

/* Makes a call ready for its first key, or its next. */
static inline void
sm_call_prepare(sm_call *call)
{
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;
	call->shortages = 0;
}

/*
 * The map in argument 0, for a call that needs all privileges in acl.  Returns
 * false if syncmap.enabled is off: then all keys are absent, and a function
 * that would change the map does nothing and returns NULL.
 *
 * Errors: see sm_ref_resolve.
 */
static inline bool
sm_call_start(sm_call *call, FunctionCallInfo fcinfo, AclMode acl, sm_entry entry)
{
	if (entry == SM_TEXT_ENTRY)
	{
		call->site = NULL;
		call->ref = sm_ref_last;
		if (unlikely(!sm_ref_fits(call->ref, PG_GETARG_OID(0), acl | SM_ACL_TEXT)))
			sm_call_resolve(call, fcinfo, acl, entry, false);
	}
	else
	{
		call->site = fcinfo->flinfo->fn_extra;
		call->many = false;
		if (likely(call->site != NULL &&
				   sm_ref_fits(call->site->ref, PG_GETARG_OID(0), acl) &&
				   call->site->version == call->site->ref->version))
			call->ref = call->site->ref;
		else
			sm_call_resolve(call, fcinfo, acl, entry, false);
	}
	sm_call_prepare(call);
	call->wanted = 0;
	return likely(sm_guc_enabled);
}

/*
 * The key in argument 1.  Errors: 42804 its type is not the map's and does not
 * convert to it; what the conversion raises.
 */
static pg_attribute_always_inline sm_bytes
sm_call_key(sm_call *call, FunctionCallInfo fcinfo)
{
	if (likely(call->site == NULL))
		return sm_text_bytes(PG_GETARG_TEXT_PP(1));
	if (likely(call->site->key_as_is))
		return sm_key_bytes(call->site->types.key_type, PG_GETARG_DATUM(1),
							&call->room[0]);
	return sm_site_key(call, fcinfo, PG_GETARG_DATUM(1));
}

/* The value in argument number n, 2 or 3.  Errors: as with keys. */
static inline sm_bytes
sm_call_value(sm_call *call, FunctionCallInfo fcinfo, int n)
{
	if (likely(call->site == NULL))
		return sm_text_bytes(PG_GETARG_TEXT_PP(n));
	return sm_site_value(call, fcinfo, n, PG_GETARG_DATUM(n));
}

/*
 * Says that the result will be a value of the type of argument number n, or of
 * text if that is 0.  To be called before anything is changed: raises 42804 if
 * the map's values are not of that type.
 */
static inline void
sm_call_check_result(sm_call *call, FunctionCallInfo fcinfo, int n)
{
	if (call->site != NULL && unlikely(!OidIsValid(call->site->result)))
		sm_site_check_result(call, n == 0 ? TEXTOID : sm_argument_type(fcinfo, n));
}

/* The value that the engine has copied out, as a datum of the type said before. */
static inline Datum
sm_call_result(sm_call *call)
{
	return likely(call->site == NULL || call->site->result_as_text) ?
		sm_call_text(call) :
		sm_site_result(call);
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
