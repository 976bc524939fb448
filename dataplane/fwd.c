/* SPDX-License-Identifier: Apache-2.0
 * The packet path, top to bottom; see fwd.h.
 */
#include "fwd.h"

#include "lap.h"
#include "trace.h"

void forward(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
	     unsigned count)
{
	struct job jobs[BURST];
	bool vouched;
	unsigned n = sort_out(w, fib, port, packets, count, jobs, &vouched);

	lap(w, STAGE_SORT_OUT, 0);
	traced(w, fib, STAGE_SORT_OUT, jobs, n);
	if (n == 0)
		return;
	if (!vouched)
		n = check_sources(w, fib, jobs, n);
	lap(w, STAGE_SOURCES, 0);
	traced(w, fib, STAGE_SOURCES, jobs, n);
	if (__atomic_load_n(&fib->acls, __ATOMIC_RELAXED) > 0) {
		n = apply_acls(w, fib, jobs, n);
		lap(w, STAGE_ACL, 0);
	}
	match_routes(w, fib, jobs, n);
	lap(w, STAGE_MATCH, 0);
	traced(w, fib, STAGE_MATCH, jobs, n);
	n = find_next_hops(w, fib, jobs, n);
	lap(w, STAGE_NEXT_HOP, 0);
	traced(w, fib, STAGE_NEXT_HOP, jobs, n);
	rewrite(w, fib, jobs, n);
	lap(w, STAGE_REWRITE, 0);
}

void forward_own(struct worker *w, const struct fib *fib, struct rte_mbuf **packets, unsigned count)
{
	struct job jobs[BURST];
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];

		if (!fib) {
			drop(w, m, DROP_NO_ROUTE);
			continue;
		}
		jobs[n++] = (struct job){.m = m,
					 .packet = {.ip = rte_pktmbuf_mtod(m, uint8_t *),
						    .length = m->data_len,
						    .ccsi = m->vlan_tci,
						    .family = (uint8_t)m->hash.usr,
						    .ecn = (uint8_t)(m->hash.usr >> 8),
						    .own = true}};
	}
	if (n == 0)
		return;
	match_routes(w, fib, jobs, n);
	n = find_next_hops(w, fib, jobs, n);
	rewrite(w, fib, jobs, n);
}
