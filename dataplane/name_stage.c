/* SPDX-License-Identifier: Apache-2.0
 * Stages the names of IPv6 VTEPs: the table is made anew, before all that names them.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

static uint32_t name_in(const void *record)
{
	uint32_t name;

	memcpy(&name, record, sizeof(name));
	return name;
}

int stage_vtep_name(struct change *c, const void *record, bool remove, uint32_t index)
{
	static const uint8_t nobody[16];
	const struct ccn_vtep_name *r = record;

	if (!vtep_is_name(name_in(record)))
		return change_refuse(c, CCN_NAK_RECORD, index,
				     "name of a VTEP: not in 224.0.0.0/4");
	if (!memcmp(r->address, nobody, 16) || r->address[0] == 0xff)
		return change_refuse(c, CCN_NAK_RECORD, index,
				     "name of a VTEP: its address is nobody's");
	c->vtep_names.removes += remove;
	c->vtep_names.op[c->vtep_names.count++] =
	    (struct op){.record = record, .index = index, .remove = remove, .last = true};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = memcmp(x->record, y->record, sizeof(uint32_t));

	return order ? order : (x->record < y->record ? -1 : 1);
}

static const struct op *op_of(const struct op_list *list, uint32_t name)
{
	const struct op key = {.record = (const void *)&name};
	size_t low = 0, high = list->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (memcmp(list->op[middle].record, key.record, sizeof(name)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->count && name_in(list->op[low].record) == name ? &list->op[low] : NULL;
}

/* Those that are held and that no operation is about. */
static void keep(struct vtep_names *made, const struct vtep_names *old, const struct op_list *list)
{
	for (uint32_t i = 0; i <= old->mask; i++)
		if (old->by_address[i].name && !op_of(list, old->by_address[i].name))
			vtep_names_add(made, old->by_address[i].name, old->by_address[i].address);
}

int settle_vtep_names(struct change *c)
{
	const struct vtep_names *old = c->fib->vtep_names;
	struct op_list *list = &c->vtep_names;
	struct vtep_names *made;

	c->fib->vtep_names_after = c->fib->vtep_names;
	if (list->count == 0)
		return 0;
	made = vtep_names_new(old->count + (uint32_t)list->count);
	if (!made)
		return change_no_memory(c);
	c->made_vtep_names = c->fib->vtep_names_after = made;
	qsort(list->op, list->count, sizeof(*list->op), compare);
	keep(made, old, list);
	for (size_t i = 0; i < list->count; i++) {
		const struct op *op = &list->op[i];
		const struct ccn_vtep_name *r = (const void *)op->record;
		const uint32_t name = name_in(op->record);
		const uint8_t *held = vtep_address_of(old, name);

		if (i + 1 < list->count && name_in(list->op[i + 1].record) == name)
			return change_refuse(c, CCN_NAK_RECORD, op->index,
					     "name of a VTEP: twice in one transaction");
		if (op->remove && !held)
			return change_refuse(c, CCN_NAK_RECORD, op->index,
					     "name of a VTEP: does not exist");
		if (op->remove)
			continue;
		if (held && memcmp(held, r->address, 16) != 0)
			return change_refuse(c, CCN_NAK_RECORD, op->index,
					     "name of a VTEP: stands for another address");
		if (vtep_name_of(made, r->address))
			return change_refuse(c, CCN_NAK_RECORD, op->index,
					     "name of a VTEP: its address has another name");
		vtep_names_add(made, name, r->address);
	}
	return 0;
}

/* --- what still names one that goes --- */

static bool is_removed(const struct op_list *names, uint32_t name)
{
	const struct op *op = vtep_is_name(name) ? op_of(names, name) : NULL;

	return op && op->remove;
}

/* A VTEP of some VNI that stays. The operations on VTEPs are sorted if one removes any. */
static bool is_sender(const struct change *c)
{
	const struct keymap *map = c->fib->vteps;

	for (uint64_t i = 0; i <= map->mask; i++) {
		const uint64_t key = map->slots[i].key;
		bool goes = false;

		if (key == 0 || key == KEYMAP_DELETED || !is_removed(&c->vtep_names, (uint32_t)key))
			continue;
		for (size_t n = 0; !goes && n < c->vteps.count; n++) {
			const struct op *op = &c->vteps.op[n];

			goes = op->last && op->remove && op_vtep_key(op) == key;
		}
		if (!goes)
			return true;
	}
	return false;
}

/* How many fewer rows will name each adjacency. */
static void count_down(const struct change *c, uint32_t *uses, uint32_t count)
{
	const struct vtep_sets *sets = &c->fib->vtep_sets;
	struct vm_value vm;

	for (size_t i = 0; i < c->vms.count; i++) {
		const struct ccn_vm *r = (const void *)c->vms.op[i].record;

		if (c->vms.op[i].last && vm_get(&c->fib->vms, r->family, r->vni, r->ip, &vm) &&
		    vm.adjacency < count)
			uses[vm.adjacency]--;
	}
	for (size_t i = 0; i < c->slot_count; i++) {
		const struct next_hop *hop =
		    c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE].live;

		if (hop && hop->to.adjacency < count)
			uses[hop->to.adjacency]--;
	}
	for (uint32_t i = 0; i < sets->end; i++)
		for (unsigned n = 0;
		     sets->at[i] && sets->at[i]->doomed && n < sets->at[i]->record.count; n++)
			uses[sets->at[i]->adjacency[n]]--;
}

int check_vtep_names(struct change *c)
{
	const struct adjacency_table *table = c->fib->adjacencies;
	uint32_t *uses;
	bool named;

	if (c->vtep_names.removes == 0)
		return 0;
	uses = calloc(table->count + 1, sizeof(*uses));
	if (!uses)
		return change_no_memory(c);
	for (uint32_t i = 0; i < table->count; i++)
		uses[i] = c->fib->adjacency_uses.of[i].references;
	count_down(c, uses, table->count);
	named = is_sender(c);
	for (uint32_t i = 0; !named && i < table->count; i++)
		named = uses[i] > 0 && is_removed(&c->vtep_names, table->at[i].vtep);
	free(uses);
	return named ? change_refuse(c, CCN_NAK_RECORD, 0,
				     "name of a VTEP: other records still name it")
		     : 0;
}

void publish_vtep_names(struct change *c)
{
	struct vtep_names *old = c->fib->vtep_names;

	if (!c->made_vtep_names)
		return;
	__atomic_store_n(&c->fib->vtep_names, c->made_vtep_names, __ATOMIC_RELEASE);
	c->made_vtep_names = old; /* to be freed */
}

void clean_vtep_names(struct change *c)
{
	c->fib->vtep_names_after = c->fib->vtep_names;
	vtep_names_free(c->made_vtep_names);
	free(c->vtep_names.op);
}

int check_vtep(struct change *c, const char *what, const uint8_t vtep[4], uint32_t index)
{
	const uint32_t name = name_in(vtep);

	if (!vtep_is_name(name) || vtep_address_of(c->fib->vtep_names_after, name))
		return 0;
	return change_refuse(c, CCN_NAK_RECORD, index, "%s: no IPv6 VTEP has the name %u.%u.%u.%u",
			     what, vtep[0], vtep[1], vtep[2], vtep[3]);
}
