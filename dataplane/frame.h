/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets of frames: the headers this forwarder writes, and what forwarding does to an IP packet.
 * Pure functions of their arguments; no tables, no counters.
 */
#ifndef CCN_FRAME_H
#define CCN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>
#include <nmmintrin.h>

#define VXLAN_PORT 4789
#define VXLAN_FLAG_VNI 0x08
#define OUTER_L3 (20 + 16 + 14) /* outer IP, UDP + VXLAN, inner Ethernet */

/* UDP and VXLAN header, RFC 7348 section 5. Big-endian. */
struct vxlan_frame {
	uint16_t src_port, dst_port, udp_length, udp_checksum;
	uint8_t flags, reserved[3];
	uint32_t vni; /* in the upper 24 bits */
} __attribute__((packed));

struct encapsulation {
	const uint8_t *outer_dst, *outer_src, *inner_dst, *inner_src;
	uint16_t vlan; /* of the outer frame; 0 = untagged */
	uint32_t vni;
	uint32_t src, dst; /* outer addresses, network order */
	uint8_t tos;
	uint32_t entropy;   /* flow hash of the inner packet */
	uint16_t ip_length; /* of the inner packet */
	uint16_t ether_type;
};

size_t frame_vxlan_size(const struct encapsulation *what);
/* Writes everything that stands before the inner IP packet. UDP checksum zero (RFC 7348). */
void frame_vxlan(uint8_t *frame, const struct encapsulation *what);
/* 14 octets, or 18 with a VLAN tag. */
size_t frame_ethernet(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t vlan,
		      uint16_t ether_type);

/* One's complement sum of RFC 1071, folded and inverted; `length` octets. */
uint16_t frame_checksum(const uint8_t *data, size_t length);

/* --- for every packet --- */

/* Over addresses, protocol and (not in a fragment) ports. */
static inline uint32_t frame_flow_hash(const uint8_t *ip, int family, size_t length)
{
	const size_t header = family == 4 ? (ip[0] & 15) * 4U : 40;
	const uint8_t protocol = family == 4 ? ip[9] : ip[6];
	const bool fragment = family == 4 && ((ip[6] & 0x3f) || ip[7]);
	uint64_t hash = protocol, word[4];

	if (family == 4) {
		memcpy(word, ip + 12, 8);
		hash = _mm_crc32_u64(hash, word[0]);
	} else {
		memcpy(word, ip + 8, 32);
		for (unsigned i = 0; i < 4; i++)
			hash = _mm_crc32_u64(hash, word[i]);
	}
	if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && !fragment &&
	    length >= header + 4) {
		uint32_t ports;

		memcpy(&ports, ip + header, 4);
		hash = _mm_crc32_u32((uint32_t)hash, ports);
	}
	return (uint32_t)hash * 0x9e3779b1U;
}

/* Type of service or traffic class. */
static inline uint8_t frame_tos(const uint8_t *ip, int family)
{
	return family == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

/* TTL or hop limit over 1. */
static inline bool frame_forwardable(const uint8_t *ip, int family)
{
	return (family == 4 ? ip[8] : ip[7]) > 1;
}

/* Takes over what the outer header says of congestion (`ecn`, RFC 6040). */
void frame_mark(uint8_t *ip, int family, uint8_t ecn);

/* One hop: decrements TTL (RFC 1624 checksum), and frame_mark where `ecn` may change something. */
static inline void frame_hop(uint8_t *ip, int family, uint8_t ecn)
{
	if (family == 4) {
		uint16_t checksum;

		memcpy(&checksum, ip + 10, 2);
		/* TTL is the lower half of its word: one less there is one more here */
		checksum = (uint16_t)(checksum + 1 + (checksum >= 0xfffe));
		memcpy(ip + 10, &checksum, 2);
		ip[8]--;
	} else {
		ip[7]--;
	}
	if (ecn & 1)
		frame_mark(ip, family, ecn);
}

#endif
