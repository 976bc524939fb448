/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with linear probing, two slots of 32 octets in a cache line, at most 5/8 full. A
 * search begins at the first slot of a line; a burst is looked up in the first lines of all without
 * a branch, and only what is not there goes on. IPv4: key in its own word. IPv6: the address in the
 * first half, the VNI in the value's half, so that for both one 16-octet store makes a slot valid.
 */
#include "vm_table.h"

#include <stdlib.h>
#include <string.h>

#include <emmintrin.h>

#include "arena.h"

#define EMPTY 0U
#define AHEAD 16 /* slots whose new places are under way from memory, when a table grows */
#define DELETED UINT32_MAX /* as a VNI; no VNI has more than 24 bits */

struct slot {
	union {
		uint64_t key4[2]; /* [0]: vm_key4; [1] unused */
		uint8_t ip6[16];
	};
	struct vm_value value; /* value.vni: EMPTY, DELETED or the VNI */
} __attribute__((aligned(32)));

struct vm_array {
	uint64_t mask;
	size_t size; /* octets */
	size_t live; /* keys */
	size_t used; /* slots that are not empty: keys and deleted ones */
	struct slot slots[] __attribute__((aligned(64)));
};

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 29;
	x *= 0x9e3779b97f4a7c15ULL;
	return x ^ x >> 32;
}

static inline uint64_t hash4(uint64_t key)
{
	return mix(key);
}

static inline uint64_t hash6(uint32_t vni, const uint8_t *ip)
{
	uint64_t high, low;

	memcpy(&high, ip, 8);
	memcpy(&low, ip + 8, 8);
	return mix(mix(high ^ (uint64_t)vni << 32) ^ low);
}

static inline struct vm_value load_value(const struct slot *slot)
{
	struct vm_value value;

	_mm_store_si128((__m128i *)&value, *(const volatile __m128i *)&slot->value);
	return value;
}

static inline void store_value(struct slot *slot, const struct vm_value *value)
{
	__asm__ volatile("" ::: "memory"); /* the key first (x86 keeps the order of stores) */
	*(volatile __m128i *)&slot->value = _mm_load_si128((const __m128i *)value);
}

static uint64_t load_key4(uint32_t vni, const uint8_t *ip)
{
	uint32_t address;

	memcpy(&address, ip, 4);
	return vm_key4(vni, address);
}

static struct vm_array *new_array(size_t keys)
{
	uint64_t slots = 16;

	while (slots * 5 / 8 < keys)
		slots *= 2;
	const size_t size = sizeof(struct vm_array) + slots * sizeof(struct slot);
	struct vm_array *array = arena_map(size); /* zero, in huge pages if it can be */

	if (!array)
		return NULL;
	array->size = size;
	array->mask = slots - 1;
	return array;
}

int vm_table_init(struct vm_table *table)
{
	table->v4 = new_array(0);
	table->v6 = new_array(0);
	if (table->v4 && table->v6)
		return 0;
	vm_table_free(table);
	return -1;
}

void vm_table_free(struct vm_table *table)
{
	vm_array_free(table->v4);
	vm_array_free(table->v6);
	table->v4 = table->v6 = NULL;
}

void vm_array_free(struct vm_array *array)
{
	if (array)
		arena_unmap(array, array->size);
}

/* The slot of the key, or the empty one where the search ended. */
static struct slot *find(struct vm_array *array, int family, uint32_t vni, const uint8_t *ip)
{
	uint64_t key4 = family == 4 ? load_key4(vni, ip) : 0;
	uint64_t at = (family == 4 ? hash4(key4) : hash6(vni, ip)) * 2;

	for (;; at++) {
		struct slot *slot = &array->slots[at & array->mask];

		if (slot->value.vni == EMPTY)
			return slot;
		if (slot->value.vni == vni &&
		    (family == 4 ? slot->key4[0] == key4 : !memcmp(slot->ip6, ip, 16)))
			return slot;
	}
}

