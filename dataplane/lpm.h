/* SPDX-License-Identifier: Apache-2.0
 *
 * Longest prefix match. A table of one routing table and address family is an immutable tree; a
 * change makes a new tree that shares with the old what has not changed, so that its cost is that
 * of the change and not of the table. Readers hold a reference to what is looked up, of one word.
 * In: prefixes with the next-hop slot of each. Out: the slot of the longest match, or LPM_NONE.
 */
#ifndef CCN_LPM_H
#define CCN_LPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LPM_NONE UINT32_MAX
#define LPM_BURST 64 /* most addresses of one burst */

struct lpm_prefix {
	uint8_t address[16]; /* network order; IPv4 in the first four octets; host bits zero */
	uint32_t next_hop;   /* below 2^24; LPM_NONE in a change: remove the prefix */
	uint8_t length;
	uint8_t pad[3];
};

/* --- reading --- */

/* What readers look addresses up in; 0 is an empty table. */
typedef uint64_t lpm_ref;

typedef void (*lpm_burst4_fn)(const lpm_ref *tables, const uint32_t *addresses, uint32_t *next_hops,
			      unsigned count);
typedef void (*lpm_burst6_fn)(const lpm_ref *tables, const uint8_t (*addresses)[16],
			      uint32_t *next_hops, unsigned count);

/* The table of each address may differ. `count` <= LPM_BURST. IPv4 addresses in host order. Of the
 * variants below the fastest that this CPU can run; chosen before main. */
extern lpm_burst4_fn lpm_lookup_burst4;
extern lpm_burst6_fn lpm_lookup_burst6;

/* Chooses "avx512", "avx2" or "scalar". False: unknown, or this CPU lacks it. CCN_LPM in the
 * environment does the same before main. */
bool lpm_use(const char *variant);
const char *lpm_variant(void);

/* --- changing: one thread --- */

struct lpm_table; /* NULL is an empty table */

struct lpm_list {
	struct lpm_table **table;
	size_t count, capacity;
};

/* What a series of changes has made and replaced: exactly one of the two is to be freed by
 * lpm_drop, `fresh` if the tables are not put into force, `stale` after a grace period if they are. */
struct lpm_change {
	struct lpm_list fresh, stale;
	bool failed; /* out of memory: what was returned since is not to be used */
};

/* Like memcmp of 16 octets, in two steps. */
static inline int lpm_address_compare(const uint8_t *a, const uint8_t *b)
{
	uint64_t x, y;

	for (unsigned at = 0; at < 16; at += 8) {
		__builtin_memcpy(&x, a + at, 8);
		__builtin_memcpy(&y, b + at, 8);
		if (x != y)
			return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
	}
	return 0;
}

/* Order of prefixes: by address, then by length. */
static inline int lpm_prefix_compare(const struct lpm_prefix *a, const struct lpm_prefix *b)
{
	const int order = lpm_address_compare(a->address, b->address);

	return order ? order : (int)a->length - (int)b->length;
}

/* The table with these prefixes added, replaced or removed: sorted, without duplicates, and those
 * to remove are there. `family` 4 or 6. Changes nothing if `change->failed`. */
struct lpm_table *lpm_apply(struct lpm_change *change, int family, struct lpm_table *table,
			    const struct lpm_prefix *prefixes, size_t count);
/* The whole table is to go. */
void lpm_retire(struct lpm_change *change, struct lpm_table *table);
void lpm_drop(struct lpm_list *list);
void lpm_forget(struct lpm_list *list); /* frees the list, not the tables */
void lpm_free(struct lpm_table *table); /* whole, at once */

lpm_ref lpm_reference(const struct lpm_table *table);
size_t lpm_count(const struct lpm_table *table);
/* Octets of what readers look addresses up in, and of all; the whole table is walked. */
size_t lpm_bytes(const struct lpm_table *table, bool all);

/* The row of just this prefix, the longest match of an address, or NULL. */
const struct lpm_prefix *lpm_exact(const struct lpm_table *table, const struct lpm_prefix *prefix);
const struct lpm_prefix *lpm_match(const struct lpm_table *table, const uint8_t *address);
/* Every prefix, sorted; `out` has room for lpm_count. False: out of memory. */
bool lpm_list_all(const struct lpm_table *table, struct lpm_prefix *out);

#endif
