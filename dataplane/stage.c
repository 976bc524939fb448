/* SPDX-License-Identifier: Apache-2.0
 * Stages interfaces, routing tables, VNIs and routes.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

#include "acl.h"

/* So few that they are still in the first-level cache when they are written down. */
#define ROUTES_AT_ONCE 256U

/* --- interfaces --- */

int stage_interface(struct change *c, const void *record, bool remove, uint32_t index)
{
	if (!c->interfaces) {
		c->interfaces = interfaces_copy(c->fib->interfaces, change_count(c, CCN_INTERFACE));
		if (!c->interfaces)
			return change_no_memory(c);
	}
	const char *fault = interfaces_apply(c->interfaces, record, remove);

	return fault ? change_refuse(c, CCN_NAK_RECORD, index, "interface %u: %s",
				     ((const struct ccn_interface *)record)->id, fault)
		     : 0;
}

int check_interfaces(struct change *c)
{
	uint32_t id = 0;
	const struct interface_table *table = c->interfaces ? c->interfaces : c->fib->interfaces;

	if (c->interfaces) {
		const char *fault = interfaces_index(c->interfaces, &id);

		if (fault)
			return change_refuse(c, CCN_NAK_RECORD, 0, "interface %u: %s", id, fault);
	}
	for (unsigned i = 0; i < table->count; i++) {
		const struct ccn_interface *r = &table->at[i].record;

		if (table->at[i].present && r->role == CCN_HAND_OFF && !change_has_ccsi(c, r->ccsi))
			return change_refuse(c, CCN_NAK_RECORD, 0, "interface %u: no CCSI %u",
					     r->id, r->ccsi);
	}
	return 0;
}

/* --- routing tables and VNIs --- */

int stage_ccsi(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_ccsi *r = record;

	if (r->id == 0 || r->id >= MAX_CCSIS)
		return change_refuse(c, CCN_NAK_RECORD, index, "CCSI %u: the id is not in 1..65535",
				     r->id);
	if (r->flags & ~(uint32_t)CCN_SOURCE_OPEN)
		return change_refuse(c, CCN_NAK_RECORD, index, "CCSI %u: unknown flags", r->id);
	struct ccsi *ccsi = route_stage_touch(&c->routes, c->fib, r->id);

	if (!ccsi)
		return change_no_memory(c);
	if (remove && !ccsi->after)
		return change_refuse(c, CCN_NAK_RECORD, index, "CCSI %u: does not exist", r->id);
	if (remove) {
		c->ccsi_removed = true;
		route_stage_clear(ccsi);
		ccsi->acl_touched = true;
	}
	ccsi->after = !remove;
	ccsi->staged_record = *r;
	return 0;
}

int stage_acl_rule(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_acl_rule *r = record;
	const char *fault = acl_rule_fault(r);

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "ACL rule %u of CCSI %u: %s",
				     r->sequence, r->ccsi, fault);
	if (!change_has_ccsi(c, r->ccsi))
		return change_refuse(c, CCN_NAK_RECORD, index, "ACL rule: no CCSI %u", r->ccsi);
	acl_stage_add(&c->acls, r, remove, index);
	return 0;
}

int stage_vni(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_vni *r = record;

	if (r->vni == 0 || r->vni >= 1 << 24)
		return change_refuse(c, CCN_NAK_RECORD, index, "VNI %u: not in 1..16777215",
				     r->vni);
	struct vni_entry **place = &c->fib->vni_page[r->vni / PAGE];

	if (!*place) {
		struct vni_entry *page = calloc(PAGE, sizeof(*page));

		if (!page)
			return change_no_memory(c);
		__atomic_store_n(place, page, __ATOMIC_RELEASE);
	}
	struct vni_entry *entry = &(*place)[r->vni % PAGE];

	if (remove && (entry->touched ? entry->staged : entry->live) == 0)
		return change_refuse(c, CCN_NAK_RECORD, index, "VNI %u: does not exist", r->vni);
	if (!remove && r->kind != CCN_VNI_VPC && r->kind != CCN_VNI_L3)
		return change_refuse(c, CCN_NAK_RECORD, index, "VNI %u: unknown kind %u", r->vni,
				     r->kind);
	if (!remove && !change_has_ccsi(c, r->ccsi))
		return change_refuse(c, CCN_NAK_RECORD, index, "VNI %u: no CCSI %u", r->vni,
				     r->ccsi);
	if (!entry->touched)
		c->vnis[c->vni_count++] = r->vni;
	entry->touched = true;
	entry->staged = remove ? 0 : r->ccsi | (uint32_t)r->kind << 16;
	return 0;
}

