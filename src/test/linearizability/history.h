/*
 * history.h
 *	  What clients asked of a map and what it answered: one line for each operation.
 *
 * A line of a history is
 *
 *		client key kind argument expected outcome value begin end
 *
 * A value is a number, or "-" for no value.  The outcome is "yes" or "no" where the
 * function returns a boolean or has to say whether it found something, "done" where it
 * has not, and "unknown" where the statement was cancelled: then it may have been done
 * between begin and end, or not at all.  Times are nanoseconds.  A line
 * "history NUMBER strong" or "history NUMBER weak" begins another history, whose keys
 * are not there; in a weak one, a key may vanish at any time.  A history ends with "end".
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum kind
{
	GET,
	PUT,			  /* yes: the key is new */
	DELETE,			  /* yes: it was there */
	GET_OR_PUT,		  /* value: the actual one; yes: it was there */
	GET_AND_DELETE,	  /* value: the one before */
	SWAP,			  /* value: the one before */
	COMPARE_AND_SWAP, /* yes: it was the expected one */
	COMPARE_AND_DELETE,
	INCREMENT, /* argument: by how much; value: the sum */
	UPDATE,	   /* yes: it was there, and is the argument now */
	CLEAR,	   /* of all keys; its own is -1 */
	KINDS
} kind;

#define KIND_NAMES                                                                   \
	{                                                                                \
		"get", "put", "delete", "get_or_put", "get_and_delete", "swap",              \
			"compare_and_swap", "compare_and_delete", "increment", "update", "clear" \
	}

typedef enum outcome
{
	NO,
	YES,
	DONE,
	UNKNOWN,
	OUTCOMES
} outcome;

#define OUTCOME_NAMES                  \
	{                                  \
		"no", "yes", "done", "unknown" \
	}

/* No value.  All others are greater. */
#define NONE INT64_MIN

typedef struct operation
{
	int client;
	int key;
	kind kind;
	outcome outcome;
	int64_t argument;
	int64_t expected;
	int64_t value;
	uint64_t begin;
	uint64_t end;
} operation;

#endif /* HISTORY_H */
