/* SPDX-License-Identifier: Apache-2.0
 * Lists of CPUs, and which of them workers get.
 */
#include "cpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cpu_check.h"
#include "log.h"

static char said[512];

void log_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
}

static void lists(void)
{
	int cpus[8];

	CHECK(cpu_list("3", cpus, 8) == 1 && cpus[0] == 3);
	CHECK(cpu_list("4,2-3", cpus, 8) == 3 && cpus[0] == 4 && cpus[1] == 2 && cpus[2] == 3);
	CHECK(cpu_list("0-7", cpus, 8) == 8 && cpu_list("0-8", cpus, 8) == -1);
	for (const char *const *bad =
		 (const char *const[]){"", ",", "1,", "1-", "-1", "1,1", "3-2", "x", "1 2", "1;2",
				       "99999", "0x1", "18446744073709551616", NULL};
	     *bad; bad++)
		CHECK(cpu_list(*bad, cpus, 8) == -1);
}

static void picks(void)
{
	int sibling[CPU_SETSIZE], cpus[8];
	cpu_set_t allowed;

	for (int i = 0; i < CPU_SETSIZE; i++)
		sibling[i] = i % 4; /* four cores, the second thread of core i is 4 + i */
	CPU_ZERO(&allowed);
	for (unsigned i = 0; i < 8; i++)
		CPU_SET(i, &allowed);
	CHECK(cpu_pick(&allowed, sibling, 5, cpus));
	CHECK(cpus[0] == 7 && cpus[1] == 6 && cpus[2] == 5 && cpus[3] == 4 && cpus[4] == 3);
	CPU_CLR(6, &allowed);
	CPU_CLR(2, &allowed);
	CHECK(cpu_pick(&allowed, sibling, 4, cpus) && cpus[3] == 3);
	CHECK(cpu_pick(&allowed, sibling, 6, cpus) && !cpu_pick(&allowed, sibling, 7, cpus));
}

static void choices(void)
{
	unsigned workers = 0;
	int cpus[MAX_WORKERS];
	cpu_set_t one;

	CHECK(cpu_choose(NULL, &workers, cpus) == 0 && workers == 1 && cpus[0] == NO_CPU);
	sched_getaffinity(0, sizeof(one), &one);
	for (unsigned i = CPU_SETSIZE; i-- > 0 && CPU_COUNT(&one) > 1;)
		CPU_CLR(i, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	workers = 1;
	CHECK(cpu_choose("auto", &workers, cpus) == 0 && CPU_ISSET((unsigned)cpus[0], &one));
	workers = 2;
	CHECK(cpu_choose("auto", &workers, cpus) == -1 && strstr(said, "1 CPUs for 2 workers"));
	workers = 3;
	CHECK(cpu_choose("5,6", &workers, cpus) == -1 && strstr(said, "2 CPUs for 3 workers"));
	workers = 0;
	CHECK(cpu_choose("1022-1023", &workers, cpus) == -1 && strstr(said, "--cpu 1022: not"));
	workers = 0;
	CHECK(cpu_choose("x", &workers, cpus) == -1 && strstr(said, "not a list"));
}

static void features(void)
{
	CHECK(!cpu_missing(UINT32_MAX));
	CHECK(!strcmp(cpu_missing(0), "SSE3"));
	CHECK(!strcmp(cpu_missing(~(1U << 20)), "SSE4.2"));
	CHECK(!strcmp(cpu_missing(~(1U << 23)), "POPCNT"));
}

int main(void)
{
	features();
	lists();
	picks();
	choices();
	return 0;
}
