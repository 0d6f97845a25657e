/*
 * types.c
 *	  Keys and values as bytes.
 *
 * The bytes of a type stay what they are as long as it has its OID, but for composite
 * types: columns.c.
 */
#include "compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "row.h"
#include "types.h"

/* ---- keys ---- */

/* May a key be of that type? */
bool
sm_is_key_type(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return false;
	}
}

/* The type whose operators compare keys of a type: varchar has none. */
Oid
sm_key_compared_as(Oid type)
{
	return type == VARCHAROID ? TEXTOID : type;
}

/* Are keys of a type strings, which have a collation? */
bool
sm_is_string_key(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID;
}

/*
 * The rest of sm_key_bytes.  Dates and times are numbers, whose least and greatest are the
 * infinities.  A char(n) is without its trailing blanks, which do not count when it is
 * compared, so that equal means equal bytes.
 */
sm_bytes
sm_key_bytes_of_others(Oid type, Datum key, uint64 *room)
{
	sm_bytes bytes;

	switch (type)
	{
		case INT2OID:
		{
			uint16 bits = pg_hton16((uint16) ((uint16) DatumGetInt16(key) ^ 0x8000U));

			memcpy(room, &bits, sizeof(bits));
			return (sm_bytes) {room, sizeof(bits)};
		}
		case DATEOID:
			return sm_key_int32(DatumGetInt32(key), room);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return sm_key_int64(DatumGetInt64(key), room);
		case BPCHAROID:
			bytes = sm_key_varlena(key);
			while (bytes.len > 0 && ((const char *) bytes.data)[bytes.len - 1] == ' ')
				bytes.len--;
			return bytes;
		default:
			return sm_key_varlena(key);
	}
}

/* Bytes as a text, a bytea, or whatever else is of any length. */
Datum
sm_varlena_datum(sm_bytes bytes)
{
	struct varlena *varlena = palloc(VARHDRSZ + bytes.len);

	SET_VARSIZE(varlena, VARHDRSZ + bytes.len);
	memcpy(VARDATA(varlena), bytes.data, bytes.len);
	return PointerGetDatum(varlena);
}

/* A char(n) with its blanks again. */
static Datum
padded_datum(sm_bytes key, int32 typmod)
{
	size_t blanks = 0;
	struct varlena *varlena;

	if (typmod >= (int32) VARHDRSZ)
	{
		size_t wanted = (size_t) typmod - VARHDRSZ;
		size_t chars = (size_t) pg_mbstrlen_with_len(key.data, (int) key.len);

		blanks = wanted > chars ? wanted - chars : 0;
	}
	varlena = palloc(VARHDRSZ + key.len + blanks);
	SET_VARSIZE(varlena, VARHDRSZ + key.len + blanks);
	memcpy(VARDATA(varlena), key.data, key.len);
	memset(VARDATA(varlena) + key.len, ' ', blanks);
	return PointerGetDatum(varlena);
}

/* A key's bytes as a datum of its own. */
Datum
sm_key_datum(const sm_types *types, sm_bytes key)
{
	switch (types->key_type)
	{
		case INT2OID:
		{
			uint16 bits;

			memcpy(&bits, key.data, sizeof(bits));
			return Int16GetDatum((int16) (pg_ntoh16(bits) ^ 0x8000U));
		}
		case INT4OID:
		case DATEOID:
		{
			uint32 bits;

			memcpy(&bits, key.data, sizeof(bits));
			return Int32GetDatum((int32) (pg_ntoh32(bits) ^ 0x80000000U));
		}
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		{
			uint64 bits;

			memcpy(&bits, key.data, sizeof(bits));
			return Int64GetDatum((int64) (pg_ntoh64(bits) ^ (UINT64CONST(1) << 63)));
		}
		case UUIDOID:
			return PointerGetDatum(memcpy(palloc(UUID_LEN), key.data, UUID_LEN));
		case BPCHAROID:
			return padded_datum(key, types->key_typmod);
		default:
			return sm_varlena_datum(key);
	}
}

/*
 * Does the C library compare, and in its locale C, or PostgreSQL itself, which knows no
 * other order?  Its own answer stands in a header that wants those of ICU.
 */
