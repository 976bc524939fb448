/* SPDX-License-Identifier: Apache-2.0
 *
 * A host: the VM that has the source is there, or the source's route leads to a VIP that is there. A
 * gateway, a hand-off: where the source's longest match leads, and for the rest the source table.
 */
#include "source.h"

#include <string.h>

#include <rte_byteorder.h>

static const uint8_t *source_of(const struct packet *packet)
{
	return packet->ip + (packet->family == 4 ? 12 : 8);
}

/* --- what routes vouch for --- */

/* A host forwards for a prefix whose next hop is a VIP that is one of its VMs. */
static bool host_may(const struct fib *fib, const struct packet *packet, const struct next_hop *hop)
{
	struct vm_value vm;

	return hop->record.kind == CCN_VIP && hop->record.vni == packet->vni &&
	       vm_get(&fib->vms, hop->record.family, hop->record.vni, hop->record.ip, &vm) &&
	       fib_vm_is_at(fib, vm.adjacency, packet->vtep);
}

/* What it brings has been checked where it came in. So any gateway may bring what lies behind some
 * gateway (the way back may be another one's), one of our region what our VMs send, and one with a
 * hand-off what lies behind ours: a data centre may have routers at both. */
static bool gateway_may(const struct packet *packet, const struct next_hop *hop)
{
	switch (hop->record.kind) {
	case CCN_REMOTE:
		return true;
	case CCN_ON_LINK:
	case CCN_VIP:
		return packet->vtep_flags & CCN_VTEP_REGION;
	case CCN_NEIGHBOR:
		return packet->vtep_flags & CCN_VTEP_HAND_OFF;
	default:
		return false;
	}
}

static bool leads_back(const struct fib *fib, const struct packet *packet,
		       const struct next_hop *hop)
{
	switch (packet->sender) {
	case SENDER_HOST:
		return host_may(fib, packet, hop);
	case SENDER_GATEWAY:
		return gateway_may(packet, hop);
	default:
		return hop->record.kind == CCN_NEIGHBOR &&
		       hop->record.interface == packet->interface;
	}
}

/* --- what the topology vouches for --- */

/* Of a gateway: what has no route back (silent members, consumers of a one-way share, the links of
 * IDC routers), so that at most a default route matches it. Of a hand-off: what has a route, but by
 * another router of the same data centre. */
static bool is_declared(const struct fib *fib, const struct packet *packet,
			const struct next_hop *hop)
{
	const struct source_table *table =
	    __atomic_load_n(&fib->sources[packet->ccsi], __ATOMIC_ACQUIRE);
	const unsigned kind = hop ? hop->record.kind : CCN_DROP;
	const struct ccn_source *row;

	if (!table || packet->sender == SENDER_HOST || kind == CCN_ON_LINK || kind == CCN_VIP ||
	    (hop && kind == CCN_DROP))
		return false;
	row = source_table_find(table, packet->family, source_of(packet));
	if (!row)
		return false;
	if (packet->sender == SENDER_GATEWAY)
		return row->flags & CCN_SOURCE_GATEWAYS;
	return hop && row->site != 0 && row->site == packet->site;
}

static bool is_legal(const struct fib *fib, const struct packet *packet, const struct next_hop *hop)
{
	if (hop && hop->group) {
		for (unsigned i = 0; i < hop->group->record.count; i++) {
			const struct next_hop *member =
			    __atomic_load_n(&hop->group->member[i]->live, __ATOMIC_ACQUIRE);

			if (member && leads_back(fib, packet, member))
				return true;
		}
	} else if (hop && leads_back(fib, packet, hop)) {
		return true;
	}
	return is_declared(fib, packet, hop);
}

/* --- the burst --- */

static const enum drop_reason forged[] = {
    [SENDER_HOST] = DROP_SOURCE_NO_VM,
    [SENDER_GATEWAY] = DROP_SOURCE_GATEWAY,
    [SENDER_HAND_OFF] = DROP_SOURCE_HAND_OFF,
};

static enum drop_reason judge_vm(const struct fib *fib, const struct packet *packet,
				 const struct vm_value *vm)
{
	return fib_vm_is_at(fib, vm->adjacency, packet->vtep) ? DROP_REASON_COUNT
							      : DROP_SOURCE_OTHER_HOST;
}

