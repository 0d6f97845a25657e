/*
 * bounds.c
 *	  Which keys a range is about.
 *
 * Keys are bytes whose order is their type's (types.h).
 */
#include "compat.h"

#include "bounds.h"

int
sm_key_compare(sm_bytes a, sm_bytes b)
{
	int order = memcmp(a.data, b.data, Min(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Leaves no keys before this one. */
void
sm_bounds_from(sm_bounds *bounds, sm_bytes key, bool inclusive)
{
	sm_bound *low = &bounds->low;
	int order = low->key.data == NULL ? 1 : sm_key_compare(key, low->key);

	if (order > 0)
		*low = (sm_bound) {key, inclusive};
	else if (order == 0 && !inclusive)
		low->inclusive = false;
}

/* Leaves no keys after this one. */
void
sm_bounds_to(sm_bounds *bounds, sm_bytes key, bool inclusive)
{
	sm_bound *high = &bounds->high;
	int order = high->key.data == NULL ? -1 : sm_key_compare(key, high->key);

	if (order < 0)
		*high = (sm_bound) {key, inclusive};
	else if (order == 0 && !inclusive)
		high->inclusive = false;
}

/* Leaves only keys that begin with these bytes.  Takes memory for the bound behind. */
void
sm_bounds_prefix(sm_bounds *bounds, sm_bytes prefix)
{
	const uint8 *bytes = prefix.data;
	size_t len = prefix.len;
	uint8 *behind;

	sm_bounds_from(bounds, prefix, true);
	while (len > 0 && bytes[len - 1] == 0xff)
		len--;
	if (len == 0)
		return;
	behind = palloc(len);
	memcpy(behind, bytes, len);
	behind[len - 1]++;
	sm_bounds_to(bounds, (sm_bytes) {behind, len}, false);
}

bool
sm_bounds_contain(const sm_bounds *bounds, sm_bytes key)
{
	int order;

	if (bounds->low.key.data != NULL)
	{
		order = sm_key_compare(key, bounds->low.key);
		if (order < 0 || (order == 0 && !bounds->low.inclusive))
			return false;
	}
	if (bounds->high.key.data != NULL)
	{
		order = sm_key_compare(key, bounds->high.key);
		if (order > 0 || (order == 0 && !bounds->high.inclusive))
			return false;
	}
	return true;
}

sm_span
sm_bounds_span(const sm_bounds *bounds, bool descending)
{
	sm_span span = {.from = descending ? bounds->high : bounds->low,
					.to = descending ? bounds->low : bounds->high,
					.descending = descending};

	return span;
}
