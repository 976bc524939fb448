/* SPDX-License-Identifier: Apache-2.0
 * What plain.h says yes to, against classify.c, on frames with random faults; and what is remembered
 * of origins.
 */
#include "plain.h"

#include <string.h>

#include <arpa/inet.h>

#include "check_eal.h"
#include "classify.h"
#include "commit.h"
#include "port.h"

#define VNI 10100U
#define ROUNDS 1000000

/* "p0" is an uplink and nothing else. */
int port_find(const uint8_t name[16])
{
	return memcmp(name, "p0", 3) == 0 ? 0 : -1;
}

const uint8_t *port_mac(unsigned port)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

	(void)port;
	return mac;
}

static uint8_t tables[4096];
static size_t length;

static void add(uint16_t type, const void *record)
{
	const size_t size = record_size(type);
	const struct ccn_header header = {
	    .length = (uint32_t)(sizeof(header) + size), .type = type, .count = 1};

	memcpy(tables + length, &header, sizeof(header));
	memcpy(tables + length + sizeof(header), record, size);
	length += header.length;
}

static void make_tables(void)
{
	const uint8_t digest[32] = {0};
	struct refusal refusal;

	add(CCN_CCSI, &(struct ccn_ccsi){.id = 100});
	add(CCN_INTERFACE, &(struct ccn_interface){.id = 1,
						   .role = CCN_UPLINK,
						   .length = 24,
						   .mtu = 1600,
						   .port = "p0",
						   .address = {192, 0, 2, 11},
						   .mac = {2, 0, 0, 0, 0, 9}});
	add(CCN_VNI, &(struct ccn_vni){.vni = VNI, .ccsi = 100, .kind = CCN_VNI_VPC});
	add(CCN_VTEP, &(struct ccn_vtep){.vni = VNI, .address = {192, 0, 2, 101}});
	CHECK(commit(tables, length, true, 1, digest, &refusal) == 0);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void sum_up(uint8_t *ip)
{
	uint16_t sum;

	memset(ip + 10, 0, 2);
	sum = frame_checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
}

/* A right one with so many octets behind the inner IP header. */
static size_t make_frame(uint8_t *frame, int family, unsigned payload)
{
	static const uint8_t head[] = {2,   0,	  0, 0,	  0,   9, 2, 0,	   0,	 0,  0,	   7,	8,
				       0,   0x45, 0, 0,	  0,   0, 0, 0x40, 0,	 64, 17,   0,	0,
				       192, 0,	  2, 101, 192, 0, 2, 11,   0xc0, 1,  0x12, 0xb5};
	const unsigned header = family == 4 ? 20 : 40, inner = header + payload;
	uint8_t *ip = frame + PLAIN_IP;

	memset(frame, 0, PLAIN_IP + inner);
	memcpy(frame, head, sizeof(head));
	put16(frame + 16, 50 + inner);
	put16(frame + 38, 30 + inner);
	frame[42] = VXLAN_FLAG_VNI;
	put16(frame + 47, VNI);
	frame[50] = frame[56] = 2;
	put16(frame + 62, family == 4 ? 0x0800 : 0x86dd);
	sum_up(frame + 14);
	if (family == 4) {
		memcpy(ip, (uint8_t[20]){0x45, [8] = 64, 17, [12] = 10, 1, 0, 1, 10, 2, 0, 1}, 20);
		put16(ip + 2, inner);
		sum_up(ip);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, payload);
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, (uint8_t[32]){0xfd, [15] = 1, 0xfd, [31] = 2}, 32);
	}
	return PLAIN_IP + inner;
}

/* Some octets that mean something are others, and now and then the checksums are right again. */
static void spoil(uint64_t *state, uint8_t *frame, size_t *size)
{
	static const uint8_t some[] = {0, 1, 2, 0x45, 0x46, 127, 224, 169, 255, 20, 28, 40, 58};
	unsigned faults = random_below(state, 4);

	while (faults-- > 0) {
		const uint32_t at = random_below(state, 88);

		frame[at] = random_below(state, 2) ? (uint8_t)random_u64(state)
						   : some[random_below(state, sizeof(some))];
	}
	if (random_below(state, 8) == 0)
		*size -= random_below(state, 40);
	if (random_below(state, 8) == 0)
		*size += random_below(state, 20);
	if (random_below(state, 2))
		sum_up(frame + 14);
	if (random_below(state, 2) && frame[63] == 0)
		sum_up(frame + PLAIN_IP);
}

