/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses, each inside a scope (a VNI, an interface): the gateway's own inside VPCs, and those of
 * its BGP neighbours. Immutable once made; a transaction makes another beside it. In: sorted keys.
 * Out: is it there, and which ones a scope has.
 */
#ifndef CCN_ADDRESS_SET_H
#define CCN_ADDRESS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As struct ccn_gateway_address and struct ccn_peer lie on the wire. */
struct address_key {
	uint32_t scope;
	uint8_t family; /* 4 or 6 */
	uint8_t pad[3];
	uint8_t ip[16]; /* IPv4 in the first four octets, the others zero */
};

struct address_set {
	uint32_t count, mask;
	uint32_t *slots;	  /* hash -> index + 1, 0 = none */
	struct address_key key[]; /* sorted */
};

struct address_set *address_set_new(uint32_t capacity); /* empty; NULL: out of memory */
/* To be called once, when `count` keys stand sorted in `key`. */
void address_set_index(struct address_set *set);
void address_set_free(struct address_set *set);

/* By scope, family, address. */
int address_compare(const struct address_key *a, const struct address_key *b);

/* `ip`: 4 or 16 octets. */
bool address_set_has(const struct address_set *set, uint32_t scope, int family, const uint8_t *ip);
/* Index of the first address of this scope and family, or of what stands where it would. */
uint32_t address_set_from(const struct address_set *set, uint32_t scope, int family);

#endif
