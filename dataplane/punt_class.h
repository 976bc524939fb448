/* SPDX-License-Identifier: Apache-2.0
 *
 * Which class a frame for ourselves is punted in: each has a meter and a queue of its own, so that
 * a flood of one takes nothing from another; one hand-off gets a tenth of each (punt.h). In: the frame and the BGP neighbours. Pure.
 */
#ifndef CCN_PUNT_CLASS_H
#define CCN_PUNT_CLASS_H

#include <stddef.h>
#include <stdint.h>

#include "address_set.h"

/* name, frames per second, at once */
#define PUNT_CLASSES_OF(X)                                                                         \
	X(PUNT_BGP, "bgp", 50000, 4096)			  /* of configured neighbours */           \
	X(PUNT_PEER_NEIGHBOR, "peer-neighbor", 2000, 512) /* ARP, ND of configured neighbours */   \
	X(PUNT_NEIGHBOR, "neighbor", 20000, 4096)	  /* ARP, ND of all others */              \
	X(PUNT_ICMP, "icmp", 10000, 1024)                                                          \
	X(PUNT_OTHER, "other", 10000, 1024) /* connections of strangers, anything else */          \
	X(PUNT_VM, "vm", 20000, 2048)	    /* of VMs to their gateway: ARP, ND, echo */           \
	X(PUNT_ERROR, "error", 10000, 1024) /* packets whose sender is told that they failed */    \
	X(PUNT_FRAGMENT, "fragment", 20000, 1024) /* packets that must be cut */

enum punt_class {
#define X(id, name, rate, burst) id,
	PUNT_CLASSES_OF(X)
#undef X
	    PUNT_CLASSES
};

/* Of an untagged frame to our own address, come by the interface `interface` (its id; 0: by an
 * uplink). */
enum punt_class punt_class(const struct address_set *peers, uint32_t interface,
			   const uint8_t *frame, size_t length);

#endif
