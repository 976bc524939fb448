/* SPDX-License-Identifier: Apache-2.0
 *
 * Stage: every record is checked against the tables as they will be, and all that can fail (memory
 * above all) is done beside the live tables. Publish: stores that cannot fail, in the order of
 * fib.h. A refused transaction is unstaged and leaves no trace.
 */
#include "change.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "reclaim.h"

/* Octets of a transaction after which memory is given back: its old tables lie between the new. */
#define TRIMMED (1 << 22)

struct message {
	struct ccn_header header;
	const uint8_t *records;
	bool remove;
};

/* The next of this type from `*at` on: 1, or 0 if there is none; -1: refused. */
static int next_message(struct change *c, uint16_t type, size_t *at, struct message *found)
{
	while (*at < c->length) {
		memcpy(&found->header, c->messages + *at, sizeof(found->header));
		found->records = c->messages + *at + sizeof(found->header);
		found->remove = found->header.flags & CCN_DELETE;
		*at += found->header.length;
		if (found->header.type != type || found->header.count == 0)
			continue;
		c->records += found->header.count;
		if (found->remove && c->full)
			return change_refuse(c, CCN_NAK_RECORD, 0,
					     "DELETE has no meaning in a FULL transaction");
		return 1;
	}
	return 0;
}

typedef int (*stage_fn)(struct change *c, const void *record, bool remove, uint32_t index);

/* Calls `stage` for every record of this type, in order. */
static int each(struct change *c, uint16_t type, stage_fn stage)
{
	const size_t size = record_size(type);
	struct message m;
	size_t at = 0;
	int more;

	while ((more = next_message(c, type, &at, &m)) > 0)
		for (uint32_t i = 0; i < m.header.count; i++)
			if (stage(c, m.records + i * size, m.remove, i) < 0)
				return -1;
	return more;
}

static int each_route(struct change *c)
{
	struct message m;
	size_t at = 0;
	int more;

	while ((more = next_message(c, CCN_ROUTE, &at, &m)) > 0)
		if (stage_routes(c, m.records, m.header.count, m.remove) < 0)
			return -1;
	return more;
}

static int allocate(struct change *c)
{
	c->vnis = malloc((change_count(c, CCN_VNI) + 1) * sizeof(*c->vnis));
	c->slots =
	    malloc((change_count(c, CCN_NEXT_HOP) + change_count(c, CCN_NEXT_HOP_GROUP) + 1) *
		   sizeof(*c->slots));
	c->vtep_names.op = malloc((change_count(c, CCN_VTEP_NAME) + 1) * sizeof(struct op));
	c->vteps.op = malloc((change_count(c, CCN_VTEP) + 1) * sizeof(struct op));
	c->vms.op = malloc((change_count(c, CCN_VM) + 1) * sizeof(struct op));
	c->gateway_addresses.ops.op =
	    malloc((change_count(c, CCN_GATEWAY_ADDRESS) + 1) * sizeof(struct op));
	c->peers.ops.op = malloc((change_count(c, CCN_PEER) + 1) * sizeof(struct op));
	c->sources.op = malloc((change_count(c, CCN_SOURCE) + 1) * sizeof(struct op));
	if (!c->vnis || !c->slots || !c->vtep_names.op || !c->vteps.op || !c->vms.op ||
	    !c->gateway_addresses.ops.op || !c->peers.ops.op || !c->sources.op ||
	    route_stage_init(&c->routes, change_count(c, CCN_ROUTE)) < 0 ||
	    acl_stage_init(&c->acls, change_count(c, CCN_ACL_RULE)) < 0)
		return change_no_memory(c);
	return 0;
}

/* What fails here fails of a record, or (index UINT32_MAX) for lack of memory. */
static int refuse_build(struct change *c, const char *fault, uint32_t index)
{
	bool memory = index == UINT32_MAX;

	if (!fault)
		return 0;
	return change_refuse(c, memory ? CCN_NAK_MEMORY : CCN_NAK_RECORD, memory ? 0 : index, "%s",
			     fault);
}

