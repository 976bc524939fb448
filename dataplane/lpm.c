/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes a table: the leaves that operations belong to are made anew, and the directories above
 * them; all else is shared with the table before. A prefix that covers several parts of a directory
 * costs as much as these parts are large. A directory looks only at the operations where its parts
 * end; each meets the row of before in its leaf.
 */
#include "lpm.h"

#include <stdlib.h>
#include <string.h>

#include "lpm_split.h"

static struct lpm_table *update(struct lpm_change *change, struct lpm_table *old, const void *ops,
				size_t count, uint32_t cover);

/* All of it anew. */
static struct lpm_table *rebuild(struct lpm_change *change, struct lpm_table *old, const void *ops,
				 size_t count, uint32_t cover)
{
	const uint64_t upper =
	    old->stage == STAGE_LOWER && count > 0 ? op_key(STAGE_UPPER, ops, 0) : 0;
	void *held = lpm_new_ops(change, old->stage, old->total);
	void *all = lpm_new_ops(change, old->stage, old->total + count);
	struct lpm_table *t = NULL;
	bool other = false;
	size_t n = 0;

	if (!change->failed)
		lpm_flatten(change, old, upper, held);
	if (!change->failed)
		n = lpm_merge(change, old->stage, held, old->total, ops, count, all, &other);
	free(held);
	if (!change->failed)
		t = lpm_build(change, old->stage, old->base, all, n, cover);
	free(all);
	lpm_retire(change, old);
	return t;
}

/* The tables of /64s, as they are after the operations that are long, under the leaf's new short
 * prefixes. Returns how many; `out` has room for all. */
static size_t update_lowers(struct lpm_change *change, const struct lpm_table *old, const void *ops,
			    size_t count, uint32_t cover, const void *own, size_t own_count,
			    struct lower *out)
{
	size_t i = 0, n = 0, at = 0;

	while (!change->failed && (i < old->lower_count || at < count)) {
		const struct lower *held = i < old->lower_count ? &old->lower[i] : NULL;
		struct lpm_table *table = NULL;
		uint64_t upper;
		size_t end;

		if (at < count && !op_is_long(old->stage, ops, at)) {
			at++;
			continue;
		}
		end = at < count ? lpm_group_end(ops, count, at) : at;
		upper = at < count ? op_key(old->stage, ops, at) : 0;
		if (held &&
		    (at == count || held->upper < upper)) { /* as it was, but for its cover */
			upper = held->upper;
			end = at;
		} else if (held && held->upper > upper) {
			held = NULL;
		}
		const uint32_t below = lpm_cover_of(old->stage, own, own_count, upper, cover);
		const void *those = op_at(old->stage, ops, at);

		table = held ? update(change, held->table, those, end - at, below)
			     : lpm_build_added(change, STAGE_LOWER, those, end - at, below);
		i += held != NULL;
		at = end;
		if (change->failed)
			break;
		if (table->total == 0)
			lpm_retire(change, table);
		else
			out[n++] = (struct lower){upper, table};
	}
	return n;
}

/* A leaf of IPv6 with /64s that have tables of their own, or will have. */
static struct lpm_table *update_deep_leaf(struct lpm_change *change, struct lpm_table *old,
					  const void *ops, size_t count, size_t lowers,
					  uint32_t cover)
{
	const enum lpm_stage stage = old->stage;
	struct lpm_op6 *held = lpm_new_ops(change, stage, old->count);
	struct lpm_op6 *shorts = lpm_new_ops(change, stage, count);
	struct lpm_op6 *own = lpm_new_ops(change, stage, old->count + count);
	struct lower *lower = calloc(lowers + old->lower_count, sizeof(*lower));
	struct lpm_table *t = NULL;
	size_t n = 0;
	bool other = false;

	change->failed |= !lower;
	if (!change->failed) {
		lpm_expand(old, 0, held);
		for (size_t i = 0; i < count; i++)
			if (!op_is_long(stage, ops, i))
				shorts[n++] = *(const struct lpm_op6 *)op_at(stage, ops, i);
		n = lpm_merge(change, stage, held, old->count, shorts, n, own, &other);
	}
	if (!change->failed)
		lowers = update_lowers(change, old, ops, count, cover, own, n, lower);
	lpm_replace(change, old);
	if (change->failed)
		free(lower);
	else
		t = lpm_make_leaf(change, stage, old->base, cover, own, n, lower, lowers);
	free(held);
	free(shorts);
	free(own);
	return t;
}

static struct lpm_table *update_leaf(struct lpm_change *change, struct lpm_table *old,
				     const void *ops, size_t count, uint32_t cover)
{
	const enum lpm_stage stage = old->stage;
	struct lpm_op6 held[LEAF_MOST], merged[2 * LEAF_MOST];
	const void *rows = rows_of(old);
	size_t lowers, n = lpm_distinct(stage, ops, count, &lowers);
	struct lpm_table *t;
	bool other = false;

	if (old->count + n + old->lower_count > (stage == STAGE_IPV4 ? 2 : 1) * LEAF_MOST)
		return rebuild(change, old, ops, count, cover);
	if (lowers + old->lower_count > 0)
		return update_deep_leaf(change, old, ops, count, lowers, cover);
	if (stage != STAGE_IPV4) {
		lpm_expand(old, stage == STAGE_LOWER && count ? op_key(STAGE_UPPER, ops, 0) : 0,
			   held);
		rows = held;
	}
	n = lpm_merge(change, stage, rows, old->count, ops, count, merged, &other);
	if (change->failed || (!other && cover == old->cover))
		return old;
	t = lpm_build(change, stage, old->base, merged, n, cover);
	lpm_replace(change, old);
	return t;
}

