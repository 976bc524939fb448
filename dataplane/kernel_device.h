/* SPDX-License-Identifier: Apache-2.0
 *
 * A network device of the kernel under a port: its name -> that it is there and ours alone, its link,
 * its receive queues, and how it was found, so that it is left so.
 */
#ifndef CCN_KERNEL_DEVICE_H
#define CCN_KERNEL_DEVICE_H

#include <stdbool.h>

struct kernel_device {
	char name[16];	/* empty = the port has none */
	unsigned index; /* then */
	int claim;	/* held while it is ours */
	bool promiscuous;
};

/* Takes the device for this process, within its network namespace: two readers would each forward
 * every packet. -1 after one line on stderr. */
int kernel_device_claim(struct kernel_device *device, const char *name, const char *port);
void kernel_device_release(struct kernel_device *device);

/* Drivers of the kernel's devices do not tell DPDK when a link goes. Any thread. */
bool kernel_device_has_link(const struct kernel_device *device);
/* Queues that the kernel receives into: XDP must be on all of them, or packets are lost. DPDK's
 * driver takes "combined" ones, and one queue of a device that has none; 0: more than that. */
unsigned kernel_device_xdp_queues(const struct kernel_device *device);
/* The name of the XDP program on it, if it is neither ours nor one that a forwarder left which was
 * killed; else NULL. Not for several threads. */
const char *kernel_device_foreign_xdp(const struct kernel_device *device);

#endif
