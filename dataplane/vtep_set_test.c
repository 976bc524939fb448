/* SPDX-License-Identifier: Apache-2.0
 * Sets of VTEPs against a plain list of them: found by name, in a place of their own, every flow to
 * one of theirs, all of them used; a place is taken again, and a full table says so.
 */
#include "vtep_set.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define NAMES 300

static struct ccn_vtep_set named(uint64_t *state, uint32_t number)
{
	struct ccn_vtep_set record = {.count = (uint8_t)(2 + random_below(state, 15))};

	memcpy(record.name, &number, 4);
	for (unsigned i = 0; i < record.count; i++) {
		record.vtep[i][0] = (uint8_t)i;
		record.vtep[i][3] = (uint8_t)random_below(state, 256);
	}
	return record;
}

static void adjacencies_of(const struct ccn_vtep_set *record, uint32_t *adjacency)
{
	for (unsigned i = 0; i < record->count; i++)
		adjacency[i] = record->vtep[i][0] * 256U + record->vtep[i][3];
}

static uint32_t put(struct vtep_sets *sets, const struct ccn_vtep_set *record)
{
	uint32_t adjacency[CCN_MAX_MEMBERS];

	adjacencies_of(record, adjacency);
	return vtep_set_put(sets, record, adjacency);
}

static void check_members(const struct vtep_sets *sets, uint32_t place,
			  const struct ccn_vtep_set *record)
{
	uint32_t adjacency[CCN_MAX_MEMBERS], used = 0;

	adjacencies_of(record, adjacency);
	for (uint32_t hash = 0; hash < GROUP_BUCKETS << 5; hash += 1 << 5) {
		const uint32_t taken = vtep_set_member(sets, SHARED | place, hash);
		unsigned i = 0;

		while (i < record->count && adjacency[i] != taken)
			i++;
		CHECK(i < record->count);
		used |= 1U << i;
	}
	CHECK(used == (1U << record->count) - 1);
}

static void against_a_list(void)
{
	static struct ccn_vtep_set model[NAMES];
	static uint32_t place[NAMES]; /* + 1; 0: not there */
	struct vtep_sets sets;
	uint64_t state = 1;
	uint32_t held = 0;

	CHECK(vtep_sets_init(&sets) == 0);
	for (unsigned step = 0; step < 20000; step++) {
		const uint32_t n = random_below(&state, NAMES);

		if (place[n]) {
			struct vtep_set *gone = vtep_set_take(&sets, place[n] - 1);

			CHECK(!memcmp(&gone->record, &model[n], sizeof(model[n])));
			free(gone);
			CHECK(vtep_set_member(&sets, SHARED | (place[n] - 1), step) == UINT32_MAX);
			place[n] = 0;
			held--;
		} else {
			model[n] = named(&state, n);
			place[n] = 1 + put(&sets, &model[n]);
			CHECK(place[n] <= ++held + NAMES && place[n] <= NAMES);
			for (unsigned m = 0; m < NAMES; m++)
				CHECK(m == n || place[m] != place[n]);
			check_members(&sets, place[n] - 1, &model[n]);
		}
		CHECK(sets.count == held && sets.end >= held && sets.end <= NAMES);
		for (uint32_t m = 0; step % 100 == 0 && m < NAMES; m++)
			CHECK(vtep_set_find(&sets, (const uint8_t *)&m) ==
			      (place[m] ? place[m] - 1 : MAX_VTEP_SETS));
	}
	CHECK(vtep_set_member(&sets, 7, 0) == 7); /* of a VM on one host its own */
	vtep_sets_free(&sets);
}

/* The first place that is free is found whether it is the last or in the middle. */
static void full(void)
{
	struct vtep_sets sets;
	struct ccn_vtep_set record = {.count = 2, .vtep = {{1}, {2}}};

	CHECK(vtep_sets_init(&sets) == 0);
	for (uint32_t n = 0; n < MAX_VTEP_SETS; n++) {
		memcpy(record.name, &n, 4);
		CHECK(put(&sets, &record) == n);
	}
	memset(record.name, 0xff, 4);
	CHECK(put(&sets, &record) == MAX_VTEP_SETS);
	free(vtep_set_take(&sets, 12345));
	CHECK(put(&sets, &record) == 12345);
	CHECK(vtep_set_find(&sets, record.name) == 12345);
	for (unsigned round = 0; round < 20000; round++) {
		free(vtep_set_take(&sets, MAX_VTEP_SETS - 1 - round % 7));
		memcpy(record.name, &round, 4);
		record.name[3] = 0xee;
		CHECK(put(&sets, &record) == MAX_VTEP_SETS - 1 - round % 7);
	}
	vtep_sets_free(&sets);
}

static void faults(void)
{
	struct ccn_vtep_set record = {.count = 2, .vtep = {{1}, {2}}};

	CHECK(!vtep_set_fault(&record));
	record.count = 1;
	CHECK(vtep_set_fault(&record));
	record.count = CCN_MAX_MEMBERS + 1;
	CHECK(vtep_set_fault(&record));
	record.count = 3; /* the third is 0.0.0.0 */
	CHECK(!vtep_set_fault(&record));
	record.vtep[2][0] = 1;
	CHECK(vtep_set_fault(&record));
}

int main(void)
{
	against_a_list();
	full();
	faults();
	return 0;
}
