/*
 * registry.h
 *	  Which relation is which map: the table in shared memory.
 */
#ifndef SM_REGISTRY_H
#define SM_REGISTRY_H

#include "datatype/timestamp.h"

#include "port_pg.h"
#include "types.h"

typedef struct sm_registration
{
	Oid database;
	Oid relation;
	Oid rowtype; /* the relation's: another relation of that OID has another */
	Oid key_type;
	int32 key_typmod;
	Oid value_type; /* of the values that are stored */
	int32 value_typmod;
	AttrNumber key_column;
	AttrNumber value_column;
	uint64 columns[2]; /* of a row, see sm_types */
	uint64 id;		   /* of the map; never reused */
	uint32 first_shard;
	uint32 shard_bits;
	TimestampTz stats_reset;
	bool in_doubt; /* a prepared transaction may take its relation away */
} sm_registration;

extern void sm_registration_set_types(sm_registration *entry, const sm_types *types);
extern bool sm_registration_same_types(const sm_registration *a,
									   const sm_registration *b);

extern void sm_registry_request(void);
extern void sm_registry_startup(void);

extern bool sm_registry_find(Oid database, Oid relation, sm_registration *found);
extern uint64 sm_registry_additions(void);
extern bool sm_registry_add(sm_registration *wanted, bool *is_new);
extern void sm_registry_note_reset(uint64 id);
extern void sm_registry_set_in_doubt(Oid database, Oid relation, bool in_doubt);
extern void sm_registry_remove(uint64 id);
extern void sm_registry_remove_relation(Oid database, Oid relation);
extern void sm_registry_remove_database(Oid database);
extern sm_registration *sm_registry_list(uint32 *length);
extern void sm_registry_open(sm_map *map, const sm_registration *entry);

#endif /* SM_REGISTRY_H */
