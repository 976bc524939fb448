/* SPDX-License-Identifier: Apache-2.0
 * Uplinks over time: which of them the flows take while links and routers come and go.
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

static struct neigh_key heard[8];
static unsigned heard_count;

static void ask(const struct neigh_key *key, const uint8_t *mac)
{
	(void)mac;
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

static struct interface_table *uplinks(unsigned count)
{
	struct interface_table *table =
	    calloc(1, sizeof(*table) + count * sizeof(struct interface));

	for (uint16_t i = 0; table && i < count; i++) {
		struct interface *n = &table->at[table->count++];

		n->present = true;
		n->port = i % 3;
		n->family = 4;
		n->via = 0x01020304U + i;
		n->record.id = 10 + i;
		n->record.role = CCN_UPLINK;
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

/* Two uplinks with routers and one without, and how VTEPs are reached over them. */
static void adjacencies_follow(void)
{
	static struct fib fib;
	struct interface_table *table = uplinks(3);
	const struct adjacency_table none = {0};
	const char *fault;
	struct adjacency_table *adjacencies, *grown;
	struct underlay *u;

	for (unsigned i = 0; i < 3; i++) {
		table->at[i].address = (i + 1) | 0x0b000000U; /* 1.0.0.11/8 and so on */
		table->at[i].mask = 0xffU;
		table->at[i].tunnel = 0x0b0000ffU;
	}
	table->at[2].via = 0;
	table->underlay = u = underlay_make(table, NULL, &fault);
	CHECK(u && u->count == 3 && u->routers == 2);
	fib.interfaces = table;
	fib.adjacency_of = keymap_new(16);
	adjacencies = adjacencies_make(&none, 8, table);
	CHECK(fib.adjacency_of && adjacencies);
	CHECK(adjacency_uses_reserve(&fib.adjacency_uses, 8) == 0);

	const struct adjacency *far =
	    &adjacencies->at[adjacency_index(&fib, adjacencies, 0x0100007fU)];
	const struct adjacency *near =
	    &adjacencies->at[adjacency_index(&fib, adjacencies, 0x05000001U)];
	const struct adjacency *alone =
	    &adjacencies->at[adjacency_index(&fib, adjacencies, 0x05000003U)];
	const struct adjacency *self =
	    &adjacencies->at[adjacency_index(&fib, adjacencies, 0x0b0000ffU)];

	CHECK(!self->neigh && adjacency_way(self, 0) == self);
	for (uint32_t flow = 0; flow < GROUP_BUCKETS << 18; flow += 1 << 18) {
		const struct adjacency *to = adjacency_way(far, flow);

		CHECK(to != far && to->vtep == far->vtep && to->out.address == 0x0b0000ffU);
		CHECK(to->neigh == underlay_way(u, flow)->router);
		CHECK(adjacency_way(near, flow) == near && near->neigh != u->at[0].router);
		CHECK(adjacency_way(alone, flow) == alone);
	}
	link_down[0] = link_down[2] = true;
	let_pass(u, 2);
	CHECK(adjacency_way(far, 0)->neigh == u->at[1].router);
	CHECK(adjacency_way(near, 0)->neigh == u->at[1].router);
	CHECK(adjacency_way(alone, 0)->neigh == u->at[1].router);
	grown = adjacencies_make(adjacencies, 8, table); /* the same again */
	CHECK(grown && grown->count == adjacencies->count);
	CHECK(adjacency_way(&grown->at[0], 0)->neigh == u->at[1].router);
	memset(link_down, 0, sizeof(link_down));
	adjacencies_free(adjacencies);
	adjacencies_free(grown);
	underlay_free(u);
	free(fib.adjacency_of);
	free(fib.adjacency_uses.of);
	free(fib.adjacency_uses.idle);
	free(fib.adjacency_uses.spare);
	free(table);
}

int main(void)
{
	struct interface_table *table = uplinks(3), *many = uplinks(17);
	uint8_t whole[GROUP_BUCKETS];
	const char *fault;
	struct underlay *u, *next;

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
	adjacencies_follow();
	return 0;
}