int check_vnis(struct change *c)
{
	for (uint32_t vni = 0; c->ccsi_removed && vni < 1 << 24; vni++) {
		const struct vni_entry *page = c->fib->vni_page[vni / PAGE];

		if (!page) {
			vni |= PAGE - 1;
			continue;
		}
		const struct vni_entry *e = &page[vni % PAGE];
		uint32_t held = e->touched ? e->staged : e->live;

		if (held && !change_has_ccsi(c, held & 0xffff))
			return change_refuse(c, CCN_NAK_RECORD, 0,
					     "CCSI %u: VNI %u still leads to it", held & 0xffff,
					     vni);
	}
	return 0;
}
/* --- routes --- */

static bool has_next_hop(const struct change *c, uint32_t slot)
{
	const struct next_hop_entry *page =
	    slot < 1 << 24 ? c->fib->next_hop_page[slot / PAGE] : NULL;
	const struct next_hop_entry *e = page ? &page[slot % PAGE] : NULL;

	return e && (e->staged || (e->live && !e->doomed));
}

/* What is wrong with it. */
static int refuse_route(struct change *c, const struct ccn_route *r, uint32_t index)
{
	const char *fault = route_fault(r);

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "route in CCSI %u: %s", r->ccsi,
				     fault);
	if (!change_has_ccsi(c, r->ccsi))
		return change_refuse(c, CCN_NAK_RECORD, index, "route: no CCSI %u", r->ccsi);
	return change_refuse(c, CCN_NAK_RECORD, index, "route in CCSI %u: no next hop %u", r->ccsi,
			     r->next_hop);
}

/* Those at the beginning that are of one table and right; how many. */
static size_t right_routes(const struct change *c, const struct ccn_route *r, size_t count,
			   bool remove)
{
	const struct ccn_route *const first = r;
	size_t n = 0;

	if (!change_has_ccsi(c, r->ccsi))
		return 0;
	for (; n < count; n++, r++) {
		if (r->ccsi != first->ccsi || r->family != first->family || !route_is_right(r))
			break;
		if (!remove && !has_next_hop(c, r->next_hop))
			break;
	}
	return n;
}

int stage_routes(struct change *c, const void *records, size_t count, bool remove)
{
	const struct ccn_route *r = records;

	for (size_t at = 0, n; at < count; at += n) {
		n = right_routes(c, r + at, RTE_MIN(count - at, ROUTES_AT_ONCE), remove);
		if (n == 0)
			return refuse_route(c, r + at, (uint32_t)at);
		if (!route_ops_add(&c->routes.ops, r + at, n, remove))
			return change_no_memory(c);
	}
	return 0;
}

int refuse_absent_route(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_route *r = record;
	const struct lpm_prefix *wanted = &c->routes.change.wanted;

	(void)remove; /* what came first to this prefix */
	if (route_table(r->ccsi, r->family == 6) != c->routes.refused ||
	    r->length != wanted->length || memcmp(r->prefix, wanted->address, 16) != 0)
		return 0;
	return change_refuse(c, CCN_NAK_RECORD, index, "route: the one to remove does not exist");
}

int check_doomed(struct change *c)
{
	for (size_t i = 0; i < c->slot_count; i++) {
		const struct next_hop_entry *e =
		    &c->fib->next_hop_page[c->slots[i] / PAGE][c->slots[i] % PAGE];

		if (e->doomed && e->references > 0)
			return change_refuse(c, CCN_NAK_RECORD, 0, "next hop %u: %u routes use it",
					     c->slots[i], e->references);
		if (e->doomed && e->groups > 0)
			return change_refuse(c, CCN_NAK_RECORD, 0, "next hop %u: %u groups use it",
					     c->slots[i], e->groups);
	}
	return 0;
}
