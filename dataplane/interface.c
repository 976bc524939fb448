/* SPDX-License-Identifier: Apache-2.0
 * Checks and indexes interface records.
 */
#include "interface.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "frame.h"
#include "port.h"

struct interface_table *interfaces_copy(const struct interface_table *old, size_t more)
{
	size_t held = sizeof(*old) + old->count * sizeof(struct interface);
	struct interface_table *table = calloc(1, held + more * sizeof(struct interface));

	if (table)
		memcpy(table, old, held);
	if (table)
		table->underlay = NULL; /* interfaces_index makes its own */
	return table;
}

void interfaces_free(struct interface_table *table)
{
	if (table)
		underlay_free(table->underlay);
	free(table);
}

uint16_t interfaces_find(const struct interface_table *table, uint32_t id)
{
	for (uint16_t i = 0; i < table->count; i++)
		if (table->at[i].present && table->at[i].record.id == id)
			return i;
	return NO_INTERFACE;
}

static bool is_group6(const uint8_t ip[16])
{
	return ip[0] == 0xff;
}

/* An uplink is of one family. */
static const char *uplink_fault(const struct ccn_interface *r)
{
	static const uint8_t zero[16];

	if (memcmp(r->address, zero, 4) != 0)
		return memcmp(r->via6, zero, 16) || memcmp(r->vtep6, zero, 16)
			   ? "an IPv4 uplink has an IPv6 via or VTEP"
			   : NULL;
	if (!memcmp(r->address6, zero, 16))
		return "an uplink needs an address";
	if (memcmp(r->via, zero, 4) || memcmp(r->vtep, zero, 4))
		return "an IPv6 uplink has an IPv4 via or VTEP";
	if (is_group6(r->address6) || is_group6(r->via6) || is_group6(r->vtep6))
		return "a multicast address";
	return NULL;
}

static const char *fault_of(const struct ccn_interface *r)
{

	if (r->role != CCN_UPLINK && r->role != CCN_HAND_OFF)
		return "unknown role";
	if (r->length > 32 || r->length6 > 128)
		return "subnet length out of range";
	if (r->vlan > 4094)
		return "VLAN not in 0..4094";
	if (r->mtu < 576)
		return "MTU under 576";
	if (r->port[15] || r->tap[15])
		return "a name has more than 15 characters";
	if (port_find(r->port) < 0)
		return "this forwarder has no such port";
	if (r->role == CCN_HAND_OFF && (r->ccsi == 0 || r->ccsi >= MAX_CCSIS))
		return "CCSI not in 1..65535";
	if (r->mac[0] & 1)
		return "a group MAC address";
	return r->role == CCN_UPLINK ? uplink_fault(r) : NULL;
}

static uint16_t free_slot(struct interface_table *table)
{
	for (uint16_t i = 0; i < table->count; i++)
		if (!table->at[i].present)
			return i;
	return table->count++;
}

const char *interfaces_apply(struct interface_table *table, const struct ccn_interface *record,
			     bool remove)
{
	static const uint8_t zero[16];
	uint16_t slot = interfaces_find(table, record->id);

	if (remove) {
		if (slot == NO_INTERFACE)
			return "does not exist";
		table->at[slot].present = false;
		return NULL;
	}
	const char *fault = fault_of(record);

	if (fault)
		return fault;
	if (slot == NO_INTERFACE)
		slot = free_slot(table);
	if (slot >= MAX_INTERFACES)
		return "more than 4096 interfaces";

	struct interface *n = &table->at[slot];

	*n = (struct interface){.record = *record, .present = true};
	n->port = (uint16_t)port_find(record->port);
	bool own = !memcmp(record->mac, zero, 6);

	memcpy(n->router_mac, own ? port_mac(n->port) : record->mac, 6);
	/* an uplink's `mac` is the gateway's router MAC, seen in inner frames only */
	memcpy(n->mac, own || record->role == CCN_UPLINK ? port_mac(n->port) : record->mac, 6);
	memcpy(&n->address, record->address, 4);
	memcpy(&n->via, record->via, 4);
	if (record->role == CCN_UPLINK)
		n->family = n->address ? 4 : 6;
	if (n->family == 4)
		memcpy(&n->tunnel, memcmp(record->vtep, zero, 4) ? record->vtep : record->address,
		       4);
	if (n->family == 6)
		memcpy(n->tunnel6,
		       memcmp(record->vtep6, zero, 16) ? record->vtep6 : record->address6, 16);
	n->mask = record->length ? htonl(UINT32_MAX << (32 - record->length)) : 0;
	return NULL;
}

static void plain_say(struct plain_uplink *plain, unsigned at, unsigned length, const char *octets,
		      uint8_t mask)
{
	memcpy(plain->line + at, octets, length);
	memset(plain->mask + at, mask, length);
}

