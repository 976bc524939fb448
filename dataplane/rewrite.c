/* SPDX-License-Identifier: Apache-2.0
 *
 * Last stage: takes the old headers off, counts the hop, writes the new headers (VXLAN to a VTEP,
 * Ethernet to a neighbour of a hand-off), and sends.
 */
#include <string.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "frame.h"
#include "fwd.h"
#include "tx.h"

/* Leaves the mbuf with room for `size` octets of headers and the IP packet; NULL: no room. */
static uint8_t *reshape(struct job *job, size_t size)
{
	struct rte_mbuf *m = job->m;
	const size_t at = (size_t)(job->packet.ip - (uint8_t *)m->buf_addr);

	if (at < size)
		return NULL;
	m->data_off = (uint16_t)(at - size);
	m->data_len = (uint16_t)(size + job->packet.length);
	m->pkt_len = m->data_len;
	return job->packet.ip - size;
}

/* Of the next tunnel: with what the one before has said of congestion. */
static uint8_t tos_of(const struct job *job)
{
	return frame_marked(frame_tos(job->packet.ip, job->packet.family), job->packet.ecn);
}

static void tagged(uint8_t *frame, const struct job *job, const struct adjacency *to, uint64_t mac,
		   uint32_t entropy)
{
	struct encapsulation what = {
	    .outer_dst = (const uint8_t *)&mac,
	    .outer_src = to->out.mac,
	    .inner_dst = job->to.mac,
	    .inner_src = to->out.router_mac,
	    .vlan = to->out.vlan,
	    .vni = job->to.vni,
	    .tos = tos_of(job),
	    .entropy = entropy,
	    .ip_length = job->packet.length,
	    .ether_type = job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6,
	};

	adjacency_address(to, &what);
	frame_vxlan(frame, &what);
}

