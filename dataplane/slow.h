/* SPDX-License-Identifier: Apache-2.0
 *
 * The slow path: a thread of its own that answers ARP and echo requests for our addresses, learns
 * and refreshes neighbours, and carries the kernel's share of the traffic over taps. Packets come
 * from and go back to the packet loop by punt.h.
 */
#ifndef CCN_SLOW_H
#define CCN_SLOW_H

struct rte_mempool;

int slow_start(struct rte_mempool *pool); /* -1 after one line on stderr; after punt_init */
void slow_stop(void);
/* Waits until all that has been punted so far is answered, a second at most. For a worker that
 * replays a file: each time alike. */
void slow_settle(void);
/* There are new tables: attach their taps, resolve their neighbours. */
void slow_kick(void);

#endif
