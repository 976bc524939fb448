/* SPDX-License-Identifier: Apache-2.0
 * Sorted rows that know their parents: a binary search, then upwards.
 */
#include "source_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int source_compare(const struct ccn_source *a, const struct ccn_source *b)
{
	int order = (int)a->family - (int)b->family;

	if (order == 0)
		order = memcmp(a->prefix, b->prefix, sizeof(a->prefix));
	return order ? order : (int)a->length - (int)b->length;
}

/* `ip`: 16 octets, of IPv4 the first four and then zeros. */
static bool covers(const struct ccn_source *r, int family, const uint8_t *ip)
{
	const unsigned octets = r->length / 8, bits = r->length % 8;

	return r->family == family && !memcmp(r->prefix, ip, octets) &&
	       (bits == 0 || (r->prefix[octets] ^ ip[octets]) >> (8 - bits) == 0);
}

struct source_table *source_table_build(const struct ccn_source *const *records, size_t count)
{
	struct source_table *table = calloc(1, sizeof(*table) + count * sizeof(*table->row));

	if (!table)
		return NULL;
	table->count = (uint32_t)count;
	for (uint32_t i = 0; i < table->count; i++) {
		uint32_t parent = i ? i - 1 : NO_SOURCE;

		/* what covers a row covers or is one of those just before it */
		while (parent != NO_SOURCE &&
		       !covers(&table->row[parent].record, records[i]->family, records[i]->prefix))
			parent = table->row[parent].parent;
		table->row[i] = (struct source_row){.record = *records[i], .parent = parent};
	}
	return table;
}

void source_table_free(struct source_table *table)
{
	free(table);
}

const struct ccn_source *source_table_find(const struct source_table *table, int family,
					   const uint8_t *ip)
{
	struct ccn_source wanted = {.family = (uint8_t)family, .length = 128};
	uint32_t low = 0, high = table->count, at;

	memcpy(wanted.prefix, ip, family == 4 ? 4 : 16);
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (source_compare(&table->row[middle].record, &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	at = low ? low - 1 : NO_SOURCE;
	while (at != NO_SOURCE && !covers(&table->row[at].record, family, wanted.prefix))
		at = table->row[at].parent;
	return at == NO_SOURCE ? NULL : &table->row[at].record;
}
