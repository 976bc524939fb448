/* SPDX-License-Identifier: Apache-2.0
 * For tests of what frames are: VXLAN from 192.0.2.101 to 192.0.2.11 (of an IPv6 underlay from
 * 2001:db8::65 to 2001:db8::b) on VNI 10100, to 02:00:00:00:00:01 (p0's in check_ports.h), all of it
 * right.
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

/* With an outer IP header of one family and an inner one of the same or the other, and so many octets
 * behind that; the length of the frame. */
static inline size_t check_frame(uint8_t *frame, int outer, int family, unsigned payload)
{
	static const uint8_t macs[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7};
	static const uint8_t head4[20] = {0x45, [6] = 0x40, [8] = 64, 17, [12] = 192, 0,
					  2,	101,	    192,      0,  2,	      11};
	static const uint8_t head6[40] = {
	    0x60, [6] = 17, 64, 0x20, 1, 0xd, 0xb8, [23] = 101, 0x20, 1, 0xd, 0xb8, [39] = 11};
	const unsigned inner = (family == 4 ? 20 : 40) + payload, vxlan = plain_vxlan(outer);
	uint8_t *ip = frame + plain_ip(outer), *udp = frame + vxlan;

	memset(frame, 0, plain_ip(outer) + inner);
	memcpy(frame, macs, sizeof(macs));
	check_put16(frame + 12, outer == 4 ? 0x0800 : 0x86dd);
	memcpy(frame + 14, outer == 4 ? head4 : head6, vxlan - 14);
	if (outer == 4) {
		check_put16(frame + 16, 50 + inner);
		check_sum_up(frame + 14);
	} else {
		check_put16(frame + 18, 30 + inner);
	}
	memcpy(udp, "\xc0\x01\x12\xb5", 4);
	check_put16(udp + 4, 30 + inner);
	udp[8] = VXLAN_FLAG_VNI;
	check_put16(udp + 13, CHECK_VNI);
	frame[plain_inner(outer)] = frame[plain_inner(outer) + 6] = 2;
	check_put16(ip - 2, family == 4 ? 0x0800 : 0x86dd);
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
	return plain_ip(outer) + inner;
}

#endif
