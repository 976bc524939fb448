/* SPDX-License-Identifier: Apache-2.0
 *
 * Sharing out in software: where a port has fewer queues than there are workers, whoever reads it
 * hands each frame to the worker that its flow belongs to, by a ring; a flow keeps its order. The
 * rings also wake who sleeps.
 */
#ifndef CCN_FAN_OUT_H
#define CCN_FAN_OUT_H

#include "worker.h"

/* A mailbox for each; -1 after one line on stderr. */
int fan_out_init(unsigned workers);

/* Hands out what belongs to others; the own frames stay, in their order: how many. */
unsigned fan_out(struct worker *w, unsigned port, struct rte_mbuf **packets, unsigned count);
/* What others handed to this worker; m->port is our port index. */
unsigned fan_in(struct worker *w, struct rte_mbuf **packets, unsigned most);

/* Whose flow it is: by addresses, protocol and ports of the (outer) IP packet, so that VXLAN spreads
 * by its source port; other frames belong to worker 0. */
unsigned fan_out_owner(const struct rte_mbuf *m, unsigned workers);

/* Sleeps until something is handed over or injected, or the time is over; false: there was
 * something already. */
bool fan_in_sleep(struct worker *w, long nanoseconds);
void fan_out_wake(unsigned worker);

#endif
