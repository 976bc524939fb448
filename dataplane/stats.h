/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters. Each has one writing thread; readers take them as they stand. Every packet that is not
 * forwarded, answered or punted counts under exactly one drop reason.
 */
#ifndef CCN_STATS_H
#define CCN_STATS_H

#include <stdint.h>

#include "ccn_wire.h"
#include "punt_class.h"

#define MAX_PORTS 16
#ifndef MAX_CCSIS /* fewer where every input of a fuzzer has all tables made anew */
#define MAX_CCSIS 65536
#endif

#define DROP_REASONS(X)                                                                            \
	X(DROP_NO_INTERFACE, "no-interface") /* no interface for this port and VLAN */             \
	X(DROP_RUNT, "runt")		     /* ends within its Ethernet or outer IP header */     \
	X(DROP_OVERSIZE, "oversize")	     /* longer than one buffer */                          \
	X(DROP_OTHER_MAC, "other-mac")	     /* unicast to a MAC that is not ours */               \
	X(DROP_NOT_OURS, "not-ours")	     /* underlay packet to another address */              \
	X(DROP_OUTER_HEADER, "outer-header") /* version or header length */                        \
	X(DROP_OUTER_LENGTH, "outer-length") /* total length and frame disagree */                 \
	X(DROP_OUTER_EXTENSION, "outer-extension") /* IPv6 extension header before VXLAN */        \
	X(DROP_OUTER_FRAGMENT, "outer-fragment")                                                   \
	X(DROP_OUTER_CHECKSUM, "outer-checksum")                                                   \
	X(DROP_NOT_VXLAN, "not-vxlan")	     /* ethertype nobody takes */                          \
	X(DROP_VXLAN_LENGTH, "vxlan-length") /* UDP length and packet disagree */                  \
	X(DROP_VXLAN_FLAGS, "vxlan-flags")   /* no I flag */                                       \
	X(DROP_UNKNOWN_VNI, "unknown-vni")                                                         \
	X(DROP_UNKNOWN_VTEP, "unknown-vtep")	   /* outer source not allowed on this VNI */      \
	X(DROP_INNER_MULTICAST, "inner-multicast") /* inner frame to a group MAC */                \
	X(DROP_INNER_TYPE, "inner-type")	   /* inner frame is neither IPv4 nor IPv6 */      \
	X(DROP_IP_HEADER, "ip-header")	     /* inner or plain packet: version, IHL, options */    \
	X(DROP_IP_LENGTH, "ip-length")	     /* its lengths disagree */                            \
	X(DROP_IP_CHECKSUM, "ip-checksum")   /* of its IPv4 header */                              \
	X(DROP_SOURCE_ROUTE, "source-route") /* IPv4 option LSRR or SSRR (RFC 7126) */             \
	X(DROP_MARTIAN, "martian")	     /* to or from an address that is never routed */      \
	X(DROP_SOURCE_NO_VM, "source-no-vm") /* host: no VM of the VNI has or routes the source */ \
	X(DROP_SOURCE_OTHER_HOST, "source-other-host") /* host: the VM is on another one */        \
	X(DROP_SOURCE_GATEWAY, "source-gateway")       /* gateway: not a source it may bring */    \
	X(DROP_SOURCE_HAND_OFF, "source-hand-off")     /* IDC: no route leads back there */        \
	X(DROP_ACL, "acl")			       /* a rule of the CCN, or none, denies it */ \
	X(DROP_NO_ROUTE, "no-route")                                                               \
	X(DROP_BLACKHOLE, "blackhole") /* the route says drop */                                   \
	X(DROP_NO_VM, "no-vm")                                                                     \
	X(DROP_NO_UPLINK, "no-uplink")	   /* no uplink reaches that VTEP */                       \
	X(DROP_NO_NEIGHBOR, "no-neighbor") /* MAC of the next hop not known (yet) */               \
	X(DROP_TTL, "ttl")                                                                         \
	X(DROP_ECN, "ecn") /* congestion seen outside, inner packet cannot say so (RFC 6040) */    \
	X(DROP_MTU, "mtu")                                                                         \
	X(DROP_TX_FULL, "tx-full")                                                                 \
	X(DROP_FAN_OUT_FULL, "fan-out-full") /* the worker that it was handed to cannot keep up */ \
	X(DROP_PUNT_RATE, "punt-rate")	     /* more for ourselves than is taken of its class */   \
	X(DROP_PUNT_FULL, "punt-full")	     /* the slow path cannot keep up */                    \
	X(DROP_OFF_LINK, "off-link")	     /* to our hand-off address, from beyond its subnet */ \
	X(DROP_VM_NEIGHBOR, "vm-neighbor")   /* ARP, ND of a VM that asks for nothing of ours */   \
	X(DROP_GATEWAY_ADDRESS,                                                                    \
	  "gateway-address")	 /* to a VPC's gateway, which offers echo only */                  \
	X(DROP_ANSWER, "answer") /* of ours to a packet of a CCSI, which leads nowhere */          \
	X(DROP_TAP, "tap")	 /* punted, but there is no tap or it is full */                   \
	X(DROP_INJECT_FULL, "inject-full")

