/*
 * lease.h
 *	  Leases: moments from which on a client reads what it is going to store.
 */
#ifndef SM_LEASE_H
#define SM_LEASE_H

#include "moment.h"

extern void sm_lease_init(void);
extern void sm_lease_request(void);
extern void sm_lease_startup(void);

extern bytea *sm_lease_give(Oid map, bool is_good);
extern bool sm_lease_read(bytea *bytes, Oid map, sm_moment *moment);

#endif /* SM_LEASE_H */
