/* SPDX-License-Identifier: Apache-2.0
 * Header arithmetic.
 */
#include "frame.h"

#include <string.h>

#include <arpa/inet.h>

#define ETHER_VLAN 0x8100
#define ETHER_IPV4 0x0800
#define ETHER_IPV6 0x86dd

struct outer {
	uint8_t version, tos;
	uint16_t length, identification, fragment;
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint32_t src, dst;
	struct vxlan_frame vxlan;
} __attribute__((packed));

struct outer6 {
	uint32_t head;
	uint16_t length;
	uint8_t next_header, hop_limit;
	uint8_t src[16], dst[16];
	struct vxlan_frame vxlan;
} __attribute__((packed));

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint16_t frame_checksum(const uint8_t *data, size_t length)
{
	uint64_t sum = 0;

	for (; length >= 2; data += 2, length -= 2) {
		uint16_t word;

		memcpy(&word, data, 2);
		sum += word;
	}
	if (length)
		sum += *data; /* the missing octet is zero; little-endian */
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

size_t frame_ethernet(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t vlan,
		      uint16_t ether_type)
{
	size_t at = 12;

	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	if (vlan) {
		put16(frame + 12, ETHER_VLAN);
		put16(frame + 14, vlan);
		at = 16;
	}
	put16(frame + at, ether_type);
	return at + 2;
}

size_t frame_vxlan_size(const struct encapsulation *what)
{
	return (what->vlan ? 18 : 14) + (what->src6 ? OUTER_L3_6 : OUTER_L3);
}

/* Of the outer header below, from its parts: reading back what was just written in smaller pieces
 * would stall. Words in the order of memory. */
static uint16_t outer_checksum(const struct encapsulation *what, uint16_t total)
{
	uint32_t sum = htons((uint16_t)(0x4500 | what->tos)) + htons(total) + htons(0x4000) +
		       htons(64 << 8 | IPPROTO_UDP) + (what->src & 0xffff) + (what->src >> 16) +
		       (what->dst & 0xffff) + (what->dst >> 16);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static struct vxlan_frame vxlan_of(const struct encapsulation *what, uint16_t udp)
{
	return (struct vxlan_frame){
	    .src_port = htons((uint16_t)(0xc000 | what->entropy >> 18)),
	    .dst_port = htons(VXLAN_PORT),
	    .udp_length = htons(udp),
	    .flags = VXLAN_FLAG_VNI,
	    .vni = htonl(what->vni << 8),
	};
}

static uint8_t *write_outer6(uint8_t *ip, const struct encapsulation *what, uint16_t udp)
{
	struct outer6 *outer = (void *)ip;

	outer->head = htonl(frame_ip6_head(what->tos, what->entropy));
	outer->length = htons(udp);
	outer->next_header = IPPROTO_UDP;
	outer->hop_limit = 64;
	memcpy(outer->src, what->src6, sizeof(outer->src));
	memcpy(outer->dst, what->dst6, sizeof(outer->dst));
	outer->vxlan = vxlan_of(what, udp);
	return ip + sizeof(*outer);
}

static uint8_t *write_outer(uint8_t *ip, const struct encapsulation *what, uint16_t udp)
{
	struct outer *outer = (void *)ip;

	outer->version = 0x45;
	outer->tos = what->tos;
	outer->length = htons((uint16_t)(20 + udp));
	outer->identification = 0;
	outer->fragment = htons(0x4000); /* do not fragment */
	outer->ttl = 64;
	outer->protocol = IPPROTO_UDP;
	outer->checksum = outer_checksum(what, (uint16_t)(20 + udp));
	outer->src = what->src;
	outer->dst = what->dst;
	outer->vxlan = vxlan_of(what, udp);
	return ip + sizeof(*outer);
}

void frame_vxlan(uint8_t *frame, const struct encapsulation *what)
{
	const uint16_t udp = (uint16_t)(sizeof(struct vxlan_frame) + 14 + what->ip_length);
	uint8_t *at = frame + frame_ethernet(frame, what->outer_dst, what->outer_src, what->vlan,
					     what->src6 ? ETHER_IPV6 : ETHER_IPV4);

	at = what->src6 ? write_outer6(at, what, udp) : write_outer(at, what, udp);
	frame_ethernet(at, what->inner_dst, what->inner_src, 0, what->ether_type);
}

/* RFC 1624: HC' = ~(~HC + ~m + m'), words in the order of memory. */
static void adjust(uint8_t *checksum, uint16_t before, uint16_t after)
{
	uint16_t old;
	uint32_t sum;

	memcpy(&old, checksum, 2);
	sum = (uint16_t)~old + (uint32_t)(uint16_t)~before + after;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	old = (uint16_t)~sum;
	memcpy(checksum, &old, 2);
}

uint8_t frame_marked(uint8_t tos, uint8_t ecn)
{
	const uint8_t inner = tos & 3;

	if (inner == 0 || inner == 3 || !(ecn & 1))
		return tos;
	return (uint8_t)((tos & 0xfc) | ecn);
}

void frame_mark(uint8_t *ip, int family, uint8_t ecn)
{
	const uint8_t tos = frame_tos(ip, family), marked = frame_marked(tos, ecn);
	uint16_t before, after;

	if (marked == tos)
		return;
	if (family == 6) {
		ip[1] = (uint8_t)((ip[1] & 0xf) | marked << 4);
		return;
	}
	memcpy(&before, ip, 2);
	ip[1] = marked;
	memcpy(&after, ip, 2);
	adjust(ip + 10, before, after);
}