/* The table of what is not in the window, after the operations that are not either. */
static struct lpm_table *update_outside(struct lpm_change *change, struct lpm_table *outside,
					const void *ops, const struct split *s, size_t count,
					uint32_t cover)
{
	const enum lpm_stage stage = outside->stage;
	const size_t size = op_size(stage), n = s->from + count - s->to;
	struct lpm_table *t;
	uint8_t *both;

	if (s->from == 0 || s->to == count)
		return update(change, outside, s->from ? ops : op_at(stage, ops, s->to), n, cover);
	both = lpm_new_ops(change, stage, n);
	if (!both)
		return NULL;
	memcpy(both, ops, s->from * size);
	memcpy(both + s->from * size, op_at(stage, ops, s->to), (count - s->to) * size);
	t = update(change, outside, both, n, cover);
	free(both);
	return t;
}

/* The rows of a directory, which are few. */
static void update_rows(struct lpm_change *change, struct lpm_table *t, const struct lpm_table *old,
			const void *ops, const struct split *s)
{
	if (s->own == 0) {
		lpm_copy_rows(t, old);
		return;
	}
	void *held = lpm_new_ops(change, old->stage, old->count);
	void *own = lpm_own_of(change, old->stage, ops, s);
	void *merged = lpm_new_ops(change, old->stage, old->count + s->own);
	bool other = false;
	size_t n = 0;

	if (!change->failed) {
		lpm_expand(old, old->stage == STAGE_LOWER ? op_key(STAGE_UPPER, own, 0) : 0, held);
		n = lpm_merge(change, old->stage, held, old->count, own, s->own, merged, &other);
	}
	if (!change->failed)
		lpm_put_rows(t, merged, n);
	free(held);
	free(own);
	free(merged);
}

static struct lpm_table *update_directory(struct lpm_change *change, struct lpm_table *old,
					  const void *ops, size_t count, uint32_t cover)
{
	const enum lpm_stage stage = old->stage;
	const size_t parts = (size_t)1 << old->bits;
	uint32_t covers[1U << MOST_BITS], window_cover;
	struct lpm_table *t;
	struct split s;
	bool painted;

	if (old->total + count > 8UL * old->built || old->total < old->built / 8)
		return rebuild(change, old, ops, count, cover);
	lpm_split(old, ops, count, &s);
	t = lpm_begin_directory(change, old, old->count + s.own);
	if (!t)
		return NULL;
	t->cover = cover;
	memcpy(t->part, old->part, (parts + 1) * sizeof(struct lpm_table *));
	t->part[parts] = update_outside(change, old->part[parts], ops, &s, count, cover);
	if (!change->failed)
		update_rows(change, t, old, ops, &s);
	if (change->failed)
		return NULL;
	window_cover = lpm_value_at(t->part[parts], t->first);
	painted = s.own > 0 || window_cover != lpm_value_at(old->part[parts], t->first);
	if (painted)
		lpm_paint(t, window_cover, covers);
	for (size_t i = 0, next = 0; !change->failed && i < parts; i++) {
		if (!painted) { /* on to the next that something is to be done in */
			if (next == s.count)
				break;
			i = s.part[next].part;
		}
		const bool some = next < s.count && s.part[next].part == i;
		const size_t first = some ? s.part[next].first : 0;
		const size_t end = some ? s.part[next].end : 0;

		next += some;
		t->part[i] = update(change, t->part[i], op_at(stage, ops, first), end - first,
				    painted ? covers[i] : t->part[i]->cover);
	}
	lpm_replace(change, old);
	return lpm_end_directory(change, t, old);
}

static struct lpm_table *update(struct lpm_change *change, struct lpm_table *old, const void *ops,
				size_t count, uint32_t cover)
{
	if (change->failed || (count == 0 && cover == old->cover))
		return old;
	return old->directory ? update_directory(change, old, ops, count, cover)
			      : update_leaf(change, old, ops, count, cover);
}

struct lpm_table *lpm_apply(struct lpm_change *change, int family, struct lpm_table *old,
			    const void *ops, size_t count)
{
	const enum lpm_stage stage = family == 4 ? STAGE_IPV4 : STAGE_UPPER;
	struct lpm_table *t;

	if (!old && count == 0)
		return NULL;
	t = old ? update(change, old, ops, count, LPM_NONE)
		: lpm_build_added(change, stage, ops, count, LPM_NONE);
	if (change->failed)
		return NULL;
	if (t->total > 0)
		return t;
	lpm_retire(change, t);
	return NULL;
}
