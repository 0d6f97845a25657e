/*
 * scan.h
 *	  The pairs of a map, or of a range of its keys.
 */
#ifndef SM_SCAN_H
#define SM_SCAN_H

#include "scan_merge.h"
#include "scan_rows.h"
#include "scan_snapshot.h"
#include "scan_source.h"

/* One scan.  Nothing of the map is locked or pinned between two calls. */
typedef struct sm_scan
{
	sm_source source;
	uint64 rows; /* given so far */
	bool done;

	/* one of these, made when it is first needed */
	sm_merge *merge; /* of the shards' orders */
	sm_rows *sorted; /* what was collected, if there are none */
	sm_snapshot_scan *snapshot;
	sm_buffer pairs; /* as they come: what the engine copied last */
	size_t position; /* of the next pair in there */
	sm_cursor cursor;
} sm_scan;

extern void sm_scan_start(sm_scan *scan, const sm_ref *ref, const sm_scan_spec *spec);
extern void sm_scan_take_snapshot(sm_scan *scan);
extern bool sm_scan_next(sm_scan *scan, sm_row *row);
extern void sm_scan_rewind(sm_scan *scan, const sm_bounds *bounds, uint64 max_rows);
extern void sm_scan_end(sm_scan *scan);

#endif /* SM_SCAN_H */
