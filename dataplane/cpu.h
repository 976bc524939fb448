/* SPDX-License-Identifier: Apache-2.0
 *
 * Which CPU each worker is pinned to. In: --cpu and --workers as written; out: a CPU for each.
 */
#ifndef CCN_CPU_H
#define CCN_CPU_H

#include <sched.h>
#include <stdbool.h>

#include "stats.h"

#define NO_CPU (-1) /* the kernel schedules */

/* Reads "3", "1,2", "2-5,8": how many there are, in the order written; -1: not such a list, more
 * than `most`, or one of them twice. */
int cpu_list(const char *text, int *cpus, unsigned most);

/* `count` of the allowed, the highest first: one of each core before a second of any. False: there
 * are not as many. `first_sibling[i]`: lowest CPU on i's core. */
bool cpu_pick(const cpu_set_t *allowed, const int first_sibling[CPU_SETSIZE], unsigned count,
	      int *cpus);

/* `text`: NULL (nothing is pinned), "auto" or a list; `*workers` 0: as many as the list names, else
 * one. -1 after one line on stderr. */
int cpu_choose(const char *text, unsigned *workers, int cpus[MAX_WORKERS]);

#endif
