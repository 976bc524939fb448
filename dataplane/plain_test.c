/* SPDX-License-Identifier: Apache-2.0
 * What plain.h says yes to, against classify.c, on frames with random faults; and what is remembered
 * of origins.
 */
#include "plain.h"

#include "check_eal.h"
#include "check_frames.h"
#include "check_ports.h"
#include "check_tables.h"
#include "classify.h"
#include "interface.h"

#define ROUNDS 1000000
#define NAME                                                                                       \
	{                                                                                          \
		224, 0, 2, 101                                                                     \
	}

/* "p0" is an uplink and nothing else. */
static void make_tables(void)
{
	static struct check_records tables;

	check_add(&tables, CCN_CCSI, 0, &(struct ccn_ccsi){.id = 100});
	check_add(&tables, CCN_INTERFACE, 0,
		  &(struct ccn_interface){.id = 1,
					  .role = CCN_UPLINK,
					  .length = 24,
					  .mtu = 1600,
					  .port = "p0",
					  .address = {192, 0, 2, 11},
					  .mac = {2, 0, 0, 0, 0, 9}});
	check_add(&tables, CCN_VNI, 0,
		  &(struct ccn_vni){.vni = CHECK_VNI, .ccsi = 100, .kind = CCN_VNI_VPC});
	check_add(
	    &tables, CCN_VTEP_NAME, 0,
	    &(struct ccn_vtep_name){.name = NAME, .address = {0x20, 1, 0xd, 0xb8, [15] = 101}});
	check_add(&tables, CCN_VTEP, 0,
		  &(struct ccn_vtep){.vni = CHECK_VNI, .address = {192, 0, 2, 101}});
	check_add(&tables, CCN_VTEP, 0, &(struct ccn_vtep){.vni = CHECK_VNI, .address = NAME});
	check_commit(&tables);
}

/* The same, and the uplink is one over IPv6. */
static struct interface_table *over_ipv6(void)
{
	struct interface_table *table = interfaces_copy(fib_current->interfaces, 0);
	uint32_t odd;

	CHECK(table &&
	      !interfaces_apply(table,
				&(struct ccn_interface){.id = 1,
							.role = CCN_UPLINK,
							.length6 = 64,
							.mtu = 1600,
							.port = "p0",
							.address6 = {0x20, 1, 0xd, 0xb8, [15] = 11},
							.mac = {2, 0, 0, 0, 0, 9}},
				false));
	CHECK(!interfaces_index(table, &odd));
	return table;
}

/* Some octets that mean something are others, and now and then the checksums are right again. */
static void spoil(uint64_t *state, uint8_t *frame, int outer, size_t *size)
{
	static const uint8_t some[] = {0,   1,	2,  0x45, 0x46, 127, 224, 169,
				       255, 20, 28, 40,	  43,	44,  58,  0x60};
	unsigned faults = random_below(state, 4);

	while (faults-- > 0) {
		const uint32_t at = random_below(state, plain_ip(outer) + 24);

		frame[at] = random_below(state, 2) ? (uint8_t)random_u64(state)
						   : some[random_below(state, sizeof(some))];
	}
	if (random_below(state, 8) == 0)
		*size -= random_below(state, 40);
	if (random_below(state, 8) == 0)
		*size += random_below(state, 20);
	if (outer == 4 && random_below(state, 2))
		check_sum_up(frame + 14);
	if (random_below(state, 2) && frame[plain_ip(outer) - 1] == 0)
		check_sum_up(frame + plain_ip(outer));
}

/* A yes is a packet that classify forwards, or drops for its CHECK_VNI or VTEP alone. */
static void check_frames(const struct interface_table *interfaces, int outer)
{
	const struct vtep_names *names = fib_current->vtep_names;
	uint64_t state = 2026;
	unsigned yes = 0, no = 0, forwarded = 0;

	CHECK(interfaces->plain[0].outer == outer);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t frame[256] = {0}, *ip = frame + plain_ip(outer);
		size_t size = check_frame(frame, outer, random_below(&state, 3) ? 4 : 6,
					  8 + random_below(&state, 40));
		struct packet packet;
		struct frame_in in = {.data = frame, .any_mac = random_below(&state, 4) == 0};
		enum verdict verdict;
		int family;

		spoil(&state, frame, outer, &size);
		in.length = size;
		in.checked = random_below(&state, 8) == 0;
		family =
		    plain_is(&interfaces->plain[0], frame, size, in.any_mac, in.checked, outer);
		verdict = classify(fib_current, interfaces, &in, &packet);
		yes += family != 0;
		no += family == 0;
		forwarded += verdict == VERDICT_FORWARD;
		if (family == 0)
			continue;
		CHECK(packet.vni == plain_vni(frame, outer) &&
		      packet.vtep ==
			  plain_outer_source(frame, outer, names, vtep_names_hash(frame + 22)));
		if (verdict == VERDICT_DROP) {
			CHECK(in.reason == DROP_UNKNOWN_VNI || in.reason == DROP_UNKNOWN_VTEP);
			continue;
		}
		CHECK(verdict == VERDICT_FORWARD && packet.family == family);
		CHECK(packet.ip == ip && packet.length == plain_length(ip, family));
		CHECK(packet.ecn == plain_ecn(frame, outer) && packet.interface == 0 &&
		      !packet.own);
		forwarded--;
	}
	/* what classify forwards and this does not: options, above all */
	CHECK(yes > ROUNDS / 10 && no > ROUNDS / 5 && forwarded < ROUNDS / 100);
}

