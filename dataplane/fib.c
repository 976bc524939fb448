/* SPDX-License-Identifier: Apache-2.0
 * The tables of one generation: making, freeing, look-ups for people, dump.
 */
#include "fib.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "interface.h"

#define SPINS 1000 /* before others may have the CPU */

struct fib *fib_current;
struct rte_rcu_qsbr *fib_qsbr;

int fib_init(void)
{
	size_t size = rte_rcu_qsbr_get_memsize(READER_COUNT);

	fib_qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(size, RTE_CACHE_LINE_SIZE));
	if (!fib_qsbr || rte_rcu_qsbr_init(fib_qsbr, READER_COUNT))
		return -1;
	/* further workers as they start: a grace period asks every one that is registered */
	rte_rcu_qsbr_thread_register(fib_qsbr, READER_SLOW);
	rte_rcu_qsbr_thread_register(fib_qsbr, READER_WORKER);
	return 0;
}

void fib_wait_for_readers(void)
{
	const uint64_t token = rte_rcu_qsbr_start(fib_qsbr);

	/* a reader that is not running needs the CPU more than we do */
	for (unsigned tries = 0; rte_rcu_qsbr_check(fib_qsbr, token, false) != 1; tries++)
		if (tries > SPINS)
			sched_yield();
}

void fib_begin_epoch(struct fib *fib)
{
	static uint64_t last;

	do
		last++;
	while ((last & ORIGIN_TAG) == 0);
	__atomic_store_n(&fib->epoch, last, __ATOMIC_RELEASE);
}

struct fib *fib_new(void)
{
	struct fib *fib = calloc(1, sizeof(*fib));

	if (!fib)
		return NULL;
	fib_begin_epoch(fib);
	fib->interfaces = calloc(1, sizeof(*fib->interfaces));
	fib->adjacencies = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*fib->adjacencies));
	if (fib->adjacencies)
		*fib->adjacencies = (struct adjacency_table){0};
	fib->adjacency_of = keymap_new(0);
	fib->vtep_names = fib->vtep_names_after = vtep_names_new(0);
	fib->vteps = keymap_new(0);
	fib->gateway_addresses = address_set_new(0);
	fib->peers = address_set_new(0);
	if (!fib->interfaces || !fib->adjacencies || !fib->adjacency_of || !fib->vteps ||
	    !fib->vtep_names || !fib->gateway_addresses || !fib->peers ||
	    vm_table_init(&fib->vms) < 0 || vtep_sets_init(&fib->vtep_sets) < 0) {
		fib_free(fib);
		return NULL;
	}
	memset(fib->interfaces->by_vlan, 0xff, sizeof(fib->interfaces->by_vlan));
	return fib;
}

void next_hop_free(struct next_hop *hop)
{
	if (hop) {
		neigh_release(hop->neigh);
		free(hop->group);
	}
	free(hop);
}

void fib_free(struct fib *fib)
{
	if (!fib)
		return;
	adjacencies_free(fib->adjacencies);
	interfaces_free(fib->interfaces);
	free(fib->adjacency_of);
	vtep_names_free(fib->vtep_names);
	free(fib->adjacency_uses.of);
	free(fib->adjacency_uses.idle);
	free(fib->adjacency_uses.spare);
	free(fib->vteps);
	address_set_free(fib->gateway_addresses);
	address_set_free(fib->peers);
	vm_table_free(&fib->vms);
	vtep_sets_free(&fib->vtep_sets);
	for (unsigned i = 0; i < (1 << 24) / PAGE; i++) {
		free(fib->vni_page[i]);
		for (unsigned j = 0; fib->next_hop_page[i] && j < PAGE; j++) {
			next_hop_free(fib->next_hop_page[i][j].live);
			next_hop_free(fib->next_hop_page[i][j].staged);
		}
		free(fib->next_hop_page[i]);
		arena_free(ARENA_LOOKUP, fib->way_page[i], WAY_LINES);
	}
	for (unsigned i = 0; i < MAX_CCSIS; i++) {
		ccsi_acl_free(fib->acl[i]);
		source_table_free(fib->sources[i]);
		for (unsigned f = 0; fib->ccsi[i] && f < 2; f++)
			lpm_free(fib->ccsi[i]->family[f].now);
		free(fib->ccsi[i]);
	}
	free(fib);
}

static void vm_record(struct ccn_vm *record, const struct fib *fib, int family, const uint8_t *ip,
		      const struct vm_value *value)
{
	*record = (struct ccn_vm){.vni = value->vni, .family = (uint8_t)family};
	memcpy(record->ip, ip, family == 4 ? 4 : 16);
	memcpy(record->mac, value->mac, 6);
	if (value->adjacency & SHARED) {
		record->shared = 1;
		memcpy(record->vtep, vtep_set_at(&fib->vtep_sets, value->adjacency)->record.name,
		       4);
	} else {
		memcpy(record->vtep, &fib->adjacencies->at[value->adjacency].vtep, 4);
	}
}

