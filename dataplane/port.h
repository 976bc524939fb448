/* SPDX-License-Identifier: Apache-2.0
 *
 * Ports: NAME=SPEC of the command line -> a started DPDK port with queues for the workers.
 */
#ifndef CCN_PORT_H
#define CCN_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "ccn_wire.h"

#include <rte_spinlock.h>

#include "port_start.h"

struct rte_mempool;

/* Opens "NAME=SPEC" (see --help) as the next port; -1 after one line on stderr. */
int port_open(const char *argument, unsigned workers, struct rte_mempool *pool);
void port_close_all(void);

unsigned port_count(void);
int port_find(const uint8_t name[16]); /* index, or -1 */
const char *port_name(unsigned port);
const uint8_t *port_mac(unsigned port);
uint16_t port_dpdk_id(unsigned port);
unsigned port_rx_queues(unsigned port);
unsigned port_tx_queues(unsigned port);
/* NULL if each worker has a TX queue of its own. */
rte_spinlock_t *port_tx_lock(unsigned port, unsigned queue);
const struct port_setup *port_setup(unsigned port);
bool port_is_file(unsigned port);    /* reads a pcap file: not before the first commit */
bool port_is_endless(unsigned port); /* never runs dry: --once does not wait for it */
/* Any thread. */
bool port_has_link(unsigned port);
void port_status(unsigned port, struct ccn_port_status *status);

/* A port whose device was deleted and made anew, while all devices are there; or NULL. The drivers
 * hold on to the old one, so that only opening it again helps. */
const char *port_replaced(void);

#endif
