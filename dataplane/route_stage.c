/* SPDX-License-Identifier: Apache-2.0
 * From route records to staged tables.
 */
#include "route_stage.h"

#include <stdlib.h>
#include <string.h>

int route_stage_init(struct route_stage *stage, size_t routes)
{
	stage->op = malloc((routes + 1) * sizeof(*stage->op));
	return stage->op ? 0 : -1;
}

struct ccsi *route_stage_touch(struct route_stage *stage, struct fib *fib, uint32_t id)
{
	struct ccsi *ccsi = fib->ccsi[id];

	if (!ccsi && !(ccsi = fib->ccsi[id] = calloc(1, sizeof(*ccsi))))
		return NULL;
	if (ccsi->touched)
		return ccsi;
	if (stage->ccsi_count == stage->ccsi_capacity) {
		size_t capacity = stage->ccsi_capacity * 2 + 16;
		uint32_t *ids = realloc(stage->ccsis, capacity * sizeof(*ids));

		if (!ids)
			return NULL;
		stage->ccsis = ids;
		stage->ccsi_capacity = capacity;
	}
	stage->ccsis[stage->ccsi_count++] = id;
	ccsi->touched = true;
	ccsi->after = ccsi->live;
	ccsi->staged_record = ccsi->record;
	return ccsi;
}

void route_stage_clear(struct ccsi *ccsi)
{
	ccsi->family[0].touched = ccsi->family[1].touched = true;
}

const char *route_fault(const struct ccn_route *route)
{
	unsigned bits = route->family == 4 ? 32 : 128;

	if (route->family != 4 && route->family != 6)
		return "family is not 4 or 6";
	if (route->length > bits)
		return "prefix length out of range";
	for (unsigned bit = route->length; bit < 128; bit++) {
		if (bit % 8 == 0 && route->prefix[bit / 8] == 0)
			bit += 7;
		else if (route->prefix[bit / 8] & 0x80 >> bit % 8)
			return "bits are set beyond the prefix length";
	}
	return NULL;
}

void route_stage_add(struct route_stage *stage, const struct ccn_route *route, bool remove,
		     uint32_t index)
{
	stage->op[stage->count++] =
	    (struct route_op){.route = route, .index = index, .remove = remove};
}

static int compare_keys(const struct ccn_route *a, const struct ccn_route *b)
{
	if (a->ccsi != b->ccsi)
		return a->ccsi < b->ccsi ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	int order = memcmp(a->prefix, b->prefix, 16);

	return order ? order : (int)a->length - (int)b->length;
}

static int compare_ops(const void *a, const void *b)
{
	const struct route_op *x = a, *y = b;
	int order = compare_keys(x->route, y->route);

	/* records lie in the transaction in the order in which they came */
	return order ? order : (x->route < y->route ? -1 : 1);
}

/* The first operation that belongs before its predecessor, or the number of all. */
static size_t run_end(const struct route_stage *stage, size_t first)
{
	size_t i = first + 1;

	while (i < stage->count && compare_ops(&stage->op[i - 1], &stage->op[i]) < 0)
		i++;
	return i < stage->count ? i : stage->count;
}

/* A client that sends additions in order and then removals in order has done most of the work. */
static void sort(struct route_stage *stage)
{
	size_t first = run_end(stage, 0), end = stage->count, n = 0;
	struct route_op *merged;

	if (first == end)
		return;
	merged = run_end(stage, first) == end ? malloc(end * sizeof(*merged)) : NULL;
	if (!merged) {
		qsort(stage->op, end, sizeof(*stage->op), compare_ops);
		return;
	}
	for (size_t i = 0, j = first; i < first || j < end;) {
		bool left =
		    j == end || (i < first && compare_ops(&stage->op[i], &stage->op[j]) < 0);

		merged[n++] = stage->op[left ? i++ : j++];
	}
	free(stage->op);
	stage->op = merged;
}

static void to_prefix(struct lpm_prefix *prefix, const struct ccn_route *route)
{
	*prefix = (struct lpm_prefix){.next_hop = route->next_hop, .length = route->length};
	memcpy(prefix->address, route->prefix, 16);
}

/* Merges the sorted operations of one table with the sorted routes it holds. */
static const char *merge(const struct route_set *held, const struct route_op *op, size_t ops,
			 struct route_set *merged, uint32_t *index)
{
	size_t i = 0, n = 0;

