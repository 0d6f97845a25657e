/*
 * fixed.c
 *	  Settings that are the same for everybody, for what everybody shares.
 *
 * What a loader gives is shared by all who may read the map, and a watch's key is what all
 * sessions note: neither may depend on what one of them has set.  Names are those of
 * pg_catalog, or qualified.
 *
 * Most sessions have most of them as they are to be.  To set one costs more than a small
 * query, timezone_abbreviations reads files, so what holds already is not set.
 */
#include "compat.h"

#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "fixed.h"

typedef struct fixed_setting
{
	const char *name;
	const char *value;
	struct config_generic *variable; /* NULL: not set yet, in this session */
	union config_var_val native; /* the value as PostgreSQL keeps it, but for strings */
} fixed_setting;

static fixed_setting settings[] =
	{{.name = "search_path", .value = "pg_catalog, pg_temp"},
	 {.name = "TimeZone", .value = "UTC"},
	 {.name = "timezone_abbreviations", .value = "Default"},
	 {.name = "DateStyle", .value = "ISO, MDY"},
	 {.name = "IntervalStyle", .value = "postgres"},
	 {.name = "extra_float_digits", .value = "1"},
	 {.name = "bytea_output", .value = "hex"},
	 {.name = "xmlbinary", .value = "base64"},
	 {.name = "xmloption", .value = "content"},
	 {.name = "lc_monetary", .value = "C"},
	 {.name = "lc_numeric", .value = "C"},
	 {.name = "lc_time", .value = "C"},
	 {.name = "standard_conforming_strings", .value = "on"},
	 {.name = "transform_null_equals", .value = "off"},
	 {.name = "array_nulls", .value = "on"},
	 {.name = "quote_all_identifiers", .value = "off"},
	 {.name = "gin_fuzzy_search_limit", .value = "0"},
	 {.name = "default_text_search_config", .value = "pg_catalog.simple"},
	 {.name = "row_security", .value = "on"}};

/* Does a setting have its value? */
static bool
holds(const fixed_setting *setting)
{
	const struct config_generic *variable = setting->variable;
	const char *string;

	if (variable == NULL)
		return false;
	switch (variable->vartype)
	{
		case PGC_BOOL:
			return *((const struct config_bool *) variable)->variable ==
				setting->native.boolval;
		case PGC_INT:
			return *((const struct config_int *) variable)->variable ==
				setting->native.intval;
		case PGC_ENUM:
			return *((const struct config_enum *) variable)->variable ==
				setting->native.enumval;
		case PGC_STRING:
			string = *((const struct config_string *) variable)->variable;
			return string != NULL && strcmp(string, setting->value) == 0;
		default:
			return false;
	}
}

/* Learns how PostgreSQL keeps a setting, which has just been set. */
static void
learn(fixed_setting *setting)
{
	struct config_generic *variable = sm_find_setting(setting->name);

	if (variable == NULL)
		return;
	if (variable->vartype == PGC_BOOL)
		setting->native.boolval = *((const struct config_bool *) variable)->variable;
	else if (variable->vartype == PGC_INT)
		setting->native.intval = *((const struct config_int *) variable)->variable;
	else if (variable->vartype == PGC_ENUM)
		setting->native.enumval = *((const struct config_enum *) variable)->variable;
	setting->variable = variable;
}

/*
 * From here on these settings hold.  Returns what sm_fixed_end wants.  What code that runs
 * meanwhile sets itself is undone there, too: the level remembers it, whether or not
 * anything was set here.
 */
int
sm_fixed_begin(void)
{
	int level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
	{
		if (holds(&settings[i]))
			continue;
		if (set_config_option(settings[i].name, settings[i].value, PGC_USERSET,
							  PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false) > 0 &&
			settings[i].variable == NULL)
			learn(&settings[i]);
	}
	return level;
}

/* And now those from before. */
void
sm_fixed_end(int level)
{
	AtEOXact_GUC(false, level);
}
