/* SPDX-License-Identifier: Apache-2.0
 *
 * Route records as operations on tables (lpm.h). In: records in any order. Out: for each table its
 * operations, sorted, each prefix once. Records that come in order are written down once and not
 * moved again.
 */
#ifndef CCN_ROUTE_OPS_H
#define CCN_ROUTE_OPS_H

#include <stdbool.h>

#include "ccn_wire.h"
#include "lpm.h"

/* Of a CCSI and a family. */
static inline uint32_t route_table(uint32_t ccsi, bool v6)
{
	return ccsi << 1 | v6;
}

/* Operations on one table, each prefix above the one before. */
struct route_run {
	uint32_t table;
	uint32_t first, count; /* in the array of the family */
};

struct route_ops {
	lpm_op4 *v4;
	struct lpm_op6 *v6;
	size_t capacity; /* of both, as many as records */
	uint32_t count[2];
	struct route_run *run;
	size_t run_count, run_capacity;
};

int route_ops_init(struct route_ops *ops, size_t routes); /* -1: out of memory */
void route_ops_free(struct route_ops *ops);

/* Whether its fields are in range; if not, route_fault says which. */
static inline bool route_is_right(const struct ccn_route *route)
{
	const unsigned length = route->length;

	if (route->family == 4 ? length > 32 : route->family != 6 || length > 128)
		return false;
	const uint64_t upper = length < 64 ? UINT64_MAX >> length : 0; /* beyond the length */
	const uint64_t lower = length <= 64   ? UINT64_MAX
			       : length < 128 ? UINT64_MAX >> (length - 64)
					      : 0;

	return !((lpm_word(route->prefix) & upper) | (lpm_word(route->prefix + 8) & lower));
}

const char *route_fault(const struct ccn_route *route); /* NULL: none */

/* Routes of one table, which are right; with those before at most as many as were said. False: out of
 * memory. */
bool route_ops_add(struct route_ops *ops, const struct ccn_route *routes, size_t count,
		   bool remove);

/* Calls `apply` for each table; false: out of memory, or `apply` said so. */
bool route_ops_each(struct route_ops *ops,
		    bool (*apply)(void *context, uint32_t table, const void *ops, size_t count),
		    void *context);

#endif
