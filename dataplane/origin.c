/* SPDX-License-Identifier: Apache-2.0
 * Origins: memory, and when to do without.
 */
#include "origin.h"

#include "arena.h"

static void awake(struct origins *o)
{
	o->sets = o->whole;
	o->mask = UINT32_MAX;
	o->poor = 0;
}

int origins_init(struct origins *o)
{
	*o = (struct origins){.whole = arena_map(ORIGIN_OCTETS)};
	awake(o);
	return o->whole ? 0 : -1;
}

void origins_rest(struct origins *o)
{
	o->rest = ORIGIN_REST;
	o->sets = (uint8_t *)&o->none;
	o->mask = 0;
}

void origins_begin(struct origins *o, uint64_t epoch)
{
	if (o->rest > 0 && --o->rest == 0)
		awake(o);
	/* entries hold the lower bits of their epoch only */
	if (epoch / (ORIGIN_TAG + 1) != o->epoch / (ORIGIN_TAG + 1)) {
		memset(o->whole, 0, ORIGIN_OCTETS);
		memset(&o->none, 0, sizeof(o->none));
	}
	o->epoch = epoch;
}
