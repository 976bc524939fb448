/* SPDX-License-Identifier: Apache-2.0
 * A sorted array and an open hash table of the places in it.
 */
#include "address_set.h"

#include <stdlib.h>
#include <string.h>

#include <nmmintrin.h>

struct address_set *address_set_new(uint32_t capacity)
{
	struct address_set *set =
	    calloc(1, sizeof(*set) + (size_t)capacity * sizeof(struct address_key));
	uint32_t slots = 4;

	while (slots / 2 < capacity)
		slots *= 2;
	if (set && !(set->slots = calloc(slots, sizeof(*set->slots)))) {
		free(set);
		return NULL;
	}
	if (set)
		set->mask = slots - 1;
	return set;
}

void address_set_free(struct address_set *set)
{
	if (set)
		free(set->slots);
	free(set);
}

int address_compare(const struct address_key *a, const struct address_key *b)
{
	if (a->scope != b->scope)
		return a->scope < b->scope ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->ip, b->ip, 16);
}

static uint32_t hash(const struct address_key *key)
{
	uint64_t word[3];

	memcpy(word, key, sizeof(word));
	return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(_mm_crc32_u64(0, word[0]), word[1]), word[2]);
}

/* The slot that holds the key, or the free one where it would stand. */
static uint32_t *find(const struct address_set *set, const struct address_key *key)
{
	for (uint32_t at = hash(key);; at++) {
		uint32_t *slot = &set->slots[at & set->mask];

		if (*slot == 0 || address_compare(&set->key[*slot - 1], key) == 0)
			return slot;
	}
}

void address_set_index(struct address_set *set)
{
	for (uint32_t i = 0; i < set->count; i++)
		*find(set, &set->key[i]) = i + 1;
}

bool address_set_has(const struct address_set *set, uint32_t scope, int family, const uint8_t *ip)
{
	struct address_key key = {.scope = scope, .family = (uint8_t)family};

	memcpy(key.ip, ip, family == 4 ? 4 : 16);
	return *find(set, &key) != 0;
}

uint32_t address_set_from(const struct address_set *set, uint32_t scope, int family)
{
	const struct address_key wanted = {.scope = scope, .family = (uint8_t)family};
	uint32_t low = 0, high = set->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (address_compare(&set->key[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
