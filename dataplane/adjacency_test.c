/* SPDX-License-Identifier: Apache-2.0
 * Adjacencies live as long as something names their VTEP: VMs that move and go, next hops, sets, in
 * transactions that are put into force, refused and given up. Then neighbours are let go, and the
 * table is no longer than the most VTEPs that there ever were at once.
 */
#include <string.h>

#include "check_eal.h"
#include "check_ports.h"
#include "commit.h"
#include "message.h"

#define VNI 10
#define VMS 40
#define HOPS 10
#define SETS 4
#define HOSTS 200U /* many more than are named at once */

static uint8_t messages[1 << 16];
static size_t length;
static uint64_t generation;

static void add(uint16_t type, bool remove, const void *record)
{
	const size_t size = record_size(type);
	const struct ccn_header header = {.length = (uint32_t)(sizeof(header) + size),
					  .type = type,
					  .flags = remove ? CCN_DELETE : 0,
					  .count = 1};

	CHECK(length + header.length <= sizeof(messages));
	memcpy(messages + length, &header, sizeof(header));
	memcpy(messages + length + sizeof(header), record, size);
	length += header.length;
}

/* Puts it into force, or prepares it and gives up. False: refused. */
static bool end(bool full, bool in_force)
{
	const uint8_t digest[32] = {0};
	struct refusal refusal;
	struct change *c = commit_prepare(messages, length, full, &refusal);

	if (c && in_force)
		commit_publish(c, ++generation, digest);
	else if (c)
		commit_give_up(c);
	length = 0;
	return c && in_force;
}

static bool six; /* the underlay is IPv6 */

static void host(uint64_t *state, uint8_t vtep[4])
{
	const uint32_t n = random_below(state, HOSTS);

	memcpy(vtep, (uint8_t[]){six ? 224 : 192, 0, 2, (uint8_t)(20 + n)}, 4);
}

/* Of a name as `host` draws it, or as change_set makes it. */
static void address_of(const uint8_t name[4], uint8_t address[16])
{
	memcpy(address, (uint8_t[16]){0x20, 1, [7] = name[2], [15] = name[3]}, 16);
}

static void name_hosts(void)
{
	for (uint32_t n = 0; n < 2 * HOSTS; n++) {
		struct ccn_vtep_name r = {
		    .name = {224, 0, n < HOSTS ? 2 : 3, (uint8_t)(20 + n % HOSTS)}};

		address_of(r.name, r.address);
		add(CCN_VTEP_NAME, false, &r);
	}
}

struct rows {
	struct ccn_vm vm[VMS];
	struct ccn_next_hop hop[HOPS];
	struct ccn_vtep_set set[SETS];
	uint8_t hop_vtep[HOPS][4];
	bool has_vm[VMS], has_hop[HOPS], has_set[SETS];
};

static void change_vm(uint64_t *state, struct rows *r)
{
	const uint32_t n = random_below(state, VMS), s = random_below(state, SETS);
	struct ccn_vm *vm = &r->vm[n];
	const bool remove = r->has_vm[n] && random_below(state, 3) == 0;

	if (!remove) {
		*vm = (struct ccn_vm){.vni = VNI, .family = n & 1 ? 4 : 6, .ip = {10, (uint8_t)n}};
		host(state, vm->vtep);
		if (r->has_set[s] && random_below(state, 4) == 0) {
			vm->shared = 1;
			memcpy(vm->vtep, r->set[s].name, 4);
		}
	}
	add(CCN_VM, remove, vm);
	r->has_vm[n] = !remove;
}

static void change_hop(uint64_t *state, struct rows *r)
{
	const uint32_t n = random_below(state, HOPS);
	const bool remove = r->has_hop[n] && random_below(state, 2);

	r->hop[n] = (struct ccn_next_hop){
	    .slot = 1 + n, .kind = CCN_REMOTE, .family = six ? 6 : 4, .vni = VNI, .mac = {2}};
	host(state, r->hop_vtep[n]);
	memcpy(r->hop[n].ip, r->hop_vtep[n], 4);
	if (six)
		address_of(r->hop_vtep[n], r->hop[n].ip);
	add(CCN_NEXT_HOP, remove, &r->hop[n]);
	r->has_hop[n] = !remove;
}

