/* SPDX-License-Identifier: Apache-2.0
 *
 * Third stage: where a route leads. A group gives the member that has the flow's bucket; next hops
 * that lead to a VM are looked up together.
 */
#include <string.h>

#include "frame.h"
#include "fwd.h"

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
			drop(w, job->m, hop ? DROP_BLACKHOLE : DROP_NO_ROUTE);
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
			drop(w, vm4[i]->m, DROP_NO_VM);
			vm4[i]->m = NULL;
			continue;
		}
		vm4[i]->adjacency = value[i].adjacency;
		memcpy(vm4[i]->mac, value[i].mac, 6);
	}
	found = n6 ? vm_lookup_burst6(&fib->vms, vni6, (const uint8_t(*)[16])ip6, value, n6) : 0;
	for (unsigned i = 0; i < n6; i++) {
		if (!(found >> i & 1)) {
			drop(w, vm6[i]->m, DROP_NO_VM);
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
