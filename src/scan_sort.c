/*
 * scan_sort.c
 *	  Pairs in the order of keys, of a map that does not keep them so: collected and
 *	  sorted, in work_mem and then on disk, by PostgreSQL's tuplesort.
 */
#include "compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "scan.h"

typedef enum column
{
	KEY,
	VALUE,
	EXPIRES,
	COLUMNS
} column;

struct sm_sort
{
	Tuplesortstate *sorted;
	TupleTableSlot *slot;
};

static TupleDesc
make_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(COLUMNS);

	TupleDescInitEntry(desc, KEY + 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, VALUE + 1, "value", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, EXPIRES + 1, "expires", INT8OID, -1, 0);
	return desc;
}

static Datum
make_bytea(sm_bytes bytes)
{
	struct varlena *varlena = palloc(VARHDRSZ + bytes.len);

	SET_VARSIZE(varlena, VARHDRSZ + bytes.len);
	memcpy(VARDATA(varlena), bytes.data, bytes.len);
	return PointerGetDatum(varlena);
}

static sm_bytes
take_bytea(Datum datum)
{
	struct varlena *varlena = (struct varlena *) DatumGetPointer(datum);

	return (sm_bytes) {VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena)};
}

static void
put_row(sm_sort *sort, const sm_row *row)
{
	TupleTableSlot *slot = sort->slot;

	ExecClearTuple(slot);
	slot->tts_values[KEY] = make_bytea(row->key);
	slot->tts_values[VALUE] = make_bytea(row->value);
	slot->tts_values[EXPIRES] = Int64GetDatum(row->expires);
	memset(slot->tts_isnull, false, COLUMNS * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort->sorted, slot);
	pfree(DatumGetPointer(slot->tts_values[KEY]));
	pfree(DatumGetPointer(slot->tts_values[VALUE]));
}

static Tuplesortstate *
begin(TupleDesc desc, const sm_scan *scan)
{
	AttrNumber key = KEY + 1;
	TypeCacheEntry *type =
		lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	Oid less = scan->spec.descending ? type->gt_opr : type->lt_opr;
	Oid collation = InvalidOid;
	bool nulls_first = false;
	Tuplesortstate *sorted =
		tuplesort_begin_heap(desc, 1, &key, &less, &collation, &nulls_first, work_mem,
							 NULL, TUPLESORT_ALLOWBOUNDED);

	if (scan->spec.max_rows < INT_MAX / 2)
		tuplesort_set_bound(sorted, (int64) scan->spec.max_rows);
	return sorted;
}

/* Collects the pairs of a scan, and sorts them. */
sm_sort *
sm_sort_start(sm_scan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);
	sm_sort *sort = palloc(sizeof(sm_sort));
	sm_row row;

	sort->slot = MakeSingleTupleTableSlot(make_desc(), &TTSOpsMinimalTuple);
	sort->sorted = begin(sort->slot->tts_tupleDescriptor, scan);
	while (sm_scan_collect(scan, &row))
		put_row(sort, &row);
	tuplesort_performsort(sort->sorted);
	MemoryContextSwitchTo(old);
	return sort;
}

/* The next pair; false when there is none. */
bool
sm_sort_next(sm_sort *sort, sm_row *row)
{
	TupleTableSlot *slot = sort->slot;

	if (!tuplesort_gettupleslot(sort->sorted, true, false, slot, NULL))
		return false;
	slot_getallattrs(slot);
	row->key = take_bytea(slot->tts_values[KEY]);
	row->value = take_bytea(slot->tts_values[VALUE]);
	row->expires = DatumGetInt64(slot->tts_values[EXPIRES]);
	return true;
}

void
sm_sort_end(sm_sort *sort)
{
	ExecDropSingleTupleTableSlot(sort->slot);
	tuplesort_end(sort->sorted);
	pfree(sort);
}
