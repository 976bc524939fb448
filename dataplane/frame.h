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

/* Over addresses, protocol and (not in a fragment) ports. */
uint32_t frame_flow_hash(const uint8_t *ip, int family, size_t length);
uint8_t frame_tos(const uint8_t *ip, int family);      /* type of service or traffic class */
bool frame_forwardable(const uint8_t *ip, int family); /* TTL or hop limit over 1 */
/* One hop: decrements TTL (RFC 1624 checksum) and takes over congestion that the outer header
 * has seen (`ecn`, RFC 6040). */
void frame_hop(uint8_t *ip, int family, uint8_t ecn);
/* One's complement sum of RFC 1071, folded and inverted; `length` octets. */
uint16_t frame_checksum(const uint8_t *data, size_t length);

#endif
