/* SPDX-License-Identifier: Apache-2.0
 * From route records to sorted operations: runs that are in order are merged, two and two.
 */
#include "route_ops.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"

int route_ops_init(struct route_ops *ops, size_t routes)
{
	ops->capacity = routes + 1;
	ops->v4 = arena_scratch(ops->capacity * sizeof(*ops->v4));
	ops->v6 = arena_scratch(ops->capacity * sizeof(*ops->v6));
	return ops->v4 && ops->v6 ? 0 : -1;
}

void route_ops_free(struct route_ops *ops)
{
	arena_scratch_free(ops->v4, ops->capacity * sizeof(*ops->v4));
	arena_scratch_free(ops->v6, ops->capacity * sizeof(*ops->v6));
	free(ops->run);
}

const char *route_fault(const struct ccn_route *route)
{
	if (route->family != 4 && route->family != 6)
		return "family is not 4 or 6";
	if (route->length > (route->family == 4 ? 32 : 128))
		return "prefix length out of range";
	return route_is_right(route) ? NULL : "bits are set beyond the prefix length";
}

static bool begin_run(struct route_ops *ops, uint32_t table)
{
	if (ops->run_count == ops->run_capacity) {
		const size_t capacity = ops->run_capacity * 2 + 16;
		struct route_run *grown = realloc(ops->run, capacity * sizeof(*grown));

		if (!grown)
			return false;
		ops->run = grown;
		ops->run_capacity = capacity;
	}
	ops->run[ops->run_count++] =
	    (struct route_run){.table = table, .first = ops->count[table & 1]};
	return true;
}

/* Each writes operations as long as they are in order, at least one; how many. */
static inline __attribute__((always_inline)) size_t
ascend4(lpm_op4 *op, const struct ccn_route *route, size_t count, bool remove)
{
	const unsigned flags = remove ? LPM_REMOVE | LPM_MUST : 0;
	size_t n = 0;

	do {
		op[n] = lpm_make_op4(route[n].prefix, route[n].length,
				     remove ? 0 : route[n].next_hop, flags);
		if (n > 0 && lpm_op4_prefix(op[n]) <= lpm_op4_prefix(op[n - 1]))
			break;
	} while (++n < count);
	return n;
}

static size_t ascend6(struct lpm_op6 *op, const struct ccn_route *route, size_t count, bool remove)
{
	const unsigned flags = remove ? LPM_REMOVE | LPM_MUST : 0;
	size_t n = 0;

	do {
		op[n] = lpm_make_op6(route[n].prefix, route[n].length,
				     remove ? 0 : route[n].next_hop, flags);
		if (n > 0 && lpm_op6_compare(&op[n], &op[n - 1]) <= 0)
			break;
	} while (++n < count);
	return n;
}

bool route_ops_add(struct route_ops *ops, const struct ccn_route *route, size_t count, bool remove)
{
	const bool v6 = route->family == 6;
	const uint32_t table = route_table(route->ccsi, v6);

	for (size_t n; count > 0; route += n, count -= n) {
		const struct route_run *run = ops->run_count ? &ops->run[ops->run_count - 1] : NULL;
		const uint32_t at = ops->count[v6];
		bool follows = run && run->table == table; /* then `at` is not 0 */

		if (v6) {
			n = ascend6(ops->v6 + at, route, count, remove);
			follows = follows && lpm_op6_compare(&ops->v6[at - 1], &ops->v6[at]) < 0;
		} else {
			n = ascend4(ops->v4 + at, route, count, remove);
			follows = follows &&
				  lpm_op4_prefix(ops->v4[at - 1]) < lpm_op4_prefix(ops->v4[at]);
		}
		if (!follows && !begin_run(ops, table))
			return false;
		ops->run[ops->run_count - 1].count += (uint32_t)n;
		ops->count[v6] += (uint32_t)n;
	}
	return true;
}

/* --- several runs of one table --- */

/* `later`: came after, and stays behind an equal one. */
static size_t merge4(const lpm_op4 *a, size_t n, const lpm_op4 *later, size_t m, lpm_op4 *out)
{
	size_t i = 0, j = 0, k = 0;

	while (i < n && j < m)
		out[k++] = lpm_op4_prefix(later[j]) < lpm_op4_prefix(a[i]) ? later[j++] : a[i++];
	memcpy(out + k, i < n ? a + i : later + j, (n - i + m - j) * sizeof(*out));
	return n + m;
}

static size_t merge6(const struct lpm_op6 *a, size_t n, const struct lpm_op6 *later, size_t m,
		     struct lpm_op6 *out)
{
	size_t i = 0, j = 0, k = 0;

