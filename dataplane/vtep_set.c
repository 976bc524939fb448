/* SPDX-License-Identifier: Apache-2.0
 * Sets of VTEPs: where each stands, and which flow takes which of its VTEPs.
 */
#include "vtep_set.h"

#include <stdlib.h>
#include <string.h>

int vtep_sets_init(struct vtep_sets *sets)
{
	*sets = (struct vtep_sets){.at = calloc(MAX_VTEP_SETS, sizeof(struct vtep_set *)),
				   .place = keymap_new(0)};
	return sets->at && sets->place ? 0 : -1;
}

void vtep_sets_free(struct vtep_sets *sets)
{
	for (uint32_t i = 0; sets->at && i < sets->end; i++)
		free(sets->at[i]);
	free(sets->at);
	free(sets->place);
}

const char *vtep_set_fault(const struct ccn_vtep_set *record)
{
	if (record->count < 2 || record->count > CCN_MAX_MEMBERS)
		return "a set has 2 to 16 VTEPs";
	for (unsigned i = 0; i < record->count; i++)
		for (unsigned j = 0; j < i; j++)
			if (!memcmp(record->vtep[i], record->vtep[j], 4))
				return "the same VTEP twice";
	return NULL;
}

static uint64_t key_of(const uint8_t name[4])
{
	uint32_t number;

	memcpy(&number, name, 4);
	return 1ULL << 32 | number;
}

uint32_t vtep_set_find(const struct vtep_sets *sets, const uint8_t name[4])
{
	uint64_t place;

	return keymap_get(sets->place, key_of(name), &place) ? (uint32_t)place : MAX_VTEP_SETS;
}

uint32_t vtep_set_put(struct vtep_sets *sets, const struct ccn_vtep_set *record,
		      const uint32_t *adjacency)
{
	struct keymap *map = keymap_reserve(sets->place, 1);
	uint64_t key[CCN_MAX_MEMBERS];
	uint8_t weight[CCN_MAX_MEMBERS];
	struct vtep_set *set = map ? calloc(1, sizeof(*set)) : NULL;
	uint32_t place = sets->taken;

	if (map && map != sets->place) {
		free(sets->place);
		sets->place = map;
	}
	while (place < sets->end && sets->at[place])
		place++;
	sets->taken = place; /* where the next one begins to look */
	if (!set || place == MAX_VTEP_SETS) {
		free(set);
		return MAX_VTEP_SETS;
	}
	set->record = *record;
	for (unsigned i = 0; i < record->count; i++) {
		set->adjacency[i] = adjacency[i];
		key[i] = key_of(record->vtep[i]);
		weight[i] = 1;
	}
	group_spread(key, weight, record->count, set->bucket);
	__atomic_store_n(&sets->at[place], set, __ATOMIC_RELEASE);
	keymap_put(sets->place, key_of(record->name), place);
	sets->count++;
	if (place == sets->end)
		sets->end++;
	return place;
}

struct vtep_set *vtep_set_take(struct vtep_sets *sets, uint32_t place)
{
	struct vtep_set *set = sets->at[place];

	keymap_remove(sets->place, key_of(set->record.name));
	__atomic_store_n(&sets->at[place], NULL, __ATOMIC_RELEASE);
	sets->count--;
	if (place < sets->taken)
		sets->taken = place;
	while (sets->end > 0 && !sets->at[sets->end - 1])
		sets->end--;
	return set;
}