void fib_lookup(const struct fib *fib, const struct ccn_lookup *question,
		struct ccn_lookup_result *answer)
{
	const struct ccsi *ccsi =
	    fib && question->ccsi < MAX_CCSIS ? fib->ccsi[question->ccsi] : NULL;
	int family = question->family;
	struct vm_value value;

	*answer = (struct ccn_lookup_result){0};
	if (!ccsi || !ccsi->live)
		return;
	struct lpm_prefix match;

	if (!lpm_match(ccsi->family[family == 6].now, question->ip, &match))
		return;
	answer->found = 1;
	answer->route.ccsi = question->ccsi;
	answer->route.family = question->family;
	answer->route.length = match.length;
	answer->route.next_hop = match.next_hop;
	memcpy(answer->route.prefix, match.address, 16);
	const struct next_hop *hop = fib_next_hop(fib, match.next_hop);

	if (!hop)
		return;
	answer->next_hop = hop->record;
	if (hop->group) {
		answer->group = hop->group->record;
		for (unsigned i = 0; i < hop->group->record.count; i++)
			answer->member[i] = hop->group->member[i]->live->record;
	}
	const uint8_t *ip = question->ip;

	if (hop->record.kind == CCN_VIP) {
		ip = hop->record.ip;
		family = hop->record.family;
	} else if (hop->record.kind != CCN_ON_LINK) {
		return;
	}
	if (vm_get(&fib->vms, family, hop->record.vni, ip, &value)) {
		answer->vm_found = 1;
		vm_record(&answer->vm, fib, family, ip, &value);
		if (answer->vm.shared)
			answer->vtep_set = vtep_set_at(&fib->vtep_sets, value.adjacency)->record;
	}
}

struct dump {
	const struct fib *fib;
	int (*emit)(void *context, uint16_t type, const void *record, size_t size);
	void *context;
	int result;
};

static void dump_vm(void *context, int family, const uint8_t *ip, const struct vm_value *value)
{
	struct dump *dump = context;
	struct ccn_vm record;

	if (dump->result < 0)
		return;
	vm_record(&record, dump->fib, family, ip, value);
	dump->result = dump->emit(dump->context, CCN_VM, &record, sizeof(record));
}

static int dump_table(struct dump *dump, uint32_t id, int family, const struct lpm_table *table)
{
	const size_t count = lpm_count(table);
	struct lpm_prefix *rows = malloc((count + 1) * sizeof(*rows));
	int result = rows && lpm_list_all(table, rows) ? 0 : -1;

	for (size_t i = 0; result == 0 && i < count; i++) {
		struct ccn_route record = {.ccsi = id,
					   .next_hop = rows[i].next_hop,
					   .family = (uint8_t)family,
					   .length = rows[i].length};

		memcpy(record.prefix, rows[i].address, 16);
		result = dump->emit(dump->context, CCN_ROUTE, &record, sizeof(record));
	}
	free(rows);
	return result;
}

static int dump_routes(struct dump *dump, uint32_t id)
{
	const struct ccsi *ccsi = dump->fib->ccsi[id];

	if (!ccsi || !ccsi->live)
		return 0;
	return dump_table(dump, id, 4, ccsi->family[0].now) < 0
		   ? -1
		   : dump_table(dump, id, 6, ccsi->family[1].now);
}

static int dump_acls(struct dump *dump)
{
	for (uint32_t id = 0; id < MAX_CCSIS; id++) {
		const struct ccsi_acl *held = dump->fib->acl[id];

		for (uint32_t i = 0; held && i < held->acl->row_count; i++) {
			struct ccn_acl_rule record = held->acl->row[i];

			record.ccsi = id;
			if (dump->emit(dump->context, CCN_ACL_RULE, &record, sizeof(record)) < 0)
				return -1;
		}
	}
	return 0;
}

static int dump_vnis(struct dump *dump)
{
	for (uint32_t vni = 0; vni < 1 << 24; vni++) {
		const struct vni_entry *page = dump->fib->vni_page[vni / PAGE];

		if (!page) {
			vni |= PAGE - 1;
			continue;
		}
		uint32_t held = page[vni % PAGE].live;
		struct ccn_vni record = {
		    .vni = vni, .ccsi = held & 0xffff, .kind = (uint8_t)(held >> 16)};

		if (held && dump->emit(dump->context, CCN_VNI, &record, sizeof(record)) < 0)
			return -1;
	}
	return 0;
}

