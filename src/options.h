/*
 * options.h
 *	  A map's options, OPTIONS (...) of its foreign table.
 */
#ifndef SM_OPTIONS_H
#define SM_OPTIONS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "engine/map.h"

typedef struct sm_options
{
	uint64 max_memory; /* bytes; 0: no quota */
	bool evicts;
	bool has_ttl;
	Interval ttl;		   /* of keys that are stored without one */
	uint32 shard_bits;	   /* 2^shard_bits shards */
	bool has_shards;	   /* the option is given */
	int promote_ratio;	   /* percent; -1: the setting's */
	bool ordered;		   /* its keys are kept in order, too */
	bool consistent;	   /* a scan of its table is a snapshot */
	bool unchecked_puts;   /* if it is watched, any value may be stored */
	bool wal_invalidation; /* standbys hear of what invalidates its keys */
	const char *loader;	   /* the query that computes a key's value, or NULL */
	int load_wait;		   /* milliseconds to wait for another session's load */
	int64 absent_ttl;	   /* microseconds that no row is remembered; 0: not at all */
	int64 stale; /* microseconds that what is invalidated is kept; 0: not at all */
} sm_options;

extern void sm_options_parse(List *options, sm_options *parsed);
extern void sm_options_apply(const sm_options *options, sm_map *map);
extern int64 sm_ttl_expires(const Interval *ttl);
extern char *sm_ttl_out(const Interval *ttl);

#endif /* SM_OPTIONS_H */
