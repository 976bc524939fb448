/* SPDX-License-Identifier: Apache-2.0
 *
 * Inner sources of one CCSI that are legal although no route leads back the same way: what the
 * topology declares of silent members, consumers and data centres with several routers. Immutable,
 * replaced by swapping a pointer; asked only about packets that the routes do not vouch for.
 */
#ifndef CCN_SOURCE_TABLE_H
#define CCN_SOURCE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "ccn_wire.h"

struct source_row {
	struct ccn_source record;
	uint32_t parent; /* the next shorter prefix that covers it; NO_SOURCE: none */
};

#define NO_SOURCE UINT32_MAX

struct source_table {
	uint32_t count;
	struct source_row row[]; /* sorted by source_compare */
};

/* `records` sorted by source_compare, each key once. NULL: out of memory. */
struct source_table *source_table_build(const struct ccn_source *const *records, size_t count);
void source_table_free(struct source_table *table);

/* Order: family, prefix, length. */
int source_compare(const struct ccn_source *a, const struct ccn_source *b);

/* What holds for an address: the longest prefix, or NULL. */
const struct ccn_source *source_table_find(const struct source_table *table, int family,
					   const uint8_t *ip);

#endif
