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

static void check_origins(void)
{
	static struct origins o;
	struct origin_key key, other;
	unsigned bursts = 0;
	uint16_t ccsi;

	CHECK(origins_init(&o) == 0);
	origins_begin(&o, 7);
	key = origin_key(7, VNI, 0x0102, 0x0304);
	CHECK(!origin_find(origin_set(&o, &key), &key, &ccsi));
	origin_remember(origin_set(&o, &key), &key, 100);
	CHECK(origin_find(origin_set(&o, &key), &key, &ccsi) && ccsi == 100);
	other = origin_key(7, VNI + 1, 0x0102, 0x0304);
	CHECK(!origin_find(origin_set(&o, &key), &other, &ccsi));
	other = origin_key(7, VNI, 0x0103, 0x0304);
	CHECK(!origin_find(origin_set(&o, &key), &other, &ccsi));
	other = origin_key(7, VNI, 0x0102, 0x0305);
	CHECK(!origin_find(origin_set(&o, &key), &other, &ccsi));
	/* another epoch, and one whose lower bits are those of the first */
	other = origin_key(8, VNI, 0x0102, 0x0304);
	CHECK(!origin_find(origin_set(&o, &key), &other, &ccsi));
	origins_begin(&o, 7 + ORIGIN_TAG + 1);
	other = origin_key(7 + ORIGIN_TAG + 1, VNI, 0x0102, 0x0304);
	CHECK(!origin_find(origin_set(&o, &key), &other, &ccsi));
	/* who never finds anything stops looking, and looks again later */
	origin_remember(origin_set(&o, &key), &key, 100);
	for (; o.rest == 0; bursts++) {
		origins_begin(&o, 7 + ORIGIN_TAG + 1);
		origins_end(&o, 64, 31);
	}
	CHECK(bursts == ORIGIN_POOR && !origin_find(origin_set(&o, &key), &key, &ccsi));
	for (bursts = 0; o.rest > 0; bursts++) {
		origins_begin(&o, 7 + ORIGIN_TAG + 1);
		origins_end(&o, 64, 0);
	}
	CHECK(bursts == ORIGIN_REST && origin_find(origin_set(&o, &key), &key, &ccsi));
}

int main(void)
{
	check_eal();
	CHECK(fib_init() == 0);
	neigh_init(true);
	make_tables();
	check_frames();
	check_origins();
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
