/* SPDX-License-Identifier: Apache-2.0
 *
 * Stage: every record is checked against the tables as they will be, and all that can fail (memory
 * above all) is done beside the live tables. Publish: stores that cannot fail, in the order of
 * fib.h. A refused transaction is unstaged and leaves no trace.
 */
#include "commit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

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

struct change {
	struct fib *fib;
	bool full;
	const uint8_t *messages;
	size_t length;
	struct refusal *refusal;
	struct interface_table *interfaces; /* new ones, or NULL */
	struct adjacency_table *adjacencies;
	struct op_list vteps, vms;
	struct vm_array *retired_vms[2];
	struct keymap *retired_vteps;
	struct adjacency_table **retired_adjacencies;
	uint32_t retired_adjacency_count;
	uint32_t *vnis, *slots; /* touched */
	size_t vni_count, slot_count;
	struct route_stage routes;
	bool ccsi_removed;
};

static int refuse(struct change *c, uint32_t code, uint32_t record, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int refuse(struct change *c, uint32_t code, uint32_t record, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	c->refusal->code = code;
	c->refusal->record = record;
	vsnprintf(c->refusal->text, sizeof(c->refusal->text), format, arguments);
	va_end(arguments);
	return -1;
}

static int no_memory(struct change *c)
{
	return refuse(c, CCN_NAK_MEMORY, 0, "out of memory; nothing was changed");
}

size_t record_size(uint16_t type)
{
	switch (type) {
	case CCN_INTERFACE:
		return sizeof(struct ccn_interface);
	case CCN_VNI:
		return sizeof(struct ccn_vni);
	case CCN_VTEP:
		return sizeof(struct ccn_vtep);
	case CCN_NEXT_HOP:
		return sizeof(struct ccn_next_hop);
	case CCN_VM:
		return sizeof(struct ccn_vm);
	case CCN_ROUTE:
		return sizeof(struct ccn_route);
	case CCN_CCSI:
		return sizeof(struct ccn_ccsi);
	default:
		return 0;
	}
}

typedef int (*stage_fn)(struct change *c, const void *record, bool remove, uint32_t index);

/* Calls `stage` for every record of this type, in order. */
static int each(struct change *c, uint16_t type, stage_fn stage)
{
	for (size_t at = 0; at < c->length;) {
		struct ccn_header header;
		const size_t size = record_size(type);

		memcpy(&header, c->messages + at, sizeof(header));
		for (uint32_t i = 0; header.type == type && i < header.count; i++) {
			bool remove = header.flags & CCN_DELETE;

			if (remove && c->full)
				return refuse(c, CCN_NAK_RECORD, i,
					      "DELETE has no meaning in a FULL transaction");
			if (stage(c, c->messages + at + sizeof(header) + i * size, remove, i) < 0)
				return -1;
		}
		at += header.length;
	}
	return 0;
}

static size_t count_records(const struct change *c, uint16_t type)
{
	size_t count = 0;

	for (size_t at = 0; at < c->length;) {
		struct ccn_header header;

		memcpy(&header, c->messages + at, sizeof(header));
		count += header.type == type ? header.count : 0;
		at += header.length;
	}
	return count;
}

static bool ccsi_will_exist(const struct change *c, uint32_t id)
{
	return id < MAX_CCSIS && c->fib->ccsi[id] && c->fib->ccsi[id]->after;
}

/* --- interfaces --- */

static int stage_interface(struct change *c, const void *record, bool remove, uint32_t index)
{
	if (!c->interfaces) {
		c->interfaces =
		    interfaces_copy(c->fib->interfaces, count_records(c, CCN_INTERFACE));
		if (!c->interfaces)
			return no_memory(c);
	}
	const char *fault = interfaces_apply(c->interfaces, record, remove);

	return fault ? refuse(c, CCN_NAK_RECORD, index, "interface %u: %s",
			      ((const struct ccn_interface *)record)->id, fault)
		     : 0;
}

static int check_interfaces(struct change *c)
{
	uint32_t id = 0;
	const struct interface_table *table = c->interfaces ? c->interfaces : c->fib->interfaces;

	if (c->interfaces) {
		const char *fault = interfaces_index(c->interfaces, &id);

		if (fault)
			return refuse(c, CCN_NAK_RECORD, 0, "interface %u: %s", id, fault);
	}
	for (unsigned i = 0; i < table->count; i++) {
		const struct ccn_interface *r = &table->at[i].record;

		if (table->at[i].present && r->role == CCN_HAND_OFF && !ccsi_will_exist(c, r->ccsi))
			return refuse(c, CCN_NAK_RECORD, 0, "interface %u: no CCSI %u", r->id,
				      r->ccsi);
	}
	return 0;
}

/* --- routing tables and VNIs --- */

static int stage_ccsi(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_ccsi *r = record;

	if (r->id == 0 || r->id >= MAX_CCSIS)
		return refuse(c, CCN_NAK_RECORD, index, "CCSI %u: the id is not in 1..65535",
			      r->id);
	struct ccsi *ccsi = route_stage_touch(&c->routes, c->fib, r->id);

	if (!ccsi)
		return no_memory(c);
	if (remove && !ccsi->after)
		return refuse(c, CCN_NAK_RECORD, index, "CCSI %u: does not exist", r->id);
	if (remove) {
		c->ccsi_removed = true;
		route_stage_clear(ccsi);
	}
	ccsi->after = !remove;
	ccsi->staged_record = *r;
	return 0;
}

static int stage_vni(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vni *r = record;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return refuse(c, CCN_NAK_RECORD, index, "VNI %u: not in 1..16777215", r->vni);
	struct vni_entry **place = &c->fib->vni_page[r->vni / PAGE];

	if (!*place) {
		struct vni_entry *page = calloc(PAGE, sizeof(*page));

		if (!page)
			return no_memory(c);
		__atomic_store_n(place, page, __ATOMIC_RELEASE);
	}
	struct vni_entry *entry = &(*place)[r->vni % PAGE];

	if (remove && (entry->touched ? entry->staged : entry->live) == 0)
		return refuse(c, CCN_NAK_RECORD, index, "VNI %u: does not exist", r->vni);
	if (!remove && r->kind != CCN_VNI_VPC && r->kind != CCN_VNI_L3)
		return refuse(c, CCN_NAK_RECORD, index, "VNI %u: unknown kind %u", r->vni, r->kind);
	if (!remove && !ccsi_will_exist(c, r->ccsi))
		return refuse(c, CCN_NAK_RECORD, index, "VNI %u: no CCSI %u", r->vni, r->ccsi);
	if (!entry->touched)
		c->vnis[c->vni_count++] = r->vni;
	entry->touched = true;
	entry->staged = remove ? 0 : r->ccsi | (uint32_t)r->kind << 16;
	return 0;
}

/* A CCSI that goes must not leave a VNI behind that leads to it. */
static int check_vnis(struct change *c)
{
	for (uint32_t vni = 0; c->ccsi_removed && vni < 1 << 24; vni++) {
		const struct vni_entry *page = c->fib->vni_page[vni / PAGE];

		if (!page) {
			vni |= PAGE - 1;
			continue;
		}
		const struct vni_entry *e = &page[vni % PAGE];
		uint32_t held = e->touched ? e->staged : e->live;

		if (held && !ccsi_will_exist(c, held & 0xffff))
			return refuse(c, CCN_NAK_RECORD, 0, "CCSI %u: VNI %u still leads to it",
				      held & 0xffff, vni);
	}
	return 0;
}

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

static int stage_vtep(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vtep *r = record;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return refuse(c, CCN_NAK_RECORD, index, "VTEP: VNI %u not in 1..16777215", r->vni);
	add_op(&c->vteps, record, remove, index);
	return 0;
}

static uint64_t key_of_vtep(const struct op *op)
{
	const struct ccn_vtep *r = (const void *)op->record;
	uint32_t address;

	memcpy(&address, r->address, 4);
	return vtep_key(r->vni, address);
}

static int settle_vteps(struct change *c)
{
	settle(&c->vteps, compare_vteps, same_vtep);
	for (size_t i = 0; c->vteps.removes && i < c->vteps.count; i++) {
		const struct op *op = &c->vteps.op[i];
		bool first = i == 0 || !same_vtep(op - 1, op);

		if (op->remove && first && !keymap_has(c->fib->vteps, key_of_vtep(op)))
			return refuse(c, CCN_NAK_RECORD, op->index, "VTEP: does not exist");
	}
	struct keymap *map = keymap_reserve(c->fib->vteps, c->vteps.count);

	if (!map)
		return no_memory(c);
	if (map != c->fib->vteps) {
		c->retired_vteps = c->fib->vteps;
		__atomic_store_n(&c->fib->vteps, map, __ATOMIC_RELEASE);
	}
	return 0;
}

/* Index of the adjacency of a VTEP. Making one changes nothing that packets see. */
static int adjacency_for(struct change *c, const uint8_t vtep[4], uint32_t *index)
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
		return no_memory(c);
	}
	if (map != c->fib->adjacency_of)
		free(c->fib->adjacency_of);
	c->fib->adjacency_of = map;
	c->retired_adjacencies[c->retired_adjacency_count++] = old;
	__atomic_store_n(&c->fib->adjacencies, grown, __ATOMIC_RELEASE);
	*index = adjacency_index(c->fib, grown, address);
	return 0;
}

