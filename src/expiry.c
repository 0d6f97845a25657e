/*
 * expiry.c
 *	  When a pair expires, as a column of its map has it.
 *
 * The engine keeps a moment, in microseconds, as timestamptz does.  A column may also be a
 * timestamp, in the session's time zone, as where it is compared with now(); or a number
 * of seconds or milliseconds since 1970.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "expiry.h"

StaticAssertDecl(DT_NOEND == SM_NEVER, "infinity is what never expires");

/* What never expires, as a number. */
#define NEVER PG_INT64_MAX

/* Microseconds from 1970 to the year 2000, where PostgreSQL starts to count. */
#define EPOCH_DISTANCE ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* What is later is shown as never where it is a local time. */
#define LAST_LOCAL (END_TIMESTAMP - 2 * USECS_PER_DAY)

/* Of a unit of a number, in microseconds. */
static int64
unit(const sm_types *types)
{
	return types->expires_form == SM_EXPIRY_MS ? INT64CONST(1000) : USECS_PER_SEC;
}

/*
 * How a column of a type says when a key expires; option is that of the column, "true" if it
 * has none.  False if it cannot.
 */
bool
sm_expiry_form_of(Oid type, const char *option, int16 *form)
{
	bool plain;

	if (type == INT8OID && strcmp(option, "ms") == 0)
		*form = SM_EXPIRY_MS;
	else if (type == INT8OID && strcmp(option, "s") == 0)
		*form = SM_EXPIRY_S;
	else if (!parse_bool(option, &plain) || !plain)
		return false;
	else if (type == TIMESTAMPTZOID)
		*form = SM_EXPIRY_TIMESTAMPTZ;
	else if (type == TIMESTAMPOID)
		*form = SM_EXPIRY_TIMESTAMP;
	else
		return false;
	return true;
}

/*
 * When a pair expires, as its column shows it.  Of a map with a time to live by default,
 * whose null that is when a row comes in, what never expires does so at infinity; and so
 * where there may be no null.  A number shows that by its greatest value.
 */
Datum
sm_expiry_datum(const sm_types *types, int64 expires, bool has_ttl, bool *isnull)
{
	int64 since_1970;

	/* in no time zone a local time that there is not */
	if (types->expires_form == SM_EXPIRY_TIMESTAMP && expires > LAST_LOCAL)
		expires = SM_NEVER;
	*isnull = expires == SM_NEVER && !has_ttl && !types->expires_not_null;
	if (*isnull)
		return (Datum) 0;
	switch (types->expires_form)
	{
		case SM_EXPIRY_TIMESTAMPTZ:
			return TimestampTzGetDatum(expires);
		case SM_EXPIRY_TIMESTAMP:
			return DirectFunctionCall1(timestamptz_timestamp,
									   TimestampTzGetDatum(expires));
		default:
			if (expires == SM_NEVER)
				return Int64GetDatum(NEVER);
			if (pg_add_s64_overflow(expires, EPOCH_DISTANCE, &since_1970))
				since_1970 = PG_INT64_MAX;
			return Int64GetDatum(since_1970 / unit(types));
	}
}

/*
 * When a row expires, by its column, which is not null.  What was over before 2000 is
 * SM_LONG_PAST.  Errors: 22008 that is after all time.
 */
int64
sm_expiry_from(const sm_types *types, Datum datum)
{
	int64 expires;

	switch (types->expires_form)
	{
		case SM_EXPIRY_TIMESTAMPTZ:
			expires = DatumGetTimestampTz(datum);
			break;
		case SM_EXPIRY_TIMESTAMP:
			expires =
				DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, datum));
			break;
		default:
			if (DatumGetInt64(datum) == NEVER)
				return SM_NEVER;
			if (DatumGetInt64(datum) <= 0)
				return SM_LONG_PAST;
			if (pg_mul_s64_overflow(DatumGetInt64(datum), unit(types), &expires) ||
				!IS_VALID_TIMESTAMP(expires - EPOCH_DISTANCE))
				ereport(ERROR,
						(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						 errmsg("timestamp out of range: " INT64_FORMAT " %s",
								DatumGetInt64(datum),
								types->expires_form == SM_EXPIRY_MS ? "ms" : "s")));
			expires -= EPOCH_DISTANCE;
			break;
	}
	return Max(expires, SM_LONG_PAST);
}

/* Does a column say to the microsecond when a pair expires, in all time zones? */
bool
sm_expiry_is_exact(const sm_types *types)
{
	return types->expires_form == SM_EXPIRY_TIMESTAMPTZ;
}
