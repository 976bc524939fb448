/* SPDX-License-Identifier: Apache-2.0
 *
 * What nearly every frame is: untagged VXLAN to an uplink, outside IPv4 without options or a fragment,
 * or IPv6 without extension headers; inside unicast IPv4 without options or IPv6. In: a frame; out:
 * whether it is one whose headers are all right, so that only VNI, VTEP and inner source are left to be
 * judged. Whatever this says no to goes through classify.c, which tells all cases apart: a no costs
 * time, a wrong yes would let a packet pass. `outer`, the family of the underlay, is known where these
 * are put in.
 */
#ifndef CCN_PLAIN_H
#define CCN_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <smmintrin.h>

#include "fib.h"
#include "frame.h"

#define PLAIN_OUTER_IP 14

/* Where things stand: UDP and VXLAN header, the inner Ethernet header, the inner packet. */
static inline unsigned plain_vxlan(int outer)
{
	return PLAIN_OUTER_IP + (outer == 4 ? 20 : 40);
}

static inline unsigned plain_inner(int outer)
{
	return plain_vxlan(outer) + 16;
}

static inline unsigned plain_ip(int outer)
{
	return plain_inner(outer) + 14;
}

static inline uint16_t plain_load16(const uint8_t *at)
{
	uint16_t word;

	memcpy(&word, at, 2);
	return __builtin_bswap16(word);
}

static inline uint32_t plain_vni(const uint8_t *frame, int outer)
{
	uint32_t word;

	memcpy(&word, frame + plain_vxlan(outer) + 12, 4);
	return __builtin_bswap32(word) >> 8;
}

static inline const uint8_t *plain_outer_source6(const uint8_t *frame)
{
	return frame + PLAIN_OUTER_IP + 8;
}

/* In network order; of IPv6, which has this hash, its name, 0: it has none. */
static inline uint32_t plain_outer_source(const uint8_t *frame, int outer,
					  const struct vtep_names *names, uint32_t hash)
{
	uint32_t address;

	if (outer == 6)
		return vtep_name_at(names, hash, plain_outer_source6(frame));
	memcpy(&address, frame + PLAIN_OUTER_IP + 12, 4);
	return address;
}

static inline uint8_t plain_ecn(const uint8_t *frame, int outer)
{
	return (outer == 4 ? frame[PLAIN_OUTER_IP + 1] : frame[PLAIN_OUTER_IP + 1] >> 4) & 3;
}

static inline uint32_t plain_source4(const uint8_t *ip)
{
	uint32_t address;

	memcpy(&address, ip + 12, 4);
	return address;
}

/* Of the inner packet of this family. */
static inline uint16_t plain_length(const uint8_t *ip, int family)
{
	return family == 4 ? plain_load16(ip + 2) : (uint16_t)(plain_load16(ip + 4) + 40);
}

/* First octets of IPv4 addresses at which classify.c looks more closely (frame_is_martian): 1 of a
 * destination, 2 of a source. */
static const uint8_t plain_doubt[256] = {[0] = 1, [127] = 1 | 2, [169] = 1, [224 ... 255] = 1 | 2};

/* All of the first 64 octets that is the same in each, but for MAC and inner type. */
static inline bool plain_headers(const struct plain_uplink *uplink, const uint8_t *frame)
{
	__m128i difference = _mm_setzero_si128();

	for (unsigned i = 0; i < 64; i += 16) {
		const __m128i octets = _mm_loadu_si128((const __m128i *)(frame + i));
		const __m128i wanted = _mm_load_si128((const __m128i *)(uplink->line + i));
		const __m128i mask = _mm_load_si128((const __m128i *)(uplink->mask + i));

		difference =
		    _mm_or_si128(difference, _mm_and_si128(_mm_xor_si128(octets, wanted), mask));
	}
	return _mm_testz_si128(difference, difference);
}

/* What the octets at `ip`, behind the inner Ethernet header, are: 4 or 6, or 0: not plain. `room`: how
 * many of them belong to the packet. */
static inline int plain_family(const uint8_t *ip, int room)
{
	int length, least;

	if (likely(plain_load16(ip - 2) == 0x0800)) {
		length = plain_load16(ip + 2);
		least = (room - length) | (length - 20);
		return likely(least >= 0 && ip[0] == 0x45 && frame_sum20_right(ip) &&
			      !((plain_doubt[ip[16]] & 1) | (plain_doubt[ip[12]] & 2)))
			   ? 4
			   : 0;
	}
	if (plain_load16(ip - 2) != 0x86dd || room < 40)
		return 0;
	length = plain_load16(ip + 4) + 40; /* over 65535 is too long for the room */
	/* of what may be neighbour discovery classify.c knows more */
	return ip[0] >> 4 == 6 && length <= room && (ip[6] != 58 || ip[7] != 255) &&
		       !frame_is_martian(ip, 6)
		   ? 6
		   : 0;
}

/* 4 or 6: what is inside; 0: not plain. `checked`: the device found the outer checksum right. */
static inline int plain_is(const struct plain_uplink *uplink, const uint8_t *frame, size_t length,
			   bool any_mac, bool checked, int outer)
{
	const uint8_t *ip = frame + PLAIN_OUTER_IP;
	uint64_t to;
	int total, udp;

	if (unlikely(length < plain_ip(outer) + 20 || !plain_headers(uplink, frame)))
		return 0;
	memcpy(&to, frame, 8);
	to &= 0xffffffffffff;
	if (unlikely(!any_mac && ((to != uplink->mac[0] && to != uplink->mac[1]) ||
				  (frame[plain_inner(outer)] & 1))))
		return 0;
	total = outer == 4 ? plain_load16(ip + 2) : plain_load16(ip + 4) + 40;
	udp = plain_load16(frame + plain_vxlan(outer) + 4);
	/* each inside the one before: no difference is negative */
	if (unlikely((((int)length - PLAIN_OUTER_IP - total) |
		      (total - (outer == 4 ? 20 : 40) - udp) | (udp - 30)) < 0) ||
	    (outer == 4 && !checked && !frame_sum20_right(ip)))
		return 0;
	return plain_family(frame + plain_ip(outer), udp - 30);
}

#endif
