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
#include <immintrin.h>

#define VXLAN_PORT 4789
#define VXLAN_FLAG_VNI 0x08
#define OUTER_L3 (20 + 16 + 14)	  /* outer IPv4, UDP + VXLAN, inner Ethernet */
#define OUTER_L3_6 (40 + 16 + 14) /* the same over IPv6 */

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
	uint32_t src, dst;	    /* outer addresses, network order */
	const uint8_t *src6, *dst6; /* the same of IPv6; NULL: it is IPv4 */
	uint8_t tos;
	uint32_t entropy;   /* flow hash of the inner packet */
	uint16_t ip_length; /* of the inner packet */
	uint16_t ether_type;
};

size_t frame_vxlan_size(const struct encapsulation *what);
/* Writes everything that stands before the inner IP packet. UDP checksum zero (RFC 7348, RFC 6935). */
void frame_vxlan(uint8_t *frame, const struct encapsulation *what);
/* 14 octets, or 18 with a VLAN tag. */
size_t frame_ethernet(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t vlan,
		      uint16_t ether_type);

/* One's complement sum of RFC 1071, folded and inverted; `length` octets. */
uint16_t frame_checksum(const uint8_t *data, size_t length);

/* --- for every packet --- */

/* The first four octets of an outer IPv6 header, as a number: traffic class, and of the inner flow's
 * hash a label, which is never zero (RFC 6437 section 3, RFC 6438). */
static inline uint32_t frame_ip6_head(uint8_t tos, uint32_t entropy)
{
	const uint32_t label = entropy >> 12;

	return 6U << 28 | (uint32_t)tos << 20 | label | (label == 0);
}

/* Whether the checksum of an IPv4 header without options, which is what most packets have, is right:
 * words of 16 bits add up to a multiple of 0xffff (RFC 1071), and so do words of 64 bits with their
 * carries added, since 2^16 and 2^64 leave 1. The header is not all zeros. */
static inline bool frame_sum20_right(const uint8_t *ip)
{
	uint64_t a, b, sum;
	uint32_t c;

	memcpy(&a, ip, 8);
	memcpy(&b, ip + 8, 8);
	memcpy(&c, ip + 16, 4);
	sum = a + b;
	sum += sum < a;
	sum += c;
	sum += sum < c;
	/* a multiple of 0xffff, times the inverse of 0xffff, is no more than how many there are */
	return sum * 0xfffefffefffeffff <= UINT64_MAX / 0xffff;
}

/* What no router may forward, whatever its routes: to this network, this host, one link or a group
 * (RFC 1812 section 5.3.7, RFC 3927 section 7, RFC 4291 section 2.5), or from nobody that could be
 * answered. Sources in 169.254/16 pass: an IDC router's time-exceeded messages come from there. */
static inline bool frame_is_martian(const uint8_t *ip, int family)
{
	uint64_t high, low;
	uint32_t from, to;
	const uint8_t *src, *dst;

	if (family == 4) {
		memcpy(&from, ip + 12, 4);
		memcpy(&to, ip + 16, 4);
		from = __builtin_bswap32(from);
		to = __builtin_bswap32(to);
		return to - (1U << 24) >= 223U << 24 || to >> 24 == 127 || to >> 16 == 0xa9fe ||
		       from >> 24 >= 224 || from >> 24 == 127;
	}
	src = ip + 8;
	dst = ip + 24;
	if (dst[0] == 0xff || src[0] == 0xff || (dst[0] == 0xfe && (dst[1] & 0xc0) == 0x80) ||
	    (src[0] == 0xfe && (src[1] & 0xc0) == 0x80))
		return true;
	memcpy(&high, dst, 8);
	memcpy(&low, dst + 8, 8);
	return high == 0 && (low == 0 || __builtin_bswap64(low) == 1);
}

/* Over addresses, protocol and (not in a fragment) ports. */
static inline uint32_t frame_flow_hash(const uint8_t *ip, int family, size_t length)
{
	const size_t header = family == 4 ? (ip[0] & 15) * 4U : 40;
	const uint8_t protocol = family == 4 ? ip[9] : ip[6];
	uint64_t hash = protocol, word[4];
	uint16_t fragment = 0;

	if (family == 4) {
		memcpy(&fragment, ip + 6, 2);
		fragment &= 0xff3f; /* of what is not "don't fragment", network order */
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

/* What the type of service becomes by what the outer header says of congestion: RFC 6040 section 4.2,
 * congestion is taken over, and ECT(1) outside over ECT(0) inside. It changes only if `ecn` is odd. */
uint8_t frame_marked(uint8_t tos, uint8_t ecn);
/* Writes that. */
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