static bool
is_c_locale(char provider, int cache, HeapTuple tuple, AttrNumber collate)
{
	bool isnull;
	Datum name = SysCacheGetAttr(cache, tuple, collate, &isnull);

	if (provider == SM_PROVIDER_BUILTIN)
		return true;
	return provider == COLLPROVIDER_LIBC && !isnull &&
		(strcmp(TextDatumGetCString(name), "C") == 0 ||
		 strcmp(TextDatumGetCString(name), "POSIX") == 0);
}

/* Is a collation's order that of bytes?  True for types that have none. */
bool
sm_is_byte_order(Oid collation)
{
	int cache = COLLOID;
	HeapTuple tuple;
	bool result;

	if (!OidIsValid(collation) || collation == C_COLLATION_OID)
		return true;
	if (collation == DEFAULT_COLLATION_OID)
		cache = DATABASEOID;
	tuple = SearchSysCache1(cache,
							ObjectIdGetDatum(cache == DATABASEOID ? MyDatabaseId :
																	collation));
	if (!HeapTupleIsValid(tuple))
		return false;
	if (cache == DATABASEOID)
		result = is_c_locale(((Form_pg_database) GETSTRUCT(tuple))->datlocprovider,
							 cache, tuple, Anum_pg_database_datcollate);
	else
		result = is_c_locale(((Form_pg_collation) GETSTRUCT(tuple))->collprovider,
							 cache, tuple, Anum_pg_collation_collcollate);
	ReleaseSysCache(tuple);
	return result;
}

/* ---- values ---- */

/* The bytes of a value, in place, or in room, or detoasted in memory of its own. */
sm_bytes
sm_value_bytes(const sm_types *types, Datum value, uint64 *room)
{
	struct varlena *varlena;
	size_t len;
	char *bytes;

	if (types->value_byval)
	{
		store_att_byval(room, value, types->value_len);
		return (sm_bytes) {room, (size_t) types->value_len};
	}
	if (types->value_len > 0)
		return (sm_bytes) {DatumGetPointer(value), (size_t) types->value_len};
	if (unlikely(sm_is_row(types)))
		return sm_row_of(types, value);

	varlena = PG_DETOAST_DATUM_PACKED(value);
	len = VARSIZE_ANY_EXHDR(varlena);
	if (!sm_has_layout(types))
		return (sm_bytes) {VARDATA_ANY(varlena), len};

	bytes = palloc(len + sizeof(types->layout));
	memcpy(bytes, VARDATA_ANY(varlena), len);
	memcpy(bytes + len, types->layout, sizeof(types->layout));
	return (sm_bytes) {bytes, len + sizeof(types->layout)};
}

/*
 * The length of a value without its layout.  Raises 42804 if the type has been
 * altered since it was stored.
 */
size_t
sm_check_layout(const sm_types *types, const char *bytes, size_t len)
{
	uint64 layout[2] = {0};

	if (!sm_has_layout(types))
		return len;
	if (len >= sizeof(layout))
		memcpy(layout, bytes + len - sizeof(layout), sizeof(layout));
	if (memcmp(layout, types->layout, sizeof(layout)) == 0)
		return len - sizeof(layout);
	ereport(
		ERROR,
		(errcode(ERRCODE_DATATYPE_MISMATCH),
		 sm_is_row(types) ?
			 errmsg(
				 "the type of a column of map %s has been altered since the row was stored",
				 format_type_be(types->value_type)) :
			 errmsg("type %s has been altered since the value was stored",
					format_type_be(types->value_type)),
		 errhint("Use syncmap.delete or syncmap.put for the key, or clear the map.")));
	pg_unreachable();
}

static void
check_length(const sm_types *types, size_t len)
{
	if (len != (size_t) types->value_len)
		elog(ERROR, "a value of %zu bytes is no %s", len,
			 format_type_be(types->value_type));
}

/* A value's bytes as a datum of its own.  Raises 42804, see sm_check_layout. */
Datum
sm_value_datum(const sm_types *types, sm_bytes value)
{
	if (types->value_len > 0)
	{
		check_length(types, value.len);
		if (types->value_byval)
		{
			uint64 room;

			memcpy(&room, value.data, value.len);
			return fetch_att(&room, true, types->value_len);
		}
		return PointerGetDatum(
			memcpy(palloc(value.len), value.data, (size_t) types->value_len));
	}
	value.len = sm_check_layout(types, value.data, value.len);
	return sm_varlena_datum(value);
}

