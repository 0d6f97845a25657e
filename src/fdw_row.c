/*
 * fdw_row.c
 *	  A pair as a row of its table.
 */
#include "compat.h"

#include "expiry.h"
#include "fdw.h"
#include "row.h"

/* A pair as the columns of its row; all others are to be null already. */
void
sm_fill_row(const sm_types *types, TupleDesc desc, const sm_row *row, bool with_value,
			bool has_ttl, Datum *values, bool *nulls)
{
	if (with_value && sm_is_row(types))
		sm_row_unpack(types, desc, row->value, values, nulls);
	else if (with_value)
	{
		values[types->value_column - 1] = sm_value_datum(types, row->value);
		nulls[types->value_column - 1] = false;
	}
	values[types->key_column - 1] = sm_key_datum(types, row->key);
	nulls[types->key_column - 1] = false;
	if (types->expires_column != InvalidAttrNumber)
		values[types->expires_column - 1] =
			sm_expiry_datum(types, row->expires, has_ttl,
							&nulls[types->expires_column - 1]);
}
