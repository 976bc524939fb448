/* SPDX-License-Identifier: Apache-2.0
 * Uplinks over time, of IPv4 and of IPv6 with link-local routers: which of them the flows take while
 * links and routers come and go.
 */
#include "underlay.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fib.h"

int port_find(const uint8_t name[16])
{
	return name[0] - 'a';
}

const uint8_t *port_mac(unsigned port)
{
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 1};

	(void)port;
	return mac;
}

static bool link_down[3], mute[3];
static unsigned changes;

static bool link_is_up(unsigned port)
{
	return !link_down[port];
}

static void changed(const struct underlay *underlay, const struct uplink *uplink)
{
	(void)underlay, (void)uplink;
	changes++;
}

static bool six; /* the underlay is IPv6 */
static struct neigh_key heard[8];
static unsigned heard_count;

static void ask(const struct neigh_key *key, const uint8_t *mac)
{
	(void)mac;
	CHECK(key->family == (six ? 6 : 4) && key->role == CCN_UPLINK);
	if (!mute[key->port] && heard_count < 8)
		heard[heard_count++] = *key;
}

static uint64_t now = 1;

/* A second of the slow path. */
static void let_pass(struct underlay *u, unsigned seconds)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};

	for (unsigned tick = 0; tick < 4 * seconds; tick++, now += 250) {
		neigh_tick(now, 64, ask);
		for (unsigned i = 0; i < heard_count; i++)
			neigh_learn(&heard[i], mac, now);
		heard_count = 0;
		underlay_refresh(u, link_is_up, changed);
	}
}

/* On its own subnet, 1.0.0.11/8 and so on or 2001:1::11/32, with a router. */
static struct interface_table *uplinks(unsigned count)
{
	struct interface_table *table =
	    calloc(1, sizeof(*table) + count * sizeof(struct interface));

	for (uint16_t i = 0; table && i < count; i++) {
		struct interface *n = &table->at[table->count++];
		const uint8_t address6[16] = {0x20, 1, 0, (uint8_t)(i + 1), [15] = 11};

		n->present = true;
		n->port = i % 3;
		n->record.id = 10 + i;
		n->record.role = CCN_UPLINK;
		n->record.mtu = 1600;
		n->family = six ? 6 : 4;
		if (six) {
			n->record.length6 = 32;
			memcpy(n->record.address6, address6, 16);
			memcpy(n->tunnel6, (uint8_t[16]){0x20, 1, [15] = 0xff}, 16);
			/* the same on each: a neighbour is one of its link */
			memcpy(n->record.via6, (uint8_t[16]){0xfe, 0x80, [15] = 1}, 16);
		} else {
			n->via = 0x01020304U + i;
			n->address = (i + 1U) | 0x0b000000U;
			n->mask = 0xffU;
			n->tunnel = 0x0b0000ffU;
		}
	}
	CHECK(table);
	return table;
}

static unsigned share(const struct underlay *u, unsigned uplink)
{
	unsigned flows = 0;

	for (uint32_t b = 0; b < GROUP_BUCKETS; b++)
		flows += underlay_way(u, b << 18) == &u->at[uplink];
	return flows;
}

/* Those that `gone` had are with others, all the rest are where they were. */
static void only_moved(const struct underlay *u, const uint8_t before[GROUP_BUCKETS], unsigned gone)
{
	for (unsigned b = 0; b < GROUP_BUCKETS; b++)
		CHECK(before[b] == gone ? u->bucket[b] != gone : u->bucket[b] == before[b]);
}

/* The adjacency of a VTEP: of IPv4 this address, of IPv6 n.0.0.0 read as 2001:n:: with a name. */
static const struct adjacency *adjacency_of(struct fib *fib, struct adjacency_table *table,
					    uint32_t address)
{
	static uint32_t names;
	uint8_t address6[16] = {0x20, 1, 0, (uint8_t)address, [15] = (uint8_t)(address >> 24)};
	uint32_t name = 0xe0 | ++names << 8;

	if (!six)
		return &table->at[adjacency_index(fib, table, address)];
	vtep_names_add(fib->vtep_names_after, name, address6);
	return &table->at[adjacency_index(fib, table, name)];
}

