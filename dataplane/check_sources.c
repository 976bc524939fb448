/* SPDX-License-Identifier: Apache-2.0
 *
 * Second stage: a packet whose inner source cannot be where the packet came from is dropped.
 */
#include "fwd.h"
#include "source.h"

unsigned check_sources(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	const struct packet *packets[BURST] = {NULL};
	enum drop_reason verdicts[BURST];
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		packets[i] = &jobs[i].packet;
	source_judge(fib, packets, count, verdicts);
	for (unsigned i = 0; i < count; i++) {
		if (verdicts[i] != DROP_REASON_COUNT)
			drop_packet(w, &jobs[i], verdicts[i]);
		else if (kept++ != i)
			jobs[kept - 1] = jobs[i];
	}
	return kept;
}