static void change_set(uint64_t *state, struct rows *r)
{
	const uint32_t n = random_below(state, SETS);
	const bool remove = r->has_set[n];

	if (!remove) {
		r->set[n] = (struct ccn_vtep_set){.name = {1, (uint8_t)n}, .count = 2};
		host(state, r->set[n].vtep[0]);
		memcpy(r->set[n].vtep[1], r->set[n].vtep[0], 4);
		r->set[n].vtep[1][2] = 3; /* by the router */
	}
	add(CCN_VTEP_SET, remove, &r->set[n]);
	r->has_set[n] = !remove;
}

static void name(uint32_t *named, const uint8_t vtep[4])
{
	uint64_t index;
	uint32_t address;

	memcpy(&address, vtep, 4);
	CHECK(keymap_get(fib_current->adjacency_of, 1ULL << 32 | address, &index));
	CHECK(index < fib_current->adjacencies->count &&
	      fib_current->adjacencies->at[index].vtep == address);
	named[index]++;
}

/* How many VTEPs are named. */
static uint32_t check_named(const struct rows *r)
{
	const struct adjacency_table *table = fib_current->adjacencies;
	const struct adjacency_uses *uses = &fib_current->adjacency_uses;
	uint32_t named[4 * HOSTS] = {0}, count = 0;

	CHECK(table->count <= 4 * HOSTS && uses->idle_count == 0);
	for (unsigned i = 0; i < VMS; i++)
		if (r->has_vm[i] && !r->vm[i].shared)
			name(named, r->vm[i].vtep);
	for (unsigned i = 0; i < HOPS; i++)
		if (r->has_hop[i])
			name(named, r->hop_vtep[i]);
	for (unsigned i = 0; i < SETS; i++)
		for (unsigned j = 0; r->has_set[i] && j < 2; j++)
			name(named, r->set[i].vtep[j]);
	for (uint32_t i = 0; i < table->count; i++) {
		CHECK(uses->of[i].references == named[i]);
		CHECK((adjacency_neigh(&table->at[i]) != NULL) == (named[i] > 0));
		CHECK((table->at[i].six != NULL) == (six && named[i] > 0));
		CHECK((table->at[i].vtep != 0) == (named[i] > 0));
		count += named[i] > 0;
	}
	CHECK(uses->spare_count == table->count - count);
	CHECK(fib_current->adjacency_of->live == count);
	return count;
}

static void begin(uint16_t mtu)
{
	struct ccn_interface uplink = {.id = 1,
				       .role = CCN_UPLINK,
				       .length = 24,
				       .mtu = mtu,
				       .port = "p0",
				       .address = {192, 0, 2, 11},
				       .via = {192, 0, 2, 1}};

	if (six) {
		memset(uplink.address, 0, 4);
		memset(uplink.via, 0, 4);
		uplink.length6 = 64;
		memcpy(uplink.address6, (uint8_t[16]){0x20, 1, [7] = 2, [15] = 11}, 16);
		memcpy(uplink.via6, (uint8_t[16]){0xfe, 0x80, [15] = 1}, 16);
	}
	add(CCN_INTERFACE, false, &uplink);
}

static void live(void)
{
	struct rows rows = {0}, before;
	uint64_t state = 7;
	uint32_t most = 0, accepted = 0;

	begin(1600);
	if (six)
		name_hosts();
	add(CCN_CCSI, false, &(struct ccn_ccsi){.id = 1});
	add(CCN_VNI, false, &(struct ccn_vni){.vni = VNI, .ccsi = 1, .kind = CCN_VNI_VPC});
	CHECK(end(true, true));
	for (unsigned step = 0; step < 4000; step++) {
		const uint32_t changes = 1 + random_below(&state, 5);
		uint32_t count;

		before = rows;
		if (random_below(&state, 50) == 0)
			begin((uint16_t)(1500 + random_below(&state, 100)));
		for (uint32_t i = 0; i < changes; i++) {
			switch (random_below(&state, 6)) {
			case 0:
				change_hop(&state, &rows);
				break;
			case 1:
				change_set(&state, &rows);
				break;
			default:
				change_vm(&state, &rows);
			}
		}
		if (end(false, random_below(&state, 4) > 0))
			accepted++;
		else
			rows = before;
		count = check_named(&rows);
		most = RTE_MAX(most, count + 5 * 2); /* and those that a transaction adds first */
		CHECK(fib_current->adjacencies->count <= most);
	}
	CHECK(accepted > 1000);
}

int main(void)
{
	check_eal();
	CHECK(fib_init() == 0);
	neigh_init(true);
	live();
	six = true;
	live();
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
