/* SPDX-License-Identifier: Apache-2.0
 * Random tables against the plain definition: of all prefixes that cover an address, the longest.
 */
#include "lpm.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"

#define MOST 5000

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
	const struct lpm_prefix *x = a, *y = b;
	const int order = memcmp(x->address, y->address, 16);

	return order ? order : (int)x->length - (int)y->length;
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

static void random_prefix(uint64_t *state, int family, struct lpm_prefix *p)
{
	memset(p, 0, sizeof(*p));
	random_address(state, family, p->address);
	p->length = (uint8_t)random_below(state, family == 4 ? 33 : 129);
	if (family == 6 && random_below(state, 3) == 0) /* many in few /64s */
		memset(p->address + 2, 0, 6);
	p->next_hop = random_below(state, 5);
	for (unsigned bit = p->length; bit < 128; bit++)
		p->address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* Sorted, and each once. */
static size_t settle(struct lpm_prefix *prefixes, size_t count)
{
	size_t n = 0;

	qsort(prefixes, count, sizeof(*prefixes), compare);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || compare(&prefixes[n - 1], &prefixes[i]) != 0)
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

/* A table and what it should hold. */
struct model {
	int family;
	struct lpm_table *table;
	struct lpm_prefix prefix[MOST];
	size_t count;
};

static const char *const variants[] = {"avx512", "avx2", "scalar"};

static void look_up(uint64_t *state, const struct model *m)
{
	const unsigned n = 1 + random_below(state, LPM_BURST);
	uint8_t address[LPM_BURST][16];
	uint32_t host_order[LPM_BURST], found[LPM_BURST], wanted[LPM_BURST];
	lpm_ref of[LPM_BURST];

	for (unsigned i = 0; i < n; i++) {
		const struct model *from = &m[random_below(state, 2)];
		const bool none = random_below(state, 9) == 0;
		struct lpm_prefix match;

		of[i] = none ? 0 : lpm_reference(from->table);
		address_near(state, m->family, from->prefix, from->count, address[i]);
		host_order[i] = (uint32_t)address[i][0] << 24 | address[i][1] << 16 |
				address[i][2] << 8 | address[i][3];
		wanted[i] = none ? LPM_NONE : brute_force(from->prefix, from->count, address[i]);
		if (lpm_match(none ? NULL : from->table, address[i], &match))
			CHECK(match.next_hop == wanted[i] && covers(&match, address[i]));
		else
			CHECK(wanted[i] == LPM_NONE);
	}
	for (unsigned v = 0; v < 3; v++) {
		if (!lpm_use(variants[v]))
			continue;
		CHECK(!strcmp(lpm_variant(), variants[v]));
		memset(found, 0, sizeof(found));
		if (m->family == 4)
			lpm_lookup_burst4(of, host_order, found, n);
		else
			lpm_lookup_burst6(of, (const uint8_t(*)[16])address, found, n);
		CHECK(!memcmp(found, wanted, n * sizeof(*found)));
	}
}

static void same_rows(const struct model *m)
{
	static struct lpm_prefix rows[MOST];

	CHECK(lpm_count(m->table) == m->count);
	CHECK(lpm_list_all(m->table, rows));
	CHECK(!memcmp(rows, m->prefix, m->count * sizeof(*rows)));
	CHECK((m->table != NULL) == (m->count > 0));
	CHECK(lpm_bytes(m->table, true) >= lpm_bytes(m->table, false));
}

/* The most next hops of a test, and what lpm_tally_each adds to. */
#define NEXT_HOPS 8
static int64_t uses[NEXT_HOPS];

static void count_use(void *unused, uint32_t next_hop, int32_t more)
{
	(void)unused;
	CHECK(next_hop < NEXT_HOPS);
	uses[next_hop] += more;
}

static void same_uses(const struct lpm_prefix *before, size_t count, const struct lpm_prefix *after,
		      size_t n, const struct lpm_change *made)
{
	memset(uses, 0, sizeof(uses));
	lpm_tally_each(&made->tally, count_use, NULL);
	for (size_t i = 0; i < count; i++)
		uses[before[i].next_hop]++;
	for (size_t i = 0; i < n; i++)
		uses[after[i].next_hop]--;
	for (unsigned i = 0; i < NEXT_HOPS; i++)
		CHECK(uses[i] == 0);
}

static void keep(struct lpm_change *made)
{
	lpm_forget(&made->fresh);
	lpm_drop(&made->stale);
	lpm_tally_free(&made->tally);
}

static void abort_change(struct lpm_change *made)
{
	lpm_drop(&made->fresh);
	lpm_forget(&made->stale);
	lpm_tally_free(&made->tally);
}

/* Some prefixes more, some others, some fewer. `put`: in the table, or (aborted) not. */
static void change(uint64_t *state, struct model *m, size_t most, bool put)
{
	static struct lpm_prefix op[MOST], after[MOST];
	static struct lpm_op6 ops[MOST]; /* or lpm_op4 */
	struct lpm_change made = {0};
	size_t wanted = random_below(state, (uint32_t)most + 1), count, n = 0, i = 0;
	const struct lpm_prefix *absent = NULL;
	struct lpm_table *table;

	for (size_t k = 0; k < wanted; k++) {
		random_prefix(state, m->family, &op[k]);
		if (m->count > 0 && random_below(state, 2)) {
			op[k] = m->prefix[random_below(state, (uint32_t)m->count)];
			op[k].next_hop = random_below(state, NEXT_HOPS);
		}
	}
	count = settle(op, wanted);
	for (size_t j = 0; j < count; j++) {
		const bool remove = random_below(state, 3) == 0;
		bool there, must;

		while (i < m->count && compare(&m->prefix[i], &op[j]) < 0)
			after[n++] = m->prefix[i++];
		there = i < m->count && !compare(&m->prefix[i], &op[j]);
		must = random_below(state, there ? 2 : 2000) == 0;
		if (must && !there && !absent)
			absent = &op[j];
		i += there;
		lpm_put_op(m->family, ops, j, &op[j],
			   (remove ? LPM_REMOVE : 0) | (must ? LPM_MUST : 0));
		if (!remove)
			after[n++] = op[j];
	}
	while (i < m->count)
		after[n++] = m->prefix[i++];
	if (n + most > MOST)
		return;
	table = lpm_apply(&made, m->family, m->table, ops, count);
	CHECK(made.failed == (absent != NULL) && made.absent == made.failed);
	if (absent) /* one of them, in whatever order the table is walked */
		CHECK(bsearch(&made.wanted, op, count, sizeof(*op), compare));
	else
		same_uses(m->prefix, m->count, after, n, &made);
	if (!put || absent) {
		abort_change(&made);
		same_rows(m);
		return;
	}
	keep(&made);
	m->table = table;
	m->count = n;
	memcpy(m->prefix, after, n * sizeof(*after));
	same_rows(m);
}

/* The whole table goes: what it counted goes with it, if it does. */
static void clear(struct model *m, bool put)
{
	struct lpm_change made = {0};

	lpm_clear(&made, m->table);
	CHECK(!made.failed && made.fresh.count == 0);
	same_uses(m->prefix, m->count, NULL, 0, &made);
	if (!put) {
		abort_change(&made);
		same_rows(m);
		return;
	}
	keep(&made);
	*m = (struct model){.family = m->family};
}

/* Two tables that change; those of all sizes become directories and leaves again. */
static void one_round(uint64_t *state, int family, bool large)
{
	static struct model m[2];
	const size_t most = large ? 1200 : 30;

	for (unsigned t = 0; t < 2; t++)
		m[t] = (struct model){.family = family};
	for (unsigned step = 0; step < 8; step++) {
		for (unsigned t = 0; t < 2; t++) {
			change(state, &m[t], random_below(state, 2) ? most : 5, true);
			change(state, &m[t], 5, false);
			same_rows(&m[t]);
		}
		for (unsigned repeat = 0; repeat < 4; repeat++)
			look_up(state, m);
		clear(&m[step % 2], random_below(state, 8) == 0);
	}
	for (unsigned t = 0; t < 2; t++)
		lpm_free(m[t].table);
}

/* Levels of a block fill up exactly at products of what a line holds; then directories begin. */
static void sizes_around_full_levels(void)
{
	static lpm_op4 prefixes[4200];

	for (uint32_t count = 1; count <= 4200; count = count < 270 ? count + 1 : count * 33 / 32) {
		struct lpm_change made = {0};

		for (uint32_t i = 0; i < count; i++) {
			const uint8_t address[4] = {10, 0, (uint8_t)(i >> 7), (uint8_t)(i << 1)};

			prefixes[i] = lpm_make_op4(address, 32, i, 0);
		}
		struct lpm_table *table = lpm_apply(&made, 4, NULL, prefixes, count);
		const lpm_ref ref = lpm_reference(table);

		CHECK(table);
		for (unsigned v = 0; v < 3; v++) {
			if (!lpm_use(variants[v]))
				continue;
			for (uint32_t i = 0; i < count * 2; i++) {
				uint32_t address = 10U << 24 | i, found;

				lpm_lookup_burst4(&ref, &address, &found, 1);
				CHECK(found == (i % 2 ? LPM_NONE : i / 2));
			}
		}
		lpm_free(table);
		lpm_forget(&made.fresh);
		lpm_tally_free(&made.tally);
	}
}

/* Grown one by one and emptied again: its cost is that of the change, its shape follows. */
static void one_by_one(int family)
{
	struct lpm_table *table = NULL;

	for (uint32_t i = 0; i < 60000; i++) {
		struct lpm_change made = {0};
		struct lpm_prefix op = {.next_hop = i, .length = family == 4 ? 32 : 128};
		struct lpm_op6 ops[1];
		const uint32_t n = i % 30000 * 40503U;

		op.address[0] = 10;
		op.address[family == 4 ? 1 : 13] = (uint8_t)(n >> 16);
		op.address[family == 4 ? 2 : 14] = (uint8_t)(n >> 8);
		op.address[family == 4 ? 3 : 15] = (uint8_t)n;
		lpm_put_op(family, ops, 0, &op, i < 30000 ? 0 : LPM_REMOVE | LPM_MUST);
		table = lpm_apply(&made, family, table, ops, 1);
		CHECK(!made.failed);
		CHECK(made.fresh.count < 3000);
		keep(&made);
	}
	CHECK(!table);
}

int main(void)
{
	uint64_t state = 1;

	CHECK(lpm_use("scalar") && !lpm_use("abacus"));
	for (int i = 0; i < 200; i++) {
		one_round(&state, 4, false);
		one_round(&state, 6, false);
	}
	for (int i = 0; i < 6; i++) {
		one_round(&state, 4, true);
		one_round(&state, 6, true);
	}
	sizes_around_full_levels();
	one_by_one(4);
	one_by_one(6);
	CHECK(arena_bytes() == 0);
	return 0;
}
