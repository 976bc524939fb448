/* SPDX-License-Identifier: Apache-2.0
 *
 * What a port is and does, in words: driver, queues, how flows spread, offloads offered and used.
 * For --ports and telemetry.
 */
#ifndef CCN_PORT_REPORT_H
#define CCN_PORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum port_bits { PORT_RX_OFFLOADS, PORT_TX_OFFLOADS, PORT_RSS };

/* Names of the bits, with blanks between; "none". */
void port_bit_names(enum port_bits kind, uint64_t bits, char *text, size_t size);
/* How flows come to its queues. */
const char *port_spreading(unsigned port, unsigned workers, bool fan_out);
/* Some lines on stdout. */
void port_report(unsigned port, unsigned workers, bool fan_out);
/* The devices that a port may use, one line each on stdout. */
void port_list_devices(void);

#endif
