/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a table from nothing, of sorted prefixes, leaf by leaf in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "lpm_split.h"

/* --- IPv6 prefixes longer than 64 bits --- */

size_t lpm_distinct(enum lpm_stage stage, const void *ops, size_t count, size_t *lowers)
{
	size_t n = 0;
	uint64_t key = 0;

	*lowers = 0;
	if (stage != STAGE_UPPER)
		return count;
	for (size_t i = 0; i < count; i++) {
		if (!op_is_long(stage, ops, i))
			n++;
		else if (*lowers == 0 || op_key(stage, ops, i) != key) {
			++*lowers;
			key = op_key(stage, ops, i);
		}
	}
	return n + *lowers;
}

size_t lpm_group_end(const void *ops, size_t count, size_t i)
{
	const uint64_t upper = op_key(STAGE_UPPER, ops, i);
	size_t end = i;

	while (end < count && op_key(STAGE_UPPER, ops, end) == upper)
		end++;
	return end;
}

uint32_t lpm_cover_of(enum lpm_stage stage, const void *prefixes, size_t count, uint64_t key,
		      uint32_t cover)
{
	int best = -1;

	for (size_t i = 0; i < count; i++) {
		const uint64_t first = op_key(stage, prefixes, i);
		const int length = (int)op_length(stage, prefixes, i);

		if (first > key)
			break;
		if (key - first <= span(stage, (unsigned)length) && length > best) {
			best = length;
			cover = op_next_hop(stage, prefixes, i);
		}
	}
	return cover;
}

/* Of IPv6, with tables of the lower bits. */
static struct lpm_table *build_deep_leaf(struct lpm_change *change, unsigned base,
					 const void *prefixes, size_t count, size_t lowers,
					 uint32_t cover)
{
	const enum lpm_stage stage = STAGE_UPPER;
	struct lpm_op6 *own = lpm_new_ops(change, stage, count);
	struct lower *lower = calloc(lowers, sizeof(*lower));
	struct lpm_table *t = NULL;
	size_t n = 0, made = 0, end;

	change->failed |= !lower;
	for (size_t i = 0; !change->failed && i < count; i = end) {
		const struct lpm_op6 *p = op_at(stage, prefixes, i);

		end = i + 1;
		if (p->length <= 64) {
			own[n++] = *p;
			continue;
		}
		/* those of a /64 stand together, behind all that covers it */
		end = lpm_group_end(prefixes, count, i);
		lower[made].upper = p->high;
		lower[made].table = lpm_build(change, STAGE_LOWER, 0, p, end - i,
					      lpm_cover_of(stage, own, n, p->high, cover));
		made++;
	}
	if (change->failed)
		free(lower);
	else
		t = lpm_make_leaf(change, stage, base, cover, own, n, lower, made);
	free(own);
	return t;
}

/* The window that holds all prefixes but those that cover it, and how to split it. */
static void find_shape(struct lpm_table *t, const void *prefixes, size_t count, size_t n)
{
	const enum lpm_stage stage = t->stage;
	const uint64_t last = op_key(stage, prefixes, count - 1);
	unsigned bits = 1, window;
	uint64_t differ;
	size_t i = 0;

	while (last - op_key(stage, prefixes, i) <= span(stage, op_length(stage, prefixes, i)))
		i++;
	differ = op_key(stage, prefixes, i) ^ last;
	window = stage_bits(stage) - (64U - (unsigned)__builtin_clzll(differ));
	while (n >> bits > PART_AIM)
		bits++;
	if (window - t->base < SKIP_LEAST) { /* some parts empty, and nothing outside */
		bits += window - t->base;
		window = t->base;
	}
	t->window = (uint8_t)window;
	t->first = last & ~span(stage, window);
	if (bits > MOST_BITS)
		bits = MOST_BITS;
	if (bits > stage_bits(stage) - window)
		bits = stage_bits(stage) - window;
	t->bits = (uint8_t)bits;
}

struct lpm_table *lpm_build(struct lpm_change *change, enum lpm_stage stage, unsigned base,
			    const void *prefixes, size_t count, uint32_t cover)
{
	size_t lowers;
	const size_t n = lpm_distinct(stage, prefixes, count, &lowers);

	if (n <= LEAF_MOST)
		return lowers ? build_deep_leaf(change, base, prefixes, count, lowers, cover)
			      : lpm_make_leaf(change, stage, base, cover, prefixes, count, NULL, 0);

	struct lpm_table *t, shape = {.stage = (uint8_t)stage,
				      .base = (uint8_t)base,
				      .cover = cover,
				      .built = (uint32_t)count};
	uint32_t covers[1U << MOST_BITS];
	struct split s;
	unsigned next = 0;
	void *own;

	find_shape(&shape, prefixes, count, n);
	const size_t parts = (size_t)1 << shape.bits;

	lpm_split(&shape, prefixes, count, &s);
	t = lpm_begin_directory(change, &shape, s.own);
	own = lpm_own_of(change, stage, prefixes, &s);
	if (!change->failed)
		lpm_put_rows(t, own, s.own);
	free(own);
	if (!change->failed)
		t->part[parts] = lpm_build(change, stage, base, prefixes, s.from, cover);
	if (!change->failed)
		lpm_paint(t, lpm_value_at(t->part[parts], t->first), covers);
	for (size_t i = 0; !change->failed && i < parts; i++) {
		const bool some = next < s.count && s.part[next].part == i;
		const size_t first = some ? s.part[next].first : 0;
		const size_t end = some ? s.part[next].end : 0;

		next += some;
		t->part[i] = lpm_build(change, stage, t->window + t->bits,
				       op_at(stage, prefixes, first), end - first, covers[i]);
	}
	return lpm_end_directory(change, t, NULL);
}

struct lpm_table *lpm_build_added(struct lpm_change *change, enum lpm_stage stage, const void *ops,
				  size_t count, uint32_t cover)
{
	void *prefixes = lpm_new_ops(change, stage, count);
	struct lpm_table *t = NULL;
	size_t n = 0;
	bool other = false;

	if (prefixes)
		n = lpm_merge(change, stage, NULL, 0, ops, count, prefixes, &other);
	if (!change->failed)
		t = lpm_build(change, stage, 0, prefixes, n, cover);
	free(prefixes);
	return t;
}
