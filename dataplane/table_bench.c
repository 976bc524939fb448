/* SPDX-License-Identifier: Apache-2.0
 *
 * ccn-table-bench: cycles of one look-up in the tables, on one CPU, without packets. Each figure is
 * a line "name value unit"; the best of several runs, since others may use the machine. Tables and
 * destinations are random: nine of ten are in a prefix that is there.
 */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "arena.h"
#include "check.h"
#include "lpm.h"
#include "vm_table.h"

#define QUERIES (1U << 20)
#define PART (QUERIES / 8)
#define RUNS 7

static uint64_t state = 42;
static unsigned scale = 1; /* --quick: a hundredth of the rows */

static void figure(const char *name, const char *what, double value, const char *unit)
{
	printf("%s-%s %.1f %s\n", name, what, value, unit);
	fflush(stdout);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- longest prefix match --- */

static int compare(const void *a, const void *b)
{
	const struct lpm_prefix *x = a, *y = b;
	const int order = memcmp(x->address, y->address, 16);

	return order ? order : (int)x->length - (int)y->length;
}

/* Lengths roughly as in a full table. */
static void random_prefix(int family, struct lpm_prefix *p)
{
	static const uint8_t of4[] = {24, 24, 24, 24, 24, 24, 23, 22,
				      22, 21, 20, 19, 18, 16, 32, 28};
	static const uint8_t of6[] = {48, 48, 48, 48, 48, 48, 44, 40,
				      36, 32, 32, 56, 64, 64, 47, 128};

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < 16; i += 8) {
		const uint64_t word = random_u64(&state);

		memcpy(p->address + i, &word, 8);
	}
	if (family == 4) {
		p->address[0] = (uint8_t)(1 + p->address[0] % 223);
		memset(p->address + 4, 0, 12);
	} else { /* one sixteenth of 2000::/3 */
		p->address[0] = 0x20 | (p->address[0] & 1);
	}
	p->length = (family == 4 ? of4 : of6)[random_below(&state, 16)];
	for (unsigned bit = p->length; bit < 128; bit++)
		p->address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	p->next_hop = random_below(&state, 1 << 20);
}

static size_t random_prefixes(int family, struct lpm_prefix *out, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		random_prefix(family, &out[i]);
	qsort(out, count, sizeof(*out), compare);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || compare(&out[n - 1], &out[i]) != 0)
			out[n++] = out[i];
	return n;
}

static lpm_ref query_table[QUERIES];
static uint8_t query_address[QUERIES][16];
static uint32_t query_host[QUERIES], answer[LPM_BURST];

/* Of each part the best of all runs, since others may use the machine. */
static double lookup_cycles(int family)
{
	double sum = 0;

	for (size_t part = 0; part < QUERIES; part += PART) {
		double best = 1e9;

		for (unsigned run = 0; run < RUNS; run++) {
			uint64_t begun = 0;

			/* the part before leaves the caches as other traffic would */
			for (size_t i = 0; i < 2 * PART; i += LPM_BURST) {
				const size_t at = (part + QUERIES - PART + i) % QUERIES;

				if (i == PART)
					begun = rte_rdtsc();
				if (family == 4)
					lpm_lookup_burst4(query_table + at, query_host + at, answer,
							  LPM_BURST);
				else
					lpm_lookup_burst6(query_table + at, query_address + at,
							  answer, LPM_BURST);
			}
			best = fmin(best, (double)(rte_rdtsc() - begun));
		}
		sum += best;
	}
	return sum / QUERIES;
}

static void keep(struct lpm_change *change)
{
	lpm_forget(&change->fresh);
	lpm_drop(&change->stale);
	lpm_tally_free(&change->tally);
}

/* One route at a time, gone and back. */
static double update_microseconds(int family, struct lpm_table **table,
				  const struct lpm_prefix *prefixes, size_t count)
{
	const unsigned changes = 20000;
	const double begun = seconds();

	for (unsigned i = 0; i < changes; i++) {
		struct lpm_change change = {0};
		static struct lpm_prefix prefix;
		struct lpm_op6 op[1];

		if (i % 2 == 0)
			prefix = prefixes[random_below(&state, (uint32_t)count)];
		prefix.next_hop = i;
		lpm_put_op(family, op, 0, &prefix, i % 2 == 0 ? LPM_REMOVE | LPM_MUST : 0);
		*table = lpm_apply(&change, family, *table, op, 1);
		CHECK(!change.failed);
		keep(&change);
	}
	return (seconds() - begun) / changes * 1e6;
}

