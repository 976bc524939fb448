/* SPDX-License-Identifier: Apache-2.0
 *
 * What a CPU must have for this binary: x86-64-v2, as it and Debian's DPDK are compiled for. Looked
 * at before any library's constructor runs, since those use it too.
 */
#ifndef CCN_CPU_CHECK_H
#define CCN_CPU_CHECK_H

#include <stdint.h>

/* Of CPUID leaf 1: the first feature that is missing, or NULL. */
const char *cpu_missing(uint32_t ecx);

#endif
