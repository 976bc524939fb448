/* SPDX-License-Identifier: Apache-2.0
 *
 * What is a directory's, and what each of its parts'. In: sorted operations or prefixes. Out: where
 * they part.
 */
#ifndef CCN_LPM_SPLIT_H
#define CCN_LPM_SPLIT_H

#include "lpm_tree.h"

/* Sorted operations as a directory parts them: those before `from` and from `to` on are not of its
 * window, those of each part are together, and what is between them are its own. */
struct split {
	size_t from, to, own;
	unsigned count;
	struct {
		uint32_t part, first, end;
	} part[1U << MOST_BITS];
};

void lpm_split(const struct lpm_table *table, const void *ops, size_t count, struct split *split);
/* The directory's own, one behind the other, to be freed; NULL: none, or change->failed. */
void *lpm_own_of(struct lpm_change *change, enum lpm_stage stage, const void *ops,
		 const struct split *split);
/* The value of each part of a directory by the prefixes that are too short for one. */
void lpm_paint(const struct lpm_table *table, uint32_t window_cover, uint32_t *cover);

#endif
