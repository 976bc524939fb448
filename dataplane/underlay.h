/* SPDX-License-Identifier: Apache-2.0
 *
 * The uplinks of a gateway as ways into the underlay. In: interface records, the state of links and
 * of the routers behind them. Out: for a flow the uplink that it takes to a VTEP that is on no
 * uplink's subnet: those whose link is up and whose router answers share the flows by the hash that
 * the UDP source port is made of. An uplink that dies gives up its own flows, and takes them back
 * when it returns; no other flow moves (group.h).
 */
#ifndef CCN_UNDERLAY_H
#define CCN_UNDERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "group.h"
#include "neigh.h"

#define MAX_UPLINKS CCN_MAX_MEMBERS

struct interface;
struct interface_table;

enum uplink_state {
	UPLINK_UNKNOWN, /* not looked at yet */
	UPLINK_USED,
	UPLINK_LINK_DOWN,
	UPLINK_SILENT, /* its router does not answer */
};

struct uplink {
	uint16_t slot; /* of the interface */
	uint16_t port;
	uint32_t id;
	struct neigh *router; /* NULL: it leads to its own subnet only */
	uint8_t state;	      /* enum uplink_state; written by the slow path */
	uint32_t failures;    /* how often it has died; the same */
};

/* Belongs to one interface table. Only states and buckets change. */
struct underlay {
	unsigned count, routers;
	struct uplink at[MAX_UPLINKS]; /* by id */
	uint8_t bucket[GROUP_BUCKETS]; /* index of an uplink with a router, if there is any */
};

/* `before`: what is in force, whose states it begins with; or NULL. NULL: out of memory. A text if
 * there are too many uplinks. */
struct underlay *underlay_make(const struct interface_table *interfaces,
			       const struct underlay *before, const char **fault);
void underlay_free(struct underlay *underlay);

/* Looks at links and routers, and shares the flows out anew if something has changed, which
 * `changed` is told, but not that one is used from the start. For the slow path alone. */
void underlay_refresh(struct underlay *underlay, bool (*link_is_up)(unsigned port),
		      void (*changed)(const struct underlay *underlay,
				      const struct uplink *uplink));

/* Whether packets should not leave by it while others do better. */
bool underlay_avoids(const struct underlay *underlay, const struct uplink *uplink);

static inline bool uplink_has_link(const struct uplink *uplink)
{
	return __atomic_load_n(&uplink->state, __ATOMIC_RELAXED) != UPLINK_LINK_DOWN;
}

/* Apart from the bits that spread flows over gateways and hosts (group_bucket). */
static inline const struct uplink *underlay_way(const struct underlay *underlay, uint32_t flow_hash)
{
	return &underlay->at[__atomic_load_n(
	    &underlay->bucket[flow_hash >> 18 & (GROUP_BUCKETS - 1)], __ATOMIC_RELAXED)];
}

#endif
