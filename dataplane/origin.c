/* SPDX-License-Identifier: Apache-2.0
 * Origins: memory, and when to do without.
 */
#include "origin.h"

#include <string.h>

#include "arena.h"

#define SIZE (2 * ORIGIN_SETS * sizeof(struct origin))

static void awake(struct origins *o)
{
	o->entry = o->whole;
	o->mask = ORIGIN_SETS - 1;
	o->poor = 0;
}

int origins_init(struct origins *o)
{
	*o = (struct origins){.whole = arena_map(SIZE)};
	awake(o);
	return o->whole ? 0 : -1;
}

void origins_rest(struct origins *o)
{
	o->rest = ORIGIN_REST;
	o->entry = o->none;
	o->mask = 0;
}

void origins_begin(struct origins *o, uint64_t epoch)
{
	if (o->rest > 0 && --o->rest == 0)
		awake(o);
	/* entries hold the lower bits of their epoch only */
	if (epoch / (ORIGIN_TAG + 1) != o->epoch / (ORIGIN_TAG + 1)) {
		memset(o->whole, 0, SIZE);
		memset(o->none, 0, sizeof(o->none));
	}
	o->epoch = epoch;
}
