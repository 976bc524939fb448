/* SPDX-License-Identifier: Apache-2.0
 *
 * Where plain packets came from, remembered by one worker: (VNI, outer source, inner source) of packets
 * that a host may send -> the CCSI. What is remembered took look-ups of the VNI, the VTEP, the inner
 * source and its host; here they are one line. It holds for one epoch of the tables (fib.h), so that a
 * commit of any of them forgets all of it, and nothing outlives a withdraw.
 *
 * Sets of two entries for each address family, as many as fit 8 MiB, since a million flows come from
 * hundreds of thousands of VMs (memory is taken as entries are used). Where the traffic of a family
 * has more origins than fit, or is from gateways, whose packets routes vouch for, looking for them
 * would only add to the cost: then the worker does without for a while. One that is found pays for
 * three that are not.
 */
#ifndef CCN_ORIGIN_H
#define CCN_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <nmmintrin.h>

#define ORIGIN_OCTETS (8U << 20)
#define ORIGIN_TAG 0xffffffU /* of an epoch: what an entry holds of it, never 0 */
#define ORIGIN_POOR 1024U    /* bursts that found less than a quarter, before it rests */
#define ORIGIN_REST 8192U    /* bursts */

/* Zero: nothing. Addresses in network order. */
struct origin4 {
	uint64_t addresses; /* outer source | inner source << 32 */
	uint64_t place;	    /* ccsi | epoch's tag << 16 | VNI << 40 */
};

struct origin6 {
	uint8_t inner[16];
	uint64_t addresses; /* outer source */
	uint64_t place;
} __attribute__((aligned(32)));

union origin_set {
	struct origin4 of4[2];
	struct origin6 of6[2];
};

/* Of one family. */
struct origins {
	uint8_t *sets;	     /* at rest: `none` */
	uint32_t mask;	     /* of sets' numbers */
	uint32_t poor, rest; /* bursts */
	uint64_t epoch;
	uint8_t *whole; /* all sets */
	union origin_set none;
};

/* Of a packet: what is compared of an entry; of IPv6 beside the inner source. */
struct origin_key {
	uint64_t addresses, place;
};

/* `inner`: of IPv4; of IPv6 zero. */
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

/* Multiplied, or origins that differ in a few bits fill a few sets: a CRC is linear. */
static inline uint32_t origin_number(const struct origins *o, uint64_t crc, size_t size)
{
	const unsigned bits = (unsigned)__builtin_ctzl(ORIGIN_OCTETS / size); /* a constant */

	return (uint32_t)crc * 0x9e3779b1U >> (32 - bits) & o->mask;
}

/* The set that an origin is in, one cache line or half of it: to be fetched ahead. */
static inline union origin_set *origin_set4(const struct origins *o, const struct origin_key *key)
{
	const size_t size = sizeof(((union origin_set *)0)->of4);
	const uint64_t crc = _mm_crc32_u64(origin_vni(key), key->addresses);

	return (union origin_set *)(o->sets + origin_number(o, crc, size) * size);
}

static inline union origin_set *origin_set6(const struct origins *o, const struct origin_key *key,
					    const uint8_t *inner)
{
	const size_t size = sizeof(((union origin_set *)0)->of6);
	uint64_t word[2], crc = _mm_crc32_u64(origin_vni(key), key->addresses);

	memcpy(word, inner, 16);
	crc = _mm_crc32_u64(_mm_crc32_u64(crc, word[0]), word[1]);
	return (union origin_set *)(o->sets + origin_number(o, crc, size) * size);
}

/* True: it is there, and where. Without a branch on which of the two it is. */
static inline bool origin_find4(const union origin_set *set, const struct origin_key *key,
				uint16_t *ccsi)
{
	const __m128i wanted = _mm_loadu_si128((const __m128i *)key);
	const __m128i but_ccsi = _mm_set_epi64x((int64_t)0xffffffffffff0000, -1);
	const __m128i first = _mm_xor_si128(_mm_load_si128((const __m128i *)&set->of4[0]), wanted);
	const __m128i second = _mm_xor_si128(_mm_load_si128((const __m128i *)&set->of4[1]), wanted);
	const uint32_t in_first = (uint32_t)_mm_testz_si128(first, but_ccsi);
	const uint32_t in_second = (uint32_t)_mm_testz_si128(second, but_ccsi);

	/* what differs is the CCSI */
	*ccsi = (uint16_t)(((uint32_t)_mm_extract_epi16(first, 4) & -in_first) |
			   ((uint32_t)_mm_extract_epi16(second, 4) & -in_second));
	return in_first | in_second;
}

static inline bool origin_is6(const struct origin6 *of, const struct origin_key *key, __m128i inner)
{
	const __m128i other = _mm_xor_si128(inner, _mm_load_si128((const __m128i *)of->inner));

	return _mm_testz_si128(other, other) & (of->addresses == key->addresses) &
	       !((of->place ^ key->place) >> 16);
}

static inline bool origin_find6(const union origin_set *set, const struct origin_key *key,
				const uint8_t *inner, uint16_t *ccsi)
{
	const __m128i wanted = _mm_loadu_si128((const __m128i *)inner);
	const bool first = origin_is6(&set->of6[0], key, wanted);
	const bool second = origin_is6(&set->of6[1], key, wanted);

	*ccsi = (uint16_t)(second ? set->of6[1].place : set->of6[0].place);
	return first | second;
}

/* The older of the set goes. */
static inline void origin_remember4(union origin_set *set, const struct origin_key *key,
				    uint16_t ccsi)
{
	set->of4[1] = set->of4[0];
	set->of4[0] = (struct origin4){.addresses = key->addresses, .place = key->place | ccsi};
}

static inline void origin_remember6(union origin_set *set, const struct origin_key *key,
				    const uint8_t *inner, uint16_t ccsi)
{
	set->of6[1] = set->of6[0];
	set->of6[0] = (struct origin6){.addresses = key->addresses, .place = key->place | ccsi};
	memcpy(set->of6[0].inner, inner, 16);
}

/* Does without for a while. */
void origins_rest(struct origins *o);
/* Before a burst. `epoch`: loaded before anything else of the tables. */
void origins_begin(struct origins *o, uint64_t epoch);
/* After it: how many there were, and how many of them were found. */
static inline void origins_end(struct origins *o, unsigned count, unsigned found)
{
	if (4 * found >= count)
		o->poor -= o->poor > 0;
	else if (o->rest == 0 && ++o->poor == ORIGIN_POOR)
		origins_rest(o);
}

int origins_init(struct origins *o); /* -1: out of memory */

#endif
