/*
 * ddl.h
 *	  What statements about maps are refused, and how.
 */
#ifndef SM_DDL_H
#define SM_DDL_H

extern void sm_ddl_init(void);

#endif /* SM_DDL_H */