/* A yes is a packet that classify forwards, or drops for its VNI or VTEP alone. */
static void check_frames(void)
{
	const struct interface_table *interfaces = fib_current->interfaces;
	uint64_t state = 2026;
	unsigned yes = 0, no = 0, forwarded = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t frame[256] = {0};
		size_t size = make_frame(frame, random_below(&state, 3) ? 4 : 6,
					 8 + random_below(&state, 40));
		struct packet packet;
		struct frame_in in = {.data = frame, .any_mac = random_below(&state, 4) == 0};
		enum verdict verdict;
		int family;

		spoil(&state, frame, &size);
		in.length = size;
		in.checked = random_below(&state, 8) == 0;
		family = plain_is(&interfaces->plain[0], frame, size, in.any_mac, in.checked);
		verdict = classify(fib_current, interfaces, &in, &packet);
		yes += family != 0;
		no += family == 0;
		forwarded += verdict == VERDICT_FORWARD;
		if (family == 0)
			continue;
		CHECK(packet.vni == plain_vni(frame) && packet.vtep == plain_outer_source(frame));
		if (verdict == VERDICT_DROP) {
			CHECK(in.reason == DROP_UNKNOWN_VNI || in.reason == DROP_UNKNOWN_VTEP);
			continue;
		}
		CHECK(verdict == VERDICT_FORWARD && packet.family == family);
		CHECK(packet.ip == frame + PLAIN_IP &&
		      packet.length == plain_length(frame, family));
		CHECK(packet.ecn == (frame[15] & 3) && packet.interface == 0 && !packet.own);
		forwarded--;
	}
	/* what classify forwards and this does not: options, above all */
	CHECK(yes > ROUNDS / 10 && no > ROUNDS / 5 && forwarded < ROUNDS / 100);
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

	CHECK(origins_init(o, family) == 0);
	origins_begin(o, 7);
	CHECK(!known(family, 7, VNI, 0x0102, 0x0304, &ccsi));
	remember(family, 7, VNI, 0x0102, 0x0304, 100);
	CHECK(known(family, 7, VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	/* another epoch, and one whose lower bits are those of the first */
	CHECK(!known(family, 8, VNI, 0x0102, 0x0304, &ccsi));
	origins_begin(o, later);
	CHECK(!known(family, later, VNI, 0x0102, 0x0304, &ccsi));
	remember(family, later, VNI, 0x0102, 0x0304, 100);
	/* at rest all are in one set: only what is compared tells them apart */
	origins_rest(o);
	remember(family, later, VNI, 0x0102, 0x0304, 100);
	CHECK(known(family, later, VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	CHECK(!known(family, later, VNI + 1, 0x0102, 0x0304, &ccsi));
	CHECK(!known(family, later, VNI, 0x0103, 0x0304, &ccsi));
	CHECK(!known(family, later, VNI, 0x0102, 0x0305, &ccsi));
	CHECK(!known(family, later, VNI, 0x0102, 0x0404, &ccsi));
	CHECK(!known(family, later + 1, VNI, 0x0102, 0x0304, &ccsi));
	remember(family, later, VNI, 0x0102, 0x0305, 101);
	CHECK(known(family, later, VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	CHECK(known(family, later, VNI, 0x0102, 0x0305, &ccsi) && ccsi == 101);
	remember(family, later, VNI, 0x0102, 0x0306, 102);
	CHECK(!known(family, later, VNI, 0x0102, 0x0304, &ccsi));
	for (; o->rest > 0;)
		origins_begin(o, later);
	/* who never finds anything stops looking, and looks again later */
	CHECK(known(family, later, VNI, 0x0102, 0x0304, &ccsi) && ccsi == 100);
	for (; o->rest == 0; bursts++) {
		origins_begin(o, later);
		origins_end(o, 64, 31);
	}
	CHECK(bursts == ORIGIN_POOR && !known(family, later, VNI, 0x0102, 0x0304, &ccsi));
	for (bursts = 0; o->rest > 0; bursts++) {
		origins_begin(o, later);
		origins_end(o, 64, 0);
	}
	CHECK(bursts == ORIGIN_REST && known(family, later, VNI, 0x0102, 0x0304, &ccsi));
}

/* A hundred thousand, as VMs are numbered: nearly all are still there at the end. */
static void check_many_origins(int family)
{
	const uint64_t epoch = 7 + ORIGIN_TAG + 1;
	unsigned lost = 0;
	uint16_t ccsi;

	for (uint32_t i = 0; i < 100000; i++)
		remember(family, epoch, VNI + i / 16, 0x0102, 1 + i % 16, (uint16_t)(i / 16));
	for (uint32_t i = 0; i < 100000; i++) {
		if (!known(family, epoch, VNI + i / 16, 0x0102, 1 + i % 16, &ccsi))
			lost++;
		else
			CHECK(ccsi == (uint16_t)(i / 16));
	}
	CHECK(lost < 8000);
}

int main(void)
{
	check_eal();
	CHECK(fib_init() == 0);
	neigh_init(true);
	make_tables();
	check_frames();
	for (int family = 4; family <= 6; family += 2) {
		check_origins(family);
		check_many_origins(family);
	}
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