/* The headers that its packets get are those of the uplink that it leaves by. */
static void check_headers(const struct adjacency *to, const struct interface *uplink)
{
	uint8_t frame[ENCAP6_SIZE];

	CHECK((to->six != NULL) == six);
	if (!six) {
		CHECK(to->out.address == uplink->tunnel);
		return;
	}
	encap6_write(frame, &to->six->outer, 0, 0, 1, 0, 20, 0, 0x0800);
	CHECK(!memcmp(frame + 22, uplink->tunnel6, 16) &&
	      !memcmp(frame + 38, to->six->address, 16));
	CHECK(!memcmp(to->six->source, uplink->tunnel6, 16));
}

/* Two uplinks with routers and one without, and how VTEPs are reached over them. */
static void adjacencies_follow(void)
{
	static struct fib fib;
	struct interface_table *table = uplinks(3);
	const struct adjacency_table none = {0};
	const char *fault;
	struct adjacency_table *adjacencies, *grown;
	struct underlay *u;

	fib = (struct fib){0};
	table->at[2].via = 0;
	memset(table->at[2].record.via6, 0, 16);
	table->underlay = u = underlay_make(table, NULL, &fault);
	CHECK(u && u->count == 3 && u->routers == 2);
	CHECK(u->at[0].router != u->at[1].router);
	fib.interfaces = table;
	fib.adjacency_of = keymap_new(16);
	fib.vtep_names_after = vtep_names_new(16);
	adjacencies = adjacencies_make(&none, 8, table);
	CHECK(fib.adjacency_of && fib.vtep_names_after && adjacencies);
	CHECK(adjacency_uses_reserve(&fib.adjacency_uses, 8) == 0);

	const struct adjacency *far = adjacency_of(&fib, adjacencies, 0x0100007fU);
	const struct adjacency *near = adjacency_of(&fib, adjacencies, 0x05000001U);
	const struct adjacency *alone = adjacency_of(&fib, adjacencies, 0x05000003U);
	const struct adjacency *self =
	    adjacency_of(&fib, adjacencies, six ? 0xff000000U : 0x0b0000ffU);

	CHECK(!adjacency_neigh(self) && adjacency_way(self, 0) == self);
	for (uint32_t flow = 0; flow < GROUP_BUCKETS << 18; flow += 1 << 18) {
		const struct adjacency *to = adjacency_way(far, flow);
		const struct uplink *way = underlay_way(u, flow);

		CHECK(to != far && to->vtep == far->vtep);
		CHECK(adjacency_neigh(to) == way->router && to->out.port == way->port);
		check_headers(to, &table->at[way->slot]);
		CHECK(adjacency_way(near, flow) == near &&
		      adjacency_neigh(near) != u->at[0].router);
		CHECK(adjacency_way(alone, flow) == alone);
	}
	check_headers(near, &table->at[0]);
	link_down[0] = link_down[2] = true;
	let_pass(u, 2);
	CHECK(adjacency_neigh(adjacency_way(far, 0)) == u->at[1].router);
	CHECK(adjacency_neigh(adjacency_way(near, 0)) == u->at[1].router);
	CHECK(adjacency_neigh(adjacency_way(alone, 0)) == u->at[1].router);
	grown = adjacencies_make(adjacencies, 8, table); /* the same again */
	CHECK(grown && grown->count == adjacencies->count);
	CHECK(adjacency_neigh(adjacency_way(&grown->at[0], 0)) == u->at[1].router);
	memset(link_down, 0, sizeof(link_down));
	adjacencies_free(adjacencies);
	adjacencies_free(grown);
	underlay_free(u);
	vtep_names_free(fib.vtep_names_after);
	free(fib.adjacency_of);
	free(fib.adjacency_uses.of);
	free(fib.adjacency_uses.idle);
	free(fib.adjacency_uses.spare);
	free(table);
}

/* A VTEP on an uplink's own subnet: it is asked until it answers, kept while it does, and forgotten a
 * minute after its last word; a MAC that it has moved to is taken at once. */
