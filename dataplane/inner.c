/* SPDX-License-Identifier: Apache-2.0
 * What the workers punt of a CCSI; see inner.h. Answers to ARP and neighbour discovery go back into
 * the tunnel that the question came by, all else is routed like any packet.
 */
#include "inner.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_mbuf.h>

#include "arp.h"
#include "classify.h"
#include "fragment.h"
#include "frame.h"
#include "icmp4.h"
#include "icmp6.h"
#include "icmp_error.h"
#include "inner_address.h"
#include "offence.h"
#include "punt.h"

#define L2 14
#define ARP_SIZE 28

static struct rte_mempool *buffers;
static struct offences offences;

void inner_init(struct rte_mempool *pool)
{
	buffers = pool;
	offences_watch(&offences);
}

static void discard(const struct punt_note *note, struct rte_mbuf *m, enum drop_reason reason)
{
	const struct packet packet = {
	    .ip = note->what == PUNT_VM_NEIGHBOR ? NULL : rte_pktmbuf_mtod_offset(m, uint8_t *, L2),
	    .ccsi = note->ccsi,
	    .family = note->family,
	    .vni = note->vni,
	    .vtep = note->vtep,
	    .interface = note->interface,
	    .port = note->port,
	};

	if (!note->own)
		offence_note(&offences, reason, &packet);
	slow_stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

/* --- into the tunnel --- */

/* Room for an Ethernet frame of this length to the VTEP that `note` came from, behind the outer
 * headers; NULL: there is no way, or no buffer. */
static uint8_t *tunnel_begin(const struct fib *fib, const struct punt_note *note, uint16_t length,
			     const struct adjacency **to, struct rte_mbuf **m)
{
	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	const struct keymap *map = __atomic_load_n(&fib->adjacency_of, __ATOMIC_ACQUIRE);
	uint64_t at;

	if (!keymap_get(map, 1ULL << 32 | note->vtep, &at) ||
	    at >= __atomic_load_n(&table->count, __ATOMIC_ACQUIRE))
		return NULL;
	*to = adjacency_way(&table->at[at], note->vtep); /* a host's answers are one flow */
	if (!adjacency_neigh(*to) || !neigh_mac(adjacency_neigh(*to)) ||
	    !(*m = rte_pktmbuf_alloc(buffers)))
		return NULL;
	return (uint8_t *)rte_pktmbuf_append(*m, length);
}

/* The frame has its inner Ethernet header. */
static void tunnel_send(const struct adjacency *to, uint32_t vni, struct rte_mbuf *m)
{
	const uint8_t *inner = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint64_t mac = neigh_mac(adjacency_neigh(to));
	uint8_t ethernet[L2];

	memcpy(ethernet, inner, L2);

	struct encapsulation what = {
	    .outer_dst = (const uint8_t *)&mac,
	    .outer_src = to->out.mac,
	    .inner_dst = ethernet,
	    .inner_src = ethernet + 6,
	    .vni = vni,
	    .ip_length = (uint16_t)(m->data_len - L2),
	    .ether_type = (uint16_t)(ethernet[12] << 8 | ethernet[13]),
	};

	adjacency_address(to, &what);
	frame_vxlan((uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)(frame_vxlan_size(&what) - L2)),
		    &what);
	slow_stats.neighbor_replies_sent++;
	punt_inject(m, to->out.port, to->out.vlan);
}

/* --- ARP and neighbour discovery --- */

static bool is_gateway(const struct fib *fib, uint32_t vni, int family, const uint8_t *ip)
{
	return address_set_has(__atomic_load_n(&fib->gateway_addresses, __ATOMIC_ACQUIRE), vni,
			       family, ip);
}

/* Who says that he is a VM of another host is not answered. */
static bool is_elsewhere(const struct fib *fib, const struct punt_note *note, const uint8_t *ip)
{
	struct vm_value vm;
	uint64_t key;
	uint32_t address;

	if (note->family != 4)
		return vm_lookup_burst6(&fib->vms, &note->vni, (const uint8_t(*)[16])ip, &vm, 1) &&
		       !fib_vm_is_at(fib, vm.adjacency, note->vtep);
	memcpy(&address, ip, 4);
	key = vm_key4(note->vni, address);
	return vm_lookup_burst4(&fib->vms, &key, &vm, 1) &&
	       !fib_vm_is_at(fib, vm.adjacency, note->vtep);
}

static bool answer_arp(const struct fib *fib, const struct punt_note *note, const uint8_t *frame,
		       size_t length)
{
	const struct arp *arp = (const void *)(frame + L2);
	const struct adjacency *to;
	struct rte_mbuf *m;
	uint8_t *reply;

	if (length < L2 + ARP_SIZE || !arp_is_sane(arp) || !arp_is_request(arp) ||
	    !is_gateway(fib, note->vni, 4, arp->target_ip) ||
	    !memcmp(arp->sender_ip, arp->target_ip, 4) || is_elsewhere(fib, note, arp->sender_ip))
		return false;
	reply = tunnel_begin(fib, note, L2 + ARP_SIZE, &to, &m);
	if (!reply)
		return false;
	frame_ethernet(reply, arp->sender_mac, to->out.router_mac, 0, ETHER_ARP);
	arp_write((void *)(reply + L2), 2, to->out.router_mac, arp->target_ip, arp->sender_mac,
		  arp->sender_ip);
	tunnel_send(to, note->vni, m);
	return true;
}

