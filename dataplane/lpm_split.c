/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts sorted operations as a directory does. The ends of its parts are searched for: of many
 * operations most are not looked at.
 */
#include "lpm_split.h"

#include <stdlib.h>
#include <string.h>

/* The first of the sorted operations from `at` on whose key is above `last`. */
static inline __attribute__((always_inline)) size_t end_of(enum lpm_stage stage, const void *ops,
							   size_t at, size_t count, uint64_t last)
{
	size_t step = 1, high;

	while (at + step < count && op_key(stage, ops, at + step) <= last) {
		at += step;
		step *= 2;
	}
	if (at < count && op_key(stage, ops, at) <= last)
		at++;
	for (high = at + step < count ? at + step : count; at < high;) {
		const size_t middle = (at + high) / 2;

		if (op_key(stage, ops, middle) <= last)
			at = middle + 1;
		else
			high = middle;
	}
	return at;
}

static inline __attribute__((always_inline)) void split_at(enum lpm_stage stage,
							   const struct lpm_table *t,
							   const void *ops, size_t count,
							   struct split *s)
{
	const uint64_t last = t->first + span(stage, t->window);
	const unsigned shift = part_shift(t);
	size_t at = t->first ? end_of(stage, ops, 0, count, t->first - 1) : 0;

	/* what covers the window begins where it does */
	while (at < count && op_key(stage, ops, at) == t->first &&
	       op_length(stage, ops, at) < t->window)
		at++;
	s->from = at;
	s->to = end_of(stage, ops, at, count, last);
	s->own = 0;
	s->count = 0;
	while (at < s->to) {
		const uint64_t part = (op_key(stage, ops, at) - t->first) >> shift;
		size_t end;

		if (op_length(stage, ops, at) < t->window + (unsigned)t->bits) {
			s->own++;
			at++;
			continue;
		}
		/* its own stand before all others of a part */
		end = end_of(stage, ops, at, s->to,
			     t->first + (part << shift) + ((1ULL << shift) - 1));
		s->part[s->count].part = (uint32_t)part;
		s->part[s->count].first = (uint32_t)at;
		s->part[s->count++].end = (uint32_t)end;
		at = end;
	}
}

void lpm_split(const struct lpm_table *t, const void *ops, size_t count, struct split *s)
{
	switch (t->stage) {
	case STAGE_IPV4:
		split_at(STAGE_IPV4, t, ops, count, s);
		break;
	case STAGE_UPPER:
		split_at(STAGE_UPPER, t, ops, count, s);
		break;
	default:
		split_at(STAGE_LOWER, t, ops, count, s);
	}
}

void *lpm_own_of(struct lpm_change *change, enum lpm_stage stage, const void *ops,
		 const struct split *s)
{
	uint8_t *own = s->own ? lpm_new_ops(change, stage, s->own) : NULL;
	size_t at = s->from, n = 0;

	for (unsigned i = 0; own && i <= s->count; i++) {
		const size_t end = i < s->count ? s->part[i].first : s->to;

		memcpy(own + n * op_size(stage), op_at(stage, ops, at),
		       (end - at) * op_size(stage));
		n += end - at;
		at = i < s->count ? s->part[i].end : at;
	}
	return own;
}

void lpm_paint(const struct lpm_table *t, uint32_t window_cover, uint32_t *cover)
{
	const size_t parts = (size_t)1 << t->bits;

	for (size_t i = 0; i < parts; i++)
		cover[i] = window_cover;
	for (size_t i = 0; i < t->count; i++) { /* the longer behind the shorter */
		const struct row row = row_at(t->stage, rows_of(t), i);
		const size_t first = part_of(t, row.key);
		const size_t covered = parts >> (row.length - t->window);

		for (size_t j = first; j < first + covered; j++)
			cover[j] = row.next_hop;
	}
}
