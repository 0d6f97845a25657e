/*
 * scan.h
 *	  The pairs of a map, or of a range of its keys.
 */
#ifndef SM_SCAN_H
#define SM_SCAN_H

#include "bounds.h"
#include "ref.h"

/* What a scan is to give.  Zeroed, with max_rows SM_ALL_ROWS: all pairs, as they come. */
typedef struct sm_scan_spec
{
	sm_bounds bounds;
	bool ordered; /* in the order of keys */
	bool descending;
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

typedef struct sm_merge sm_merge;
typedef struct sm_sort sm_sort;

/* One scan.  Nothing of the map is locked or pinned between two calls. */
typedef struct sm_scan
{
	Oid relid;
	sm_map map; /* a handle of its own */
	sm_scan_spec spec;
	MemoryContext context;
	uint64 rows; /* given so far */
	bool done;

	/* one of these, made when it is first needed */
	sm_merge *merge; /* of the shards' orders */
	sm_sort *sort;	 /* of what was collected */
	sm_buffer pairs; /* as they come: what the engine copied last */
	size_t position; /* of the next pair in there */
	sm_cursor cursor;
} sm_scan;

extern void sm_scan_start(sm_scan *scan, const sm_ref *ref, const sm_scan_spec *spec);
extern bool sm_scan_next(sm_scan *scan, sm_row *row);
extern void sm_scan_end(sm_scan *scan);

/* scan.c, for the others */
extern bool sm_scan_collect(sm_scan *scan, sm_row *row);
extern size_t sm_scan_take_pair(const sm_buffer *pairs, size_t position, sm_row *row);

/* scan_merge.c */
extern sm_merge *sm_merge_start(sm_scan *scan);
extern bool sm_merge_next(sm_merge *merge, sm_row *row);
extern void sm_merge_end(sm_merge *merge);

/* scan_sort.c */
extern sm_sort *sm_sort_start(sm_scan *scan);
extern bool sm_sort_next(sm_sort *sort, sm_row *row);
extern void sm_sort_end(sm_sort *sort);

#endif /* SM_SCAN_H */
