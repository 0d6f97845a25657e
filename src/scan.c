/*
 * scan.c
 *	  All pairs of a map, a buffer at a time.
 *
 * The engine copies the pairs of some buckets into a buffer of ours, from
 * which rows are made; nothing is locked or pinned in between, so that a query
 * may take as long as it likes, or never come back.
 */
#include "compat.h"

#include "utils/memutils.h"

#include "guc.h"
#include "scan.h"

#define FIRST_BUFFER_SIZE (64 * 1024)

/* Starts a scan, whose memory is the current context's. */
void
sm_scan_start(sm_scan *scan, const sm_ref *ref)
{
	*scan = (sm_scan) {.map = ref->map};
	scan->map.reads = (sm_reads) {0};
	scan->done = !sm_guc_enabled;
	scan->pairs.data = palloc(FIRST_BUFFER_SIZE);
	scan->pairs.size = FIRST_BUFFER_SIZE;
}

/* Starts again, from the first pair. */
void
sm_scan_restart(sm_scan *scan)
{
	scan->cursor = (sm_cursor) {0};
	scan->pairs.len = 0;
	scan->position = 0;
	scan->done = !sm_guc_enabled;
}

void
sm_scan_end(sm_scan *scan)
{
	pfree(scan->pairs.data);
}

/* Makes the buffer larger.  Values may be larger than palloc allows. */
static void
grow(sm_scan *scan, size_t size)
{
	MemoryContext context = GetMemoryChunkContext(scan->pairs.data);

	pfree(scan->pairs.data);
	scan->pairs.data = MemoryContextAllocHuge(context, size);
	scan->pairs.size = size;
}

/* Fills the buffer again; sets done when nothing is left. */
static void
next_pairs(sm_scan *scan)
{
	scan->pairs.len = 0;
	scan->position = 0;
	while (!scan->done && scan->pairs.len == 0)
	{
		CHECK_FOR_INTERRUPTS();
		switch (sm_range(&scan->map, &scan->cursor, &scan->pairs))
		{
			case SM_FOUND:
				break;
			case SM_TOO_SMALL:
				grow(scan, scan->pairs.len);
				scan->pairs.len = 0;
				break;
			default:
				/* SM_ABSENT, or a map that is gone */
				scan->pairs.len = 0;
				scan->done = true;
		}
	}
}

/* The next pair; false when there is none. */
bool
sm_scan_next(sm_scan *scan, sm_row *row)
{
	const sm_pair *pair;
	const char *at;

	if (scan->position >= scan->pairs.len)
		next_pairs(scan);
	if (scan->done)
		return false;

	at = (const char *) scan->pairs.data + scan->position;
	pair = (const sm_pair *) at;
	row->expires = pair->expires;
	row->key = (sm_bytes) {at + sizeof(*pair), pair->key_len};
	row->value =
		(sm_bytes) {at + sizeof(*pair) + sm_pad(pair->key_len), pair->value_len};
	scan->position += sizeof(*pair) + sm_pad(pair->key_len) + sm_pad(pair->value_len);
	return true;
}