/* Four octets that stand for an IPv6 VTEP are nobody's address, and who has no name is nobody. */
static void check_names(const struct interface_table *four, const struct interface_table *six)
{
	uint8_t frame[256];
	struct frame_in in = {.data = frame, .length = check_frame(frame, 4, 4, 20)};
	struct packet packet;

	memcpy(frame + 26, (uint8_t[4])NAME, 4);
	check_sum_up(frame + 14);
	CHECK(classify(fib_current, four, &in, &packet) == VERDICT_DROP);
	CHECK(in.reason == DROP_UNKNOWN_VTEP);

	in.length = check_frame(frame, 6, 4, 20);
	CHECK(classify(fib_current, six, &in, &packet) == VERDICT_FORWARD);
	frame[37] ^= 1;
	CHECK(classify(fib_current, six, &in, &packet) == VERDICT_DROP);
	CHECK(in.reason == DROP_UNKNOWN_VTEP && packet.vtep == 0 &&
	      packet.family == FAMILY_OUTER6 && packet.ip == frame + 14);
}

/* --- origins --- */

static struct origins origins[2];

static bool known(int family, uint64_t epoch, uint32_t vni, uint32_t outer, uint32_t inner,
		  uint16_t *ccsi)
{
	const uint8_t source[16] = {0xfd, [12] = (uint8_t)(inner >> 8), [15] = (uint8_t)inner};
	const struct origin_key key = origin_key(epoch, vni, outer, family == 4 ? inner : 0);
	const struct origins *o = &origins[family == 6];

	return family == 4 ? origin_find4(origin_set4(o, &key), &key, ccsi)
			   : origin_find6(origin_set6(o, &key, source), &key, source, ccsi);
}

static void remember(int family, uint64_t epoch, uint32_t vni, uint32_t outer, uint32_t inner,
		     uint16_t ccsi)
{
	const uint8_t source[16] = {0xfd, [12] = (uint8_t)(inner >> 8), [15] = (uint8_t)inner};
	const struct origin_key key = origin_key(epoch, vni, outer, family == 4 ? inner : 0);
	const struct origins *o = &origins[family == 6];

	if (family == 4)
		origin_remember4(origin_set4(o, &key), &key, ccsi);
	else
		origin_remember6(origin_set6(o, &key, source), &key, source, ccsi);
}

static void check_origins(int family)
{
	const uint64_t later = 7 + ORIGIN_TAG + 1;
	struct origins *o = &origins[family == 6];
	unsigned bursts = 0;
	uint16_t ccsi;

	CHECK(origins_init(o) == 0);
	origins_begin(o, 7);
	CHECK(!known(family, 7, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	remember(family, 7, CHECK_VNI, 0x0102, 0x0304, 100);
	CHECK(known(family, 7, CHECK_VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	/* another epoch, and one whose lower bits are those of the first */
	CHECK(!known(family, 8, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	origins_begin(o, later);
	CHECK(!known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	remember(family, later, CHECK_VNI, 0x0102, 0x0304, 100);
	/* at rest all are in one set: only what is compared tells them apart */
	origins_rest(o);
	remember(family, later, CHECK_VNI, 0x0102, 0x0304, 100);
	CHECK(known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	CHECK(!known(family, later, CHECK_VNI + 1, 0x0102, 0x0304, &ccsi));
	CHECK(!known(family, later, CHECK_VNI, 0x0103, 0x0304, &ccsi));
	CHECK(!known(family, later, CHECK_VNI, 0x0102, 0x0305, &ccsi));
	CHECK(!known(family, later, CHECK_VNI, 0x0102, 0x0404, &ccsi));
	CHECK(!known(family, later + 1, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	remember(family, later, CHECK_VNI, 0x0102, 0x0305, 101);
	CHECK(known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	CHECK(known(family, later, CHECK_VNI, 0x0102, 0x0305, &ccsi) && ccsi == 101);
	remember(family, later, CHECK_VNI, 0x0102, 0x0306, 102);
	CHECK(!known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	for (; o->rest > 0;)
		origins_begin(o, later);
	/* who never finds anything stops looking, and looks again later */
	CHECK(known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	for (; bursts < 2 * ORIGIN_POOR; bursts++)
		origins_end(o, 64, 16);
	CHECK(o->rest == 0);
	for (bursts = 0; o->rest == 0; bursts++) {
		origins_begin(o, later);
		origins_end(o, 64, 15);
	}
	CHECK(bursts == ORIGIN_POOR && !known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi));
	for (bursts = 0; o->rest > 0; bursts++) {
		origins_begin(o, later);
		origins_end(o, 64, 0);
	}
	CHECK(bursts == ORIGIN_REST && known(family, later, CHECK_VNI, 0x0102, 0x0304, &ccsi));
}

/* A hundred thousand, as VMs are numbered: nearly all are still there at the end. */
static void check_many_origins(int family)
{
	const uint64_t epoch = 7 + ORIGIN_TAG + 1;
	unsigned lost = 0;
	uint16_t ccsi;

	for (uint32_t i = 0; i < 100000; i++)
		remember(family, epoch, CHECK_VNI + i / 16, 0x0102, 1 + i % 16, (uint16_t)(i / 16));
	for (uint32_t i = 0; i < 100000; i++) {
		if (!known(family, epoch, CHECK_VNI + i / 16, 0x0102, 1 + i % 16, &ccsi))
			lost++;
		else
			CHECK(ccsi == (uint16_t)(i / 16));
	}
	CHECK(lost < 8000);
}

int main(void)
{
	struct interface_table *six;

	check_eal();
	CHECK(fib_init() == 0);
	neigh_init(true);
	make_tables();
	six = over_ipv6();
	check_frames(fib_current->interfaces, 4);
	check_frames(six, 6);
	check_names(fib_current->interfaces, six);
	interfaces_free(six);
	for (int family = 4; family <= 6; family += 2) {
		check_origins(family);
		check_many_origins(family);
	}
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
