/* SPDX-License-Identifier: Apache-2.0
 * Random tables against the plain definition: of all prefixes that cover an address, the longest.
 */
#include "lpm.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"

#define MOST 600

static bool covers(const struct lpm_prefix *p, const uint8_t *address)
{
	for (unsigned bit = 0; bit < p->length; bit++)
		if ((p->address[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static uint32_t brute_force(const struct lpm_prefix *prefixes, size_t count, const uint8_t *address)
{
	uint32_t best = LPM_NONE;
	int length = -1;

	for (size_t i = 0; i < count; i++) {
		if (prefixes[i].length > length && covers(&prefixes[i], address)) {
			length = prefixes[i].length;
			best = prefixes[i].next_hop;
		}
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	return lpm_prefix_compare(a, b);
}

/* Few bits vary, so that prefixes nest, touch, and sit at both ends of the address space. */
static void random_address(uint64_t *state, int family, uint8_t *address)
{
	memset(address, 0, 16);
	for (int i = 0; i < (family == 4 ? 4 : 16); i++) {
		switch (random_below(state, 4)) {
		case 0:
			address[i] = 0xff;
			break;
		case 1:
			address[i] = (uint8_t)random_u64(state);
			break;
		case 2:
			address[i] = (uint8_t)(random_below(state, 4) << 6);
			break;
		default:
			break;
		}
	}
}

static size_t random_table(uint64_t *state, int family, struct lpm_prefix *prefixes)
{
	size_t wanted = random_below(state, random_below(state, 4) ? 40 : MOST), n = 0;

	for (size_t i = 0; i < wanted; i++) {
		struct lpm_prefix *p = &prefixes[i];

		random_address(state, family, p->address);
		p->length = (uint8_t)random_below(state, family == 4 ? 33 : 129);
		p->next_hop = random_below(state, 5);
		for (unsigned bit = p->length; bit < 128; bit++)
			p->address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	}
	qsort(prefixes, wanted, sizeof(*prefixes), compare);
	for (size_t i = 0; i < wanted; i++)
		if (n == 0 || lpm_prefix_compare(&prefixes[n - 1], &prefixes[i]) != 0)
			prefixes[n++] = prefixes[i];
	return n;
}

/* Addresses at and beside the ends of prefixes, where faults are. */
static void address_near(uint64_t *state, int family, const struct lpm_prefix *prefixes,
			 size_t count, uint8_t *address)
{
	int last = family == 4 ? 3 : 15;

	random_address(state, family, address);
	if (count == 0 || random_below(state, 4) == 0)
		return;
	const struct lpm_prefix *p = &prefixes[random_below(state, (uint32_t)count)];

	memcpy(address, p->address, 16);
	if (random_below(state, 2)) /* the last address of the prefix */
		for (int bit = p->length; bit <= last * 8 + 7; bit++)
			address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	int step = (int)random_below(state, 3) - 1;

	for (int i = last; i >= 0 && step != 0; i--) {
		int sum = address[i] + step;

		address[i] = (uint8_t)sum;
		step = sum < 0 ? -1 : sum > 255 ? 1 : 0;
	}
}

static void one_round(uint64_t *state, int family)
{
	static struct lpm_prefix prefixes[2][MOST];
	struct lpm *table[2];
	const struct lpm *of[LPM_BURST];
	uint8_t address[LPM_BURST][16];
	uint32_t host_order[LPM_BURST], found[LPM_BURST];
	size_t count[2];
	unsigned choice[LPM_BURST], n = 1 + random_below(state, LPM_BURST);

	for (unsigned t = 0; t < 2; t++) {
		count[t] = random_table(state, family, prefixes[t]);
		table[t] = lpm_build(family, prefixes[t], count[t]);
		CHECK(table[t]);
		CHECK(lpm_bytes(table[t]) > 0);
	}
	for (unsigned repeat = 0; repeat < 8; repeat++) {
		for (unsigned i = 0; i < n; i++) {
			choice[i] = random_below(state, 9); /* 8: no table */
			of[i] = choice[i] == 8 ? NULL : table[choice[i] % 2];
			address_near(state, family, prefixes[choice[i] % 2], count[choice[i] % 2],
				     address[i]);
			host_order[i] = (uint32_t)address[i][0] << 24 | address[i][1] << 16 |
					address[i][2] << 8 | address[i][3];
		}
		if (family == 4)
			lpm_lookup_burst4(of, host_order, found, n);
		else
			lpm_lookup_burst6(of, (const uint8_t(*)[16])address, found, n);
		for (unsigned i = 0; i < n; i++) {
			unsigned t = choice[i] % 2;

			CHECK(found[i] == (choice[i] == 8
					       ? LPM_NONE
					       : brute_force(prefixes[t], count[t], address[i])));
		}
	}
	lpm_free(table[0]);
	lpm_free(table[1]);
}

/* Levels of the tree fill up exactly at powers of 16. */
static void sizes_around_full_levels(void)
{
	static struct lpm_prefix prefixes[4200];

	for (uint32_t count = 1; count <= 4200; count = count < 40 ? count + 1 : count * 33 / 32) {
		for (uint32_t i = 0; i < count; i++) {
			prefixes[i] = (struct lpm_prefix){.next_hop = i, .length = 32};
			prefixes[i].address[0] = 10;
			prefixes[i].address[2] = (uint8_t)(i >> 7);
			prefixes[i].address[3] = (uint8_t)(i << 1);
		}
		struct lpm *table = lpm_build(4, prefixes, count);
		const struct lpm *const tables[1] = {table};

		CHECK(table);
		for (uint32_t i = 0; i < count * 2; i++) {
			uint32_t address = 10U << 24 | i, found;

			lpm_lookup_burst4(tables, &address, &found, 1);
			CHECK(found == (i % 2 ? LPM_NONE : i / 2));
		}
		lpm_free(table);
	}
}

int main(void)
{
	uint64_t state = 1;

	for (int i = 0; i < 1500; i++) {
		one_round(&state, 4);
		one_round(&state, 6);
	}
	sizes_around_full_levels();
	return 0;
}
