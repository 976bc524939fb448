/* SPDX-License-Identifier: Apache-2.0
 * See own.h.
 */
#include "own.h"

#include <string.h>
#include <time.h>

#include <rte_mbuf.h>

#include "arp.h"
#include "frame.h"
#include "icmp4.h"
#include "icmp6.h"
#include "punt.h"
#include "tap.h"

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static struct rte_mempool *buffers;

void own_init(struct rte_mempool *pool)
{
	buffers = pool;
}

static void discard(struct rte_mbuf *m, enum drop_reason reason)
{
	slow_stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

/* --- ARP (RFC 826) --- */

static void send_arp(const struct interface *from, uint8_t operation, const uint8_t *ip,
		     const uint8_t *to_mac, const uint8_t *target_mac, const uint8_t *target_ip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(buffers);
	uint8_t *frame = m ? (uint8_t *)rte_pktmbuf_append(m, 60) : NULL;

	if (!frame)
		return; /* it is asked again */
	memset(frame, 0, 60);
	struct arp *arp = (void *)(frame + frame_ethernet(frame, to_mac, from->mac, 0, ETHER_ARP));

	arp_write(arp, operation, from->mac, ip, target_mac, target_ip);
	punt_inject(m, from->port, from->record.vlan);
}

/* Of the MAC (RFC 4291 appendix A), as the kernel's tap has it. */
static void link_local_of(const uint8_t mac[6], uint8_t ip[16])
{
	const uint8_t made[16] = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2],
				  0xff, 0xfe, mac[3],		mac[4], mac[5]};

	memcpy(ip, made, sizeof(made));
}

/* A neighbour on the link alone is asked from there: it may have no other address, nor a way back to
 * ours. */
static void send_solicitation(const struct interface *from, const uint8_t *target,
			      const uint8_t *mac)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(buffers);
	uint8_t *frame = m ? (uint8_t *)rte_pktmbuf_append(m, ICMP6_ND_SIZE) : NULL;
	uint8_t source[16];

	if (!frame)
		return; /* it is asked again */
	memcpy(source, from->record.address6, sizeof(source));
	if (target[0] == 0xfe && (target[1] & 0xc0) == 0x80)
		link_local_of(from->mac, source);
	icmp6_solicit(frame, from->mac, source, target, mac);
	punt_inject(m, from->port, from->record.vlan);
}

void own_ask(const struct interface_table *interfaces, const struct neigh_key *key,
	     const uint8_t *mac)
{
	static const uint8_t unknown[6];
	uint16_t slot = interfaces->by_vlan[key->role][key->port][key->vlan];

	if (slot == NO_INTERFACE)
		return;
	slow_stats.neighbor_requests_sent++;
	if (key->family == 4)
		send_arp(&interfaces->at[slot], 1, interfaces->at[slot].record.address,
			 mac ? mac : broadcast, unknown, key->ip);
	else
		send_solicitation(&interfaces->at[slot], key->ip, mac);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}

/* The address of the interface, or the tunnel address, which every uplink stands for. */
static bool is_ours(const struct interface *n, const uint8_t *ip)
{
	uint32_t address;

	memcpy(&address, ip, 4);
	return address != 0 && (address == n->address || address == n->tunnel);
}

static void take_arp(const struct interface_table *interfaces, struct rte_mbuf *m)
{
	const struct arp *arp = rte_pktmbuf_mtod_offset(m, const struct arp *, 14);
	bool request, for_us = false;
	unsigned kernel_role = m->hash.usr;

	if (m->data_len < 14 + sizeof(*arp) || !arp_is_sane(arp)) {
		discard(m, DROP_RUNT);
		return;
	}
	request = arp_is_request(arp);
	/* an uplink and an untagged hand-off may share the port: each learns, the target answers */
	for (unsigned role = CCN_UPLINK; role <= CCN_HAND_OFF; role++) {
		uint16_t at = interfaces->by_vlan[role][m->port][m->vlan_tci];
		struct neigh_key key = {
		    .port = m->port, .vlan = m->vlan_tci, .role = (uint8_t)role, .family = 4};
		const struct interface *n;

		if (at == NO_INTERFACE)
			continue;
		n = &interfaces->at[at];
		memcpy(key.ip, arp->sender_ip, 4);
		neigh_learn(&key, arp->sender_mac, now_ms());
		if (!is_ours(n, arp->target_ip))
			continue;
		kernel_role = role;
		for_us = true;
		if (request) {
			slow_stats.neighbor_replies_sent++;
			send_arp(n, 2, arp->target_ip, arp->sender_mac, arp->sender_mac,
				 arp->sender_ip);
		}
	}
	/* The kernel learns from replies and from announcements (RFC 5227), but answers nothing. */
	if ((request && for_us) || (!for_us && memcmp(arp->sender_ip, arp->target_ip, 4) != 0))
		rte_pktmbuf_free(m);
	else
		tap_write(m, kernel_role);
}

