/* SPDX-License-Identifier: Apache-2.0
 *
 * First stage: what each frame of a burst is. Forwarded ones become jobs; ARP and what is for
 * ourselves goes to the slow path; the rest is dropped with its reason.
 */
#include <string.h>

#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_mbuf_ptype.h>
#include <rte_prefetch.h>

#include "fwd.h"
#include "punt.h"
#include "trace.h"

/* The class is told by neighbours of the interface, those of uplinks by those of all uplinks. */
static void send_up(struct worker *w, const struct fib *fib,
		    const struct interface_table *interfaces, struct rte_mbuf *m,
		    const struct frame_in *in)
{
	uint16_t slot = interfaces->by_vlan[in->role][in->port][in->vlan];
	uint32_t interface = in->role == CCN_UPLINK ? 0 : interfaces->at[slot].record.id;

	if (unlikely(w->tracer != NULL) && trace_is_dry(w->tracer)) {
		w->stats.punted++;
		rte_pktmbuf_free(m);
		return;
	}
	if (in->tagged) { /* the slow path sees untagged frames */
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		memmove(frame + 4, frame, 12);
		rte_pktmbuf_adj(m, 4);
	}
	m->port = in->port;
	m->vlan_tci = in->vlan;
	m->hash.usr = in->role;
	punt(&w->stats, m,
	     punt_class(__atomic_load_n(&fib->peers, __ATOMIC_ACQUIRE), interface,
			rte_pktmbuf_mtod(m, const uint8_t *), m->data_len),
	     in->role == CCN_UPLINK ? NO_INTERFACE : slot);
	w->punted = true;
}

/* Only a device's "good" is believed, and only where it says that it did not look into a tunnel: then
 * it may mean the inner header. */
static bool is_checked(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	       RTE_ETH_IS_IPV4_HDR(m->packet_type) && !RTE_ETH_IS_TUNNEL_PKT(m->packet_type);
}

/* True: the job is to be forwarded. False: the frame was dropped or went to the slow path. */
static bool sort_one(struct worker *w, const struct fib *fib,
		     const struct interface_table *interfaces, struct rte_mbuf *m, unsigned port,
		     struct job *job)
{
	struct frame_in in = {.data = rte_pktmbuf_mtod(m, uint8_t *),
			      .length = m->data_len,
			      .port = (uint16_t)port,
			      .any_mac = w->options->any_mac,
			      .checked = is_checked(m)};
	enum verdict verdict;

	if (m->nb_segs > 1) {
		drop(w, m, DROP_OVERSIZE);
		return false;
	}
	if (m->ol_flags &
	    RTE_MBUF_F_RX_VLAN_STRIPPED) { /* af_packet gets the tag beside the frame */
		in.vlan = m->vlan_tci & 0xfff;
		m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_VLAN);
	}
	verdict = classify(fib, interfaces, &in, &job->packet);
	job->m = m;
	job->hop = NULL;
	if (verdict == VERDICT_DROP)
		drop_packet(w, job, in.reason);
	else if (verdict == VERDICT_PUNT)
		send_up(w, fib, interfaces, m, &in);
	else if (verdict == VERDICT_NEIGHBOR)
		hand_up(w, job, PUNT_VM_NEIGHBOR, 0);
	return verdict == VERDICT_FORWARD;
}

/* Asks for the rows of the VNI and the VTEP where an untagged VXLAN frame has them; of any other
 * frame this reads nonsense, which does no harm. */
static void fetch(const struct fib *fib, struct rte_mbuf *const *packets, unsigned count)
{
	const struct keymap *vteps = __atomic_load_n(&fib->vteps, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; i < count; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod_offset(packets[i], uint8_t *, 14);
		uint32_t vni, from;

		memcpy(&vni, ip + 32, 4);
		memcpy(&from, ip + 12, 4);
		vni = rte_be_to_cpu_32(vni) >> 8;
		rte_prefetch0(fib_vni_place(fib, vni));
		rte_prefetch0(keymap_place(vteps, vtep_key(vni, from)));
	}
}

unsigned sort_out(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
		  unsigned count, struct job *jobs)
{
	const struct interface_table *interfaces =
	    fib ? __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE) : NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(packets[i], void *));
	if (fib)
		fetch(fib, packets, count);
	for (unsigned i = 0; i < count; i++)
		n += sort_one(w, fib, interfaces, packets[i], port, &jobs[n]);
	return n;
}
