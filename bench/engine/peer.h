/*
 * peer.h
 *	  A map that the engine is compared with, as the bench calls it.
 *
 * Keys and values are of fixed sizes, though the engine does not know that.  Every get
 * copies the value out.  Each thread has a handle of its own.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_LEN	  16
#define VALUE_LEN 96

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peer
{
	const char *name;
	void (*open)(uint64_t keys); /* an empty map that is to hold so many */
	void *(*enter)(void);		 /* a thread comes */
	void (*leave)(void *handle);
	bool (*get)(void *handle, const void *key, void *value); /* false: not there */
	void (*put)(void *handle, const void *key, const void *value);
	void (*remove)(void *handle, const void *key);
	/* adds 1 to the number at the front of a value that is there */
	void (*increment)(void *handle, const void *key);
	/* n values at once, at most 64; NULL: it has no such call */
	void (*get_many)(void *handle, const void *keys, int n, void *values);
	uint64_t (*memory)(void); /* bytes in use, NULL: the process' */
} peer;

extern const peer the_peer;

#ifdef __cplusplus
}

#include <cstring>
#include <string>
#include <string_view>

/*
 * What the maps of C++ keep: structures of the right size in their tables, or with
 * -DSTRINGS what one takes for keys and values of any length.
 */
#ifdef STRINGS
#define NAME(name) name " of strings"

using bench_key = std::string;
using bench_value = std::string;
using bench_sought = std::string_view;

static inline bench_sought
sought(const void *key)
{
	return {static_cast<const char *>(key), KEY_LEN};
}

static inline bench_value
new_value(const void *value)
{
	return {static_cast<const char *>(value), VALUE_LEN};
}

static inline void
copy_out(const bench_value &from, void *to)
{
	memcpy(to, from.data(), from.size());
}

static inline void
add_one(bench_value &value)
{
	uint64_t number;

	memcpy(&number, value.data(), sizeof(number));
	number++;
	memcpy(value.data(), &number, sizeof(number));
}
#else
#define NAME(name) name

struct bench_key
{
	uint64_t words[KEY_LEN / 8];

	bool operator==(const bench_key &other) const
	{
		return words[0] == other.words[0] && words[1] == other.words[1];
	}
};

struct bench_value
{
	uint64_t words[VALUE_LEN / 8];
};

using bench_sought = bench_key;

static inline const bench_key &
sought(const void *key)
{
	return *static_cast<const bench_key *>(key);
}

static inline const bench_value &
new_value(const void *value)
{
	return *static_cast<const bench_value *>(value);
}

static inline void
copy_out(const bench_value &from, void *to)
{
	*static_cast<bench_value *>(to) = from;
}

static inline void
add_one(bench_value &value)
{
	value.words[0]++;
}
#endif

/* Murmur's finalizer over both words: keys are short. */
struct bench_hash
{
	using is_avalanching = void;
	using is_transparent = void;

	size_t operator()(const bench_sought &key) const
	{
		uint64_t words[KEY_LEN / 8];
		uint64_t h;

		memcpy(words, bytes(key), sizeof(words));
		h = words[0] * 0x9e3779b97f4a7c15u ^ words[1];
		h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
		h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
		return h ^ h >> 33;
	}

private:
#ifdef STRINGS
	static const void *bytes(const bench_sought &key) { return key.data(); }
#else
	static const void *bytes(const bench_sought &key) { return key.words; }
#endif
};

struct bench_equal
{
	using is_transparent = void;

	bool operator()(const bench_sought &a, const bench_sought &b) const { return a == b; }
};
#endif

#endif /* PEER_H */
