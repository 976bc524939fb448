/* SPDX-License-Identifier: Apache-2.0
 * Sets of addresses: exactly what was put is there, and a scope's addresses begin where it is said.
 */
#include "address_set.h"

#include <string.h>

#include "check.h"

#define KEYS 500

static int by_key(const void *a, const void *b)
{
	return address_compare(a, b);
}

static struct address_key random_key(uint64_t *state)
{
	struct address_key key = {.scope = random_below(state, 12),
				  .family = random_below(state, 2) ? 4 : 6};

	key.ip[0] = (uint8_t)random_below(state, 4);
	key.ip[3] = (uint8_t)random_below(state, 8);
	if (key.family == 6)
		key.ip[15] = (uint8_t)random_below(state, 4);
	return key;
}

static void one_set(uint64_t *state, uint32_t count)
{
	struct address_set *set = address_set_new(count);
	uint32_t different = 0;

	CHECK(set);
	for (uint32_t i = 0; i < count; i++)
		set->key[i] = random_key(state);
	qsort(set->key, count, sizeof(*set->key), by_key);
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || address_compare(&set->key[different - 1], &set->key[i]) != 0)
			set->key[different++] = set->key[i];
	set->count = different;
	address_set_index(set);
	for (unsigned n = 0; n < 1000; n++) {
		const struct address_key asked = random_key(state);
		uint32_t from = 0, at;
		bool held = false;

		for (uint32_t i = 0; i < different; i++)
			held |= address_compare(&set->key[i], &asked) == 0;
		CHECK(address_set_has(set, asked.scope, asked.family, asked.ip) == held);
		while (from < different && (set->key[from].scope < asked.scope ||
					    (set->key[from].scope == asked.scope &&
					     set->key[from].family < asked.family)))
			from++;
		at = address_set_from(set, asked.scope, asked.family);
		CHECK(at == from);
	}
	address_set_free(set);
}

int main(void)
{
	uint64_t state = 9;

	one_set(&state, 0);
	for (unsigned round = 0; round < 100; round++)
		one_set(&state, 1 + random_below(&state, KEYS));
	address_set_free(NULL);
	return 0;
}
