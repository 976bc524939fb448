/* SPDX-License-Identifier: Apache-2.0
 *
 * The hosts of VMs that are behind several. In: struct ccn_vtep_set. Out: for a flow the adjacency
 * of one of them. A VM's value names a set by its adjacency: SHARED and the place of the set, so
 * that the look-up of an ordinary VM costs nothing more. One writer, readers without locks: a set is
 * immutable, its place is empty before the first VM names it and after the last one did.
 */
#ifndef CCN_VTEP_SET_H
#define CCN_VTEP_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ccn_wire.h"
#include "group.h"
#include "keymap.h"

#define SHARED 0x80000000U /* of an adjacency: the rest is the place of a set */
#define MAX_VTEP_SETS 65536U

struct vtep_set {
	struct ccn_vtep_set record;
	uint32_t adjacency[CCN_MAX_MEMBERS];
	uint8_t bucket[GROUP_BUCKETS];
	/* the control thread's */
	uint32_t vms;	    /* that name it */
	int32_t difference; /* that the staged transaction makes to them, if any set goes by it */
	bool fresh, doomed; /* the staged transaction adds it, removes it */
};

struct vtep_sets {
	struct vtep_set **at; /* MAX_VTEP_SETS, mapped when they are used */
	struct keymap *place; /* control: 1 << 32 | name */
	uint32_t count, end;  /* all that are used stand before `end` */
	uint32_t taken;	      /* all places before this one are used */
};

int vtep_sets_init(struct vtep_sets *sets); /* -1: out of memory */
void vtep_sets_free(struct vtep_sets *sets);

/* NULL, or what is wrong with the record by itself. */
const char *vtep_set_fault(const struct ccn_vtep_set *record);
/* The place of a set, or MAX_VTEP_SETS. */
uint32_t vtep_set_find(const struct vtep_sets *sets, const uint8_t name[4]);
/* Puts a set, whose adjacencies are those of its VTEPs, in a place that is free. MAX_VTEP_SETS: out
 * of memory, or too many. */
uint32_t vtep_set_put(struct vtep_sets *sets, const struct ccn_vtep_set *record,
		      const uint32_t *adjacency);
/* Empties a place; the set is to be freed after a grace period. */
struct vtep_set *vtep_set_take(struct vtep_sets *sets, uint32_t place);

static inline const struct vtep_set *vtep_set_at(const struct vtep_sets *sets, uint32_t adjacency)
{
	const uint32_t place = adjacency & ~SHARED;

	return place < MAX_VTEP_SETS ? __atomic_load_n(&sets->at[place], __ATOMIC_ACQUIRE) : NULL;
}

/* The adjacency that a flow takes to a VM; of one that is on one host its own. */
static inline uint32_t vtep_set_member(const struct vtep_sets *sets, uint32_t adjacency,
				       uint32_t flow_hash)
{
	const struct vtep_set *set;

	if (!(adjacency & SHARED))
		return adjacency;
	set = vtep_set_at(sets, adjacency);
	return set ? set->adjacency[set->bucket[group_bucket(flow_hash)]] : UINT32_MAX;
}

#endif
