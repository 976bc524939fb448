/* SPDX-License-Identifier: Apache-2.0
 *
 * Neighbours: (port, VLAN, role, IP) -> MAC. The tables hold a reference to each that they may
 * forward to; all of them are resolved ahead of traffic and kept fresh (RFC 826, RFC 1122 2.3.2.1).
 * Everything but neigh_mac and neigh_is_silent takes a lock: the control and the slow-path thread share the table.
 */
#ifndef CCN_NEIGH_H
#define CCN_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

#define NEIGH_VALID (1ULL << 63)

struct neigh_key {
	uint16_t port, vlan;
	uint8_t role;	/* enum ccn_interface_role: the two may hold equal addresses */
	uint8_t family; /* 4 or 6 */
	uint8_t pad[2];
	uint8_t ip[16]; /* IPv4 in the first four octets */
};

struct neigh {
	uint64_t mac; /* NEIGH_VALID | the six octets as stored by memcpy; 0 = not known */
	struct neigh_key key;
	uint32_t references;
	uint32_t unanswered;   /* requests since the last answer; others read it too */
	bool watched;	       /* asked every second: neigh_watch */
	uint64_t asked, heard; /* milliseconds; 0 = never */
	struct neigh *next, *all_next, **all_link;
};

/* With `fixed`, every address is 02:00 and its (last) four octets, and nobody is asked. */
void neigh_init(bool fixed);

/* A further reference to the neighbour, made if needed. NULL: out of memory. */
struct neigh *neigh_hold(const struct neigh_key *key);
/* Gives a reference back; after a grace period only, since readers may hold the pointer. */
void neigh_release(struct neigh *neigh);

/* From now on it is asked every second, so that its silence shows soon. */
void neigh_watch(struct neigh *neigh);
/* It has left several requests in a row unanswered; never true of one that is known for ever. */
bool neigh_is_silent(const struct neigh *neigh);

/* For the packet loop: 0 or NEIGH_VALID | MAC, in one load. */
static inline uint64_t neigh_mac(const struct neigh *neigh)
{
	return __atomic_load_n(&neigh->mac, __ATOMIC_RELAXED);
}

/* The neighbour said that this is its MAC. Ignored for those that no table refers to, and if it is
 * zero or a group's. */
void neigh_learn(const struct neigh_key *key, const uint8_t mac[6], uint64_t now);
/* The same of who does not insist on it (RFC 4861 section 7.2.5): another MAC is taken only while the
 * neighbour is unknown or silent. */
void neigh_hint(const struct neigh_key *key, const uint8_t mac[6], uint64_t now);

/* Sends one request, to `mac` or (NULL) to all. */
typedef void (*neigh_ask_fn)(const struct neigh_key *key, const uint8_t *mac);

/* Expires and asks again, at most `budget` requests: the known first, each in turn. Returns true if
 * some neighbour is still unresolved. */
bool neigh_tick(uint64_t now, unsigned budget, neigh_ask_fn ask);

#endif
