/* SPDX-License-Identifier: Apache-2.0
 * One line on stderr per event worth reading; faults say what and what to do.
 */
#ifndef CCN_LOG_H
#define CCN_LOG_H

/* "ccn-forwarder: <text>\n", in one write. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
