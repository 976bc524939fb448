/* SPDX-License-Identifier: Apache-2.0
 *
 * A table's prefixes become elementary intervals: sorted starts, each with the value of its longest
 * match (the idea of DXR and PlanB, arXiv 2604.14650). IPv4 starts lie in a static tree of 64-octet
 * lines of 16 keys; one level of a lookup is one line and one compare, and a burst goes down level
 * by level so that its cache misses overlap. IPv6 starts are searched by halving.
 */
#include "lpm.h"

#include <stdlib.h>
#include <string.h>

#include <emmintrin.h>

#define LINE 16U /* keys of one cache line */
#define MAX_DEPTH 8

typedef unsigned __int128 u128;

struct lpm {
	uint32_t count;			  /* intervals */
	uint32_t depth;			  /* IPv4: levels; level 0 holds the starts */
	uint32_t *next_hop;		  /* per interval */
	u128 *start6;			  /* IPv6 */
	uint32_t *memory;		  /* IPv4: all levels */
	const uint32_t *level[MAX_DEPTH]; /* keys with the sign bit flipped, for signed compares */
	uint32_t keys[MAX_DEPTH];
	size_t bytes;
};

struct interval {
	u128 start;
	uint32_t next_hop;
};

struct open_prefix {
	u128 last;
	uint32_t next_hop;
};

int lpm_prefix_compare(const struct lpm_prefix *a, const struct lpm_prefix *b)
{
	int order = memcmp(a->address, b->address, 16);

	return order ? order : (int)a->length - (int)b->length;
}

static u128 load_address(int family, const uint8_t *octets)
{
	u128 value = 0;

	for (int i = 0; i < (family == 4 ? 4 : 16); i++)
		value = value << 8 | octets[i];
	return value;
}

/* A later interval of the same start replaces the earlier; equal neighbours become one. */
static size_t append(struct interval *out, size_t n, u128 start, uint32_t next_hop)
{
	if (n > 0 && out[n - 1].start == start)
		n--;
	if (n > 0 && out[n - 1].next_hop == next_hop)
		return n;
	out[n].start = start;
	out[n].next_hop = next_hop;
	return n + 1;
}

/* Sweeps the sorted prefixes with a stack of those that are open; `out` holds 2 * count + 1. */
static size_t intervals(int family, const struct lpm_prefix *prefixes, size_t count,
			struct interval *out)
{
	const int bits = family == 4 ? 32 : 128;
	const u128 top = family == 4 ? (u128)UINT32_MAX : ~(u128)0;
	struct open_prefix open[130];
	int depth = 0;
	size_t n = append(out, 0, 0, LPM_NONE);

	for (size_t i = 0; i <= count; i++) {
		u128 first = i < count ? load_address(family, prefixes[i].address) : 0;

		while (depth > 0 && (i == count || open[depth - 1].last < first)) {
			u128 last = open[--depth].last;

			if (last != top)
				n = append(out, n, last + 1,
					   depth > 0 ? open[depth - 1].next_hop : LPM_NONE);
		}
		if (i == count)
			break;
		int host = bits - prefixes[i].length;
		u128 span = host == 128 ? ~(u128)0 : ((u128)1 << host) - 1;

		open[depth].last = first | span;
		open[depth++].next_hop = prefixes[i].next_hop;
		n = append(out, n, first, prefixes[i].next_hop);
	}
	return n;
}

static int build_tree4(struct lpm *table, const struct interval *source)
{
	uint32_t total = 0, n = table->count;

	do {
		table->keys[table->depth++] = n;
		total += (n + LINE - 1) / LINE * LINE;
		n = (n + LINE - 1) / LINE;
	} while (n > 1);
	table->memory = aligned_alloc(64, total * sizeof(uint32_t));
	if (!table->memory)
		return -1;
	table->bytes += total * sizeof(uint32_t);

	uint32_t *at = table->memory;

	for (uint32_t level = 0; level < table->depth; level++) {
		uint32_t keys = table->keys[level];
		uint32_t padded = (keys + LINE - 1) / LINE * LINE;

		for (uint32_t i = 0; i < padded; i++) {
			uint32_t key = UINT32_MAX;

			if (i < keys)
				key = level == 0 ? (uint32_t)source[i].start ^ 0x80000000U
						 : table->level[level - 1][i * LINE];
			else
				key ^= 0x80000000U;
			at[i] = key;
		}
		table->level[level] = at;
		at += padded;
	}
	return 0;
}

