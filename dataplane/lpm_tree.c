/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes one leaf or directory, with what readers see of it, and takes it apart again; finds
 * prefixes. Nothing here changes a table that exists.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "lpm_tree.h"

static bool note(struct lpm_list *list, struct lpm_table *table)
{
	if (list->count == list->capacity) {
		const size_t capacity = list->capacity * 2 + 64;
		struct lpm_table **grown = realloc(list->table, capacity * sizeof(*grown));

		if (!grown)
			return false;
		list->table = grown;
		list->capacity = capacity;
	}
	list->table[list->count++] = table;
	return true;
}

/* With room for so many octets behind it. */
static struct lpm_table *begin(struct lpm_change *change, enum lpm_stage stage, size_t octets)
{
	const size_t lines = 1 + (octets + LINE - 1) / LINE;
	struct lpm_table *t = change->failed ? NULL : arena_alloc(ARENA_ROWS, lines);

	if (t && note(&change->fresh, t)) {
		*t = (struct lpm_table){.stage = (uint8_t)stage, .own_lines = (uint32_t)lines};
		return t;
	}
	arena_free(ARENA_ROWS, t, lines);
	change->failed = true;
	return NULL;
}

static void free_one(struct lpm_table *t)
{
	arena_free(ARENA_LOOKUP, t->memory, t->lines);
	if (!t->directory)
		free(t->lower);
	arena_free(ARENA_ROWS, t, t->own_lines);
}

void lpm_put_rows(struct lpm_table *t, const void *prefixes, size_t count)
{
	void *rows = t->part + part_count(t);

	t->count = (uint32_t)count;
	if (t->stage == STAGE_IPV4) {
		if (count > 0)
			memcpy(rows, prefixes, count * sizeof(lpm_op4));
		return;
	}
	for (size_t i = 0; i < count; i++)
		((struct row6 *)rows)[i] =
		    (struct row6){.key = op_key(t->stage, prefixes, i),
				  .value = op_length(t->stage, prefixes, i) << NEXT_HOP_BITS |
					   op_next_hop(t->stage, prefixes, i)};
}

void lpm_copy_rows(struct lpm_table *t, const struct lpm_table *from)
{
	t->count = from->count;
	memcpy(t->part + part_count(t), rows_of(from), from->count * row_size(from->stage));
}

/* --- intervals --- */

struct open_prefix {
	uint64_t last;
	uint32_t value;
};

struct sweep {
	uint64_t top;
	uint32_t cover;
	struct open_prefix open[66]; /* nested: one of each length, and that of a lower table */
	int depth;
	struct interval *out;
	size_t count;
};

/* A later interval of the same start replaces the earlier; equal neighbours become one. */
static void append(struct sweep *s, uint64_t start, uint32_t value)
{
	if (s->count > 0 && s->out[s->count - 1].start == start)
		s->count--;
	if (s->count > 0 && s->out[s->count - 1].value == value)
		return;
	s->out[s->count++] = (struct interval){start, value};
}

/* Closes the prefixes that end before `key`. */
static void close_before(struct sweep *s, bool all, uint64_t key)
{
	while (s->depth > 0 && (all || s->open[s->depth - 1].last < key)) {
		const uint64_t last = s->open[--s->depth].last;

		if (last != s->top)
			append(s, last + 1, s->depth ? s->open[s->depth - 1].value : s->cover);
	}
}

static void open_at(struct sweep *s, uint64_t key, uint64_t keys, uint32_t value)
{
	close_before(s, false, key);
	s->open[s->depth++] = (struct open_prefix){key + keys, value};
	append(s, key, value);
}

/* Sweeps the sorted rows and the /64s with a table of their own; `out` holds two each and one. */
static inline __attribute__((always_inline)) size_t
sweep(const struct lpm_table *t, enum lpm_stage stage, struct interval *out)
{
	struct sweep s = {.top = stage_top(stage), .cover = t->cover, .out = out};
	const void *rows = rows_of(t);
	size_t j = 0;

	append(&s, 0, t->cover);
	for (size_t i = 0; i < t->count; i++) {
		const struct row row = row_at(stage, rows, i);

		for (; stage == STAGE_UPPER && j < t->lower_count && t->lower[j].upper < row.key;
		     j++)
			open_at(&s, t->lower[j].upper, 0, LPM_LOWER | (uint32_t)j);
		open_at(&s, row.key, span(stage, row.length), row.next_hop);
	}
	for (; stage == STAGE_UPPER && j < t->lower_count; j++)
		open_at(&s, t->lower[j].upper, 0, LPM_LOWER | (uint32_t)j);
	close_before(&s, true, 0);
	return s.count;
}

