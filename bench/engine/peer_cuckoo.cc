/*
 * peer_cuckoo.cc
 *	  libcuckoo's cuckoohash_map.
 */
#include <libcuckoo/cuckoohash_map.hh>

#include "peer.h"

using table = libcuckoo::cuckoohash_map<bench_key, bench_value, bench_hash, bench_equal>;

static table *map;

const peer the_peer = {
	NAME("libcuckoo"),
	[](uint64_t keys) { map = new table(keys); },
	[]() -> void * { return nullptr; },
	[](void *) {},
	[](void *, const void *key, void *value) {
		return map->find_fn(sought(key),
							[value](const bench_value &found) { copy_out(found, value); });
	},
	[](void *, const void *key, const void *value) {
		map->insert_or_assign(sought(key), new_value(value));
	},
	[](void *, const void *key) { map->erase(sought(key)); },
	[](void *, const void *key) {
		map->update_fn(sought(key), [](bench_value &value) { add_one(value); });
	},
	nullptr,
	nullptr,
};
