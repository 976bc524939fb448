/* SPDX-License-Identifier: Apache-2.0
 *
 * ICMPv6 of our own addresses: neighbour discovery (RFC 4861) and echo (RFC 4443). Pure functions
 * on untagged Ethernet frames.
 */
#ifndef CCN_ICMP6_H
#define CCN_ICMP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP6_ND_SIZE (14 + 40 + 32) /* of a solicitation or advertisement as written here */

enum icmp6_kind { ICMP6_OTHER, ICMP6_SOLICITATION, ICMP6_ADVERTISEMENT, ICMP6_ECHO_REQUEST };

struct icmp6_seen {
	enum icmp6_kind kind;
	const uint8_t *target;	 /* of a solicitation or advertisement; else the destination */
	const uint8_t *neighbor; /* whose MAC the message tells, or NULL */
	const uint8_t *mac;
	bool
	    override; /* the advertisement moves a neighbour that is known (RFC 4861 section 4.4) */
};

/* Reads a frame; ICMP6_OTHER unless it is whole, its checksum right, its sender one whom an answer
 * would reach, and (ND) all of RFC 4861 sections 7.1.1 and 7.1.2 true of it. */
struct icmp6_seen icmp6_read(const uint8_t *frame, size_t length);

/* Who has `target`? To `mac`, or (NULL) to its solicited-node group. ICMP6_ND_SIZE octets. */
void icmp6_solicit(uint8_t *frame, const uint8_t *our_mac, const uint8_t *our_ip,
		   const uint8_t *target, const uint8_t *mac);
/* Our answer to the solicitation in `asked`. ICMP6_ND_SIZE octets. */
void icmp6_advertise(uint8_t *frame, const uint8_t *our_mac, const uint8_t *our_ip,
		     const uint8_t *asked);
/* Writes the checksum of an ICMPv6 message of `payload` octets behind a bare IPv6 header. */
void icmp6_seal(uint8_t *ip, size_t payload);
/* Turns an echo request that icmp6_read has accepted around in place. */
void icmp6_echo_reply(uint8_t *frame, const uint8_t *our_mac);

#endif
