/*
 * expiry.h
 *	  When a pair expires, as a column of its map has it.
 */
#ifndef SM_EXPIRY_H
#define SM_EXPIRY_H

#include "types.h"

/* The first moment of 2000, as far as a pair can have expired. */
#define SM_LONG_PAST 1

extern bool sm_expiry_form_of(Oid type, const char *option, int16 *form);
extern Datum sm_expiry_datum(const sm_types *types, int64 expires, bool has_ttl,
							 bool *isnull);
extern int64 sm_expiry_from(const sm_types *types, Datum datum);
extern bool sm_expiry_is_exact(const sm_types *types);

#endif /* SM_EXPIRY_H */
