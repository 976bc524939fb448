/* SPDX-License-Identifier: Apache-2.0
 * For tests of what frames are: VXLAN from 192.0.2.101 to 192.0.2.11 on VNI 10100, to
 * 02:00:00:00:00:01 (p0's in check_ports.h), all of it right.
 */
#ifndef CCN_CHECK_FRAMES_H
#define CCN_CHECK_FRAMES_H

#include <string.h>

#include "frame.h"
#include "plain.h"

#define CHECK_VNI 10100U

static inline void check_put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Makes the checksum of an IPv4 header without options right. */
static inline void check_sum_up(uint8_t *ip)
{
	uint16_t sum;

	memset(ip + 10, 0, 2);
	sum = frame_checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
}

/* With so many octets behind the inner IP header (4 or 6); the length of the frame. */
static inline size_t check_frame(uint8_t *frame, int family, unsigned payload)
{
	static const uint8_t head[] = {2,   0,	  0, 0,	  0,   1, 2, 0,	   0,	 0,  0,	   7,	8,
				       0,   0x45, 0, 0,	  0,   0, 0, 0x40, 0,	 64, 17,   0,	0,
				       192, 0,	  2, 101, 192, 0, 2, 11,   0xc0, 1,  0x12, 0xb5};
	const unsigned header = family == 4 ? 20 : 40, inner = header + payload;
	uint8_t *ip = frame + PLAIN_IP;

	memset(frame, 0, PLAIN_IP + inner);
	memcpy(frame, head, sizeof(head));
	check_put16(frame + 16, 50 + inner);
	check_put16(frame + 38, 30 + inner);
	frame[42] = VXLAN_FLAG_VNI;
	check_put16(frame + 47, CHECK_VNI);
	frame[50] = frame[56] = 2;
	check_put16(frame + 62, family == 4 ? 0x0800 : 0x86dd);
	check_sum_up(frame + 14);
	if (family == 4) {
		memcpy(ip, (uint8_t[20]){0x45, [8] = 64, 17, [12] = 10, 1, 0, 1, 10, 2, 0, 1}, 20);
		check_put16(ip + 2, inner);
		check_sum_up(ip);
	} else {
		ip[0] = 0x60;
		check_put16(ip + 4, payload);
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, (uint8_t[32]){0xfd, [15] = 1, 0xfd, [31] = 2}, 32);
	}
	return PLAIN_IP + inner;
}

#endif
