/*
 * scan_merge.h
 *	  Pairs in the order of keys, merged from the orders of a map's shards.
 */
#ifndef SM_SCAN_MERGE_H
#define SM_SCAN_MERGE_H

#include "scan_source.h"

typedef struct sm_merge sm_merge;

extern sm_merge *sm_merge_start(const sm_source *source);
extern bool sm_merge_next(sm_merge *merge, sm_row *row);
extern void sm_merge_end(sm_merge *merge);

#endif /* SM_SCAN_MERGE_H */
