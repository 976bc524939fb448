/* SPDX-License-Identifier: Apache-2.0
 *
 * What DPDK's telemetry socket answers beside DPDK's own commands: /ccn/ports, /ccn/workers,
 * /ccn/stages, /ccn/drops, /ccn/slow_path, /ccn/ccsi. For dpdk-telemetry.py and whatever collects
 * from such sockets.
 */
#ifndef CCN_TELEMETRY_H
#define CCN_TELEMETRY_H

#include <stdbool.h>

/* After the ports are open. */
void telemetry_start(unsigned workers, bool fan_out);

#endif
