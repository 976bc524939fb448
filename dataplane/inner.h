/* SPDX-License-Identifier: Apache-2.0
 *
 * The router that VMs see. In: packets of a CCSI that the workers punted (punt.h). Out: answers of
 * the gateway addresses to ARP, neighbour discovery and echo, ICMP errors about what could not be
 * forwarded, and fragments. For the slow-path thread only.
 */
#ifndef CCN_INNER_H
#define CCN_INNER_H

#include "fib.h"

struct rte_mbuf;
struct rte_mempool;

void inner_init(struct rte_mempool *pool);
/* Takes a packet with its note. */
void inner_take(const struct fib *fib, struct rte_mbuf *m);

#endif
