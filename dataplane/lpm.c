/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes a table: the leaves that prefixes belong to are made anew, and the directories above
 * them; all else is shared with the table before. A prefix that covers several parts of a directory
 * costs as much as these parts are large.
 */
#include "lpm.h"

#include <stdlib.h>
#include <string.h>

#include "lpm_tree.h"

static struct lpm_table *update(struct lpm_change *change, struct lpm_table *old,
				const struct lpm_prefix *op, size_t ops, uint32_t cover);
static struct lpm_table *build(struct lpm_change *change, enum lpm_stage stage, unsigned base,
			       const struct lpm_prefix *prefix, size_t count, uint32_t cover);

static struct lpm_prefix *new_prefixes(struct lpm_change *change, size_t count)
{
	struct lpm_prefix *made =
	    change->failed ? NULL : malloc((count + 1) * sizeof(struct lpm_prefix));

	change->failed |= !made;
	return made;
}

/* Changes sorted prefixes by sorted operations; `out` holds both. Returns how many are left. */
static size_t merge(const struct lpm_prefix *held, size_t count, const struct lpm_prefix *op,
		    size_t ops, struct lpm_prefix *out)
{
	size_t i = 0, n = 0;

	for (size_t j = 0; j < ops; j++) {
		int order = -1;

		while (i < count && (order = lpm_prefix_compare(&held[i], &op[j])) < 0)
			out[n++] = held[i++];
		i += order == 0 && i < count;
		if (op[j].next_hop != LPM_NONE)
			out[n++] = op[j];
	}
	memcpy(out + n, held + i, (count - i) * sizeof(*out));
	return n + count - i;
}

/* --- from nothing --- */

/* Prefixes of the stage, those of one /64 that are longer counting once; `lowers`: such /64s. */
static size_t distinct(enum lpm_stage stage, const struct lpm_prefix *prefix, size_t count,
		       size_t *lowers)
{
	size_t n = 0;
	uint64_t key = 0;

	*lowers = 0;
	for (size_t i = 0; i < count; i++) {
		if (!is_long(stage, &prefix[i]))
			n++;
		else if (*lowers == 0 || load_key(stage, &prefix[i]) != key) {
			++*lowers;
			key = load_key(stage, &prefix[i]);
		}
	}
	return n + *lowers;
}

/* Operations or prefixes from `i` on that are in the same /64. */
static size_t group_end(const struct lpm_prefix *prefix, size_t count, size_t i)
{
	const uint64_t upper = load_key(STAGE_UPPER, &prefix[i]);
	size_t end = i;

	while (end < count && load_key(STAGE_UPPER, &prefix[end]) == upper)
		end++;
	return end;
}

/* What a key matches among sorted prefixes, or `cover`. */
static uint32_t cover_of(enum lpm_stage stage, const struct lpm_prefix *prefix, size_t count,
			 uint64_t key, uint32_t cover)
{
	int best = -1;

	for (size_t i = 0; i < count; i++) {
		const uint64_t first = load_key(stage, &prefix[i]);

		if (first > key)
			break;
		if (key - first <= span(stage, prefix[i].length) && prefix[i].length > best) {
			best = prefix[i].length;
			cover = prefix[i].next_hop;
		}
	}
	return cover;
}

static struct lpm_table *build_leaf(struct lpm_change *change, enum lpm_stage stage, unsigned base,
				    const struct lpm_prefix *prefix, size_t count, size_t lowers,
				    uint32_t cover)
{
	struct lpm_prefix *own = new_prefixes(change, count);
	struct lower *lower = lowers ? calloc(lowers, sizeof(*lower)) : NULL;
	size_t n = 0, made = 0, end;

	change->failed |= lowers && !lower;
	for (size_t i = 0; !change->failed && i < count; i = end) {
		end = i + 1;
		if (!is_long(stage, &prefix[i])) {
			own[n++] = prefix[i];
			continue;
		}
		/* those of a /64 stand together, behind all that covers it */
		end = group_end(prefix, count, i);
		lower[made].upper = load_key(stage, &prefix[i]);
		lower[made].table = build(change, STAGE_LOWER, 0, prefix + i, end - i,
					  cover_of(stage, own, n, lower[made].upper, cover));
		made++;
	}
	return lpm_make_leaf(change, stage, base, cover, own, n, lower, made);
}

