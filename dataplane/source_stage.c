/* SPDX-License-Identifier: Apache-2.0
 * Stages sources: operations sorted by CCSI and key, merged with the rows each CCSI holds.
 */
#include "change.h"

#include <stdlib.h>
#include <string.h>

static const char *source_fault(const struct ccn_source *r)
{
	const unsigned bits = r->family == 4 ? 32 : 128;
	unsigned first = r->length / 8;

	if (r->family != 4 && r->family != 6)
		return "family is not 4 or 6";
	if (r->length > bits)
		return "prefix length out of range";
	if (r->flags & ~(uint32_t)CCN_SOURCE_GATEWAYS)
		return "unknown flags";
	if (r->length % 8 && (r->prefix[first] & 0xff >> r->length % 8))
		return "bits beyond the prefix length";
	for (unsigned i = first + (r->length % 8 != 0); i < 16; i++)
		if (r->prefix[i])
			return "bits beyond the prefix length";
	return NULL;
}

int stage_source(struct change *c, const void *record, bool remove, uint32_t index)
{
	const struct ccn_source *r = record;
	const char *fault = source_fault(r);

	if (fault)
		return change_refuse(c, CCN_NAK_RECORD, index, "source in CCSI %u: %s", r->ccsi,
				     fault);
	if (!change_has_ccsi(c, r->ccsi))
		return change_refuse(c, CCN_NAK_RECORD, index, "source: no CCSI %u", r->ccsi);
	c->sources.op[c->sources.count++] =
	    (struct op){.record = record, .index = index, .remove = remove};
	return 0;
}

static int compare_ops(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	const struct ccn_source *r = (const void *)x->record, *s = (const void *)y->record;
	int order = r->ccsi != s->ccsi ? (r->ccsi < s->ccsi ? -1 : 1) : source_compare(r, s);

	/* records lie in the transaction in the order in which they came */
	return order ? order : (x->record < y->record ? -1 : 1);
}

/* The table of one CCSI as it will be; `*made` stays NULL if it will be empty. */
static int merge(struct change *c, uint32_t id, const struct op *op, size_t ops,
		 struct source_table **made)
{
	const struct source_table *held = c->fib->ccsi[id]->emptied ? NULL : c->fib->sources[id];
	const size_t most = ops + (held ? held->count : 0);
	const struct ccn_source **row = malloc((most + 1) * sizeof(*row));
	size_t count = 0, h = 0;

	if (!row)
		return change_no_memory(c);
	for (size_t i = 0; i < ops; i++) {
		const struct ccn_source *r = (const void *)op[i].record;
		int order = -1;

		while (held && h < held->count &&
		       (order = source_compare(&held->row[h].record, r)) < 0)
			row[count++] = &held->row[h++].record;
		bool there = (held && h < held->count && order == 0) ||
			     (count > 0 && source_compare(row[count - 1], r) == 0);

		if (held && h < held->count && order == 0)
			h++;
		else if (there)
			count--; /* an earlier operation on the same key */
		if (op[i].remove && !there) {
			free(row);
			return change_refuse(c, CCN_NAK_RECORD, op[i].index,
					     "source in CCSI %u: does not exist", id);
		}
		if (!op[i].remove)
			row[count++] = r;
	}
	while (held && h < held->count)
		row[count++] = &held->row[h++].record;
	*made = count ? source_table_build(row, count) : NULL;
	free(row);
	return count && !*made ? change_no_memory(c) : 0;
}

static bool is_staged(const struct change *c, uint32_t id)
{
	for (size_t i = 0; i < c->staged_source_count; i++)
		if (c->staged_sources[i].ccsi == id)
			return true;
	return false;
}

int settle_sources(struct change *c)
{
	qsort(c->sources.op, c->sources.count, sizeof(*c->sources.op), compare_ops);
	c->staged_sources =
	    calloc(c->sources.count + c->routes.ccsi_count + 1, sizeof(*c->staged_sources));
	if (!c->staged_sources)
		return change_no_memory(c);
	for (size_t first = 0, end; first < c->sources.count; first = end) {
		const struct op *op = &c->sources.op[first];
		const uint32_t id = ((const struct ccn_source *)op->record)->ccsi;
		struct source_table *made = NULL;

		for (end = first; end < c->sources.count; end++)
			if (((const struct ccn_source *)c->sources.op[end].record)->ccsi != id)
				break;
		if (merge(c, id, op, end - first, &made) < 0)
			return -1;
		c->staged_sources[c->staged_source_count++] =
		    (struct staged_source){.ccsi = id, .table = made};
	}
	for (size_t i = 0; i < c->routes.ccsi_count; i++) {
		const uint32_t id = c->routes.ccsis[i];

		if (c->fib->ccsi[id]->emptied && c->fib->sources[id] && !is_staged(c, id))
			c->staged_sources[c->staged_source_count++] =
			    (struct staged_source){.ccsi = id};
	}
	return 0;
}

void publish_sources(struct change *c)
{
	struct fib *fib = c->fib;

	for (size_t i = 0; i < c->staged_source_count; i++) {
		struct staged_source *s = &c->staged_sources[i];
		struct source_table *old = fib->sources[s->ccsi];

		__atomic_store_n(&fib->sources[s->ccsi], s->table, __ATOMIC_RELEASE);
		s->table = old;
	}
	for (size_t i = 0; i < c->routes.ccsi_count; i++) {
		const uint32_t id = c->routes.ccsis[i];
		const struct ccsi *ccsi = fib->ccsi[id];

		__atomic_store_n(&fib->source_open[id],
				 ccsi->after && (ccsi->staged_record.flags & CCN_SOURCE_OPEN),
				 __ATOMIC_RELAXED);
	}
}

void clean_sources(struct change *c)
{
	for (size_t i = 0; i < c->staged_source_count; i++)
		source_table_free(c->staged_sources[i].table);
	free(c->staged_sources);
	free(c->sources.op);
}
