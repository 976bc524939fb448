/* SPDX-License-Identifier: Apache-2.0
 *
 * Weighted rendezvous: in each bucket a member draws u in (0, 1) and has the score -ln(u) / weight;
 * the lowest wins, with a probability of weight / sum of weights. A member's draws over all buckets
 * are a permutation of evenly spaced numbers, which spreads far better than independent ones.
 */
#include "group.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

const char *group_fault(const struct ccn_next_hop_group *record)
{
	if (record->count < 2 || record->count > CCN_MAX_MEMBERS)
		return "a group has 2 to 16 members";
	for (unsigned i = 0; i < record->count; i++) {
		if (record->member[i].weight == 0)
			return "a member of weight 0";
		if (record->member[i].slot >= 1 << 24)
			return "a member's slot over 2^24-1";
		for (unsigned j = 0; j < i; j++)
			if (record->member[i].slot == record->member[j].slot)
				return "the same member twice";
	}
	return NULL;
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* A permutation of the buckets: each round is a bijection. */
static uint32_t draw(uint64_t seed, uint32_t bucket)
{
	for (unsigned round = 0; round < 4; round++, seed >>= 16) {
		bucket = bucket * ((uint32_t)seed | 1) + ((uint32_t)seed >> 7);
		bucket &= GROUP_BUCKETS - 1;
		bucket ^= bucket >> 4;
	}
	return bucket;
}

/* -ln(u) of the evenly spaced u, in units of 2^-20: whole numbers, whatever the libm. */
static const uint32_t *logarithms(void)
{
	static uint32_t table[GROUP_BUCKETS];
	static bool made;

	for (uint32_t i = 0; !made && i < GROUP_BUCKETS; i++)
		table[i] = (uint32_t)lround(-log((i + 0.5) / GROUP_BUCKETS) * (1 << 20));
	made = true;
	return table;
}

void group_spread(const uint64_t *key, const uint8_t *weight, unsigned count,
		  uint8_t bucket[GROUP_BUCKETS])
{
	const uint32_t *logarithm = logarithms();
	uint64_t seed[CCN_MAX_MEMBERS];

	for (unsigned i = 0; i < count; i++)
		seed[i] = mix(key[i]);
	for (uint32_t b = 0; b < GROUP_BUCKETS; b++) {
		uint64_t lowest = logarithm[draw(seed[0], b)];
		unsigned best = 0;

		for (unsigned i = 1; i < count; i++) {
			const uint64_t score = logarithm[draw(seed[i], b)];
			const uint64_t mine = score * weight[best];
			const uint64_t held = lowest * weight[i];

			/* of two that drew alike another draw decides: still no third counts */
			if (mine < held ||
			    (mine == held && mix(seed[i] ^ b) < mix(seed[best] ^ b))) {
				lowest = score;
				best = i;
			}
		}
		bucket[b] = (uint8_t)best;
	}
}

void group_fill(const struct ccn_next_hop_group *record, uint8_t bucket[GROUP_BUCKETS])
{
	uint64_t key[CCN_MAX_MEMBERS];
	uint8_t weight[CCN_MAX_MEMBERS];

	for (unsigned i = 0; i < record->count; i++) {
		key[i] = record->member[i].key;
		weight[i] = record->member[i].weight;
	}
	group_spread(key, weight, record->count, bucket);
}
