/* SPDX-License-Identifier: Apache-2.0
 *
 * A port for measuring: frames of pcap files go round in rings, a file and a ring for each queue. What
 * is sent is received again as it first was (what is dropped is not), so that a packet is copied once on its way and never
 * allocated or freed: nearer to a NIC than net_pcap is.
 */
#ifndef CCN_PORT_RING_H
#define CCN_PORT_RING_H

#include <stdint.h>

struct rte_mempool;

#define MAX_RINGS 16

/* Makes the device `name`; `*id` is its number. NULL, or what is wrong with which of the files (their
 * names are cut apart in `files`), or with "" (none of them). */
const char *port_ring_open(const char *name, char *files, struct rte_mempool *pool, uint16_t *id,
			   const char **file);
/* Once it has been started: 0 or a negative errno. */
int port_ring_begin(uint16_t id, unsigned queues);

#endif
