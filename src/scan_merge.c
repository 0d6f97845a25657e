/*
 * scan_merge.c
 *	  Pairs in the order of keys, merged from the orders of a map's shards.
 *
 * Each shard gives a buffer of pairs at a time, small at first, for a query may
 * want no more.  The next one begins behind the last key, so each key comes once at
 * most, and one that is there throughout comes.
 */
#include "compat.h"

#include "lib/binaryheap.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "scan_merge.h"

/* A shard's buffer, in bytes. */
#define FIRST_SIZE 1024
#define LAST_SIZE  (32 * 1024)

/* What a shard has given and has not been taken yet. */
typedef struct stream
{
	uint32 shard;
	sm_buffer pairs;
	size_t position; /* of the pair behind row */
	bool is_last;	 /* the shard has no more */
	sm_row row;
	uint64 word; /* the first bytes of row's key, as a number */
} stream;

struct sm_merge
{
	Oid relid;
	sm_map map;
	MemoryContext context;
	sm_span span;
	uint32 most; /* pairs that a shard is asked for at first */
	binaryheap *heap;
	stream *taken;	 /* whose row was returned last */
	sm_buffer value; /* one that was not with its key */
	int nstreams;
	stream streams[FLEXIBLE_ARRAY_MEMBER];
};

static int
compare_streams(Datum a, Datum b, void *arg)
{
	const stream *x = (const stream *) DatumGetPointer(a);
	const stream *y = (const stream *) DatumGetPointer(b);
	const sm_merge *merge = arg;
	int order;

	if (x->word != y->word)
		order = x->word < y->word ? -1 : 1;
	else
		order = sm_key_compare(x->row.key, y->row.key);
	/* the heap's first is the greatest */
	return merge->span.descending ? order : -order;
}

/* Asks the shard for more, behind its last key.  False if that gave nothing. */
static bool
fill(sm_merge *merge, stream *s)
{
	char bytes[SM_MAX_KEY];
	sm_bytes last = {NULL, 0};
	sm_span span = merge->span;
	uint32 most = merge->most;
	sm_status status;

	if (s->pairs.len > 0)
	{
		last =
			(sm_bytes) {memcpy(bytes, s->row.key.data, s->row.key.len), s->row.key.len};
		span.from = (sm_bound) {last, false};
		most = PG_UINT32_MAX;
		if (s->pairs.size < LAST_SIZE)
			sm_make_buffer(&s->pairs, merge->context, s->pairs.size * 2);
	}
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		status = sm_range_ordered(&merge->map, s->shard, &span, most, &s->pairs);
		if (status != SM_TOO_SMALL)
			break;
		sm_make_buffer(&s->pairs, merge->context, s->pairs.len);
	}
	s->position = 0;
	s->is_last = status != SM_FOUND;
	if (status == SM_REFUSED)
		sm_map_was_altered(merge->relid);
	if (status != SM_FOUND && status != SM_ABSENT)
		s->pairs.len = 0;
	return s->pairs.len > 0;
}

/* Goes to a stream's next pair.  False if there is none. */
static bool
advance(sm_merge *merge, stream *s)
{
	uint64 word = 0;

	if (s->position >= s->pairs.len && (s->is_last || !fill(merge, s)))
		return false;
	s->position = sm_take_pair(&s->pairs, s->position, &s->row);
	memcpy(&word, s->row.key.data, Min(s->row.key.len, sizeof(word)));
	s->word = pg_ntoh64(word);
	return true;
}

sm_merge *
sm_merge_start(const sm_source *source)
{
	MemoryContext old = MemoryContextSwitchTo(source->context);
	int nstreams = 1 << source->map.shard_bits;
	sm_merge *merge = palloc0(offsetof(sm_merge, streams) + nstreams * sizeof(stream));

	merge->map = source->map;
	merge->context = source->context;
	merge->span = sm_bounds_span(&source->spec.bounds, source->spec.descending);
	merge->relid = source->relid;
	/* some shards have more than their share of the first rows */
	merge->most = (uint32) Min(source->spec.max_rows, PG_UINT32_MAX);
	merge->most = Min(merge->most, merge->most / nstreams + 4);
	merge->heap = binaryheap_allocate(nstreams, compare_streams, merge);
	merge->nstreams = nstreams;
	for (int i = 0; i < nstreams; i++)
	{
		stream *s = &merge->streams[i];

		s->shard = (uint32) i;
		sm_make_buffer(&s->pairs, source->context, FIRST_SIZE);
		if (advance(merge, s))
			binaryheap_add_unordered(merge->heap, PointerGetDatum(s));
	}
	binaryheap_build(merge->heap);
	MemoryContextSwitchTo(old);
	return merge;
}

void
sm_merge_end(sm_merge *merge)
{
	for (int i = 0; i < merge->nstreams; i++)
		pfree(merge->streams[i].pairs.data);
	if (merge->value.data != NULL)
		pfree(merge->value.data);
	binaryheap_free(merge->heap);
	pfree(merge);
}

/* Gets a value that was not with its key.  False if it is not there any more. */
static bool
get_value(sm_merge *merge, sm_row *row)
{
	sm_status status;

	while ((status = sm_get_expiry(&merge->map, row->key, &merge->value,
								   &row->expires)) == SM_TOO_SMALL)
		sm_make_buffer(&merge->value, merge->context, merge->value.len);
	row->value = (sm_bytes) {merge->value.data, merge->value.len};
	return status == SM_FOUND;
}

/* The next pair; false when there is none. */
bool
sm_merge_next(sm_merge *merge, sm_row *row)
{
	do
	{
		stream *s = merge->taken;

		if (s != NULL)
		{
			merge->taken = NULL;
			if (advance(merge, s))
				binaryheap_replace_first(merge->heap, PointerGetDatum(s));
			else
				(void) binaryheap_remove_first(merge->heap);
		}
		if (binaryheap_empty(merge->heap))
			return false;
		s = merge->taken = (stream *) DatumGetPointer(binaryheap_first(merge->heap));
		*row = s->row;
	} while (row->value.len == SM_NO_VALUE && !get_value(merge, row));
	return true;
}
