/* SPDX-License-Identifier: Apache-2.0
 *
 * (VNI, IP) -> where the VM is: its MAC and the adjacency of its host. One writer, readers without
 * locks: a value changes by one aligned 16-octet store, a key appears last, and a slot is never
 * given to another key while the array lives; growing makes a new array.
 */
#ifndef CCN_VM_TABLE_H
#define CCN_VM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm_value {
	uint32_t vni;
	uint8_t mac[6];
	uint16_t pad;
	uint32_t adjacency; /* index into the FIB's adjacencies, or a set of them: vtep_set.h */
} __attribute__((aligned(16)));

struct vm_array;

struct vm_table {
	struct vm_array *v4; /* replaced by one store */
	struct vm_array *v6;
};

int vm_table_init(struct vm_table *table); /* -1: out of memory */
void vm_table_free(struct vm_table *table);

/* Makes room for `more` keys, so that vm_put cannot fail. `*retired` is then an array to give to
 * vm_array_free after a grace period, or NULL. -1: out of memory, nothing changed. */
int vm_reserve(struct vm_table *table, int family, size_t more, struct vm_array **retired);
void vm_array_free(struct vm_array *array);
bool vm_has_room(const struct vm_table *table, int family, size_t more); /* as it is */

/* `ip`: 4 or 16 octets in network order. vm_put adds or replaces. Whether the key was there, and then in
 * `before` (or NULL) what it had. */
bool vm_put(struct vm_table *table, int family, const uint8_t *ip, const struct vm_value *value,
	    struct vm_value *before);
bool vm_delete(struct vm_table *table, int family, uint32_t vni, const uint8_t *ip,
	       struct vm_value *before);
/* Fetches where it is, for one of these calls a little later. */
void vm_prefetch(const struct vm_table *table, int family, uint32_t vni, const uint8_t *ip);
bool vm_get(const struct vm_table *table, int family, uint32_t vni, const uint8_t *ip,
	    struct vm_value *value);
size_t vm_count(const struct vm_table *table, int family);

/* Calls `visit` for every key, in no order. */
void vm_walk(const struct vm_table *table, int family,
	     void (*visit)(void *context, int family, const uint8_t *ip,
			   const struct vm_value *value),
	     void *context);

/* Bit i of the result: key i was found and values[i] holds its value. count <= 64.
 * IPv4 keys: vm_key4(vni, address in network order). */
static inline uint64_t vm_key4(uint32_t vni, uint32_t address_be)
{
	return (uint64_t)vni << 32 | address_be;
}
uint64_t vm_lookup_burst4(const struct vm_table *table, const uint64_t *keys,
			  struct vm_value *values, unsigned count);
uint64_t vm_lookup_burst6(const struct vm_table *table, const uint32_t *vnis,
			  const uint8_t (*ips)[16], struct vm_value *values, unsigned count);

#endif
