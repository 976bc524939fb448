/* SPDX-License-Identifier: Apache-2.0
 * Stages VTEPs, VMs and next hops.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

/* --- VTEPs and VMs: lists of operations, of which the last per key counts --- */

static int compare_vteps(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = memcmp(x->record, y->record, sizeof(struct ccn_vtep));

	return order ? order : (x->record < y->record ? -1 : 1);
}

static int compare_vm_keys(const struct ccn_vm *x, const struct ccn_vm *y)
{
	if (x->vni != y->vni)
		return x->vni < y->vni ? -1 : 1;
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return memcmp(x->ip, y->ip, x->family == 4 ? 4 : 16);
}

static int compare_vms(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = compare_vm_keys((const void *)x->record, (const void *)y->record);

	return order ? order : (x->record < y->record ? -1 : 1);
}

static void add_op(struct op_list *list, const void *record, bool remove, uint32_t index)
{
	list->op[list->count++] =
	    (struct op){.record = record, .index = index, .remove = remove, .last = true};
	list->removes += remove;
}

/* Order matters only when something is removed; adding twice is adding the later. */
static void settle(struct op_list *list, int (*compare)(const void *, const void *),
		   bool (*same)(const struct op *, const struct op *))
{
	if (list->removes == 0)
		return;
	qsort(list->op, list->count, sizeof(*list->op), compare);
	for (size_t i = 0; i + 1 < list->count; i++)
		list->op[i].last = !same(&list->op[i], &list->op[i + 1]);
}

static bool same_vtep(const struct op *x, const struct op *y)
{
	return !memcmp(x->record, y->record, sizeof(struct ccn_vtep));
}

static bool same_vm(const struct op *x, const struct op *y)
{
	return compare_vm_keys((const void *)x->record, (const void *)y->record) == 0;
}

int stage_vtep(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vtep *r = record;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return change_refuse(c, CCN_NAK_RECORD, index, "VTEP: VNI %u not in 1..16777215",
				     r->vni);
	add_op(&c->vteps, record, remove, index);
	return 0;
}

uint64_t op_vtep_key(const struct op *op)
{
	const struct ccn_vtep *r = (const void *)op->record;
	uint32_t address;

	memcpy(&address, r->address, 4);
	return vtep_key(r->vni, address);
}

int settle_vteps(struct change *c)
{
	settle(&c->vteps, compare_vteps, same_vtep);
	for (size_t i = 0; c->vteps.removes && i < c->vteps.count; i++) {
		const struct op *op = &c->vteps.op[i];
		bool first = i == 0 || !same_vtep(op - 1, op);

		if (op->remove && first && !keymap_has(c->fib->vteps, op_vtep_key(op)))
			return change_refuse(c, CCN_NAK_RECORD, op->index, "VTEP: does not exist");
	}
	struct keymap *map = keymap_reserve(c->fib->vteps, c->vteps.count);

	if (!map)
		return change_no_memory(c);
	if (map != c->fib->vteps) {
		c->retired_vteps = c->fib->vteps;
		__atomic_store_n(&c->fib->vteps, map, __ATOMIC_RELEASE);
	}
	return 0;
}

int change_adjacency(struct change *c, const uint8_t vtep[4], uint32_t *index)
{
	uint32_t address;

	memcpy(&address, vtep, 4);
	*index = adjacency_index(c->fib, c->fib->adjacencies, address);
	if (*index != NO_ADJACENCY)
		return 0;

	struct adjacency_table *old = c->fib->adjacencies;
	struct adjacency_table *grown = adjacencies_make(old, old->count + 16, c->fib->interfaces);
	struct keymap *map = keymap_reserve(c->fib->adjacency_of, old->count + 16);
	struct adjacency_table **list =
	    realloc(c->retired_adjacencies,
		    (c->retired_adjacency_count + 1) * sizeof(struct adjacency_table *));

	if (list)
		c->retired_adjacencies = list;
	if (!grown || !map || !list) {
		adjacencies_free(grown);
		if (map && map != c->fib->adjacency_of)
			free(map);
		return change_no_memory(c);
	}
	if (map != c->fib->adjacency_of)
		free(c->fib->adjacency_of);
	c->fib->adjacency_of = map;
	c->retired_adjacencies[c->retired_adjacency_count++] = old;
	__atomic_store_n(&c->fib->adjacencies, grown, __ATOMIC_RELEASE);
	*index = adjacency_index(c->fib, grown, address);
	return 0;
}

int stage_vm(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vm *r = record;
	uint32_t adjacency;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return change_refuse(c, CCN_NAK_RECORD, index, "VM: VNI %u not in 1..16777215",
				     r->vni);
	if (r->family != 4 && r->family != 6)
		return change_refuse(c, CCN_NAK_RECORD, index, "VM: family %u is not 4 or 6",
				     r->family);
	if (!remove && (r->mac[0] & 1))
		return change_refuse(c, CCN_NAK_RECORD, index, "VM: a group MAC address");
	add_op(&c->vms, record, remove, index);
	return remove ? 0 : change_adjacency(c, r->vtep, &adjacency);
}