static int stage_vm(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vm *r = record;
	uint32_t adjacency;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return refuse(c, CCN_NAK_RECORD, index, "VM: VNI %u not in 1..16777215", r->vni);
	if (r->family != 4 && r->family != 6)
		return refuse(c, CCN_NAK_RECORD, index, "VM: family %u is not 4 or 6", r->family);
	if (!remove && (r->mac[0] & 1))
		return refuse(c, CCN_NAK_RECORD, index, "VM: a group MAC address");
	add_op(&c->vms, record, remove, index);
	return remove ? 0 : adjacency_for(c, r->vtep, &adjacency);
}

static int settle_vms(struct change *c)
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
			return refuse(c, CCN_NAK_RECORD, op->index, "VM: does not exist");
	}
	if (vm_reserve(&c->fib->vms, 4, more[0], &c->retired_vms[0]) < 0 ||
	    vm_reserve(&c->fib->vms, 6, more[1], &c->retired_vms[1]) < 0)
		return no_memory(c);
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

static void free_next_hop(struct next_hop *hop)
{
	if (hop)
		neigh_release(hop->neigh);
	free(hop);
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
		return refuse(c, CCN_NAK_RECORD, index, "next hop %u: %s", r->slot, fault);
	hop = calloc(1, sizeof(*hop));
	if (!hop)
		return no_memory(c);
	hop->record = *r;
	hop->interface = NO_INTERFACE;
	hop->adjacency = NO_ADJACENCY;
	if (r->kind == CCN_REMOTE && adjacency_for(c, r->ip, &hop->adjacency) < 0) {
		free(hop);
		return -1;
	}
	if (r->kind == CCN_NEIGHBOR) {
		hop->interface = interfaces_find(table, r->interface);
		if (hop->interface == NO_INTERFACE ||
		    table->at[hop->interface].record.role != CCN_HAND_OFF) {
			free(hop);
			return refuse(c, CCN_NAK_RECORD, index, "next hop %u: no hand-off %u",
				      r->slot, r->interface);
		}
		struct neigh_key key = {.port = table->at[hop->interface].port,
					.vlan = table->at[hop->interface].record.vlan,
					.role = CCN_HAND_OFF,
					.family = r->family};

		memcpy(key.ip, r->ip, r->family == 4 ? 4 : 16);
		hop->neigh = neigh_hold(&key);
		if (!hop->neigh) {
			free(hop);
			return no_memory(c);
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

static int stage_next_hop(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_next_hop *r = record;

	if (r->slot >= 1 << 24)
		return refuse(c, CCN_NAK_RECORD, index, "next hop %u: slot over 2^24-1", r->slot);
	struct next_hop_entry *entry = next_hop_entry(c, r->slot);
	struct next_hop *hop = NULL;

	if (!entry)
		return no_memory(c);
	if (remove && !entry->staged && (!entry->live || entry->doomed))
		return refuse(c, CCN_NAK_RECORD, index, "next hop %u: does not exist", r->slot);
	if (!remove && make_next_hop(c, r, index, &hop) < 0)
		return -1;
	touch_slot(c, entry, r->slot);
	free_next_hop(entry->staged);
	entry->staged = hop;
	entry->doomed = remove;
	return 0;
}

/* With new interfaces, what hands off is made anew: its port or VLAN may differ. */
static int restage_neighbors(struct change *c)
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
			return no_memory(c);
		c->slots = slots;
		if (make_next_hop(c, &e->live->record, 0, &e->staged) < 0)
			return -1;
		c->slots[c->slot_count++] = slot;
	}
	return 0;
}

/* --- routes --- */

static int stage_route(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_route *r = record;
	const char *fault = route_fault(r);

	if (fault)
		return refuse(c, CCN_NAK_RECORD, index, "route in CCSI %u: %s", r->ccsi, fault);
	if (!ccsi_will_exist(c, r->ccsi))
		return refuse(c, CCN_NAK_RECORD, index, "route: no CCSI %u", r->ccsi);
	if (!remove) {
		const struct next_hop_entry *page =
		    r->next_hop < 1 << 24 ? c->fib->next_hop_page[r->next_hop / PAGE] : NULL;
		const struct next_hop_entry *e = page ? &page[r->next_hop % PAGE] : NULL;

		if (!e || (!e->staged && (!e->live || e->doomed)))
			return refuse(c, CCN_NAK_RECORD, index, "route in CCSI %u: no next hop %u",
				      r->ccsi, r->next_hop);
	}
	route_stage_add(&c->routes, r, remove, index);
	return 0;
}

static int check_doomed(struct change *c)
{
	for (size_t i = 0; i < c->slot_count; i++) {
		const struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];

		if (e->doomed && e->references > 0)
			return refuse(c, CCN_NAK_RECORD, 0, "next hop %u: %u routes use it",
				      c->slots[i], e->references);
	}
	return 0;
}

