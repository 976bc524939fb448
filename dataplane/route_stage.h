/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of a transaction: grouped by table and turned into new tables beside the live ones,
 * with which they share what stays; published by one word per table.
 */
#ifndef CCN_ROUTE_STAGE_H
#define CCN_ROUTE_STAGE_H

#include "fib.h"

struct route_op {
	const struct ccn_route *route;
	uint32_t index; /* within its message */
	bool remove;
};

struct route_stage {
	struct route_op *op;
	size_t count;
	uint32_t *ccsis; /* touched */
	size_t ccsi_count, ccsi_capacity;
	struct lpm_change change; /* of all tables together */
	/* references of next hops that are those of the staged tables: slots, ~slot for one less */
	uint32_t *counted;
	size_t counted_count, counted_capacity;
};

int route_stage_init(struct route_stage *stage, size_t routes); /* -1: out of memory */

/* The CCSI's control side, made if needed and noted as touched; NULL: out of memory. */
struct ccsi *route_stage_touch(struct route_stage *stage, struct fib *fib, uint32_t id);
void route_stage_clear(struct ccsi *ccsi); /* drops all that it holds */

const char *route_fault(const struct ccn_route *route); /* NULL: fields are in range */
void route_stage_add(struct route_stage *stage, const struct ccn_route *route, bool remove,
		     uint32_t index);

/* Builds the tables. NULL, or what is wrong and with which record (UINT32_MAX: no memory). */
const char *route_stage_build(struct route_stage *stage, struct fib *fib, uint32_t *index);
void route_stage_publish(struct route_stage *stage, struct fib *fib);
/* Frees what was replaced or (not published) what was staged. */
void route_stage_clean(struct route_stage *stage, struct fib *fib, bool published);

#endif
