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
#include "plain.h"
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
	job->slot = LPM_NONE;
	job->leads = LEADS_ELSEWHERE;
	job->hop = NULL;
	if (verdict == VERDICT_DROP)
		drop_packet(w, job, in.reason);
	else if (verdict == VERDICT_PUNT)
		send_up(w, fib, interfaces, m, &in);
	else if (verdict == VERDICT_NEIGHBOR)
		hand_up(w, job, PUNT_VM_NEIGHBOR, 0);
	return verdict == VERDICT_FORWARD;
}

/* --- plain frames: plain.h --- */

/* Of a burst, by their place in it. */
struct plain_frames {
	uint64_t plain, ipv6; /* a bit for each */
	struct origin_key key[BURST];
	union origin_set *set[BURST];
};

static inline void make_job(struct job *job, struct rte_mbuf *m, uint8_t *frame, int family,
			    uint32_t vtep, unsigned port, int outer)
{
	uint8_t *ip = frame + plain_ip(outer);

	job->m = m;
	job->slot = LPM_NONE;
	job->leads = LEADS_ELSEWHERE;
	job->hop = NULL;
	job->packet = (struct packet){
	    .ip = ip,
	    .length = plain_length(ip, family),
	    .family = (uint8_t)family,
	    .ecn = plain_ecn(frame, outer),
	    .sender = SENDER_HOST,
	    .vni = plain_vni(frame, outer),
	    .vtep = vtep,
	    .port = (uint8_t)port,
	};
}

#define MANY_NAMES 512U /* slots of their table: with more it is not always near */

/* Hashes what would be the outer source of each, and asks for its name. It is within the buffer,
 * whatever the frame is. */
static inline void fetch_names(const struct vtep_names *names, struct rte_mbuf *const *packets,
			       unsigned count, uint32_t *hash)
{
	for (unsigned i = 0; i < count; i++) {
		hash[i] = vtep_names_hash(
		    plain_outer_source6(rte_pktmbuf_mtod(packets[i], const uint8_t *)));
		rte_prefetch0(vtep_names_place(names, hash[i]));
	}
}

/* Makes jobs of those that are plain, and asks for the origin of each. `outer`, the family of the
 * underlay, is known where this is put in. */
static inline __attribute__((always_inline)) void
find_plain(struct worker *w, const struct fib *fib, const struct plain_uplink *uplink,
	   unsigned port, struct rte_mbuf *const *packets, unsigned count, struct job *jobs,
	   struct plain_frames *f, const int outer)
{
	const bool any_mac = w->options->any_mac;
	const uint64_t epoch = __atomic_load_n(&fib->epoch, __ATOMIC_ACQUIRE);
	const struct vtep_names *names =
	    outer == 6 ? __atomic_load_n(&fib->vtep_names, __ATOMIC_ACQUIRE) : NULL;
	uint64_t odd = 0, ipv6 = 0;
	const bool many = outer == 6 && names->mask >= MANY_NAMES;
	uint32_t hash[BURST];

	for (unsigned i = 0; i < 2; i++)
		origins_begin(&w->origins[i], epoch);
	if (many)
		fetch_names(names, packets, count, hash);
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		struct packet *packet = &jobs[i].packet;
		uint32_t vtep;
		int family;

		if (outer == 6 && !many)
			hash[i] = vtep_names_hash(plain_outer_source6(frame));
		if (unlikely(m->nb_segs != 1 || (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) ||
		    unlikely((family = plain_is(uplink, frame, m->data_len, any_mac,
						outer == 4 && is_checked(m), outer)) == 0) ||
		    /* whom nobody has named classify.c takes note of */
		    (unlikely((vtep = plain_outer_source(frame, outer, names,
							 outer == 6 ? hash[i] : 0)) == 0) &&
		     outer == 6)) {
			odd |= 1ULL << i;
			continue;
		}
		make_job(&jobs[i], m, frame, family, vtep, port, outer);
		if (likely(family == 4)) {
			f->key[i] = origin_key(epoch, packet->vni, vtep, plain_source4(packet->ip));
			f->set[i] = origin_set4(&w->origins[0], &f->key[i]);
		} else {
			ipv6 |= 1ULL << i;
			f->key[i] = origin_key(epoch, packet->vni, vtep, 0);
			f->set[i] = origin_set6(&w->origins[1], &f->key[i], packet->ip + 8);
		}
		rte_prefetch0(f->set[i]);
	}
	f->plain = ~odd & UINT64_MAX >> (64 - count);
	f->ipv6 = ipv6;
}

