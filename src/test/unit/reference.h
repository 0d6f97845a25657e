/*
 * reference.h
 *	  Naive maps that the engine is compared with: one a chained hash under a
 *	  mutex, the other a sorted array that every change copies.
 */
#ifndef SM_REFERENCE_H
#define SM_REFERENCE_H

#include "map.h"

typedef struct sm_reference sm_reference;

struct sm_reference
{
	/* False if the key is not there.  The bytes stay until the next change. */
	bool (*load)(sm_reference *map, sm_bytes key, sm_bytes *value);
	void (*store)(sm_reference *map, sm_bytes key, sm_bytes value);
	void (*remove)(sm_reference *map, sm_bytes key);
	void (*clear)(sm_reference *map);
	size_t (*count)(sm_reference *map);
	void (*destroy)(sm_reference *map);
};

extern sm_reference *sm_reference_hash(void);
extern sm_reference *sm_reference_copy_on_write(void);

#endif /* SM_REFERENCE_H */
