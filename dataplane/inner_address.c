/* SPDX-License-Identifier: Apache-2.0
 * See inner_address.h.
 */
#include "inner_address.h"

#include <string.h>

/* Where the last search for an address of the CCSI ended: index + 1. Checked before use. */
static uint32_t found_at[2][MAX_CCSIS];

static bool take(const struct address_set *set, uint32_t at, uint32_t vni, int family, uint8_t *out)
{
	if (at >= set->count || set->key[at].scope != vni || set->key[at].family != family)
		return false;
	memcpy(out, set->key[at].ip, 16);
	return true;
}

static bool of_vpc(const struct address_set *set, uint32_t vni, int family, uint8_t *out)
{
	return vni != 0 && take(set, address_set_from(set, vni, family), vni, family, out);
}

static bool of_interface(const struct interface *n, int family, uint8_t *out)
{
	static const uint8_t zero[16];
	const uint8_t *address = family == 4 ? n->record.address : n->record.address6;
	const size_t octets = family == 4 ? 4 : 16;

	if (!memcmp(address, zero, octets))
		return false;
	memcpy(out, address, octets);
	return true;
}

static bool leads_to(const struct fib *fib, const struct address_key *key, uint16_t ccsi,
		     int family)
{
	return key->family == family && (uint16_t)fib_vni(fib, key->scope) == ccsi;
}

static bool of_ccsi(const struct fib *fib, const struct address_set *set, uint16_t ccsi, int family,
		    uint8_t *out)
{
	uint32_t *place = &found_at[family == 6][ccsi], at = *place;

	if (at == 0 || at > set->count || !leads_to(fib, &set->key[at - 1], ccsi, family))
		for (at = 1; at <= set->count; at++)
			if (leads_to(fib, &set->key[at - 1], ccsi, family))
				break;
	if (at > set->count)
		return false;
	*place = at;
	memcpy(out, set->key[at - 1].ip, 16);
	return true;
}

bool inner_address(const struct fib *fib, const struct punt_note *note, uint8_t out[16])
{
	static const uint8_t dummy[4] = {192, 0, 0, 8};
	const struct address_set *set = __atomic_load_n(&fib->gateway_addresses, __ATOMIC_ACQUIRE);
	const struct interface_table *table = __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE);
	const int family = note->family;

	if (of_vpc(set, note->vni, family, out))
		return true;
	for (uint16_t i = 0; note->interface && i < table->count; i++)
		if (table->at[i].present && table->at[i].record.id == note->interface &&
		    of_interface(&table->at[i], family, out))
			return true;
	if (of_vpc(set, note->to_vni, family, out) || of_ccsi(fib, set, note->ccsi, family, out))
		return true;
	for (uint16_t i = 0; i < table->count; i++)
		if (table->at[i].present && table->at[i].record.role == CCN_HAND_OFF &&
		    table->at[i].record.ccsi == note->ccsi &&
		    of_interface(&table->at[i], family, out))
			return true;
	if (family == 4)
		memcpy(out, dummy, 4);
	return family == 4;
}
