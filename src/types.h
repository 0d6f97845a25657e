/*
 * types.h
 *	  Keys and values as bytes.
 */
#ifndef SM_TYPES_H
#define SM_TYPES_H

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "engine/map.h"

/* How the column that says when a pair expires does so; see expiry.c. */
typedef enum sm_expiry_form
{
	SM_EXPIRY_TIMESTAMPTZ,
	SM_EXPIRY_TIMESTAMP,
	SM_EXPIRY_MS, /* a number of milliseconds since 1970 */
	SM_EXPIRY_S	  /* of seconds */
} sm_expiry_form;

/*
 * What a map's columns are.  A key is kept in bytes that sort as its type does
 * (text: in the collation "C"); a value in its type's binary form, detoasted,
 * without a length word, and if there is not one column for it, as a row (row.c).
 * Compared by memcmp, so it has no padding, which an assignment need not copy.
 */
typedef struct sm_types
{
	AttrNumber key_column;
	AttrNumber value_column;   /* InvalidAttrNumber: all others, a row */
	AttrNumber expires_column; /* InvalidAttrNumber: there is none */
	int16 value_len;		   /* of the type: bytes, or -1 if that varies */
	int16 expires_form;
	int16 expires_not_null; /* a bool */
	Oid key_type;			/* see sm_is_key_type */
	Oid value_type;			/* of a row: the table's row type */
	int32 value_typmod;
	int32 value_byval; /* a bool */
	int32 key_typmod;
	uint64 layout[2];  /* of the composite types in the value, 0: there are none */
	uint64 columns[2]; /* of a row: a digest of them */
} sm_types;

/* Is a value the row of all columns but the key's and the expiry's? */
static inline bool
sm_is_row(const sm_types *types)
{
	return types->value_column == InvalidAttrNumber;
}

/* Is it one of the columns that are the value? */
static inline bool
sm_is_value(const sm_types *types, Form_pg_attribute att)
{
	return !att->attisdropped && att->attnum != types->key_column &&
		att->attnum != types->expires_column;
}

static inline bool
sm_has_layout(const sm_types *types)
{
	return (types->layout[0] | types->layout[1]) != 0;
}

/*
 * Are keys and values text, as it comes?  A varchar(n) is not, for the sake of n: the
 * bytes would be the same.
 */
static inline bool
sm_is_text(const sm_types *types)
{
	return types->value_type == TEXTOID &&
		(types->key_type == TEXTOID ||
		 (types->key_type == VARCHAROID && types->key_typmod < 0));
}

/* columns.c */
extern void sm_types_read(Relation rel, sm_types *types);
extern bool sm_types_fit(Relation rel);
extern TupleDesc sm_row_desc(const sm_types *types);
extern _Noreturn void sm_map_was_altered(Oid relid);
extern void sm_check_column_options(List *options);

extern bool sm_is_key_type(Oid type);
extern Datum sm_varlena_datum(sm_bytes bytes);
extern bool sm_is_byte_order(Oid collation);
extern Oid sm_key_compared_as(Oid type);
extern bool sm_is_string_key(Oid type);
extern Datum sm_key_datum(const sm_types *types, sm_bytes key);
extern sm_bytes sm_value_bytes(const sm_types *types, Datum value, uint64 *room);
extern size_t sm_check_layout(const sm_types *types, const char *bytes, size_t len);
extern Datum sm_value_datum(const sm_types *types, sm_bytes value);
extern Datum sm_value_datum_in(const sm_types *types, char *varlena, size_t len);

/* A conversion of keys or values to a map's type, as INSERT's or the type's input. */
typedef struct sm_input sm_input;

extern sm_input *sm_input_make(Oid from, Oid to, int32 typmod, MemoryContext context);
extern bool sm_input_is_none(const sm_input *input);
extern Datum sm_input_convert(sm_input *input, Datum datum);

extern sm_bytes sm_key_bytes_of_others(Oid type, Datum key, uint64 *room);

static inline sm_bytes
sm_key_varlena(Datum key)
{
	struct varlena *varlena = PG_DETOAST_DATUM_PACKED(key);

	return (sm_bytes) {VARDATA_ANY(varlena), VARSIZE_ANY_EXHDR(varlena)};
}

static inline sm_bytes
sm_key_int32(int32 n, uint64 *room)
{
	uint32 bits = pg_hton32((uint32) n ^ 0x80000000U);

	memcpy(room, &bits, sizeof(bits));
	return (sm_bytes) {room, sizeof(bits)};
}

static inline sm_bytes
sm_key_int64(int64 n, uint64 *room)
{
	*room = pg_hton64((uint64) n ^ (UINT64CONST(1) << 63));
	return (sm_bytes) {room, sizeof(*room)};
}

/*
 * The bytes of a key, in place or in room: unsigned comparison of bytes is the
 * type's order.  Inline for those types for which each instruction counts.
 */
static inline sm_bytes
sm_key_bytes(Oid type, Datum key, uint64 *room)
{
	switch (type)
	{
		case TEXTOID:
			return sm_key_varlena(key);
		case INT4OID:
			return sm_key_int32(DatumGetInt32(key), room);
		case INT8OID:
			return sm_key_int64(DatumGetInt64(key), room);
		case UUIDOID:
			return (sm_bytes) {DatumGetPointer(key), UUID_LEN};
		default:
			return sm_key_bytes_of_others(type, key, room);
	}
}

#endif /* SM_TYPES_H */
