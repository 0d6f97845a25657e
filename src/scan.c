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
#include "scan.h"

/*
 * Starts a scan, whose memory is the current context's.  What the bounds point at
 * must stay.
 */
void
sm_scan_start(sm_scan *scan, const sm_ref *ref, const sm_scan_spec *spec)
{
	*scan = (sm_scan) {.relid = ref->relid,
					   .map = ref->map,
					   .spec = *spec,
					   .context = CurrentMemoryContext,
					   .done = !sm_guc_enabled};
	scan->map.reads = (sm_reads) {0};
}

/* Gives back what a scan holds. */
void
sm_scan_end(sm_scan *scan)
{
	if (scan->merge != NULL)
		sm_merge_end(scan->merge);
	if (scan->sorted != NULL)
		sm_rows_end(scan->sorted);
	if (scan->frozen != NULL)
		sm_frozen_end(scan->frozen);
	if (scan->pairs.data != NULL)
		pfree(scan->pairs.data);
}

/* Makes the buffer that large.  Values may be larger than palloc allows. */
void
sm_scan_make_buffer(sm_scan *scan, size_t size)
{
	if (scan->pairs.data != NULL)
		pfree(scan->pairs.data);
	scan->pairs.data = MemoryContextAllocHuge(scan->context, size);
	scan->pairs.size = size;
}

/* Fills the buffer again.  False if nothing is left. */
static bool
next_pairs(sm_scan *scan)
{
	scan->position = 0;
	if (scan->pairs.data == NULL)
		sm_scan_make_buffer(scan, SM_SCAN_BUFFER);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		switch (sm_range(&scan->map, &scan->cursor, &scan->pairs))
		{
			case SM_FOUND:
				if (scan->pairs.len > 0)
					return true;
				break;
			case SM_TOO_SMALL:
				sm_scan_make_buffer(scan, scan->pairs.len);
				break;
			default:
				/* SM_ABSENT, or a map that is gone */
				scan->pairs.len = 0;
				return false;
		}
	}
}

/* Reads the pair at a position.  Returns the position of the next one. */
size_t
sm_scan_take_pair(const sm_buffer *pairs, size_t position, sm_row *row)
{
	const char *at = (const char *) pairs->data + position;
	const sm_pair *pair = (const sm_pair *) at;

	row->expires = pair->expires;
	row->key = (sm_bytes) {at + sizeof(*pair), pair->key_len};
	row->value =
		(sm_bytes) {at + sizeof(*pair) + sm_pad(pair->key_len), pair->value_len};
	return position + sm_pair_size(pair);
}

/* The next pair in the bounds as they come; false when there is none. */
static bool
next_as_it_comes(sm_scan *scan, sm_row *row)
{
	do
	{
		if (scan->position >= scan->pairs.len && !next_pairs(scan))
			return false;
		scan->position = sm_scan_take_pair(&scan->pairs, scan->position, row);
	} while (!sm_bounds_contain(&scan->spec.bounds, row->key));
	return true;
}

/* Has the map an order?  What is left to do for it is done now. */
static bool
is_ordered(sm_scan *scan)
{
	sm_status status = SM_FOUND;

	if (!sm_map_is_ordered(&scan->map))
		return false;
	while (status == SM_FOUND)
	{
		CHECK_FOR_INTERRUPTS();
		status = sm_order_step(&scan->map);
	}
	return status == SM_ABSENT;
}

/* Collects the pairs of a scan, and sorts them. */
static sm_rows *
sort(sm_scan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	sm_rows *store = sm_rows_make(&scan->spec, true);
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
			scan->merge = sm_merge_start(scan);
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
sm_scan_freeze(sm_scan *scan)
{
	if (scan->frozen == NULL && !scan->done)
		scan->frozen = sm_frozen_start(scan);
}

static bool
next_of_snapshot(sm_scan *scan, sm_row *row)
{
	sm_scan_freeze(scan);
	do
	{
		if (!sm_frozen_next(scan->frozen, row))
			return false;
	} while (scan->spec.rebounds && !sm_bounds_contain(&scan->spec.bounds, row->key));
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

	if (scan->done || scan->rows == scan->spec.max_rows)
		return false;
	if (scan->spec.consistent)
		found = next_of_snapshot(scan, row);
	else if (scan->spec.ordered)
		found = next_in_order(scan, row);
	else
		found = next_as_it_comes(scan, row);
	scan->done = !found;
	scan->rows++;
	return found;
}

/* Starts a consistent scan again, of the same moment. */
void
sm_scan_rewind(sm_scan *scan, const sm_bounds *bounds, uint64 max_rows)
{
	scan->spec.bounds = *bounds;
	scan->spec.max_rows = max_rows;
	scan->rows = 0;
	scan->done = !sm_guc_enabled;
	if (scan->frozen != NULL)
		sm_frozen_rewind(scan->frozen);
}
