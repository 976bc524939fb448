/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a commit: one transaction on its way from records to tables. stage.c and row_stage.c
 * check the records against the tables as they will be and do beside the live tables all that can
 * fail; commit.c calls them, and publishes or takes back. change.c is below all three.
 */
#ifndef CCN_CHANGE_H
#define CCN_CHANGE_H

#include "acl_stage.h"
#include "commit.h"
#include "interface.h"
#include "route_stage.h"

struct op {
	const uint8_t *record;
	uint32_t index;
	bool remove, last; /* last: no later record has the same key */
};

struct op_list {
	struct op *op;
	size_t count, removes;
};

/* A set that is made anew, from the live one and operations on it. */
struct address_change {
	struct op_list ops;
	struct address_set *made;
};

struct staged_source {
	uint32_t ccsi;
	struct source_table *table; /* after publishing: the one it replaced */
};

struct change {
	struct fib *fib;
	bool full;
	const uint8_t *messages;
	size_t length;
	size_t records; /* of all types */
	struct refusal *refusal;
	struct interface_table *interfaces; /* new ones, or NULL */
	struct adjacency_table *adjacencies;
	struct op_list vteps, vms, sources, vtep_names;
	struct vtep_names *made_vtep_names; /* after publishing: what they replaced */
	struct staged_source *staged_sources;
	size_t staged_source_count;
	struct vm_array *retired_vms[2];
	struct keymap *retired_vteps;
	struct adjacency_table **retired_adjacencies;
	uint32_t retired_adjacency_count;
	uint32_t *vnis, *slots; /* touched */
	size_t vni_count, slot_count;
	struct route_stage routes;
	struct address_change gateway_addresses, peers;
	struct acl_stage acls;
	bool ccsi_removed;
	bool groups_counted;
	bool vtep_set_removed, vtep_set_staged;
};

/* Notes why the transaction is refused; always -1. */
int change_refuse(struct change *c, uint32_t code, uint32_t record, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int change_no_memory(struct change *c);
size_t change_count(const struct change *c, uint16_t type); /* records of this type */

/* In the tables as they will be. */
static inline bool change_has_ccsi(const struct change *c, uint32_t id)
{
	return id < MAX_CCSIS && c->fib->ccsi[id] && c->fib->ccsi[id]->after;
}

/* One record each, in the order of calls of commit.c; -1: refused. */
int stage_interface(struct change *c, const void *record, bool remove, uint32_t index);
int stage_ccsi(struct change *c, const void *record, bool remove, uint32_t index);
int stage_acl_rule(struct change *c, const void *record, bool remove, uint32_t index);
int stage_vni(struct change *c, const void *record, bool remove, uint32_t index);
int stage_vtep_name(struct change *c, const void *record, bool remove, uint32_t index);
int stage_vtep(struct change *c, const void *record, bool remove, uint32_t index);
int stage_vtep_set(struct change *c, const void *record, bool remove, uint32_t index);
int stage_vm(struct change *c, const void *record, bool remove, uint32_t index);
int stage_next_hop(struct change *c, const void *record, bool remove, uint32_t index);
int stage_group(struct change *c, const void *record, bool remove, uint32_t index);
int stage_gateway_address(struct change *c, const void *record, bool remove, uint32_t index);
int stage_peer(struct change *c, const void *record, bool remove, uint32_t index);
int stage_routes(struct change *c, const void *records, size_t count,
		 bool remove); /* of a message */
/* The first record about a route that is to be removed and is not there. */
int refuse_absent_route(struct change *c, const void *record, bool remove, uint32_t index);

int stage_source(struct change *c, const void *record, bool remove, uint32_t index);

/* What can be said only of all records of a type; -1: refused. */
int check_interfaces(struct change *c);
int check_vnis(struct change *c); /* a CCSI that goes must not leave a VNI behind */
/* The table of names as it will be; all that follows goes by it. */
int settle_vtep_names(struct change *c);
int check_vtep_names(struct change *c); /* nothing may name one that goes */
void publish_vtep_names(struct change *c);
void clean_vtep_names(struct change *c); /* after a grace period */
/* Refuses a record, a `what`, whose VTEP is a name that nobody has. */
int check_vtep(struct change *c, const char *what, const uint8_t vtep[4], uint32_t index);
int settle_vteps(struct change *c);
int settle_vms(struct change *c);
int settle_addresses(struct change *c);
void publish_addresses(struct change *c);
void clean_addresses(struct change *c);
int check_vtep_sets(struct change *c); /* no VM may name a set that goes */
int restage_neighbors(struct change *c);
int check_groups(struct change *c); /* every member is there and no group; counts them */
void uncount_groups(struct change *c);
int check_doomed(struct change *c); /* nothing may use a next hop that goes */

/* Builds the source tables of the CCSIs that CCN_SOURCE records name or that go. */
int settle_sources(struct change *c);
void publish_sources(struct change *c); /* also whether each CCSI checks them */
void clean_sources(struct change *c);	/* after a grace period */

/* Index of the adjacency of a VTEP; -1: refused. Making one changes nothing that packets see. */
int change_adjacency(struct change *c, const uint8_t vtep[4], uint32_t *index);
uint64_t op_vtep_key(const struct op *op);

/* In the table of VMs, and in the counts of the sets that they name. */
void publish_vms(struct change *c);
void remove_vms(struct change *c);
void free_vtep_sets(struct change *c, bool published); /* those that are not, or no more, used */

#endif
