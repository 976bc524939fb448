/* SPDX-License-Identifier: Apache-2.0
 * The interface table: from CCN_INTERFACE records to what the packet loop demultiplexes by.
 */
#ifndef CCN_INTERFACE_H
#define CCN_INTERFACE_H

#include "fib.h"

/* A copy that can be changed, with room for `more`; NULL: out of memory. */
struct interface_table *interfaces_copy(const struct interface_table *old, size_t more);
void interfaces_free(struct interface_table *table);
/* Adds, replaces or removes one; a text if the record is at fault. */
const char *interfaces_apply(struct interface_table *table, const struct ccn_interface *record,
			     bool remove);
/* Fills by_vlan, makes the underlay; a text, and the id at fault, if two interfaces claim the same packets. */
const char *interfaces_index(struct interface_table *table, uint32_t *id);
/* Slot of the interface with this id, or NO_INTERFACE. */
uint16_t interfaces_find(const struct interface_table *table, uint32_t id);

#endif
