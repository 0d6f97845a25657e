/*
 * explorer_step.h
 *	  Included before the engine's sources where they are compiled for the
 *	  explorer of interleavings: each access to shared memory calls it first.
 *
 * SM_STEP stands in functions that name the place word, and whose own names
 * tell loads from stores: sm_load..., sm_store... (arena.h).
 */
#ifndef SM_EXPLORER_STEP_H
#define SM_EXPLORER_STEP_H

#include <stdbool.h>

extern void sm_explorer_step(const volatile void *word, bool stores);

#define SM_STEP() sm_explorer_step(word, __func__[3] == 's')

#endif /* SM_EXPLORER_STEP_H */
