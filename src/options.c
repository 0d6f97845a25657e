/*
 * options.c
 *	  A map's options, OPTIONS (...) of its foreign table.
 */
#include "compat.h"

#include "commands/defrem.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "options.h"
#include "port_pg.h"

#define MIN_MEMORY_KB 64

/* Milliseconds. */
#define DEFAULT_LOAD_WAIT 5000

/* Microseconds: nothing is kept or remembered longer, which no sum with now exceeds. */
#define LONGEST (INT64CONST(36525) * USECS_PER_DAY)

/* What a shard should have of its map's quota, in bytes. */
#define SHARD_MEMORY (256 * 1024)

static _Noreturn void
invalid_value(const char *option, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			 errhint("%s", hint)));
}

static void
parse_max_memory(const char *value, sm_options *parsed)
{
	int kb;

	if (!parse_int(value, &kb, GUC_UNIT_KB, NULL) || kb < MIN_MEMORY_KB)
		invalid_value("max_memory", value,
					  psprintf("It is a size from %d kB to %d kB, such as '16MB'.",
							   MIN_MEMORY_KB, INT_MAX));
	parsed->max_memory = (uint64) kb * 1024;
}

static void
parse_eviction(const char *value, sm_options *parsed)
{
	if (strcmp(value, "s3fifo") != 0 && strcmp(value, "none") != 0)
		invalid_value("eviction", value, "Valid values are \"s3fifo\" and \"none\".");
	parsed->evicts = strcmp(value, "s3fifo") == 0;
}

static void
parse_shards(const char *value, sm_options *parsed)
{
	int shards;

	if (!parse_int(value, &shards, 0, NULL) || shards < 1 || shards > SM_MAX_SHARDS ||
		(shards & (shards - 1)) != 0)
		invalid_value("shards", value,
					  psprintf("It is a power of two, from 1 to %d.", SM_MAX_SHARDS));
	parsed->shard_bits = (uint32) pg_leftmost_one_pos32((uint32) shards);
}

static void
parse_promote_ratio(const char *value, sm_options *parsed)
{
	if (!parse_int(value, &parsed->promote_ratio, 0, NULL) ||
		parsed->promote_ratio < 0 || parsed->promote_ratio > 100)
		invalid_value("promote_ratio", value, "It is a percentage, from 0 to 100.");
}

static void
parse_load_wait(const char *value, sm_options *parsed)
{
	if (!parse_int(value, &parsed->load_wait, GUC_UNIT_MS, NULL) ||
		parsed->load_wait < 0)
		invalid_value("load_wait", value, "It is a time, such as '5s'.");
}

static bool
parse_flag(const char *option, const char *value)
{
	bool flag;

	if (!parse_bool(value, &flag))
		invalid_value(option, value, "It is a boolean.");
	return flag;
}

/* A map with a small quota has fewer shards: each wants some pages of its own. */
static uint32
default_shard_bits(uint64 max_memory)
{
	uint32 bits = SM_MAP_SHARD_BITS;

	while (max_memory != 0 && bits > 0 && max_memory >> bits < SHARD_MEMORY)
		bits--;
	return bits;
}

/* The text of an interval, whatever style the session likes. */
char *
sm_ttl_out(const Interval *ttl)
{
	int style = IntervalStyle;
	Datum text;

	PG_TRY();
	{
		IntervalStyle = INTSTYLE_POSTGRES;
		text = DirectFunctionCall1(interval_out, IntervalPGetDatum(ttl));
	}
	PG_FINALLY();
	{
		IntervalStyle = style;
	}
	PG_END_TRY();
	return DatumGetCString(text);
}

