/*
 * types.c
 *	  Keys and values as bytes.
 *
 * The bytes of a type stay what they are as long as it has its OID, with one
 * exception: some versions of PostgreSQL let a composite type be altered at will that
 * only foreign tables use.  So a value with a composite type in it carries, behind its
 * bytes, a digest of the layout that it was stored with, and is refused when that is
 * not the layout of today.  Whoever may alter the type chooses layouts, and a value read
 * by another one than its own is arbitrary memory, so nobody may find two of the same
 * digest: it is the first half of a SHA-256.
 */
#include "compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
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

#include "types.h"

#define COLUMNS_HINT \
	"A map has the columns key (text, varchar, char, bytea, smallint, integer, bigint, uuid, date, timestamp, or timestamptz), value (of any type), and, if you like, expires_at (timestamp with time zone)."

static bool add_layout(pg_cryptohash_ctx *digest, Oid type);

/* ---- a map's columns ---- */

static bool
is_key_type(Oid type)
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

static void
add_to_digest(pg_cryptohash_ctx *digest, const void *data, size_t len)
{
	if (pg_cryptohash_update(digest, data, len) < 0)
		elog(ERROR, "could not compute a digest: %s", pg_cryptohash_error(digest));
}

/* Adds the attributes of a composite type, and what is in them. */
static void
add_composite(pg_cryptohash_ctx *digest, Oid type)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);

	add_to_digest(digest, &type, sizeof(type));
	add_to_digest(digest, &desc->natts, sizeof(desc->natts));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		add_to_digest(digest, &att->attisdropped, sizeof(att->attisdropped));
		add_to_digest(digest, &att->attlen, sizeof(att->attlen));
		add_to_digest(digest, &att->attalign, sizeof(att->attalign));
		add_to_digest(digest, &att->atttypid, sizeof(att->atttypid));
		add_to_digest(digest, &att->atttypmod, sizeof(att->atttypmod));
		if (!att->attisdropped)
			(void) add_layout(digest, att->atttypid);
	}
	FreeTupleDesc(desc);
}

/* Adds all composite types in a type to a digest.  False if there are none. */
static bool
add_layout(pg_cryptohash_ctx *digest, Oid type)
{
	check_stack_depth();
	type = getBaseType(type);
	switch (get_typtype(type))
	{
		case TYPTYPE_COMPOSITE:
			add_composite(digest, type);
			return true;
		case TYPTYPE_RANGE:
			return add_layout(digest, get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return add_layout(digest, get_multirange_range(type));
		default:
			type = get_element_type(type);
			return OidIsValid(type) && add_layout(digest, type);
	}
}

/* Finds out the layout of a map's values. */
static void
read_layout(sm_types *types)
{
	uint8 bytes[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *digest = pg_cryptohash_create(PG_SHA256);

	if (digest == NULL || pg_cryptohash_init(digest) < 0)
		elog(ERROR, "could not begin a digest");
	if (add_layout(digest, types->value_type))
	{
		if (pg_cryptohash_final(digest, bytes, sizeof(bytes)) < 0)
			elog(ERROR, "could not compute a digest: %s", pg_cryptohash_error(digest));
		memcpy(types->layout, bytes, sizeof(types->layout));
		types->layout[0] |= 1; /* never none */
	}
	pg_cryptohash_free(digest);
}

static _Noreturn void
bad_column(Relation rel, const char *column, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of map \"%s\" cannot have type %s", column,
					RelationGetRelationName(rel), format_type_be(type)),
			 errhint(COLUMNS_HINT)));
}

static void
require_column(Relation rel, const char *column, AttrNumber number)
{
	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("map \"%s\" lacks the column \"%s\"",
						RelationGetRelationName(rel), column),
				 errhint(COLUMNS_HINT)));
}

/* What the columns of a map are.  Raises 42804 if they are not those of a map. */
void
sm_types_read(Relation rel, sm_types *types)
{
	TupleDesc desc = RelationGetDescr(rel);

	*types = (sm_types) {0};
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);

		if (att->attisdropped)
			continue;
		if (strcmp(name, "key") == 0)
		{
			if (!is_key_type(att->atttypid))
				bad_column(rel, name, att->atttypid);
			types->key_column = att->attnum;
			types->key_type = att->atttypid;
			types->key_typmod = att->atttypmod;
		}
		else if (strcmp(name, "value") == 0)
		{
			types->value_column = att->attnum;
			types->value_type = att->atttypid;
			types->value_typmod = att->atttypmod;
			types->value_len = att->attlen;
			types->value_byval = att->attbyval;
		}
		else if (strcmp(name, "expires_at") == 0)
		{
			if (att->atttypid != TIMESTAMPTZOID)
				bad_column(rel, name, att->atttypid);
			types->expires_column = att->attnum;
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("map \"%s\" cannot have a column \"%s\"",
							RelationGetRelationName(rel), name),
					 errhint(COLUMNS_HINT)));
	}
	require_column(rel, "key", types->key_column);
	require_column(rel, "value", types->value_column);
	read_layout(types);
}

/* ---- keys ---- */

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
static size_t
check_layout(const sm_types *types, const char *bytes, size_t len)
{
	uint64 layout[2] = {0};

	if (!sm_has_layout(types))
		return len;
	if (len >= sizeof(layout))
		memcpy(layout, bytes + len - sizeof(layout), sizeof(layout));
	if (memcmp(layout, types->layout, sizeof(layout)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s has been altered since the value was stored",
						format_type_be(types->value_type)),
				 errhint("Delete or replace the key, or clear the map.")));
	return len - sizeof(layout);
}

static void
check_length(const sm_types *types, size_t len)
{
	if (len != (size_t) types->value_len)
		elog(ERROR, "a value of %zu bytes is no %s", len,
			 format_type_be(types->value_type));
}

/* A value's bytes as a datum of its own.  Raises 42804, see check_layout. */
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
	value.len = check_layout(types, value.data, value.len);
	return sm_varlena_datum(value);
}

/* The same of len bytes that stand in palloc'ed memory behind room for a length word. */
Datum
sm_value_datum_in(const sm_types *types, char *varlena, size_t len)
{
	if (types->value_len > 0)
		return sm_value_datum(types, (sm_bytes) {varlena + VARHDRSZ, len});
	len = check_layout(types, varlena + VARHDRSZ, len);
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