static int stage(struct change *c)
{
	const char *fault;
	uint32_t index = 0;

	if (allocate(c) < 0 || each(c, CCN_INTERFACE, stage_interface) < 0 ||
	    each(c, CCN_CCSI, stage_ccsi) < 0 || check_interfaces(c) < 0 ||
	    each(c, CCN_ACL_RULE, stage_acl_rule) < 0 || each(c, CCN_VNI, stage_vni) < 0 ||
	    check_vnis(c) < 0 || each(c, CCN_VTEP_NAME, stage_vtep_name) < 0 ||
	    settle_vtep_names(c) < 0 || each(c, CCN_VTEP, stage_vtep) < 0 || settle_vteps(c) < 0 ||
	    each(c, CCN_GATEWAY_ADDRESS, stage_gateway_address) < 0 ||
	    each(c, CCN_PEER, stage_peer) < 0 || settle_addresses(c) < 0)
		return -1;
	if (c->full && c->interfaces) { /* nobody reads this fib yet */
		interfaces_free(c->fib->interfaces);
		c->fib->interfaces = c->interfaces;
		c->interfaces = NULL;
	}
	if (each(c, CCN_VTEP_SET, stage_vtep_set) < 0 || each(c, CCN_VM, stage_vm) < 0 ||
	    settle_vms(c) < 0 || check_vtep_sets(c) < 0 ||
	    each(c, CCN_NEXT_HOP, stage_next_hop) < 0 ||
	    (c->interfaces && restage_neighbors(c) < 0) ||
	    each(c, CCN_NEXT_HOP_GROUP, stage_group) < 0 || check_groups(c) < 0 ||
	    each_route(c) < 0 || each(c, CCN_SOURCE, stage_source) < 0 || settle_sources(c) < 0)
		return -1;
	if (!route_stage_build(&c->routes, c->fib)) {
		if (!c->routes.change.absent)
			return change_no_memory(c);
		each(c, CCN_ROUTE, refuse_absent_route);
		return -1;
	}
	fault = acl_stage_build(&c->acls, &c->routes, c->fib, &index);
	if (refuse_build(c, fault, index) < 0)
		return -1;
	if (check_doomed(c) < 0 || check_vtep_names(c) < 0)
		return -1;
	if (c->interfaces) {
		c->adjacencies = adjacencies_make(c->fib->adjacencies, 0, c->interfaces);
		if (!c->adjacencies)
			return change_no_memory(c);
	}
	return 0;
}

static void publish_rows(struct change *c)
{
	struct fib *fib = c->fib;

	for (size_t i = 0; i < c->vteps.count; i++)
		if (c->vteps.op[i].last && !c->vteps.op[i].remove)
			keymap_put(fib->vteps, op_vtep_key(&c->vteps.op[i]),
				   ((const struct ccn_vtep *)c->vteps.op[i].record)->flags);
	publish_vms(c);
}

static void remove_rows(struct change *c)
{
	for (size_t i = 0; i < c->vteps.count; i++)
		if (c->vteps.op[i].last && c->vteps.op[i].remove)
			keymap_remove(c->fib->vteps, op_vtep_key(&c->vteps.op[i]));
	remove_vms(c);
}

/* Exchanges the staged next hop for the live one; what was live is then in `staged`. A reader between
 * the two stores goes by its way alone, or by a pointer that a way of either kind led it to. */
static void publish_next_hops(struct change *c, bool groups, bool doomed)
{
	static const struct way nowhere;

	for (size_t i = 0; i < c->slot_count; i++) {
		struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];
		struct next_hop *old = e->live;

		const struct next_hop *kind = e->staged ? e->staged : old;

		if (e->doomed != doomed || (kind && kind->group) != groups)
			continue;
		c->fib->next_hops += (e->staged != NULL) - (old != NULL);
		__atomic_store_n(&e->live, e->staged, __ATOMIC_RELEASE);
		way_store(&c->fib->way_page[c->slots[i] / PAGE][c->slots[i] % PAGE],
			  e->live ? &e->live->way : &nowhere);
		if (e->live)
			adjacency_hold(c->fib, e->live->to.adjacency);
		if (old)
			adjacency_release(c->fib, old->to.adjacency);
		e->staged = old;
	}
}

static void publish_vnis(struct change *c)
{
	for (size_t i = 0; i < c->vni_count; i++) {
		struct vni_entry *e = &c->fib->vni_page[c->vnis[i] / PAGE][c->vnis[i] % PAGE];

		__atomic_store_n(&e->live, e->staged, __ATOMIC_RELEASE);
	}
}

static bool only_routes(const struct change *c)
{
	const size_t routes = (size_t)c->routes.ops.count[0] + c->routes.ops.count[1];

	return routes > 0 && routes == c->records;
}

/* What workers remember of the rows before is forgotten. Before the grace period, if one follows: then
 * nobody goes by it when the transaction is over. */
static void begin_epoch(struct change *c)
{
	if (!only_routes(c))
		fib_begin_epoch(c->fib);
}

