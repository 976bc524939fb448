/* SPDX-License-Identifier: Apache-2.0
 * From route records to staged tables.
 */
#include "route_stage.h"

#include <stdlib.h>

#include "reclaim.h"

int route_stage_init(struct route_stage *stage, size_t routes)
{
	return route_ops_init(&stage->ops, routes);
}

struct ccsi *route_stage_touch(struct route_stage *stage, struct fib *fib, uint32_t id)
{
	struct ccsi *ccsi = fib->ccsi[id];

	if (!ccsi && !(ccsi = fib->ccsi[id] = calloc(1, sizeof(*ccsi))))
		return NULL;
	if (ccsi->touched)
		return ccsi;
	if (stage->ccsi_count == stage->ccsi_capacity) {
		size_t capacity = stage->ccsi_capacity * 2 + 16;
		uint32_t *ids = realloc(stage->ccsis, capacity * sizeof(*ids));

		if (!ids)
			return NULL;
		stage->ccsis = ids;
		stage->ccsi_capacity = capacity;
	}
	stage->ccsis[stage->ccsi_count++] = id;
	ccsi->touched = true;
	ccsi->after = ccsi->live;
	ccsi->staged_record = ccsi->record;
	return ccsi;
}

void route_stage_clear(struct ccsi *ccsi)
{
	ccsi->emptied = true;
	ccsi->family[0].touched = ccsi->family[1].touched = true;
}

static void count_more(void *fib, uint32_t slot, int32_t more)
{
	struct next_hop_entry *page = ((struct fib *)fib)->next_hop_page[slot / PAGE];

	page[slot % PAGE].references += (uint32_t)more;
}

static void count_less(void *fib, uint32_t slot, int32_t more)
{
	count_more(fib, slot, -more);
}

struct building {
	struct route_stage *stage;
	struct fib *fib;
};

static bool build_table(void *context, uint32_t table, const void *ops, size_t count)
{
	struct building *b = context;
	const bool v6 = table & 1;
	struct ccsi *ccsi = route_stage_touch(b->stage, b->fib, table >> 1);

	if (!ccsi)
		return false;
	/* a table cleared before starts from nothing */
	struct lpm_table *held = ccsi->family[v6].touched ? NULL : ccsi->family[v6].now;

	ccsi->family[v6].touched = true;
	ccsi->family[v6].staged = lpm_apply(&b->stage->change, v6 ? 6 : 4, held, ops, count);
	b->stage->refused = table;
	return !b->stage->change.failed;
}

/* The routes of tables that are cleared refer to nothing any more. */
static bool retire_cleared(struct route_stage *stage, const struct fib *fib)
{
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		const struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];

		for (unsigned f = 0; f < 2; f++)
			if (ccsi->family[f].touched)
				lpm_clear(&stage->change, ccsi->family[f].now);
	}
	return !stage->change.failed;
}

bool route_stage_build(struct route_stage *stage, struct fib *fib)
{
	struct building building = {.stage = stage, .fib = fib};

	if (!retire_cleared(stage, fib) || !route_ops_each(&stage->ops, build_table, &building))
		return false;
	lpm_tally_each(&stage->change.tally, count_more, fib);
	stage->counted = true;
	return true;
}

void route_stage_publish(struct route_stage *stage, struct fib *fib)
{
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		uint32_t id = stage->ccsis[i];
		struct ccsi *ccsi = fib->ccsi[id];

		ccsi->record = ccsi->staged_record;
		ccsi->live = ccsi->after;
		for (unsigned f = 0; f < 2; f++) {
			if (!ccsi->family[f].touched)
				continue;
			struct lpm_table *staged = ccsi->family[f].staged;

			__atomic_store_n(&fib->lpm[f][id], lpm_reference(staged), __ATOMIC_RELEASE);
			fib->routes += lpm_count(staged) - lpm_count(ccsi->family[f].now);
			ccsi->family[f].now = staged;
		}
	}
}

void route_stage_clean(struct route_stage *stage, struct fib *fib, bool published)
{
	if (!published && stage->counted)
		lpm_tally_each(&stage->change.tally, count_less, fib);
	for (size_t i = 0; i < stage->ccsi_count; i++) {
		struct ccsi *ccsi = fib->ccsi[stage->ccsis[i]];

		ccsi->touched = ccsi->emptied = false;
		ccsi->after = ccsi->live;
		for (unsigned f = 0; f < 2; f++) {
			ccsi->family[f].staged = NULL;
			ccsi->family[f].touched = false;
		}
	}
	if (published) {
		lpm_forget(&stage->change.fresh);
		reclaim_later(&stage->change.stale);
	} else {
		lpm_drop(&stage->change.fresh);
		lpm_forget(&stage->change.stale);
	}
	lpm_tally_free(&stage->change.tally);
	route_ops_free(&stage->ops);
	free(stage->ccsis);
}