static bool put(struct vm_array *array, int family, const uint8_t *ip, const struct vm_value *value,
		struct vm_value *before)
{
	struct slot *slot = find(array, family, value->vni, ip);
	const bool there = slot->value.vni != EMPTY;

	if (there && before)
		*before = load_value(slot);
	if (!there) {
		if (family == 4)
			slot->key4[0] = load_key4(value->vni, ip);
		else
			memcpy(slot->ip6, ip, 16);
		array->live++;
		array->used++;
	}
	store_value(slot, value);
	return there;
}

static bool has_room(const struct vm_array *array, size_t more)
{
	return array->used + more <= (array->mask + 1) * 5 / 8;
}

bool vm_has_room(const struct vm_table *table, int family, size_t more)
{
	return has_room(family == 4 ? table->v4 : table->v6, more);
}

static bool is_held(const struct slot *slot)
{
	return slot->value.vni != EMPTY && slot->value.vni != DELETED;
}

/* The address of a slot that is held: its own octets, or of IPv4 in `word`. */
static const uint8_t *address_of(const struct slot *slot, int family, uint32_t *word)
{
	*word = (uint32_t)slot->key4[0];
	return family == 4 ? (const uint8_t *)word : slot->ip6;
}

static void prefetch(const struct vm_array *array, int family, uint32_t vni, const uint8_t *ip)
{
	const uint64_t hash = family == 4 ? hash4(load_key4(vni, ip)) : hash6(vni, ip);

	__builtin_prefetch(&array->slots[hash * 2 & array->mask], 1);
}

int vm_reserve(struct vm_table *table, int family, size_t more, struct vm_array **retired)
{
	struct vm_array **place = family == 4 ? &table->v4 : &table->v6;
	struct vm_array *old = *place;

	*retired = NULL;
	if (has_room(old, more))
		return 0;
	/* a quarter more than asked for, or a table full of deleted slots is rebuilt each time */
	struct vm_array *array = new_array((old->live + more) * 5 / 4);

	if (!array)
		return -1;
	for (uint64_t i = 0; i <= old->mask; i++) {
		const struct slot *slot = &old->slots[i], *ahead = slot + AHEAD;
		uint32_t word;

		if (i + AHEAD <= old->mask && is_held(ahead))
			prefetch(array, family, ahead->value.vni, address_of(ahead, family, &word));
		if (is_held(slot))
			put(array, family, address_of(slot, family, &word), &slot->value, NULL);
	}
	__atomic_store_n(place, array, __ATOMIC_RELEASE);
	*retired = old;
	return 0;
}

bool vm_put(struct vm_table *table, int family, const uint8_t *ip, const struct vm_value *value,
	    struct vm_value *before)
{
	return put(family == 4 ? table->v4 : table->v6, family, ip, value, before);
}

bool vm_delete(struct vm_table *table, int family, uint32_t vni, const uint8_t *ip,
	       struct vm_value *before)
{
	struct vm_array *array = family == 4 ? table->v4 : table->v6;
	struct slot *slot = find(array, family, vni, ip);

	if (slot->value.vni == EMPTY)
		return false;
	if (before)
		*before = load_value(slot);
	__atomic_store_n(&slot->value.vni, DELETED, __ATOMIC_RELEASE);
	array->live--;
	return true;
}

void vm_prefetch(const struct vm_table *table, int family, uint32_t vni, const uint8_t *ip)
{
	prefetch(family == 4 ? table->v4 : table->v6, family, vni, ip);
}

bool vm_get(const struct vm_table *table, int family, uint32_t vni, const uint8_t *ip,
	    struct vm_value *value)
{
	struct slot *slot = find(family == 4 ? table->v4 : table->v6, family, vni, ip);

	*value = load_value(slot);
	return value->vni == vni;
}

size_t vm_count(const struct vm_table *table, int family)
{
	return (family == 4 ? table->v4 : table->v6)->live;
}

void vm_walk(const struct vm_table *table, int family,
	     void (*visit)(void *context, int family, const uint8_t *ip,
			   const struct vm_value *value),
	     void *context)
{
	const struct vm_array *array = family == 4 ? table->v4 : table->v6;

	for (uint64_t i = 0; i <= array->mask; i++) {
		const struct slot *slot = &array->slots[i];
		uint32_t word;

		if (is_held(slot))
			visit(context, family, address_of(slot, family, &word), &slot->value);
	}
}

