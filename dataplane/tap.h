/* SPDX-License-Identifier: Apache-2.0
 *
 * Taps: the kernel's side of each interface. They are made and kept by the control plane; here they
 * are attached by name, and again whenever one goes and comes back. For the slow-path thread only.
 */
#ifndef CCN_TAP_H
#define CCN_TAP_H

#include "fib.h"

struct rte_mbuf;
struct rte_mempool;

/* `epoll_fd` reports readable taps with the tap as data.ptr. */
void taps_init(struct rte_mempool *pool, int epoll_fd);
/* Makes the list of taps that of the interfaces (NULL: none). */
void taps_adopt(const struct interface_table *interfaces);
/* Attaches those that are there now. */
void taps_attach(void);
/* What the kernel sends goes to the packet loop. */
void tap_read(void *tap);
/* To the kernel: by the port, VLAN and role of the frame, never by a table that may be newer. */
void tap_write(struct rte_mbuf *m, unsigned role);
/* Whether the kernel may route over it: one without a carrier it passes by, if it was told to. */
void tap_carrier(uint16_t port, uint16_t vlan, unsigned role, bool carrier);
void taps_close(void);

#endif
