/*
 * watch.h
 *	  Declaring which tables invalidate a map's keys.
 */
#ifndef SM_WATCH_H
#define SM_WATCH_H

#include "utils/relcache.h"

#include "types.h"
#include "watches.h"

/* watch_key.c */
extern Node *sm_watch_key(Relation source, const char *key, const sm_types *types,
						  Oid trigger);
extern sm_types sm_watch_types(Oid map);
extern char *sm_watch_qualify_key(Oid source, const char *key, const sm_types *types);

/* watch_rules.c */
extern void sm_watch_init(void);
extern void sm_watch_source_changed(Oid relid);
extern void sm_watch_logging_changed(Oid map, bool was_logged);
extern void sm_watch_check_detach(Oid relid);
extern void sm_watch_check_replacement(Oid relid, const char *name);
extern void sm_watch_check_relation(Oid relid);
extern void sm_watch_check_object(Oid class, Oid object);

/* watch_apply.c */
extern void sm_watch_apply_init(void);

#endif /* SM_WATCH_H */
