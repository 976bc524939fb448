/* SPDX-License-Identifier: Apache-2.0
 * Types and codes, and how much of the packet at fault is told.
 */
#include "icmp_error.h"

#include <string.h>

#include <netinet/in.h>

#include "frame.h"
#include "icmp6.h"

#define SIZE4 576	      /* RFC 1812 section 4.3.2.3 */
#define CONTROL (6 << 5)      /* precedence internetwork control, section 4.3.2.5 */
#define LONGEST_CHAIN 8	      /* of extension headers that are followed */
#define FIRST_INFORMATION 128 /* ICMPv6 types below are errors */
#define REDIRECT6 137

static bool is_one_host4(const uint8_t *ip)
{
	return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool is_one_host6(const uint8_t *ip)
{
	static const uint8_t zero[15];

	return ip[0] != 0xff && (memcmp(ip, zero, 15) != 0 || ip[15] > 1);
}

static bool is_owed4(const uint8_t *ip, size_t length)
{
	static const uint8_t questions[] = {0, 8, 13, 14, 15, 16, 17, 18};
	const size_t header = (ip[0] & 15) * 4U;

	if ((ip[6] & 0x1f) || ip[7] || !is_one_host4(ip + 12) || ip[16] >= 224)
		return false;
	if (ip[9] != IPPROTO_ICMP)
		return true;
	return length > header && memchr(questions, ip[header], sizeof(questions));
}

/* Follows extension headers to what they carry (RFC 8200 section 4). */
static bool is_owed6(const uint8_t *ip, size_t length)
{
	uint8_t next = ip[6];
	size_t at = 40;

	if (!is_one_host6(ip + 8) || ip[24] == 0xff)
		return false;
	for (unsigned i = 0; i < LONGEST_CHAIN && at + 8 <= length; i++) {
		if (next == IPPROTO_ICMPV6)
			return ip[at] >= FIRST_INFORMATION && ip[at] != REDIRECT6;
		if (next == IPPROTO_FRAGMENT) {
			if (ip[at + 2] || (ip[at + 3] & 0xf8))
				return false;
			next = ip[at];
			at += 8;
		} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
			   next == IPPROTO_DSTOPTS) {
			next = ip[at];
			at += (ip[at + 1] + 1U) * 8;
		} else if (next == IPPROTO_AH) { /* RFC 4302 section 2.2 */
			next = ip[at];
			at += (ip[at + 1] + 2U) * 4;
		} else {
			return true;
		}
	}
	return next != IPPROTO_ICMPV6 && at <= length;
}

bool icmp_error_is_owed(const uint8_t *ip, int family, size_t length)
{
	return family == 4 ? is_owed4(ip, length) : is_owed6(ip, length);
}

static size_t write4(uint8_t *out, enum icmp_error error, uint16_t mtu, const uint8_t *our_ip,
		     const uint8_t *ip, size_t length)
{
	static const uint8_t type[] = {11, 3, 3, 3, 3, 3}, code[] = {0, 0, 1, 3, 13, 4};
	const size_t told = length < SIZE4 - 28 ? length : SIZE4 - 28, total = 28 + told;
	uint8_t *icmp = out + 20;
	uint16_t sum;

	memset(out, 0, 28);
	out[0] = 0x45;
	out[1] = CONTROL;
	out[2] = (uint8_t)(total >> 8);
	out[3] = (uint8_t)total;
	out[8] = 64;
	out[9] = IPPROTO_ICMP;
	memcpy(out + 12, our_ip, 4);
	memcpy(out + 16, ip + 12, 4);
	sum = frame_checksum(out, 20);
	memcpy(out + 10, &sum, 2);
	icmp[0] = type[error];
	icmp[1] = code[error];
	if (error == ICMP_TOO_BIG) { /* RFC 1191 section 4 */
		icmp[6] = (uint8_t)(mtu >> 8);
		icmp[7] = (uint8_t)mtu;
	}
	memcpy(icmp + 8, ip, told);
	sum = frame_checksum(icmp, 8 + told);
	memcpy(icmp + 2, &sum, 2);
	return total;
}

static size_t write6(uint8_t *out, enum icmp_error error, uint16_t mtu, const uint8_t *our_ip,
		     const uint8_t *ip, size_t length)
{
	static const uint8_t type[] = {3, 1, 1, 1, 1, 2}, code[] = {0, 0, 3, 4, 1, 0};
	const size_t told = length < ICMP_ERROR_SIZE - 48 ? length : ICMP_ERROR_SIZE - 48;
	uint8_t *icmp = out + 40;

	memset(out, 0, 48);
	out[0] = 0x60 | CONTROL >> 4;
	out[4] = (uint8_t)((8 + told) >> 8);
	out[5] = (uint8_t)(8 + told);
	out[6] = IPPROTO_ICMPV6;
	out[7] = 64;
	memcpy(out + 8, our_ip, 16);
	memcpy(out + 24, ip + 8, 16);
	icmp[0] = type[error];
	icmp[1] = code[error];
	if (error == ICMP_TOO_BIG) {
		icmp[6] = (uint8_t)(mtu >> 8);
		icmp[7] = (uint8_t)mtu;
	}
	memcpy(icmp + 8, ip, told);
	icmp6_seal(out, 8 + told);
	return 48 + told;
}

size_t icmp_error_write(uint8_t *out, enum icmp_error error, uint16_t mtu, const uint8_t *our_ip,
			const uint8_t *ip, int family, size_t length)
{
	return family == 4 ? write4(out, error, mtu, our_ip, ip, length)
			   : write6(out, error, mtu, our_ip, ip, length);
}