static void bench_lpm(const char *name, int family, unsigned tables, size_t each)
{
	static const char *const variants[] = {"avx512", "avx2", "scalar"};
	struct lpm_table **table = calloc(tables, sizeof(struct lpm_table *));
	struct lpm_prefix *prefix = malloc(tables * each * sizeof(*prefix));
	uint8_t *ops = malloc(tables * each * lpm_op_size(family));
	size_t *first = malloc((tables + 1) * sizeof(*first)), routes, octets = 0, all = 0;
	double begun;

	CHECK(table && prefix && first && ops);
	first[0] = 0;
	for (unsigned t = 0; t < tables; t++)
		first[t + 1] = first[t] + random_prefixes(family, prefix + first[t], each);
	routes = first[tables];
	for (size_t i = 0; i < routes; i++)
		lpm_put_op(family, ops, i, &prefix[i], 0);
	begun = seconds();
	for (unsigned t = 0; t < tables; t++) {
		struct lpm_change change = {0};

		table[t] = lpm_apply(&change, family, NULL, ops + first[t] * lpm_op_size(family),
				     first[t + 1] - first[t]);
		CHECK(!change.failed);
		keep(&change);
	}
	figure(name, "build", (seconds() - begun) * 1e3, "ms");
	for (unsigned t = 0; t < tables; t++) {
		octets += lpm_bytes(table[t], false);
		all += lpm_bytes(table[t], true);
	}
	figure(name, "memory", (double)octets / (double)routes, "octets/route");
	figure(name, "memory-with-control", (double)all / (double)routes, "octets/route");
	for (unsigned i = 0; i < QUERIES; i++) {
		const unsigned t = random_below(&state, tables);
		const size_t held = first[t + 1] - first[t];
		struct lpm_prefix p = prefix[first[t] + random_below(&state, (uint32_t)held)];
		struct lpm_prefix any;

		random_prefix(family, &any);
		for (unsigned bit = p.length; bit < (family == 4 ? 32 : 128); bit++)
			if (random_below(&state, 2))
				p.address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (random_below(&state, 10) == 0)
			p = any;
		query_table[i] = lpm_reference(table[t]);
		memcpy(query_address[i], p.address, 16);
		query_host[i] = (uint32_t)p.address[0] << 24 | p.address[1] << 16 |
				p.address[2] << 8 | p.address[3];
	}
	for (unsigned v = 0; v < 3; v++)
		if (lpm_use(variants[v]))
			figure(name, variants[v], lookup_cycles(family), "TSC cycles");
	figure(name, "one-route",
	       update_microseconds(family, &table[0], prefix, first[1] - first[0]), "us");
	for (size_t i = 0; i < routes; i++) {
		prefix[i].next_hop ^= 1;
		lpm_put_op(family, ops, i, &prefix[i], 0);
	}
	begun = seconds();
	for (unsigned t = 0; t < tables; t++) {
		struct lpm_change change = {0};

		table[t] = lpm_apply(&change, family, table[t],
				     ops + first[t] * lpm_op_size(family), first[t + 1] - first[t]);
		CHECK(!change.failed);
		keep(&change);
	}
	figure(name, "swap", (seconds() - begun) * 1e3, "ms");
	for (unsigned t = 0; t < tables; t++)
		lpm_free(table[t]);
	free(table);
	free(prefix);
	free(ops);
	free(first);
}

/* --- VMs --- */

static double vm_cycles(const struct vm_table *table, size_t count)
{
	static uint64_t keys[QUERIES];
	double sum = 0;

	for (size_t i = 0; i < QUERIES; i++) {
		const uint32_t n = random_below(&state, (uint32_t)count);

		keys[i] = vm_key4(1 + n / 100, n * 2654435761U);
	}
	for (size_t part = 0; part < QUERIES; part += PART) {
		double best = 1e9;

		for (unsigned run = 0; run < RUNS; run++) {
			struct vm_value values[64];
			uint64_t begun = 0, found = UINT64_MAX;

			for (size_t i = 0; i < 2 * PART; i += 64) {
				if (i == PART)
					begun = rte_rdtsc();
				found &= vm_lookup_burst4(
				    table, keys + (part + QUERIES - PART + i) % QUERIES, values,
				    64);
			}
			best = fmin(best, (double)(rte_rdtsc() - begun));
			CHECK(found == UINT64_MAX);
		}
		sum += best;
	}
	return sum / QUERIES;
}

static void bench_vms(const char *name, size_t count)
{
	struct vm_table table;
	struct vm_array *retired;
	double begun;

	CHECK(vm_table_init(&table) == 0);
	begun = seconds();
	CHECK(vm_reserve(&table, 4, count, &retired) == 0);
	vm_array_free(retired);
	for (uint32_t n = 0; n < count; n++) {
		const struct vm_value value = {.vni = 1 + n / 100, .adjacency = n};
		const uint32_t address = n * 2654435761U;

		vm_put(&table, 4, (const uint8_t *)&address, &value, NULL);
	}
	figure(name, "insert", (double)count / (seconds() - begun) * 1e-6, "M/s");
	figure(name, "hit", vm_cycles(&table, count), "TSC cycles");
	vm_table_free(&table);
}

/* CPU or -1, "quick" or "full", and what the names of the figures begin with. */
int main(int argc, char **argv)
{
	const int cpu = argc > 1 ? atoi(argv[1]) : -1;
	const char *wanted = argc > 3 ? argv[3] : "";
	cpu_set_t set;

	scale = argc > 2 && !strcmp(argv[2], "quick") ? 100 : 1;
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned)cpu, &set);
		CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	}
	if (!strncmp(wanted, "vms", strlen(wanted))) {
		bench_vms("vms-10k", 10000);
		bench_vms("vms-1m", 1000000 / scale);
		bench_vms("vms-4m", 4000000 / scale);
	}
	if (!strncmp(wanted, "lpm", strlen(wanted))) {
		bench_lpm("lpm4-10k-tables", 4, 10000 / scale, 100);
		bench_lpm("lpm4-one-table", 4, 1, 1000000 / scale);
		bench_lpm("lpm6-10k-tables", 6, 10000 / scale, 100);
		bench_lpm("lpm6-one-table", 6, 1, 1000000 / scale);
	}
	return 0;
}
