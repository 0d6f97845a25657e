/*
 * wal.h
 *	  Invalidations in the WAL, for the maps of standbys.
 */
#ifndef SM_WAL_H
#define SM_WAL_H

#include "engine/map.h"

/* A record of a map's keys that is being made. */
typedef struct sm_wal_record sm_wal_record;

extern void sm_wal_init(void);

extern sm_wal_record *sm_wal_begin(Oid map);
extern void sm_wal_add_key(sm_wal_record *record, sm_bytes key);
extern void sm_wal_end(sm_wal_record *record);
extern void sm_wal_whole(Oid map, uint64 horizon);
extern void sm_wal_forget(Oid map);

#endif /* SM_WAL_H */
