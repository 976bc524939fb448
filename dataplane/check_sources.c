/* SPDX-License-Identifier: Apache-2.0
 *
 * Second stage: a packet whose inner source cannot be where the packet came from is dropped. What the
 * first stage knew the origin of has been judged before; of the rest it is told what to remember.
 */
#include <string.h>

#include "fwd.h"
#include "source.h"

static void remember(struct worker *w, const struct packet *packet)
{
	const struct origins *o = &w->origins[packet->family == 6];
	struct origin_key key;
	uint32_t from = 0;

	if (packet->family == 4)
		memcpy(&from, packet->ip + 12, 4);
	key = origin_key(o->epoch, packet->vni, packet->vtep, from);
	if (packet->family == 4)
		origin_remember4(origin_set4(o, &key), &key, packet->ccsi);
	else
		origin_remember6(origin_set6(o, &key, packet->ip + 8), &key, packet->ip + 8,
				 packet->ccsi);
}

unsigned check_sources(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	const struct packet *packets[BURST] = {NULL};
	enum drop_reason verdicts[BURST];
	uint8_t of[BURST];
	uint64_t lasting;
	unsigned n = 0, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		packets[n] = &jobs[i].packet;
		of[n] = (uint8_t)i;
		n += !jobs[i].packet.vouched;
	}
	if (n == 0)
		return count;
	lasting = source_judge(fib, packets, n, verdicts);
	for (unsigned i = 0; i < n; i++) {
		if (lasting >> i & 1)
			remember(w, packets[i]);
		if (verdicts[i] == DROP_REASON_COUNT)
			continue;
		drop_packet(w, &jobs[of[i]], verdicts[i]);
		jobs[of[i]].m = NULL;
	}
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].m && kept++ != i)
			jobs[kept - 1] = jobs[i];
	return kept;
}
