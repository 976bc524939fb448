/* SPDX-License-Identifier: Apache-2.0
 * Configures and starts a device.
 */
#include "port_start.h"

#include <rte_ethdev.h>

#define DESCRIPTORS 1024

/* Flows by addresses and ports: of VXLAN the outer ones, whose source port is made from the inner
 * flow (RFC 7348 section 5). Both ways of a flow need not meet. */
#define RSS_WANTED (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP)
/* The checksum of received headers (sort_out.c says when it is believed). Those that we send are not
 * left to the device: eight words that are at hand are summed in fewer cycles than it takes to fill
 * in the second cache line of the packet's buffer, which nothing else on its way needs. */
#define RX_WANTED RTE_ETH_RX_OFFLOAD_IPV4_CKSUM
/* All buffers are of one pool and nobody else's. */
#define TX_WANTED RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE

static unsigned bounded(unsigned wish, unsigned most)
{
	return most == 0 ? 1 : RTE_MIN(wish, most);
}

int port_start(uint16_t id, unsigned rx, unsigned tx, bool all_rx, struct rte_mempool *pool,
	       struct port_setup *setup)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int result = rte_eth_dev_info_get(id, &info);

	if (result < 0)
		return result;
	*setup = (struct port_setup){
	    .rx_queues = (uint16_t)(all_rx ? info.max_rx_queues : bounded(rx, info.max_rx_queues)),
	    .tx_queues = (uint16_t)bounded(tx, info.max_tx_queues),
	    .rx_most = info.max_rx_queues,
	    .tx_most = info.max_tx_queues,
	    .rx_offered = info.rx_offload_capa,
	    .tx_offered = info.tx_offload_capa,
	    .rss_offered = info.flow_type_rss_offloads,
	    .rx_used = info.rx_offload_capa & RX_WANTED,
	    .tx_used = info.tx_offload_capa & TX_WANTED,
	};
	if (setup->rx_queues > 1 && (info.flow_type_rss_offloads & RSS_WANTED)) {
		setup->rss_used = info.flow_type_rss_offloads & RSS_WANTED;
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = setup->rss_used;
	}
	conf.rxmode.offloads = setup->rx_used;
	conf.txmode.offloads = setup->tx_used;
	result = rte_eth_dev_configure(id, setup->rx_queues, setup->tx_queues, &conf);
	for (uint16_t i = 0; i < setup->rx_queues && result == 0; i++)
		result = rte_eth_rx_queue_setup(id, i, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool);
	for (uint16_t i = 0; i < setup->tx_queues && result == 0; i++)
		result = rte_eth_tx_queue_setup(id, i, DESCRIPTORS, SOCKET_ID_ANY, NULL);
	if (result == 0)
		result = rte_eth_dev_start(id);
	if (result == 0)
		rte_eth_promiscuous_enable(id); /* a router MAC may differ from the port's */
	return result;
}