/* The first line of a search. */
static inline const struct slot *line_at(const struct vm_array *array, uint64_t hash)
{
	return &array->slots[hash * 2 & array->mask];
}

static inline bool holds4(const struct slot *slot, const struct vm_value *value, uint64_t key)
{
	return (value->vni == key >> 32) & (slot->key4[0] == key);
}

static inline bool holds6(const struct slot *slot, const struct vm_value *value, uint32_t vni,
			  const uint8_t *ip)
{
	const __m128i held = _mm_load_si128((const __m128i *)slot->ip6);
	const __m128i same = _mm_cmpeq_epi8(held, _mm_loadu_si128((const __m128i *)ip));

	return (value->vni == vni) & (_mm_movemask_epi8(same) == 0xffff);
}

/* From the second line of a search on. A value is loaded before its key is compared: see put. */
static bool go_on(const struct vm_array *array, uint64_t hash, int family, uint32_t vni,
		  uint64_t key4, const uint8_t *ip, struct vm_value *value)
{
	for (uint64_t at = hash * 2 + 2;; at++) {
		const struct slot *slot = &array->slots[at & array->mask];

		*value = load_value(slot);
		if (value->vni == EMPTY)
			return false;
		if (family == 4 ? holds4(slot, value, key4) : holds6(slot, value, vni, ip))
			return true;
	}
}

uint64_t vm_lookup_burst4(const struct vm_table *table, const uint64_t *keys,
			  struct vm_value *values, unsigned count)
{
	const struct vm_array *array = __atomic_load_n(&table->v4, __ATOMIC_ACQUIRE);
	uint64_t hash[64], found = 0, further = 0;

	for (unsigned i = 0; i < count; i++) {
		hash[i] = hash4(keys[i]);
		__builtin_prefetch(line_at(array, hash[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		const struct slot *slot = line_at(array, hash[i]);
		const struct vm_value first = load_value(slot), second = load_value(slot + 1);
		const bool in_second = holds4(slot + 1, &second, keys[i]);
		const bool in_first = holds4(slot, &first, keys[i]);

		values[i] = in_second ? second : first;
		found |= (uint64_t)(in_first | in_second) << i;
		further |= (uint64_t)(!(in_first | in_second) & (second.vni != EMPTY)) << i;
	}
	for (; further; further &= further - 1) {
		const unsigned i = (unsigned)__builtin_ctzll(further);

		found |= (uint64_t)go_on(array, hash[i], 4, 0, keys[i], NULL, &values[i]) << i;
	}
	return found;
}

uint64_t vm_lookup_burst6(const struct vm_table *table, const uint32_t *vnis,
			  const uint8_t (*ips)[16], struct vm_value *values, unsigned count)
{
	const struct vm_array *array = __atomic_load_n(&table->v6, __ATOMIC_ACQUIRE);
	uint64_t hash[64], found = 0, further = 0;

	for (unsigned i = 0; i < count; i++) {
		hash[i] = hash6(vnis[i], ips[i]);
		__builtin_prefetch(line_at(array, hash[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		const struct slot *slot = line_at(array, hash[i]);
		const struct vm_value first = load_value(slot), second = load_value(slot + 1);
		const bool in_second = holds6(slot + 1, &second, vnis[i], ips[i]);
		const bool in_first = holds6(slot, &first, vnis[i], ips[i]);

		values[i] = in_second ? second : first;
		found |= (uint64_t)(in_first | in_second) << i;
		further |= (uint64_t)(!(in_first | in_second) & (second.vni != EMPTY)) << i;
	}
	for (; further; further &= further - 1) {
		const unsigned i = (unsigned)__builtin_ctzll(further);

		found |= (uint64_t)go_on(array, hash[i], 6, vnis[i], 0, ips[i], &values[i]) << i;
	}
	return found;
}