/* The value of each part of a directory by the prefixes that are too short for one. */
static void paint(const struct lpm_table *t, uint32_t window_cover, uint32_t *cover)
{
	const size_t parts = (size_t)1 << t->bits;

	for (size_t i = 0; i < parts; i++)
		cover[i] = window_cover;
	for (size_t i = 0; i < t->count; i++) { /* the longer behind the shorter */
		const struct lpm_prefix *p = &t->prefix[i];
		const size_t first = part_of(t, load_key(t->stage, p));
		const size_t covered = parts >> (prefix_length(t->stage, p) - t->window);

		for (size_t j = first; j < first + covered; j++)
			cover[j] = p->next_hop;
	}
}

/* The window that holds all prefixes but those that cover it, and how to split it. */
static struct lpm_table shape_of(enum lpm_stage stage, unsigned base,
				 const struct lpm_prefix *prefix, size_t count,
				 size_t distinct_prefixes, uint32_t cover)
{
	const uint64_t last = load_key(stage, &prefix[count - 1]);
	struct lpm_table t = {
	    .stage = (uint8_t)stage, .base = (uint8_t)base, .cover = cover, .built = count};
	unsigned bits = 1, window;
	uint64_t differ;

	while (last - load_key(stage, prefix) <= span(stage, prefix_length(stage, prefix)))
		prefix++;
	differ = load_key(stage, prefix) ^ last;
	window = stage_bits(stage) - (64U - (unsigned)__builtin_clzll(differ));
	while (distinct_prefixes >> bits > PART_AIM)
		bits++;
	if (window - base < SKIP_LEAST) { /* some parts empty, and nothing outside */
		bits += window - base;
		window = base;
	}
	t.window = (uint8_t)window;
	t.first = last & ~span(stage, window);
	if (bits > MOST_BITS)
		bits = MOST_BITS;
	if (bits > stage_bits(stage) - window)
		bits = stage_bits(stage) - window;
	t.bits = (uint8_t)bits;
	return t;
}

/* Prefixes, sorted, all of which and all keys that come here share `base` bits. */
static struct lpm_table *build(struct lpm_change *change, enum lpm_stage stage, unsigned base,
			       const struct lpm_prefix *prefix, size_t count, uint32_t cover)
{
	size_t lowers;
	const size_t n = distinct(stage, prefix, count, &lowers);

	if (n <= LEAF_MOST)
		return build_leaf(change, stage, base, prefix, count, lowers, cover);

	struct lpm_table t = shape_of(stage, base, prefix, count, n, cover);
	const size_t parts = (size_t)1 << t.bits;
	size_t at = 0, end;
	uint32_t *covers = malloc(parts * sizeof(*covers));

	while (place_of(&t, &prefix[at]) == OUTSIDE)
		at++;
	t.part = calloc(parts + 1, sizeof(struct lpm_table *));
	for (size_t i = at; i < count; i++)
		t.count += place_of(&t, &prefix[i]) == IN_DIRECTORY;
	t.prefix = new_prefixes(change, t.count);
	change->failed |= !t.part || !covers;
	t.count = 0;
	for (size_t i = at; !change->failed && i < count; i++)
		if (place_of(&t, &prefix[i]) == IN_DIRECTORY)
			t.prefix[t.count++] = prefix[i];
	if (!change->failed)
		t.part[parts] = build(change, stage, base, prefix, at, cover);
	if (!change->failed)
		paint(&t, lpm_value_at(t.part[parts], t.first), covers);
	for (size_t i = 0; !change->failed && i < parts; i++) {
		/* those of the directory itself stand before all others of a part */
		while (at < count && place_of(&t, &prefix[at]) == IN_DIRECTORY &&
		       part_of(&t, load_key(stage, &prefix[at])) == i)
			at++;
		for (end = at; end < count && part_of(&t, load_key(stage, &prefix[end])) == i;)
			end++;
		t.part[i] =
		    build(change, stage, t.window + t.bits, prefix + at, end - at, covers[i]);
		at = end;
	}
	free(covers);
	return lpm_make_directory(change, &t, NULL);
}

/* --- from what there was --- */

/* Two sorted runs, one behind the other, become one. */
static void join(struct lpm_change *change, struct lpm_prefix *run, size_t first, size_t second)
{
	struct lpm_prefix *copy;

	if (first == 0 || second == 0 || lpm_prefix_compare(&run[first - 1], &run[first]) < 0)
		return;
	copy = new_prefixes(change, second);
	if (!copy)
		return;
	memcpy(copy, run + first, second * sizeof(*copy));
	for (size_t at = first + second; second > 0;) {
		const bool from_first =
		    first > 0 && lpm_prefix_compare(&run[first - 1], &copy[second - 1]) > 0;

		run[--at] = from_first ? run[--first] : copy[--second];
	}
	free(copy);
}

