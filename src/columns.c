/*
 * columns.c
 *	  What the columns of a map are: its key, when that expires, and its value.
 *
 * The key is the column with the option key; without one, that of the name key, or else
 * the first.  When a key expires is said by the column with the option expires, or of the
 * name expires_at.  All others are the value: if that is one, it is kept as it is, else they
 * are a row (row.c).
 *
 * The bytes of a type stay what they are as long as it has its OID, with one
 * exception: some versions of PostgreSQL let a composite type be altered at will that
 * only foreign tables use.  So a value with a composite type in it carries, behind its
 * bytes, a digest of the layout that it was stored with, and is refused when that is
 * not the layout of today.  Whoever may alter the type chooses layouts, and a value read
 * by another one than its own is arbitrary memory, so nobody may find two of the same
 * digest: it is the first half of a SHA-256.  The columns of a row have such a digest in the
 * registry, once for all rows, since they change with the map's own table only.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "foreign/foreign.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "expiry.h"
#include "types.h"

#define KEY_HINT \
	"A key is of type text, varchar, char, bytea, smallint, integer, bigint, uuid, date, timestamp, or timestamptz; the column option key 'true' says which column it is."
#define EXPIRES_HINT \
	"A column that says when a key expires is a timestamp with or without time zone, with the option expires 'true'; or a bigint since 1970, with expires 'ms' or expires 's'. With expires 'false' it is a value."

static bool add_layout(pg_cryptohash_ctx *digest, Oid type);

/* ---- layouts ---- */

static pg_cryptohash_ctx *
begin_digest(void)
{
	pg_cryptohash_ctx *digest = pg_cryptohash_create(PG_SHA256);

	if (digest == NULL || pg_cryptohash_init(digest) < 0)
		elog(ERROR, "could not begin a digest");
	return digest;
}

static void
add_to_digest(pg_cryptohash_ctx *digest, const void *data, size_t len)
{
	if (pg_cryptohash_update(digest, data, len) < 0)
		elog(ERROR, "could not compute a digest: %s", pg_cryptohash_error(digest));
}

/* Half of it, which is never 0. */
static void
finish_digest(pg_cryptohash_ctx *digest, uint64 half[2])
{
	uint8 bytes[PG_SHA256_DIGEST_LENGTH];

	if (pg_cryptohash_final(digest, bytes, sizeof(bytes)) < 0)
		elog(ERROR, "could not compute a digest: %s", pg_cryptohash_error(digest));
	memcpy(half, bytes, 2 * sizeof(uint64));
	half[0] |= 1;
}

static void
add_attribute(pg_cryptohash_ctx *digest, Form_pg_attribute att)
{
	add_to_digest(digest, &att->attisdropped, sizeof(att->attisdropped));
	add_to_digest(digest, &att->attlen, sizeof(att->attlen));
	add_to_digest(digest, &att->attalign, sizeof(att->attalign));
	add_to_digest(digest, &att->atttypid, sizeof(att->atttypid));
	add_to_digest(digest, &att->atttypmod, sizeof(att->atttypmod));
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

		add_attribute(digest, att);
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

/* Finds out the layout of the composite types in a map's values. */
static void
read_layout(TupleDesc desc, sm_types *types)
{
	pg_cryptohash_ctx *digest = begin_digest();
	bool found = false;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (sm_is_value(types, att))
			found |= add_layout(digest, att->atttypid);
	}
	if (found)
		finish_digest(digest, types->layout);
	pg_cryptohash_free(digest);
}

/*
 * Finds out what the columns of a row are.  Whether they may be null is of them, so that it
 * changes only where there is no row that has it otherwise.
 */
static void
read_columns(TupleDesc desc, const sm_types *types, uint64 columns[2])
{
	pg_cryptohash_ctx *digest = begin_digest();

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool value = sm_is_value(types, att);
		bool not_null = value && att->attnotnull;

		add_to_digest(digest, &value, sizeof(value));
		add_to_digest(digest, &not_null, sizeof(not_null));
		add_attribute(digest, att);
	}
	finish_digest(digest, columns);
	pg_cryptohash_free(digest);
}

