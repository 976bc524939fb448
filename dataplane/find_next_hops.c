/* SPDX-License-Identifier: Apache-2.0
 *
 * Next stage: where a route leads. A group gives the member that has the flow's bucket; next hops
 * that lead to a VM are looked up together.
 */
#include <string.h>

#include <smmintrin.h>

#include "frame.h"
#include "fwd.h"

/* There is no such VM: it may be ourselves, inside the VPC. What led here is still in the job. */
static void miss(struct worker *w, const struct fib *fib, struct job *job)
{
	const struct packet *packet = &job->packet;

	if (job->on_link && !packet->own &&
	    address_set_has(__atomic_load_n(&fib->gateway_addresses, __ATOMIC_ACQUIRE), job->to.vni,
			    packet->family, packet->ip + (packet->family == 4 ? 16 : 24)))
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

/* How many have no VM. */
static unsigned take(struct worker *w, const struct fib *fib, struct job *jobs,
		     const struct to_vms *vms, const struct vm_value *value, uint64_t found)
{
	unsigned missed = 0;

	for (unsigned i = 0; i < vms->count; i++) {
		struct job *job = &jobs[vms->job[i]];

		if (likely(found >> i & 1)) {
			job->to = value[i];
			continue;
		}
		miss(w, fib, job);
		job->m = NULL;
		missed++;
	}
	return missed;
}

/* Without a branch on where it leads, which no predictor knows of mixed traffic: every one takes the
 * way for what a REMOTE says and writes down a question, and the next overwrites those that are none. */
static inline void lead(struct job *job, unsigned i, __m128i way, struct to_vms *vm4,
			struct to_vms *vm6)
{
	const uint8_t *ip = job->packet.ip;
	const uint32_t to_vm = way_leads(way) == LEADS_TO_VM;
	const uint32_t vni = (uint32_t)_mm_cvtsi128_si32(way) & 0xffffff;
	const uint32_t vip = (uint32_t)_mm_extract_epi32(way, 1);
	const uint32_t mask = (uint32_t)_mm_extract_epi32(way, 2);
	uint32_t address;

	job->leads = (uint8_t)way_leads(way);
	job->on_link = to_vm & mask & 1;
	_mm_store_si128((__m128i *)&job->to,
			_mm_and_si128(way, _mm_set_epi32(-1, -1, -1, 0xffffff)));
	if (job->packet.family == 4 || !mask) {
		memcpy(&address, ip + 16, 4);
		vm4->job[vm4->count] = (uint8_t)i;
		vm4->key4[vm4->count] = vm_key4(vni, vip | (address & mask));
		vm4->count += to_vm;
	} else {
		vm6->job[vm6->count] = (uint8_t)i;
		vm6->vni[vm6->count] = vni;
		memcpy(vm6->ip6[vm6->count], ip + 24, 16);
		vm6->count += to_vm;
	}
}

/* Where a way does not lead: groups, hand-offs, VIPs of IPv6, and what leads nowhere. False: the
 * packet is dropped. */
static bool follow(struct worker *w, const struct fib *fib, struct job *jobs, unsigned i,
		   struct to_vms *vm4, struct to_vms *vm6)
{
	struct job *job = &jobs[i];
	const struct packet *packet = &job->packet;
	const struct next_hop *hop = job->slot == LPM_NONE ? NULL : fib_next_hop(fib, job->slot);

	if (hop && hop->record.kind == CCN_GROUP) /* of which no member is a group */
		hop = fib_member(hop, frame_flow_hash(packet->ip, packet->family, packet->length));
	job->hop = hop;
	if (!hop || hop->record.kind == CCN_DROP) {
		refuse(w, job, hop ? DROP_BLACKHOLE : DROP_NO_ROUTE, 0);
		return false;
	}
	if (way_leads(way_load(&hop->way)) != LEADS_ELSEWHERE) {
		lead(job, i, way_load(&hop->way), vm4, vm6);
	} else if (hop->record.kind == CCN_VIP) {
		job->leads = LEADS_TO_VM;
		job->on_link = false;
		job->to.vni = hop->record.vni;
		vm6->job[vm6->count] = (uint8_t)i;
		vm6->vni[vm6->count] = hop->record.vni;
		memcpy(vm6->ip6[vm6->count++], hop->record.ip, 16);
	}
	return true;
}

unsigned find_next_hops(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	struct vm_value value[BURST];
	struct to_vms vm4, vm6;
	unsigned gone = 0, kept = 0;

	vm4.count = vm6.count = 0;
	for (unsigned i = 0; i < count; i++) {
		__m128i way = _mm_setzero_si128();

		if (likely(jobs[i].slot != LPM_NONE))
			way = way_load(fib_way_place(fib, jobs[i].slot));
		if (likely(way_leads(way) != LEADS_ELSEWHERE)) {
			lead(&jobs[i], i, way, &vm4, &vm6);
		} else if (!follow(w, fib, jobs, i, &vm4, &vm6)) {
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
