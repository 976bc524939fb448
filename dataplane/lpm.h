/* SPDX-License-Identifier: Apache-2.0
 *
 * Longest prefix match of one routing table of one address family: immutable, built whole from
 * sorted prefixes, replaced by swapping a pointer. In: prefixes with the next-hop slot of each.
 * Out: the slot of the longest match, or LPM_NONE.
 */
#ifndef CCN_LPM_H
#define CCN_LPM_H

#include <stddef.h>
#include <stdint.h>

#define LPM_NONE UINT32_MAX
#define LPM_BURST 64 /* most addresses of one burst */

struct lpm_prefix {
	uint8_t address[16]; /* network order; IPv4 in the first four octets; host bits zero */
	uint32_t next_hop;
	uint8_t length;
	uint8_t pad[3];
};

struct lpm;

/* Order of the prefixes that lpm_build takes: by address, then by length. */
int lpm_prefix_compare(const struct lpm_prefix *a, const struct lpm_prefix *b);

/* `family` 4 or 6; `prefixes` sorted and without duplicates. NULL: out of memory. */
struct lpm *lpm_build(int family, const struct lpm_prefix *prefixes, size_t count);
void lpm_free(struct lpm *table);
size_t lpm_bytes(const struct lpm *table);

/* The table of each address may differ; a NULL table matches nothing. `count` <= LPM_BURST.
 * IPv4 addresses in host order. */
void lpm_lookup_burst4(const struct lpm *const *tables, const uint32_t *addresses,
		       uint32_t *next_hops, unsigned count);
void lpm_lookup_burst6(const struct lpm *const *tables, const uint8_t (*addresses)[16],
		       uint32_t *next_hops, unsigned count);

#endif
