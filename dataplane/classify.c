/* SPDX-License-Identifier: Apache-2.0
 * Headers from the outside in: Ethernet, VLAN, IP, UDP, VXLAN, inner Ethernet, inner IP.
 */
#include "classify.h"

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "frame.h"

static enum verdict drop(struct frame_in *in, enum drop_reason reason)
{
	in->reason = reason;
	return VERDICT_DROP;
}

static enum verdict send_up(struct frame_in *in, const struct interface *to)
{
	in->role = to->record.role;
	return VERDICT_PUNT;
}

/* Options are forwarded as they are, but for source routes: nobody outside may choose the way of a
 * packet (RFC 7126 sections 4.3 and 4.4). */
static enum drop_reason take_options(const uint8_t *option, const uint8_t *end)
{
	while (option < end && *option != 0) {
		if (*option == 131 || *option == 137)
			return DROP_SOURCE_ROUTE;
		if (*option == 1) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] < 2 || option[1] > end - option)
			return DROP_IP_HEADER;
		option += option[1];
	}
	return DROP_REASON_COUNT;
}

static enum drop_reason take_ip4(struct packet *packet, uint8_t *ip, size_t room)
{
	const struct rte_ipv4_hdr *h = (const void *)ip;
	size_t header;

	if (room < sizeof(*h))
		return DROP_IP_LENGTH;
	if (h->version != 4 || h->ihl < 5)
		return DROP_IP_HEADER;
	header = h->ihl * 4U;
	packet->length = rte_be_to_cpu_16(h->total_length);
	packet->family = 4;
	if (packet->length < header || packet->length > room)
		return DROP_IP_LENGTH;
	packet->ip = ip;
	if (header == sizeof(*h))
		return frame_sum20_right(ip) ? DROP_REASON_COUNT : DROP_IP_CHECKSUM;
	if (frame_checksum(ip, header) != 0)
		return DROP_IP_CHECKSUM;
	return take_options(ip + sizeof(*h), ip + header);
}

static enum drop_reason take_ip6(struct packet *packet, uint8_t *ip, size_t room)
{
	const struct rte_ipv6_hdr *h = (const void *)ip;

	if (room < sizeof(*h))
		return DROP_IP_LENGTH;
	if (ip[0] >> 4 != 6)
		return DROP_IP_HEADER;
	packet->length = (uint16_t)(rte_be_to_cpu_16(h->payload_len) + sizeof(*h));
	packet->family = 6;
	if (packet->length > room || packet->length < sizeof(*h))
		return DROP_IP_LENGTH;
	packet->ip = ip;
	return DROP_REASON_COUNT;
}

/* The inner or plain IP packet at `ip`: fills the job, or says why not (RFC 1812 section 5.2.2). */
static enum drop_reason take_ip(struct packet *packet, uint8_t *ip, size_t room,
				uint16_t ether_type)
{
	if (ether_type == RTE_ETHER_TYPE_IPV4)
		return take_ip4(packet, ip, room);
	if (ether_type == RTE_ETHER_TYPE_IPV6)
		return take_ip6(packet, ip, room);
	return DROP_INNER_TYPE;
}

/* ARP and neighbour discovery, which nobody forwards (RFC 4861 section 6.1): a VM asks its gateway. */
static bool is_neighbor_message(const struct rte_ether_hdr *inner, size_t room)
{
	const uint8_t *ip = (const void *)(inner + 1);

	if (inner->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return room >= 28;
	return inner->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) && room >= 48 && ip[6] == 58 &&
	       ip[7] == 255 && ip[40] >= 133 && ip[40] <= 137;
}

/* VXLAN to our address: RFC 7348 section 5. What the outer IP header says, `vtep` and `ecn`, is in the
 * packet. A UDP checksum is not looked at: it may be (section 5), and what it would protect beside the
 * inner packet is checked against the tables. */
