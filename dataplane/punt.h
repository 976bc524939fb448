/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the workers and the slow path: punted frames one way, by class (punt_class.h) and
 * metered, so that a flood of one class takes nothing from another, nor one CCSI's or hand-off's all
 * from the others'; frames to send and packets to route the other way. Nobody waits: what has no room is dropped.
 *
 * A frame for ourselves is untagged; m->port is our port index, m->vlan_tci its VLAN, m->hash.usr
 * the interface's role. A packet of a CCSI has a note in front of it.
 */
#ifndef CCN_PUNT_H
#define CCN_PUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "punt_class.h"
#include "stats.h"

struct rte_mbuf;

enum punt_what {
	PUNT_TO_GATEWAY,    /* to an address of ours inside a VPC */
	PUNT_VM_NEIGHBOR,   /* ARP or neighbour discovery of a VM: an Ethernet frame */
	PUNT_CUT,	    /* IPv4, too big, to be cut in pieces of `mtu` */
	PUNT_TIME_EXCEEDED, /* this and the following could not be forwarded */
	PUNT_NO_ROUTE,
	PUNT_NO_HOST,
	PUNT_PROHIBITED,
	PUNT_TOO_BIG,
	PUNT_WHATS,
};

/* In front of a packet of a CCSI. After it come 14 octets, which are the Ethernet header of
 * PUNT_VM_NEIGHBOR and else nothing, then the IP packet as it came. */
struct punt_note {
	uint8_t what; /* enum punt_what */
	uint8_t family;
	uint8_t ecn; /* of the outer header */
	bool own;    /* it came from the slow path */
	uint16_t ccsi;
	uint16_t mtu;	    /* PUNT_CUT, PUNT_TOO_BIG: of the way that it would have gone */
	uint32_t vni;	    /* it came by; 0 = plain, by a hand-off */
	uint32_t vtep;	    /* outer source, network order; of IPv6 its name */
	uint32_t interface; /* id of the hand-off */
	uint32_t to_vni;    /* of the VPC that it was routed to, or 0 */
	uint32_t port;	    /* it came in by */
};

/* -1 after one line on stderr. Not `metered`: for a file, which comes faster than any clock. */
int punt_init(bool metered);

/* --- for the workers --- */

/* Takes the frame, or counts and frees it. `hand_off`: slot of the hand-off that it came by, which
 * gets a tenth of the class, and of PUNT_BGP also what others leave; NO_INTERFACE: an uplink. punt_wake after the last. */
void punt(struct worker_stats *stats, struct rte_mbuf *m, enum punt_class class, uint16_t hand_off);
/* The same of a packet of a CCSI: the buffer begins 14 octets before it and ends with it. One that
 * could not be forwarded has been counted by the caller. Why it was dropped, or DROP_REASON_COUNT: it
 * was taken, or had been counted. */
enum drop_reason punt_packet(struct worker_stats *stats, struct rte_mbuf *m,
			     const struct punt_note *note);
void punt_wake(void);
/* Frames to send as they are: m->port is our port index. */
unsigned punt_injected(struct rte_mbuf **packets, unsigned most);
/* IP packets to route, see punt_route. */
unsigned punt_routed(struct rte_mbuf **packets, unsigned most);
int punt_loop_fd(void); /* readable when something was injected */
void punt_wake_loop(void);

/* --- for the slow path --- */

unsigned punt_next(enum punt_class class, struct rte_mbuf **packets, unsigned most);
int punt_slow_fd(void); /* readable when something was punted */
/* Sends an untagged frame out of an interface. */
void punt_inject(struct rte_mbuf *m, uint16_t port, uint16_t vlan);
/* Routes an IP packet inside a CCSI as if it had come with this outer ECN field. */
void punt_route(struct rte_mbuf *m, uint16_t ccsi, int family, uint8_t ecn);

#endif
