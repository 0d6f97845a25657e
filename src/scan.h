/*
 * scan.h
 *	  All pairs of a map, a buffer at a time.
 */
#ifndef SM_SCAN_H
#define SM_SCAN_H

#include "ref.h"

/* One scan.  Nothing is locked or pinned between two calls. */
typedef struct sm_scan
{
	sm_map map; /* a handle of its own */
	sm_cursor cursor;
	sm_buffer pairs; /* what the engine copied last */
	size_t position; /* of the next pair in there */
	bool done;
} sm_scan;

/* A pair, where the engine copied it to: good until the next call. */
typedef struct sm_row
{
	sm_bytes key;
	sm_bytes value;
	int64 expires; /* SM_NEVER: it does not */
} sm_row;

extern void sm_scan_start(sm_scan *scan, const sm_ref *ref);
extern bool sm_scan_next(sm_scan *scan, sm_row *row);
extern void sm_scan_restart(sm_scan *scan);
extern void sm_scan_end(sm_scan *scan);

#endif /* SM_SCAN_H */