static enum drop_reason take_vxlan(const struct fib *fib, struct packet *packet, int outer,
				   bool any_mac, uint8_t *at, size_t room, bool *neighbor)
{
	const struct vxlan_frame *v = (const void *)at;
	const struct rte_ether_hdr *inner;
	enum drop_reason fault;
	uint64_t vtep;
	uint32_t vni, entry;
	size_t length;

	if (room < sizeof(*v) + sizeof(*inner))
		return DROP_VXLAN_LENGTH;
	length = rte_be_to_cpu_16(v->udp_length);
	if (length > room || length < sizeof(*v) + sizeof(*inner))
		return DROP_VXLAN_LENGTH;
	if (!(v->flags & VXLAN_FLAG_VNI))
		return DROP_VXLAN_FLAGS;
	packet->vni = vni = rte_be_to_cpu_32(v->vni) >> 8;
	entry = fib_vni(fib, vni);
	if (entry == 0)
		return DROP_UNKNOWN_VNI;
	packet->ccsi = (uint16_t)entry;
	/* the name of an IPv6 VTEP is no address of IPv4 */
	if (vtep_is_name(packet->vtep) != (outer == 6) ||
	    !keymap_get(__atomic_load_n(&fib->vteps, __ATOMIC_ACQUIRE), vtep_key(vni, packet->vtep),
			&vtep))
		return DROP_UNKNOWN_VTEP;
	packet->sender = entry >> 16 == CCN_VNI_L3 ? SENDER_GATEWAY : SENDER_HOST;
	packet->vtep_flags = (uint8_t)vtep;
	inner = (const void *)(v + 1);
	room = length - sizeof(*v) - sizeof(*inner);
	if (entry >> 16 == CCN_VNI_VPC && is_neighbor_message(inner, room)) {
		packet->ip = at + sizeof(*v) + sizeof(*inner);
		packet->length = (uint16_t)room;
		packet->family = inner->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP) ? 4 : 6;
		*neighbor = true;
		return DROP_REASON_COUNT;
	}
	if (rte_is_multicast_ether_addr(&inner->dst_addr) && !any_mac)
		return DROP_INNER_MULTICAST;
	fault = take_ip(packet, at + sizeof(*v) + sizeof(*inner), room,
			rte_be_to_cpu_16(inner->ether_type));
	if (fault != DROP_REASON_COUNT)
		return fault;
	return frame_is_martian(packet->ip, packet->family) ? DROP_MARTIAN : DROP_REASON_COUNT;
}

/* IPv4: to ourselves, VXLAN to an uplink, or to be routed for a hand-off. */
static enum verdict take_ipv4(const struct fib *fib, const struct interface_table *interfaces,
			      uint16_t uplink, uint16_t hand_off, uint8_t *ip, size_t room,
			      struct frame_in *in, struct packet *packet)
{
	const struct rte_ipv4_hdr *h = (const void *)ip;
	const struct interface *off = hand_off != NO_INTERFACE ? &interfaces->at[hand_off] : NULL;
	size_t header, total;
	bool whole, neighbor = false;

	if (room < sizeof(*h))
		return drop(in, DROP_RUNT);
	if (off && off->address && h->dst_addr == off->address)
		return send_up(in, off);
	if (uplink == NO_INTERFACE || interfaces->at[uplink].family != 4)
		return VERDICT_FORWARD;
	if (h->dst_addr != interfaces->at[uplink].tunnel)
		return h->dst_addr == interfaces->at[uplink].address
			   ? send_up(in, &interfaces->at[uplink])
			   : VERDICT_FORWARD;
	header = h->ihl * 4U;
	total = rte_be_to_cpu_16(h->total_length);
	whole = (h->fragment_offset & RTE_BE16(0x3fff)) == 0;
	if (h->version != 4 || header < sizeof(*h))
		return drop(in, DROP_OUTER_HEADER);
	if (total < header || total > room)
		return drop(in, DROP_OUTER_LENGTH);
	/* of a fragment beyond the first nobody knows the port; the kernel waits for that in vain */
	if (h->next_proto_id != IPPROTO_UDP || total < header + 8 ||
	    (h->fragment_offset & RTE_BE16(0x1fff)) ||
	    ((const struct vxlan_frame *)(ip + header))->dst_port != RTE_BE16(VXLAN_PORT))
		return send_up(in, &interfaces->at[uplink]);
	if (!whole)
		return drop(in, DROP_OUTER_FRAGMENT);
	if (!in->checked &&
	    (header == sizeof(*h) ? !frame_sum20_right(ip) : frame_checksum(ip, header) != 0))
		return drop(in, DROP_OUTER_CHECKSUM);
	packet->vtep = h->src_addr;
	packet->ecn = h->type_of_service & 3;
	in->reason =
	    take_vxlan(fib, packet, 4, in->any_mac, ip + header, total - header, &neighbor);
	if (in->reason != DROP_REASON_COUNT)
		return VERDICT_DROP;
	return neighbor ? VERDICT_NEIGHBOR : VERDICT_FORWARD;
}

