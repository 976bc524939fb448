/* SPDX-License-Identifier: Apache-2.0
 *
 * Who was dropped: of each reason the first packet and the last, of all and of each CCSI, and of
 * each CCSI how many. In: dropped packets, from the thread that drops them; out: CCN_OFFENDER
 * records, the first and the last of all workers, and counters.
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
	uint32_t vtep; /* network order; of IPv6 its name */
	uint32_t interface;
	uint8_t port, family;
	uint8_t pad[6];
	uint8_t source[16], destination[16];
};

struct offence_notes {
	struct offence first[DROP_REASON_COUNT], last[DROP_REASON_COUNT];
};

struct ccsi_offences {
	uint64_t count[DROP_REASON_COUNT];
	struct offence_notes notes;
};

struct offences {
	struct offence_notes notes;
	/* Made with the first drop of a CCSI, by the worker; a CCSI without memory has none. */
	struct ccsi_offences *of_ccsi[MAX_CCSIS];
};

/* A packet whose CCSI is not known has 0 there. */
void offence_note(struct offences *offences, enum drop_reason reason, const struct packet *packet);

/* Before its worker starts; it stays until the end. */
void offences_watch(const struct offences *offences);
/* Of one CCSI, or of all packets if it is 0. */
void offences_walk(uint32_t ccsi, void (*emit)(void *context, const struct ccn_offender *offender),
		   void *context);
/* "drop-ccsi 100": the reasons for which its packets were dropped; of `only`, or of all if it is 0. */
void offences_count(uint32_t only, void (*emit)(void *context, const struct ccn_counter *counter),
		    void *context);

#endif
