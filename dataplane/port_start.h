/* SPDX-License-Identifier: Apache-2.0
 *
 * From a DPDK device to a running one: as many queues as there is use for, receive-side scaling and
 * the offloads that help, where the device offers them.
 */
#ifndef CCN_PORT_START_H
#define CCN_PORT_START_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

struct port_setup {
	uint16_t rx_queues, tx_queues, rx_most, tx_most; /* used; offered */
	/* DPDK's bits: RTE_ETH_RX_OFFLOAD_*, RTE_ETH_TX_OFFLOAD_*, RTE_ETH_RSS_* */
	uint64_t rx_offered, rx_used, tx_offered, tx_used, rss_offered, rss_used;
};

/* At least `rx` and `tx` queues are wished for; 0 or a negative errno. `all_rx`: every RX queue that
 * the device has must be read, since something else spreads packets over them. */
int port_start(uint16_t id, unsigned rx, unsigned tx, bool all_rx, struct rte_mempool *pool,
	       struct port_setup *setup);

#endif