/* What untagged frames of a port are, if they are of one uplink alone. */
static void note_plain(struct interface_table *table, unsigned port)
{
	const uint16_t uplink = table->by_vlan[CCN_UPLINK][port][0];
	struct plain_uplink *plain = &table->plain[port];

	*plain = (struct plain_uplink){0};
	if (uplink == NO_INTERFACE || table->by_vlan[CCN_HAND_OFF][port][0] != NO_INTERFACE)
		return;
	plain->outer = table->at[uplink].family;
	memcpy(&plain->mac[0], table->port_mac[port], 6);
	memcpy(&plain->mac[1], table->at[uplink].mac, 6);
	if (plain->outer == 6) {
		plain_say(plain, 12, 2, "\x86\xdd", 0xff); /* IPv6 */
		plain_say(plain, 14, 1, "\x60", 0xf0);
		plain_say(plain, 20, 1, "\x11", 0xff); /* UDP, no extension header */
		plain_say(plain, 38, 16, (const char *)table->at[uplink].tunnel6, 0xff);
		plain_say(plain, 56, 2, "\x12\xb5", 0xff); /* VXLAN */
		plain_say(plain, 62, 1, "\x08", VXLAN_FLAG_VNI);
		return;
	}
	plain_say(plain, 12, 2, "\x08\x00", 0xff); /* IPv4 */
	plain_say(plain, 14, 1, "\x45", 0xff);	   /* without options */
	plain_say(plain, 20, 2, "\0\0", 0xff);	   /* no fragment; */
	plain->mask[20] = 0x3f;			   /* "do not" is not looked at */
	plain_say(plain, 23, 1, "\x11", 0xff);	   /* UDP */
	plain_say(plain, 30, 4, (const char *)&table->at[uplink].tunnel, 0xff);
	plain_say(plain, 36, 2, "\x12\xb5", 0xff); /* VXLAN */
	plain_say(plain, 42, 1, "\x08", VXLAN_FLAG_VNI);
}

/* Two hand-offs with one tap would join two CCNs, and the slow path finds a tap by where it is. */
static bool shares_tap(const struct interface_table *table, uint16_t slot)
{
	const struct interface *n = &table->at[slot];

	for (uint16_t i = 0; n->record.tap[0] && i < slot; i++)
		if (table->at[i].present &&
		    !strncmp((const char *)table->at[i].record.tap, (const char *)n->record.tap,
			     sizeof(n->record.tap)))
			return true;
	return false;
}

/* Whether it has a tunnel address apart from its own. */
static bool has_tunnel(const struct interface *n)
{
	return n->tunnel != n->address ||
	       (n->family == 6 && memcmp(n->tunnel6, n->record.address6, 16) != 0);
}

/* A gateway has one underlay, and one tunnel address: hosts and other gateways know no second. */
static const struct interface *odd_uplink(const struct interface_table *table, const char **fault)
{
	const struct interface *any = NULL, *first = NULL;

	for (uint16_t i = 0; i < table->count; i++) {
		const struct interface *n = &table->at[i];

		if (!n->present || n->record.role != CCN_UPLINK)
			continue;
		*fault = "another uplink is of the other IP version";
		if (any && any->family != n->family)
			return n;
		any = n;
		if (!has_tunnel(n))
			continue;
		*fault = "another uplink has another tunnel address";
		if (first &&
		    (first->tunnel != n->tunnel || memcmp(first->tunnel6, n->tunnel6, 16) != 0))
			return n;
		first = n;
	}
	return NULL;
}

const char *interfaces_index(struct interface_table *table, uint32_t *id)
{
	const char *fault;
	const struct interface *odd = odd_uplink(table, &fault);

	if (odd) {
		*id = odd->record.id;
		return fault;
	}
	memset(table->by_vlan, 0xff, sizeof(table->by_vlan));
	for (uint16_t i = 0; i < table->count; i++) {
		const struct interface *n = &table->at[i];

		if (!n->present)
			continue;
		uint16_t *place = &table->by_vlan[n->record.role][n->port][n->record.vlan];

		*id = n->record.id;
		if (*place != NO_INTERFACE)
			return "another interface has the same port, VLAN and role";
		if (shares_tap(table, i))
			return "another interface has the same tap";
		*place = i;
		memcpy(table->port_mac[n->port], port_mac(n->port), 6);
	}
	for (unsigned port = 0; port < MAX_PORTS; port++)
		note_plain(table, port);
	table->underlay =
	    underlay_make(table, fib_current ? fib_current->interfaces->underlay : NULL, &fault);
	return table->underlay ? NULL : fault ? fault : "out of memory";
}