/* All prefixes, sorted, to `out`; how many. */
static size_t flatten(struct lpm_change *change, const struct lpm_table *t, struct lpm_prefix *out)
{
	size_t n = 0, outside;

	for (size_t i = 0; t->directory && i < (size_t)1 << t->bits; i++)
		n += flatten(change, t->part[i], out + n);
	for (size_t i = 0; i < t->lower_count; i++)
		n += flatten(change, t->lower[i].table, out + n);
	memcpy(out + n, t->prefix, t->count * sizeof(*out));
	join(change, out, n, t->count);
	n += t->count;
	if (!t->directory)
		return n;
	outside = flatten(change, t->part[(size_t)1 << t->bits], out + n);
	join(change, out, n, outside);
	return n + outside;
}

bool lpm_list_all(const struct lpm_table *t, struct lpm_prefix *out)
{
	struct lpm_change change = {0};

	if (t)
		flatten(&change, t, out);
	return !change.failed;
}

/* All of it anew. */
static struct lpm_table *rebuild(struct lpm_change *change, struct lpm_table *old,
				 const struct lpm_prefix *op, size_t ops, uint32_t cover)
{
	struct lpm_prefix *held = new_prefixes(change, old->total);
	struct lpm_prefix *all = new_prefixes(change, old->total + ops);
	struct lpm_table *t = NULL;

	if (!change->failed) {
		flatten(change, old, held);
		const size_t count = merge(held, old->total, op, ops, all);

		t = change->failed ? NULL : build(change, old->stage, old->base, all, count, cover);
		lpm_retire(change, old);
	}
	free(held);
	free(all);
	return t;
}

/* The tables of /64s, as they are after the operations that are long, under the leaf's new short
 * prefixes. Returns how many; `out` has room for all. */
