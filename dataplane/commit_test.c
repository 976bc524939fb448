/* SPDX-License-Identifier: Apache-2.0
 *
 * Random transactions, good and bad. A refused one leaves the dump as it was; an accepted one makes
 * the dump that a FULL transaction of the same rows makes; and a reader beside them never follows a
 * route into another table's next hop.
 */
#include "commit.h"

#include <pthread.h>
#include <string.h>

#include "check_eal.h"
#include "check_ports.h"
#include "check_tables.h"
#include "classify.h"
#include "reclaim.h"

static void set_name(uint8_t (*name)[4], uint32_t c, uint32_t n)
{
	memcpy(*name, (uint8_t[]){1, 2, (uint8_t)c, (uint8_t)n}, 4);
}

/* CCSI c (1..4) uses VNI 100 + c, and slots that are c modulo 4: a reader can tell them apart. */
static void random_record(uint64_t *state, struct check_records *to, bool may_remove)
{
	uint32_t c = 1 + random_below(state, 4), n = random_below(state, 8);
	uint16_t flags = may_remove && random_below(state, 3) == 0 ? CCN_DELETE : 0;
	union {
		struct ccn_ccsi ccsi;
		struct ccn_vni vni;
		struct ccn_vtep vtep;
		struct ccn_next_hop hop;
		struct ccn_next_hop_group group;
		struct ccn_vm vm;
		struct ccn_vtep_set set;
		struct ccn_route route;
		struct ccn_interface interface;
		struct ccn_gateway_address gateway;
		struct ccn_peer peer;
		struct ccn_acl_rule acl;
		struct ccn_source source;
		struct ccn_vtep_name vtep_name;
	} r;

	memset(&r, 0, sizeof(r));
	switch (random_below(state, 20)) {
	case 0:
		r.ccsi.id = c;
		r.ccsi.flags = random_below(state, 2);
		check_add(to, CCN_CCSI, flags, &r);
		break;
	case 1:
		r.vni.vni = 100 + c;
		r.vni.ccsi = c;
		r.vni.kind = CCN_VNI_VPC;
		check_add(to, CCN_VNI, flags, &r);
		break;
	case 2:
		r.vtep.vni = 100 + c;
		r.vtep.address[0] = n < 2 ? 0xe0 : 10; /* of IPv6, if it has a name now */
		r.vtep.address[3] = (uint8_t)n;
		r.vtep.flags = random_below(state, 4);
		check_add(to, CCN_VTEP, flags, &r);
		break;
	case 3:
	case 4:
		r.hop.slot = n / 2 * 4 + c;
		r.hop.kind = n == 7 ? CCN_NEIGHBOR : n % 4;
		r.hop.family = 4;
		r.hop.vni = 100 + c;
		r.hop.interface = 1 + random_below(state, 3);
		r.hop.ip[0] = 10;
		r.hop.ip[3] = (uint8_t)random_below(state, 200);
		if (r.hop.kind == CCN_REMOTE && n == 3) {
			r.hop.family = 6;
			memcpy(r.hop.ip, (uint8_t[16]){0x20, 1, [15] = (uint8_t)c}, 16);
		}
		check_add(to, CCN_NEXT_HOP, flags, &r);
		break;
	case 5:
	case 6:
		r.vm.vni = 100 + c;
		r.vm.family = n % 2 ? 4 : 6;
		r.vm.ip[3] = (uint8_t)n;
		r.vm.vtep[0] = n == 3 ? 0xe0 : 10;
		r.vm.vtep[3] = (uint8_t)random_below(state, n == 3 ? 4 : 200);
		if (random_below(state, 2)) {
			r.vm.shared = 1;
			set_name(&r.vm.vtep, c, random_below(state, 3));
		}
		check_add(to, CCN_VM, flags, &r);
		break;
	case 12:
	case 13: /* VTEPs of set c; now and then they are others than its name says */
		n %= 3;
		set_name(&r.set.name, c, n);
		r.set.count = (uint8_t)(2 + n);
		for (unsigned i = 0; i < r.set.count; i++)
			memcpy(r.set.vtep[i], (uint8_t[]){10, 0, (uint8_t)c, (uint8_t)(i + 1)}, 4);
		if (random_below(state, 10) == 0)
			r.set.vtep[0][3] = (uint8_t)random_below(state, 4);
		check_add(to, CCN_VTEP_SET, flags, &r);
		break;
	case 7:
		r.interface.id = 1 + random_below(state, 3);
		r.interface.role = r.interface.id == 1 ? CCN_UPLINK : CCN_HAND_OFF;
		r.interface.vlan = (uint16_t)(r.interface.id == 1 ? 0 : random_below(state, 3));
		r.interface.ccsi = c;
		r.interface.mtu = 1600;
		memcpy(r.interface.port, "p0", 3);
		memcpy(r.interface.address, (uint8_t[]){10, 0, 0, 1}, 4);
		r.interface.length = 24;
		check_add(to, CCN_INTERFACE, flags, &r);
		break;
	case 8:
	case 9: /* now and then its members are missing, too few or another group */
		r.group.slot = (n == 7 ? n / 2 : 4 + n % 3) * 4 + c;
		r.group.count = (uint8_t)(1 + random_below(state, 4));
		for (unsigned i = 0; i < r.group.count; i++) {
			r.group.member[i].slot = (i + n) % (n == 6 ? 5 : 4) * 4 + c;
			r.group.member[i].key = r.group.member[i].slot;
			r.group.member[i].weight = (uint8_t)(1 + random_below(state, 9));
		}
		check_add(to, CCN_NEXT_HOP_GROUP, flags, &r);
		break;
	case 10:
		r.gateway.vni = 100 + c;
		r.gateway.family = n % 2 ? 4 : 6;
		r.gateway.ip[3] = (uint8_t)n;
		check_add(to, CCN_GATEWAY_ADDRESS, flags, &r);
		break;
	case 11:
		r.peer.interface = n % 2 ? 0 : c;
		r.peer.family = 4;
		r.peer.ip[3] = (uint8_t)n;
		check_add(to, CCN_PEER, flags, &r);
		break;
	case 19: /* now and then the name or the address is another's */
		memcpy(r.vtep_name.name, (uint8_t[]){0xe0, 0, 0, (uint8_t)(n % 4)}, 4);
		memcpy(r.vtep_name.address,
		       (uint8_t[16]){0x20, 1, [15] = (uint8_t)(n == 7 ? c : n % 4)}, 16);
		check_add(to, CCN_VTEP_NAME, flags, &r);
		break;
	case 14: /* now and then a range of ports upside down */
		r.acl.ccsi = c;
		r.acl.sequence = n % 5;
		r.acl.rule = (uint16_t)(n % 3);
		r.acl.action = CCN_ACL_DENY;
		r.acl.family = n % 2 ? 4 : 6;
		r.acl.protocol = 6;
		r.acl.source_port[1] = UINT16_MAX;
		r.acl.destination_port[0] = 22;
		r.acl.destination_port[1] = (uint16_t)(22 + 8 - random_below(state, 10));
		check_add(to, CCN_ACL_RULE, flags, &r);
		break;
	case 15:
	case 16:
		r.source.ccsi = c;
		r.source.family = n % 2 ? 4 : 6;
		r.source.length = (uint8_t)(n < 4 ? 8 : 16);
		r.source.prefix[0] = (uint8_t)n;
		r.source.site = (uint16_t)random_below(state, 3);
		r.source.flags = random_below(state, 2);
		check_add(to, CCN_SOURCE, flags, &r);
		break;
	default:
		r.route.ccsi = c;
		r.route.family = n % 2 ? 4 : 6;
		r.route.length = (uint8_t)(n < 4 ? 8 : 16);
		r.route.prefix[0] = (uint8_t)n;
		for (uint32_t more = 1 + random_below(state, 3); more > 0; more--) {
			r.route.next_hop = random_below(state, 7) * 4 + c;
			check_add(to, CCN_ROUTE, flags, &r);
			r.route.prefix[0] = (uint8_t)(random_below(state, 4) + (n < 4 ? 0 : 4));
		}
		break;
	}
}