/* Raises 40001. */
void
sm_map_was_altered(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("map \"%s\" was altered meanwhile", get_rel_name(relid)),
			 errhint("Try again.")));
}

/*
 * The row type of a map whose values are rows; the caller releases it.  Errors: 40001 its
 * columns are not those that the caller knows, by which its rows are stored.
 */
TupleDesc
sm_row_desc(const sm_types *types)
{
	/* what was found good last */
	static Oid type = InvalidOid;
	static uint64 identifier = 0;
	static uint64 columns[2];
	const TypeCacheEntry *entry =
		lookup_type_cache(types->value_type, TYPECACHE_TUPDESC);
	TupleDesc desc = entry->tupDesc;

	if (entry->tupDesc_identifier != identifier || type != types->value_type)
	{
		type = InvalidOid;
		read_columns(desc, types, columns);
		identifier = entry->tupDesc_identifier;
		type = types->value_type;
	}
	if (memcmp(columns, types->columns, sizeof(columns)) != 0)
		sm_map_was_altered(get_typ_typrelid(types->value_type));
	IncrTupleDescRefCount(desc);
	return desc;
}

/* ---- options ---- */

static _Noreturn void
invalid_value(const DefElem *option, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option->defname,
					defGetString(unconstify(DefElem *, option))),
			 errhint("%s", hint)));
}

/*
 * Looks at the options of a column of a foreign table.  Errors: HV00D no such option; 22023
 * its value is not one.
 */
void
sm_check_column_options(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		const char *value = defGetString(option);
		bool flag;

		if (strcmp(option->defname, "key") == 0)
		{
			if (!parse_bool(value, &flag))
				invalid_value(option, "It is a boolean.");
		}
		else if (strcmp(option->defname, "expires") == 0)
		{
			if (strcmp(value, "ms") != 0 && strcmp(value, "s") != 0 &&
				!parse_bool(value, &flag))
				invalid_value(option, "Valid values are a boolean, \"ms\" and \"s\".");
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", option->defname),
					 errhint("Valid options of a map's column are: key, expires.")));
	}
}

/* The value of an option of a column, or NULL. */
static const char *
column_option(Relation rel, AttrNumber column, const char *name)
{
	ListCell *cell;

	foreach (cell, GetForeignColumnOptions(RelationGetRelid(rel), column))
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/* ---- a map's columns ---- */

static bool
is_false(const char *option)
{
	bool flag;

	return parse_bool(option, &flag) && !flag;
}

/* Raises 42804. */
static _Noreturn void
bad_column(Relation rel, Form_pg_attribute att, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of map \"%s\" cannot have type %s",
					NameStr(att->attname), RelationGetRelationName(rel),
					format_type_be(att->atttypid)),
			 errhint("%s", hint)));
}

/* Raises 42P16. */
static _Noreturn void
two_columns(Relation rel, const char *option)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
		 errmsg("more than one column of map \"%s\" has the option \"%s\"",
				RelationGetRelationName(rel), option),
		 errhint(
			 "To move it: ALTER FOREIGN TABLE ... ALTER COLUMN ... OPTIONS (DROP %s), ALTER COLUMN ... OPTIONS (ADD %s ...).",
			 option, option)));
}

/* The column with an option that is not false, or InvalidAttrNumber. */
static AttrNumber
column_with(Relation rel, const char *option)
{
	TupleDesc desc = RelationGetDescr(rel);
	AttrNumber found = InvalidAttrNumber;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *value =
			att->attisdropped ? NULL : column_option(rel, att->attnum, option);

		if (value == NULL || is_false(value))
			continue;
		if (found != InvalidAttrNumber)
			two_columns(rel, option);
		found = att->attnum;
	}
	return found;
}

