/*
 * scan_source.h
 *	  What a scan reads, and the pairs that it copies out.
 */
#ifndef SM_SCAN_SOURCE_H
#define SM_SCAN_SOURCE_H

#include "utils/memutils.h"

#include "bounds.h"
#include "ref.h"

/* What a scan is to give.  Zeroed, with max_rows SM_ALL_ROWS: all pairs, as they come. */
typedef struct sm_scan_spec
{
	sm_bounds bounds;
	bool ordered; /* in the order of keys */
	bool descending;
	bool consistent; /* as they were at one moment, also after sm_scan_rewind... */
	bool rewinds;	 /* ...which may come... */
	bool rebounds;	 /* ...with other bounds */
	uint64 max_rows;
} sm_scan_spec;

#define SM_ALL_ROWS PG_UINT64_MAX

/* A pair, where it was copied to: good until the next call. */
typedef struct sm_row
{
	sm_bytes key;
	sm_bytes value;
	int64 expires; /* SM_NEVER: it does not */
} sm_row;

/* What each kind of scan reads. */
typedef struct sm_source
{
	Oid relid;
	sm_map map; /* a handle of its own */
	sm_scan_spec spec;
	MemoryContext context; /* of all that the scan needs */
} sm_source;

/* Makes a buffer that large.  Values may be larger than palloc allows. */
static inline void
sm_make_buffer(sm_buffer *buffer, MemoryContext context, size_t size)
{
	if (buffer->data != NULL)
		pfree(buffer->data);
	buffer->data = NULL;
	buffer->data = MemoryContextAllocHuge(context, size);
	buffer->size = size;
}

/* Reads the pair at a position of a buffer.  Returns the position of the next one. */
static inline size_t
sm_take_pair(const sm_buffer *pairs, size_t position, sm_row *row)
{
	return sm_pair_read(pairs, position, &row->key, &row->value, &row->expires);
}

#endif /* SM_SCAN_SOURCE_H */