	while (i < n && j < m)
		out[k++] = lpm_op6_compare(&later[j], &a[i]) < 0 ? later[j++] : a[i++];
	memcpy(out + k, i < n ? a + i : later + j, (n - i + m - j) * sizeof(*out));
	return n + m;
}

/* Of several operations on one prefix the last counts, and the first says what was there. */
static size_t unite4(lpm_op4 *op, size_t count)
{
	const lpm_op4 must = (lpm_op4)LPM_MUST << LPM_FLAGS_AT;
	size_t n = 0;

	for (size_t i = 1; i < count; i++) {
		if (lpm_op4_prefix(op[i]) == lpm_op4_prefix(op[n]))
			op[n] = (op[i] & ~must) | (op[n] & must);
		else
			op[++n] = op[i];
	}
	return n + 1;
}

static size_t unite6(struct lpm_op6 *op, size_t count)
{
	size_t n = 0;

	for (size_t i = 1; i < count; i++) {
		if (lpm_op6_compare(&op[i], &op[n]) == 0) {
			const uint8_t must = op[n].flags & LPM_MUST;

			op[n] = op[i];
			op[n].flags = (uint8_t)((op[i].flags & ~LPM_MUST) | must);
		} else {
			op[++n] = op[i];
		}
	}
	return n + 1;
}

/* Neighbouring runs of `from` become one in `to`; `end`: where each ends. How many are left. */
static size_t merge_pairs(bool v6, const void *from, void *to, uint32_t *end, size_t runs)
{
	size_t left = 0, first = 0;

	for (size_t i = 0; i < runs; i += 2) {
		const size_t middle = end[i], last = end[i + 1 < runs ? i + 1 : i];
		const size_t n = middle - first, m = last - middle;

		if (v6)
			merge6((const struct lpm_op6 *)from + first, n,
			       (const struct lpm_op6 *)from + middle, m,
			       (struct lpm_op6 *)to + first);
		else
			merge4((const lpm_op4 *)from + first, n, (const lpm_op4 *)from + middle, m,
			       (lpm_op4 *)to + first);
		end[left++] = (uint32_t)last;
		first = last;
	}
	return left;
}

/* One table's runs, in the order in which they came. */
static bool each_of(const struct route_ops *ops, const struct route_run *run, size_t runs,
		    bool (*apply)(void *context, uint32_t table, const void *ops, size_t count),
		    void *context)
{
	const bool v6 = run->table & 1;
	const size_t size = lpm_op_size(v6 ? 6 : 4);
	const uint8_t *all = v6 ? (const void *)ops->v6 : (const void *)ops->v4;
	uint8_t *room[2] = {NULL, NULL};
	uint32_t *end = NULL;
	size_t n = 0, at = 0;
	bool done = false;

	if (runs == 1)
		return apply(context, run->table, all + run->first * size, run->count);
	for (size_t i = 0; i < runs; i++)
		n += run[i].count;
	room[0] = arena_scratch(n * size);
	room[1] = arena_scratch(n * size);
	end = malloc(runs * sizeof(*end));
	if (room[0] && room[1] && end) {
		for (size_t i = 0; i < runs; i++) {
			memcpy(room[0] + at * size, all + run[i].first * size, run[i].count * size);
			at += run[i].count;
			end[i] = (uint32_t)at;
		}
		while (runs > 1) {
			uint8_t *const merged = room[1];

			runs = merge_pairs(v6, room[0], merged, end, runs);
			room[1] = room[0];
			room[0] = merged;
		}
		at = v6 ? unite6((void *)room[0], n) : unite4((void *)room[0], n);
		done = apply(context, run->table, room[0], at);
	}
	arena_scratch_free(room[0], n * size);
	arena_scratch_free(room[1], n * size);
	free(end);
	return done;
}

static int compare_runs(const void *a, const void *b)
{
	const struct route_run *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

bool route_ops_each(struct route_ops *ops,
		    bool (*apply)(void *context, uint32_t table, const void *ops, size_t count),
		    void *context)
{
	for (size_t i = 1; i < ops->run_count; i++) {
		if (ops->run[i - 1].table > ops->run[i].table) {
			qsort(ops->run, ops->run_count, sizeof(*ops->run), compare_runs);
			break;
		}
	}
	for (size_t first = 0, end; first < ops->run_count; first = end) {
		for (end = first + 1; end < ops->run_count; end++)
			if (ops->run[end].table != ops->run[first].table)
				break;
		if (!each_of(ops, &ops->run[first], end - first, apply, context))
			return false;
	}
	return true;
}
