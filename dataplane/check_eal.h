/* SPDX-License-Identifier: Apache-2.0
 * For tests of what needs DPDK's memory (rte_acl): an environment without devices or hugepages.
 */
#ifndef CCN_CHECK_EAL_H
#define CCN_CHECK_EAL_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>

#include "check.h"

static inline void check_eal(void)
{
	char prefix[32], directory[64];
	char *arguments[] = {"test",	    "--no-huge",
			     "-m",	    "128",
			     "--no-pci",    "--no-telemetry",
			     "--no-shconf", "--file-prefix",
			     prefix,	    "--log-level=*:emergency"};

	snprintf(prefix, sizeof(prefix), "ccn-test-%d", (int)getpid());
	CHECK(rte_eal_init(sizeof(arguments) / sizeof(*arguments), arguments) >= 0);
	for (int i = 0; i < 2; i++) { /* made per instance; nothing is put into it */
		const char *base = i == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");

		snprintf(directory, sizeof(directory), "%s/dpdk/%s", base ? base : "/tmp", prefix);
		rmdir(directory);
	}
}

#endif