static void neighbors_come_and_go(void)
{
	static const uint8_t moved[6] = {2, 0, 0, 0, 0, 3};
	struct neigh_key key = {.port = 2, .role = CCN_UPLINK, .family = six ? 6 : 4, .ip = {0x20}};
	struct interface_table *table = uplinks(1);
	const char *fault;
	struct underlay *u = underlay_make(table, NULL, &fault);
	struct neigh *n = neigh_hold(&key);
	uint64_t mac;

	CHECK(u && n);
	mute[2] = true;
	let_pass(u, 2);
	CHECK(neigh_mac(n) == 0 && neigh_is_silent(n));
	mute[2] = false;
	let_pass(u, 7);
	mac = neigh_mac(n);
	CHECK(mac != 0 && !neigh_is_silent(n));
	let_pass(u, 120);
	CHECK(neigh_mac(n) == mac);
	neigh_learn(&key, moved, now);
	CHECK(neigh_mac(n) != 0 && neigh_mac(n) != mac);
	mute[2] = true;
	let_pass(u, 50);
	CHECK(neigh_mac(n) != 0 && neigh_is_silent(n)); /* packets are still sent there */
	let_pass(u, 12);
	CHECK(neigh_mac(n) == 0);
	mute[2] = false;
	let_pass(u, 7);
	CHECK(neigh_mac(n) == mac);
	neigh_release(n);
	underlay_free(u);
	free(table);
}

static void flows_take_living_uplinks(void)
{
	struct interface_table *table = uplinks(3), *many = uplinks(17);
	uint8_t whole[GROUP_BUCKETS];
	const char *fault;
	struct underlay *u, *next;

	changes = 0;
	u = underlay_make(table, NULL, &fault);
	CHECK(u && !fault && u->count == 3 && u->routers == 3);
	let_pass(u, 2);
	CHECK(changes == 0); /* nothing to be said of what is as it should be */
	for (unsigned i = 0; i < 3; i++)
		CHECK(u->at[i].state == UPLINK_USED && share(u, i) > 120 && share(u, i) < 220 &&
		      !underlay_avoids(u, &u->at[i]));
	memcpy(whole, u->bucket, sizeof(whole));

	mute[1] = true; /* a router stops */
	let_pass(u, 3);
	CHECK(changes == 1);
	CHECK(u->at[1].state == UPLINK_SILENT && underlay_avoids(u, &u->at[1]));
	only_moved(u, whole, 1);
	next = underlay_make(table, u, &fault); /* a commit does not forget it */
	CHECK(next && next->at[1].state == UPLINK_SILENT && next->at[1].failures == 1);
	CHECK(!memcmp(next->bucket, u->bucket, sizeof(whole)));
	underlay_free(u);
	u = next;
	mute[1] = false;
	let_pass(u, 3);
	CHECK(!memcmp(whole, u->bucket, sizeof(whole)) && u->at[1].failures == 1);

	link_down[0] = true; /* seen at once */
	underlay_refresh(u, link_is_up, changed);
	CHECK(u->at[0].state == UPLINK_LINK_DOWN && !uplink_has_link(&u->at[0]));
	only_moved(u, whole, 0);
	link_down[1] = link_down[2] = true; /* none is left: as if all were */
	underlay_refresh(u, link_is_up, changed);
	CHECK(!memcmp(whole, u->bucket, sizeof(whole)) && !underlay_avoids(u, &u->at[0]));
	memset(link_down, 0, sizeof(link_down));
	let_pass(u, 3);
	CHECK(!memcmp(whole, u->bucket, sizeof(whole)) && uplink_has_link(&u->at[0]));
	underlay_free(u);

	CHECK(!underlay_make(many, NULL, &fault) && !strcmp(fault, "more than 16 uplinks"));
	free(many);
	table->count = 0;
	u = underlay_make(table, NULL, &fault);
	CHECK(u && u->count == 0);
	underlay_refresh(u, link_is_up, changed);
	underlay_free(u);
	free(table);
}

int main(void)
{
	for (int family = 4; family <= 6; family += 2) {
		six = family == 6;
		flows_take_living_uplinks();
		adjacencies_follow();
		neighbors_come_and_go();
	}
	return 0;
}