static size_t intervals(const struct lpm_table *t, struct interval *out)
{
	switch (t->stage) {
	case STAGE_IPV4:
		return sweep(t, STAGE_IPV4, out);
	case STAGE_UPPER:
		return sweep(t, STAGE_UPPER, out);
	default:
		return sweep(t, STAGE_LOWER, out);
	}
}

struct lpm_table *lpm_make_leaf(struct lpm_change *change, enum lpm_stage stage, unsigned base,
				uint32_t cover, const void *prefixes, size_t count,
				struct lower *lower, size_t lower_count)
{
	struct interval on_stack[2 * LEAF_MOST + 1], *found = on_stack;
	struct lpm_table *t = begin(change, stage, count * row_size(stage));
	const size_t most = 2 * (count + lower_count) + 1;

	if (!t) {
		free(lower);
		return NULL;
	}
	t->base = (uint8_t)base;
	t->cover = cover;
	t->lower = lower;
	t->lower_count = (uint32_t)lower_count;
	lpm_put_rows(t, prefixes, count);
	t->total = t->count;
	for (size_t i = 0; i < lower_count; i++)
		t->total += lower[i].table->total;
	if (most > sizeof(on_stack) / sizeof(*on_stack))
		found = malloc(most * sizeof(*found));
	if (found) {
		const size_t n = intervals(t, found);
		const size_t front = (lower_count * sizeof(lpm_ref) + LINE - 1) / LINE;

		t->lines = (uint32_t)(front + lpm_block_lines(stage, n));
		t->memory = arena_alloc(ARENA_LOOKUP, t->lines);
		if (t->memory) {
			uint8_t *block = (uint8_t *)t->memory + front * LINE;

			for (size_t i = 0; i < lower_count; i++)
				((lpm_ref *)block)[-1 - (ptrdiff_t)i] = lower[i].table->ref;
			t->ref = lpm_block_write(stage, block, found, n);
		}
	}
	if (found != on_stack)
		free(found);
	change->failed |= !t->memory;
	return t->memory ? t : NULL;
}

struct lpm_table *lpm_begin_directory(struct lpm_change *change, const struct lpm_table *shape,
				      size_t rows)
{
	const size_t parts = ((size_t)1 << shape->bits) + 1;
	struct lpm_table *t =
	    begin(change, shape->stage,
		  parts * sizeof(struct lpm_table *) + rows * row_size(shape->stage));

	if (!t)
		return NULL;
	t->base = shape->base;
	t->window = shape->window;
	t->bits = shape->bits;
	t->first = shape->first;
	t->cover = shape->cover;
	t->built = shape->built;
	t->directory = true;
	memset(t->part, 0, parts * sizeof(struct lpm_table *));
	return t;
}

struct lpm_table *lpm_end_directory(struct lpm_change *change, struct lpm_table *t,
				    const struct lpm_table *old)
{
	const size_t parts = (size_t)1 << t->bits;
	const bool split = t->window == t->base; /* nothing is outside */
	lpm_ref *entry;

	if (change->failed)
		return NULL;
	t->lines = (uint32_t)(((split ? 0 : sizeof(struct lpm_window)) +
			       (parts + !split) * sizeof(lpm_ref) + LINE - 1) /
			      LINE);
	t->memory = arena_alloc(ARENA_LOOKUP, t->lines);
	if (!t->memory) {
		change->failed = true;
		return NULL;
	}
	if (old) { /* most parts are as they were: they are not even looked at */
		memcpy(t->memory, old->memory, t->lines * LINE);
		t->total = old->total - old->count + t->count;
	} else {
		t->total = t->count;
	}
	if (split) {
		entry = t->memory;
		t->ref = lpm_split_ref(t->memory, part_shift(t), t->bits);
	} else {
		struct lpm_window *w = t->memory;

		w->first = t->first;
		w->shift = part_shift(t);
		w->size = (uint32_t)parts;
		entry = w->entry;
		t->ref = (lpm_ref)(uintptr_t)w | LPM_WINDOW;
	}
	for (size_t i = 0; i <= parts; i++) {
		if (old && old->part[i] == t->part[i])
			continue;
		if (i < parts || !split)
			entry[i] = t->part[i]->ref;
		t->total += t->part[i]->total - (old ? old->part[i]->total : 0);
	}
	return t;
}

/* --- the end of tables --- */

