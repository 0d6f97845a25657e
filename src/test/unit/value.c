/*
 * value.c
 *	  Keys and values that carry what is needed to check them.
 */
#include "workload.h"

#define KEY_MAX 1600

/* A few are long. */
static size_t
key_len(uint64_t key)
{
	return key % 1000 == 5 ? KEY_MAX : 8 + key % 33;
}

/* Writes the key's bytes, at most SM_MAX_KEY, and returns how many they are. */
size_t
sm_key_make(void *to, uint64_t key)
{
	size_t len = key_len(key);

	memset(to, (int) (key * 7 + 1), len);
	memcpy(to, &key, sizeof(key));
	return len;
}

/* The key that has these bytes. */
uint64_t
sm_key_read(const void *bytes, size_t len)
{
	char wanted[KEY_MAX];
	uint64_t key = UINT64_MAX;

	if (len >= sizeof(key))
		memcpy(&key, bytes, sizeof(key));
	sm_check(len == key_len(key) && sm_key_make(wanted, key) == len &&
				 memcmp(wanted, bytes, len) == 0,
			 "a key of %zu bytes that nobody made", len);
	return key;
}

static uint64_t
checksum(const char *bytes, size_t len)
{
	uint64_t sum = len;

	for (size_t i = sizeof(uint64_t); i < len; i += 8)
	{
		uint64_t word = 0;

		memcpy(&word, bytes + i, len - i < 8 ? len - i : 8);
		sum = (sum << 7 | sum >> 57) * 0x9e3779b97f4a7c15 + word;
	}
	return sum;
}

/*
 * Writes a value of len bytes, at least a head's.  Any two values differ in
 * nearly all of their words.
 */
void
sm_value_make(void *to, size_t len, sm_value head)
{
	char *bytes = to;
	uint64_t word = sm_mix(head.key ^ sm_mix(head.number ^ sm_mix(head.map)));

	for (size_t i = sizeof(head); i < len; i += 8)
	{
		memcpy(bytes + i, &word, len - i < 8 ? len - i : 8);
		word = word * 6364136223846793005 + 1442695040888963407;
	}
	memcpy(bytes, &head, sizeof(head));
	head.sum = checksum(bytes, len);
	memcpy(bytes, &head, sizeof(head));
}

/* The head of a value, which must be whole. */
sm_value
sm_value_read(const void *bytes, size_t len)
{
	sm_value head = {0};

	sm_check(len >= sizeof(head), "a value of %zu bytes", len);
	memcpy(&head, bytes, sizeof(head));
	sm_check(head.sum == checksum(bytes, len), "a torn value of %zu bytes", len);
	return head;
}

/* Lengths for a place that is overwritten, for appending, and for extents. */
size_t
sm_value_draw_len(sm_rng *rng, size_t longest)
{
	uint64_t dice = sm_rng_below(rng, 100);
	size_t len;

	if (dice < 20)
		len = 96;
	else if (dice < 70)
		len = sizeof(sm_value) + sm_rng_below(rng, 130);
	else if (dice < 88)
		len = sizeof(sm_value) + sm_rng_below(rng, 1200);
	else if (dice < 97)
		len = sizeof(sm_value) + sm_rng_below(rng, 9000);
	else
		len = sizeof(sm_value) + sm_rng_below(rng, longest);
	return len < longest ? len : longest;
}
