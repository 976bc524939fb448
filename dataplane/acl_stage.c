/* SPDX-License-Identifier: Apache-2.0
 * From records of access lists to staged rule sets.
 */
#include "acl_stage.h"

#include <stdlib.h>
#include <string.h>

#include "acl.h"

int acl_stage_init(struct acl_stage *stage, size_t rules)
{
	stage->op = malloc((rules + 1) * sizeof(*stage->op));
	return stage->op ? 0 : -1;
}

void acl_stage_add(struct acl_stage *stage, const struct ccn_acl_rule *rule, bool remove,
		   uint32_t index)
{
	stage->op[stage->count++] = (struct acl_op){.rule = rule, .index = index, .remove = remove};
}

static int compare(const void *a, const void *b)
{
	const struct acl_op *x = a, *y = b;

	if (x->rule->ccsi != y->rule->ccsi)
		return x->rule->ccsi < y->rule->ccsi ? -1 : 1;
	if (x->rule->sequence != y->rule->sequence)
		return x->rule->sequence < y->rule->sequence ? -1 : 1;
	/* records lie in the transaction in the order in which they came */
	return x->rule < y->rule ? -1 : 1;
}

/* The rows of one CCSI after its operations; NULL: none are left, or `fault`. */
static struct ccn_acl_rule *merge(const struct acl *held, const struct acl_op *op, size_t ops,
				  uint32_t *count, uint32_t *index, const char **fault)
{
	const uint32_t had = held ? held->row_count : 0;
	struct ccn_acl_rule *rows = malloc((had + ops + 1) * sizeof(*rows));
	uint32_t i = 0, n = 0;

	*index = UINT32_MAX;
	*fault = rows ? NULL : "out of memory; nothing was changed";
	for (size_t j = 0; rows && j < ops; j++) {
		const uint32_t sequence = op[j].rule->sequence;
		bool exists;

		while (i < had && held->row[i].sequence < sequence)
			rows[n++] = held->row[i++];
		exists = i < had && held->row[i].sequence == sequence;
		i += exists;
		*index = op[j].index;
		if (op[j].remove && !exists) {
			*fault = "ACL rule: the one to remove does not exist";
			break;
		}
		/* of several records for one row the last counts */
		while (j + 1 < ops && op[j + 1].rule->sequence == sequence)
			j++;
		if (op[j].remove)
			continue;
		rows[n] = *op[j].rule;
		rows[n++].ccsi = 0;
	}
	if (*fault) {
		free(rows);
		return NULL;
	}
	while (i < had)
		rows[n++] = held->row[i++];
	*count = n;
	return rows;
}

static bool same(const struct acl *acl, const struct ccn_acl_rule *rows, uint32_t count)
{
	return acl && acl->row_count == count && !memcmp(acl->row, rows, count * sizeof(*rows));
}

static const char *build_one(struct fib *fib, struct ccsi *ccsi, const struct acl_op *op,
			     size_t ops, uint32_t *index)
{
	const struct ccsi_acl *live = fib->acl[op->rule->ccsi];
	/* rows cleared before start from nothing */
	const struct acl *held = live && !ccsi->acl_touched ? live->acl : NULL;
	const char *fault;
	bool memory = false;
	uint32_t count = 0;
	struct ccn_acl_rule *rows = merge(held, op, ops, &count, index, &fault);

	if (fault)
		return fault;
	if (same(held, rows, count)) { /* and what it has counted stays where it is */
		free(rows);
		return NULL;
	}
	ccsi->acl_touched = true;
	if (count > 0)
		ccsi->staged_acl = ccsi_acl_make(rows, count, &fault, &memory);
	free(rows);
	if (memory)
		*index = UINT32_MAX;
	return fault;
}

const char *acl_stage_build(struct acl_stage *stage, struct route_stage *touched, struct fib *fib,
			    uint32_t *index)
{
	qsort(stage->op, stage->count, sizeof(*stage->op), compare);
	for (size_t first = 0, end; first < stage->count; first = end) {
		const uint32_t id = stage->op[first].rule->ccsi;
		struct ccsi *ccsi = route_stage_touch(touched, fib, id);
		const char *fault;

		for (end = first; end < stage->count; end++)
			if (stage->op[end].rule->ccsi != id)
				break;
		*index = UINT32_MAX;
		if (!ccsi)
			return "out of memory; nothing was changed";
		fault = build_one(fib, ccsi, &stage->op[first], end - first, index);
		if (fault)
			return fault;
	}
	return NULL;
}

void acl_stage_publish(const struct route_stage *touched, struct fib *fib, bool stay)
{
	for (size_t i = 0; i < touched->ccsi_count; i++) {
		const uint32_t id = touched->ccsis[i];
		struct ccsi *ccsi = fib->ccsi[id];
		struct ccsi_acl *old = fib->acl[id];

		if (!ccsi->acl_touched || ccsi->after != stay)
			continue;
		__atomic_store_n(&fib->acl[id], ccsi->staged_acl, __ATOMIC_RELEASE);
		__atomic_store_n(&fib->acls, fib->acls + (ccsi->staged_acl != NULL) - (old != NULL),
				 __ATOMIC_RELEASE);
		ccsi->staged_acl = old;
	}
}

void acl_stage_clean(struct acl_stage *stage, const struct route_stage *touched, struct fib *fib,
		     bool published)
{
	for (size_t i = 0; i < touched->ccsi_count; i++) {
		struct ccsi *ccsi = fib->ccsi[touched->ccsis[i]];

		if (published && ccsi->acl_touched)
			ccsi_acl_take_over(fib->acl[touched->ccsis[i]], ccsi->staged_acl);
		ccsi_acl_free(ccsi->staged_acl);
		ccsi->staged_acl = NULL;
		ccsi->acl_touched = false;
	}
	free(stage->op);
}

void acls_take_over(struct fib *fib, const struct fib *old)
{
	for (unsigned i = 0; old && i < MAX_CCSIS; i++)
		ccsi_acl_take_over(fib->acl[i], old->acl[i]);
}
