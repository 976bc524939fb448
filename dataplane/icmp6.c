/* SPDX-License-Identifier: Apache-2.0
 * Reads and writes the few ICMPv6 messages of a router's own address.
 */
#include "icmp6.h"

#include <string.h>

#include <netinet/in.h>

#include "arp.h"
#include "frame.h"

#define SOLICITATION 135
#define ADVERTISEMENT 136
#define ECHO_REQUEST 128
#define ECHO_REPLY 129
#define SOURCE_MAC 1 /* option types */
#define TARGET_MAC 2
#define SOLICITED 0x40 /* flags of an advertisement */
#define OVERRIDE 0x20

/* RFC 8200 section 8.1: the pseudo-header, then the message. Zero if the message's is right. */
static uint16_t checksum(const uint8_t *ip, size_t payload)
{
	uint8_t pseudo[40] = {0};
	uint32_t sum;

	memcpy(pseudo, ip + 8, 32);
	pseudo[34] = (uint8_t)(payload >> 8);
	pseudo[35] = (uint8_t)payload;
	pseudo[39] = IPPROTO_ICMPV6;
	sum = (uint16_t)~frame_checksum(pseudo, sizeof(pseudo));
	sum += (uint16_t)~frame_checksum(ip + 40, payload);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void icmp6_seal(uint8_t *ip, size_t payload)
{
	uint16_t sum;

	memset(ip + 42, 0, 2);
	sum = checksum(ip, payload);
	memcpy(ip + 42, &sum, 2);
}

/* The link-layer address option of this type among the options, or NULL. False: they are malformed. */
static bool option(const uint8_t *at, size_t length, uint8_t type, const uint8_t **found)
{
	*found = NULL;
	for (; length > 0; length -= at[1] * 8U, at += at[1] * 8U) {
		if (length < 8 || at[1] == 0 || at[1] * 8U > length)
			return false;
		if (at[0] == type && !*found)
			*found = at + 2;
	}
	return true;
}

static bool is_unspecified(const uint8_t *ip)
{
	static const uint8_t unspecified[16];

	return !memcmp(ip, unspecified, 16);
}

static bool is_multicast(const uint8_t *ip)
{
	return ip[0] == 0xff;
}

/* ff02::1:ff and the last three octets of the address. */
static void solicited_node(const uint8_t *target, uint8_t group[16])
{
	const uint8_t made[16] = {0xff,	      0x02,	  [11] = 0x01, [12] = 0xff,
				  target[13], target[14], target[15]};

	memcpy(group, made, sizeof(made));
}

/* RFC 4861 section 7.1.1. */
static void read_solicitation(struct icmp6_seen *seen, const uint8_t *ip, size_t payload)
{
	const bool anonymous = is_unspecified(ip + 8);
	uint8_t group[16];

	solicited_node(ip + 48, group);
	if (!option(ip + 64, payload - 24, SOURCE_MAC, &seen->mac) ||
	    (anonymous && (seen->mac || memcmp(ip + 24, group, 16) != 0)))
		return;
	seen->kind = ICMP6_SOLICITATION;
	if (seen->mac && !(seen->mac[0] & 1))
		seen->neighbor = ip + 8;
}

/* Section 7.1.2. */
static void read_advertisement(struct icmp6_seen *seen, const uint8_t *frame, size_t payload)
{
	const uint8_t *ip = frame + 14, flags = ip[44];

	if (!option(ip + 64, payload - 24, TARGET_MAC, &seen->mac) ||
	    (is_multicast(ip + 24) && (flags & SOLICITED)))
		return;
	seen->kind = ICMP6_ADVERTISEMENT;
	seen->override = flags & OVERRIDE;
	if (!seen->mac)
		seen->mac = frame + 6; /* answers to unicast may leave it out */
	if (!(seen->mac[0] & 1))
		seen->neighbor = seen->target;
}

struct icmp6_seen icmp6_read(const uint8_t *frame, size_t length)
{
	struct icmp6_seen seen = {.kind = ICMP6_OTHER};
	const uint8_t *ip = frame + 14, *icmp = ip + 40;
	size_t payload;

	if (length < 14 + 40 + 8 || frame[12] != 0x86 || frame[13] != 0xdd ||
	    ip[6] != IPPROTO_ICMPV6)
		return seen;
	payload = (size_t)(ip[4] << 8 | ip[5]);
	if (payload < 8 || payload > length - 54 || checksum(ip, payload) != 0)
		return seen;
	seen.target = ip + 24;
	if ((frame[6] & 1) || is_multicast(ip + 8) || icmp[1] != 0)
		return seen; /* an answer would go to many */
	if (icmp[0] == ECHO_REQUEST && !is_unspecified(ip + 8)) {
		seen.kind = ICMP6_ECHO_REQUEST;
		return seen;
	}
	if ((icmp[0] != SOLICITATION && icmp[0] != ADVERTISEMENT) || ip[7] != 255 || payload < 24 ||
	    is_multicast(icmp + 8))
		return seen;
	seen.target = icmp + 8;
	if (icmp[0] == SOLICITATION)
		read_solicitation(&seen, ip, payload);
	else
		read_advertisement(&seen, frame, payload);
	return seen;
}

static void write_nd(uint8_t *frame, uint8_t type, uint8_t flags, const uint8_t *target,
		     const uint8_t *our_mac)
{
	uint8_t *ip = frame + 14, *icmp = ip + 40;

	ip[0] = 0x60;
	memset(ip + 1, 0, 3);
	ip[4] = 0;
	ip[5] = 32;
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 255;
	icmp[0] = type;
	icmp[1] = 0;
	memset(icmp + 4, 0, 4);
	icmp[4] = flags;
	memcpy(icmp + 8, target, 16);
	icmp[24] = type == SOLICITATION ? SOURCE_MAC : TARGET_MAC;
	icmp[25] = 1;
	memcpy(icmp + 26, our_mac, 6);
	icmp6_seal(ip, 32);
}

void icmp6_solicit(uint8_t *frame, const uint8_t *our_mac, const uint8_t *our_ip,
		   const uint8_t *target, const uint8_t *mac)
{
	uint8_t group_mac[6] = {0x33, 0x33, 0xff};
	uint8_t group[16];

	memcpy(group_mac + 3, target + 13, 3);
	solicited_node(target, group);
	frame_ethernet(frame, mac ? mac : group_mac, our_mac, 0, ETHER_IPV6);
	memcpy(frame + 14 + 8, our_ip, 16);
	memcpy(frame + 14 + 24, mac ? target : group, 16);
	write_nd(frame, SOLICITATION, 0, target, our_mac);
}

void icmp6_advertise(uint8_t *frame, const uint8_t *our_mac, const uint8_t *our_ip,
		     const uint8_t *asked)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	/* a node that checks its address for duplicates has none to answer to (7.2.4) */
	const bool anonymous = is_unspecified(asked + 14 + 8);

	frame_ethernet(frame, anonymous ? all_nodes_mac : asked + 6, our_mac, 0, ETHER_IPV6);
	memcpy(frame + 14 + 8, our_ip, 16);
	memcpy(frame + 14 + 24, anonymous ? all_nodes : asked + 14 + 8, 16);
	/* router, solicited, override */
	write_nd(frame, ADVERTISEMENT, anonymous ? 0xa0 : 0xe0, our_ip, our_mac);
}

void icmp6_echo_reply(uint8_t *frame, const uint8_t *our_mac)
{
	uint8_t *ip = frame + 14, us[16];

	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, our_mac, 6);
	memcpy(us, ip + 24, 16);
	memcpy(ip + 24, ip + 8, 16);
	memcpy(ip + 8, us, 16);
	ip[7] = 64;
	ip[40] = ECHO_REPLY;
	icmp6_seal(ip, (size_t)(ip[4] << 8 | ip[5]));
}
