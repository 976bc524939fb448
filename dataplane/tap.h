/* SPDX-License-Identifier: Apache-2.0
 *
 * Taps: the kernel's side of an interface. They are made and kept by the control plane; here they
 * are attached by name, and again whenever one goes and comes back.
 */
#ifndef CCN_TAP_H
#define CCN_TAP_H

#include <stdbool.h>

/* File descriptor of the existing tap device NAME, non-blocking; -1: not there (yet) or busy. */
int tap_attach(const char *name);

#endif
