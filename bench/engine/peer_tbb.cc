/*
 * peer_tbb.cc
 *	  TBB's concurrent_hash_map.
 */
#include <tbb/concurrent_hash_map.h>

#include "peer.h"

struct compare
{
	using is_transparent = void;

	static size_t hash(const bench_sought &key) { return bench_hash()(key); }
	static bool equal(const bench_sought &a, const bench_sought &b) { return a == b; }
};

using table = tbb::concurrent_hash_map<bench_key, bench_value, compare>;

static table *map;

const peer the_peer = {
	NAME("TBB"),
	[](uint64_t keys) { map = new table(keys); },
	[]() -> void * { return nullptr; },
	[](void *) {},
	[](void *, const void *key, void *value) {
		table::const_accessor found;

		if (!map->find(found, sought(key)))
			return false;
		copy_out(found->second, value);
		return true;
	},
	[](void *, const void *key, const void *value) {
		table::accessor found;

		map->insert(found, sought(key));
		found->second = new_value(value);
	},
	[](void *, const void *key) { map->erase(sought(key)); },
	[](void *, const void *key) {
		table::accessor found;

		if (map->find(found, sought(key)))
			add_one(found->second);
	},
	nullptr,
	nullptr,
};
