/*
 * scan_rows.c
 *	  Rows collected before the first of them is given: as they came, or sorted by
 *	  their keys.
 *
 * They are kept in work_mem, and then on disk, by PostgreSQL's tuplestore and
 * tuplesort.
 */
#include "compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "scan_rows.h"
#include "types.h"

typedef enum column
{
	KEY,
	VALUE,
	EXPIRES,
	LABEL,
	COLUMNS
} column;

struct sm_rows
{
	MemoryContext context;	/* of the row that was given last, too */
	Tuplesortstate *sorted; /* one of them */
	Tuplestorestate *stored;
	TupleTableSlot *slot;
};

static TupleDesc
make_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(COLUMNS);

	TupleDescInitEntry(desc, KEY + 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, VALUE + 1, "value", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, EXPIRES + 1, "expires", INT8OID, -1, 0);
	TupleDescInitEntry(desc, LABEL + 1, "label", BOOLOID, -1, 0);
	return desc;
}

static Tuplesortstate *
begin_sort(TupleDesc desc, const sm_scan_spec *spec, bool bounded)
{
	AttrNumber key = KEY + 1;
	TypeCacheEntry *type =
		lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	Oid less = spec->descending ? type->gt_opr : type->lt_opr;
	Oid collation = InvalidOid;
	bool nulls_first = false;
	Tuplesortstate *sorted =
		tuplesort_begin_heap(desc, 1, &key, &less, &collation, &nulls_first, work_mem,
							 NULL,
							 TUPLESORT_ALLOWBOUNDED |
								 (spec->rewinds ? TUPLESORT_RANDOMACCESS : 0));

	if (bounded && spec->max_rows < INT_MAX / 2)
		tuplesort_set_bound(sorted, (int64) spec->max_rows);
	return sorted;
}

/*
 * An empty store, in memory of the current context, for the rows of a scan.  With
 * bounded, no more than max_rows of them will be asked for.
 */
sm_rows *
sm_rows_make(const sm_scan_spec *spec, bool bounded)
{
	sm_rows *store = palloc0(sizeof(sm_rows));

	store->context = CurrentMemoryContext;
	store->slot = MakeSingleTupleTableSlot(make_desc(), &TTSOpsMinimalTuple);
	if (spec->ordered)
		store->sorted = begin_sort(store->slot->tts_tupleDescriptor, spec, bounded);
	else
	{
		store->stored = tuplestore_begin_heap(false, false, work_mem);
		tuplestore_set_eflags(store->stored, spec->rewinds ? EXEC_FLAG_REWIND : 0);
	}
	return store;
}

static sm_bytes
take_bytea(Datum datum)
{
	struct varlena *varlena = (struct varlena *) DatumGetPointer(datum);

	return (sm_bytes) {VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena)};
}

/* Adds a row, with a label of the caller's. */
void
sm_rows_put(sm_rows *store, const sm_row *row, bool label)
{
	TupleTableSlot *slot = store->slot;

	ExecClearTuple(slot);
	slot->tts_values[KEY] = sm_varlena_datum(row->key);
	slot->tts_values[VALUE] = sm_varlena_datum(row->value);
	slot->tts_values[EXPIRES] = Int64GetDatum(row->expires);
	slot->tts_values[LABEL] = BoolGetDatum(label);
	memset(slot->tts_isnull, false, COLUMNS * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	if (store->sorted != NULL)
		tuplesort_puttupleslot(store->sorted, slot);
	else
		tuplestore_puttupleslot(store->stored, slot);
	pfree(DatumGetPointer(slot->tts_values[KEY]));
	pfree(DatumGetPointer(slot->tts_values[VALUE]));
}

/* No more rows will come. */
void
sm_rows_finish(sm_rows *store)
{
	ExecClearTuple(store->slot);
	if (store->sorted != NULL)
		tuplesort_performsort(store->sorted);
}

/* The next row and its label; false when there is none. */
bool
sm_rows_next(sm_rows *store, sm_row *row, bool *label)
{
	TupleTableSlot *slot = store->slot;
	MemoryContext old = MemoryContextSwitchTo(store->context);
	bool found = store->sorted != NULL ?
		tuplesort_gettupleslot(store->sorted, true, false, slot, NULL) :
		tuplestore_gettupleslot(store->stored, true, false, slot);

	MemoryContextSwitchTo(old);
	if (!found)
		return false;
	slot_getallattrs(slot);
	row->key = take_bytea(slot->tts_values[KEY]);
	row->value = take_bytea(slot->tts_values[VALUE]);
	row->expires = DatumGetInt64(slot->tts_values[EXPIRES]);
	*label = DatumGetBool(slot->tts_values[LABEL]);
	return true;
}

/* From the first row again; the scan's spec must have said that this may come. */
void
sm_rows_rewind(sm_rows *store)
{
	ExecClearTuple(store->slot);
	if (store->sorted != NULL)
		tuplesort_rescan(store->sorted);
	else
		tuplestore_rescan(store->stored);
}

void
sm_rows_end(sm_rows *store)
{
	TupleDesc desc = store->slot->tts_tupleDescriptor;

	ExecDropSingleTupleTableSlot(store->slot);
	if (store->sorted != NULL)
		tuplesort_end(store->sorted);
	else
		tuplestore_end(store->stored);
	FreeTupleDesc(desc);
	pfree(store);
}
