/* SPDX-License-Identifier: Apache-2.0
 * The control socket of ccn_wire.h, in a thread of its own.
 */
#ifndef CCN_CONTROL_H
#define CCN_CONTROL_H

/* Binds the socket; -1 after one line on stderr. A socket file that nobody answers on is replaced. */
int control_bind(const char *path);
int control_start(void); /* -1 after one line on stderr */
void control_stop(void); /* and removes the socket file */

#endif
