/* SPDX-License-Identifier: Apache-2.0
 *
 * Who was dropped: of each reason the first packet and the last, and of each CCSI how many. In:
 * dropped packets, from the worker that drops them; out: CCN_OFFENDER records, the first and the last
 * of all workers, and counters.
 */
#ifndef CCN_OFFENCE_H
#define CCN_OFFENCE_H

#include <stdint.h>

#include "ccn_wire.h"
#include "stats.h"

struct packet;

/* One cache line. Written by one worker, between two steps of `version`, which is odd meanwhile. */
struct offence {
	uint32_t version; /* 0 = none yet */
	uint32_t vni;
	uint64_t tsc;
	uint32_t vtep; /* network order */
	uint32_t interface;
	uint8_t port, family;
	uint8_t pad[6];
	uint8_t source[16], destination[16];
};

struct offences {
	struct offence first[DROP_REASON_COUNT], last[DROP_REASON_COUNT];
	uint64_t (*of_ccsi)[DROP_REASON_COUNT]; /* by CCSI; pages of those without drops are none */
	uint8_t hit[MAX_CCSIS];			/* whether it has any */
};

int offences_init(struct offences *offences); /* -1: out of memory */

/* A packet whose CCSI is not known has 0 there. */
void offence_note(struct offences *offences, enum drop_reason reason, const struct packet *packet);

/* Before its worker starts; it stays until the end. */
void offences_watch(const struct offences *offences);
void offences_walk(void (*emit)(void *context, const struct ccn_offender *offender), void *context);
/* "drop-ccsi 100": the reasons for which its packets were dropped; of `only`, or of all if it is 0. */
void offences_count(uint32_t only, void (*emit)(void *context, const struct ccn_counter *counter),
		    void *context);

#endif
