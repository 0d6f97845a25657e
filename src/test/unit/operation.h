/*
 * operation.h
 *	  One operation on one key: what the engine does, and what it should.
 */
#ifndef SM_OPERATION_H
#define SM_OPERATION_H

#include "reference.h"

typedef enum sm_op_kind
{
	OP_GET,
	OP_CONTAINS,
	OP_PUT,
	OP_GET_OR_PUT,
	OP_SWAP,
	OP_COMPARE_AND_SWAP,
	OP_DELETE,
	OP_GET_AND_DELETE,
	OP_COMPARE_AND_DELETE,
	OP_UPDATE,
	OP_REPLACE,
	OP_COMPARE_PAIR_AND_SWAP,
	OP_COMPARE_PAIR_AND_DELETE,
	/* these are of the whole map, and not done here */
	OP_CLEAR,
	OP_COUNT,
	OP_RECLAIM,
	OP_RANGE,
	OP_RANGE_ORDERED,
	OP_SET_ORDERED,
	OP_SNAPSHOT,
	OP_KINDS
} sm_op_kind;

extern const char *const sm_op_names[OP_KINDS];

/* sm_update's function: what it was given, and what it answers. */
typedef struct sm_updater
{
	int calls;
	bool old_given;
	size_t old_len;
	char old[SM_MAX_UPDATE];
	int answer; /* its length, or -1 */
	char bytes[SM_MAX_UPDATE];
} sm_updater;

typedef struct sm_operation
{
	sm_op_kind kind;
	uint32_t number; /* of the key */
	sm_bytes key;
	sm_bytes value;
	sm_bytes expected;
	int64_t expires;		  /* of what it stores, SM_KEEP included */
	int64_t expected_expires; /* by comparisons of pairs */
	int64_t old_expires;	  /* what the key has that is there */
	size_t room;			  /* in the buffer for the result */
	sm_updater updater;
} sm_operation;

typedef struct sm_result
{
	sm_status status;
	size_t len; /* with SM_FOUND and SM_TOO_SMALL, where there is a buffer */
	const void *bytes;
} sm_result;

typedef enum sm_change
{
	CHANGE_NOTHING,
	CHANGE_STORE,
	CHANGE_REMOVE
} sm_change;

/* Does it; what it copies goes to out, which has op->room bytes. */
extern sm_result sm_operation_execute(sm_operation *op, sm_map *map, void *out);

/*
 * What it must answer, and what it changes, where the key is there with the
 * value old or is not there.  stored is the value that is then there; when that
 * expires, if it was stored, says sm_operation_expires.
 */
extern sm_change sm_operation_predict(const sm_operation *op, bool there, sm_bytes old,
									  sm_result *answer, sm_bytes *stored);

extern int64_t sm_operation_expires(const sm_operation *op, bool there);

/* Makes that change to a naive map. */
extern void sm_operation_apply(sm_reference *reference, sm_bytes key, sm_change change,
							   sm_bytes value);

/* Checks what sm_update gave to its function. */
extern void sm_operation_check_updater(const sm_updater *u, bool there, sm_bytes old);

extern bool sm_bytes_are(sm_bytes a, const void *bytes, size_t len);

#endif /* SM_OPERATION_H */