static bool is_link_local(const uint8_t *ip)
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

/* A fragment of UDP: nobody but the tunnel takes that from the underlay. */
static bool is_udp_fragment(const struct rte_ipv6_hdr *h)
{
	return h->proto == IPPROTO_FRAGMENT && rte_be_to_cpu_16(h->payload_len) >= 8 &&
	       ((const uint8_t *)(h + 1))[0] == IPPROTO_UDP;
}

/* To the tunnel address of an uplink: VXLAN, or for the slow path. */
static enum verdict take_tunnel6(const struct fib *fib, const struct interface *uplink, uint8_t *ip,
				 size_t room, struct frame_in *in, struct packet *packet)
{
	const struct rte_ipv6_hdr *h = (const void *)ip;
	const size_t payload = rte_be_to_cpu_16(h->payload_len);
	bool neighbor = false;

	if (ip[0] >> 4 != 6)
		return drop(in, DROP_OUTER_HEADER);
	if (payload > room - sizeof(*h))
		return drop(in, DROP_OUTER_LENGTH);
	/* VXLAN has none; the kernel is not to be asked about what BGP does not have either */
	if (h->proto == IPPROTO_HOPOPTS || h->proto == IPPROTO_ROUTING ||
	    h->proto == IPPROTO_DSTOPTS)
		return drop(in, DROP_OUTER_EXTENSION);
	if (is_udp_fragment(h))
		return drop(in, DROP_OUTER_FRAGMENT);
	if (h->proto != IPPROTO_UDP || payload < 8 ||
	    ((const struct vxlan_frame *)(h + 1))->dst_port != RTE_BE16(VXLAN_PORT))
		return send_up(in, uplink);
	packet->vtep =
	    vtep_name_of(__atomic_load_n(&fib->vtep_names, __ATOMIC_ACQUIRE), h->src_addr);
	packet->ecn = frame_tos(ip, 6) & 3;
	in->reason = take_vxlan(fib, packet, 6, in->any_mac, ip + sizeof(*h), payload, &neighbor);
	if (in->reason == DROP_REASON_COUNT)
		return neighbor ? VERDICT_NEIGHBOR : VERDICT_FORWARD;
	if (packet->vtep == 0 && !packet->ip) {
		packet->ip = ip;
		packet->family = FAMILY_OUTER6;
	}
	return VERDICT_DROP;
}

/* IPv6: to ourselves, or VXLAN to an uplink; FORWARD, and no packet: neither. */
static enum verdict take_ipv6(const struct fib *fib, const struct interface *uplink, bool hand_off,
			      uint8_t *ip, size_t room, struct frame_in *in, struct packet *packet)
{
	const uint8_t *to = ip + 24;

	if (room < sizeof(struct rte_ipv6_hdr))
		return drop(in, DROP_RUNT);
	if (!memcmp(to, uplink->tunnel6, 16))
		return take_tunnel6(fib, uplink, ip, room, in, packet);
	if (interface_has6(uplink, to) || (!hand_off && (is_link_local(to) || to[0] == 0xff)))
		return send_up(in, uplink);
	return VERDICT_FORWARD;
}

static bool is_ours_ipv6(const struct interface *off, const uint8_t *dst)
{
	return interface_has6(off, dst) || dst[0] == 0xff || is_link_local(dst);
}

static bool is_on_link(const struct interface *off, const struct packet *packet)
{
	static const uint8_t none[16];
	const uint8_t *src = packet->ip + (packet->family == 4 ? 12 : 8);
	const unsigned octets = off->record.length6 / 8, bits = off->record.length6 % 8;
	uint32_t address;

	if (packet->family == 4) {
		memcpy(&address, src, 4);
		return off->address != 0 && off->mask != 0 &&
		       (address & off->mask) == (off->address & off->mask) &&
		       address != off->address;
	}
	return off->record.length6 != 0 && !interface_has6(off, src) &&
	       memcmp(off->record.address6, none, 16) != 0 &&
	       !memcmp(src, off->record.address6, octets) &&
	       (bits == 0 || (src[octets] ^ off->record.address6[octets]) >> (8 - bits) == 0);
}

