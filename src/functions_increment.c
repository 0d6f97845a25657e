/*
 * functions_increment.c
 *	  increment: a value as a number.
 *
 * In a map of text a number is kept as bigint's output function writes it, and
 * read as its input function reads decimal digits: a sign, and white space around
 * it, are fine.  Maps of smallint, integer, and bigint keep theirs as it is.  The
 * sum is made under the shard's lock, by a function of ours that only computes.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "args.h"

SM_FUNCTIONS(syncmap_increment);

/* Bytes of a value that an error shows. */
#define SHOWN_BYTES 100

typedef enum sm_sum_status
{
	SUM_OK,
	SUM_TOO_LONG, /* the value is not one that add() gets to see */
	SUM_NO_NUMBER,
	SUM_NO_BIGINT, /* the value is out of bigint's range */
	SUM_OVERFLOW   /* the sum is */
} sm_sum_status;

typedef struct sm_sum
{
	int64 by;
	int64 result;
	int len; /* of the values: bytes of an integer, or -1 for text */
	sm_sum_status status;
	char text[SM_MAX_UPDATE]; /* the value that is no number */
	size_t text_len;
} sm_sum;

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Reads a decimal bigint.  Throws nothing. */
static sm_sum_status
parse_bigint(const char *s, size_t len, int64 *result)
{
	const char *end = s + len;
	const char *digits;
	bool negative = false;
	bool overflow = false;
	int64 n = 0;

	while (s < end && is_space(*s))
		s++;
	while (end > s && is_space(end[-1]))
		end--;
	if (s < end && (*s == '-' || *s == '+'))
		negative = *s++ == '-';

	/* towards the negative, where there is one number more */
	for (digits = s; s < end && *s >= '0' && *s <= '9'; s++)
		overflow = overflow || pg_mul_s64_overflow(n, 10, &n) ||
			pg_sub_s64_overflow(n, *s - '0', &n);
	if (s != end || s == digits)
		return SUM_NO_NUMBER;
	if (overflow || (!negative && n == PG_INT64_MIN))
		return SUM_NO_BIGINT;

	*result = negative ? n : -n;
	return SUM_OK;
}

/* Adds sum->by to the number in old.  Throws nothing. */
static void
add_to(sm_sum *sum, const char *old, size_t old_len)
{
	int64 n;

	sum->status = parse_bigint(old, old_len, &n);
	if (sum->status == SUM_OK && pg_add_s64_overflow(n, sum->by, &sum->result))
		sum->status = SUM_OVERFLOW;
}

static int64
read_integer(const void *bytes, int len)
{
	int16 n16;
	int32 n32;
	int64 n64;

	switch (len)
	{
		case sizeof(int16):
			memcpy(&n16, bytes, sizeof(n16));
			return n16;
		case sizeof(int32):
			memcpy(&n32, bytes, sizeof(n32));
			return n32;
		default:
			memcpy(&n64, bytes, sizeof(n64));
			return n64;
	}
}

/* Writes an integer of len bytes; false if it is out of their range. */
static bool
write_integer(int64 n, int len, void *bytes)
{
	int16 n16 = (int16) n;
	int32 n32 = (int32) n;

	switch (len)
	{
		case sizeof(int16):
			memcpy(bytes, &n16, sizeof(n16));
			return n16 == n;
		case sizeof(int32):
			memcpy(bytes, &n32, sizeof(n32));
			return n32 == n;
		default:
			memcpy(bytes, &n, sizeof(n));
			return true;
	}
}

/* An sm_update_fn for maps of integers. */
static int
add_integer(void *arg, const void *old, size_t old_len, void *new_value)
{
	sm_sum *sum = arg;
	int64 n = old != NULL ? read_integer(old, sum->len) : 0;

	sum->text_len = 0;
	sum->status = SUM_OVERFLOW;
	if (pg_add_s64_overflow(n, sum->by, &sum->result) ||
		!write_integer(sum->result, sum->len, new_value))
		return -1;
	return sum->len;
}

/* An sm_update_fn for maps of text. */
static int
add(void *arg, const void *old, size_t old_len, void *new_value)
{
	sm_sum *sum = arg;

	if (old != NULL)
	{
		add_to(sum, old, old_len);
		if (sum->status != SUM_OK)
		{
			memcpy(sum->text, old, old_len);
			sum->text_len = old_len;
			return -1;
		}
	}
	else if (old_len > 0)
	{
		sum->status = SUM_TOO_LONG;
		return -1;
	}
	else
	{
		sum->status = SUM_OK;
		sum->result = sum->by;
	}
	return pg_lltoa(sum->result, new_value);
}

