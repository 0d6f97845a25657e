/*
 * fixed.c
 *	  Settings that are the same for everybody, for what everybody shares.
 *
 * What a loader gives is shared by all who may read the map, and a watch's key is what all
 * sessions note: neither may depend on what one of them has set.  Names are those of
 * pg_catalog, or qualified.
 */
#include "compat.h"

#include "utils/guc.h"

#include "fixed.h"

static const struct
{
	const char *name;
	const char *value;
} settings[] = {{"search_path", "pg_catalog, pg_temp"},
				{"TimeZone", "UTC"},
				{"timezone_abbreviations", "Default"},
				{"DateStyle", "ISO, MDY"},
				{"IntervalStyle", "postgres"},
				{"extra_float_digits", "1"},
				{"bytea_output", "hex"},
				{"xmlbinary", "base64"},
				{"xmloption", "content"},
				{"lc_monetary", "C"},
				{"lc_numeric", "C"},
				{"lc_time", "C"},
				{"standard_conforming_strings", "on"},
				{"transform_null_equals", "off"},
				{"array_nulls", "on"},
				{"quote_all_identifiers", "off"},
				{"gin_fuzzy_search_limit", "0"},
				{"default_text_search_config", "pg_catalog.simple"},
				{"row_security", "on"}};

/* From here on these settings hold.  Returns what sm_fixed_end wants. */
int
sm_fixed_begin(void)
{
	int level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* And now those from before. */
void
sm_fixed_end(int level)
{
	AtEOXact_GUC(false, level);
}
