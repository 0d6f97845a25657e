/*
 * scan_rows.h
 *	  Rows collected before the first of them is given.
 */
#ifndef SM_SCAN_ROWS_H
#define SM_SCAN_ROWS_H

#include "scan_source.h"

typedef struct sm_rows sm_rows;

extern sm_rows *sm_rows_make(const sm_scan_spec *spec, bool bounded);
extern void sm_rows_put(sm_rows *store, const sm_row *row, bool label);
extern void sm_rows_finish(sm_rows *store);
extern bool sm_rows_next(sm_rows *store, sm_row *row, bool *label);
extern void sm_rows_rewind(sm_rows *store);
extern void sm_rows_end(sm_rows *store);

#endif /* SM_SCAN_ROWS_H */