/* --- packets to our own addresses --- */

/* Learns from and answers ICMPv6 as the interface; true: the frame is done with. */
static bool take_icmp6_as(struct rte_mbuf *m, const struct icmp6_seen *seen,
			  const struct interface *n)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct neigh_key key = {
	    .port = n->port, .vlan = n->record.vlan, .role = n->record.role, .family = 6};

	if (seen->neighbor) {
		memcpy(key.ip, seen->neighbor, 16);
		if (seen->kind == ICMP6_SOLICITATION || seen->override)
			neigh_learn(&key, seen->mac, now_ms());
		else
			neigh_hint(&key, seen->mac, now_ms());
	}
	if (seen->kind == ICMP6_OTHER || !interface_has6(n, seen->target))
		return false;
	if (seen->kind == ICMP6_ECHO_REQUEST) {
		slow_stats.echo_replies_sent++;
		icmp6_echo_reply(frame, n->mac);
		punt_inject(m, n->port, n->record.vlan);
		return true;
	}
	if (seen->kind == ICMP6_SOLICITATION) {
		struct rte_mbuf *answer = rte_pktmbuf_alloc(buffers);

		if (answer) {
			slow_stats.neighbor_replies_sent++;
			icmp6_advertise((uint8_t *)rte_pktmbuf_append(answer, ICMP6_ND_SIZE),
					n->mac, seen->target, frame);
			punt_inject(answer, n->port, n->record.vlan);
		}
		rte_pktmbuf_free(m);
		return true;
	}
	return false;
}

/* An uplink and an untagged hand-off may share the port: each learns, the target answers. */
static bool take_icmp6(const struct interface_table *interfaces, struct rte_mbuf *m)
{
	const struct icmp6_seen seen =
	    icmp6_read(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);

	for (unsigned role = CCN_UPLINK; role <= CCN_HAND_OFF; role++) {
		const uint16_t at = interfaces->by_vlan[role][m->port][m->vlan_tci];

		if (at != NO_INTERFACE && take_icmp6_as(m, &seen, &interfaces->at[at]))
			return true;
	}
	return false;
}

static bool same_subnet(const uint8_t *a, const uint8_t *b, unsigned length)
{
	unsigned whole = length / 8, bits = length % 8;

	return !memcmp(a, b, whole) && (bits == 0 || ((a[whole] ^ b[whole]) >> (8 - bits)) == 0);
}

/* An IDC speaks to our kernel from its own subnet only: the kernel knows one table, and what it
 * answered to another address would leave by another CCN's hand-off or by an uplink. */
static bool is_off_link(const uint8_t *frame, size_t length, const struct interface *n)
{
	const uint8_t *ip = frame + 14;

	if (n->record.role != CCN_HAND_OFF)
		return false;
	if (frame[12] == 0x08 && frame[13] == 0x00)
		return length < 14 + 20 ||
		       !same_subnet(ip + 12, n->record.address, n->record.length);
	if (length >= 14 + 40 && ip[8] == 0xfe && (ip[9] & 0xc0) == 0x80)
		return false;
	return length < 14 + 40 || n->record.length6 == 0 ||
	       !same_subnet(ip + 8, n->record.address6, n->record.length6);
}

void own_take(const struct interface_table *interfaces, struct rte_mbuf *m)
{
	unsigned role = m->hash.usr;
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t slot = interfaces ? interfaces->by_vlan[role][m->port][m->vlan_tci] : NO_INTERFACE;
	const struct interface *n;

	if (slot == NO_INTERFACE) {
		discard(m, DROP_NO_INTERFACE); /* it went while the packet waited */
		return;
	}
	n = &interfaces->at[slot];
	if (frame[12] == 8 && frame[13] == 6) {
		take_arp(interfaces, m);
	} else if (icmp4_echo_reply(frame, m->data_len, n->mac, n->record.address) ||
		   (n->tunnel &&
		    icmp4_echo_reply(frame, m->data_len, n->mac, (const uint8_t *)&n->tunnel))) {
		slow_stats.echo_replies_sent++;
		punt_inject(m, n->port, n->record.vlan);
	} else if (!take_icmp6(interfaces, m)) {
		if (is_off_link(frame, m->data_len, n))
			discard(m, DROP_OFF_LINK);
		else
			tap_write(m, role);
	}
}