static void publish(struct change *c)
{
	struct fib *fib = c->fib;
	struct interface_table *old_interfaces = NULL;
	struct adjacency_table *old_adjacencies = NULL;

	/* routes alone waited for nobody: a reader may be on its way to a slot that they have left,
	 * and that is about to be another table's */
	if (!c->full && !only_routes(c))
		reclaim_wait();
	publish_vtep_names(c);
	publish_rows(c);
	publish_addresses(c);
	if (c->interfaces) {
		old_interfaces = fib->interfaces;
		old_adjacencies = fib->adjacencies;
		__atomic_store_n(&fib->interfaces, c->interfaces, __ATOMIC_RELEASE);
		__atomic_store_n(&fib->adjacencies, c->adjacencies, __ATOMIC_RELEASE);
		c->interfaces = NULL;
		c->adjacencies = NULL;
	}
	publish_next_hops(c, false, false);
	publish_next_hops(c, true, false); /* after their members */
	acl_stage_publish(&c->routes, fib, true);
	publish_sources(c);
	begin_epoch(c);
	/* what was judged by the lists before does not meet the routes after */
	if (!c->full && (c->acls.count > 0 || c->sources.count > 0))
		fib_wait_for_readers();
	route_stage_publish(&c->routes, fib);
	acl_stage_publish(&c->routes, fib, false);
	publish_vnis(c);
	begin_epoch(c);
	/* routes alone leave nothing that is to be removed or freed at once: see reclaim.h */
	if (!c->full && !only_routes(c))
		fib_wait_for_readers();
	remove_rows(c);
	begin_epoch(c);
	publish_next_hops(c, true, true);
	publish_next_hops(c, false, true);
	if (!c->full && !only_routes(c))
		fib_wait_for_readers();
	adjacencies_free(old_adjacencies);
	interfaces_free(old_interfaces);
}

/* Frees what is staged or, after publishing, what was replaced. */
static void clean(struct change *c, bool published)
{
	bool retired = c->retired_vms[0] || c->retired_vms[1] || c->retired_vteps ||
		       c->retired_adjacency_count;

	if (retired && !c->full && !published)
		fib_wait_for_readers();
	if (!published)
		uncount_groups(c);
	free_vtep_sets(c, published);
	for (size_t i = 0; i < c->slot_count; i++) {
		struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];

		next_hop_free(e->staged);
		e->staged = NULL;
		e->doomed = false;
	}
	for (size_t i = 0; i < c->vni_count; i++)
		c->fib->vni_page[c->vnis[i] / PAGE][c->vnis[i] % PAGE].touched = false;
	acl_stage_clean(&c->acls, &c->routes, c->fib, published);
	route_stage_clean(&c->routes, c->fib, published);
	for (unsigned i = 0; i < 2; i++)
		vm_array_free(c->retired_vms[i]);
	free(c->retired_vteps);
	for (uint32_t i = 0; i < c->retired_adjacency_count; i++)
		adjacencies_free(c->retired_adjacencies[i]);
	free(c->retired_adjacencies);
	adjacencies_sweep(c->fib, !c->full);
	adjacencies_free(c->adjacencies);
	interfaces_free(c->interfaces);
	free(c->vnis);
	free(c->slots);
	clean_addresses(c);
	clean_vtep_names(c);
	free(c->vteps.op);
	free(c->vms.op);
	clean_sources(c);
}

struct change *commit_prepare(const uint8_t *messages, size_t length, bool full,
			      struct refusal *refusal)
{
	struct change nothing = {.refusal = refusal}, *c = calloc(1, sizeof(*c));

	if (!c) {
		change_no_memory(&nothing);
		return NULL;
	}
	*c = (struct change){.full = full || !fib_current,
			     .messages = messages,
			     .length = length,
			     .refusal = refusal};
	c->fib = c->full ? fib_new() : fib_current;
	if (!c->fib) {
		change_no_memory(c);
		free(c);
		return NULL;
	}
	if (stage(c) < 0) {
		commit_give_up(c);
		return NULL;
	}
	c->refusal = NULL; /* the caller's; from here on nothing is refused */
	return c;
}

void commit_give_up(struct change *c)
{
	clean(c, false);
	if (c->full)
		fib_free(c->fib);
	free(c);
}

void commit_publish(struct change *c, uint64_t next, const uint8_t digest[32])
{
	struct fib *old = fib_current;

	publish(c);
	clean(c, true);
	c->fib->generation = next;
	memcpy(c->fib->digest, digest, 32);
	if (c->full) {
		__atomic_store_n(&fib_current, c->fib, __ATOMIC_RELEASE);
		fib_wait_for_readers();
		acls_take_over(c->fib, old);
		reclaim_all();
		fib_free(old);
	}
	free(c);
}

int commit(const uint8_t *messages, size_t length, bool full, uint64_t next,
	   const uint8_t digest[32], struct refusal *refusal)
{
	struct change *c = commit_prepare(messages, length, full, refusal);

	if (!c)
		return -1;
	commit_publish(c, next, digest);
	commit_tidy(length);
	return 0;
}

void commit_tidy(size_t length)
{
	if (length > TRIMMED)
		malloc_trim(0);
}