/* An interval from that text. */
static Interval *
ttl_in(const char *text)
{
	int style = IntervalStyle;
	Datum ttl;

	PG_TRY();
	{
		IntervalStyle = INTSTYLE_POSTGRES;
		ttl = DirectFunctionCall3(interval_in, CStringGetDatum(text),
								  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	PG_FINALLY();
	{
		IntervalStyle = style;
	}
	PG_END_TRY();
	return DatumGetIntervalP(ttl);
}

/* A time to keep or remember something, in microseconds; days and months have one length. */
static int64
parse_time(const char *option, const char *value)
{
	const Interval *interval = ttl_in(value);
	double usecs = (double) interval->time +
		((double) interval->month * DAYS_PER_MONTH + interval->day) *
			(double) USECS_PER_DAY;

	if (usecs < 1 || usecs > (double) LONGEST)
		invalid_value(option, value,
					  "It is a time of up to 100 years, such as '10s', and not zero.");
	return (int64) usecs;
}

/*
 * Reads a map's options.  Errors: HV00D no such option; 22023, 22007, 22008, 22015
 * its value is not one.
 */
void
sm_options_parse(List *options, sm_options *parsed)
{
	ListCell *cell;

	*parsed = (sm_options) {.evicts = true,
							.promote_ratio = -1,
							.load_wait = DEFAULT_LOAD_WAIT};
	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "max_memory") == 0)
			parse_max_memory(defGetString(option), parsed);
		else if (strcmp(option->defname, "eviction") == 0)
			parse_eviction(defGetString(option), parsed);
		else if (strcmp(option->defname, "ttl") == 0)
		{
			parsed->ttl = *ttl_in(defGetString(option));
			parsed->has_ttl = true;
		}
		else if (strcmp(option->defname, "shards") == 0)
		{
			parse_shards(defGetString(option), parsed);
			parsed->has_shards = true;
		}
		else if (strcmp(option->defname, "promote_ratio") == 0)
			parse_promote_ratio(defGetString(option), parsed);
		else if (strcmp(option->defname, "ordered") == 0)
			parsed->ordered = parse_flag("ordered", defGetString(option));
		else if (strcmp(option->defname, "consistent") == 0)
			parsed->consistent = parse_flag("consistent", defGetString(option));
		else if (strcmp(option->defname, "unchecked_puts") == 0)
			parsed->unchecked_puts = parse_flag("unchecked_puts", defGetString(option));
		else if (strcmp(option->defname, "wal_invalidation") == 0)
			parsed->wal_invalidation =
				parse_flag("wal_invalidation", defGetString(option));
		else if (strcmp(option->defname, "loader") == 0)
			parsed->loader = defGetString(option);
		else if (strcmp(option->defname, "load_wait") == 0)
			parse_load_wait(defGetString(option), parsed);
		else if (strcmp(option->defname, "absent_ttl") == 0)
			parsed->absent_ttl = parse_time("absent_ttl", defGetString(option));
		else if (strcmp(option->defname, "stale") == 0)
			parsed->stale = parse_time("stale", defGetString(option));
		else
			ereport(
				ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", option->defname),
				 errhint(
					 "Valid options of a map are: max_memory, eviction, ttl, shards, promote_ratio, ordered, consistent, loader, load_wait, absent_ttl, stale, unchecked_puts, wal_invalidation.")));
	}
	if (!parsed->has_shards)
		parsed->shard_bits = default_shard_bits(parsed->max_memory);
}

/* Makes a map do what its options say.  Takes its shards' locks, throws nothing. */
void
sm_options_apply(const sm_options *options, sm_map *map)
{
	sm_map_configure(map, options->max_memory, options->evicts);
	sm_map_set_promote_ratio(map, options->promote_ratio);
	sm_map_set_stale(map, options->stale);
	sm_map_set_ordered(map, options->ordered);
}

/*
 * When a key expires that gets this time to live now, for the engine.  Errors:
 * 22023 it is not more than zero; 22008 that is after all time.
 */
int64
sm_ttl_expires(const Interval *ttl)
{
	Interval zero = {0};
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires = now;

	if (DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(ttl),
										 IntervalPGetDatum(&zero))))
		expires = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														  TimestampTzGetDatum(now),
														  IntervalPGetDatum(ttl)));
	/* a month less some days may be less than nothing, at times */
	if (expires <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to live must be greater than zero")));
	return expires;
}
