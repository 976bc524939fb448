/* SPDX-License-Identifier: Apache-2.0
 *
 * The slow path: a thread of its own that answers ARP and echo requests for our addresses, learns
 * and refreshes neighbours, and carries the kernel's share of the traffic over taps. Packets come
 * from and go back to the packet loop over two rings.
 */
#ifndef CCN_SLOW_H
#define CCN_SLOW_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

int slow_start(struct rte_mempool *pool); /* -1 after one line on stderr */
void slow_stop(void);
/* There are new tables: attach their taps, resolve their neighbours. */
void slow_kick(void);

/* For the packet loop. A punted frame is untagged; m->port is our port index, m->vlan_tci its
 * VLAN, m->hash.usr the interface slot. False: the ring is full. slow_wake after the last. */
bool slow_punt(struct rte_mbuf *m);
void slow_wake(void);
/* Frames to send as they are: m->port is our port index. */
unsigned slow_injected(struct rte_mbuf **packets, unsigned most);

#endif
