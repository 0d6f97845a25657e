/*
 * fixed.h
 *	  Settings that are the same for everybody, for what everybody shares.
 */
#ifndef SM_FIXED_H
#define SM_FIXED_H

extern int sm_fixed_begin(void);
extern void sm_fixed_end(int level);

#endif /* SM_FIXED_H */
