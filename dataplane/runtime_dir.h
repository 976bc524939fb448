/* SPDX-License-Identifier: Apache-2.0
 *
 * DPDK's runtime directory, one for each forwarder: ccn-NAME under /var/run/dpdk (or
 * $XDG_RUNTIME_DIR/dpdk, for who is not root), with the telemetry socket in it.
 */
#ifndef CCN_RUNTIME_DIR_H
#define CCN_RUNTIME_DIR_H

#include <stdbool.h>
#include <stddef.h>

/* "ccn-NAME" with nothing but letters, digits, '.', '_' and '-'; without a name "ccn-PID". */
void runtime_dir_prefix(const char *name, char *prefix, size_t size);
/* Removes what forwarders that were killed have left: sockets that nobody answers. */
void runtime_dir_sweep(void);
/* Holds removals off while DPDK makes the directory and its socket: one of our name may be ending. */
int runtime_dir_guard(void);
void runtime_dir_release(int guard);
/* It is there now: kept until the end, or (no telemetry, nothing in it) removed at once. */
void runtime_dir_keep(const char *prefix, bool telemetry);
/* Our socket and, if nobody else of that name lives there, the directory. */
void runtime_dir_remove(const char *prefix);
/* The same, if it is kept; before DPDK is stopped. */
void runtime_dir_end(void);

#endif
