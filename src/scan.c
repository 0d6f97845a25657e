/*
 * scan.c
 *	  The pairs of a map, or of a range of its keys.
 *
 * Pairs come as the engine has them, a buffer at a time; or in the order of keys,
 * merged from the shards' orders if the map has them (scan_merge.c), and sorted
 * otherwise (scan_rows.c); or as they were at one moment (scan_snapshot.c).  Nothing
 * is locked or pinned in between, so that a query may take as long as it likes, or
 * never come back.
 */
#include "compat.h"

#include "utils/memutils.h"

#include "guc.h"
#include "noted.h"
#include "scan.h"

/* Of the pairs that come in no order, in bytes. */
#define BUFFER_SIZE (64 * 1024)

/*
 * Starts a scan, whose memory is the current context's.  What the bounds point at
 * must stay.
 */
void
sm_scan_start(sm_scan *scan, const sm_ref *ref, const sm_scan_spec *spec)
{
	*scan = (sm_scan) {.source = {.relid = ref->relid,
								  .map = ref->map,
								  .spec = *spec,
								  .context = CurrentMemoryContext},
					   .done = !sm_guc_enabled};
	scan->source.map.reads = (sm_reads) {0};
}

/* Gives back what a scan holds. */
void
sm_scan_end(sm_scan *scan)
{
	if (scan->merge != NULL)
		sm_merge_end(scan->merge);
	if (scan->sorted != NULL)
		sm_rows_end(scan->sorted);
	if (scan->snapshot != NULL)
		sm_snapshot_scan_end(scan->snapshot);
	if (scan->pairs.data != NULL)
		pfree(scan->pairs.data);
}

/* Fills the buffer again.  False if nothing is left. */
static bool
next_pairs(sm_scan *scan)
{
	scan->position = 0;
	if (scan->pairs.data == NULL)
		sm_make_buffer(&scan->pairs, scan->source.context, BUFFER_SIZE);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		switch (sm_range(&scan->source.map, &scan->cursor, &scan->pairs))
		{
			case SM_FOUND:
				if (scan->pairs.len > 0)
					return true;
				break;
			case SM_TOO_SMALL:
				sm_make_buffer(&scan->pairs, scan->source.context, scan->pairs.len);
				break;
			default:
				/* SM_ABSENT, or a map that is gone */
				scan->pairs.len = 0;
				return false;
		}
	}
}

/* The next pair in the bounds as they come; false when there is none. */
static bool
next_as_it_comes(sm_scan *scan, sm_row *row)
{
	do
	{
		if (scan->position >= scan->pairs.len && !next_pairs(scan))
			return false;
		scan->position = sm_take_pair(&scan->pairs, scan->position, row);
	} while (!sm_bounds_contain(&scan->source.spec.bounds, row->key));
	return true;
}

/* Has the map an order?  What is left to do for it is done now. */
static bool
is_ordered(sm_scan *scan)
{
	sm_status status = SM_FOUND;

	if (!sm_map_is_ordered(&scan->source.map))
		return false;
	while (status == SM_FOUND)
	{
		CHECK_FOR_INTERRUPTS();
		status = sm_order_step(&scan->source.map);
	}
	return status == SM_ABSENT;
}

/* Collects the pairs of a scan, and sorts them. */
static sm_rows *
sort(sm_scan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->source.context);
	sm_rows *store = sm_rows_make(&scan->source.spec, true);
	sm_row row;

	while (next_as_it_comes(scan, &row))
		sm_rows_put(store, &row, false);
	sm_rows_finish(store);
	MemoryContextSwitchTo(old);
	return store;
}

static bool
next_in_order(sm_scan *scan, sm_row *row)
{
	bool label;

	if (scan->merge == NULL && scan->sorted == NULL)
	{
		if (is_ordered(scan))
			scan->merge = sm_merge_start(&scan->source);
		else
			scan->sorted = sort(scan);
	}
	return scan->merge != NULL ? sm_merge_next(scan->merge, row) :
								 sm_rows_next(scan->sorted, row, &label);
}

/*
 * Takes the snapshot of a consistent scan, which the first row would do otherwise.
 * Errors: 72000 it was lost, see scan_snapshot.c.
 */
void
sm_scan_take_snapshot(sm_scan *scan)
{
	if (scan->snapshot == NULL && !scan->done)
		scan->snapshot = sm_snapshot_scan_start(&scan->source);
}

static bool
next_of_snapshot(sm_scan *scan, sm_row *row)
{
	sm_scan_take_snapshot(scan);
	do
	{
		if (!sm_snapshot_scan_next(scan->snapshot, row))
			return false;
	} while (scan->source.spec.rebounds &&
			 !sm_bounds_contain(&scan->source.spec.bounds, row->key));
	return true;
}

/*
 * The next pair; false when there is none.  Errors: 72000 a snapshot was lost, see
 * scan_snapshot.c.
 */
bool
sm_scan_next(sm_scan *scan, sm_row *row)
{
	bool found;

	if (scan->done || scan->rows == scan->source.spec.max_rows)
		return false;
	do
	{
		if (scan->source.spec.consistent)
			found = next_of_snapshot(scan, row);
		else if (scan->source.spec.ordered)
			found = next_in_order(scan, row);
		else
			found = next_as_it_comes(scan, row);
	} while (found && sm_is_noted(scan->source.relid, row->key));
	scan->done = !found;
	scan->rows++;
	return found;
}

/* Starts a consistent scan again, of the same moment. */
void
sm_scan_rewind(sm_scan *scan, const sm_bounds *bounds, uint64 max_rows)
{
	scan->source.spec.bounds = *bounds;
	scan->source.spec.max_rows = max_rows;
	scan->rows = 0;
	scan->done = !sm_guc_enabled;
	if (scan->snapshot != NULL)
		sm_snapshot_scan_rewind(scan->snapshot);
}
