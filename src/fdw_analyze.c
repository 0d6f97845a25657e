/*
 * fdw_analyze.c
 *	  ANALYZE of a map: a random sample of its pairs.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "fdw.h"

/* A row of the sample; what it needs on its way is scratch's. */
static HeapTuple
form_tuple(Relation relation, const sm_ref *ref, const sm_row *row,
		   MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	TupleDesc desc = RelationGetDescr(relation);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	HeapTuple tuple;

	memset(nulls, true, desc->natts * sizeof(bool));
	sm_fill_row(&ref->types, desc, row, true, ref->has_ttl, values, nulls);
	MemoryContextSwitchTo(old);
	tuple = heap_form_tuple(desc, values, nulls);
	MemoryContextReset(scratch);
	return tuple;
}

/* An AcquireSampleRowsFunc: a random sample of all pairs (Vitter's algorithm S). */
static int
acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	sm_ref *ref = sm_ref_get(RelationGetRelid(relation), 0);
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "syncmap sample",
							  ALLOCSET_DEFAULT_SIZES);
	sm_scan_spec all = {.max_rows = SM_ALL_ROWS};
	sm_scan scan;
	sm_row row;
	ReservoirStateData reservoir;
	double seen = 0;
	double to_skip = -1;
	int nrows = 0;

	reservoir_init_selection_state(&reservoir, targrows);
	sm_scan_start(&scan, ref, &all);
	for (; sm_scan_next(&scan, &row); seen++)
	{
		int place = nrows;

		if (nrows < targrows)
			nrows++;
		else
		{
			if (to_skip < 0)
				to_skip = reservoir_get_next_S(&reservoir, seen, targrows);
			if (to_skip-- > 0)
				continue;
			place = (int) (targrows * sampler_random_fract(&reservoir.randstate));
			heap_freetuple(rows[place]);
		}
		rows[place] = form_tuple(relation, ref, &row, scratch);
	}
	sm_scan_end(&scan);
	MemoryContextDelete(scratch);

	*totalrows = seen;
	*totaldeadrows = 0;
	return nrows;
}

/* AnalyzeForeignTable. */
bool
sm_fdw_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	sm_ref *ref = sm_ref_get(RelationGetRelid(relation), 0);

	*func = acquire_sample_rows;
	*totalpages = (BlockNumber) (sm_map_pages(&ref->map) * SM_PAGE_SIZE / BLCKSZ) + 1;
	return true;
}