static enum drop_reason encapsulate(const struct fib *fib, struct job *job, unsigned *port,
				    uint16_t *mtu)
{
	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	const uint32_t count = __atomic_load_n(&table->count, __ATOMIC_ACQUIRE);
	const uint32_t entropy =
	    frame_flow_hash(job->packet.ip, job->packet.family, job->packet.length);
	const struct adjacency *to;
	const struct neigh *neigh;
	const struct adjacency6 *six;
	uint64_t mac, inner;
	uint8_t *frame;

	if (unlikely(job->to.adjacency >= count)) { /* no VTEP: the VM is behind several */
		job->to.adjacency = vtep_set_member(&fib->vtep_sets, job->to.adjacency, entropy);
		if (job->to.adjacency >= count)
			return DROP_NO_NEIGHBOR;
	}
	to = adjacency_way(&table->at[job->to.adjacency], entropy);
	six = to->six;
	neigh = adjacency_neigh(to);
	if (!neigh)
		return DROP_NO_UPLINK;
	*mtu = (uint16_t)(to->out.mtu - (six ? OUTER_L3_6 : OUTER_L3));
	if (job->packet.length > *mtu)
		return DROP_MTU;
	mac = neigh_mac(neigh);
	if (!mac)
		return DROP_NO_NEIGHBOR;
	frame = reshape(job, (six ? ENCAP6_SIZE : ENCAP_SIZE) + (to->out.vlan ? 4 : 0));
	if (!frame)
		return DROP_OVERSIZE;
	*port = to->out.port;
	if (unlikely(to->out.vlan)) {
		tagged(frame, job, to, mac, entropy);
		return DROP_REASON_COUNT;
	}
	memcpy(&inner, job->to.mac, 8); /* and the padding behind it */
	if (six) {
		encap6_write(frame, &six->outer, mac, inner, job->to.vni, tos_of(job),
			     job->packet.length, entropy,
			     job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
		return DROP_REASON_COUNT;
	}
	encap_write(frame, &to->outer, mac, inner, job->to.vni, tos_of(job), job->packet.length,
		    entropy, job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	return DROP_REASON_COUNT;
}

static enum drop_reason hand_off(struct job *job, unsigned *port, uint16_t *mtu)
{
	const struct egress *out = &job->hop->out;
	uint64_t mac;
	uint8_t *frame;

	*mtu = out->mtu;
	if (job->packet.length > out->mtu)
		return DROP_MTU;
	mac = neigh_mac(job->hop->neigh);
	if (!mac)
		return DROP_NO_NEIGHBOR;
	frame = reshape(job, out->vlan ? 18 : 14);
	if (!frame)
		return DROP_OVERSIZE;
	frame_ethernet(frame, (const uint8_t *)&mac, out->mac, out->vlan,
		       job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	*port = out->port;
	return DROP_REASON_COUNT;
}

static inline void forwarded(struct worker *w, const struct job *job, unsigned port)
{
	struct ccsi_stats *stats = &w->stats.ccsi[job->packet.ccsi];

	stats->packets++;
	stats->bytes += job->packet.length;
	transmit(w, port, job->m, job->packet.ccsi);
}

static void rewrite_one(struct worker *w, const struct fib *fib, struct job *job)
{
	enum drop_reason reason;
	unsigned port = 0;
	uint16_t mtu = 0; /* of the way out */

	if (!frame_forwardable(job->packet.ip, job->packet.family)) {
		refuse(w, job, DROP_TTL, 0);
		return;
	}
	if (job->packet.ecn == 3 && (frame_tos(job->packet.ip, job->packet.family) & 3) == 0) {
		drop_packet(w, job, DROP_ECN);
		return;
	}
	if (job->leads == LEADS_ELSEWHERE)
		reason = hand_off(job, &port, &mtu);
	else
		reason = encapsulate(fib, job, &port, &mtu);
	if (reason != DROP_REASON_COUNT) {
		refuse(w, job, reason, mtu);
		return;
	}
	frame_hop(job->packet.ip, job->packet.family, job->packet.ecn);
	forwarded(w, job, port);
}

/* The same for what nearly every packet is: into a tunnel, by one uplink without a VLAN, and nothing
 * against it. False: nothing has been done. The families of the packet and of the tunnel are known
 * where this is put in. */
static inline __attribute__((always_inline)) bool
rewrite_plainly(struct worker *w, const struct adjacency_table *table, uint32_t count,
		struct job *job, const int family, const int outer)
{
	const uint16_t type = family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
	const uint32_t size = outer == 4 ? ENCAP_SIZE : ENCAP6_SIZE, length = job->packet.length;
	struct rte_mbuf *m = job->m;
	const uint8_t ecn = job->packet.ecn;
	uint8_t *ip = job->packet.ip, *frame = ip - size;
	uint8_t tos = frame_tos(ip, family);
	const struct adjacency *to;
	const struct adjacency6 *six;
	uint64_t mac, inner;

	/* each a branch of its own: all are foretold, and cost less than what they decide together */
	if (unlikely(job->leads == LEADS_ELSEWHERE) || unlikely(job->to.adjacency >= count))
		return false;
	to = &table->at[job->to.adjacency];
	six = outer == 4 ? NULL : to->six;
	if (outer == 6 && !six)
		return false;
	if (unlikely(length > (outer == 4 ? to->plain_most : six->plain_most)) ||
	    unlikely((mac = neigh_mac(outer == 4 ? to->neigh : six->neigh)) == 0) ||
	    unlikely(frame < (uint8_t *)m->buf_addr) || unlikely(!frame_forwardable(ip, family)) ||
	    unlikely(ecn == 3 && (tos & 3) == 0))
		return false;
	if (unlikely(ecn & 1))
		tos = frame_marked(tos, ecn);
	m->data_off = (uint16_t)(frame - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(size + length);
	m->pkt_len = size + length;
	memcpy(&inner, job->to.mac, 8); /* and the padding behind it */
	if (outer == 4)
		encap_write(frame, &to->outer, mac, inner, job->to.vni, tos, (uint16_t)length,
			    frame_flow_hash(ip, family, length), type);
	else
		encap6_write(frame, &six->outer, mac, inner, job->to.vni, tos, (uint16_t)length,
			     frame_flow_hash(ip, family, length), type);
	frame_hop(ip, family, ecn);
	forwarded(w, job, to->out.port);
	return true;
}

void rewrite(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	const uint32_t adjacencies = __atomic_load_n(&table->count, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < count; i++) {
		struct job *job = &jobs[i];

		if (likely(job->packet.family == 4
			       ? rewrite_plainly(w, table, adjacencies, job, 4, 4)
			       : rewrite_plainly(w, table, adjacencies, job, 6, 4)))
			continue;
		if (job->packet.family == 4 ? rewrite_plainly(w, table, adjacencies, job, 4, 6)
					    : rewrite_plainly(w, table, adjacencies, job, 6, 6))
			continue;
		rewrite_one(w, fib, job);
	}
}
