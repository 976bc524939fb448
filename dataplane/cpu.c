/* SPDX-License-Identifier: Apache-2.0
 * CPUs as the operator names them and as the kernel offers them.
 */
#include "cpu.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

int cpu_list(const char *text, int *cpus, unsigned most)
{
	cpu_set_t seen;
	unsigned count = 0;

	CPU_ZERO(&seen);
	for (const char *at = text;; at++) {
		char *end;
		unsigned long first, last;

		if (!isdigit((unsigned char)*at))
			return -1;
		first = last = strtoul(at, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return -1;
			last = strtoul(end + 1, &end, 10);
		}
		if (last >= CPU_SETSIZE || last < first)
			return -1;
		for (unsigned long cpu = first; cpu <= last; cpu++) {
			if (count == most || CPU_ISSET(cpu, &seen))
				return -1;
			CPU_SET(cpu, &seen);
			cpus[count++] = (int)cpu;
		}
		if (*end == '\0')
			return (int)count;
		if (*end != ',')
			return -1;
		at = end;
	}
}

bool cpu_pick(const cpu_set_t *allowed, const int first_sibling[CPU_SETSIZE], unsigned count,
	      int *cpus)
{
	cpu_set_t left = *allowed, cores;
	unsigned found = 0;

	/* the lowest CPUs have the interrupts, so from the top */
	while (found < count && CPU_COUNT(&left) > 0) {
		CPU_ZERO(&cores);
		for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && found < count; cpu--) {
			if (!CPU_ISSET(cpu, &left) || CPU_ISSET(first_sibling[cpu], &cores))
				continue;
			CPU_SET(first_sibling[cpu], &cores);
			CPU_CLR(cpu, &left);
			cpus[found++] = cpu;
		}
	}
	return found == count;
}

static void read_siblings(int first_sibling[CPU_SETSIZE])
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		char path[80];
		FILE *file;

		first_sibling[cpu] = cpu;
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%d", &first_sibling[cpu]) != 1 || first_sibling[cpu] < 0 ||
		    first_sibling[cpu] >= CPU_SETSIZE)
			first_sibling[cpu] = cpu;
		fclose(file);
	}
}

static int choose_auto(const cpu_set_t *allowed, unsigned workers, int *cpus)
{
	static int first_sibling[CPU_SETSIZE];

	read_siblings(first_sibling);
	if (cpu_pick(allowed, first_sibling, workers, cpus))
		return 0;
	log_line("--cpu auto: %d CPUs for %u workers (give fewer --workers)", CPU_COUNT(allowed),
		 workers);
	return -1;
}

int cpu_choose(const char *text, unsigned *workers, int cpus[MAX_WORKERS])
{
	cpu_set_t allowed;
	int count;

	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		cpus[i] = NO_CPU;
	if (!text || !strcmp(text, "auto")) {
		*workers = *workers ? *workers : 1;
		return text ? choose_auto(&allowed, *workers, cpus) : 0;
	}
	count = cpu_list(text, cpus, MAX_WORKERS);
	if (count < 0) {
		log_line("--cpu %s: not a list of different CPUs like 1,3 or 2-5, nor 'auto' (see "
			 "ccn-forwarder --help)",
			 text);
		return -1;
	}
	*workers = *workers ? *workers : (unsigned)count;
	if ((unsigned)count != *workers) {
		log_line("--cpu %s: %d CPUs for %u workers (name one for each)", text, count,
			 *workers);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (CPU_ISSET((unsigned)cpus[i], &allowed))
			continue;
		log_line("--cpu %d: not there, or not for us (`taskset -p $$` says which are)",
			 cpus[i]);
		return -1;
	}
	return 0;
}
