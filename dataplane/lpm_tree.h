/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of lpm.c and lpm_*.c: the tree that a table is, of the control thread's
 * side. A leaf holds sorted prefixes and the block made of them. A directory splits a window of keys
 * into equal parts with a table each; it holds the prefixes of the window that are too short for one
 * part, and a further table for what is not in the window.
 *
 * Between tables prefixes are operations without flags (lpm.h), in a table they are rows: of IPv4
 * the same word, of IPv6 the half of the address that the stage is about.
 */
#ifndef CCN_LPM_TREE_H
#define CCN_LPM_TREE_H

#include "lpm_layout.h"

/* Tables of this many prefixes are leaves; on average so many are in a part of a new directory. */
#define LEAF_MOST 256U
#define PART_AIM 24U
#define MOST_BITS 8U  /* of a directory; more make look-ups faster and changes slower */
#define SKIP_LEAST 3U /* bits that keys must share for a directory with a window */

#define NEXT_HOP_BITS 24U
#define NEXT_HOP_MASK ((1U << NEXT_HOP_BITS) - 1)
#define LENGTH_AT 26U /* in an lpm_op4 */

/* IPv6: the table of the lower 64 bits, of one /64. */
struct lower {
	uint64_t upper;
	struct lpm_table *table;
};

/* One line, in front of its rows or (directory) parts and rows. */
struct lpm_table {
	lpm_ref ref;
	void *memory;		   /* what readers see */
	uint32_t lines, own_lines; /* of that; of this and its rows */
	uint32_t cover;		   /* the value of a key that no prefix below matches */
	uint32_t total;		   /* prefixes, of all below too */
	uint32_t count;		   /* rows */
	uint32_t built;		   /* directory: as many as there were when its bits were chosen */
	uint8_t stage;
	uint8_t base; /* so many leading bits are the same in all keys that come here */
	bool directory;
	uint8_t window, bits; /* directory: prefix length of its window, split into 1 << bits */
	uint32_t lower_count;
	union {
		struct lower *lower; /* leaf, STAGE_UPPER; sorted */
		uint64_t first;	     /* directory */
	};
	struct lpm_table *part[]; /* directory: 1 << bits, and the one for what is outside */
};

_Static_assert(sizeof(struct lpm_table) == LINE, "a line");

/* --- prefixes between tables --- */

/* Of IPv6; keys of 64 bits at multiples of 4. */
struct row6 {
	uint64_t key;
	uint32_t value; /* length << 24 | next hop */
} __attribute__((packed, aligned(4)));

static inline size_t op_size(enum lpm_stage stage)
{
	return stage == STAGE_IPV4 ? sizeof(lpm_op4) : sizeof(struct lpm_op6);
}

static inline const void *op_at(enum lpm_stage stage, const void *ops, size_t i)
{
	return (const uint8_t *)ops + i * op_size(stage);
}

static inline uint64_t op_key(enum lpm_stage stage, const void *ops, size_t i)
{
	if (stage == STAGE_IPV4)
		return ((const lpm_op4 *)ops)[i] >> 32;
	const struct lpm_op6 *op = (const struct lpm_op6 *)ops + i;

	return stage == STAGE_UPPER ? op->high : op->low;
}

/* Its length within the stage's bits; what is beyond them does not count. */
static inline unsigned op_length(enum lpm_stage stage, const void *ops, size_t i)
{
	if (stage == STAGE_IPV4)
		return ((const lpm_op4 *)ops)[i] >> LENGTH_AT & 63;
	const unsigned length = ((const struct lpm_op6 *)ops)[i].length;

	return stage == STAGE_LOWER ? length - 64U : length > 64 ? 64 : length;
}

static inline uint32_t op_next_hop(enum lpm_stage stage, const void *ops, size_t i)
{
	return stage == STAGE_IPV4 ? ((const lpm_op4 *)ops)[i] & NEXT_HOP_MASK
				   : ((const struct lpm_op6 *)ops)[i].next_hop;
}

/* Of an IPv6 prefix that the upper stage cannot tell from its /64. */
static inline bool op_is_long(enum lpm_stage stage, const void *ops, size_t i)
{
	return stage == STAGE_UPPER && ((const struct lpm_op6 *)ops)[i].length > 64;
}

/* --- rows of a table --- */

struct row {
	uint64_t key;
	uint32_t next_hop;
	uint32_t length; /* within the stage */
};

static inline size_t row_size(enum lpm_stage stage)
{
	return stage == STAGE_IPV4 ? sizeof(lpm_op4) : sizeof(struct row6);
}

static inline size_t part_count(const struct lpm_table *t)
{
	return t->directory ? ((size_t)1 << t->bits) + 1 : 0;
}

