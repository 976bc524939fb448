/* SPDX-License-Identifier: Apache-2.0
 *
 * Stage: what the access list of its CCSI says of each packet. A CCSI without one costs a look at
 * its pointer.
 */
#include "acl.h"
#include "fwd.h"
#include "trace.h"

unsigned apply_acls(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	struct ccsi_acl *acls[BURST];
	const struct packet *packets[BURST];
	struct acl_verdict verdicts[BURST];
	uint8_t of[BURST];
	unsigned n = 0, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		acls[n] = __atomic_load_n(&fib->acl[jobs[i].packet.ccsi], __ATOMIC_ACQUIRE);
		packets[n] = &jobs[i].packet;
		of[n] = (uint8_t)i;
		n += acls[n] != NULL;
	}
	if (n == 0)
		return count;
	acl_judge(acls, packets, n, w->index, verdicts);
	if (unlikely(w->tracer != NULL))
		trace_acl(w->tracer, acls[0], &verdicts[0]);
	for (unsigned i = 0; i < n; i++) {
		if (!verdicts[i].deny)
			continue;
		refuse(w, &jobs[of[i]], DROP_ACL, 0);
		jobs[of[i]].m = NULL;
	}
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].m && kept++ != i)
			jobs[kept - 1] = jobs[i];
	return kept;
}