/* The same of len bytes that stand in palloc'ed memory behind room for a length word. */
Datum
sm_value_datum_in(const sm_types *types, char *varlena, size_t len)
{
	if (types->value_len > 0)
		return sm_value_datum(types, (sm_bytes) {varlena + VARHDRSZ, len});
	len = sm_check_layout(types, varlena + VARHDRSZ, len);
	SET_VARSIZE(varlena, VARHDRSZ + len);
	return PointerGetDatum(varlena);
}

/* ---- conversion ---- */

struct sm_input
{
	bool as_is;
	size_t fits;		   /* a text of no more bytes is as it is */
	ExprState *assignment; /* like INSERT's; NULL: the type's input function */
	ExprContext *econtext;
	FmgrInfo input;
	Oid io_param;
	Oid to;
	int32 typmod;
};

/* The conversion of a placeholder as INSERT would do it, or NULL if there is none. */
static Node *
assignment_of(Oid from, Oid to, int32 typmod, Node *placeholder)
{
	return coerce_to_target_type(NULL, placeholder, from, to, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

/*
 * How arguments of one type become keys or values of another: text by the
 * type's input function, others as INSERT converts them.  NULL if they do not.
 */
sm_input *
sm_input_make(Oid from, Oid to, int32 typmod, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	sm_input *input = palloc0(sizeof(sm_input));

	input->to = to;
	input->typmod = typmod;
	/* what is no longer than n bytes is no longer than n characters */
	if (to == VARCHAROID && (from == TEXTOID || from == VARCHAROID) && typmod >= 0)
		input->fits = (size_t) typmod - VARHDRSZ;
	if ((from == to || (from == TEXTOID && to == VARCHAROID)) && typmod < 0)
		input->as_is = true;
	else if (from == TEXTOID && to != TEXTOID)
	{
		Oid function;

		getTypeInputInfo(to, &function, &input->io_param);
		fmgr_info_cxt(function, &input->input, context);
	}
	else if (from == RECORDOID)
		input = NULL; /* the parser would look at its columns */
	else
	{
		CaseTestExpr *placeholder = makeNode(CaseTestExpr);
		Node *expr;

		placeholder->typeId = from;
		placeholder->typeMod = -1;
		placeholder->collation = get_typcollation(from);
		expr = assignment_of(from, to, typmod, (Node *) placeholder);
		if (expr == NULL)
			input = NULL;
		else if (expr == (Node *) placeholder ||
				 (IsA(expr, RelabelType) &&
				  ((RelabelType *) expr)->arg == (Expr *) placeholder))
			input->as_is = true;
		else
		{
			input->assignment = ExecInitExpr(expression_planner((Expr *) expr), NULL);
			input->econtext = CreateStandaloneExprContext();
		}
	}
	MemoryContextSwitchTo(old);
	return input;
}

/* Does it convert nothing? */
bool
sm_input_is_none(const sm_input *input)
{
	return input->as_is;
}

/*
 * Converts a datum.  May run functions of its type, and raises what these
 * raise, and 22004 if they make NULL of it.
 */
Datum
sm_input_convert(sm_input *input, Datum datum)
{
	bool isnull = false;
	char *string;

	if (input->as_is)
		return datum;
	if (input->fits > 0)
	{
		datum = PointerGetDatum(PG_DETOAST_DATUM_PACKED(datum));
		if (VARSIZE_ANY_EXHDR(DatumGetPointer(datum)) <= input->fits)
			return datum;
	}
	if (input->assignment == NULL)
	{
		string = TextDatumGetCString(datum);
		datum =
			InputFunctionCall(&input->input, string, input->io_param, input->typmod);
		pfree(string);
		return datum;
	}

	input->econtext->caseValue_datum = datum;
	input->econtext->caseValue_isNull = false;
	datum = ExecEvalExpr(input->assignment, input->econtext, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("conversion to type %s made null of a value",
						format_type_be(input->to))));
	return datum;
}
