/* SPDX-License-Identifier: Apache-2.0
 *
 * A probe through the packet path. In: a frame, from the control thread. Worker 0 forwards it by
 * the stages of fwd.h, alone in its burst and between two others, and notes what it meets. Out:
 * steps, and the counters that it moved. Where no probe is under way it costs a branch per stage
 * and burst.
 */
#ifndef CCN_TRACE_H
#define CCN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "ccn_wire.h"
#include "stats.h"

struct acl_verdict;
struct ccsi_acl;
struct fib;
struct job;
struct rte_mempool;
struct tracer;
struct worker;

typedef int (*trace_emit)(void *context, uint16_t type, const void *record, size_t size);

void trace_init(struct rte_mempool *pool);
/* Control thread: waits until the probe is through, a few milliseconds at most. NULL, or what is
 * wrong. */
const char *trace_probe(const struct ccn_trace *probe, trace_emit emit, void *context);

/* --- of worker 0 --- */

/* Of this probe nothing may leave: no error about it, no answer, no pieces of it. */
bool trace_is_dry(const struct tracer *tracer);
/* Once per poll: forwards the probe that waits, if any. */
void trace_poll(struct worker *w, const struct fib *fib);
/* After a stage: `count` is what it kept of the probe, 1 or 0. */
void trace_stage(struct tracer *tracer, const struct fib *fib, enum stage stage,
		 const struct job *job, unsigned count);
void trace_acl(struct tracer *tracer, const struct ccsi_acl *acl,
	       const struct acl_verdict *verdict);

#define traced(w, fib, stage, jobs, count)                                                         \
	do {                                                                                       \
		if (unlikely((w)->tracer != NULL))                                                 \
			trace_stage((w)->tracer, fib, stage, jobs, count);                         \
	} while (0)

#endif