static bool answer_solicitation(const struct fib *fib, const struct punt_note *note,
				const uint8_t *frame, size_t length)
{
	const struct icmp6_seen seen = icmp6_read(frame, length);
	const struct adjacency *to;
	struct rte_mbuf *m;
	uint8_t *reply;

	if (seen.kind != ICMP6_SOLICITATION || (frame[6] & 1) ||
	    !is_gateway(fib, note->vni, 6, seen.target) || is_elsewhere(fib, note, frame + L2 + 8))
		return false;
	reply = tunnel_begin(fib, note, ICMP6_ND_SIZE, &to, &m);
	if (!reply)
		return false;
	icmp6_advertise(reply, to->out.router_mac, seen.target, frame);
	tunnel_send(to, note->vni, m);
	return true;
}

/* --- to our addresses --- */

static void route(struct rte_mbuf *m, const struct punt_note *note)
{
	rte_pktmbuf_adj(m, L2);
	punt_route(m, note->ccsi, note->family, 0);
}

static void send_error(const struct fib *fib, const struct punt_note *note, enum icmp_error error,
		       struct rte_mbuf *about, const uint8_t *our_ip)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(about, const uint8_t *, L2);
	const size_t length = about->data_len - L2;
	uint8_t address[16];
	struct rte_mbuf *m;

	if (!icmp_error_is_owed(ip, note->family, length) || note->own)
		return;
	if (!our_ip) {
		if (!inner_address(fib, note, address))
			return;
		our_ip = address;
	}
	m = rte_pktmbuf_alloc(buffers);
	if (!m || rte_pktmbuf_tailroom(m) < ICMP_ERROR_SIZE) {
		rte_pktmbuf_free(m);
		return;
	}
	rte_pktmbuf_append(m,
			   (uint16_t)icmp_error_write(rte_pktmbuf_mtod(m, uint8_t *), error,
						      note->mtu, our_ip, ip, note->family, length));
	slow_stats.errors_sent++;
	punt_route(m, note->ccsi, note->family, 0);
}

/* Echo is answered; of the rest nothing is for a router that has no other service there. */
static void answer(const struct fib *fib, const struct punt_note *note, struct rte_mbuf *m)
{
	static const uint8_t nobody[6];
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + L2;
	const uint8_t *us = ip + (note->family == 4 ? 16 : 24);
	const uint8_t protocol = note->family == 4 ? ip[9] : ip[6];
	uint8_t our_ip[16];

	memcpy(our_ip, us, note->family == 4 ? 4 : 16);
	frame_ethernet(frame, nobody, nobody, 0, note->family == 4 ? ETHER_IPV4 : ETHER_IPV6);
	if (note->family == 4 && icmp4_echo_reply(frame, m->data_len, nobody, our_ip)) {
		slow_stats.echo_replies_sent++;
		route(m, note);
	} else if (note->family == 6 && icmp6_read(frame, m->data_len).kind == ICMP6_ECHO_REQUEST) {
		slow_stats.echo_replies_sent++;
		icmp6_echo_reply(frame, nobody);
		route(m, note);
	} else {
		if (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP)
			send_error(fib, note, ICMP_NO_PORT, m, our_ip);
		discard(note, m, DROP_GATEWAY_ADDRESS);
	}
}

/* --- what is too big --- */

static void cut(const struct punt_note *note, struct rte_mbuf *whole)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(whole, const uint8_t *, L2);
	struct fragmenter f;
	size_t length;

	if (!fragment_begin(&f, ip, whole->data_len - L2, note->mtu)) {
		discard(note, whole, DROP_MTU);
		return;
	}
	do {
		struct rte_mbuf *m = rte_pktmbuf_alloc(buffers);

		if (!m) {
			discard(note, whole, DROP_MTU);
			return;
		}
		length = fragment_next(&f, rte_pktmbuf_mtod(m, uint8_t *));
		if (length == 0) {
			rte_pktmbuf_free(m);
			break;
		}
		rte_pktmbuf_append(m, (uint16_t)length);
		slow_stats.fragments_sent++;
		punt_route(m, note->ccsi, 4, note->ecn);
	} while (length);
	rte_pktmbuf_free(whole);
}

void inner_take(const struct fib *fib, struct rte_mbuf *m)
{
	static const enum icmp_error errors[PUNT_WHATS] = {
	    [PUNT_TIME_EXCEEDED] = ICMP_TIME_EXCEEDED,
	    [PUNT_NO_ROUTE] = ICMP_NO_ROUTE,
	    [PUNT_NO_HOST] = ICMP_NO_HOST,
	    [PUNT_PROHIBITED] = ICMP_PROHIBITED,
	    [PUNT_TOO_BIG] = ICMP_TOO_BIG,
	};
	struct punt_note note;
	const uint8_t *frame;

	memcpy(&note, rte_pktmbuf_mtod(m, void *), sizeof(note));
	frame = (const uint8_t *)rte_pktmbuf_adj(m, sizeof(note));
	switch ((enum punt_what)note.what) {
	case PUNT_VM_NEIGHBOR:
		if (note.family == 4 ? answer_arp(fib, &note, frame, m->data_len)
				     : answer_solicitation(fib, &note, frame, m->data_len))
			rte_pktmbuf_free(m);
		else
			discard(&note, m, DROP_VM_NEIGHBOR);
		break;
	case PUNT_TO_GATEWAY:
		answer(fib, &note, m);
		break;
	case PUNT_CUT:
		cut(&note, m);
		break;
	default:
		send_error(fib, &note, errors[note.what], m, NULL);
		rte_pktmbuf_free(m);
	}
}
