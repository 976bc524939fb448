/* SPDX-License-Identifier: Apache-2.0
 * See underlay.h.
 */
#include "underlay.h"

#include <stdlib.h>
#include <string.h>

#include "fib.h"

static int by_id(const void *a, const void *b)
{
	const struct uplink *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct neigh *router_of(const struct interface *n, bool watched)
{
	struct neigh_key key = {
	    .port = n->port, .vlan = n->record.vlan, .role = CCN_UPLINK, .family = n->family};
	struct neigh *router;

	if (n->family == 6)
		memcpy(key.ip, n->record.via6, 16);
	else
		memcpy(key.ip, &n->via, 4);
	router = neigh_hold(&key);
	if (router && watched)
		neigh_watch(router);
	return router;
}

static void go_on(struct uplink *uplink, const struct underlay *before)
{
	for (unsigned i = 0; before && i < before->count; i++)
		if (before->at[i].id == uplink->id && before->at[i].port == uplink->port &&
		    before->at[i].router == uplink->router) {
			uplink->state = before->at[i].state;
			uplink->failures = before->at[i].failures;
		}
}

static bool is_alive(const struct uplink *uplink)
{
	return uplink->router && uplink->state == UPLINK_USED;
}

/* Among those that are alive; among all with a router if none is: some may come back. */
static void share_out(struct underlay *u)
{
	uint8_t bucket[GROUP_BUCKETS], member[MAX_UPLINKS], weight[MAX_UPLINKS];
	uint64_t key[MAX_UPLINKS];
	unsigned count = 0;

	for (unsigned any = 0; any < 2 && count == 0; any++)
		for (unsigned i = 0; i < u->count; i++)
			if (u->at[i].router && (any || is_alive(&u->at[i]))) {
				key[count] = u->at[i].id;
				weight[count] = 1;
				member[count++] = (uint8_t)i;
			}
	if (count == 0)
		return;
	group_spread(key, weight, count, bucket);
	for (unsigned b = 0; b < GROUP_BUCKETS; b++)
		__atomic_store_n(&u->bucket[b], member[bucket[b]], __ATOMIC_RELAXED);
}

struct underlay *underlay_make(const struct interface_table *interfaces,
			       const struct underlay *before, const char **fault)
{
	struct underlay *u = calloc(1, sizeof(*u));

	*fault = NULL;
	for (uint16_t i = 0; u && i < interfaces->count; i++) {
		const struct interface *n = &interfaces->at[i];

		if (!n->present || n->record.role != CCN_UPLINK)
			continue;
		if (u->count == MAX_UPLINKS) {
			*fault = "more than 16 uplinks";
			free(u);
			return NULL;
		}
		u->routers += interface_has_router(n);
		u->at[u->count++] = (struct uplink){.slot = i, .port = n->port, .id = n->record.id};
	}
	if (!u)
		return NULL;
	qsort(u->at, u->count, sizeof(u->at[0]), by_id);
	for (unsigned i = 0; i < u->count; i++) {
		const struct interface *n = &interfaces->at[u->at[i].slot];

		if (interface_has_router(n) && !(u->at[i].router = router_of(n, u->routers > 1))) {
			underlay_free(u);
			return NULL;
		}
		go_on(&u->at[i], before);
	}
	share_out(u);
	return u;
}

void underlay_free(struct underlay *underlay)
{
	for (unsigned i = 0; underlay && i < underlay->count; i++)
		neigh_release(underlay->at[i].router);
	free(underlay);
}

void underlay_refresh(struct underlay *u, bool (*link_is_up)(unsigned port),
		      void (*changed)(const struct underlay *underlay, const struct uplink *uplink))
{
	bool was[MAX_UPLINKS], any = false;
	uint8_t before[MAX_UPLINKS];

	for (unsigned i = 0; i < u->count; i++) {
		struct uplink *uplink = &u->at[i];
		uint8_t state = UPLINK_USED;

		before[i] = uplink->state;
		was[i] = is_alive(uplink);
		if (!link_is_up(uplink->port))
			state = UPLINK_LINK_DOWN;
		else if (uplink->router && neigh_is_silent(uplink->router))
			state = UPLINK_SILENT;
		else if (uplink->router && !neigh_mac(uplink->router))
			state = before[i] == UPLINK_LINK_DOWN ? UPLINK_SILENT : before[i];
		__atomic_store_n(&uplink->state, state, __ATOMIC_RELAXED);
		if (before[i] == UPLINK_USED && state != UPLINK_USED)
			__atomic_store_n(&uplink->failures, uplink->failures + 1, __ATOMIC_RELAXED);
		any |= was[i] != is_alive(uplink);
	}
	if (any)
		share_out(u);
	for (unsigned i = 0; i < u->count; i++)
		if (u->at[i].state != before[i] &&
		    (before[i] != UPLINK_UNKNOWN || u->at[i].state != UPLINK_USED))
			changed(u, &u->at[i]);
}

bool underlay_avoids(const struct underlay *underlay, const struct uplink *uplink)
{
	bool better = false;

	for (unsigned i = 0; i < underlay->count; i++)
		better |= is_alive(&underlay->at[i]);
	return better && uplink->router && !is_alive(uplink);
}
