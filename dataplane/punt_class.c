/* SPDX-License-Identifier: Apache-2.0
 * See punt_class.h.
 */
#include "punt_class.h"

#include <netinet/in.h>

#define BGP_PORT 179

static enum punt_class class_of_arp(const struct address_set *peers, uint32_t interface,
				    const uint8_t *frame, size_t length)
{
	return length >= 14 + 28 && address_set_has(peers, interface, 4, frame + 28)
		   ? PUNT_PEER_NEIGHBOR
		   : PUNT_NEIGHBOR;
}

static enum punt_class class_of_tcp(const struct address_set *peers, uint32_t interface, int family,
				    const uint8_t *source, const uint8_t *tcp)
{
	uint16_t from = (uint16_t)(tcp[0] << 8 | tcp[1]), to = (uint16_t)(tcp[2] << 8 | tcp[3]);

	return (from == BGP_PORT || to == BGP_PORT) &&
		       address_set_has(peers, interface, family, source)
		   ? PUNT_BGP
		   : PUNT_OTHER;
}

static enum punt_class class_of_ipv6(const struct address_set *peers, uint32_t interface,
				     const uint8_t *ip, size_t length)
{
	if (length < 40 + 20 && ip[6] != IPPROTO_ICMPV6)
		return PUNT_OTHER;
	if (ip[6] == IPPROTO_TCP)
		return class_of_tcp(peers, interface, 6, ip + 8, ip + 40);
	if (ip[6] != IPPROTO_ICMPV6 || length < 40 + 4)
		return PUNT_OTHER;
	/* ND comes from the link (RFC 4861 section 6.1): nobody beyond a router fills its classes */
	if (ip[40] < 133 || ip[40] > 137 || ip[7] != 255)
		return PUNT_ICMP;
	/* who advertises a neighbour's address may do so from the one that it has on the link */
	return address_set_has(peers, interface, 6, ip + 8) ||
		       (ip[40] == 136 && length >= 40 + 24 &&
			address_set_has(peers, interface, 6, ip + 48))
		   ? PUNT_PEER_NEIGHBOR
		   : PUNT_NEIGHBOR;
}

enum punt_class punt_class(const struct address_set *peers, uint32_t interface,
			   const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + 14;
	size_t header;

	if (length < 14 + 20)
		return PUNT_OTHER;
	if (frame[12] == 0x08 && frame[13] == 0x06)
		return class_of_arp(peers, interface, frame, length);
	if (frame[12] == 0x86 && frame[13] == 0xdd)
		return length < 14 + 40 ? PUNT_OTHER
					: class_of_ipv6(peers, interface, ip, length - 14);
	if (ip[9] == IPPROTO_ICMP)
		return PUNT_ICMP;
	header = (ip[0] & 15) * 4U;
	if (ip[9] != IPPROTO_TCP || (ip[6] & 0x1f) || ip[7] || header < 20 ||
	    14 + header + 20 > length)
		return PUNT_OTHER;
	return class_of_tcp(peers, interface, 4, ip + 12, ip + header);
}
