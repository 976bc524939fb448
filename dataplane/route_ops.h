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

const char *route_fault(const struct ccn_route *route); /* NULL: fields are in range */
/* At most as many as were said before; false: out of memory. */
bool route_ops_add(struct route_ops *ops, const struct ccn_route *route, bool remove);

/* Calls `apply` for each table; false: out of memory, or `apply` said so. */
bool route_ops_each(struct route_ops *ops,
		    bool (*apply)(void *context, uint32_t table, const void *ops, size_t count),
		    void *context);

#endif
