/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a packet may have come from where it came (docs/concepts.md, "Sources"). In: packets of a
 * burst and the tables; out: for each a reason to drop it, or DROP_REASON_COUNT. Decides only.
 */
#ifndef CCN_SOURCE_H
#define CCN_SOURCE_H

#include "classify.h"
#include "fib.h"

#define SOURCE_BURST 64

/* `count` <= SOURCE_BURST. Look-ups of the burst overlap. Bit i of the result: packet i may pass, and
 * another of the same VNI, outer and inner source may as long as the epoch of the tables lasts; what
 * routes vouch for is not among them. */
uint64_t source_judge(const struct fib *fib, const struct packet *const *packets, unsigned count,
		      enum drop_reason *verdicts);

#endif
