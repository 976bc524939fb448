/* SPDX-License-Identifier: Apache-2.0
 *
 * All that stands before an inner IP packet on an untagged wire is one cache line: Ethernet, IPv4,
 * UDP and VXLAN header, inner Ethernet (RFC 7348 section 5). What is the same for every packet to a
 * VTEP is prepared once; a packet then costs eight stores. Octets equal those of frame_vxlan.
 */
#ifndef CCN_ENCAP_H
#define CCN_ENCAP_H

#include <stdint.h>
#include <string.h>

#include "frame.h"

#define ENCAP_SIZE 64

struct encap {
	uint64_t word[8];
	uint32_t sum; /* of the outer IPv4 header, without length and type of service */
};

/* From what does not change: the headers of either family, zero where each packet has its own
 * octets behind the outer IP header. `outer_dst` is of every packet, since neighbours move. */
static inline void encap_begin(uint8_t *line, const struct encapsulation *what)
{
	static const uint8_t zero[6];
	struct encapsulation empty = *what;
	uint8_t *udp;

	empty.outer_dst = empty.inner_dst = zero;
	empty.vlan = 0;
	empty.vni = 0;
	empty.tos = 0;
	empty.entropy = 0;
	empty.ip_length = 0;
	empty.ether_type = 0;
	frame_vxlan(line, &empty);
	udp = line + frame_vxlan_size(&empty) - 30;
	memset(udp, 0, 2);     /* source port */
	memset(udp + 4, 0, 2); /* length */
}

static inline void encap_prepare(struct encap *e, const struct encapsulation *what)
{
	uint8_t line[ENCAP_SIZE];
	uint16_t word;

	encap_begin(line, what);
	memset(line + 16, 0, 2); /* total length */
	memset(line + 24, 0, 2); /* checksum */
	memcpy(e->word, line, sizeof(line));
	e->sum = 0;
	for (unsigned at = 14; at < 34; at += 2) {
		memcpy(&word, line + at, 2);
		e->sum += word;
	}
}

static inline void encap_put(uint8_t *frame, unsigned at, uint64_t word)
{
	memcpy(frame + at * sizeof(word), &word, sizeof(word));
}

/* `mac` and `inner_dst`: six octets as memcpy puts them into the low end of a word. */
static inline void encap_write(uint8_t *frame, const struct encap *e, uint64_t mac,
			       uint64_t inner_dst, uint32_t vni, uint8_t tos, uint16_t ip_length,
			       uint32_t entropy, uint16_t ether_type)
{
	const uint64_t udp = __builtin_bswap16((uint16_t)(8 + 8 + 14 + ip_length));
	const uint64_t total = __builtin_bswap16((uint16_t)(20 + 8 + 8 + 14 + ip_length));
	const uint64_t port = __builtin_bswap16((uint16_t)(0xc000 | entropy >> 18));
	const uint64_t vni_be = __builtin_bswap32(vni << 8);
	uint32_t sum = e->sum + (uint32_t)total + ((uint32_t)tos << 8);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	/* straight to the frame: a line put together on the stack by words and copied by vectors
	 * stalls until those stores are done */
	encap_put(frame, 0, e->word[0] | (mac & 0xffffffffffff));
	encap_put(frame, 1, e->word[1] | (uint64_t)tos << 56);
	encap_put(frame, 2, e->word[2] | total);
	encap_put(frame, 3, e->word[3] | (uint16_t)~sum);
	encap_put(frame, 4, e->word[4] | port << 16 | udp << 48);
	encap_put(frame, 5, e->word[5] | (vni_be & 0xffff) << 48);
	encap_put(frame, 6, vni_be >> 16 | (inner_dst & 0xffffffffffff) << 16);
	encap_put(frame, 7, e->word[7] | (uint64_t)__builtin_bswap16(ether_type) << 48);
}

#endif