struct lpm *lpm_build(int family, const struct lpm_prefix *prefixes, size_t count)
{
	struct interval *found = malloc((2 * count + 1) * sizeof(*found));
	struct lpm *table = calloc(1, sizeof(*table));

	if (!found || !table)
		goto fail;
	table->count = (uint32_t)intervals(family, prefixes, count, found);
	table->next_hop = malloc(table->count * sizeof(uint32_t));
	if (!table->next_hop)
		goto fail;
	for (uint32_t i = 0; i < table->count; i++)
		table->next_hop[i] = found[i].next_hop;
	table->bytes = sizeof(*table) + table->count * sizeof(uint32_t);
	if (family == 4) {
		if (build_tree4(table, found) < 0)
			goto fail;
	} else {
		table->start6 = aligned_alloc(64, (table->count * sizeof(u128) + 63) / 64 * 64);
		if (!table->start6)
			goto fail;
		for (uint32_t i = 0; i < table->count; i++)
			table->start6[i] = found[i].start;
		table->bytes += table->count * sizeof(u128);
	}
	free(found);
	return table;
fail:
	free(found);
	lpm_free(table);
	return NULL;
}

void lpm_free(struct lpm *table)
{
	if (!table)
		return;
	free(table->next_hop);
	free(table->memory);
	free(table->start6);
	free(table);
}

size_t lpm_bytes(const struct lpm *table)
{
	return table ? table->bytes : 0;
}

/* How many of the 16 sorted keys of a line are <= x. */
static inline uint32_t keys_up_to(const uint32_t *line, __m128i x)
{
	__m128i a = _mm_cmpgt_epi32(_mm_load_si128((const __m128i *)line), x);
	__m128i b = _mm_cmpgt_epi32(_mm_load_si128((const __m128i *)(line + 4)), x);
	__m128i c = _mm_cmpgt_epi32(_mm_load_si128((const __m128i *)(line + 8)), x);
	__m128i d = _mm_cmpgt_epi32(_mm_load_si128((const __m128i *)(line + 12)), x);
	__m128i words = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));

	return (uint32_t)__builtin_ctz((uint32_t)_mm_movemask_epi8(words) | 0x10000U);
}

void lpm_lookup_burst4(const struct lpm *const *tables, const uint32_t *addresses,
		       uint32_t *next_hops, unsigned count)
{
	uint32_t at[LPM_BURST];
	uint32_t deepest = 0;

	for (unsigned i = 0; i < count; i++) {
		at[i] = 0;
		if (tables[i] && tables[i]->depth > deepest)
			deepest = tables[i]->depth;
	}
	for (uint32_t level = deepest; level-- > 0;) {
		for (unsigned i = 0; i < count; i++) {
			const struct lpm *t = tables[i];

			if (!t || level >= t->depth)
				continue;
			__m128i x = _mm_set1_epi32((int)(addresses[i] ^ 0x80000000U));
			uint32_t next =
			    at[i] * LINE + keys_up_to(t->level[level] + at[i] * LINE, x) - 1;

			/* the padding of the last line equals 255.255.255.255 */
			at[i] = next < t->keys[level] ? next : t->keys[level] - 1;
			if (level > 0)
				__builtin_prefetch(t->level[level - 1] + at[i] * LINE);
			else
				__builtin_prefetch(&t->next_hop[at[i]]);
		}
	}
	for (unsigned i = 0; i < count; i++)
		next_hops[i] = tables[i] ? tables[i]->next_hop[at[i]] : LPM_NONE;
}

void lpm_lookup_burst6(const struct lpm *const *tables, const uint8_t (*addresses)[16],
		       uint32_t *next_hops, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct lpm *t = tables[i];

		if (!t) {
			next_hops[i] = LPM_NONE;
			continue;
		}
		u128 x = load_address(6, addresses[i]);
		const u128 *base = t->start6;

		/* the first start is 0, so base[0] <= x holds throughout */
		for (uint32_t n = t->count; n > 1;) {
			uint32_t half = n / 2;

			base = base[half] <= x ? base + half : base;
			n -= half;
		}
		next_hops[i] = t->next_hop[base - t->start6];
	}
}
