/* SPDX-License-Identifier: Apache-2.0
 * Stages the gateway's addresses inside VPCs and the BGP neighbours: sets that are made anew.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

static int compare_ops(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = address_compare((const void *)x->record, (const void *)y->record);

	return order ? order : (x->record < y->record ? -1 : 1);
}

static int stage_address(struct change *c, struct op_list *list, const char *what,
			 const void *record, bool remove, uint32_t index)
{
	static const uint8_t zero[16];
	const struct address_key *r = record;

	if (r->family != 4 && r->family != 6)
		return change_refuse(c, CCN_NAK_RECORD, index, "%s: family %u is not 4 or 6", what,
				     r->family);
	if (memcmp(r->pad, zero, 3) != 0 || (r->family == 4 && memcmp(r->ip + 4, zero, 12) != 0))
		return change_refuse(c, CCN_NAK_RECORD, index, "%s: padding is not zero", what);
	list->op[list->count++] =
	    (struct op){.record = record, .index = index, .remove = remove, .last = true};
	return 0;
}

int stage_gateway_address(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_gateway_address *r = record;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return change_refuse(c, CCN_NAK_RECORD, index,
				     "gateway address: VNI %u not in 1..16777215", r->vni);
	return stage_address(c, &c->gateway_addresses.ops, "gateway address", record, remove,
			     index);
}

int stage_peer(struct change *c, const void *record, bool remove, uint32_t index)
{
	return stage_address(c, &c->peers.ops, "peer", record, remove, index);
}

/* Old keys and operations, both sorted, become the new set; of operations on one key the last
 * counts. */
static int merge(struct change *c, const char *what, struct address_change *change,
		 const struct address_set *old)
{
	const struct op_list *list = &change->ops;
	struct address_set *made;
	uint32_t from = 0;

	if (list->count == 0)
		return 0;
	made = address_set_new(old->count + (uint32_t)list->count);
	if (!made)
		return change_no_memory(c);
	change->made = made;
	qsort(list->op, list->count, sizeof(*list->op), compare_ops);
	for (size_t i = 0; i < list->count;) {
		const struct address_key *key = (const void *)list->op[i].record;
		bool held;

		while (from < old->count && address_compare(&old->key[from], key) < 0)
			made->key[made->count++] = old->key[from++];
		held = from < old->count && address_compare(&old->key[from], key) == 0;
		from += held;
		for (;
		     i < list->count && address_compare((const void *)list->op[i].record, key) == 0;
		     i++) {
			if (list->op[i].remove && !held)
				return change_refuse(c, CCN_NAK_RECORD, list->op[i].index,
						     "%s: does not exist", what);
			held = !list->op[i].remove;
		}
		if (held)
			made->key[made->count++] = *key;
	}
	while (from < old->count)
		made->key[made->count++] = old->key[from++];
	address_set_index(made);
	return 0;
}

int settle_addresses(struct change *c)
{
	if (merge(c, "gateway address", &c->gateway_addresses, c->fib->gateway_addresses) < 0)
		return -1;
	return merge(c, "peer", &c->peers, c->fib->peers);
}

/* Exchanges the new set for the live one; what was live is then in `made`. */
static void exchange(struct address_set **live, struct address_change *change)
{
	struct address_set *old = *live;

	if (!change->made)
		return;
	__atomic_store_n(live, change->made, __ATOMIC_RELEASE);
	change->made = old;
}

void publish_addresses(struct change *c)
{
	exchange(&c->fib->gateway_addresses, &c->gateway_addresses);
	exchange(&c->fib->peers, &c->peers);
}

void clean_addresses(struct change *c)
{
	address_set_free(c->gateway_addresses.made);
	address_set_free(c->peers.made);
	free(c->gateway_addresses.ops.op);
	free(c->peers.ops.op);
}