static void
report(const sm_sum *sum, const char *value, size_t len)
{
	static const char *const types[] = {[2] = "smallint", [4] = "integer"};
	const char *type = sum->len == 2 || sum->len == 4 ? types[sum->len] : "bigint";
	char *text = pnstrdup(value, pg_mbcliplen(value, (int) len, SHOWN_BYTES));

	switch (sum->status)
	{
		case SUM_NO_NUMBER:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type %s: \"%s\"", "bigint",
							text)));
			break;
		case SUM_NO_BIGINT:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("value \"%s\" is out of range for type %s", text,
							"bigint")));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s out of range", type)));
	}
}

/*
 * A value that the engine does not hand to add() for its length may still be a
 * number, with much white space or many zeros: compare and swap.  Returns
 * false when another value has come in between, or none is left.
 */
static bool
add_to_long(sm_call *call, sm_bytes key, sm_sum *sum)
{
	char digits[MAXINT8LEN + 1];
	text *old;
	sm_bytes new_value = {digits, 0};
	int64 expires = SM_NEVER;

	while (!sm_call_done(call,
						 sm_get_expiry(&call->ref->map, key, &call->value, &expires)))
		;
	if (call->status != SM_FOUND)
		return false;
	old = DatumGetTextP(sm_call_text(call));
	call->value.data = sm_scratch;
	call->value.size = SM_SCRATCH_SIZE;

	add_to(sum, VARDATA(old), VARSIZE(old) - VARHDRSZ);
	if (sum->status != SUM_OK)
		report(sum, VARDATA(old), VARSIZE(old) - VARHDRSZ);

	new_value.len = pg_lltoa(sum->result, digits);
	while (!sm_call_done(call,
						 sm_compare_and_swap(&call->ref->map, key, sm_text_bytes(old),
											 new_value, expires)))
		;
	return call->status == SM_FOUND;
}

/* How long the map's numbers are.  Raises 42804 if its values are no numbers. */
static int
number_len(const sm_ref *ref)
{
	switch (ref->types.value_type)
	{
		case TEXTOID:
			return -1;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return ref->types.value_len;
		default:
			ereport(
				ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot increment values of type %s",
						format_type_be(ref->types.value_type)),
				 errhint(
					 "It works with maps of text, smallint, integer, and bigint.")));
	}
}

/*
 * increment(map, key, by, ttl) returns bigint: the new number; an absent key
 * counts from 0, and ttl is for such a one: others keep what they have.  Needs
 * SELECT, INSERT and UPDATE.
 *
 * Errors: 22P02 the value is no number; 22003 it or the sum is no bigint, or not of
 * the map's type.  The value stays then.
 */
static pg_attribute_always_inline Datum
do_increment(FunctionCallInfo fcinfo, sm_entry entry)
{
	sm_bytes key;
	sm_sum sum;
	sm_call call;
	sm_args args;
	int64 expires;
	sm_update_fn fn;

	sm_check_not_null(fcinfo, 0, "map");
	sm_check_not_null(fcinfo, 1, "key");
	sm_check_not_null(fcinfo, 2, "by");
	sum.by = PG_GETARG_INT64(2);

	if (!sm_args_start(&args, &call, fcinfo, ACL_SELECT | ACL_INSERT | ACL_UPDATE,
					   entry))
		PG_RETURN_NULL();
	key = sm_args_key(&args);
	sm_check_key(key);
	sum.len = number_len(call.ref);
	fn = sum.len < 0 ? add : add_integer;
	call.wanted = key.len + MAXINT8LEN;
	expires = sm_args_expires(&args, 3);
	for (;;)
	{
		while (!sm_call_done(&call, sm_update(&call.ref->map, key, fn, &sum, expires)))
			;
		if (call.status != SM_REFUSED)
			break;
		if (sum.status != SUM_TOO_LONG)
			report(&sum, sum.text, sum.text_len);
		if (add_to_long(&call, key, &sum))
			break;
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_INT64(sum.result);
}

SM_ENTRIES(syncmap_increment, do_increment)
