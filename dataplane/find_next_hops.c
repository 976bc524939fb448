/* SPDX-License-Identifier: Apache-2.0
 *
 * Third stage: where a route leads. A group gives the member that has the flow's bucket; next hops
 * that lead to a VM are looked up together.
 */
#include <string.h>

#include "frame.h"
#include "fwd.h"

/* There is no such VM: it may be ourselves, inside the VPC. */
static void miss(struct worker *w, const struct fib *fib, struct job *job)
{
	const struct packet *packet = &job->packet;

	if (job->hop->record.kind == CCN_ON_LINK && !packet->own &&
	    address_set_has(__atomic_load_n(&fib->gateway_addresses, __ATOMIC_ACQUIRE), job->vni,
			    packet->family, packet->ip + (packet->family == 4 ? 16 : 24)))
		hand_up(w, job, PUNT_TO_GATEWAY, 0);
	else
		refuse(w, job, DROP_NO_VM, 0);
}

unsigned find_next_hops(struct worker *w, const struct fib *fib, struct job *jobs, unsigned count)
{
	struct vm_value value[BURST];
	struct job *vm4[BURST], *vm6[BURST];
	uint64_t key4[BURST], found;
	uint32_t vni6[BURST];
	uint8_t ip6[BURST][16];
	unsigned n4 = 0, n6 = 0, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct job *job = &jobs[i];
		const struct next_hop *hop =
		    job->slot == LPM_NONE ? NULL : fib_next_hop(fib, job->slot);
		const uint8_t *ip;
		int family = job->packet.family;

	again:
		job->hop = hop;
		if (!hop || hop->record.kind == CCN_DROP) {
			refuse(w, job, hop ? DROP_BLACKHOLE : DROP_NO_ROUTE, 0);
			job->m = NULL;
			continue;
		}
		job->vni = hop->record.vni;
		switch (hop->record.kind) {
		case CCN_REMOTE:
			job->adjacency = hop->adjacency;
			memcpy(job->mac, hop->record.mac, 6);
			continue;
		case CCN_ON_LINK:
			ip = family == 4 ? job->packet.ip + 16 : job->packet.ip + 24;
			break;
		case CCN_VIP:
			ip = hop->record.ip;
			family = hop->record.family;
			break;
		case CCN_GROUP: /* of which no member is a group */
			hop = fib_member(
			    hop, frame_flow_hash(job->packet.ip, family, job->packet.length));
			goto again;
		default:
			continue;
		}
		if (family == 4) {
			uint32_t address;

			memcpy(&address, ip, 4);
			key4[n4] = vm_key4(job->vni, address);
			vm4[n4++] = job;
		} else {
			vni6[n6] = job->vni;
			memcpy(ip6[n6], ip, 16);
			vm6[n6++] = job;
		}
	}
	found = n4 ? vm_lookup_burst4(&fib->vms, key4, value, n4) : 0;
	for (unsigned i = 0; i < n4; i++) {
		if (!(found >> i & 1)) {
			miss(w, fib, vm4[i]);
			vm4[i]->m = NULL;
			continue;
		}
		vm4[i]->adjacency = value[i].adjacency;
		memcpy(vm4[i]->mac, value[i].mac, 6);
	}
	found = n6 ? vm_lookup_burst6(&fib->vms, vni6, (const uint8_t(*)[16])ip6, value, n6) : 0;
	for (unsigned i = 0; i < n6; i++) {
		if (!(found >> i & 1)) {
			miss(w, fib, vm6[i]);
			vm6[i]->m = NULL;
			continue;
		}
		vm6[i]->adjacency = value[i].adjacency;
		memcpy(vm6[i]->mac, value[i].mac, 6);
	}
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].m)
			jobs[kept++] = jobs[i];
	return kept;
}
