/* SPDX-License-Identifier: Apache-2.0
 * Stages next hops and groups of them.
 */
#include "change.h"

#include "arena.h"

#include <stdlib.h>
#include <string.h>

static struct next_hop_entry *next_hop_entry(struct change *c, uint32_t slot)
{
	struct next_hop_entry **place = &c->fib->next_hop_page[slot / PAGE];

	if (!*place) {
		struct next_hop_entry *page = calloc(PAGE, sizeof(*page));
		struct way *ways = arena_alloc(ARENA_LOOKUP, WAY_LINES);

		if (!page || !ways) {
			free(page);
			arena_free(ARENA_LOOKUP, ways, WAY_LINES);
			return NULL;
		}
		memset(ways, 0, WAY_LINES * ARENA_LINE);
		__atomic_store_n(&c->fib->way_page[slot / PAGE], ways, __ATOMIC_RELEASE);
		__atomic_store_n(place, page, __ATOMIC_RELEASE);
	}
	return &(*place)[slot % PAGE];
}

/* Zero; NULL: out of memory. */
static struct next_hop *next_hop_new(void)
{
	struct next_hop *hop = aligned_alloc(_Alignof(struct next_hop), sizeof(*hop));

	if (hop)
		memset(hop, 0, sizeof(*hop));
	return hop;
}

void next_hop_prepare(struct next_hop *hop, uint32_t adjacency)
{
	const struct ccn_next_hop *r = &hop->record;

	hop->to = (struct vm_value){.vni = r->vni, .adjacency = adjacency};
	memcpy(hop->to.mac, r->mac, sizeof(hop->to.mac));
	hop->way = (struct way){0};
	if (r->kind == CCN_REMOTE) {
		memcpy(&hop->way, &hop->to, sizeof(hop->way));
		hop->way.vni |= (uint32_t)LEADS_AWAY << 24;
	} else if (r->kind == CCN_ON_LINK || (r->kind == CCN_VIP && r->family == 4)) {
		hop->way.vni = r->vni | (uint32_t)LEADS_TO_VM << 24;
		if (r->kind == CCN_VIP)
			memcpy(&hop->way.address, r->ip, 4);
		else
			hop->way.mask = UINT32_MAX;
	}
}

static const char *next_hop_fault(const struct ccn_next_hop *r)
{
	bool tunnels = r->kind == CCN_ON_LINK || r->kind == CCN_VIP || r->kind == CCN_REMOTE;

	if (r->kind > CCN_NEIGHBOR)
		return "unknown kind";
	if (tunnels && (r->vni == 0 || r->vni >= 1 << 24))
		return "VNI not in 1..16777215";
	if (r->kind == CCN_REMOTE && (r->mac[0] & 1))
		return "a remote gateway needs a unicast MAC";
	if (r->kind != CCN_DROP && r->kind != CCN_ON_LINK && r->family != 4 && r->family != 6)
		return "family is not 4 or 6";
	return NULL;
}

/* The adjacency of a remote gateway's VTEP. */
static int remote_adjacency(struct change *c, const struct ccn_next_hop *r, uint32_t index,
			    uint32_t *adjacency)
{
	uint32_t vtep;
	uint8_t octets[4];

	memcpy(octets, r->ip, 4);
	if (r->family == 6) {
		vtep = vtep_name_of(c->fib->vtep_names_after, r->ip);
		if (!vtep)
			return change_refuse(c, CCN_NAK_RECORD, index,
					     "next hop %u: its IPv6 VTEP has no name", r->slot);
		memcpy(octets, &vtep, 4);
	} else if ((octets[0] & 0xf0) == 0xe0) {
		return change_refuse(c, CCN_NAK_RECORD, index,
				     "next hop %u: its IPv4 VTEP is a multicast address", r->slot);
	}
	return change_adjacency(c, octets, adjacency);
}

/* The row that readers will see. */
static int make_next_hop(struct change *c, const struct ccn_next_hop *r, uint32_t index,
			 struct next_hop **made)
{
	const struct interface_table *table = c->interfaces ? c->interfaces : c->fib->interfaces;
	const char *fault = next_hop_fault(r);
	uint32_t adjacency = NO_ADJACENCY;
	struct next_hop *hop;

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: %s", r->slot, fault);
	hop = next_hop_new();
	if (!hop)
		return change_no_memory(c);
	hop->record = *r;
	if (r->kind == CCN_REMOTE && remote_adjacency(c, r, index, &adjacency) < 0) {
		free(hop);
		return -1;
	}
	next_hop_prepare(hop, adjacency);
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

/* The entry that a record is about, if what it holds and will hold is of the record's type. */
static struct next_hop_entry *claim_entry(struct change *c, uint32_t slot, bool group, bool remove,
					  uint32_t index)
{
	struct next_hop_entry *entry = slot < 1 << 24 ? next_hop_entry(c, slot) : NULL;
	const struct next_hop *held, *next;

	if (slot >= 1 << 24) {
		change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: slot over 2^24-1", slot);
		return NULL;
	}
	if (!entry) {
		change_no_memory(c);
		return NULL;
	}
	next = entry->staged || entry->doomed ? entry->staged : entry->live;
	if (remove && !next) {
		change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: does not exist", slot);
		return NULL;
	}
	held = entry->live ? entry->live : next;
	if (held && (held->group != NULL) != group) {
		change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: is %s in this transaction",
			      slot, group ? "no group" : "a group");
		return NULL;
	}
	return entry;
}

