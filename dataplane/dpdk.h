/* SPDX-License-Identifier: Apache-2.0
 *
 * DPDK's environment: memory, packet buffers, and a runtime directory with the telemetry socket.
 * Nothing of it is left behind by an end, and after kill -9 only that directory, which the next
 * forwarder removes.
 */
#ifndef CCN_DPDK_H
#define CCN_DPDK_H

#include <stdbool.h>

struct rte_mempool;

struct dpdk_options {
	const char *name; /* of the telemetry socket's directory: ccn-NAME; NULL: no telemetry */
	unsigned long memory; /* MB; 0: enough */
	bool huge;
	const char *const *ports; /* NAME=SPEC */
	unsigned port_count, workers;
};

/* NULL after one line on stderr. */
struct rte_mempool *dpdk_start(const struct dpdk_options *options);
void dpdk_stop(void);

#endif