static int collect(void *context, uint16_t type, const void *record, size_t size)
{
	(void)size;
	check_add(context, type, 0, record);
	return 0;
}

static void dump(struct check_records *to)
{
	to->length = 0;
	CHECK(fib_dump(fib_current, collect, to) == 0);
}

#define ROW (sizeof(struct ccn_header) + sizeof(struct ccn_next_hop_group))

static int compare_messages(const void *a, const void *b)
{
	return memcmp(a, b, ROW);
}

/* VMs and VTEPs are dumped in no order: compares dumps as sets. */
static bool same(const struct check_records *a, const struct check_records *b)
{
	static uint8_t rows[2][512][ROW];
	const struct check_records *of[2] = {a, b};
	size_t count[2] = {0, 0};

	memset(rows, 0, sizeof(rows));
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < of[i]->length;) {
			struct ccn_header header;

			memcpy(&header, of[i]->data + at, sizeof(header));
			CHECK(count[i] < 512);
			memcpy(rows[i][count[i]++], of[i]->data + at, header.length);
			at += header.length;
		}
		qsort(rows[i], count[i], sizeof(rows[i][0]), compare_messages);
	}
	return count[0] == count[1] && !memcmp(rows[0], rows[1], sizeof(rows[0]));
}

/* A transaction that is prepared and then given up leaves no trace. */
static void think_again(const struct check_records *messages, bool full,
			const struct check_records *before)
{
	static struct check_records now;
	struct refusal refusal;
	struct change *c = commit_prepare(messages->data, messages->length, full, &refusal);

	if (c) {
		dump(&now);
		CHECK(same(before, &now));
		commit_give_up(c);
	}
	dump(&now);
	CHECK(same(before, &now));
}