/* --- the whole --- */

static int allocate(struct change *c)
{
	c->vnis = malloc((count_records(c, CCN_VNI) + 1) * sizeof(*c->vnis));
	c->slots = malloc((count_records(c, CCN_NEXT_HOP) + 1) * sizeof(*c->slots));
	c->vteps.op = malloc((count_records(c, CCN_VTEP) + 1) * sizeof(struct op));
	c->vms.op = malloc((count_records(c, CCN_VM) + 1) * sizeof(struct op));
	if (!c->vnis || !c->slots || !c->vteps.op || !c->vms.op ||
	    route_stage_init(&c->routes, count_records(c, CCN_ROUTE)) < 0)
		return no_memory(c);
	return 0;
}

static int stage(struct change *c)
{
	const char *fault;
	uint32_t index = 0;

	if (allocate(c) < 0 || each(c, CCN_INTERFACE, stage_interface) < 0 ||
	    each(c, CCN_CCSI, stage_ccsi) < 0 || check_interfaces(c) < 0 ||
	    each(c, CCN_VNI, stage_vni) < 0 || check_vnis(c) < 0 ||
	    each(c, CCN_VTEP, stage_vtep) < 0 || settle_vteps(c) < 0)
		return -1;
	if (c->full && c->interfaces) { /* nobody reads this fib yet */
		free(c->fib->interfaces);
		c->fib->interfaces = c->interfaces;
		c->interfaces = NULL;
	}
	if (each(c, CCN_VM, stage_vm) < 0 || settle_vms(c) < 0 ||
	    each(c, CCN_NEXT_HOP, stage_next_hop) < 0 ||
	    (c->interfaces && restage_neighbors(c) < 0) || each(c, CCN_ROUTE, stage_route) < 0)
		return -1;
	fault = route_stage_build(&c->routes, c->fib, &index);
	if (fault)
		return refuse(c, index == UINT32_MAX ? CCN_NAK_MEMORY : CCN_NAK_RECORD,
			      index == UINT32_MAX ? 0 : index, "%s", fault);
	if (check_doomed(c) < 0)
		return -1;
	if (c->interfaces) {
		c->adjacencies = adjacencies_make(c->fib->adjacencies, 0, c->interfaces);
		if (!c->adjacencies)
			return no_memory(c);
	}
	return 0;
}

