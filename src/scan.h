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

typedef struct sm_merge sm_merge;
typedef struct sm_rows sm_rows;
typedef struct sm_frozen sm_frozen;

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
	sm_merge *merge;   /* of the shards' orders */
	sm_rows *sorted;   /* what was collected, if there are none */
	sm_frozen *frozen; /* a snapshot */
	sm_buffer pairs;   /* as they come: what the engine copied last */
	size_t position;   /* of the next pair in there */
	sm_cursor cursor;
} sm_scan;

extern void sm_scan_start(sm_scan *scan, const sm_ref *ref, const sm_scan_spec *spec);
extern void sm_scan_freeze(sm_scan *scan);
extern bool sm_scan_next(sm_scan *scan, sm_row *row);
extern void sm_scan_rewind(sm_scan *scan, const sm_bounds *bounds, uint64 max_rows);
extern void sm_scan_end(sm_scan *scan);

/* scan.c, for the others */
#define SM_SCAN_BUFFER (64 * 1024)
extern void sm_scan_make_buffer(sm_scan *scan, size_t size);
extern size_t sm_scan_take_pair(const sm_buffer *pairs, size_t position, sm_row *row);

/* scan_merge.c */
extern sm_merge *sm_merge_start(sm_scan *scan);
extern bool sm_merge_next(sm_merge *merge, sm_row *row);
extern void sm_merge_end(sm_merge *merge);

/* scan_rows.c */
extern sm_rows *sm_rows_make(const sm_scan_spec *spec, bool bounded);
extern void sm_rows_put(sm_rows *store, const sm_row *row, bool label);
extern void sm_rows_finish(sm_rows *store);
extern bool sm_rows_next(sm_rows *store, sm_row *row, bool *label);
extern void sm_rows_rewind(sm_rows *store);
extern void sm_rows_end(sm_rows *store);

/* scan_snapshot.c */
extern sm_frozen *sm_frozen_start(sm_scan *scan);
extern bool sm_frozen_next(sm_frozen *frozen, sm_row *row);
extern void sm_frozen_rewind(sm_frozen *frozen);
extern void sm_frozen_end(sm_frozen *frozen);

#endif /* SM_SCAN_H */