/* The column of a name that has not got the option false, or InvalidAttrNumber. */
static AttrNumber
column_named(Relation rel, const char *name, const char *option)
{
	AttrNumber column = get_attnum(RelationGetRelid(rel), name);
	const char *value;

	if (column == InvalidAttrNumber)
		return column;
	value = column_option(rel, column, option);
	if (value != NULL && is_false(value))
		return InvalidAttrNumber;
	return column;
}

/* The first column that has not got the option key 'false', or InvalidAttrNumber. */
static AttrNumber
first_column(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *option =
			att->attisdropped ? "false" : column_option(rel, att->attnum, "key");

		if (option == NULL || !is_false(option))
			return att->attnum;
	}
	return InvalidAttrNumber;
}

/* False, or an error if it is to be raised, if there is none. */
static bool
find_key(Relation rel, sm_types *types, bool raise)
{
	Form_pg_attribute att;

	types->key_column = column_with(rel, "key");
	if (types->key_column == InvalidAttrNumber)
		types->key_column = column_named(rel, "key", "key");
	if (types->key_column == InvalidAttrNumber)
		types->key_column = first_column(rel);
	if (types->key_column == InvalidAttrNumber)
	{
		if (raise)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("map \"%s\" has no column for its key",
							RelationGetRelationName(rel)),
					 errhint(KEY_HINT)));
		return false;
	}
	att = TupleDescAttr(RelationGetDescr(rel), types->key_column - 1);
	if (!sm_is_key_type(att->atttypid))
	{
		if (raise)
			bad_column(rel, att, KEY_HINT);
		return false;
	}
	types->key_type = att->atttypid;
	types->key_typmod = att->atttypmod;
	return true;
}

/* False, or an error if it is to be raised, if there is one that cannot be. */
static bool
find_expiry(Relation rel, sm_types *types, bool raise)
{
	AttrNumber column = column_with(rel, "expires");
	Form_pg_attribute att;
	const char *option;

	if (column == types->key_column)
	{
		if (raise)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("the key of map \"%s\" cannot say when it expires",
							RelationGetRelationName(rel)),
					 errhint("Give another column the option key 'true'.")));
		return false;
	}
	if (column == InvalidAttrNumber)
		column = column_named(rel, "expires_at", "expires");
	if (column == InvalidAttrNumber || column == types->key_column)
		return true;
	att = TupleDescAttr(RelationGetDescr(rel), column - 1);
	option = column_option(rel, column, "expires");
	if (!sm_expiry_form_of(att->atttypid, option == NULL ? "true" : option,
						   &types->expires_form))
	{
		if (raise)
			bad_column(rel, att, EXPIRES_HINT);
		return false;
	}
	types->expires_column = column;
	types->expires_not_null = att->attnotnull;
	return true;
}

static void
find_value(Relation rel, sm_types *types)
{
	TupleDesc desc = RelationGetDescr(rel);
	Form_pg_attribute value = NULL;
	int count = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		if (!sm_is_value(types, TupleDescAttr(desc, i)))
			continue;
		value = TupleDescAttr(desc, i);
		count++;
	}
	if (count == 1)
	{
		types->value_column = value->attnum;
		types->value_type = value->atttypid;
		types->value_typmod = value->atttypmod;
		types->value_len = value->attlen;
		types->value_byval = value->attbyval;
	}
	else
	{
		types->value_type = rel->rd_rel->reltype;
		types->value_typmod = -1;
		types->value_len = -1;
		read_columns(desc, types, types->columns);
	}
	read_layout(desc, types);
}

/*
 * What the columns of a map are.  Errors: 42804 one has a type that it cannot have; 42P16 two
 * are to be the same.
 */
void
sm_types_read(Relation rel, sm_types *types)
{
	*types = (sm_types) {0};
	(void) find_key(rel, types, true);
	(void) find_expiry(rel, types, true);
	find_value(rel, types);
}

/*
 * Are the columns those of a map?  A dump is restored column by column: it makes the table,
 * and then gives each column its options.
 */
bool
sm_types_fit(Relation rel)
{
	sm_types types = {0};

	return find_key(rel, &types, false) && find_expiry(rel, &types, false);
}