/* Records of a kind that stand together become one message, as the control plane writes them. */
static const struct check_records *joined(const struct check_records *messages)
{
	static struct check_records one;
	struct ccn_header header, last = {0};
	size_t begun = 0;

	one.length = 0;
	for (size_t at = 0; at < messages->length; at += header.length) {
		memcpy(&header, messages->data + at, sizeof(header));
		if (header.type != last.type || header.flags != last.flags) {
			begun = one.length;
			last = (struct ccn_header){
			    .length = sizeof(header), .type = header.type, .flags = header.flags};
			one.length += sizeof(header);
		}
		memcpy(one.data + one.length, messages->data + at + sizeof(header),
		       header.length - sizeof(header));
		one.length += header.length - sizeof(header);
		last.length += header.length - (uint32_t)sizeof(header);
		last.count++;
		memcpy(one.data + begun, &last, sizeof(last));
	}
	return &one;
}

static int put_into_force(const struct check_records *messages, bool full, struct refusal *refusal)
{
	static const uint8_t digest[32];
	uint64_t now = fib_current ? fib_current->generation : 0;

	messages = now % 2 ? joined(messages) : messages;
	return commit(messages->data, messages->length, full, now + 1, digest, refusal);
}

static bool stop;
static uint64_t followed, spread; /* members of groups, of sets, by the reader */

/* A VM that is behind several VTEPs leads to one of its own. */
static void read_vm(const struct fib *fib, uint32_t c, uint8_t n, uint32_t flow_hash)
{
	const uint8_t ip[16] = {0, 0, 0, n};
	const struct adjacency_table *table;
	struct vm_value value;
	uint32_t adjacency, vtep;

	if (!vm_get(&fib->vms, n % 2 ? 4 : 6, 100 + c, ip, &value))
		return;
	adjacency = vtep_set_member(&fib->vtep_sets, value.adjacency, flow_hash);
	table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	CHECK(adjacency < __atomic_load_n(&table->count, __ATOMIC_ACQUIRE));
	vtep = table->at[adjacency].vtep;
	CHECK(fib_vm_is_at(fib, value.adjacency, vtep));
	CHECK(!fib_vm_is_at(fib, value.adjacency, ~vtep));
	if (value.adjacency & SHARED) {
		CHECK(((const uint8_t *)&vtep)[2] == c);
		__atomic_fetch_add(&spread, 1, __ATOMIC_RELAXED);
	}
}

/* A way says what one next hop of the slot's table said, no halves of two; of those in random_record
 * the VNI goes with the table, and the address with the kind. */
static void read_way(const struct fib *fib, uint32_t slot, uint32_t c)
{
	const __m128i held = way_load(fib_way_place(fib, slot));
	struct way way;

	_mm_store_si128((__m128i *)&way, held);
	switch (way_leads(held)) {
	case LEADS_ELSEWHERE:
		CHECK(!memcmp(&way, &(struct way){0}, sizeof(way)));
		return;
	case LEADS_AWAY:
		CHECK((way.vni & 0xffffff) == 100 + c && way.pad == 0);
		CHECK(way.adjacency < __atomic_load_n(&fib->adjacencies->count, __ATOMIC_ACQUIRE));
		return;
	case LEADS_TO_VM:
		CHECK((way.vni & 0xffffff) == 100 + c && way.pad2 == 0);
		CHECK(way.mask ? way.mask == UINT32_MAX && way.address == 0
			       : (way.address & 0xffffff) == 10);
		return;
	}
	CHECK(false);
}

/* When nothing is under way, ways are those of the next hops. */
static void check_ways(const struct fib *fib)
{
	static const struct way nowhere;

	for (uint32_t slot = 0; slot < PAGE && fib->way_page[0]; slot++) {
		const struct next_hop *hop = fib_next_hop(fib, slot);

		CHECK(
		    !memcmp(fib_way_place(fib, slot), hop ? &hop->way : &nowhere, sizeof(nowhere)));
	}
}

