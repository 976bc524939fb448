/* SPDX-License-Identifier: Apache-2.0
 *
 * Packets for ourselves: ARP, neighbour discovery and echo of our addresses are answered here, and
 * neighbours learned from; the rest is the kernel's. For the slow-path thread only.
 */
#ifndef CCN_OWN_H
#define CCN_OWN_H

#include "fib.h"

struct rte_mbuf;
struct rte_mempool;

void own_init(struct rte_mempool *pool);
/* Takes a punted frame (punt.h). */
void own_take(const struct interface_table *interfaces, struct rte_mbuf *m);
/* Asks who has the neighbour's address: `mac` by unicast, or (NULL) everybody. */
void own_ask(const struct interface_table *interfaces, const struct neigh_key *key,
	     const uint8_t *mac);

#endif
