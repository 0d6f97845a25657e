/*
 * peer_boost.cc
 *	  Boost's concurrent_flat_map (1.83 or later).
 */
#include <boost/unordered/concurrent_flat_map.hpp>

#include "peer.h"

using table = boost::concurrent_flat_map<bench_key, bench_value, bench_hash, bench_equal>;

static table *map;

const peer the_peer = {
	NAME("Boost"),
	[](uint64_t keys) { map = new table(keys); },
	[]() -> void * { return nullptr; },
	[](void *) {},
	[](void *, const void *key, void *value) {
		return map->cvisit(sought(key), [value](const auto &pair) {
			copy_out(pair.second, value);
		}) != 0;
	},
	[](void *, const void *key, const void *value) {
		map->insert_or_assign(bench_key(sought(key)), new_value(value));
	},
	[](void *, const void *key) { map->erase(sought(key)); },
	[](void *, const void *key) {
		map->visit(sought(key), [](auto &pair) { add_one(pair.second); });
	},
	nullptr,
	nullptr,
};
