/*
 * seen.c
 *	  The keys that a statement has changed.
 *
 * A statement may change millions, and keys are long, so of each a digest of 128 bits is
 * kept: with a secret, so that nobody can find two keys of one digest, and by chance there
 * are none.  Most statements change one key, which needs no table.
 */
#include "compat.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "port_pg.h"
#include "seen.h"

typedef struct digest
{
	uint64 low;
	uint64 high;
} digest;

typedef struct seen_key
{
	digest digest;
	char status; /* simplehash's */
} seen_key;

static inline bool
same_digest(const digest *a, const digest *b)
{
	return a->low == b->low && a->high == b->high;
}

#define SH_PREFIX		   digests
#define SH_ELEMENT_TYPE	   seen_key
#define SH_KEY_TYPE		   digest
#define SH_KEY			   digest
#define SH_HASH_KEY(tb, a) ((uint32) (a).low)
#define SH_EQUAL(tb, a, b) same_digest(&(a), &(b))
#define SH_SCOPE		   static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct sm_seen
{
	MemoryContext context;
	bool any;
	digest first;
	digests_hash *others; /* NULL: there are none */
};

static digest
digest_of(sm_bytes key)
{
	XXH128_hash_t hash =
		XXH3_128bits_withSecret(key.data, key.len, sm_pg_engine.secret, SM_SECRET_SIZE);

	return (digest) {hash.low64, hash.high64};
}

/* An empty set, in the current memory context. */
sm_seen *
sm_seen_make(void)
{
	sm_seen *seen = palloc0(sizeof(sm_seen));

	seen->context = CurrentMemoryContext;
	return seen;
}

bool
sm_seen_has(const sm_seen *seen, sm_bytes key)
{
	digest digest;

	if (!seen->any)
		return false;
	digest = digest_of(key);
	return same_digest(&seen->first, &digest) ||
		(seen->others != NULL && digests_lookup(seen->others, digest) != NULL);
}

void
sm_seen_add(sm_seen *seen, sm_bytes key)
{
	digest digest = digest_of(key);
	bool found;

	if (!seen->any)
	{
		seen->any = true;
		seen->first = digest;
		return;
	}
	if (seen->others == NULL)
		seen->others = digests_create(seen->context, 16, NULL);
	(void) digests_insert(seen->others, digest, &found);
}
