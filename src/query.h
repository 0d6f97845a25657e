/*
 * query.h
 *	  Queries that compute values of a map: a loader's, and a caller's own.
 */
#ifndef SM_QUERY_H
#define SM_QUERY_H

#include "executor/spi.h"

#include "ref.h"

/* A caller's query, and what its parameters are but the first one, which is the key. */
typedef struct sm_query
{
	const char *text;
	int nargs;
	const Oid *types;
	const Datum *values;
	const bool *nulls;
} sm_query;

extern bool sm_query_value(const char *what, Oid relid, const sm_types *types,
						   SPIPlanPtr plan, Datum *parameters, const char *nulls,
						   MemoryContext context, sm_bytes *value);
extern bool sm_query_run(const sm_query *query, const sm_ref *ref, sm_bytes key,
						 sm_bytes *value);

#endif /* SM_QUERY_H */
