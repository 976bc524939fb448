/* SPDX-License-Identifier: Apache-2.0
 * Stages VTEPs, sets of them and VMs.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

#define VMS_AHEAD 16U /* rows whose places in the table are under way from memory */

/* --- VTEPs and VMs: lists of operations, of which the last per key counts --- */

#define VTEP_KEY offsetof(struct ccn_vtep, flags)

static int compare_vteps(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = memcmp(x->record, y->record, VTEP_KEY);

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

static void settle(struct op_list *list, int (*compare)(const void *, const void *),
		   bool (*same)(const struct op *, const struct op *))
{
	size_t sorted = 1;

	while (sorted < list->count && compare(&list->op[sorted - 1], &list->op[sorted]) < 0)
		sorted++;
	if (sorted < list->count) /* mostly they come in order */
		qsort(list->op, list->count, sizeof(*list->op), compare);
	for (size_t i = 0; i + 1 < list->count; i++)
		list->op[i].last = !same(&list->op[i], &list->op[i + 1]);
}

static bool same_vtep(const struct op *x, const struct op *y)
{
	return !memcmp(x->record, y->record, VTEP_KEY);
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
	if (r->flags & ~(uint32_t)(CCN_VTEP_REGION | CCN_VTEP_HAND_OFF))
		return change_refuse(c, CCN_NAK_RECORD, index, "VTEP: unknown flags");
	if (!remove && check_vtep(c, "VTEP", r->address, index) < 0)
		return -1;
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
	/* order matters only when something is removed; adding twice is adding the later */
	if (c->vteps.removes)
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
	const uint32_t more = adjacencies_growth(c->fib);
	struct adjacency_table *grown = adjacencies_make(old, more, c->fib->interfaces);
	struct keymap *map = keymap_reserve(c->fib->adjacency_of, more + 1);
	struct adjacency_table **list =
	    realloc(c->retired_adjacencies,
		    (c->retired_adjacency_count + 1) * sizeof(struct adjacency_table *));

	if (list)
		c->retired_adjacencies = list;
	if (!grown || !map || !list ||
	    adjacency_uses_reserve(&c->fib->adjacency_uses, grown->capacity) < 0) {
		adjacencies_free(grown);
		if (map && map != c->fib->adjacency_of)
			free(map);
		return change_no_memory(c);
	}
	if (map != c->fib->adjacency_of)
		old->replaced = c->fib->adjacency_of; /* the slow path may read it */
	__atomic_store_n(&c->fib->adjacency_of, map, __ATOMIC_RELEASE);
	c->retired_adjacencies[c->retired_adjacency_count++] = old;
	__atomic_store_n(&c->fib->adjacencies, grown, __ATOMIC_RELEASE);
	*index = adjacency_index(c->fib, grown, address);
	return *index == NO_ADJACENCY ? change_no_memory(c) : 0;
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
	if (!remove && r->shared > 1)
		return change_refuse(c, CCN_NAK_RECORD, index, "VM: shared %u is not 0 or 1",
				     r->shared);
	if (!remove && r->shared && vtep_set_find(&c->fib->vtep_sets, r->vtep) == MAX_VTEP_SETS)
		return change_refuse(c, CCN_NAK_RECORD, index, "VM: no such set of VTEPs");
	if (!remove && !r->shared && check_vtep(c, "VM", r->vtep, index) < 0)
		return -1;
	add_op(&c->vms, record, remove, index);
	return remove || r->shared ? 0 : change_adjacency(c, r->vtep, &adjacency);
}

static struct vtep_set *set_of(struct change *c, const struct vm_value *value)
{
	return value->adjacency & SHARED ? c->fib->vtep_sets.at[value->adjacency & ~SHARED] : NULL;
}

/* What a VM's row makes other in the number of VMs that name a set. */
static void count_sets(struct change *c, const struct ccn_vm *r, bool remove)
{
	const struct vtep_sets *sets = &c->fib->vtep_sets;
	struct vm_value value;

	if (vm_get(&c->fib->vms, r->family, r->vni, r->ip, &value) && set_of(c, &value))
		set_of(c, &value)->difference--;
	if (!remove && r->shared)
		sets->at[vtep_set_find(sets, r->vtep)]->difference++;
}

static void fetch_vm(const struct change *c, size_t i)
{
	if (i >= c->vms.count)
		return;
	const struct ccn_vm *r = (const void *)c->vms.op[i].record;

	vm_prefetch(&c->fib->vms, r->family, r->vni, r->ip);
}

/* Of a family: how many are added that are not there. */
static size_t count_new_vms(const struct change *c, uint8_t family)
{
	struct vm_value value;
	size_t count = 0;

	for (size_t i = 0; i < c->vms.count; i++) {
		const struct op *op = &c->vms.op[i];
		const struct ccn_vm *r = (const void *)op->record;

		fetch_vm(c, i + VMS_AHEAD);
		if (!op->remove && r->family == family)
			count += !vm_get(&c->fib->vms, family, r->vni, r->ip, &value);
	}
	return count;
}

static int reserve_vms(struct change *c, uint8_t family, size_t more)
{
	struct vm_array **retired = &c->retired_vms[family == 6];

	if (!vm_has_room(&c->fib->vms, family, more))
		more = count_new_vms(c, family); /* or rows that move would be paid for twice */
	return vm_reserve(&c->fib->vms, family, more, retired);
}

int settle_vms(struct change *c)
{
	size_t more[2] = {0, 0};
	struct vm_value value;

	if (c->vms.removes || c->vtep_set_removed || c->vtep_names.removes)
		settle(&c->vms, compare_vms, same_vm);
	for (size_t i = 0; i < c->vms.count; i++) {
		const struct op *op = &c->vms.op[i];
		const struct ccn_vm *r = (const void *)op->record;
		bool first = i == 0 || !same_vm(op - 1, op);

		if (c->vms.removes || c->vtep_set_removed)
			fetch_vm(c, i + VMS_AHEAD);
		more[r->family == 6] += !op->remove;
		if (c->vtep_set_removed && op->last)
			count_sets(c, r, op->remove);
		if (op->remove && first && !vm_get(&c->fib->vms, r->family, r->vni, r->ip, &value))
			return change_refuse(c, CCN_NAK_RECORD, op->index, "VM: does not exist");
	}
	if (reserve_vms(c, 4, more[0]) < 0 || reserve_vms(c, 6, more[1]) < 0)
		return change_no_memory(c);
	return 0;
}

/* One more or less in a place: what it led to is let go of. */
static void release_vm(struct change *c, const struct vm_value *value)
{
	if (set_of(c, value))
		set_of(c, value)->vms--;
	adjacency_release(c->fib, value->adjacency);
}

static void publish_vm(struct change *c, const struct ccn_vm *r)
{
	struct vm_value value = {.vni = r->vni}, before;

	memcpy(value.mac, r->mac, 6);
	if (r->shared) {
		value.adjacency = SHARED | vtep_set_find(&c->fib->vtep_sets, r->vtep);
		set_of(c, &value)->vms++;
	} else {
		change_adjacency(c, r->vtep, &value.adjacency); /* staged before: cannot fail */
		adjacency_hold(c->fib, value.adjacency);
	}
	if (vm_put(&c->fib->vms, r->family, r->ip, &value, &before))
		release_vm(c, &before);
}

static void remove_vm(struct change *c, const struct ccn_vm *r)
{
	struct vm_value before;

	if (vm_delete(&c->fib->vms, r->family, r->vni, r->ip, &before))
		release_vm(c, &before);
}

static void each_last_vm(struct change *c, bool remove,
			 void (*act)(struct change *c, const struct ccn_vm *r))
{
	for (size_t i = 0; i < c->vms.count; i++) {
		const struct op *op = &c->vms.op[i];

		fetch_vm(c, i + VMS_AHEAD);
		if (op->last && op->remove == remove)
			act(c, (const void *)op->record);
	}
}

void publish_vms(struct change *c)
{
	each_last_vm(c, false, publish_vm);
}

void remove_vms(struct change *c)
{
	if (c->vms.removes > 0)
		each_last_vm(c, true, remove_vm);
}

/* --- sets of VTEPs: a few, each put beside the table at once, and seen when a VM names it --- */

int stage_vtep_set(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vtep_set *r = record;
	struct vtep_sets *sets = &c->fib->vtep_sets;
	const char *fault = remove ? NULL : vtep_set_fault(r);
	uint32_t adjacency[CCN_MAX_MEMBERS], place = vtep_set_find(sets, r->name);
	struct vtep_set *held = place == MAX_VTEP_SETS ? NULL : sets->at[place];

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "set of VTEPs: %s", fault);
	if (remove && (!held || held->doomed))
		return change_refuse(c, CCN_NAK_RECORD, index, "set of VTEPs: does not exist");
	if (!remove && held && memcmp(&held->record, r, sizeof(*r)) != 0)
		return change_refuse(c, CCN_NAK_RECORD, index,
				     "set of VTEPs: its name stands for others");
	c->vtep_set_removed |= remove;
	c->vtep_set_staged = true;
	if (held) {
		held->doomed = remove;
		return 0;
	}
	for (unsigned i = 0; i < r->count; i++)
		if (check_vtep(c, "set of VTEPs", r->vtep[i], index) < 0 ||
		    change_adjacency(c, r->vtep[i], &adjacency[i]) < 0)
			return -1;
	place = vtep_set_put(sets, r, adjacency);
	if (place == MAX_VTEP_SETS)
		return change_refuse(c, CCN_NAK_MEMORY, index,
				     "out of memory, or more than %u sets of VTEPs", MAX_VTEP_SETS);
	sets->at[place]->fresh = true;
	for (unsigned i = 0; i < r->count; i++)
		adjacency_hold(c->fib, adjacency[i]);
	return 0;
}

int check_vtep_sets(struct change *c)
{
	const struct vtep_sets *sets = &c->fib->vtep_sets;

	for (uint32_t i = 0; c->vtep_set_removed && i < sets->end; i++) {
		const struct vtep_set *set = sets->at[i];
		const int64_t vms = set ? (int64_t)set->vms + set->difference : 0;

		if (set && set->doomed && vms > 0)
			return change_refuse(c, CCN_NAK_RECORD, 0, "set of VTEPs: %d VMs name it",
					     (int)vms);
	}
	return 0;
}

void free_vtep_sets(struct change *c, bool published)
{
	struct vtep_sets *sets = &c->fib->vtep_sets;

	for (uint32_t i = c->vtep_set_staged ? sets->end : 0; i-- > 0;) {
		struct vtep_set *set = sets->at[i];

		if (set && (published ? set->doomed : set->fresh)) {
			for (unsigned j = 0; j < set->record.count; j++)
				adjacency_release(c->fib, set->adjacency[j]);
			free(vtep_set_take(sets, i));
		} else if (set) {
			set->fresh = set->doomed = false;
			set->difference = 0;
		}
	}
}
