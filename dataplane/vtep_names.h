/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv6 VTEPs and their names of four octets (struct ccn_vtep_name), by which all other tables have
 * them: behind this, a VTEP is one word, whatever its family. Immutable once made; a transaction
 * makes another beside it. In: an address or a name. Out: the other.
 */
#ifndef CCN_VTEP_NAMES_H
#define CCN_VTEP_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <nmmintrin.h>

#include "ccn_wire.h"

/* On one cache line. */
struct vtep_name {
	uint8_t address[16];
	uint32_t name; /* network order; 0: nothing stands here */
} __attribute__((aligned(32)));

struct vtep_names {
	uint32_t count, mask;
	struct vtep_name *by_name;     /* hashed by name */
	struct vtep_name by_address[]; /* hashed by address */
};

struct vtep_names *vtep_names_new(uint32_t capacity); /* empty; NULL: out of memory */
void vtep_names_free(struct vtep_names *names);
/* There is room for it, and neither name nor address is there yet. */
void vtep_names_add(struct vtep_names *names, uint32_t name, const uint8_t address[16]);

/* Whether four octets stand for an IPv6 VTEP: a multicast address, which is nobody's. */
static inline bool vtep_is_name(uint32_t vtep_be)
{
	return (vtep_be & 0xf0) == 0xe0;
}

static inline uint32_t vtep_names_hash(const uint8_t address[16])
{
	uint64_t word[2];

	memcpy(word, address, 16);
	return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, word[0]), word[1]) * 0x9e3779b1U >> 7;
}

/* Where the search for an address of this hash begins: to be fetched ahead. */
static inline const void *vtep_names_place(const struct vtep_names *names, uint32_t hash)
{
	return &names->by_address[hash & names->mask];
}

/* The name of an address that has this hash, or 0. */
static inline uint32_t vtep_name_at(const struct vtep_names *names, uint32_t hash,
				    const uint8_t address[16])
{
	for (uint32_t at = hash;; at++) {
		const struct vtep_name *n = &names->by_address[at & names->mask];

		if (n->name == 0 || !memcmp(n->address, address, 16))
			return n->name;
	}
}

static inline uint32_t vtep_name_of(const struct vtep_names *names, const uint8_t address[16])
{
	return vtep_name_at(names, vtep_names_hash(address), address);
}

/* The address of a name, or NULL. */
const uint8_t *vtep_address_of(const struct vtep_names *names, uint32_t name);

#endif
