/* SPDX-License-Identifier: Apache-2.0
 *
 * How tables for longest prefix match lie in memory: what lpm_block.c writes and lpm_lookup.c reads.
 *
 * The prefixes of a small table are elementary intervals: sorted starts, each with the value of its
 * longest match (the idea of DXR and PlanB, arXiv 2604.14650). They lie in a block: a static tree of
 * 64-octet lines, level after level, of which a look-up reads one each and compares it whole. A
 * directory leads from some bits of the key to blocks or further directories.
 *
 *          a line of IPv4 (keys of 32 bits)        of IPv6 (keys of 64 bits)
 * root     2 offsets in 4 octets, 15 separators    2 offsets in 8 octets, 7 separators
 * inner    16 separators, 17 children              8 separators, 9 children
 * leaf     7 separators, 8 values                  5 separators, 6 values
 *
 * A separator is the first key of what is right of it, less 1, with the sign bit flipped: then
 * right is where the signed key is greater, and padding by the largest value is never passed. The
 * root stands in line 0, its children in lines 1 and up, the levels below where the offsets say.
 *
 * IPv6 is matched in two stages, the upper 64 bits and the lower. Where a /64 holds longer prefixes
 * its value is LPM_LOWER | i: the look-up goes on with the lower bits in the table whose reference
 * stands i + 1 words before the block.
 */
#ifndef CCN_LPM_LAYOUT_H
#define CCN_LPM_LAYOUT_H

#include "lpm.h"

#define LPM_LOWER 0x80000000U

/* The lowest bits of a reference: 1 to 4 are the levels of the block that it points to. */
#define LPM_KIND 63U
#define LPM_WINDOW 5U
#define LPM_SPLIT 6U

#define LPM_MASK_AT 48 /* ten bits */
#define LPM_SHIFT_AT 58

#define LINE 64U /* octets */

/* A directory of keys from `first` on, in steps of 1 << shift; its last entry is for all others. */
struct lpm_window {
	uint64_t first;
	uint32_t shift, size;
	uint64_t pad[6];
	lpm_ref entry[]; /* size + 1 */
};

/* A directory by some bits of all keys that come here: entries alone. The reference to it holds
 * how far the key is shifted and the mask of what is left then. */
static inline lpm_ref lpm_split_ref(const void *entries, unsigned shift, unsigned bits)
{
	return (lpm_ref)(uintptr_t)entries | LPM_SPLIT | (lpm_ref)shift << LPM_SHIFT_AT |
	       ((1ULL << bits) - 1) << LPM_MASK_AT;
}

enum lpm_stage { STAGE_IPV4, STAGE_UPPER, STAGE_LOWER };

static inline uint64_t stage_top(enum lpm_stage stage)
{
	return stage == STAGE_IPV4 ? UINT32_MAX : UINT64_MAX;
}

static inline unsigned stage_bits(enum lpm_stage stage)
{
	return stage == STAGE_IPV4 ? 32 : 64;
}

struct interval {
	uint64_t start;
	uint32_t value;
};

#define BLOCK_MOST 2048U /* intervals that fit a block of either width */

/* Lines that a block of so many intervals takes. */
size_t lpm_block_lines(enum lpm_stage stage, size_t intervals);
/* Writes it; the first interval starts at key 0 or below all keys that are looked up. */
lpm_ref lpm_block_write(enum lpm_stage stage, void *lines, const struct interval *intervals,
			size_t count);

#endif
