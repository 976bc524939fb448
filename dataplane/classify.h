/* SPDX-License-Identifier: Apache-2.0
 *
 * What a received frame is: in comes a frame and the tables, out goes a verdict. Decides only:
 * counts nothing, sends nothing, and changes neither.
 */
#ifndef CCN_CLASSIFY_H
#define CCN_CLASSIFY_H

#include "fib.h"
#include "stats.h"

enum verdict {
	VERDICT_FORWARD,  /* the packet is to be routed in its CCSI */
	VERDICT_PUNT,	  /* ARP or a packet to ourselves: for the slow path */
	VERDICT_NEIGHBOR, /* ARP or neighbour discovery of a VM, inside its tunnel: the same */
	VERDICT_DROP,
};

struct frame_in {
	uint8_t *data;
	size_t length;
	uint16_t port;
	uint16_t vlan; /* in: of a tag that the driver took off; out: the frame's, 0 = untagged */
	bool any_mac;  /* take frames to any destination MAC */
	bool checked;  /* the device found the checksum of the (outer) IPv4 header right */
	/* out */
	bool tagged;		 /* the tag is in the frame */
	uint8_t role;		 /* PUNT: of the interface it came in by */
	enum drop_reason reason; /* DROP */
};

/* In the place of `family`: the packet is dropped, and all that was read of it is an outer IPv6 header
 * from nobody known, which `ip` is. */
#define FAMILY_OUTER6 66

/* Who sent a packet: what its inner source is checked against. */
enum sender {
	SENDER_HOST,	 /* on a VPC's VNI */
	SENDER_GATEWAY,	 /* on an L3 VNI */
	SENDER_HAND_OFF, /* plain, from an IDC */
	SENDER_ROUTER,	 /* the same, from an address of the link itself */
};

/* An IP packet inside the frame (of VERDICT_NEIGHBOR, what follows the inner Ethernet header) and the
 * table that routes it. */
struct packet {
	uint8_t *ip; /* NULL: the frame was not read so far; see FAMILY_OUTER6 */
	uint16_t length;
	uint16_t ccsi;
	uint8_t family;
	uint8_t ecn;	    /* of the outer header */
	bool own;	    /* it came from the slow path: not from outside */
	bool vouched;	    /* its source has been judged before: origin.h */
	uint8_t sender;	    /* enum sender */
	uint8_t vtep_flags; /* enum ccn_vtep_flags of the outer source */
	uint32_t vni;	    /* 0 = plain */
	uint32_t vtep;	    /* outer source, network order; of IPv6 its name, 0 = it has none */
	uint32_t interface; /* plain: id of the hand-off */
	uint16_t site;	    /* of that hand-off */
	uint8_t port;	    /* it came in by */
};

enum verdict classify(const struct fib *fib, const struct interface_table *interfaces,
		      struct frame_in *in, struct packet *packet);

#endif
