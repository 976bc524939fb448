/* SPDX-License-Identifier: Apache-2.0
 * From route records to staged tables.
 */
#include "route_stage.h"

#include <stdlib.h>
#include <string.h>

#include "reclaim.h"

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
	ccsi->emptied = true;
	ccsi->family[0].touched = ccsi->family[1].touched = true;
}

const char *route_fault(const struct ccn_route *route)
{
	unsigned bits = route->family == 4 ? 32 : 128;

	if (route->family != 4 && route->family != 6)
		return "family is not 4 or 6";
	if (route->length > bits)
		return "prefix length out of range";
	for (unsigned at = 0; at < 2; at++) {
		const unsigned before = at * 64;
		const unsigned kept = route->length > before ? route->length - before : 0;
		uint64_t word;

		memcpy(&word, route->prefix + at * 8, 8);
		if (kept < 64 && __builtin_bswap64(word) & UINT64_MAX >> kept)
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
	const int order = lpm_address_compare(a->prefix, b->prefix);

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

static const char no_memory[] = "out of memory; nothing was changed";

/* One reference more or (`~slot`) fewer. */
static bool count_reference(struct route_stage *stage, struct fib *fib, uint32_t slot)
{
	if (stage->counted_count == stage->counted_capacity) {
		size_t capacity = stage->counted_capacity * 2 + stage->count + 16;
		uint32_t *grown = realloc(stage->counted, capacity * sizeof(*grown));

		if (!grown)
			return false;
		stage->counted = grown;
		stage->counted_capacity = capacity;
	}
	stage->counted[stage->counted_count++] = slot;
	const uint32_t at = slot < 1 << 24 ? slot : ~slot;

	fib->next_hop_page[at / PAGE][at % PAGE].references += at == slot ? 1U : -1U;
	return true;
}

static void take_references_back(struct route_stage *stage, struct fib *fib)
{
	for (size_t i = 0; i < stage->counted_count; i++) {
		const uint32_t slot = stage->counted[i];
		const uint32_t at = slot < 1 << 24 ? slot : ~slot;

		fib->next_hop_page[at / PAGE][at % PAGE].references += at == slot ? -1U : 1U;
	}
}

/* The operations of one table on what it holds, each prefix once, those that change nothing left
 * out; their number. Of several records for one prefix the last counts. SIZE_MAX: see *fault. */
static size_t settle(struct route_stage *stage, struct fib *fib, const struct lpm_table *held,
		     const struct route_op *op, size_t ops, struct lpm_prefix *out, uint32_t *index,
		     const char **fault)
{
	size_t n = 0;

	for (size_t j = 0; j < ops; j++) {
		struct lpm_prefix *key = &out[n];
		const struct lpm_prefix *exact;
		bool counted = true;

		to_prefix(key, op[j].route);
		exact = lpm_exact(held, key);
		*index = op[j].index;
		if (op[j].remove && !exact) {
			*fault = "route: the one to remove does not exist";
			return SIZE_MAX;
		}
		while (j + 1 < ops && compare_keys(op[j].route, op[j + 1].route) == 0)
			j++;
		if (exact)
			counted = count_reference(stage, fib, ~exact->next_hop);
		key->next_hop = op[j].remove ? LPM_NONE : op[j].route->next_hop;
		if (!op[j].remove)
			counted = counted && count_reference(stage, fib, key->next_hop);
		if (!counted) {
			*index = UINT32_MAX;
			*fault = no_memory;
			return SIZE_MAX;
		}
		n += exact || !op[j].remove;
	}
	return n;
}

static const char *build_table(struct route_stage *stage, struct fib *fib, struct ccsi *ccsi,
			       const struct route_op *op, size_t ops, uint32_t *index)
{
	const bool v6 = op->route->family == 6;
	struct lpm_prefix *prefix = malloc(ops * sizeof(*prefix));
	/* a table cleared before starts from nothing */
	struct lpm_table *held = ccsi->family[v6].touched ? NULL : ccsi->family[v6].now;
	const char *fault = NULL;
	size_t n = 0;

	ccsi->family[v6].touched = true;
	*index = UINT32_MAX;
	if (prefix)
		n = settle(stage, fib, held, op, ops, prefix, index, &fault);
	if (prefix && !fault) {
		*index = UINT32_MAX;
		ccsi->family[v6].staged = lpm_apply(&stage->change, v6 ? 6 : 4, held, prefix, n);
	}
	free(prefix);
	if (!fault && (!prefix || stage->change.failed))
		fault = no_memory;
	return fault;
}

/* The routes of tables that are cleared refer to nothing any more. */
static bool retire_cleared(struct route_stage *stage, struct fib *fib)
{
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		for (unsigned f = 0; f < 2; f++) {
			const struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];
			struct lpm_table *table = ccsi->family[f].now;
			const size_t count = lpm_count(table);
			struct lpm_prefix *rows;
			bool done;

			if (!ccsi->family[f].touched || count == 0)
				continue;
			rows = malloc(count * sizeof(*rows));
			done = rows && lpm_list_all(table, rows);
			for (size_t j = 0; done && j < count; j++)
				done = count_reference(stage, fib, ~rows[j].next_hop);
			free(rows);
			if (!done)
				return false;
			lpm_retire(&stage->change, table);
		}
	}
	return !stage->change.failed;
}

const char *route_stage_build(struct route_stage *stage, struct fib *fib, uint32_t *index)
{
	const char *fault;

	*index = UINT32_MAX;
	if (!retire_cleared(stage, fib))
		return no_memory;
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
			return no_memory;
		fault = build_table(stage, fib, ccsi, &stage->op[first], end - first, index);
		if (fault)
			return fault;
	}
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
			struct lpm_table *staged = ccsi->family[f].staged;

			__atomic_store_n(&fib->lpm[f][id], lpm_reference(staged), __ATOMIC_RELEASE);
			fib->routes += lpm_count(staged) - lpm_count(ccsi->family[f].now);
			ccsi->family[f].now = staged;
		}
	}
}

void route_stage_clean(struct route_stage *stage, struct fib *fib, bool published)
{
	if (!published)
		take_references_back(stage, fib);
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];

		ccsi->touched = ccsi->emptied = false;
		ccsi->after = ccsi->live;
		for (unsigned f = 0; f < 2; f++) {
			ccsi->family[f].staged = NULL;
			ccsi->family[f].touched = false;
		}
	}
	if (published) {
		lpm_forget(&stage->change.fresh);
		reclaim_later(&stage->change.stale);
	} else {
		lpm_drop(&stage->change.fresh);
		lpm_forget(&stage->change.stale);
	}
	free(stage->op);
	free(stage->ccsis);
	free(stage->counted);
}