static inline bool is_known(const struct plain_frames *f, unsigned i, struct packet *packet)
{
	return packet->family == 4
		   ? origin_find4(f->set[i], &f->key[i], &packet->ccsi)
		   : origin_find6(f->set[i], &f->key[i], packet->ip + 8, &packet->ccsi);
}

/* Asks for the rows of VNI and VTEP. */
static void fetch(const struct fib *fib, const struct packet *packet)
{
	const struct keymap *vteps = __atomic_load_n(&fib->vteps, __ATOMIC_ACQUIRE);

	rte_prefetch0(fib_vni_place(fib, packet->vni));
	rte_prefetch0(keymap_place(vteps, vtep_key(packet->vni, packet->vtep)));
}

/* Where a plain packet came from, by the tables. False: it is to be dropped. */
static bool place(const struct fib *fib, struct packet *packet, int outer)
{
	const uint32_t entry = fib_vni(fib, packet->vni);
	uint64_t vtep;

	if (entry == 0 || vtep_is_name(packet->vtep) != (outer == 6) ||
	    !keymap_get(__atomic_load_n(&fib->vteps, __ATOMIC_ACQUIRE),
			vtep_key(packet->vni, packet->vtep), &vtep))
		return false;
	packet->ccsi = (uint16_t)entry;
	packet->sender = entry >> 16 == CCN_VNI_L3 ? SENDER_GATEWAY : SENDER_HOST;
	packet->vtep_flags = (uint8_t)vtep;
	return true;
}

/* How many could not be placed, whose job has no packet any more. */
static unsigned place_strangers(struct worker *w, const struct fib *fib, unsigned port,
				struct job *jobs, uint64_t strange)
{
	const struct interface_table *interfaces =
	    __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE);
	const int outer = interfaces->plain[port].outer;
	unsigned gone = 0;

	for (; strange; strange &= strange - 1) {
		struct job *job = &jobs[__builtin_ctzll(strange)];

		if (likely(place(fib, &job->packet, outer)) ||
		    sort_one(w, fib, interfaces, job->m, port, job))
			continue;
		job->m = NULL;
		gone++;
	}
	return gone;
}

/* How much it helps to know origins, of either family. */
static void remember_use(struct worker *w, uint64_t plain, uint64_t ipv6, uint64_t strange)
{
	const uint64_t known = plain & ~strange, ipv4 = plain & ~ipv6;

	origins_end(&w->origins[0], (unsigned)__builtin_popcountll(ipv4),
		    (unsigned)__builtin_popcountll(ipv4 & known));
	origins_end(&w->origins[1], (unsigned)__builtin_popcountll(ipv6),
		    (unsigned)__builtin_popcountll(ipv6 & known));
}

unsigned sort_out(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
		  unsigned count, struct job *jobs, bool *vouched)
{
	const struct interface_table *interfaces =
	    fib ? __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE) : NULL;
	struct plain_frames f;
	uint64_t strange = 0; /* jobs whose origin nobody remembers */
	unsigned gone = 0, kept = 0;

	f.plain = f.ipv6 = 0;
	if (interfaces && interfaces->plain[port].outer == 4)
		find_plain(w, fib, &interfaces->plain[port], port, packets, count, jobs, &f, 4);
	else if (interfaces && interfaces->plain[port].outer == 6)
		find_plain(w, fib, &interfaces->plain[port], port, packets, count, jobs, &f, 6);
	for (unsigned i = 0; i < count; i++) {
		struct packet *packet = &jobs[i].packet;

		if (unlikely(!(f.plain >> i & 1))) {
			if (sort_one(w, fib, interfaces, packets[i], port, &jobs[i]))
				continue;
			jobs[i].m = NULL;
			gone++;
			continue;
		}
		packet->vouched = is_known(&f, i, packet);
		if (!packet->vouched) {
			fetch(fib, packet);
			strange |= 1ULL << i;
		}
	}
	remember_use(w, f.plain, f.ipv6, strange);
	*vouched = strange == 0 && (unsigned)__builtin_popcountll(f.plain) == count;
	if (strange)
		gone += place_strangers(w, fib, port, jobs, strange);
	if (gone == 0)
		return count;
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].m && kept++ != i)
			jobs[kept - 1] = jobs[i];
	return kept;
}
