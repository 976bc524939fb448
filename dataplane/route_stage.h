/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of a transaction: grouped by table and turned into new tables beside the live ones,
 * with which they share what stays; published by one word per table.
 */
#ifndef CCN_ROUTE_STAGE_H
#define CCN_ROUTE_STAGE_H

#include "fib.h"
#include "route_ops.h"

struct route_stage {
	struct route_ops ops;
	uint32_t *ccsis; /* touched */
	size_t ccsi_count, ccsi_capacity;
	struct lpm_change change; /* of all tables together */
	uint32_t refused;	  /* table (route_ops.h) that holds no change.wanted */
	bool counted;		  /* next hops: references are those of the staged tables */
};

int route_stage_init(struct route_stage *stage, size_t routes); /* -1: out of memory */

/* The CCSI's control side, made if needed and noted as touched; NULL: out of memory. */
struct ccsi *route_stage_touch(struct route_stage *stage, struct fib *fib, uint32_t id);
void route_stage_clear(struct ccsi *ccsi); /* drops all that it holds */

/* Builds the tables. False: out of memory, or (change.absent) a route to remove does not exist. */
bool route_stage_build(struct route_stage *stage, struct fib *fib);
void route_stage_publish(struct route_stage *stage, struct fib *fib);
/* Frees what was replaced or (not published) what was staged. */
void route_stage_clean(struct route_stage *stage, struct fib *fib, bool published);

#endif
