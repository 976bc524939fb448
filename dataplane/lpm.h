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
	uint32_t next_hop;   /* below 2^24 */
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

/* How many prefixes more lead to each next hop: one may be counted in several places. */
#define LPM_RECENT 32U

struct lpm_count {
	uint32_t next_hop;
	int32_t more;
};

struct lpm_tally {
	struct lpm_count recent[LPM_RECENT];
	struct lpm_count *older;
	size_t older_count, capacity;
};

/* What a series of changes has made and replaced: exactly one of the two is to be freed by
 * lpm_drop, `fresh` if the tables are not put into force, `stale` after a grace period if they are. */
struct lpm_change {
	struct lpm_list fresh, stale;
	struct lpm_tally tally;	  /* after against before; to be freed by lpm_tally_free */
	bool failed;		  /* what was returned since is not to be used: out of memory, or */
	bool absent;		  /* a prefix that must be there is not: */
	struct lpm_prefix wanted; /* this one */
};

/* Operations: a prefix that is added or replaced or, with LPM_REMOVE, removed if it is there. With
 * LPM_MUST it must have been there before. */
#define LPM_REMOVE 1U
#define LPM_MUST 2U

/* Of IPv4: address (host order) << 32 | length << 26 | flags << 24 | next hop. */
typedef uint64_t lpm_op4;
#define LPM_FLAGS_AT 24U

/* Address and length, of which the order is that of operations. */
static inline uint64_t lpm_op4_prefix(lpm_op4 op)
{
	return op >> 26;
}

struct lpm_op6 {
	uint64_t high, low; /* host order */
	uint32_t next_hop;
	uint8_t length, flags;
	uint8_t pad[2];
};

static inline size_t lpm_op_size(int family)
{
	return family == 4 ? sizeof(lpm_op4) : sizeof(struct lpm_op6);
}

static inline uint64_t lpm_word(const uint8_t *octets)
{
	uint64_t word;

	__builtin_memcpy(&word, octets, 8);
	return __builtin_bswap64(word);
}

static inline lpm_op4 lpm_make_op4(const uint8_t *address, unsigned length, uint32_t next_hop,
				   unsigned flags)
{
	uint32_t word;

	__builtin_memcpy(&word, address, 4);
	return (lpm_op4)__builtin_bswap32(word) << 32 | length << 26 | flags << LPM_FLAGS_AT |
	       next_hop;
}

static inline struct lpm_op6 lpm_make_op6(const uint8_t *address, unsigned length,
					  uint32_t next_hop, unsigned flags)
{
	return (struct lpm_op6){.high = lpm_word(address),
				.low = lpm_word(address + 8),
				.next_hop = next_hop,
				.length = (uint8_t)length,
				.flags = (uint8_t)flags};
}

/* Operation `at` of an array. */
static inline void lpm_put_op(int family, void *ops, size_t at, const struct lpm_prefix *prefix,
			      unsigned flags)
{
	if (family == 4)
		((lpm_op4 *)ops)[at] =
		    lpm_make_op4(prefix->address, prefix->length, prefix->next_hop, flags);
	else
		((struct lpm_op6 *)ops)[at] =
		    lpm_make_op6(prefix->address, prefix->length, prefix->next_hop, flags);
}

/* Their order: by address, then by length. */
static inline int lpm_op6_compare(const struct lpm_op6 *a, const struct lpm_op6 *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return (int)a->length - (int)b->length;
}

/* The table after operations (an array of lpm_op4 or lpm_op6: `family` 4 or 6) that are sorted and of
 * which no two are of one prefix. Changes nothing if `change->failed`. */
struct lpm_table *lpm_apply(struct lpm_change *change, int family, struct lpm_table *table,
			    const void *ops, size_t count);
/* The whole table is to go, with all that it leads to. */
void lpm_clear(struct lpm_change *change, struct lpm_table *table);
void lpm_drop(struct lpm_list *list);
void lpm_forget(struct lpm_list *list); /* frees the list, not the tables */
void lpm_free(struct lpm_table *table); /* whole, at once */

/* Calls `count` for every next hop counted. */
void lpm_tally_each(const struct lpm_tally *tally,
		    void (*count)(void *context, uint32_t next_hop, int32_t more), void *context);
void lpm_tally_free(struct lpm_tally *tally);

lpm_ref lpm_reference(const struct lpm_table *table);
size_t lpm_count(const struct lpm_table *table);
/* Octets of what readers look addresses up in, and of all; the whole table is walked. */
size_t lpm_bytes(const struct lpm_table *table, bool all);

/* The prefix that an address matches; false: none. */
bool lpm_match(const struct lpm_table *table, const uint8_t *address, struct lpm_prefix *match);
/* Every prefix, sorted; `out` has room for lpm_count. False: out of memory. */
bool lpm_list_all(const struct lpm_table *table, struct lpm_prefix *out);

#endif
