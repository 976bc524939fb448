/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: one thread that takes bursts from its queues and forwards each to the end (fwd.h). All
 * that it writes for a packet lies in its own struct, whose cache lines no other thread writes.
 */
#ifndef CCN_WORKER_H
#define CCN_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "stats.h"

#define BURST 64

struct worker_options {
	int cpu;	/* pin to this CPU; -1: let the kernel schedule */
	bool busy_poll; /* never sleep */
	bool any_mac;	/* take frames to any destination MAC */
	bool once;	/* say so when a pcap file has been read */
};

/* Frames that wait to be sent together. */
struct tx_queue {
	struct rte_mbuf *m[BURST];
	unsigned count;
};

struct worker {
	struct worker_options options;
	unsigned index;
	unsigned reader; /* its number in fib_qsbr */
	pthread_t thread;
	bool punted; /* since the slow path was woken last */
	unsigned empty_polls[MAX_PORTS];
	struct tx_queue tx[MAX_PORTS];
	struct worker_stats stats;
} __rte_cache_aligned;

int workers_start(const struct worker_options *options); /* -1 after one line on stderr; after
							    punt_init */
void workers_stop(void);

static inline void drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	w->stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

#endif
