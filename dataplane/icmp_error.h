/* SPDX-License-Identifier: Apache-2.0
 *
 * ICMP errors about packets that a router does not forward (RFC 792, RFC 1812 section 4.3.2, RFC
 * 4443 section 2.4). In: the packet at fault as it came. Out: whether anybody may be told, and what
 * to send. Pure functions on IP packets.
 */
#ifndef CCN_ICMP_ERROR_H
#define CCN_ICMP_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP_ERROR_SIZE 1280 /* at most, octets of the whole packet */

enum icmp_error {
	ICMP_TIME_EXCEEDED,
	ICMP_NO_ROUTE,
	ICMP_NO_HOST,
	ICMP_NO_PORT,
	ICMP_PROHIBITED,
	ICMP_TOO_BIG, /* fragmentation needed, or packet too big */
};

/* Not about ICMP errors, fragments beyond the first, or what goes to or comes from more or less
 * than one host. */
bool icmp_error_is_owed(const uint8_t *ip, int family, size_t length);

/* Writes the error about the packet `ip` of `length` octets to its source, from `our_ip`; returns
 * its length, at most ICMP_ERROR_SIZE. `mtu` is of ICMP_TOO_BIG alone. */
size_t icmp_error_write(uint8_t *out, enum icmp_error error, uint16_t mtu, const uint8_t *our_ip,
			const uint8_t *ip, int family, size_t length);

#endif
