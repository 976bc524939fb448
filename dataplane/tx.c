/* SPDX-License-Identifier: Apache-2.0
 * Bursts to the devices.
 */
#include "tx.h"

#include <rte_ethdev.h>

#include "classify.h"
#include "lap.h"

#define ATTEMPTS 8

void tx_flush(struct worker *w, unsigned port)
{
	struct tx_queue *q = &w->tx[port];
	struct port_stats *stats = &w->stats.port[port];
	unsigned sent = 0;
	uint64_t octets = 0;

	lap(w, STAGE_REWRITE, 0);
	for (unsigned i = 0; i < q->count; i++)
		octets += q->m[i]->pkt_len;
	if (q->lock)
		rte_spinlock_lock(q->lock);
	for (unsigned attempt = 0; attempt < ATTEMPTS && sent < q->count; attempt++)
		sent += rte_eth_tx_burst(q->dpdk_port, q->queue, q->m + sent,
					 (uint16_t)(q->count - sent));
	if (q->lock)
		rte_spinlock_unlock(q->lock);
	for (unsigned i = sent; i < q->count; i++) {
		const struct packet packet = {.ccsi = q->ccsi[i], .port = (uint8_t)port};

		octets -= q->m[i]->pkt_len;
		offence_note(&w->offences, DROP_TX_FULL,
			     &packet); /* of the port that it waited for */
		drop(w, q->m[i], DROP_TX_FULL);
	}
	stats->tx_packets += sent;
	stats->tx_bytes += octets;
	q->count = 0;
	lap(w, STAGE_SEND, 0);
}
