/* SPDX-License-Identifier: Apache-2.0
 *
 * Next stage: where a route leads. A group gives the member that has the flow's bucket; next hops
 * that lead to a VM are looked up together.
 */
#include <string.h>

#include <rte_prefetch.h>

#include "frame.h"
#include "fwd.h"

/* There is no such VM: it may be ourselves, inside the VPC. */
static void miss(struct worker *w, const struct fib *fib, struct job *job)
{
	const struct packet *packet = &job->packet;

	if (job->hop->record.kind == CCN_ON_LINK && !packet->own &&
	    address_set_has(__atomic_load_n(&fib->gateway_addresses, __ATOMIC_ACQUIRE),
			    job->hop->record.vni, packet->family,
			    packet->ip + (packet->family == 4 ? 16 : 24)))
		hand_up(w, job, PUNT_TO_GATEWAY, 0);
	else
		refuse(w, job, DROP_NO_VM, 0);
}

/* Those whose next hop leads to a VM: keys of one address family, and whose they are. */
struct to_vms {
	unsigned count;
	uint8_t job[BURST];
	uint32_t vni[BURST];
	union {
		uint64_t key4[BURST];
		uint8_t ip6[BURST][16];
	};
};

/* First the entries of all slots are asked for, then the next hops that they lead to. */
static void fetch(const struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (likely(jobs[i].slot != LPM_NONE))
			rte_prefetch0(fib_next_hop_place(fib, jobs[i].slot));
		__builtin_prefetch(&w->stats.ccsi[jobs[i].packet.ccsi], 1); /* for the last stage */
	}
	for (unsigned i = 0; i < count; i++) {
		jobs[i].hop = jobs[i].slot == LPM_NONE ? NULL : fib_next_hop(fib, jobs[i].slot);
		rte_prefetch0(jobs[i].hop);
	}
}

static void ask(struct to_vms *vms, int family, unsigned job, uint32_t vni, const uint8_t *ip)
{
	uint32_t address;

	vms->job[vms->count] = (uint8_t)job;
	vms->vni[vms->count] = vni;
	if (family == 4) {
		memcpy(&address, ip, 4);
		vms->key4[vms->count++] = vm_key4(vni, address);
	} else {
		memcpy(vms->ip6[vms->count++], ip, 16);
	}
}

/* How many have no VM. */
static unsigned take(struct worker *w, const struct fib *fib, struct job *jobs,
		     const struct to_vms *vms, const struct vm_value *value, uint64_t found)
{
	unsigned missed = 0;

	for (unsigned i = 0; i < vms->count; i++) {
		struct job *job = &jobs[vms->job[i]];

		job->to = value[i];
		if (likely(found >> i & 1))
			continue;
		miss(w, fib, job);
		job->m = NULL;
		missed++;
	}
	return missed;
}

/* Groups, hand-offs and what leads nowhere. False: the packet is dropped. */
static bool follow(struct worker *w, struct job *jobs, unsigned i, const struct next_hop *hop,
		   struct to_vms *vm4, struct to_vms *vm6)
{
	struct job *job = &jobs[i];
	const struct packet *packet = &job->packet;

	if (hop && hop->record.kind == CCN_GROUP) /* of which no member is a group */
		hop = fib_member(hop, frame_flow_hash(packet->ip, packet->family, packet->length));
	job->hop = hop;
	if (!hop || hop->record.kind == CCN_DROP) {
		refuse(w, job, hop ? DROP_BLACKHOLE : DROP_NO_ROUTE, 0);
		return false;
	}
	if (hop->record.kind == CCN_ON_LINK)
		ask(packet->family == 4 ? vm4 : vm6, packet->family, i, hop->record.vni,
		    packet->ip + (packet->family == 4 ? 16 : 24));
	else if (hop->record.kind == CCN_VIP)
		ask(hop->record.family == 4 ? vm4 : vm6, hop->record.family, i, hop->record.vni,
		    hop->record.ip);
	else if (hop->record.kind == CCN_REMOTE)
		job->to = hop->to;
	return true;
}

/* The same without a branch on where it leads, which no predictor knows of mixed traffic: every one
 * takes what a REMOTE says and writes down a question, and the next overwrites those that are none. */
static inline void lead(struct job *job, unsigned i, const struct next_hop *hop, struct to_vms *vm4,
			struct to_vms *vm6)
{
	const uint8_t *ip = job->packet.ip;
	uint32_t address;

	job->to = hop->to;
	if (job->packet.family == 4 || !hop->mask4) {
		memcpy(&address, ip + 16, 4);
		vm4->job[vm4->count] = (uint8_t)i;
		vm4->key4[vm4->count] = hop->key4 | (address & hop->mask4);
		vm4->count += hop->leads;
	} else {
		vm6->job[vm6->count] = (uint8_t)i;
		vm6->vni[vm6->count] = hop->to.vni;
		memcpy(vm6->ip6[vm6->count], ip + 24, 16);
		vm6->count += hop->leads;
	}
}

unsigned find_next_hops(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	struct vm_value value[BURST];
	struct to_vms vm4, vm6;
	unsigned gone = 0, kept = 0;

	vm4.count = vm6.count = 0;
	fetch(w, fib, jobs, count);
	for (unsigned i = 0; i < count; i++) {
		const struct next_hop *hop = jobs[i].hop;

		if (likely(hop && hop->leads <= LEADS_TO_VM)) {
			lead(&jobs[i], i, hop, &vm4, &vm6);
		} else if (!follow(w, jobs, i, hop, &vm4, &vm6)) {
			jobs[i].m = NULL;
			gone++;
		}
	}
	if (vm4.count > 0)
		gone += take(w, fib, jobs, &vm4, value,
			     vm_lookup_burst4(&fib->vms, vm4.key4, value, vm4.count));
	if (vm6.count > 0)
		gone += take(w, fib, jobs, &vm6, value,
			     vm_lookup_burst6(&fib->vms, vm6.vni, (const uint8_t(*)[16])vm6.ip6,
					      value, vm6.count));
	if (gone == 0)
		return count;
	for (unsigned i = 0; i < count; i++) {
		if (!jobs[i].m)
			continue;
		if (kept != i)
			jobs[kept] = jobs[i];
		kept++;
	}
	return kept;
}
