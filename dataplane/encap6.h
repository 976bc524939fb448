/* SPDX-License-Identifier: Apache-2.0
 *
 * As encap.h over IPv6: all that stands before an inner IP packet on an untagged wire, 84 octets,
 * prepared once for each VTEP. The flow label is the flow's (RFC 6438), the UDP checksum zero (RFC
 * 6935; what RFC 6936 asks of the receiver is the check of VNI and outer source). Octets equal those
 * of frame_vxlan.
 */
#ifndef CCN_ENCAP6_H
#define CCN_ENCAP6_H

#include <stdint.h>
#include <string.h>

#include "encap.h"
#include "frame.h"

#define ENCAP6_SIZE 84

struct encap6 {
	uint64_t word[10];
	uint32_t tail; /* the last four octets */
};

static inline void encap6_prepare(struct encap6 *e, const struct encapsulation *what)
{
	uint8_t line[ENCAP6_SIZE];

	encap_begin(line, what);
	memset(line + 14, 0, 4); /* version, traffic class, flow label: written as one */
	memset(line + 18, 0, 2); /* payload length */
	memcpy(e->word, line, sizeof(e->word));
	memcpy(&e->tail, line + sizeof(e->word), sizeof(e->tail));
}

/* See encap_write. */
static inline void encap6_write(uint8_t *frame, const struct encap6 *e, uint64_t mac,
				uint64_t inner_dst, uint32_t vni, uint8_t tos, uint16_t ip_length,
				uint32_t entropy, uint16_t ether_type)
{
	const uint64_t udp = __builtin_bswap16((uint16_t)(8 + 8 + 14 + ip_length));
	const uint64_t port = __builtin_bswap16((uint16_t)(0xc000 | entropy >> 18));
	const uint64_t vni_be = __builtin_bswap32(vni << 8);
	const uint64_t head = __builtin_bswap32(frame_ip6_head(tos, entropy));
	const uint32_t tail = e->tail | (uint32_t)__builtin_bswap16(ether_type) << 16;

	encap_put(frame, 0, e->word[0] | (mac & 0xffffffffffff));
	encap_put(frame, 1, e->word[1] | head << 48);
	encap_put(frame, 2, e->word[2] | head >> 16 | udp << 16); /* the payload is UDP alone */
	encap_put(frame, 3, e->word[3]);
	encap_put(frame, 4, e->word[4]);
	encap_put(frame, 5, e->word[5]);
	encap_put(frame, 6, e->word[6] | port << 48);
	encap_put(frame, 7, e->word[7] | udp << 16);
	encap_put(frame, 8, e->word[8] | vni_be << 16 | (inner_dst & 0xffff) << 48);
	encap_put(frame, 9, e->word[9] | (inner_dst >> 16 & 0xffffffff));
	memcpy(frame + sizeof(e->word), &tail, sizeof(tail));
}

#endif
