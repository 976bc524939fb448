/* SPDX-License-Identifier: Apache-2.0
 * Legal sources: what is found for an address is what the longest of all rows that cover it says.
 */
#include "source_table.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

#define ROWS 200

static int by_key(const void *a, const void *b)
{
	return source_compare(*(const struct ccn_source *const *)a,
			      *(const struct ccn_source *const *)b);
}

/* Few octets differ, so that prefixes nest and meet at their edges. */
static void random_ip(uint64_t *state, int family, uint8_t ip[16])
{
	static const uint8_t octets[] = {0, 1, 127, 128, 255};

	memset(ip, 0, 16);
	for (int i = 0; i < (family == 4 ? 4 : 16); i++)
		ip[i] = i < 2 || i > 13 || family == 4 ? octets[random_below(state, sizeof(octets))]
						       : 0;
}

static bool bit(const uint8_t *ip, unsigned at)
{
	return ip[at / 8] >> (7 - at % 8) & 1;
}

static bool plainly_covers(const struct ccn_source *r, int family, const uint8_t *ip)
{
	for (unsigned at = 0; at < r->length; at++)
		if (bit(r->prefix, at) != bit(ip, at))
			return false;
	return r->family == family;
}

static void one_table(uint64_t *state, unsigned count)
{
	static struct ccn_source rows[ROWS];
	const struct ccn_source *sorted[ROWS];
	unsigned different = 0;

	for (unsigned i = 0; i < count; i++) {
		struct ccn_source *r = &rows[i];

		*r = (struct ccn_source){.ccsi = 1, .family = random_below(state, 2) ? 4 : 6};
		random_ip(state, r->family, r->prefix);
		r->length = (uint8_t)random_below(state, r->family == 4 ? 33 : 129);
		for (unsigned at = r->length; at < 128; at++)
			r->prefix[at / 8] &= (uint8_t) ~(0x80 >> at % 8);
		sorted[i] = r;
	}
	qsort(sorted, count, sizeof(*sorted), by_key);
	for (unsigned i = 0; i < count; i++)
		if (i == 0 || by_key(&sorted[different - 1], &sorted[i]) != 0)
			sorted[different++] = sorted[i];

	struct source_table *table = source_table_build(sorted, different);

	CHECK(table && table->count == different);
	for (unsigned n = 0; n < 2000; n++) {
		const int family = random_below(state, 2) ? 4 : 6;
		const struct ccn_source *wanted = NULL, *found;
		uint8_t ip[16];

		random_ip(state, family, ip);
		for (unsigned i = 0; i < different; i++)
			if (plainly_covers(sorted[i], family, ip) &&
			    (!wanted || sorted[i]->length > wanted->length))
				wanted = sorted[i];
		found = source_table_find(table, family, ip);
		CHECK(!found == !wanted);
		CHECK(!found || source_compare(found, wanted) == 0);
	}
	source_table_free(table);
}

int main(void)
{
	uint64_t state = 5;

	one_table(&state, 0);
	for (unsigned round = 0; round < 60; round++)
		one_table(&state, 1 + random_below(&state, ROWS));
	source_table_free(NULL);
	return 0;
}