static void publish_rows(struct change *c)
{
	struct fib *fib = c->fib;

	for (size_t i = 0; i < c->vteps.count; i++)
		if (c->vteps.op[i].last && !c->vteps.op[i].remove)
			keymap_put(fib->vteps, key_of_vtep(&c->vteps.op[i]), 1);
	for (size_t i = 0; i < c->vms.count; i++) {
		const struct ccn_vm *r = (const void *)c->vms.op[i].record;
		struct vm_value value = {.vni = r->vni};

		if (!c->vms.op[i].last || c->vms.op[i].remove)
			continue;
		memcpy(value.mac, r->mac, 6);
		adjacency_for(c, r->vtep, &value.adjacency); /* staged before: cannot fail */
		vm_put(&fib->vms, r->family, r->ip, &value);
	}
}

static void remove_rows(struct change *c)
{
	for (size_t i = 0; i < c->vteps.count; i++)
		if (c->vteps.op[i].last && c->vteps.op[i].remove)
			keymap_remove(c->fib->vteps, key_of_vtep(&c->vteps.op[i]));
	for (size_t i = 0; i < c->vms.count; i++) {
		const struct ccn_vm *r = (const void *)c->vms.op[i].record;

		if (c->vms.op[i].last && c->vms.op[i].remove)
			vm_delete(&c->fib->vms, r->family, r->vni, r->ip);
	}
}