static inline const void *rows_of(const struct lpm_table *t)
{
	return t->part + part_count(t);
}

static inline struct row row_at(enum lpm_stage stage, const void *rows, size_t i)
{
	if (stage == STAGE_IPV4) {
		const lpm_op4 word = ((const lpm_op4 *)rows)[i];

		return (struct row){word >> 32, word & NEXT_HOP_MASK, word >> LENGTH_AT & 63};
	}
	const struct row6 row = ((const struct row6 *)rows)[i];

	return (struct row){row.key, row.value & NEXT_HOP_MASK, row.value >> NEXT_HOP_BITS};
}

/* The keys below a prefix of this length, less one. */
static inline uint64_t span(enum lpm_stage stage, unsigned length)
{
	const uint64_t top = stage_top(stage);

	return length == 0 ? top : length >= stage_bits(stage) ? 0 : top >> length;
}

/* --- directories --- */

static inline unsigned part_shift(const struct lpm_table *t)
{
	return stage_bits(t->stage) - t->window - t->bits;
}

/* The part of a directory that holds this key; its last, if it is not in the window. */
static inline size_t part_of(const struct lpm_table *t, uint64_t key)
{
	const uint64_t in = key - t->first;

	return in > span(t->stage, t->window) ? (size_t)1 << t->bits
					      : (size_t)(in >> part_shift(t));
}

/* A leaf of these prefixes (short ones, without flags). Takes `lower` over, also when it fails: NULL
 * and change->failed. */
struct lpm_table *lpm_make_leaf(struct lpm_change *change, enum lpm_stage stage, unsigned base,
				uint32_t cover, const void *prefixes, size_t count,
				struct lower *lower, size_t lower_count);
/* A directory of this shape (window, bits and what else is not of what it holds), with room for so
 * many rows; its parts are to be filled in, its rows put, and then what readers see made: of `old`,
 * or NULL, it shares parts and has the same window and bits. */
struct lpm_table *lpm_begin_directory(struct lpm_change *change, const struct lpm_table *shape,
				      size_t rows);
void lpm_put_rows(struct lpm_table *table, const void *prefixes, size_t count);
void lpm_copy_rows(struct lpm_table *table, const struct lpm_table *from);
struct lpm_table *lpm_end_directory(struct lpm_change *change, struct lpm_table *table,
				    const struct lpm_table *old);
/* This one is to go, but not what is below it. */
void lpm_replace(struct lpm_change *change, struct lpm_table *table);
void lpm_retire(struct lpm_change *change, struct lpm_table *table); /* with what is below it */

/* The value of the longest match of a key below a table. */
uint32_t lpm_value_at(const struct lpm_table *table, uint64_t key);

/* --- lpm_build.c --- */

/* Of prefixes, all of which and all keys that come here share `base` bits. NULL: change->failed. */
struct lpm_table *lpm_build(struct lpm_change *change, enum lpm_stage stage, unsigned base,
			    const void *prefixes, size_t count, uint32_t cover);
/* Of what operations on nothing leave. */
struct lpm_table *lpm_build_added(struct lpm_change *change, enum lpm_stage stage, const void *ops,
				  size_t count, uint32_t cover);
/* Prefixes of the stage, those of one /64 that are longer counting once; `lowers`: such /64s. */
size_t lpm_distinct(enum lpm_stage stage, const void *ops, size_t count, size_t *lowers);
/* The first of the operations from `i` on that is in another /64. */
size_t lpm_group_end(const void *ops, size_t count, size_t i);
/* What a key matches among sorted prefixes, or `cover`. */
uint32_t lpm_cover_of(enum lpm_stage stage, const void *prefixes, size_t count, uint64_t key,
		      uint32_t cover);

/* --- lpm_merge.c: sequences of sorted prefixes --- */

/* NULL: change->failed. To be freed. */
void *lpm_new_ops(struct lpm_change *change, enum lpm_stage stage, size_t count);
/* Prefixes changed by operations, which are counted; `out` holds both. Returns how many are left;
 * `*other` becomes true if they are not what they were. */
size_t lpm_merge(struct lpm_change *change, enum lpm_stage stage, const void *held, size_t count,
		 const void *ops, size_t op_count, void *out, bool *other);
/* Of a table's rows; `upper`: of STAGE_LOWER. */
void lpm_expand(const struct lpm_table *table, uint64_t upper, void *out);
/* All prefixes of a table, sorted; how many. */
size_t lpm_flatten(struct lpm_change *change, const struct lpm_table *table, uint64_t upper,
		   void *out);
void lpm_tally(struct lpm_change *change, uint32_t next_hop, int32_t more);

#endif
