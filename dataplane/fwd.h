/* SPDX-License-Identifier: Apache-2.0
 * The packet loop's thread.
 */
#ifndef CCN_FWD_H
#define CCN_FWD_H

#include <stdbool.h>

struct fwd_options {
	int cpu;	/* pin to this CPU; -1: let the kernel schedule */
	bool busy_poll; /* never sleep */
	bool any_mac;	/* take frames to any destination MAC */
	bool once;	/* say so when a pcap file has been read */
};

int fwd_start(const struct fwd_options *options); /* -1 after one line on stderr; after punt_init */
void fwd_stop(void);

#endif