enum drop_reason {
#define X(id, text) id,
	DROP_REASONS(X)
#undef X
	    DROP_REASON_COUNT
};

/* In the order of a packet's way (fwd.h). */
#define STAGES(X)                                                                                  \
	X(STAGE_RECEIVE, "receive")                                                                \
	X(STAGE_FAN_OUT, "fan-out")                                                                \
	X(STAGE_SORT_OUT, "sort-out")                                                              \
	X(STAGE_SOURCES, "check-sources")                                                          \
	X(STAGE_ACL, "apply-acls")                                                                 \
	X(STAGE_MATCH, "match-routes")                                                             \
	X(STAGE_NEXT_HOP, "find-next-hops")                                                        \
	X(STAGE_REWRITE, "rewrite")                                                                \
	X(STAGE_SEND, "send")

enum stage {
#define X(id, text) id,
	STAGES(X)
#undef X
	    STAGE_COUNT
};

struct port_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_finished; /* pcap: how many inputs have been read whole */
};

struct punt_stats {
	uint64_t taken, refused; /* over its rate, or no room */
};

struct ccsi_stats {
	uint64_t packets, bytes; /* forwarded; octets of the inner IP packets */
};

#define MAX_WORKERS 32

/* Written by one worker; readers add them up. */
struct worker_stats {
	uint64_t polls, packets, busy_cycles, sleeps;
	uint64_t punted, injected, handed_over;
	uint64_t sampled_packets, stage_cycles[STAGE_COUNT]; /* of sampled polls: lap.h */
	struct punt_stats punt[PUNT_CLASSES];
	uint64_t drop[DROP_REASON_COUNT];
	struct port_stats port[MAX_PORTS];
	struct ccsi_stats ccsi[MAX_CCSIS];
};

/* The slow path's own counters. */
struct slow_stats {
	uint64_t neighbor_requests_sent, neighbor_replies_sent, echo_replies_sent, errors_sent,
	    fragments_sent, tap_written, tap_read;
	uint64_t drop[DROP_REASON_COUNT];
};

extern struct slow_stats slow_stats;

/* What a new worker will count in, before it starts; it stays until the end. */
void stats_add_worker(const struct worker_stats *stats);

const struct worker_stats *stats_worker(unsigned index);
const char *stats_stage_name(enum stage stage);

const char *stats_drop_name(unsigned reason);

struct fib;
struct rte_mempool;

/* Where packets lie: how many buffers are free is told beside the counters. */
void stats_watch_buffers(const struct rte_mempool *pool);

/* Calls `emit` for every counter: of each worker, ports, drops, the slow path and each CCSI that has
 * forwarded something. Any thread: it does not look at the tables. */
void stats_walk(void (*emit)(void *context, const struct ccn_counter *counter), void *context);
/* The same of what belongs to these tables: uplinks, access lists; NULL: nothing. The control thread
 * alone, which makes and frees them. */
void stats_walk_tables(const struct fib *fib,
		       void (*emit)(void *context, const struct ccn_counter *counter),
		       void *context);

#endif