/* Of packets from hosts; those whose source is no VM are left over for their route. */
static unsigned judge_hosts(const struct fib *fib, const struct packet *const *packets,
			    const uint8_t *hosts, unsigned count, enum drop_reason *verdicts,
			    uint8_t *left)
{
	struct vm_value value[SOURCE_BURST];
	uint64_t key4[SOURCE_BURST], found;
	uint32_t vni6[SOURCE_BURST];
	uint8_t ip6[SOURCE_BURST][16], of4[SOURCE_BURST], of6[SOURCE_BURST];
	unsigned n4 = 0, n6 = 0, n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct packet *packet = packets[hosts[i]];

		if (packet->family == 4) {
			uint32_t address;

			memcpy(&address, packet->ip + 12, 4);
			of4[n4] = hosts[i];
			key4[n4++] = vm_key4(packet->vni, address);
		} else {
			of6[n6] = hosts[i];
			vni6[n6] = packet->vni;
			memcpy(ip6[n6++], packet->ip + 8, 16);
		}
	}
	found = n4 ? vm_lookup_burst4(&fib->vms, key4, value, n4) : 0;
	for (unsigned i = 0; i < n4; i++) {
		if (found >> i & 1)
			verdicts[of4[i]] = judge_vm(fib, packets[of4[i]], &value[i]);
		else
			left[n++] = of4[i];
	}
	found = n6 ? vm_lookup_burst6(&fib->vms, vni6, (const uint8_t(*)[16])ip6, value, n6) : 0;
	for (unsigned i = 0; i < n6; i++) {
		if (found >> i & 1)
			verdicts[of6[i]] = judge_vm(fib, packets[of6[i]], &value[i]);
		else
			left[n++] = of6[i];
	}
	return n;
}

static void fetch_way(const struct fib *fib, uint32_t slot)
{
	if (slot != LPM_NONE)
		__builtin_prefetch(fib_way_place(fib, slot));
}

/* gateway_may of what nearly all routes lead to, by the next hop's way alone. */
static bool gateway_may_plainly(const struct fib *fib, const struct packet *packet, uint32_t slot)
{
	const enum leads leads = way_leads(way_load(fib_way_place(fib, slot)));

	return leads == LEADS_AWAY ||
	       (leads == LEADS_TO_VM && (packet->vtep_flags & CCN_VTEP_REGION));
}

/* `slot`: of the longest match of its source, or LPM_NONE. */
static enum drop_reason judge_match(const struct fib *fib, const struct packet *packet,
				    uint32_t slot)
{
	const struct next_hop *hop;

	if (slot != LPM_NONE && packet->sender == SENDER_GATEWAY &&
	    gateway_may_plainly(fib, packet, slot))
		return DROP_REASON_COUNT;
	hop = slot == LPM_NONE ? NULL : fib_next_hop(fib, slot);
	return is_legal(fib, packet, hop) ? DROP_REASON_COUNT : forged[packet->sender];
}

static void judge_routed(const struct fib *fib, const struct packet *const *packets,
			 const uint8_t *routed, unsigned count, enum drop_reason *verdicts)
{
	lpm_ref table4[SOURCE_BURST], table6[SOURCE_BURST];
	uint32_t address4[SOURCE_BURST], slot4[SOURCE_BURST], slot6[SOURCE_BURST];
	uint8_t address6[SOURCE_BURST][16];
	unsigned n4 = 0, n6 = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct packet *packet = packets[routed[i]];

		if (packet->family == 4) {
			uint32_t address;

			memcpy(&address, packet->ip + 12, 4);
			table4[n4] = __atomic_load_n(&fib->lpm[0][packet->ccsi], __ATOMIC_ACQUIRE);
			address4[n4++] = rte_be_to_cpu_32(address);
		} else {
			table6[n6] = __atomic_load_n(&fib->lpm[1][packet->ccsi], __ATOMIC_ACQUIRE);
			memcpy(address6[n6++], packet->ip + 8, 16);
		}
	}
	if (n4 > 0)
		lpm_lookup_burst4(table4, address4, slot4, n4);
	if (n6 > 0)
		lpm_lookup_burst6(table6, (const uint8_t(*)[16])address6, slot6, n6);
	for (unsigned i = 0; i < n4; i++)
		fetch_way(fib, slot4[i]);
	for (unsigned i = 0; i < n6; i++)
		fetch_way(fib, slot6[i]);
	n4 = n6 = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct packet *packet = packets[routed[i]];

		verdicts[routed[i]] =
		    judge_match(fib, packet, packet->family == 4 ? slot4[n4++] : slot6[n6++]);
	}
}

uint64_t source_judge(const struct fib *fib, const struct packet *const *packets, unsigned count,
		      enum drop_reason *verdicts)
{
	uint8_t hosts[SOURCE_BURST], routed[SOURCE_BURST];
	uint64_t lasting = 0;
	unsigned h = 0, r = 0, vms;

	for (unsigned i = 0; i < count; i++) {
		const struct packet *packet = packets[i];

		verdicts[i] = DROP_REASON_COUNT;
		if (__atomic_load_n(&fib->source_open[packet->ccsi], __ATOMIC_RELAXED) ||
		    packet->sender == SENDER_ROUTER)
			lasting |= (uint64_t)(packet->sender == SENDER_HOST) << i;
		else if (packet->sender == SENDER_HOST)
			hosts[h++] = (uint8_t)i;
		else
			routed[r++] = (uint8_t)i;
	}
	vms = r;
	if (h > 0)
		r += judge_hosts(fib, packets, hosts, h, verdicts, routed + r);
	for (unsigned i = 0; i < h; i++)
		lasting |= (uint64_t)(verdicts[hosts[i]] == DROP_REASON_COUNT) << hosts[i];
	for (unsigned i = vms; i < r; i++) /* those that are no VM's are left for their route */
		lasting &= ~(1ULL << routed[i]);
	if (r > 0)
		judge_routed(fib, packets, routed, r, verdicts);
	return lasting;
}
