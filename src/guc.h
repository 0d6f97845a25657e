/*
 * guc.h
 *	  The settings, syncmap.*.
 */
#ifndef SM_GUC_H
#define SM_GUC_H

extern int sm_guc_memory; /* MB */
extern int sm_guc_max_maps;
extern int sm_guc_maintenance_interval; /* ms */
extern bool sm_guc_enabled;
extern bool sm_guc_wal_invalidation;

extern void sm_guc_init(void);

#endif /* SM_GUC_H */
