/*
 * bounds.h
 *	  Which keys a range is about.
 */
#ifndef SM_BOUNDS_H
#define SM_BOUNDS_H

#include "engine/map.h"

/* The least and the greatest key; what they point at is the caller's. */
typedef struct sm_bounds
{
	sm_bound low;
	sm_bound high;
} sm_bounds;

extern void sm_bounds_from(sm_bounds *bounds, sm_bytes key, bool inclusive);
extern void sm_bounds_to(sm_bounds *bounds, sm_bytes key, bool inclusive);
extern void sm_bounds_prefix(sm_bounds *bounds, sm_bytes prefix);
extern bool sm_bounds_contain(const sm_bounds *bounds, sm_bytes key);
extern sm_span sm_bounds_span(const sm_bounds *bounds, bool descending);
extern int sm_key_compare(sm_bytes a, sm_bytes b);

#endif /* SM_BOUNDS_H */
