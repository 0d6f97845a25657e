/*
 * row.c
 *	  The value of a map that has several columns for it, or none: a row.
 *
 * It is one entry, with the bytes of PostgreSQL's MinimalTuple, in which the columns of the
 * key and of the expiry are null.  To read it none of its columns is converted; those that
 * are no toast pointers any more stand in it as they came.
 *
 * As a value of SQL it is a row of the map's own row type, with all columns.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "expiry.h"
#include "row.h"

/* What of a MinimalTuple is stored starts there: its length is that of the value. */
#define START MINIMAL_TUPLE_DATA_OFFSET

static const char *
map_name(const sm_types *types)
{
	return get_rel_name(get_typ_typrelid(types->value_type));
}

/* Raises 23502 if a column of a row's value is null and may not be. */
void
sm_row_check_nulls(const sm_types *types, TupleDesc desc, const bool *nulls)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (nulls[i] && att->attnotnull && sm_is_value(types, att))
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of map \"%s\"",
							NameStr(att->attname), map_name(types)),
					 errhint("The column is NOT NULL.")));
	}
}

/*
 * A datum as it stands in a row, without toast, and short if its type can be: equal rows are
 * the same bytes, whatever a column's storage is, and wherever the datum comes from.
 */
static Datum
plain_datum(Form_pg_attribute att, Datum datum)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);
	struct varlena *copy;
	Size len;

	/* a tuple makes all others short */
	if (att->attstorage != TYPSTORAGE_PLAIN || !VARATT_CAN_MAKE_SHORT(value) ||
		get_typstorage(att->atttypid) == TYPSTORAGE_PLAIN)
		return PointerGetDatum(value);
	len = VARATT_CONVERTED_SHORT_SIZE(value);
	copy = palloc(len);
	SET_VARSIZE_SHORT(copy, len);
	memcpy(VARDATA_SHORT(copy), VARDATA(value), len - VARHDRSZ_SHORT);
	return PointerGetDatum(copy);
}

/* The bytes of a row's value, in memory of the current context. */
sm_bytes
sm_row_pack(const sm_types *types, TupleDesc desc, const Datum *values,
			const bool *nulls)
{
	Datum *datums = palloc(desc->natts * sizeof(Datum));
	bool *absent = palloc(desc->natts * sizeof(bool));
	MinimalTuple tuple;
	size_t len;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		datums[i] = (Datum) 0;
		absent[i] = nulls[i] || !sm_is_value(types, att);
		if (absent[i])
			continue;
		datums[i] = values[i];
		if (att->attlen == -1)
			datums[i] = plain_datum(att, values[i]);
	}
	tuple = sm_form_minimal_tuple(desc, datums, absent);
	len = tuple->t_len - START;
	if (sm_has_layout(types))
	{
		tuple = repalloc(tuple, tuple->t_len + sizeof(types->layout));
		memcpy((char *) tuple + START + len, types->layout, sizeof(types->layout));
		len += sizeof(types->layout);
	}
	return (sm_bytes) {(char *) tuple + START, len};
}

/*
 * The columns of a row by the bytes of its value, which are copied: the others are null.
 * Errors: 42804, see sm_check_layout.
 */
void
sm_row_unpack(const sm_types *types, TupleDesc desc, sm_bytes bytes, Datum *values,
			  bool *nulls)
{
	size_t len = sm_check_layout(types, bytes.data, bytes.len);
	MinimalTuple copy;
	HeapTupleData tuple = {0};

	if (len < SizeofMinimalTupleHeader - START)
		elog(ERROR, "a value of %zu bytes is no row", len);
	copy = palloc0(START + len);
	memcpy((char *) copy + START, bytes.data, len);
	copy->t_len = (uint32) (START + len);
	tuple.t_len = copy->t_len + MINIMAL_TUPLE_OFFSET;
	tuple.t_data = (HeapTupleHeader) ((char *) copy - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&tuple, desc, values, nulls);
}

/* A whole row as a datum of the map's row type, in memory of the current context. */
Datum
sm_row_datum(const sm_types *types, sm_bytes key, sm_bytes bytes, int64 expires,
			 bool has_ttl)
{
	TupleDesc desc = sm_row_desc(types);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	AttrNumber expires_column = types->expires_column;
	Datum result;

	sm_row_unpack(types, desc, bytes, values, nulls);
	values[types->key_column - 1] = sm_key_datum(types, key);
	nulls[types->key_column - 1] = false;
	if (expires_column != InvalidAttrNumber)
		values[expires_column - 1] =
			sm_expiry_datum(types, expires, has_ttl, &nulls[expires_column - 1]);
	result = heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);
	ReleaseTupleDesc(desc);
	return result;
}

/* Raises 22023 unless a row's own key is null, or the one that it is stored by. */
static void
check_key(const sm_types *types, TupleDesc desc, Datum datum, sm_bytes key)
{
	uint64 room;
	sm_bytes own = sm_key_bytes(types->key_type, datum, &room);
	Form_pg_attribute att = TupleDescAttr(desc, types->key_column - 1);

	if (own.len != key.len || memcmp(own.data, key.data, key.len) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the row has another key than the one that is given"),
				 errhint("Give \"%s\" of map \"%s\" that key in the row, or NULL.",
						 NameStr(att->attname), map_name(types))));
}

/*
 * The bytes of a row's value, from a datum of the map's row type, for a key unless
 * that has no data; *expires is when
 * the row says that it expires, 0 if it does not say it.  Errors: 22023 the row has another
 * key; 23502 it has a null where there may be none; 22008, see sm_expiry_from.
 */
sm_bytes
sm_row_argument(const sm_types *types, Datum composite, sm_bytes key, int64 *expires)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(composite);
	TupleDesc desc = sm_row_desc(types);
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	AttrNumber expires_column = types->expires_column;
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),
						   .t_data = header};
	sm_bytes bytes;

	heap_deform_tuple(&tuple, desc, values, nulls);
	if (!nulls[types->key_column - 1] && key.data != NULL)
		check_key(types, desc, values[types->key_column - 1], key);
	*expires = 0;
	if (expires_column != InvalidAttrNumber && !nulls[expires_column - 1])
		*expires = sm_expiry_from(types, values[expires_column - 1]);
	sm_row_check_nulls(types, desc, nulls);
	bytes = sm_row_pack(types, desc, values, nulls);
	ReleaseTupleDesc(desc);
	return bytes;
}

/* The bytes of the value of a row that comes without a key. */
sm_bytes
sm_row_of(const sm_types *types, Datum composite)
{
	int64 expires;

	return sm_row_argument(types, composite, (sm_bytes) {NULL, 0}, &expires);
}
