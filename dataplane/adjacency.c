/* SPDX-License-Identifier: Apache-2.0
 *
 * Adjacencies: how each VTEP is reached. In: the VTEPs that rows name, and the uplinks. Out: for
 * each VTEP an uplink, a neighbour on it and the headers up to it; of several uplinks, one of each.
 */
#include <stdlib.h>
#include <string.h>

#include "fib.h"

void egress_of(struct egress *out, const struct interface *interface)
{
	*out = (struct egress){.address = interface->tunnel,
			       .port = interface->port,
			       .vlan = interface->record.vlan,
			       .mtu = interface->record.mtu};
	memcpy(out->mac, interface->mac, 6);
	memcpy(out->router_mac, interface->router_mac, 6);
}

/* By this uplink, to the router or (false) to the VTEP itself. */
static void lead(struct adjacency *adjacency, const struct interface *uplink, bool by_router)
{
	struct adjacency6 *six = adjacency->six;
	struct neigh_key key = {.port = uplink->port,
				.vlan = uplink->record.vlan,
				.role = CCN_UPLINK,
				.family = six ? 6 : 4};
	struct encapsulation what = {.outer_src = adjacency->out.mac,
				     .inner_src = adjacency->out.router_mac};

	egress_of(&adjacency->out, uplink);
	if (six) {
		memcpy(six->source, uplink->tunnel6, 16);
		memcpy(key.ip, by_router ? uplink->record.via6 : six->address, 16);
		adjacency_address(adjacency, &what);
		encap6_prepare(&six->outer, &what);
		six->neigh = neigh_hold(&key);
		return;
	}
	memcpy(key.ip, by_router ? &uplink->via : &adjacency->vtep, 4);
	adjacency_address(adjacency, &what);
	encap_prepare(&adjacency->outer, &what);
	adjacency->neigh = neigh_hold(&key);
}

/* The same VTEP, by no uplink yet. False: out of memory. */
static bool name_vtep(struct adjacency *adjacency, uint32_t vtep_be, const uint8_t *address6)
{
	*adjacency = (struct adjacency){.vtep = vtep_be};
	if (!address6)
		return true;
	adjacency->six = calloc(1, sizeof(*adjacency->six));
	if (adjacency->six)
		memcpy(adjacency->six->address, address6, 16);
	return adjacency->six != NULL;
}

static const uint8_t *address6_of(const struct adjacency *adjacency)
{
	return adjacency->six ? adjacency->six->address : NULL;
}

static void lead_by_each(struct adjacency *adjacency, const struct interface_table *interfaces,
			 const struct uplink *direct)
{
	const struct underlay *u = interfaces->underlay;
	const size_t size = sizeof(struct adjacency_ways) + u->count * sizeof(struct adjacency);
	struct adjacency_ways *ways = aligned_alloc(RTE_CACHE_LINE_SIZE, size);

	if (!ways)
		return; /* one way is left */
	memset(ways, 0, size);
	ways->underlay = u;
	ways->direct = direct;
	for (unsigned i = 0; i < u->count; i++) {
		if (name_vtep(&ways->by[i], adjacency->vtep, address6_of(adjacency)) &&
		    u->at[i].router)
			lead(&ways->by[i], &interfaces->at[u->at[i].slot], true);
	}
	adjacency->ways = ways;
}

static bool is_ours(const struct interface *n, const struct adjacency *adjacency)
{
	return adjacency->six ? interface_has6(n, adjacency->six->address)
			      : n->address == adjacency->vtep || n->tunnel == adjacency->vtep;
}

static bool is_on_subnet(const struct interface *n, const struct adjacency *adjacency)
{
	const unsigned octets = n->record.length6 / 8, bits = n->record.length6 % 8;
	const uint8_t *ours = n->record.address6, *theirs;

	if (!adjacency->six)
		return (adjacency->vtep & n->mask) == (n->address & n->mask);
	theirs = adjacency->six->address;
	return !memcmp(ours, theirs, octets) &&
	       (bits == 0 || (ours[octets] ^ theirs[octets]) >> (8 - bits) == 0);
}

/* Sets `plain_most` of the family that it is of. */
static void note_plain(struct adjacency *adjacency)
{
	const uint32_t outer = adjacency->six ? OUTER_L3_6 : OUTER_L3;

	if (!adjacency_neigh(adjacency) || adjacency->ways || adjacency->out.vlan != 0 ||
	    adjacency->out.mtu <= outer)
		return;
	*(adjacency->six ? &adjacency->six->plain_most : &adjacency->plain_most) =
	    adjacency->out.mtu - outer;
}

/* Of one that name_vtep has emptied: the first uplink (by id) whose subnet holds the VTEP, and the
 * routers of the others in its need; else every uplink that has a router. */
static void resolve(struct adjacency *adjacency, const struct interface_table *interfaces)
{
	const struct underlay *u = interfaces->underlay;
	const struct uplink *direct = NULL, *routed = NULL;

	for (unsigned i = 0; u && i < u->count; i++) {
		const struct interface *n = &interfaces->at[u->at[i].slot];

		if (n->family != (adjacency->six ? 6 : 4))
			return; /* a gateway has one underlay: all uplinks are alike */
		if (is_ours(n, adjacency))
			return; /* a tunnel to ourselves: nobody would answer for it but a liar */
		if (!direct && is_on_subnet(n, adjacency))
			direct = &u->at[i];
		if (!routed && interface_has_router(n))
			routed = &u->at[i];
	}
	if (direct)
		lead(adjacency, &interfaces->at[direct->slot], false);
	else if (routed)
		lead(adjacency, &interfaces->at[routed->slot], true);
	if (u && u->routers > (direct && direct->router ? 1U : direct ? 0U : 1U))
		lead_by_each(adjacency, interfaces, direct);
	note_plain(adjacency);
}

