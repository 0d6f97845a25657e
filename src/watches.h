/*
 * watches.h
 *	  The watches of this database, as the catalogs have them.
 */
#ifndef SM_WATCHES_H
#define SM_WATCHES_H

#include "access/htup.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/*
 * A trigger of a watch: when rows of source change, the keys that they have by an
 * expression are going to be old in map.
 */
typedef struct sm_watch
{
	Oid trigger;
	Oid source;
	Oid map;		/* InvalidOid: the trigger has not been taken note of */
	bool is_clone;	/* a partition's, of that of its partitioned table */
	char enabled;	/* tgenabled */
	int16 type;		/* tgtype */
	bool has_more;	/* WHEN, columns, transition tables: what a watch has not */
	char *name;		/* of the trigger */
	char *map_name; /* its arguments: qualified, quoted */
	char *key;		/* an expression over the row, or NULL: all keys */
} sm_watch;

extern bool sm_watch_read(Oid trigger, Snapshot snapshot, sm_watch *watch);
extern bool sm_map_is_watched(Oid map);
extern List *sm_watches_of_map(Oid map);
extern List *sm_watches_of_source(Oid source);
extern List *sm_watches_using(Oid class, Oid object);
extern List *sm_watches_in(Oid schema);
extern List *sm_all_watches(void);
extern bool sm_watch_uses(Oid trigger, Oid class, Oid object);

#endif /* SM_WATCHES_H */
