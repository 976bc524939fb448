/* SPDX-License-Identifier: Apache-2.0
 *
 * The packet path. In: a burst of received frames and the tables; out: the frames that leave, in
 * the worker's TX queues, and counters. forward() is the list of stages; each goes over the whole
 * burst, so that its cache misses overlap, and has a file of its own.
 */
#ifndef CCN_FWD_H
#define CCN_FWD_H

#include "classify.h"
#include "fib.h"
#include "punt.h"
#include "worker.h"

#include <rte_prefetch.h>

/* A packet on its way, filled stage by stage. */
struct job {
	struct rte_mbuf *m;
	struct packet packet; /* sort_out: the IP packet to forward, and its CCSI */
	uint32_t slot;	      /* match_routes: of the next hop, or LPM_NONE */
	/* find_next_hops */
	uint8_t leads; /* enum leads: where, of a group that the member does */
	bool on_link;  /* to a VM, by the packet's destination */
	const struct next_hop
	    *hop;	    /* LEADS_ELSEWHERE: which; else of a group the member, or NULL */
	struct vm_value to; /* encapsulation: VNI, inner MAC, adjacency */
};

/* Packets of the slow path, see punt_route: into the same stages behind the first. */
void forward_own(struct worker *w, const struct fib *fib, struct rte_mbuf **packets,
		 unsigned count);

/* A packet that goes no further is dropped for a reason, and its sender told if he may be; `mtu` is
 * of DROP_MTU. refuse.c */
void refuse(struct worker *w, struct job *job, enum drop_reason reason, uint16_t mtu);
/* To the slow path, counted as punted. */
void hand_up(struct worker *w, struct job *job, enum punt_what what, uint16_t mtu);

/* Asks for what forward() looks at first. */
static inline void fetch_headers(const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	rte_prefetch0(frame);
	rte_prefetch0(frame + 64);
}

/* All of them, in their order; fetch_headers of each has been called. */
void forward(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
	     unsigned count);

/* With a note of whom it hit. */
static inline void drop_packet(struct worker *w, const struct job *job, enum drop_reason reason)
{
	offence_note(&w->offences, reason, &job->packet);
	drop(w, job->m, reason);
}

/* --- the stages: what is dropped or punted is gone when they return --- */

/* Makes jobs of the frames that are to be forwarded, and returns how many. `*vouched`: the sources of
 * all of them have been judged before. */
unsigned sort_out(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
		  unsigned count, struct job *jobs, bool *vouched);
/* Drops what does not come from where its source is. Keeps the rest, and returns how many. */
unsigned check_sources(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count);
/* Drops what the access list of its CCSI denies. Keeps what survives, and returns how many. Called
 * only where some CCSI has one. */
unsigned apply_acls(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count);
/* The longest match in its CCSI for each. */
void match_routes(const struct worker *w, const struct fib *fib, struct job *jobs, unsigned count);
/* Follows next hops, to a VM where they lead to one. Keeps what survives, and returns how many. */
unsigned find_next_hops(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count);
/* New headers, and off to the TX queues. */
void rewrite(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count);

#endif
