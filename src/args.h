/*
 * args.h
 *	  Arguments and results of the SQL functions, and what a call site remembers
 *	  of their types.
 *
 * A function reads its arguments, calls the engine until the answer is final
 * (call.h), and builds the datum.
 *
 * Most have two C entries, one for text and one for all other types, which
 * share a body.  In the one for text, on a map of text, nothing is converted and
 * nothing is remembered about types: that is the path that is kept short.
 */
#ifndef SM_ARGS_H
#define SM_ARGS_H

#include "access/xact.h"
#include "catalog/pg_type.h"

#include "call.h"

/* The privileges that only calls which change a map need. */
#define SM_ACL_CHANGE (ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE)

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
	uint64 version;		/* of ref, that the rest is about; 0: it is in use */
	uint64 conversions; /* sm_ref_conversions then */
	Oid relid;
	MemoryContext context; /* of the rest; a child of fn_mcxt */
	sm_types types;
	sm_input *key; /* from that type */
	Oid key_from;
	sm_input *value;
	Oid value_from;
	bool key_as_is;		 /* keys come in the map's type */
	bool result_as_text; /* values are text, and so is the result */
	Oid result;			 /* what sm_args_check_result has found good */
	FmgrInfo output;
	TupleDesc row;
} sm_site;

/* The arguments of one call of a function, of which number 0 is the map. */
typedef struct sm_args
{
	FunctionCallInfo fcinfo;
	sm_call *call;
	AclMode acl;   /* privileges that the call needs */
	sm_site *site; /* NULL: keys and values are text, as they come */
	bool many;	   /* they stand in arrays, with elements of these types */
	Oid key_type;
	Oid value_type;

	/* where the site is not NULL */
	sm_bytes key;  /* read last */
	int64 expires; /* of a row that was read last: when it says so, or 0 */

	/* for arguments 1 to 3, if their bytes are not kept where they are */
	uint64 room[3];
} sm_args;

extern void sm_args_resolve(sm_args *args, sm_entry entry);
extern void sm_args_look(sm_args *args);
extern void sm_check_writable(FunctionCallInfo fcinfo);
extern sm_bytes sm_site_key(sm_args *args, Datum key);
extern sm_bytes sm_site_value(sm_args *args, int n, Datum value);
extern void sm_site_check_result(sm_args *args, Oid type);
extern Datum sm_site_result(sm_args *args);
extern Datum sm_site_stored(sm_args *args, sm_bytes value, int64 expires);
extern TupleDesc sm_site_row(sm_args *args);
extern sm_input *sm_argument_input(Oid relid, const char *column, Oid from, Oid to,
								   int32 typmod, MemoryContext context);
extern Oid sm_argument_type(FunctionCallInfo fcinfo, int n);
extern int64 sm_args_expires(const sm_args *args, int n);
extern _Noreturn void sm_null_argument(const char *name);

static inline sm_bytes
sm_text_bytes(const text *t)
{
	sm_bytes bytes = {VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};

	return bytes;
}

/* Declares the two entries of a function, NAME and NAME_typed. */
#define SM_FUNCTIONS(name) \
	SM_FUNCTION(name);     \
	SM_FUNCTION(name##_typed)

/* Defines them with a body: body(fcinfo, entry). */
#define SM_ENTRIES(name, body)               \
	Datum name(PG_FUNCTION_ARGS)             \
	{                                        \
		return body(fcinfo, SM_TEXT_ENTRY);  \
	}                                        \
	Datum name##_typed(PG_FUNCTION_ARGS)     \
	{                                        \
		return body(fcinfo, SM_TYPED_ENTRY); \
	}

/*
 * Starts a call on the map in argument 0 that needs all privileges in acl.  Returns
 * false if syncmap.enabled is off: then all keys are absent, and a function
 * that would change the map does nothing and returns NULL.
 *
 * Errors: see sm_ref_resolve; 25006 the call changes the map, in a READ ONLY transaction.
 */
static inline bool
sm_args_start(sm_args *args, sm_call *call, FunctionCallInfo fcinfo, AclMode acl,
			  sm_entry entry)
{
	args->fcinfo = fcinfo;
	args->call = call;
	args->acl = acl;
	if (entry == SM_TEXT_ENTRY)
	{
		args->site = NULL;
		call->ref = sm_ref_last;
		if (unlikely(!sm_ref_fits(call->ref, PG_GETARG_OID(0), acl | SM_ACL_TEXT)))
			sm_args_resolve(args, entry);
	}
	else
	{
		args->site = fcinfo->flinfo->fn_extra;
		args->many = false;
		if (likely(args->site != NULL &&
				   sm_ref_fits(args->site->ref, PG_GETARG_OID(0), acl) &&
				   args->site->version == args->site->ref->version &&
				   args->site->conversions == sm_ref_conversions))
			call->ref = args->site->ref;
		else
			sm_args_resolve(args, entry);
	}
	if ((acl & SM_ACL_CHANGE) != 0 && unlikely(XactReadOnly))
		sm_check_writable(fcinfo);
	sm_call_prepare(call);
	call->stores = (acl & ACL_INSERT) != 0;
	call->wanted = 0;
	return likely(sm_guc_enabled);
}

/*
 * The key in argument 1.  Errors: 42804 its type is not the map's and does not
 * convert to it; what the conversion raises.
 */
static pg_attribute_always_inline sm_bytes
sm_args_key(sm_args *args)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (likely(args->site == NULL))
		return sm_text_bytes(PG_GETARG_TEXT_PP(1));
	if (likely(args->site->key_as_is))
		args->key = sm_key_bytes(args->site->types.key_type, PG_GETARG_DATUM(1),
								 &args->room[0]);
	else
		args->key = sm_site_key(args, PG_GETARG_DATUM(1));
	return args->key;
}

/* The value in argument number n, 2 or 3.  Errors: as with keys. */
static inline sm_bytes
sm_args_value(sm_args *args, int n)
{
	FunctionCallInfo fcinfo = args->fcinfo;

	if (likely(args->site == NULL))
		return sm_text_bytes(PG_GETARG_TEXT_PP(n));
	return sm_site_value(args, n, PG_GETARG_DATUM(n));
}

/*
 * Says that the result will be a value of the type of argument number n, or of
 * text if that is 0.  To be called before anything is changed: raises 42804 if
 * the map's values are not of that type.
 */
static inline void
sm_args_check_result(sm_args *args, int n)
{
	if (args->site != NULL && unlikely(!OidIsValid(args->site->result)))
		sm_site_check_result(args,
							 n == 0 ? TEXTOID : sm_argument_type(args->fcinfo, n));
}

/* The value that the engine has copied out, as a datum of the type said before. */
static inline Datum
sm_args_result(sm_args *args)
{
	return likely(args->site == NULL || args->site->result_as_text) ?
		sm_call_text(args->call) :
		sm_site_result(args);
}

/* Raises 22004 if argument number n is NULL. */
static inline void
sm_check_not_null(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (unlikely(PG_ARGISNULL(n)))
		sm_null_argument(name);
}

#endif /* SM_ARGS_H */
