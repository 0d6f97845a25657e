/*
 * row.h
 *	  The value of a map that has several columns for it, or none: a row.
 */
#ifndef SM_ROW_H
#define SM_ROW_H

#include "types.h"

extern void sm_row_check_nulls(const sm_types *types, TupleDesc desc,
							   const bool *nulls);
extern sm_bytes sm_row_pack(const sm_types *types, TupleDesc desc, const Datum *values,
							const bool *nulls);
extern void sm_row_unpack(const sm_types *types, TupleDesc desc, sm_bytes bytes,
						  Datum *values, bool *nulls);
extern Datum sm_row_datum(const sm_types *types, sm_bytes key, sm_bytes bytes,
						  int64 expires, bool has_ttl);
extern sm_bytes sm_row_argument(const sm_types *types, Datum composite, sm_bytes key,
								int64 *expires);
extern sm_bytes sm_row_of(const sm_types *types, Datum composite);

#endif /* SM_ROW_H */