static uint64_t judged; /* packets, by the reader */

/* TCP to port 22 meets whatever rows there are; what was compiled stays until it is not read. */
static void judge(struct ccsi_acl *acl)
{
	static const uint8_t ip[24] = {0x45, [9] = 6, [23] = 22};
	const struct packet packet = {.ip = (uint8_t *)(uintptr_t)ip, .length = 24, .family = 4};
	const struct packet *of = &packet;
	struct acl_verdict verdict;

	if (!acl)
		return;
	acl_judge(&acl, &of, 1, 0, &verdict);
	CHECK(verdict.deny);
	__atomic_fetch_add(&judged, verdict.row != UINT32_MAX, __ATOMIC_RELAXED);
}

static void *read_on(void *unused)
{
	uint32_t seen = 0;

	(void)unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rte_rcu_qsbr_thread_online(fib_qsbr, READER_WORKER);
		const struct fib *fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);

		for (uint32_t c = 1; fib && c <= 4; c++) {
			lpm_ref tables[8];
			uint32_t address[8], slot[8];

			for (uint32_t n = 0; n < 8; n++) {
				tables[n] = __atomic_load_n(&fib->lpm[0][c], __ATOMIC_ACQUIRE);
				address[n] = n << 24;
			}
			lpm_lookup_burst4(tables, address, slot, 8);
			for (uint32_t n = 0; n < 8; n++) {
				const struct next_hop *hop;

				if (slot[n] == LPM_NONE)
					continue;
				CHECK(slot[n] % 4 == c % 4);
				read_way(fib, slot[n], c);
				/* make before break: what a route names is there */
				hop = fib_next_hop(fib, slot[n]);
				CHECK(hop && hop->record.slot == slot[n]);
				if (hop->record.kind == CCN_GROUP) {
					hop = fib_member(hop, seen++ << 5);
					CHECK(hop && hop->record.slot % 4 == c % 4);
					CHECK(!hop->group);
					__atomic_fetch_add(&followed, 1, __ATOMIC_RELAXED);
				}
				CHECK(hop->record.vni == 100 + c);
			}
		}
		for (uint32_t c = 1; fib && c <= 4; c++)
			for (uint8_t n = 0; n < 8; n++)
				read_vm(fib, c, n, seen++ << 5);
		for (uint32_t c = 1; fib && c <= 4; c++)
			judge(__atomic_load_n(&fib->acl[c], __ATOMIC_ACQUIRE));
		rte_rcu_qsbr_thread_offline(fib_qsbr, READER_WORKER);
	}
	return NULL;
}

static bool only_has(const struct check_records *messages, uint16_t type)
{
	struct ccn_header header;

	for (size_t at = 0; at < messages->length; at += header.length) {
		memcpy(&header, messages->data + at, sizeof(header));
		if (header.type != type)
			return false;
	}
	return true;
}

/* argv[1]: transactions that are tried; under sanitizers fewer will do. */
int main(int argc, char **argv)
{
	const unsigned steps = argc > 1 ? (unsigned)atoi(argv[1]) : 8000;
	static struct check_records messages, before, after, again;
	struct refusal refusal;
	uint64_t state = 2026, epoch;
	unsigned accepted = 0, refused = 0;
	pthread_t reader;

	check_eal();
	CHECK(fib_init() == 0);
	neigh_init(true);
	CHECK(pthread_create(&reader, NULL, read_on, NULL) == 0);
	for (unsigned step = 0; step < steps; step++) {
		bool full = random_below(&state, 200) == 0;
		uint32_t count = random_below(&state, 6);

		dump(&before);
		epoch = fib_current ? fib_current->epoch : 0;
		messages.length = 0;
		for (uint32_t i = 0; i <= count; i++)
			random_record(&state, &messages, !full);
		if (step % 3 == 0)
			think_again(&messages, full, &before);
		if (put_into_force(&messages, full, &refusal) < 0) {
			refused++;
			CHECK(refusal.text[0]);
			dump(&after);
			CHECK(same(&before, &after));
			continue;
		}
		accepted++;
		CHECK(fib_current->epoch != epoch || only_has(&messages, CCN_ROUTE));
		check_ways(fib_current);
		if (step % 10 != 0)
			continue;
		dump(&after);
		CHECK(put_into_force(&after, true, &refusal) == 0);
		dump(&again);
		CHECK(same(&after, &again));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	CHECK(accepted > steps / 16 && refused > steps / 16);
	CHECK(steps < 8000 || (followed > 1000 && spread > 1000 && judged > 1000));
	reclaim_all();
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
