/* SPDX-License-Identifier: Apache-2.0
 *
 * Cycles per stage, of one poll in sixteen: reading the clock six times for a burst of 64 would
 * cost two cycles for every packet otherwise. A lap is the time since the last one.
 */
#ifndef CCN_LAP_H
#define CCN_LAP_H

#include <rte_cycles.h>

#include "worker.h"

#define POLLS_PER_SAMPLE 16
#define INTERRUPTED (1U << 20) /* cycles: no stage of one burst takes as long, another thread ran */

static inline void lap_start(struct worker *w)
{
	w->sampled = w->stats.polls % POLLS_PER_SAMPLE == 0;
	if (w->sampled)
		w->lap = rte_rdtsc();
}

/* `packets`: that entered the path by this stage. */
static inline void lap(struct worker *w, enum stage stage, unsigned packets)
{
	uint64_t now;

	if (!w->sampled)
		return;
	now = rte_rdtsc();
	if (now - w->lap < INTERRUPTED)
		w->stats.stage_cycles[stage] += now - w->lap;
	w->stats.sampled_packets += packets;
	w->lap = now;
}

#endif
