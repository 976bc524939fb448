/* SPDX-License-Identifier: Apache-2.0
 * Two open hash tables of the same entries.
 */
#include "vtep_names.h"

#include <stdlib.h>

struct vtep_names *vtep_names_new(uint32_t capacity)
{
	uint32_t slots = 4;
	size_t size;
	struct vtep_names *names;

	while (slots / 2 < capacity)
		slots *= 2;
	size = sizeof(*names) + 2 * (size_t)slots * sizeof(struct vtep_name);
	names = aligned_alloc(sizeof(struct vtep_name), size);
	if (names) {
		memset(names, 0, size);
		names->mask = slots - 1;
		names->by_name = names->by_address + slots;
	}
	return names;
}

void vtep_names_free(struct vtep_names *names)
{
	free(names);
}

static struct vtep_name *find_name(const struct vtep_names *names, uint32_t name)
{
	for (uint32_t at = name * 0x9e3779b1U >> 7;; at++) {
		struct vtep_name *n = &names->by_name[at & names->mask];

		if (n->name == 0 || n->name == name)
			return n;
	}
}

void vtep_names_add(struct vtep_names *names, uint32_t name, const uint8_t address[16])
{
	struct vtep_name entry = {.name = name};
	uint32_t at = vtep_names_hash(address);

	memcpy(entry.address, address, 16);
	while (names->by_address[at & names->mask].name != 0)
		at++;
	names->by_address[at & names->mask] = entry;
	*find_name(names, name) = entry;
	names->count++;
}

const uint8_t *vtep_address_of(const struct vtep_names *names, uint32_t name)
{
	const struct vtep_name *n = name ? find_name(names, name) : NULL;

	return n && n->name ? n->address : NULL;
}