static void each_below(struct lpm_table *t, void (*visit)(void *context, struct lpm_table *t),
		       void *context)
{
	for (size_t i = 0; i < t->lower_count; i++)
		visit(context, t->lower[i].table);
	for (size_t i = 0; t->directory && i <= (size_t)1 << t->bits; i++)
		visit(context, t->part[i]);
}

void lpm_replace(struct lpm_change *change, struct lpm_table *t)
{
	if (!note(&change->stale, t))
		change->failed = true;
}

static void retire_below(void *change, struct lpm_table *t)
{
	lpm_retire(change, t);
}

void lpm_retire(struct lpm_change *change, struct lpm_table *t)
{
	if (!t)
		return;
	each_below(t, retire_below, change);
	lpm_replace(change, t);
}

static void clear_below(void *change, struct lpm_table *t)
{
	lpm_clear(change, t);
}

void lpm_clear(struct lpm_change *change, struct lpm_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		lpm_tally(change, row_at(t->stage, rows_of(t), i).next_hop, -1);
	each_below(t, clear_below, change);
	lpm_replace(change, t);
}

void lpm_forget(struct lpm_list *list)
{
	free(list->table);
	*list = (struct lpm_list){0};
}

void lpm_drop(struct lpm_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free_one(list->table[i]);
	lpm_forget(list);
}

static void free_below(void *unused, struct lpm_table *t)
{
	(void)unused;
	lpm_free(t);
}

void lpm_free(struct lpm_table *t)
{
	if (!t)
		return;
	each_below(t, free_below, NULL);
	free_one(t);
}

/* --- asking --- */

lpm_ref lpm_reference(const struct lpm_table *t)
{
	return t ? t->ref : 0;
}

size_t lpm_count(const struct lpm_table *t)
{
	return t ? t->total : 0;
}

size_t lpm_bytes(const struct lpm_table *t, bool all)
{
	size_t octets;

	if (!t)
		return 0;
	octets = t->lines * LINE;
	if (all)
		octets += t->own_lines * LINE + t->lower_count * sizeof(*t->lower);
	for (size_t i = 0; i < t->lower_count; i++)
		octets += lpm_bytes(t->lower[i].table, all);
	for (size_t i = 0; t->directory && i <= (size_t)1 << t->bits; i++)
		octets += lpm_bytes(t->part[i], all);
	return octets;
}

/* Of a table's own rows. */
static bool longest(const struct lpm_table *t, uint64_t key, struct row *best)
{
	bool found = false;

	for (size_t i = 0; i < t->count; i++) {
		const struct row row = row_at(t->stage, rows_of(t), i);

		if (row.key > key)
			break;
		if (key - row.key <= span(t->stage, row.length) &&
		    (!found || row.length > best->length)) {
			*best = row;
			found = true;
		}
	}
	return found;
}

uint32_t lpm_value_at(const struct lpm_table *t, uint64_t key)
{
	struct row row;

	while (t->directory)
		t = t->part[part_of(t, key)];
	return longest(t, key, &row) ? row.next_hop : t->cover;
}

static const struct lpm_table *lower_of(const struct lpm_table *t, uint64_t upper)
{
	size_t low = 0, high = t->lower_count;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (t->lower[middle].upper == upper)
			return t->lower[middle].table;
		if (t->lower[middle].upper < upper)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool own_match(const struct lpm_table *t, uint64_t key, const uint8_t *address,
		      struct lpm_prefix *match)
{
	const bool low = t->stage == STAGE_LOWER;
	uint64_t word;
	struct row row;

	if (!longest(t, key, &row))
		return false;
	word = __builtin_bswap64(t->stage == STAGE_IPV4 ? row.key << 32 : row.key);
	*match = (struct lpm_prefix){.next_hop = row.next_hop,
				     .length = (uint8_t)(row.length + (low ? 64 : 0))};
	memcpy(match->address, low ? address : (const void *)&word, 8);
	if (low)
		memcpy(match->address + 8, &word, 8);
	return true;
}

bool lpm_match(const struct lpm_table *t, const uint8_t *address, struct lpm_prefix *match)
{
	if (!t)
		return false;
	const uint64_t word = lpm_word(address + (t->stage == STAGE_LOWER ? 8 : 0));
	const uint64_t key = t->stage == STAGE_IPV4 ? word >> 32 : word;

	if (!t->directory)
		return (t->lower_count > 0 && lpm_match(lower_of(t, key), address, match)) ||
		       own_match(t, key, address, match);
	const size_t part = part_of(t, key), outside = (size_t)1 << t->bits;

	if (lpm_match(t->part[part], address, match))
		return true;
	return part != outside &&
	       (own_match(t, key, address, match) || lpm_match(t->part[outside], address, match));
}
