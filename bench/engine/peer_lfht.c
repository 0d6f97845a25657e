/*
 * peer_lfht.c
 *	  liburcu's lock-free hash table.  A value that is put is a new node, and the old one
 *	  is freed when all readers have left; a counter is an atomic word of its node.
 */
#include <stdlib.h>
#include <string.h>

#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include "peer.h"

typedef struct node
{
	struct cds_lfht_node link;
	struct rcu_head head;
	uint64_t key[KEY_LEN / 8];
	uint64_t value[VALUE_LEN / 8];
} node;

/* Nodes that a thread leaves to be freed before it waits for that; memory would run out. */
#define MAX_PENDING 65536

static struct cds_lfht *table;
static _Thread_local int pending;

static unsigned long
hash_of(const uint64_t *key)
{
	uint64_t h = key[0] * 0x9e3779b97f4a7c15u ^ key[1];

	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static int
matches(struct cds_lfht_node *link, const void *key)
{
	return memcmp(caa_container_of(link, node, link)->key, key, KEY_LEN) == 0;
}

static void
free_node(struct rcu_head *head)
{
	free(caa_container_of(head, node, head));
}

static void
free_later(node *old)
{
	urcu_memb_call_rcu(&old->head, free_node);
	pending++;
}

/* Called where no pointer into the table is held. */
static void
wait_for_freed(void)
{
	if (pending < MAX_PENDING)
		return;
	urcu_memb_barrier();
	pending = 0;
}

static node *
find(const void *key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *link;

	cds_lfht_lookup(table, hash_of(key), matches, key, &iter);
	link = cds_lfht_iter_get_node(&iter);
	return link == NULL ? NULL : caa_container_of(link, node, link);
}

static void
open_table(uint64_t keys)
{
	uint64_t buckets = 64;

	while (buckets < keys)
		buckets *= 2;
	table = cds_lfht_new_flavor(buckets, buckets, buckets, 0, &urcu_memb_flavor, NULL);
}

static void *
enter(void)
{
	urcu_memb_register_thread();
	return NULL;
}

static void
leave(void *handle)
{
	urcu_memb_unregister_thread();
}

static bool
get(void *handle, const void *key, void *value)
{
	node *found;

	urcu_memb_read_lock();
	found = find(key);
	if (found != NULL)
		memcpy(value, found->value, VALUE_LEN);
	urcu_memb_read_unlock();
	return found != NULL;
}

static void
put(void *handle, const void *key, const void *value)
{
	node *new = malloc(sizeof(*new));
	struct cds_lfht_node *old;

	memcpy(new->key, key, KEY_LEN);
	memcpy(new->value, value, VALUE_LEN);
	urcu_memb_read_lock();
	old = cds_lfht_add_replace(table, hash_of(key), matches, key, &new->link);
	if (old != NULL)
		free_later(caa_container_of(old, node, link));
	urcu_memb_read_unlock();
	wait_for_freed();
}

static void
take_out(void *handle, const void *key)
{
	node *found;

	urcu_memb_read_lock();
	found = find(key);
	if (found != NULL && cds_lfht_del(table, &found->link) == 0)
		free_later(found);
	urcu_memb_read_unlock();
	wait_for_freed();
}

static void
increment(void *handle, const void *key)
{
	node *found;

	urcu_memb_read_lock();
	found = find(key);
	if (found != NULL)
		__atomic_fetch_add(&found->value[0], 1, __ATOMIC_SEQ_CST);
	urcu_memb_read_unlock();
}

const peer the_peer = {
	.name = "lfht",
	.open = open_table,
	.enter = enter,
	.leave = leave,
	.get = get,
	.put = put,
	.remove = take_out,
	.increment = increment,
};
