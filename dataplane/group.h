/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of next hops, sets of VTEPs: which member gets which of the buckets that flows fall into. In: members'
 * keys and weights. Out: a table, decided for each bucket by weighted rendezvous, so that it depends
 * on nothing else: a member that goes gives up its own buckets, one that comes takes its own, and no
 * other flow moves.
 */
#ifndef CCN_GROUP_H
#define CCN_GROUP_H

#include <stdint.h>

#include "ccn_wire.h"

#define GROUP_BUCKETS 512U /* a power of two: the share of one of two members is right to 5 % */

/* The bucket of a flow. The UDP source port is made from the upper bits of the same hash. */
static inline uint32_t group_bucket(uint32_t flow_hash)
{
	return flow_hash >> 5 & (GROUP_BUCKETS - 1);
}

/* NULL, or what is wrong with the record by itself. */
const char *group_fault(const struct ccn_next_hop_group *record);
/* Write the index of the member that has each bucket. Not from two threads at once. */
void group_fill(const struct ccn_next_hop_group *record, uint8_t bucket[GROUP_BUCKETS]);
void group_spread(const uint64_t *key, const uint8_t *weight, unsigned count,
		  uint8_t bucket[GROUP_BUCKETS]);

#endif