static int dump_next_hops(struct dump *dump, bool groups)
{
	for (uint32_t slot = 0; slot < 1 << 24; slot++) {
		if (!dump->fib->next_hop_page[slot / PAGE]) {
			slot |= PAGE - 1;
			continue;
		}
		const struct next_hop *hop = fib_next_hop(dump->fib, slot);

		if (!hop || (hop->group != NULL) != groups)
			continue;
		if (groups ? dump->emit(dump->context, CCN_NEXT_HOP_GROUP, &hop->group->record,
					sizeof(hop->group->record)) < 0
			   : dump->emit(dump->context, CCN_NEXT_HOP, &hop->record,
					sizeof(hop->record)) < 0)
			return -1;
	}
	return 0;
}

static int dump_vteps(struct dump *dump)
{
	const struct keymap *map = dump->fib->vteps;

	for (uint64_t i = 0; i <= map->mask; i++) {
		uint64_t key = map->slots[i].key;
		uint32_t address = (uint32_t)key;
		struct ccn_vtep record = {.vni = (uint32_t)(key >> 32)};

		if (key == 0 || key == KEYMAP_DELETED)
			continue;
		memcpy(record.address, &address, 4);
		record.flags = (uint32_t)map->slots[i].value;
		if (dump->emit(dump->context, CCN_VTEP, &record, sizeof(record)) < 0)
			return -1;
	}
	return 0;
}

static int dump_vtep_names(struct dump *dump)
{
	const struct vtep_names *names = dump->fib->vtep_names;

	for (uint32_t i = 0; i <= names->mask; i++) {
		const struct vtep_name *n = &names->by_address[i];
		struct ccn_vtep_name record;

		if (n->name == 0)
			continue;
		memcpy(record.name, &n->name, 4);
		memcpy(record.address, n->address, 16);
		if (dump->emit(dump->context, CCN_VTEP_NAME, &record, sizeof(record)) < 0)
			return -1;
	}
	return 0;
}

static int dump_addresses(struct dump *dump, uint16_t type, const struct address_set *set)
{
	for (uint32_t i = 0; i < set->count; i++)
		if (dump->emit(dump->context, type, &set->key[i], sizeof(set->key[i])) < 0)
			return -1;
	return 0;
}

static int dump_vtep_sets(struct dump *dump)
{
	const struct vtep_sets *sets = &dump->fib->vtep_sets;

	for (uint32_t i = 0; i < sets->end; i++)
		if (sets->at[i] && !sets->at[i]->fresh && /* not only prepared */
		    dump->emit(dump->context, CCN_VTEP_SET, &sets->at[i]->record,
			       sizeof(struct ccn_vtep_set)) < 0)
			return -1;
	return 0;
}

int fib_dump(const struct fib *fib,
	     int (*emit)(void *context, uint16_t type, const void *record, size_t size),
	     void *context)
{
	struct dump dump = {.fib = fib, .emit = emit, .context = context};

	if (!fib)
		return 0;
	for (unsigned i = 0; i < fib->interfaces->count; i++) {
		const struct interface *n = &fib->interfaces->at[i];

		if (n->present && emit(context, CCN_INTERFACE, &n->record, sizeof(n->record)) < 0)
			return -1;
	}
	for (unsigned i = 0; i < MAX_CCSIS; i++)
		if (fib->ccsi[i] && fib->ccsi[i]->live &&
		    emit(context, CCN_CCSI, &fib->ccsi[i]->record, sizeof(struct ccn_ccsi)) < 0)
			return -1;
	if (dump_acls(&dump) < 0 || dump_vnis(&dump) < 0 || dump_vtep_names(&dump) < 0 ||
	    dump_vteps(&dump) < 0 ||
	    dump_addresses(&dump, CCN_GATEWAY_ADDRESS, fib->gateway_addresses) < 0 ||
	    dump_addresses(&dump, CCN_PEER, fib->peers) < 0 || dump_next_hops(&dump, false) < 0 ||
	    dump_next_hops(&dump, true) < 0 || dump_vtep_sets(&dump) < 0)
		return -1;
	vm_walk(&fib->vms, 4, dump_vm, &dump);
	vm_walk(&fib->vms, 6, dump_vm, &dump);
	for (uint32_t i = 0; dump.result == 0 && i < MAX_CCSIS; i++)
		dump.result = dump_routes(&dump, i);
	for (uint32_t i = 0; dump.result == 0 && i < MAX_CCSIS; i++)
		for (size_t n = 0;
		     dump.result == 0 && fib->sources[i] && n < fib->sources[i]->count; n++)
			dump.result = emit(context, CCN_SOURCE, &fib->sources[i]->row[n].record,
					   sizeof(struct ccn_source));
	return dump.result;
}