static size_t update_lowers(struct lpm_change *change, const struct lpm_table *old,
			    const struct lpm_prefix *op, size_t ops, uint32_t cover,
			    const struct lpm_prefix *own, size_t count, struct lower *out)
{
	size_t i = 0, n = 0, at = 0;

	while (!change->failed && (i < old->lower_count || at < ops)) {
		const struct lower *held = i < old->lower_count ? &old->lower[i] : NULL;
		struct lpm_table *table = NULL;
		uint64_t upper;
		size_t end;

		if (at < ops && !is_long(old->stage, &op[at])) {
			at++;
			continue;
		}
		end = at < ops ? group_end(op, ops, at) : at;
		upper = at < ops ? load_key(old->stage, &op[at]) : 0;
		if (held && (at == ops || held->upper < upper)) { /* as it was, but for its cover */
			upper = held->upper;
			end = at;
		} else if (held && held->upper > upper) {
			held = NULL;
		}
		const uint32_t below = cover_of(old->stage, own, count, upper, cover);

		table = held ? update(change, held->table, op + at, end - at, below)
			     : build(change, STAGE_LOWER, 0, op + at, end - at, below);
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

static struct lpm_table *update_leaf(struct lpm_change *change, struct lpm_table *old,
				     const struct lpm_prefix *op, size_t ops, uint32_t cover)
{
	size_t longs = 0, lowers, n = distinct(old->stage, op, ops, &lowers);
	struct lpm_prefix *own, *shorts = NULL;
	struct lower *lower = NULL;

	if (old->count + old->lower_count + n > LEAF_MOST)
		return rebuild(change, old, op, ops, cover);
	for (size_t i = 0; lowers > 0 && i < ops; i++)
		longs += is_long(old->stage, &op[i]);
	own = new_prefixes(change, old->count + ops - longs);
	if (longs > 0) {
		shorts = new_prefixes(change, ops);
		n = 0;
		for (size_t i = 0; shorts && i < ops; i++)
			if (!is_long(old->stage, &op[i]))
				shorts[n++] = op[i];
	}
	n = change->failed ? 0
			   : merge(old->prefix, old->count, shorts ? shorts : op, ops - longs, own);
	free(shorts);
	if (lowers + old->lower_count > 0) {
		lower = calloc(lowers + old->lower_count, sizeof(*lower));
		change->failed |= !lower;
		if (!change->failed)
			lowers = update_lowers(change, old, op, ops, cover, own, n, lower);
	}
	lpm_replace(change, old);
	return lpm_make_leaf(change, old->stage, old->base, cover, own, n, lower, lowers);
}

/* The table of what is not in the window, after the operations before `from` and from `to` on. */
static struct lpm_table *update_outside(struct lpm_change *change, struct lpm_table *outside,
					const struct lpm_prefix *op, size_t from, size_t to,
					size_t ops, uint32_t cover)
{
	struct lpm_prefix *both;
	struct lpm_table *t;

	if (from == 0 || to == ops)
		return update(change, outside, from ? op : op + to, from + ops - to, cover);
	both = new_prefixes(change, from + ops - to);
	if (!both)
		return NULL;
	memcpy(both, op, from * sizeof(*both));
	memcpy(both + from, op + to, (ops - to) * sizeof(*both));
	t = update(change, outside, both, from + ops - to, cover);
	free(both);
	return t;
}

/* The parts after operations on what is in the window; `covers`: the value of each. */
static void update_parts(struct lpm_change *change, struct lpm_table *t,
			 const struct lpm_prefix *op, size_t ops, const uint32_t *covers)
{
	size_t at = 0, end;

	for (size_t i = 0; !change->failed && i < (size_t)1 << t->bits; i++) {
		while (at < ops && place_of(t, &op[at]) == IN_DIRECTORY)
			at++;
		if (!covers) { /* on to the next that something is to be done in */
			if (at == ops)
				break;
			i = part_of(t, load_key(t->stage, &op[at]));
		}
		for (end = at; end < ops && place_of(t, &op[end]) == IN_PART &&
			       part_of(t, load_key(t->stage, &op[end])) == i;)
			end++;
		t->part[i] = update(change, t->part[i], op + at, end - at,
				    covers ? covers[i] : t->part[i]->cover);
		at = end;
	}
}

static struct lpm_table *update_directory(struct lpm_change *change, struct lpm_table *old,
					  const struct lpm_prefix *op, size_t ops, uint32_t cover)
{
	const size_t parts = (size_t)1 << old->bits;
	struct lpm_table t = *old;
	size_t from = 0, to = ops, own = 0;
	uint32_t *covers = NULL, window_cover;
	struct lpm_prefix *mine;

	if (old->total + ops > 8 * old->built || old->total < old->built / 8)
		return rebuild(change, old, op, ops, cover);
	while (from < ops && place_of(old, &op[from]) == OUTSIDE)
		from++;
	while (to > from && place_of(old, &op[to - 1]) == OUTSIDE)
		to--;
	for (size_t i = from; i < to; i++)
		own += place_of(old, &op[i]) == IN_DIRECTORY;
	t.cover = cover;
	t.prefix = new_prefixes(change, old->count + own);
	t.part = malloc((parts + 1) * sizeof(struct lpm_table *));
	mine = own ? new_prefixes(change, own) : NULL;
	change->failed |= !t.part;
	if (change->failed)
		goto done;
	memcpy(t.part, old->part, (parts + 1) * sizeof(struct lpm_table *));
	t.part[parts] = update_outside(change, old->part[parts], op, from, to, ops, cover);
	own = 0;
	for (size_t i = from; mine && i < to; i++)
		if (place_of(old, &op[i]) == IN_DIRECTORY)
			mine[own++] = op[i];
	t.count = merge(old->prefix, old->count, mine, own, t.prefix);
	if (change->failed)
		goto done;
	window_cover = lpm_value_at(t.part[parts], t.first);
	if (own > 0 || window_cover != lpm_value_at(old->part[parts], t.first)) {
		covers = malloc(parts * sizeof(*covers));
		change->failed |= !covers;
		if (covers)
			paint(&t, window_cover, covers);
	}
	update_parts(change, &t, op + from, to - from, covers);
done:
	free(covers);
	free(mine);
	lpm_replace(change, old);
	return lpm_make_directory(change, &t, old);
}

static struct lpm_table *update(struct lpm_change *change, struct lpm_table *old,
				const struct lpm_prefix *op, size_t ops, uint32_t cover)
{
	if (change->failed || (ops == 0 && cover == old->cover))
		return old;
	return old->directory ? update_directory(change, old, op, ops, cover)
			      : update_leaf(change, old, op, ops, cover);
}

struct lpm_table *lpm_apply(struct lpm_change *change, int family, struct lpm_table *old,
			    const struct lpm_prefix *prefix, size_t count)
{
	const enum lpm_stage stage = family == 4 ? STAGE_IPV4 : STAGE_UPPER;
	struct lpm_table *t;

	if (!old && count == 0)
		return NULL;
	t = old ? update(change, old, prefix, count, LPM_NONE)
		: build(change, stage, 0, prefix, count, LPM_NONE);
	if (change->failed)
		return NULL;
	if (t->total > 0)
		return t;
	lpm_retire(change, t);
	return NULL;
}