static void forget(struct adjacency *adjacency)
{
	struct adjacency_ways *ways = adjacency->ways;

	for (unsigned i = 0; ways && i < ways->underlay->count; i++) {
		neigh_release(adjacency_neigh(&ways->by[i]));
		free(ways->by[i].six);
	}
	free(ways);
	neigh_release(adjacency_neigh(adjacency));
	free(adjacency->six);
}

struct adjacency_table *adjacencies_make(const struct adjacency_table *old, uint32_t more,
					 const struct interface_table *interfaces)
{
	uint32_t capacity = old->count + more;
	const size_t size = sizeof(struct adjacency_table) + capacity * sizeof(struct adjacency);
	struct adjacency_table *table = aligned_alloc(RTE_CACHE_LINE_SIZE, size);

	if (!table)
		return NULL;
	memset(table, 0, size);
	table->capacity = capacity;
	table->count = old->count;
	for (uint32_t i = 0; i < old->count; i++) {
		if (!old->at[i].vtep)
			continue; /* a spare one */
		if (!name_vtep(&table->at[i], old->at[i].vtep, address6_of(&old->at[i]))) {
			adjacencies_free(table);
			return NULL;
		}
		resolve(&table->at[i], interfaces);
	}
	return table;
}

void adjacencies_free(struct adjacency_table *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; i < table->count; i++)
		forget(&table->at[i]);
	free(table->replaced);
	free(table);
}

static void idle(struct adjacency_uses *uses, uint32_t index)
{
	if (!uses->of[index].idle)
		uses->idle[uses->idle_count++] = index;
	uses->of[index].idle = true;
}

uint32_t adjacency_index(struct fib *fib, struct adjacency_table *table, uint32_t vtep_be)
{
	struct adjacency_uses *uses = &fib->adjacency_uses;
	uint64_t index, key = 1ULL << 32 | vtep_be;

	if (keymap_get(fib->adjacency_of, key, &index))
		return (uint32_t)index;
	if ((table->count == table->capacity && uses->spare_count == 0) ||
	    keymap_is_full(fib->adjacency_of, 1))
		return NO_ADJACENCY;
	index = uses->spare_count ? uses->spare[uses->spare_count - 1] : table->count;
	if (!name_vtep(&table->at[index], vtep_be,
		       vtep_is_name(vtep_be) ? vtep_address_of(fib->vtep_names_after, vtep_be)
					     : NULL))
		return NO_ADJACENCY;
	uses->spare_count -= uses->spare_count > 0;
	resolve(&table->at[index], fib->interfaces);
	if (index == table->count)
		__atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELEASE);
	keymap_put(fib->adjacency_of, key, index);
	idle(uses, (uint32_t)index); /* until something names it */
	return (uint32_t)index;
}

uint32_t adjacencies_growth(const struct fib *fib)
{
	/* with some to spare it is the index of them that is full, of marks of what went */
	return fib->adjacency_uses.spare_count ? 0 : fib->adjacencies->count + 16;
}

/* --- who names them --- */

int adjacency_uses_reserve(struct adjacency_uses *uses, uint32_t capacity)
{
	struct adjacency_use *of;
	uint32_t *list;

	if (capacity <= uses->capacity)
		return 0;
	if (!(of = realloc(uses->of, capacity * sizeof(*of))))
		return -1;
	uses->of = of;
	if (!(list = realloc(uses->idle, capacity * sizeof(*list))))
		return -1;
	uses->idle = list;
	if (!(list = realloc(uses->spare, capacity * sizeof(*list))))
		return -1;
	uses->spare = list;
	for (; uses->capacity < capacity; uses->capacity++)
		uses->of[uses->capacity] = (struct adjacency_use){0};
	return 0;
}

void adjacency_hold(struct fib *fib, uint32_t index)
{
	if (index < SHARED)
		fib->adjacency_uses.of[index].references++;
}

void adjacency_release(struct fib *fib, uint32_t index)
{
	if (index < SHARED && --fib->adjacency_uses.of[index].references == 0)
		idle(&fib->adjacency_uses, index);
}

void adjacencies_sweep(struct fib *fib, bool readers)
{
	struct adjacency_uses *uses = &fib->adjacency_uses;
	struct adjacency_table *table = fib->adjacencies;
	uint32_t gone = 0;

	for (uint32_t i = 0; i < uses->idle_count; i++) {
		const uint32_t index = uses->idle[i];

		uses->of[index].idle = false;
		if (uses->of[index].references > 0)
			continue;
		keymap_remove(fib->adjacency_of, 1ULL << 32 | table->at[index].vtep);
		uses->idle[gone++] = index;
	}
	uses->idle_count = 0;
	if (gone > 0 && readers)
		fib_wait_for_readers(); /* the slow path finds them by VTEP */
	for (uint32_t i = 0; i < gone; i++) {
		const uint32_t index = uses->idle[i];

		forget(&table->at[index]);
		table->at[index] = (struct adjacency){0};
		uses->spare[uses->spare_count++] = index;
	}
}
