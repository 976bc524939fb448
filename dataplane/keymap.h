/* SPDX-License-Identifier: Apache-2.0
 *
 * 64-bit key (never 0 or all ones) -> 64-bit value. One writer; keymap_get is safe beside it. A
 * removed key leaves a mark, and growing makes a new map, so a reader never sees a key with
 * another's value. In: reserve, then put. Out: get.
 */
#ifndef CCN_KEYMAP_H
#define CCN_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define KEYMAP_DELETED UINT64_MAX

struct keymap {
	uint64_t mask;
	size_t live, used;
	struct keymap_slot {
		uint64_t key, value;
	} slots[];
};

static inline struct keymap *keymap_new(size_t keys)
{
	uint64_t slots = 16;

	while (slots / 2 < keys)
		slots *= 2;
	struct keymap *map = calloc(1, sizeof(*map) + slots * sizeof(struct keymap_slot));

	if (map)
		map->mask = slots - 1;
	return map;
}

static inline uint64_t keymap_hash(uint64_t key)
{
	const uint64_t hash = (key ^ key >> 29) * 0x9e3779b97f4a7c15ULL;

	return hash ^ hash >> 32;
}

/* Where the search begins: to be fetched ahead. */
static inline const void *keymap_place(const struct keymap *map, uint64_t key)
{
	return &map->slots[keymap_hash(key) & map->mask];
}

static inline struct keymap_slot *keymap_find(const struct keymap *map, uint64_t key)
{
	for (uint64_t at = keymap_hash(key);; at++) {
		const struct keymap_slot *slot = &map->slots[at & map->mask];
		uint64_t held = __atomic_load_n(&slot->key, __ATOMIC_ACQUIRE);

		if (held == key || held == 0)
			return (struct keymap_slot *)(uintptr_t)slot;
	}
}

static inline bool keymap_get(const struct keymap *map, uint64_t key, uint64_t *value)
{
	const struct keymap_slot *slot = keymap_find(map, key);

	*value = slot->value;
	return slot->key == key;
}

static inline bool keymap_has(const struct keymap *map, uint64_t key)
{
	return keymap_find(map, key)->key == key;
}

static inline void keymap_put(struct keymap *map, uint64_t key, uint64_t value)
{
	struct keymap_slot *slot = keymap_find(map, key);

	slot->value = value;
	if (slot->key != key) {
		map->live++;
		map->used++;
		__atomic_store_n(&slot->key, key, __ATOMIC_RELEASE);
	}
}

static inline bool keymap_remove(struct keymap *map, uint64_t key)
{
	struct keymap_slot *slot = keymap_find(map, key);

	if (slot->key != key)
		return false;
	__atomic_store_n(&slot->key, KEYMAP_DELETED, __ATOMIC_RELEASE);
	map->live--;
	return true;
}

/* Whether room for `more` further keys takes a new map. */
static inline bool keymap_is_full(const struct keymap *map, size_t more)
{
	return map->used + more > (map->mask + 1) / 2;
}

/* A map with room for `more` further keys: the same one, a new one, or NULL (out of memory). */
static inline struct keymap *keymap_reserve(struct keymap *map, size_t more)
{
	if (!keymap_is_full(map, more))
		return map;
	struct keymap *grown = keymap_new((map->live + more) * 5 / 4);

	for (uint64_t i = 0; grown && i <= map->mask; i++)
		if (map->slots[i].key != 0 && map->slots[i].key != KEYMAP_DELETED)
			keymap_put(grown, map->slots[i].key, map->slots[i].value);
	return grown;
}

#endif
