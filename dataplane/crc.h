/* SPDX-License-Identifier: Apache-2.0
 * The CRC-32 of a transaction, as zlib has it, by whichever DPDK there is. One thread.
 */
#ifndef CCN_CRC_H
#define CCN_CRC_H

#include <stddef.h>
#include <stdint.h>

#include <rte_net_crc.h>

/* Without memory 0, so that the transaction is refused. */
static inline uint32_t crc_of(const void *data, size_t length)
{
#ifdef CRC_CONTEXT /* meson.build: DPDK 25.07 and later */
	static struct rte_net_crc *context;

	if (!context)
		context = rte_net_crc_set_alg(RTE_NET_CRC_AVX512, RTE_NET_CRC32_ETH);
	return context ? rte_net_crc_calc(context, data, (uint32_t)length) : 0;
#else
	return rte_net_crc_calc(data, (uint32_t)length, RTE_NET_CRC32_ETH);
#endif
}

#endif
