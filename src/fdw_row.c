/*
 * fdw_row.c
 *	  A pair as a row of its table.
 */
#include "compat.h"

#include "utils/timestamp.h"

#include "fdw.h"

/*
 * When a pair expires, as its column shows it.  Of a map with a time to live by default,
 * whose null that is when a row comes in, what never expires does so at infinity.
 */
Datum
sm_expiry_datum(int64 expires, bool has_ttl, bool *isnull)
{
	*isnull = expires == SM_NEVER && !has_ttl;
	return TimestampTzGetDatum(expires);
}

/* A pair as the columns of its row; all others are to be null already. */
void
sm_fill_row(const sm_types *types, const sm_row *row, bool with_value, bool has_ttl,
			Datum *values, bool *nulls)
{
	values[types->key_column - 1] = sm_key_datum(types, row->key);
	nulls[types->key_column - 1] = false;
	if (with_value)
	{
		values[types->value_column - 1] = sm_value_datum(types, row->value);
		nulls[types->value_column - 1] = false;
	}
	if (types->expires_column != InvalidAttrNumber)
		values[types->expires_column - 1] =
			sm_expiry_datum(row->expires, has_ttl, &nulls[types->expires_column - 1]);
}

StaticAssertDecl(DT_NOEND == SM_NEVER, "infinity is what never expires");
