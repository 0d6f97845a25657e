/*
 * fetch.h
 *	  Reading a map through to the tables behind it.
 */
#ifndef SM_FETCH_H
#define SM_FETCH_H

#include "args.h"
#include "moment.h"
#include "query.h"

extern bool sm_fetch(sm_args *args, sm_bytes key, const sm_query *query, bool enabled,
					 bool *is_stale);
extern bool sm_fetch_may_store(const sm_call *call, sm_bytes key);
extern bool sm_fetch_store(sm_call *call, sm_bytes key, const sm_bytes *value,
						   int64 expires, sm_moment *moment);

#endif /* SM_FETCH_H */
