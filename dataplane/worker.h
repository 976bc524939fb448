/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers: each is one thread that takes bursts from its own queues and forwards each to the end
 * (fwd.h). All that a worker writes for a packet lies in its own struct, on cache lines that no
 * other thread writes; what several may write is in fan_out.h, punt.h and the lock of a TX queue,
 * and is touched only by a worker that shares something.
 */
#ifndef CCN_WORKER_H
#define CCN_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include "offence.h"
#include "origin.h"
#include "stats.h"

#define BURST 64
#define MAX_RX_QUEUES 256 /* of one worker, all ports together */

struct worker_options {
	unsigned count;
	int cpu[MAX_WORKERS]; /* pin each to a CPU, or NO_CPU */
	bool fan_out;	      /* share out what a port with fewer queues than workers receives */
	bool busy_poll;	      /* never sleep */
	bool any_mac;	      /* take frames to any destination MAC */
	bool no_icmp;	      /* tell no sender what becomes of his packets */
	bool once;	      /* say so when a pcap file has been read */
};

struct rx_queue {
	uint16_t port, dpdk_port, queue;
	bool fan_out;	      /* the port has too few queues for all workers */
	bool file, ends;      /* a pcap file: not before the first commit, and until it is read */
	bool finished;	      /* it has been read */
	unsigned empty_polls; /* in a row */
};

/* Frames that wait to be sent together. */
struct tx_queue {
	uint16_t dpdk_port, queue;
	rte_spinlock_t *lock; /* NULL: no other worker sends there */
	unsigned count;
	struct rte_mbuf *m[BURST];
	uint16_t ccsi[BURST]; /* whose packet it is; 0: our own */
};

struct tracer;

struct worker {
	const struct worker_options *options;
	unsigned index;
	unsigned reader; /* its number in fib_qsbr */
	pthread_t thread;
	bool punted;  /* since the slow path was woken last */
	bool sampled; /* this poll's stages are timed: lap.h */
	uint64_t lap; /* TSC of the last lap */
	unsigned rx_count;
	struct origins origins[2]; /* IPv4, IPv6 */
	struct tracer *tracer;	   /* while it forwards a probe: trace.h */
	struct rx_queue rx[MAX_RX_QUEUES];
	struct tx_queue tx[MAX_PORTS];
	struct worker_stats stats;
	struct offences offences;
} __rte_cache_aligned;

/* After the ports are open, punt_init and fib_init. -1 after one line on stderr. */
int workers_start(const struct worker_options *options);
void workers_stop(void);

static inline void drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	w->stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

#endif