int settle_vms(struct change *c)
{
	size_t more[2] = {0, 0};
	struct vm_value value;

	settle(&c->vms, compare_vms, same_vm);
	for (size_t i = 0; i < c->vms.count; i++) {
		const struct op *op = &c->vms.op[i];
		const struct ccn_vm *r = (const void *)op->record;
		bool first = i == 0 || !same_vm(op - 1, op);

		more[r->family == 6] += !op->remove;
		if (op->remove && first && !vm_get(&c->fib->vms, r->family, r->vni, r->ip, &value))
			return change_refuse(c, CCN_NAK_RECORD, op->index, "VM: does not exist");
	}
	if (vm_reserve(&c->fib->vms, 4, more[0], &c->retired_vms[0]) < 0 ||
	    vm_reserve(&c->fib->vms, 6, more[1], &c->retired_vms[1]) < 0)
		return change_no_memory(c);
	return 0;
}
/* --- next hops --- */

static struct next_hop_entry *next_hop_entry(struct change *c, uint32_t slot)
{
	struct next_hop_entry **place = &c->fib->next_hop_page[slot / PAGE];

	if (!*place) {
		struct next_hop_entry *page = calloc(PAGE, sizeof(*page));

		if (!page)
			return NULL;
		__atomic_store_n(place, page, __ATOMIC_RELEASE);
	}
	return &(*place)[slot % PAGE];
}

static const char *next_hop_fault(const struct ccn_next_hop *r)
{
	bool tunnels = r->kind == CCN_ON_LINK || r->kind == CCN_VIP || r->kind == CCN_REMOTE;

	if (r->kind > CCN_NEIGHBOR)
		return "unknown kind";
	if (tunnels && (r->vni == 0 || r->vni >= 1 << 24))
		return "VNI not in 1..16777215";
	if (r->kind == CCN_REMOTE && (r->family != 4 || (r->mac[0] & 1)))
		return "a remote gateway needs an IPv4 VTEP and a unicast MAC";
	if ((r->kind == CCN_VIP || r->kind == CCN_NEIGHBOR) && r->family != 4 && r->family != 6)
		return "family is not 4 or 6";
	return NULL;
}

/* The row that readers will see. */
static int make_next_hop(struct change *c, const struct ccn_next_hop *r, uint32_t index,
			 struct next_hop **made)
{
	const struct interface_table *table = c->interfaces ? c->interfaces : c->fib->interfaces;
	const char *fault = next_hop_fault(r);
	struct next_hop *hop;

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: %s", r->slot, fault);
	hop = calloc(1, sizeof(*hop));
	if (!hop)
		return change_no_memory(c);
	hop->record = *r;
	hop->adjacency = NO_ADJACENCY;
	if (r->kind == CCN_REMOTE && change_adjacency(c, r->ip, &hop->adjacency) < 0) {
		free(hop);
		return -1;
	}
	if (r->kind == CCN_NEIGHBOR) {
		uint16_t slot = interfaces_find(table, r->interface);

		if (slot == NO_INTERFACE || table->at[slot].record.role != CCN_HAND_OFF) {
			free(hop);
			return change_refuse(c, CCN_NAK_RECORD, index,
					     "next hop %u: no hand-off %u", r->slot, r->interface);
		}
		egress_of(&hop->out, &table->at[slot]);

		struct neigh_key key = {.port = hop->out.port,
					.vlan = hop->out.vlan,
					.role = CCN_HAND_OFF,
					.family = r->family};

		memcpy(key.ip, r->ip, r->family == 4 ? 4 : 16);
		hop->neigh = neigh_hold(&key);
		if (!hop->neigh) {
			free(hop);
			return change_no_memory(c);
		}
	}
	*made = hop;
	return 0;
}

static void touch_slot(struct change *c, struct next_hop_entry *entry, uint32_t slot)
{
	if (!entry->staged && !entry->doomed)
		c->slots[c->slot_count++] = slot;
}

int stage_next_hop(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_next_hop *r = record;

	if (r->slot >= 1 << 24)
		return change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: slot over 2^24-1",
				     r->slot);
	struct next_hop_entry *entry = next_hop_entry(c, r->slot);
	struct next_hop *hop = NULL;

	if (!entry)
		return change_no_memory(c);
	if (remove && !entry->staged && (!entry->live || entry->doomed))
		return change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: does not exist",
				     r->slot);
	if (!remove && make_next_hop(c, r, index, &hop) < 0)
		return -1;
	touch_slot(c, entry, r->slot);
	next_hop_free(entry->staged);
	entry->staged = hop;
	entry->doomed = remove;
	return 0;
}

/* With new interfaces, what hands off is made anew: its port or VLAN may differ. */
int restage_neighbors(struct change *c)
{
	for (uint32_t slot = 0; slot < 1 << 24; slot++) {
		if (!c->fib->next_hop_page[slot / PAGE]) {
			slot |= PAGE - 1;
			continue;
		}
		struct next_hop_entry *e = &c->fib->next_hop_page[slot / PAGE][slot % PAGE];

		if (!e->live || e->staged || e->doomed || e->live->record.kind != CCN_NEIGHBOR)
			continue;
		uint32_t *slots = realloc(c->slots, (c->slot_count + 1) * sizeof(*slots));

		if (!slots)
			return change_no_memory(c);
		c->slots = slots;
		if (make_next_hop(c, &e->live->record, 0, &e->staged) < 0)
			return -1;
		c->slots[c->slot_count++] = slot;
	}
	return 0;
}