/* Exchanges the staged next hop for the live one; what was live is then in `staged`. */
static void publish_next_hops(struct change *c, bool doomed)
{
	for (size_t i = 0; i < c->slot_count; i++) {
		struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];
		struct next_hop *old = e->live;

		if (e->doomed != doomed)
			continue;
		c->fib->next_hops += (e->staged != NULL) - (old != NULL);
		__atomic_store_n(&e->live, e->staged, __ATOMIC_RELEASE);
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

static void publish(struct change *c)
{
	struct fib *fib = c->fib;
	void *old_interfaces = NULL;
	struct adjacency_table *old_adjacencies = NULL;

	publish_rows(c);
	if (c->interfaces) {
		old_interfaces = fib->interfaces;
		old_adjacencies = fib->adjacencies;
		__atomic_store_n(&fib->interfaces, c->interfaces, __ATOMIC_RELEASE);
		__atomic_store_n(&fib->adjacencies, c->adjacencies, __ATOMIC_RELEASE);
		c->interfaces = NULL;
		c->adjacencies = NULL;
	}
	publish_next_hops(c, false);
	route_stage_publish(&c->routes, fib);
	publish_vnis(c);
	if (!c->full)
		fib_wait_for_readers();
	remove_rows(c);
	publish_next_hops(c, true);
	if (!c->full)
		fib_wait_for_readers();
	free(old_interfaces);
	adjacencies_free(old_adjacencies);
}

/* Frees what is staged or, after publishing, what was replaced. */
static void clean(struct change *c, bool published)
{
	bool retired = c->retired_vms[0] || c->retired_vms[1] || c->retired_vteps ||
		       c->retired_adjacency_count;

	if (retired && !c->full && !published)
		fib_wait_for_readers();
	for (size_t i = 0; i < c->slot_count; i++) {
		struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];

		free_next_hop(e->staged);
		e->staged = NULL;
		e->doomed = false;
	}
	for (size_t i = 0; i < c->vni_count; i++)
		c->fib->vni_page[c->vnis[i] / PAGE][c->vnis[i] % PAGE].touched = false;
	route_stage_clean(&c->routes, c->fib, published);
	for (unsigned i = 0; i < 2; i++)
		vm_array_free(c->retired_vms[i]);
	free(c->retired_vteps);
	for (uint32_t i = 0; i < c->retired_adjacency_count; i++)
		adjacencies_free(c->retired_adjacencies[i]);
	free(c->retired_adjacencies);
	free(c->interfaces);
	adjacencies_free(c->adjacencies);
	free(c->vnis);
	free(c->slots);
	free(c->vteps.op);
	free(c->vms.op);
}

int commit(const uint8_t *messages, size_t length, bool full, uint64_t next,
	   const uint8_t digest[32], struct refusal *refusal)
{
	struct change c = {
	    .full = full, .messages = messages, .length = length, .refusal = refusal};
	struct fib *old = fib_current;

	full = c.full = full || !old;
	c.fib = full ? fib_new() : old;
	if (!c.fib)
		return no_memory(&c);

	bool accepted = stage(&c) == 0;

	if (accepted)
		publish(&c);
	clean(&c, accepted);
	if (!accepted) {
		if (full)
			fib_free(c.fib);
		return -1;
	}
	c.fib->generation = next;
	memcpy(c.fib->digest, digest, 32);
	if (full) {
		__atomic_store_n(&fib_current, c.fib, __ATOMIC_RELEASE);
		fib_wait_for_readers();
		fib_free(old);
	}
	return 0;
}
