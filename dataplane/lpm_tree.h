/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of lpm.c and lpm_tree.c: the tree that a table is, of the control thread's side. A leaf
 * holds sorted prefixes and the block made of them. A directory splits a window of keys into equal
 * parts with a table each; it holds the prefixes of the window that are too short for one part, and
 * a further table for what is not in the window.
 */
#ifndef CCN_LPM_TREE_H
#define CCN_LPM_TREE_H

#include "lpm_layout.h"

/* Tables of this many prefixes are leaves; on average so many are in a part of a new directory. */
#define LEAF_MOST 256U
#define PART_AIM 24U
#define MOST_BITS 8U  /* of a directory; more make look-ups faster and changes slower */
#define SKIP_LEAST 3U /* bits that keys must share for a directory with a window */

/* IPv6: the table of the lower 64 bits, of one /64. */
struct lower {
	uint64_t upper;
	struct lpm_table *table;
};

struct lpm_table {
	lpm_ref ref;
	uint32_t cover; /* the value of a key that no prefix below matches */
	uint8_t stage;
	uint8_t base; /* so many leading bits are the same in all keys that come here */
	bool directory;
	uint8_t window, bits; /* directory: prefix length of its window, split into 1 << bits */
	size_t total;	      /* prefixes, of all below too */
	size_t built;	      /* directory: as many as there were when its bits were chosen */
	void *memory;	      /* what readers see */
	size_t lines;
	size_t count;
	struct lpm_prefix *prefix;
	size_t lower_count;
	struct lower *lower; /* leaf, STAGE_UPPER; sorted */
	uint64_t first;
	struct lpm_table **part; /* 1 << bits, and the one for what is outside */
};

static inline uint64_t prefix_key(enum lpm_stage stage, const uint8_t *address)
{
	uint64_t word;

	__builtin_memcpy(&word, address + (stage == STAGE_LOWER ? 8 : 0), 8);
	word = __builtin_bswap64(word);
	return stage == STAGE_IPV4 ? word >> 32 : word;
}

/* Its length within the stage's bits; what is beyond them does not count. */
static inline unsigned prefix_length(enum lpm_stage stage, const struct lpm_prefix *prefix)
{
	if (stage == STAGE_LOWER)
		return prefix->length - 64U;
	return stage == STAGE_UPPER && prefix->length > 64 ? 64 : prefix->length;
}

/* Of an IPv6 prefix that the upper stage cannot tell from its /64. */
static inline bool is_long(enum lpm_stage stage, const struct lpm_prefix *prefix)
{
	return stage == STAGE_UPPER && prefix->length > 64;
}

/* The keys below a prefix of this length, less one. */
static inline uint64_t span(enum lpm_stage stage, unsigned length)
{
	const uint64_t top = stage_top(stage);

	return length == 0 ? top : length >= stage_bits(stage) ? 0 : top >> length;
}

static inline uint64_t load_key(enum lpm_stage stage, const struct lpm_prefix *prefix)
{
	return prefix_key(stage, prefix->address);
}

/* The part of a directory that holds this key; its last, if it is not in the window. */
static inline size_t part_of(const struct lpm_table *t, uint64_t key)
{
	const uint64_t in = key - t->first;
	const unsigned shift = stage_bits(t->stage) - t->window - t->bits;

	return in > span(t->stage, t->window) ? (size_t)1 << t->bits : (size_t)(in >> shift);
}

/* Where a prefix of a directory is kept. */
enum place { IN_PART, IN_DIRECTORY, OUTSIDE };

static inline enum place place_of(const struct lpm_table *t, const struct lpm_prefix *p)
{
	const unsigned length = prefix_length(t->stage, p);

	if (length < t->window || load_key(t->stage, p) - t->first > span(t->stage, t->window))
		return OUTSIDE;
	return length < t->window + (unsigned)t->bits ? IN_DIRECTORY : IN_PART;
}

/* One leaf or directory; takes the arrays over, also when it fails. NULL: change->failed. `old`, or
 * NULL: of the same window and bits, which shares parts with it. */
struct lpm_table *lpm_make_leaf(struct lpm_change *change, enum lpm_stage stage, unsigned base,
				uint32_t cover, struct lpm_prefix *prefix, size_t count,
				struct lower *lower, size_t lower_count);
struct lpm_table *lpm_make_directory(struct lpm_change *change, const struct lpm_table *shape,
				     const struct lpm_table *old);
/* This one is to go, but not what is below it. */
void lpm_replace(struct lpm_change *change, struct lpm_table *table);

/* The longest match of a key among prefixes, or `cover`; a prefix of all the window for instance. */
uint32_t lpm_value_at(const struct lpm_table *table, uint64_t key);

#endif
