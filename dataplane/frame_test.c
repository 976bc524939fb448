/* SPDX-License-Identifier: Apache-2.0
 * Header arithmetic against the plain definitions.
 */
#include "frame.h"

#include <string.h>

#include "check.h"
#include "encap.h"
#include "encap6.h"
#include "icmp6.h"

static void random_ipv4(uint64_t *state, uint8_t *ip)
{
	uint16_t sum;

	for (int i = 0; i < 40; i++)
		ip[i] = (uint8_t)random_u64(state);
	ip[0] = 0x45;
	ip[8] = (uint8_t)(2 + random_below(state, 254));
	memset(ip + 10, 0, 2);
	sum = frame_checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
}

/* RFC 6040 figure 4, [inner][outer]; the packet that would be dropped is dropped elsewhere */
static const uint8_t merged[4][4] = {{0, 0, 0, 0}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

static void a_hop_keeps_the_checksum_right(void)
{
	uint64_t state = 3;

	for (int i = 0; i < 200000; i++) {
		uint8_t ip[40], ecn = (uint8_t)random_below(&state, 4);

		random_ipv4(&state, ip);
		uint8_t ttl = ip[8], tos = ip[1];

		frame_hop(ip, 4, ecn);
		CHECK(ip[8] == ttl - 1);
		CHECK(frame_checksum(ip, 20) == 0);
		CHECK(ip[1] == (tos & 0xfc) + merged[tos & 3][ecn]);
		CHECK(frame_marked(tos, ecn) == ip[1]);
	}
}

static void checksums(void)
{
	/* the example of RFC 1071, section 3 */
	const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	const uint8_t odd[] = {0x12, 0x34, 0x56};
	uint16_t sum = frame_checksum(rfc, 8);

	CHECK(!memcmp(&sum, (uint8_t[]){0x22, 0x0d}, 2));
	sum = frame_checksum(odd, 3);
	CHECK(!memcmp(&sum, (uint8_t[]){0x97, 0xcb}, 2));
}

static void fragments_of_a_flow_share_its_addresses_only(void)
{
	uint64_t state = 5;
	uint8_t first[40], later[40];

	random_ipv4(&state, first);
	first[9] = 17;
	first[6] = 0x20; /* more fragments */
	first[7] = 0;
	memcpy(later, first, 40);
	later[6] = 0;
	later[7] = 185;
	later[20] ^= 0xff; /* payload, not ports */
	CHECK(frame_flow_hash(first, 4, 40) == frame_flow_hash(later, 4, 40));
	first[6] = first[7] = later[6] = later[7] = 0;
	CHECK(frame_flow_hash(first, 4, 40) != frame_flow_hash(later, 4, 40));
}

static void outer_headers(void)
{
	const uint8_t mac[4][6] = {{2, 1}, {2, 2}, {2, 3}, {2, 4}};
	struct encapsulation what = {.outer_dst = mac[0],
				     .outer_src = mac[1],
				     .inner_dst = mac[2],
				     .inner_src = mac[3],
				     .vni = 0xabcdef,
				     .tos = 0x2e,
				     .entropy = UINT32_MAX,
				     .ip_length = 100,
				     .ether_type = 0x86dd};
	uint8_t frame[128];

	for (uint16_t vlan = 0; vlan < 4095; vlan += 4094) {
		what.vlan = vlan;
		memset(frame, 0xee, sizeof(frame));
		frame_vxlan(frame, &what);
		const uint8_t *ip = frame + (vlan ? 18 : 14);

		CHECK(frame_vxlan_size(&what) == (size_t)(ip - frame) + OUTER_L3);
		CHECK(!memcmp(ip - 2, (uint8_t[]){0x08, 0x00}, 2));
		CHECK(frame_checksum(ip, 20) == 0);
		CHECK(ip[1] == 0x2e && ip[2] == 0 && ip[3] == 20 + 16 + 14 + 100);
		CHECK(!memcmp(ip + 20, (uint8_t[]){0xff, 0xff, 0x12, 0xb5, 0, 130, 0, 0}, 8));
		CHECK(!memcmp(ip + 28, (uint8_t[]){8, 0, 0, 0, 0xab, 0xcd, 0xef, 0}, 8));
		CHECK(!memcmp(ip + 36, mac[2], 6) && !memcmp(ip + 42, mac[3], 6));
		CHECK(ip[48] == 0x86 && ip[49] == 0xdd);
		CHECK(frame[frame_vxlan_size(&what)] == 0xee);
	}
}

/* RFC 8200 section 3, and UDP without a checksum. */
static void outer_headers_of_ipv6(void)
{
	const uint8_t mac[4][6] = {{2, 1}, {2, 2}, {2, 3}, {2, 4}};
	const uint8_t src[16] = {0x20, 1, [15] = 11}, dst[16] = {0x20, 1, [15] = 21};
	struct encapsulation what = {.outer_dst = mac[0],
				     .outer_src = mac[1],
				     .inner_dst = mac[2],
				     .inner_src = mac[3],
				     .vni = 0xabcdef,
				     .src6 = src,
				     .dst6 = dst,
				     .tos = 0x2e,
				     .entropy = UINT32_MAX,
				     .ip_length = 100,
				     .ether_type = 0x0800};
	uint8_t frame[128];

	for (uint16_t vlan = 0; vlan < 4095; vlan += 4094) {
		what.vlan = vlan;
		memset(frame, 0xee, sizeof(frame));
		frame_vxlan(frame, &what);
		const uint8_t *ip = frame + (vlan ? 18 : 14);

		CHECK(frame_vxlan_size(&what) == (size_t)(ip - frame) + 70);
		CHECK(!memcmp(ip - 2, (uint8_t[]){0x86, 0xdd}, 2));
		CHECK(!memcmp(ip, (uint8_t[]){0x62, 0xef, 0xff, 0xff, 0, 130, 17, 64}, 8));
		CHECK(!memcmp(ip + 8, src, 16) && !memcmp(ip + 24, dst, 16));
		CHECK(!memcmp(ip + 40, (uint8_t[]){0xff, 0xff, 0x12, 0xb5, 0, 130, 0, 0}, 8));
		CHECK(!memcmp(ip + 48, (uint8_t[]){8, 0, 0, 0, 0xab, 0xcd, 0xef, 0}, 8));
		CHECK(!memcmp(ip + 56, mac[2], 6) && !memcmp(ip + 62, mac[3], 6));
		CHECK(ip[68] == 0x08 && ip[69] == 0x00);
		CHECK(frame[frame_vxlan_size(&what)] == 0xee);
	}
	CHECK(frame_ip6_head(0, 0) == 0x60000001); /* a label is never zero */
}

static void prepared_headers_are_the_same(void)
{
	uint64_t state = 11;

	for (int i = 0; i < 100000; i++) {
		uint8_t mac[4][8], plain[ENCAP6_SIZE + 1] = {0}, fast[ENCAP6_SIZE + 1] = {0};
		uint8_t src[16], dst[16];
		uint64_t outer_dst, inner_dst;
		struct encap prepared;
		struct encap6 prepared6;

		for (int k = 0; k < 4; k++) {
			const uint64_t octets = random_u64(&state);

			memcpy(mac[k], &octets, 8);
		}
		for (int k = 0; k < 16; k++) {
			src[k] = (uint8_t)random_u64(&state);
			dst[k] = (uint8_t)random_u64(&state);
		}
		struct encapsulation what = {.outer_dst = mac[0],
					     .outer_src = mac[1],
					     .inner_dst = mac[2],
					     .inner_src = mac[3],
					     .vni = random_below(&state, 1 << 24),
					     .src = (uint32_t)random_u64(&state),
					     .dst = (uint32_t)random_u64(&state),
					     .tos = (uint8_t)random_u64(&state),
					     .entropy = (uint32_t)random_u64(&state),
					     .ip_length = (uint16_t)random_below(&state, 9000),
					     .ether_type =
						 random_below(&state, 2) ? 0x0800 : 0x86dd};

		memcpy(&outer_dst, mac[0], 8);
		memcpy(&inner_dst, mac[2], 8);
		frame_vxlan(plain, &what);
		encap_prepare(&prepared, &(struct encapsulation){.outer_src = mac[1],
								 .inner_src = mac[3],
								 .src = what.src,
								 .dst = what.dst});
		encap_write(fast, &prepared, outer_dst, inner_dst, what.vni, what.tos,
			    what.ip_length, what.entropy, what.ether_type);
		CHECK(!memcmp(plain, fast, sizeof(plain)));
		what.src6 = src;
		what.dst6 = dst;
		frame_vxlan(plain, &what);
		encap6_prepare(&prepared6, &(struct encapsulation){.outer_src = mac[1],
								   .inner_src = mac[3],
								   .src6 = src,
								   .dst6 = dst});
		encap6_write(fast, &prepared6, outer_dst, inner_dst, what.vni, what.tos,
			     what.ip_length, what.entropy, what.ether_type);
		CHECK(!memcmp(plain, fast, sizeof(plain)));
	}
}

static void neighbor_discovery(void)
{
	const uint8_t us[6] = {2, 0, 0, 0, 0, 1}, them[6] = {2, 0, 0, 0, 0, 2};
	uint8_t our_ip[16] = {0xfd, [15] = 1}, their_ip[16] = {0xfd, [15] = 2};
	uint8_t asked[ICMP6_ND_SIZE], told[ICMP6_ND_SIZE];
	struct icmp6_seen seen;

	icmp6_solicit(asked, them, their_ip, our_ip, NULL);
	CHECK(!memcmp(asked, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6));
	seen = icmp6_read(asked, sizeof(asked));
	CHECK(seen.kind == ICMP6_SOLICITATION && !memcmp(seen.target, our_ip, 16));
	CHECK(!memcmp(seen.neighbor, their_ip, 16) && !memcmp(seen.mac, them, 6));
	icmp6_advertise(told, us, our_ip, asked);
	CHECK(!memcmp(told, them, 6));
	seen = icmp6_read(told, sizeof(told));
	CHECK(seen.kind == ICMP6_ADVERTISEMENT && !memcmp(seen.neighbor, our_ip, 16));
	CHECK(!memcmp(seen.mac, us, 6));
	for (size_t i = 14; i < sizeof(told); i++) { /* no changed octet passes */
		told[i] ^= 1;
		seen = icmp6_read(told, sizeof(told));
		CHECK(seen.kind == ICMP6_OTHER || i < 18 || i == 21);
		told[i] ^= 1;
	}
	for (size_t length = 0; length < sizeof(told); length++)
		CHECK(icmp6_read(told, length).kind == ICMP6_OTHER);
	CHECK(icmp6_read(told, sizeof(told)).override);
	told[58] = 0x40; /* solicited, and not meant to override */
	icmp6_seal(told + 14, 32);
	seen = icmp6_read(told, sizeof(told));
	CHECK(seen.kind == ICMP6_ADVERTISEMENT && !seen.override);
}

/* A frame as it is, with some octets changed and the checksum right. */
static enum icmp6_kind kind_of(const uint8_t *frame, size_t size, unsigned at, const void *octets,
			       unsigned count)
{
	uint8_t copy[ICMP6_ND_SIZE];

	memcpy(copy, frame, size);
	memcpy(copy + at, octets, count);
	icmp6_seal(copy + 14, size - 54);
	return icmp6_read(copy, size).kind;
}

/* RFC 4861 sections 7.1.1 and 7.1.2; RFC 4443 section 2.4 (e): nobody answers to many or to nobody. */
static void messages_that_are_not_taken(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2}, nobody[16];
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1}, us[16] = {0xfd, [15] = 1},
			     them[16] = {0xfd, [15] = 2};
	uint8_t asked[ICMP6_ND_SIZE], direct[ICMP6_ND_SIZE], told[ICMP6_ND_SIZE], ping[62];
	const uint8_t group_of_us[16] = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 1};

	icmp6_solicit(asked, mac, them, us, NULL);
	icmp6_solicit(direct, mac, them, us, mac);
	CHECK(kind_of(asked, sizeof(asked), 0, "", 0) == ICMP6_SOLICITATION);
	CHECK(kind_of(direct, sizeof(direct), 0, "", 0) == ICMP6_SOLICITATION);
	CHECK(kind_of(asked, sizeof(asked), 6, "\1", 1) == ICMP6_OTHER); /* from a group's MAC */
	CHECK(kind_of(asked, sizeof(asked), 22, all_nodes, 16) == ICMP6_OTHER); /* from a group */
	CHECK(kind_of(asked, sizeof(asked), 62, all_nodes, 16) == ICMP6_OTHER); /* for a group */
	CHECK(kind_of(asked, sizeof(asked), 79, "\0", 1) ==
	      ICMP6_OTHER); /* an option of length 0 */
	CHECK(kind_of(asked, sizeof(asked), 79, "\2", 1) == ICMP6_OTHER); /* beyond the end */
	/* looking for duplicates: with a MAC, or not to the group of the address */
	CHECK(kind_of(asked, sizeof(asked), 22, nobody, 16) == ICMP6_OTHER);
	memset(asked + 78, 14, 1); /* another option: a nonce (RFC 7527) */
	CHECK(kind_of(asked, sizeof(asked), 22, nobody, 16) == ICMP6_SOLICITATION);
	memcpy(asked + 22, nobody, 16);
	CHECK(kind_of(asked, sizeof(asked), 38, us, 16) == ICMP6_OTHER);
	CHECK(kind_of(asked, sizeof(asked), 38, all_nodes, 16) == ICMP6_OTHER);
	CHECK(kind_of(asked, sizeof(asked), 38, group_of_us, 16) == ICMP6_SOLICITATION);

	icmp6_advertise(told, mac, them, direct);
	CHECK(kind_of(told, sizeof(told), 0, "", 0) == ICMP6_ADVERTISEMENT);
	CHECK(kind_of(told, sizeof(told), 38, all_nodes, 16) ==
	      ICMP6_OTHER); /* to all, solicited */
	CHECK(kind_of(told, sizeof(told), 62, all_nodes, 16) == ICMP6_OTHER);
	CHECK(kind_of(told, sizeof(told), 79, "\0", 1) == ICMP6_OTHER);
	told[58] = 0x20;
	CHECK(kind_of(told, sizeof(told), 38, all_nodes, 16) == ICMP6_ADVERTISEMENT);
	CHECK(kind_of(told, sizeof(told), 54, "\x86", 1) ==
	      ICMP6_OTHER); /* a router's is the kernel's */

	memcpy(ping, direct, sizeof(ping));
	memcpy(ping + 54, "\x80\0\0\0\0\1\0\1", 8);
	ping[19] = 8;
	CHECK(kind_of(ping, sizeof(ping), 0, "", 0) == ICMP6_ECHO_REQUEST);
	CHECK(kind_of(ping, sizeof(ping), 22, all_nodes, 16) == ICMP6_OTHER);
	CHECK(kind_of(ping, sizeof(ping), 22, nobody, 16) == ICMP6_OTHER);
	CHECK(kind_of(ping, sizeof(ping), 6, "\3", 1) == ICMP6_OTHER);
}

int main(void)
{
	neighbor_discovery();
	messages_that_are_not_taken();
	checksums();
	a_hop_keeps_the_checksum_right();
	fragments_of_a_flow_share_its_addresses_only();
	outer_headers();
	outer_headers_of_ipv6();
	prepared_headers_are_the_same();
	return 0;
}
