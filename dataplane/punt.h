/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the packet loop and the slow path: punted frames one way, by class and metered, so that a
 * flood of one class takes nothing from another; injected frames the other way. A punted frame is
 * untagged; m->port is our port index, m->vlan_tci its VLAN, m->hash.usr the interface's role.
 */
#ifndef CCN_PUNT_H
#define CCN_PUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct worker_stats;

enum punt_class {
	PUNT_SESSION,  /* TCP of BGP beyond its first segment: not metered */
	PUNT_NEIGHBOR, /* ARP and neighbour discovery */
	PUNT_OTHER,    /* echo requests, connection attempts, whatever else */
	PUNT_CLASSES,
};

int punt_init(void); /* -1 after one line on stderr */

/* Of an untagged frame. */
enum punt_class punt_class(const uint8_t *frame, size_t length);

/* --- for the packet loop --- */

/* Takes the frame, or counts and frees it. punt_wake after the last. */
void punt(struct worker_stats *stats, struct rte_mbuf *m);
void punt_wake(void);
/* Frames to send as they are: m->port is our port index. */
unsigned punt_injected(struct rte_mbuf **packets, unsigned most);
int punt_loop_fd(void); /* readable when something was injected */
void punt_wake_loop(void);

/* --- for the slow path --- */

unsigned punt_next(enum punt_class class, struct rte_mbuf **packets, unsigned most);
int punt_slow_fd(void); /* readable when something was punted */
/* Sends an untagged frame out of an interface. */
void punt_inject(struct rte_mbuf *m, uint16_t port, uint16_t vlan);

#endif
