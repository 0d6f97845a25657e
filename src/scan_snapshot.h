/*
 * scan_snapshot.h
 *	  The pairs that a map held at one moment.
 */
#ifndef SM_SCAN_SNAPSHOT_H
#define SM_SCAN_SNAPSHOT_H

#include "scan_source.h"

typedef struct sm_snapshot_scan sm_snapshot_scan;

extern sm_snapshot_scan *sm_snapshot_scan_start(sm_source *source);
extern bool sm_snapshot_scan_next(sm_snapshot_scan *scan, sm_row *row);
extern void sm_snapshot_scan_rewind(sm_snapshot_scan *scan);
extern void sm_snapshot_scan_end(sm_snapshot_scan *scan);

#endif /* SM_SCAN_SNAPSHOT_H */
