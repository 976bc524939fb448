/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending: frames gather per port in the worker and leave in bursts.
 */
#ifndef CCN_TX_H
#define CCN_TX_H

#include "worker.h"

/* Sends what has gathered; what the device does not take is dropped. */
void tx_flush(struct worker *w, unsigned port);

static inline void transmit(struct worker *w, unsigned port, struct rte_mbuf *m, uint16_t ccsi)
{
	struct tx_queue *q = &w->tx[port];

	q->ccsi[q->count] = ccsi;
	q->m[q->count++] = m;
	if (q->count == BURST)
		tx_flush(w, port);
}

#endif