static void put_entry(struct change *c, struct next_hop_entry *entry, uint32_t slot,
		      struct next_hop *hop)
{
	if (!entry->staged && !entry->doomed)
		c->slots[c->slot_count++] = slot;
	next_hop_free(entry->staged);
	entry->staged = hop;
	entry->doomed = !hop;
}

int stage_next_hop(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_next_hop *r = record;
	struct next_hop_entry *entry = claim_entry(c, r->slot, false, remove, index);
	struct next_hop *hop = NULL;

	if (!entry || (!remove && make_next_hop(c, r, index, &hop) < 0))
		return -1;
	put_entry(c, entry, r->slot, hop);
	return 0;
}

/* --- groups --- */

int stage_group(struct change *c, const void *record, bool remove, uint32_t index)
{
	struct ccn_next_hop_group copy,
	    *r = &copy; /* keys of 64 bits, records at any multiple of 4 */
	struct next_hop_entry *entry;
	struct next_hop *hop = NULL;
	const char *fault;

	memcpy(&copy, record, sizeof(copy));
	fault = remove ? NULL : group_fault(r);
	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "next hop %u: %s", r->slot, fault);
	entry = claim_entry(c, r->slot, true, remove, index);
	if (!entry)
		return -1;
	if (!remove) {
		hop = next_hop_new();
		if (!hop || !(hop->group = calloc(1, sizeof(*hop->group)))) {
			next_hop_free(hop);
			return change_no_memory(c);
		}
		hop->record = (struct ccn_next_hop){.slot = r->slot, .kind = CCN_GROUP};
		next_hop_prepare(hop, NO_ADJACENCY);
		hop->group->record = *r;
		for (unsigned i = 0; i < r->count; i++) {
			hop->group->member[i] = next_hop_entry(c, r->member[i].slot);
			if (!hop->group->member[i]) {
				next_hop_free(hop);
				return change_no_memory(c);
			}
		}
		group_fill(r, hop->group->bucket);
	}
	put_entry(c, entry, r->slot, hop);
	return 0;
}

static void count_members(struct change *c, const struct next_hop *hop, uint32_t difference)
{
	for (unsigned i = 0; hop && hop->group && i < hop->group->record.count; i++)
		next_hop_entry(c, hop->group->record.member[i].slot)->groups += difference;
}

/* What groups will use, in place of what they use now; or the other way round. */
static void recount(struct change *c, uint32_t sign)
{
	for (size_t i = 0; i < c->slot_count; i++) {
		const struct next_hop_entry *e = next_hop_entry(c, c->slots[i]);

		count_members(c, e->staged, sign);
		count_members(c, e->live, -sign);
	}
	c->groups_counted = !c->groups_counted;
}

int check_groups(struct change *c)
{
	recount(c, 1);
	for (size_t i = 0; i < c->slot_count; i++) {
		const struct next_hop *hop = next_hop_entry(c, c->slots[i])->staged;

		for (unsigned m = 0; hop && hop->group && m < hop->group->record.count; m++) {
			const struct next_hop_entry *e = hop->group->member[m];
			const struct next_hop *member =
			    e->staged || e->doomed ? e->staged : e->live;

			if (!member || member->group)
				return change_refuse(c, CCN_NAK_RECORD, 0,
						     "next hop %u: its member %u %s", c->slots[i],
						     hop->group->record.member[m].slot,
						     member ? "is a group" : "does not exist");
		}
	}
	return 0;
}

void uncount_groups(struct change *c)
{
	if (c->groups_counted)
		recount(c, -1U);
}

/* With new interfaces, what hands off is made anew: its port or VLAN may differ. */
int restage_neighbors(struct change *c)
{
	const size_t groups = change_count(c, CCN_NEXT_HOP_GROUP); /* staged after these */

	for (uint32_t slot = 0; slot < 1 << 24; slot++) {
		if (!c->fib->next_hop_page[slot / PAGE]) {
			slot |= PAGE - 1;
			continue;
		}
		struct next_hop_entry *e = &c->fib->next_hop_page[slot / PAGE][slot % PAGE];

		if (!e->live || e->staged || e->doomed || e->live->record.kind != CCN_NEIGHBOR)
			continue;
		uint32_t *slots = realloc(c->slots, (c->slot_count + 1 + groups) * sizeof(*slots));

		if (!slots)
			return change_no_memory(c);
		c->slots = slots;
		if (make_next_hop(c, &e->live->record, 0, &e->staged) < 0)
			return -1;
		c->slots[c->slot_count++] = slot;
	}
	return 0;
}
