/*
 * guc.c
 *	  The settings, syncmap.*.
 *
 * The two ratios are settings of the engine, which knows no PostgreSQL: their
 * assign hooks write them into this process' engine.
 */
#include "compat.h"

#include "utils/guc.h"

#include "guc.h"
#include "port_pg.h"

int sm_guc_memory = 64;
int sm_guc_max_maps = 128;
bool sm_guc_enabled = true;
bool sm_guc_wal_invalidation = false;
int sm_guc_maintenance_interval = 5000;
static int promote_ratio = 0;
static int compact_ratio = 30;

static void
assign_promote_ratio(int newval, void *extra)
{
	sm_pg_engine.promote_ratio = (uint32_t) newval;
}

static void
assign_compact_ratio(int newval, void *extra)
{
	sm_pg_engine.compact_ratio = (uint32_t) newval;
}

/* Defines the settings.  Called once, while the postmaster loads us. */
void
sm_guc_init(void)
{
	DefineCustomIntVariable("syncmap.memory",
							"Sets the amount of shared memory that holds all maps.",
							NULL, &sm_guc_memory, 64, 1, 262144, PGC_POSTMASTER,
							GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"syncmap.max_maps",
		"Sets the number of maps that can be in use at the same time.",
		"A map is in use from its first call on until it is dropped.", &sm_guc_max_maps,
		128, 1, 8192, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"syncmap.promote_ratio",
		"New keys move to the read index when they pass this percentage of a shard's keys.",
		"0: they go there directly.", &promote_ratio, 0, 0, 100, PGC_SIGHUP, 0, NULL,
		assign_promote_ratio, NULL);
	DefineCustomIntVariable(
		"syncmap.compact_ratio",
		"A segment is compacted when its dead bytes pass this percentage.",
		"0 compacts at every deletion.", &compact_ratio, 30, 0, 100, PGC_SIGHUP, 0,
		NULL, assign_compact_ratio, NULL);
	DefineCustomIntVariable("syncmap.maintenance_interval",
							"Sets the time between two runs of the maintenance worker.",
							NULL, &sm_guc_maintenance_interval, 5000, 100, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("syncmap.enabled", "Lets functions use the maps.",
							 "When off, all keys are absent and nothing is stored.",
							 &sm_guc_enabled, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"syncmap.wal_invalidation",
		"Lets owners of maps have invalidations written to the WAL, for standbys.",
		"Every server that replays the WAL must then have syncmap in shared_preload_libraries.",
		&sm_guc_wal_invalidation, false, PGC_SIGHUP, 0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("syncmap");
}
