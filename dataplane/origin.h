/* SPDX-License-Identifier: Apache-2.0
 *
 * Where plain packets came from, remembered by one worker: (VNI, outer source, inner IPv4 source) of
 * packets that a host may send -> the CCSI. What is remembered took look-ups of the VNI, the VTEP, the
 * inner source and its host; here they are one line. It holds for one epoch of the tables (fib.h), so
 * that a commit of any of them forgets all of it, and nothing outlives a withdraw.
 *
 * Sets of two entries; half a million, since a million flows come from hundreds of thousands of VMs
 * (memory is taken as entries are used). Where the traffic has more origins than fit, looking for them
 * would only add to the cost: then the worker does without for a while.
 */
#ifndef CCN_ORIGIN_H
#define CCN_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include <nmmintrin.h>

#define ORIGIN_BITS 18
#define ORIGIN_SETS (1U << ORIGIN_BITS) /* 8 MiB */
#define ORIGIN_TAG 0xffffffU		/* of an epoch: what an entry holds of it, never 0 */
#define ORIGIN_POOR 1024U		/* bursts that found less than half, before it rests */
#define ORIGIN_REST 8192U		/* bursts */

/* Zero: nothing. */
struct origin {
	uint64_t addresses; /* outer source | inner source << 32, network order */
	uint64_t place;	    /* ccsi | epoch's tag << 16 | VNI << 40 */
};

struct origins {
	struct origin *entry; /* in sets of two; at rest: `none` */
	uint32_t mask;	      /* of sets */
	uint32_t poor, rest;  /* bursts */
	uint64_t epoch;
	struct origin *whole; /* all sets */
	struct origin none[2];
};

/* Of a packet: what is compared of an entry. */
struct origin_key {
	uint64_t addresses, place;
};

static inline struct origin_key origin_key(uint64_t epoch, uint32_t vni, uint32_t outer,
					   uint32_t inner)
{
	return (struct origin_key){.addresses = (uint64_t)inner << 32 | outer,
				   .place = (uint64_t)vni << 40 | (epoch & ORIGIN_TAG) << 16};
}

static inline uint32_t origin_vni(const struct origin_key *key)
{
	return (uint32_t)(key->place >> 40);
}

/* The set that an origin is in, one cache line or a part of it: to be fetched ahead. */
static inline struct origin *origin_set(const struct origins *o, const struct origin_key *key)
{
	/* multiplied, or origins that differ in a few bits fill a few sets: a CRC is linear */
	const uint32_t hash =
	    (uint32_t)_mm_crc32_u64(origin_vni(key), key->addresses) * 0x9e3779b1U;

	return &o->entry[2 * (hash >> (32 - ORIGIN_BITS) & o->mask)];
}

/* True: it is there, and where. */
static inline bool origin_find(const struct origin *set, const struct origin_key *key,
			       uint16_t *ccsi)
{
	const bool first =
	    set[0].addresses == key->addresses && !((set[0].place ^ key->place) >> 16);
	const bool second =
	    set[1].addresses == key->addresses && !((set[1].place ^ key->place) >> 16);

	*ccsi = (uint16_t)(second ? set[1].place : set[0].place);
	return first | second;
}

/* The older of the set goes. */
static inline void origin_remember(struct origin *set, const struct origin_key *key, uint16_t ccsi)
{
	set[1] = set[0];
	set[0] = (struct origin){.addresses = key->addresses, .place = key->place | ccsi};
}

/* Does without for a while. */
void origins_rest(struct origins *o);
/* Before a burst. `epoch`: loaded before anything else of the tables. */
void origins_begin(struct origins *o, uint64_t epoch);
/* After it: how many there were, and how many of them were found. */
static inline void origins_end(struct origins *o, unsigned count, unsigned found)
{
	if (2 * found >= count)
		o->poor -= o->poor > 0;
	else if (o->rest == 0 && ++o->poor == ORIGIN_POOR)
		origins_rest(o);
}

int origins_init(struct origins *o); /* -1: out of memory */

#endif
