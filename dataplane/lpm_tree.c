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

static struct lpm_table *begin(struct lpm_change *change, enum lpm_stage stage)
{
	struct lpm_table *t = change->failed ? NULL : calloc(1, sizeof(*t));

	if (t && note(&change->fresh, t)) {
		t->stage = (uint8_t)stage;
		return t;
	}
	free(t);
	change->failed = true;
	return NULL;
}

static void free_one(struct lpm_table *t)
{
	arena_free(t->memory, t->lines);
	free(t->prefix);
	free(t->lower);
	free(t->part);
	free(t);
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

/* Sweeps the sorted prefixes and the /64s with a table of their own; `out` holds two each and one. */
static size_t intervals(const struct lpm_table *t, struct interval *out)
{
	struct sweep s = {.top = stage_top(t->stage), .cover = t->cover, .out = out};
	size_t j = 0;

	append(&s, 0, t->cover);
	for (size_t i = 0; i < t->count; i++) {
		const uint64_t key = load_key(t->stage, &t->prefix[i]);

		for (; j < t->lower_count && t->lower[j].upper < key; j++)
			open_at(&s, t->lower[j].upper, 0, LPM_LOWER | (uint32_t)j);
		open_at(&s, key, span(t->stage, prefix_length(t->stage, &t->prefix[i])),
			t->prefix[i].next_hop);
	}
	for (; j < t->lower_count; j++)
		open_at(&s, t->lower[j].upper, 0, LPM_LOWER | (uint32_t)j);
	close_before(&s, true, 0);
	return s.count;
}

struct lpm_table *lpm_make_leaf(struct lpm_change *change, enum lpm_stage stage, unsigned base,
				uint32_t cover, struct lpm_prefix *prefix, size_t count,
				struct lower *lower, size_t lower_count)
{
	struct interval on_stack[2 * LEAF_MOST + 1], *found = on_stack;
	struct lpm_table *t = begin(change, stage);
	const size_t most = 2 * (count + lower_count) + 1;

	if (!t) {
		free(prefix);
		free(lower);
		return NULL;
	}
	t->base = (uint8_t)base;
	t->cover = cover;
	t->prefix = prefix;
	t->lower = lower;
	t->count = t->total = count;
	t->lower_count = lower_count;
	for (size_t i = 0; i < lower_count; i++)
		t->total += lower[i].table->total;
	if (most > sizeof(on_stack) / sizeof(*on_stack))
		found = malloc(most * sizeof(*found));
	if (found) {
		const size_t n = intervals(t, found);
		const size_t front = (lower_count * sizeof(lpm_ref) + LINE - 1) / LINE;

		t->lines = front + lpm_block_lines(stage, n);
		t->memory = arena_alloc(t->lines);
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

struct lpm_table *lpm_make_directory(struct lpm_change *change, const struct lpm_table *shape,
				     const struct lpm_table *old)
{
	struct lpm_table *t = begin(change, shape->stage);
	const size_t parts = (size_t)1 << shape->bits;
	const unsigned shift = stage_bits(shape->stage) - shape->window - shape->bits;
	const bool split = shape->window == shape->base; /* nothing is outside */
	lpm_ref *entry;

	if (!t) {
		free(shape->prefix);
		free(shape->part);
		return NULL;
	}
	*t = *shape;
	t->directory = true;
	t->lines = ((split ? 0 : sizeof(struct lpm_window)) + (parts + !split) * sizeof(lpm_ref) +
		    LINE - 1) /
		   LINE;
	t->memory = arena_alloc(t->lines);
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
		t->ref = lpm_split_ref(t->memory, shift, t->bits);
	} else {
		struct lpm_window *w = t->memory;

		w->first = t->first;
		w->shift = shift;
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
		octets += sizeof(*t) + t->count * sizeof(*t->prefix) +
			  t->lower_count * sizeof(*t->lower) +
			  (t->directory ? (((size_t)1 << t->bits) + 1) * sizeof(*t->part) : 0);
	for (size_t i = 0; i < t->lower_count; i++)
		octets += lpm_bytes(t->lower[i].table, all);
	for (size_t i = 0; t->directory && i <= (size_t)1 << t->bits; i++)
		octets += lpm_bytes(t->part[i], all);
	return octets;
}

static const struct lpm_prefix *longest(const struct lpm_table *t, uint64_t key)
{
	const struct lpm_prefix *best = NULL;

	for (size_t i = 0; i < t->count; i++) {
		const struct lpm_prefix *p = &t->prefix[i];
		const uint64_t first = load_key(t->stage, p);

		if (first > key)
			break;
		if (key - first <= span(t->stage, prefix_length(t->stage, p)) &&
		    (!best || p->length > best->length))
			best = p;
	}
	return best;
}

uint32_t lpm_value_at(const struct lpm_table *t, uint64_t key)
{
	const struct lpm_prefix *found;

	while (t->directory)
		t = t->part[part_of(t, key)];
	found = longest(t, key);
	return found ? found->next_hop : t->cover;
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

const struct lpm_prefix *lpm_exact(const struct lpm_table *t, const struct lpm_prefix *prefix)
{
	size_t low = 0, high;

	while (t) {
		if (t->directory) {
			const enum place place = place_of(t, prefix);

			if (place == IN_DIRECTORY)
				break;
			t = t->part[place == OUTSIDE ? (size_t)1 << t->bits
						     : part_of(t, load_key(t->stage, prefix))];
		} else if (is_long(t->stage, prefix)) {
			t = lower_of(t, load_key(t->stage, prefix));
		} else {
			break;
		}
	}
	for (high = t ? t->count : 0; low < high;) {
		const size_t middle = (low + high) / 2;
		const int order = lpm_prefix_compare(&t->prefix[middle], prefix);

		if (order == 0)
			return &t->prefix[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct lpm_prefix *lpm_match(const struct lpm_table *t, const uint8_t *address)
{
	const struct lpm_prefix *found;

	if (!t)
		return NULL;
	const uint64_t key = prefix_key(t->stage, address);
	const size_t outside = (size_t)1 << t->bits;

	if (!t->directory) {
		found = lpm_match(lower_of(t, key), address);
		return found ? found : longest(t, key);
	}
	const size_t part = part_of(t, key);

	found = lpm_match(t->part[part], address);
	if (found || part == outside)
		return found;
	found = longest(t, key);
	return found ? found : lpm_match(t->part[outside], address);
}
