/* SPDX-License-Identifier: Apache-2.0
 *
 * ARP over Ethernet for IPv4 (RFC 826): the packet, whether it is one, and writing one. Pure.
 */
#ifndef CCN_ARP_H
#define CCN_ARP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ETHER_ARP 0x0806
#define ETHER_IPV4 0x0800
#define ETHER_IPV6 0x86dd

struct arp {
	uint8_t hardware[2], protocol[2], hardware_size, protocol_size;
	uint8_t operation[2];
	uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

static inline bool arp_is_sane(const struct arp *arp)
{
	static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4};

	return !memcmp(arp, kind, sizeof(kind)) && !(arp->sender_mac[0] & 1);
}

static inline bool arp_is_request(const struct arp *arp)
{
	return arp->operation[0] == 0 && arp->operation[1] == 1;
}

static inline void arp_write(struct arp *arp, uint8_t operation, const uint8_t *sender_mac,
			     const uint8_t *sender_ip, const uint8_t *target_mac,
			     const uint8_t *target_ip)
{
	*arp = (struct arp){.hardware = {0, 1},
			    .protocol = {8, 0},
			    .hardware_size = 6,
			    .protocol_size = 4,
			    .operation = {0, operation}};
	memcpy(arp->sender_mac, sender_mac, 6);
	memcpy(arp->sender_ip, sender_ip, 4);
	memcpy(arp->target_mac, target_mac, 6);
	memcpy(arp->target_ip, target_ip, 4);
}

#endif
