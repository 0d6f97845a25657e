/*
 * history.h
 *	  What actors did to a map, and whether it is as if each operation had
 *	  happened at one moment between its beginning and its end.
 */
#ifndef SM_HISTORY_H
#define SM_HISTORY_H

#include "map.h"

#define SM_HISTORY_MAX	  24
#define SM_ABSENT_VERSION (-1) /* of a key that is not there */
#define SM_UNSEEN		  5	   /* a transaction that was in progress */

typedef enum sm_kind
{
	SM_NOTHING,
	SM_GET,
	SM_PUT,
	SM_FILL, /* of a moment that sees all but SM_UNSEEN */
	SM_REPLACE,
	SM_GET_OR_PUT,
	SM_COMPARE_PAIR_AND_SWAP,
	SM_COMPARE_AND_SWAP, /* expects the version before */
	SM_DELETE,
	SM_INVALIDATE, /* by the transaction that its version says */
	SM_RANGE,
	SM_SNAPSHOT,
	SM_CLEAR,
	SM_DESTROY,
	SM_CREATE
} sm_kind;

/* Keys and versions are small numbers; a version of a key has its own value. */
typedef struct sm_event
{
	sm_kind kind;
	int actor;
	int shard;
	uint64_t map;
	int key;	 /* -1: all */
	int version; /* that it stores */
	sm_status status;
	int found; /* the version that it found */
	int begin; /* moments */
	int end;
} sm_event;

typedef struct sm_history
{
	int n;
	sm_event events[SM_HISTORY_MAX];
} sm_history;

/*
 * Is there an order for the shard's events of this key?  It was the map's, and
 * the key had this version, before them.
 */
extern bool sm_history_holds(const sm_history *history, int shard, int key,
							 uint64_t map, int version);

extern void sm_history_print(const sm_history *history);

#endif /* SM_HISTORY_H */
