/* SPDX-License-Identifier: Apache-2.0
 * Counters can be read by a thread that is no reader of the tables: those go at any moment.
 */
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "acl.h"
#include "check.h"
#include "check_eal.h"
#include "check_ports.h"
#include "fib.h"

static void count(void *context, const struct ccn_counter *counter)
{
	unsigned *counts = context;

	counts[strncmp((const char *)counter->scope, "acl ", 4) == 0]++;
}

int main(void)
{
	const struct ccn_acl_rule rule = {.action = CCN_ACL_PERMIT,
					  .family = 4,
					  .any_protocol = 1,
					  .source_port = {0, 65535},
					  .destination_port = {0, 65535},
					  .name = "web"};
	static struct worker_stats worker;
	unsigned counts[2] = {0, 0};
	const char *fault;
	bool memory;

	check_eal();
	stats_add_worker(&worker);
	worker.ccsi[100].packets = 1;
	/* tables that nobody may touch */
	fib_current = mmap(NULL, sizeof(struct fib), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fib_current != MAP_FAILED);
	stats_walk(count, counts);
	CHECK(counts[0] > 10 && counts[1] == 0);
	/* the control thread, which alone changes them, tells what they have counted */
	CHECK(mprotect(fib_current, sizeof(struct fib), PROT_READ | PROT_WRITE) == 0);
	fib_current->acl[100] = ccsi_acl_make(&rule, 1, &fault, &memory);
	CHECK(fib_current->acl[100]);
	fib_current->interfaces = calloc(1, sizeof(*fib_current->interfaces));
	CHECK(fib_current->interfaces);
	stats_walk_tables(fib_current, count, counts);
	CHECK(counts[1] == 2);
	ccsi_acl_free(fib_current->acl[100]);
	free(fib_current->interfaces);
	stats_walk_tables(NULL, count, counts);
	CHECK(counts[1] == 2);
	return 0;
}