enum verdict classify(const struct fib *fib, const struct interface_table *interfaces,
		      struct frame_in *in, struct packet *packet)
{
	const struct rte_ether_hdr *eth = (const void *)in->data;
	size_t l2 = sizeof(*eth), room;
	uint16_t ether_type, uplink, hand_off, mine;
	enum drop_reason fault;
	enum verdict verdict;
	uint8_t *ip;

	packet->ip = NULL;
	packet->own = packet->vouched = false;
	packet->port = (uint8_t)in->port;
	packet->vni = packet->vtep = packet->interface = 0;
	packet->ccsi = 0;
	if (in->length < sizeof(*eth))
		return drop(in, DROP_RUNT);
	ether_type = rte_be_to_cpu_16(eth->ether_type);
	if (ether_type == RTE_ETHER_TYPE_VLAN && in->vlan == 0) {
		if (in->length < sizeof(*eth) + 4)
			return drop(in, DROP_RUNT);
		in->vlan = (uint16_t)((in->data[14] << 8 | in->data[15]) & 0xfff);
		ether_type = (uint16_t)(in->data[16] << 8 | in->data[17]);
		in->tagged = true;
		l2 += 4;
	}
	if (!interfaces || in->vlan == 4095)
		return drop(in, DROP_NO_INTERFACE);
	uplink = interfaces->by_vlan[CCN_UPLINK][in->port][in->vlan];
	hand_off = interfaces->by_vlan[CCN_HAND_OFF][in->port][in->vlan];
	mine = hand_off != NO_INTERFACE ? hand_off : uplink;
	if (mine == NO_INTERFACE)
		return drop(in, DROP_NO_INTERFACE);
	if (!in->any_mac && !rte_is_multicast_ether_addr(&eth->dst_addr) &&
	    memcmp(&eth->dst_addr, interfaces->port_mac[in->port], 6) != 0 &&
	    memcmp(&eth->dst_addr, interfaces->at[mine].mac, 6) != 0)
		return drop(in, DROP_OTHER_MAC);

	ip = in->data + l2;
	room = in->length - l2;
	if (ether_type == RTE_ETHER_TYPE_ARP)
		return send_up(in, &interfaces->at[mine]);
	if (ether_type == RTE_ETHER_TYPE_IPV4) {
		verdict = take_ipv4(fib, interfaces, uplink, hand_off, ip, room, in, packet);
		if (verdict != VERDICT_FORWARD || packet->ip)
			return verdict;
	} else if (ether_type != RTE_ETHER_TYPE_IPV6) {
		return drop(in, DROP_NOT_VXLAN);
	} else if (uplink != NO_INTERFACE && interfaces->at[uplink].family == 6) {
		verdict = take_ipv6(fib, &interfaces->at[uplink], hand_off != NO_INTERFACE, ip,
				    room, in, packet);
		if (verdict != VERDICT_FORWARD || packet->ip)
			return verdict;
	}
	if (hand_off == NO_INTERFACE)
		return drop(in, DROP_NOT_OURS); /* the underlay's own traffic */
	if (ether_type == RTE_ETHER_TYPE_IPV6) {
		if (room < sizeof(struct rte_ipv6_hdr))
			return drop(in, DROP_RUNT);
		if (is_ours_ipv6(&interfaces->at[hand_off], ip + 24))
			return send_up(in, &interfaces->at[hand_off]);
	}
	if (rte_is_multicast_ether_addr(&eth->dst_addr) && !in->any_mac)
		return drop(in, DROP_NOT_OURS);
	packet->ccsi = (uint16_t)interfaces->at[hand_off].record.ccsi;
	packet->ecn = 0;
	packet->interface = interfaces->at[hand_off].record.id;
	fault = take_ip(packet, ip, room, ether_type);
	if (fault != DROP_REASON_COUNT)
		return drop(in, fault);
	packet->sender =
	    is_on_link(&interfaces->at[hand_off], packet) ? SENDER_ROUTER : SENDER_HAND_OFF;
	packet->site = interfaces->at[hand_off].record.site;
	return frame_is_martian(packet->ip, packet->family) ? drop(in, DROP_MARTIAN)
							    : VERDICT_FORWARD;
}
