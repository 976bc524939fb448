/* SPDX-License-Identifier: Apache-2.0
 * The packet path, top to bottom; see fwd.h.
 */
#include "fwd.h"

#include "lap.h"

void forward(struct worker *w, const struct fib *fib, unsigned port, struct rte_mbuf **packets,
	     unsigned count)
{
	struct job jobs[BURST];
	unsigned n = sort_out(w, fib, port, packets, count, jobs);

	lap(w, STAGE_SORT_OUT, 0);
	if (n == 0)
		return;
	if (__atomic_load_n(&fib->acls, __ATOMIC_RELAXED) > 0) {
		n = apply_acls(w, fib, jobs, n);
		lap(w, STAGE_ACL, 0);
	}
	match_routes(fib, jobs, n);
	lap(w, STAGE_MATCH, 0);
	n = find_next_hops(w, fib, jobs, n);
	lap(w, STAGE_NEXT_HOP, 0);
	rewrite(w, fib, jobs, n);
	lap(w, STAGE_REWRITE, 0);
}
