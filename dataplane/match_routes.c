/* SPDX-License-Identifier: Apache-2.0
 *
 * Third stage: the longest match of each packet's destination in its CCSI, IPv4 and IPv6 each in
 * one burst.
 */
#include <string.h>

#include <rte_byteorder.h>
#include <rte_prefetch.h>

#include "fwd.h"

/* For the next stage: the way of the next hop, and for the last one the counters. */
static inline void fetch(const struct worker *w, const struct fib *fib, const struct job *job)
{
	if (likely(job->slot != LPM_NONE))
		rte_prefetch0(fib_way_place(fib, job->slot));
	__builtin_prefetch(&w->stats.ccsi[job->packet.ccsi], 1);
}

void match_routes(const struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	lpm_ref table4[BURST], table6[BURST];
	uint32_t address4[BURST], slot4[BURST], slot6[BURST];
	uint8_t address6[BURST][16];
	unsigned n4 = 0, n6 = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct job *job = &jobs[i];

		if (job->packet.family == 4) {
			uint32_t address;

			memcpy(&address, job->packet.ip + 16, 4);
			table4[n4] =
			    __atomic_load_n(&fib->lpm[0][job->packet.ccsi], __ATOMIC_ACQUIRE);
			address4[n4++] = rte_be_to_cpu_32(address);
		} else {
			table6[n6] =
			    __atomic_load_n(&fib->lpm[1][job->packet.ccsi], __ATOMIC_ACQUIRE);
			memcpy(address6[n6++], job->packet.ip + 24, 16);
		}
	}
	if (n4 > 0)
		lpm_lookup_burst4(table4, address4, slot4, n4);
	if (n6 > 0)
		lpm_lookup_burst6(table6, (const uint8_t(*)[16])address6, slot6, n6);
	n4 = n6 = 0;
	for (unsigned i = 0; i < count; i++) {
		jobs[i].slot = jobs[i].packet.family == 4 ? slot4[n4++] : slot6[n6++];
		fetch(w, fib, &jobs[i]);
	}
}