	merged->prefix = malloc((held->count + ops + 1) * sizeof(*merged->prefix));
	if (!merged->prefix) {
		*index = UINT32_MAX;
		return "out of memory; nothing was changed";
	}
	for (size_t j = 0; j < ops; j++) {
		struct lpm_prefix key;
		bool exists = false;

		to_prefix(&key, op[j].route);
		while (i < held->count && lpm_prefix_compare(&held->prefix[i], &key) < 0)
			merged->prefix[n++] = held->prefix[i++];
		if (i < held->count && lpm_prefix_compare(&held->prefix[i], &key) == 0) {
			exists = true;
			i++;
		}
		*index = op[j].index;
		if (op[j].remove && !exists)
			return "route: the one to remove does not exist";
		/* of several records for one prefix the last counts */
		while (j + 1 < ops && compare_keys(op[j].route, op[j + 1].route) == 0)
			j++;
		if (!op[j].remove)
			to_prefix(&merged->prefix[n++], op[j].route);
	}
	while (i < held->count)
		merged->prefix[n++] = held->prefix[i++];
	merged->count = n;
	/* replaced and removed routes have left room: it would stay as long as the table */
	struct lpm_prefix *fitting = realloc(merged->prefix, (n + 1) * sizeof(*fitting));

	if (fitting)
		merged->prefix = fitting;
	return NULL;
}

static const char *build_table(struct ccsi *ccsi, const struct route_op *op, size_t ops,
			       uint32_t *index)
{
	static const struct route_set nothing;
	const bool v6 = op->route->family == 6;
	/* a table cleared before starts from nothing */
	const struct route_set *held = ccsi->family[v6].touched ? &nothing : &ccsi->family[v6].now;
	const char *fault;

	ccsi->family[v6].touched = true;
	fault = merge(held, op, ops, &ccsi->family[v6].staged, index);
	if (fault)
		return fault;
	if (ccsi->family[v6].staged.count == 0)
		return NULL;
	ccsi->family[v6].staged_lpm =
	    lpm_build(v6 ? 6 : 4, ccsi->family[v6].staged.prefix, ccsi->family[v6].staged.count);
	if (ccsi->family[v6].staged_lpm)
		return NULL;
	*index = UINT32_MAX;
	return "out of memory; nothing was changed";
}

static void count_references(struct fib *fib, const struct route_set *routes, int delta)
{
	for (size_t i = 0; i < routes->count; i++) {
		uint32_t slot = routes->prefix[i].next_hop;

		fib->next_hop_page[slot / PAGE][slot % PAGE].references += (uint32_t)delta;
	}
}

/* References as they are once the staged tables are in force (sign 1), or as before (-1). */
static void count_all(struct route_stage *stage, struct fib *fib, int sign)
{
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];

		for (unsigned f = 0; f < 2; f++) {
			if (!ccsi->family[f].touched)
				continue;
			count_references(fib, &ccsi->family[f].now, -sign);
			count_references(fib, &ccsi->family[f].staged, sign);
		}
	}
	stage->counted = sign > 0;
}

const char *route_stage_build(struct route_stage *stage, struct fib *fib, uint32_t *index)
{
	const char *fault;

	sort(stage);
	for (size_t first = 0, end; first < stage->count; first = end) {
		const struct ccn_route *r = stage->op[first].route;
		struct ccsi *ccsi = route_stage_touch(stage, fib, r->ccsi);

		for (end = first; end < stage->count; end++)
			if (stage->op[end].route->ccsi != r->ccsi ||
			    stage->op[end].route->family != r->family)
				break;
		*index = UINT32_MAX;
		if (!ccsi)
			return "out of memory; nothing was changed";
		fault = build_table(ccsi, &stage->op[first], end - first, index);
		if (fault)
			return fault;
	}
	count_all(stage, fib, 1);
	return NULL;
}

void route_stage_publish(struct route_stage *stage, struct fib *fib)
{
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		uint32_t id = stage->ccsis[i];
		struct ccsi *ccsi = fib->ccsi[id];

		ccsi->record = ccsi->staged_record;
		ccsi->live = ccsi->after;
		for (unsigned f = 0; f < 2; f++) {
			if (!ccsi->family[f].touched)
				continue;
			struct lpm *old = fib->lpm[f][id];
			struct route_set now = ccsi->family[f].now;

			__atomic_store_n(&fib->lpm[f][id], ccsi->family[f].staged_lpm,
					 __ATOMIC_RELEASE);
			fib->routes += ccsi->family[f].staged.count - now.count;
			ccsi->family[f].now = ccsi->family[f].staged;
			ccsi->family[f].staged = now;
			ccsi->family[f].staged_lpm = old;
		}
	}
}

void route_stage_clean(struct route_stage *stage, struct fib *fib, bool published)
{
	if (!published && stage->counted)
		count_all(stage, fib, -1);
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];

		ccsi->touched = false;
		ccsi->after = ccsi->live;
		for (unsigned f = 0; f < 2; f++) {
			free(ccsi->family[f].staged.prefix);
			lpm_free(ccsi->family[f].staged_lpm);
			ccsi->family[f].staged = (struct route_set){0};
			ccsi->family[f].staged_lpm = NULL;
			ccsi->family[f].touched = false;
		}
	}
	free(stage->op);
	free(stage->ccsis);
}
