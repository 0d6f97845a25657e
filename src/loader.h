/*
 * loader.h
 *	  A map's loader: the query that computes what a key's value is.
 */
#ifndef SM_LOADER_H
#define SM_LOADER_H

#include "ref.h"

extern void sm_loader_check(Oid relid, const sm_types *types, const char *query);
extern bool sm_loader_run(const sm_ref *ref, sm_bytes key, sm_bytes *value);

#endif /* SM_LOADER_H */
