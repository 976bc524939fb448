/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted prefixes and operations on them, before they are in a table and after: merged, counted,
 * listed.
 */
#include <stdlib.h>
#include <string.h>

#include "lpm_tree.h"

void *lpm_new_ops(struct lpm_change *change, enum lpm_stage stage, size_t count)
{
	void *made = change->failed ? NULL : malloc((count + 1) * op_size(stage));

	change->failed |= !made;
	return made;
}

/* --- counting --- */

static void count_older(struct lpm_change *change, struct lpm_count count)
{
	struct lpm_tally *t = &change->tally;

	if (t->older_count == t->capacity) {
		const size_t capacity = t->capacity * 2 + 64;
		struct lpm_count *grown = realloc(t->older, capacity * sizeof(*grown));

		if (!grown) {
			change->failed = true;
			return;
		}
		t->older = grown;
		t->capacity = capacity;
	}
	t->older[t->older_count++] = count;
}

void lpm_tally(struct lpm_change *change, uint32_t next_hop, int32_t more)
{
	struct lpm_count *recent = &change->tally.recent[next_hop % LPM_RECENT];

	if (recent->next_hop != next_hop) {
		if (recent->more != 0)
			count_older(change, *recent);
		*recent = (struct lpm_count){.next_hop = next_hop};
	}
	recent->more += more;
}

void lpm_tally_each(const struct lpm_tally *tally,
		    void (*count)(void *context, uint32_t next_hop, int32_t more), void *context)
{
	for (unsigned i = 0; i < LPM_RECENT; i++)
		if (tally->recent[i].more != 0)
			count(context, tally->recent[i].next_hop, tally->recent[i].more);
	for (size_t i = 0; i < tally->older_count; i++)
		count(context, tally->older[i].next_hop, tally->older[i].more);
}

void lpm_tally_free(struct lpm_tally *tally)
{
	free(tally->older);
	*tally = (struct lpm_tally){0};
}

/* --- merging --- */

static void note_absent(struct lpm_change *change, int family, uint64_t high, uint64_t low,
			unsigned length)
{
	if (family == 4)
		high <<= 32;
	high = __builtin_bswap64(high);
	low = __builtin_bswap64(low);
	memcpy(change->wanted.address, &high, 8);
	memcpy(change->wanted.address + 8, &low, 8);
	change->wanted.length = (uint8_t)length;
	change->failed = change->absent = true;
}

static size_t merge4(struct lpm_change *change, const lpm_op4 *held, size_t count,
		     const lpm_op4 *op, size_t ops, lpm_op4 *out, bool *other)
{
	size_t i = 0, n = 0;

	for (size_t j = 0; j < ops; j++) {
		const lpm_op4 o = op[j], key = o >> LENGTH_AT;
		const unsigned flags = o >> NEXT_HOP_BITS & 3;
		bool there;

		while (i < count && held[i] >> LENGTH_AT < key)
			out[n++] = held[i++];
		there = i < count && held[i] >> LENGTH_AT == key;
		if (!there && flags & LPM_MUST) {
			note_absent(change, 4, o >> 32, 0, key & 63);
			return 0;
		}
		if (there && !(flags & LPM_REMOVE) && !((o ^ held[i]) & NEXT_HOP_MASK)) {
			out[n++] = held[i++];
			continue;
		}
		*other |= there || !(flags & LPM_REMOVE);
		if (there)
			lpm_tally(change, held[i++] & NEXT_HOP_MASK, -1);
		if (!(flags & LPM_REMOVE)) {
			lpm_tally(change, o & NEXT_HOP_MASK, 1);
			out[n++] = o & ~((lpm_op4)3 << NEXT_HOP_BITS);
		}
	}
	if (i < count)
		memcpy(out + n, held + i, (count - i) * sizeof(*out));
	return n + count - i;
}

static size_t merge6(struct lpm_change *change, const struct lpm_op6 *held, size_t count,
		     const struct lpm_op6 *op, size_t ops, struct lpm_op6 *out, bool *other)
{
	size_t i = 0, n = 0;

	for (size_t j = 0; j < ops; j++) {
		int order = -1;

		while (i < count && (order = lpm_op6_compare(&held[i], &op[j])) < 0)
			out[n++] = held[i++];
		const bool there = i < count && order == 0;

		if (!there && op[j].flags & LPM_MUST) {
			note_absent(change, 6, op[j].high, op[j].low, op[j].length);
			return 0;
		}
		*other |= there || !(op[j].flags & LPM_REMOVE);
		if (there)
			lpm_tally(change, held[i++].next_hop, -1);
		if (!(op[j].flags & LPM_REMOVE)) {
			lpm_tally(change, op[j].next_hop, 1);
			out[n] = op[j];
			out[n++].flags = 0;
		}
	}
	if (i < count)
		memcpy(out + n, held + i, (count - i) * sizeof(*out));
	return n + count - i;
}

size_t lpm_merge(struct lpm_change *change, enum lpm_stage stage, const void *held, size_t count,
		 const void *ops, size_t op_count, void *out, bool *other)
{
	return stage == STAGE_IPV4 ? merge4(change, held, count, ops, op_count, out, other)
				   : merge6(change, held, count, ops, op_count, out, other);
}

/* --- listing --- */

void lpm_expand(const struct lpm_table *t, uint64_t upper, void *out)
{
	struct lpm_op6 *op = out;

	if (t->stage == STAGE_IPV4) {
		memcpy(out, rows_of(t), t->count * sizeof(lpm_op4));
		return;
	}
	for (size_t i = 0; i < t->count; i++) {
		const struct row row = row_at(t->stage, rows_of(t), i);
		const bool low = t->stage == STAGE_LOWER;

		op[i] = (struct lpm_op6){.high = low ? upper : row.key,
					 .low = low ? row.key : 0,
					 .next_hop = row.next_hop,
					 .length = (uint8_t)(row.length + (low ? 64 : 0))};
	}
}

static bool is_before(enum lpm_stage stage, const void *a, const void *b)
{
	return stage == STAGE_IPV4 ? *(const lpm_op4 *)a < *(const lpm_op4 *)b
				   : lpm_op6_compare(a, b) < 0;
}

/* Two sorted runs, one behind the other, become one. */
static void join(struct lpm_change *change, enum lpm_stage stage, void *run, size_t first,
		 size_t second)
{
	const size_t size = op_size(stage);
	uint8_t *const at = run;
	uint8_t *copy;

	if (first == 0 || second == 0 ||
	    is_before(stage, at + (first - 1) * size, at + first * size))
		return;
	copy = lpm_new_ops(change, stage, second);
	if (!copy)
		return;
	memcpy(copy, at + first * size, second * size);
	while (second > 0) {
		const bool from_first = first > 0 && is_before(stage, copy + (second - 1) * size,
							       at + (first - 1) * size);
		uint8_t *const to = at + (first + second - 1) * size;

		if (from_first)
			memcpy(to, at + --first * size, size);
		else
			memcpy(to, copy + --second * size, size);
	}
	free(copy);
}

size_t lpm_flatten(struct lpm_change *change, const struct lpm_table *t, uint64_t upper, void *out)
{
	const size_t size = op_size(t->stage);
	uint8_t *const at = out;
	size_t n = 0, outside;

	for (size_t i = 0; t->directory && i < (size_t)1 << t->bits; i++)
		n += lpm_flatten(change, t->part[i], upper, at + n * size);
	for (size_t i = 0; i < t->lower_count; i++)
		n += lpm_flatten(change, t->lower[i].table, t->lower[i].upper, at + n * size);
	lpm_expand(t, upper, at + n * size);
	join(change, t->stage, out, n, t->count);
	n += t->count;
	if (!t->directory)
		return n;
	outside = lpm_flatten(change, t->part[(size_t)1 << t->bits], upper, at + n * size);
	join(change, t->stage, out, n, outside);
	return n + outside;
}

bool lpm_list_all(const struct lpm_table *t, struct lpm_prefix *out)
{
	struct lpm_change change = {0};
	const enum lpm_stage stage = t ? t->stage : STAGE_IPV4;
	void *ops = t ? lpm_new_ops(&change, stage, t->total) : NULL;
	size_t count = 0;

	if (ops)
		count = lpm_flatten(&change, t, 0, ops);
	for (size_t i = 0; !change.failed && i < count; i++) {
		const struct lpm_op6 *op = (const struct lpm_op6 *)ops + i;
		const bool v4 = stage == STAGE_IPV4;
		const uint64_t high =
		    __builtin_bswap64(v4 ? op_key(stage, ops, i) << 32 : op->high);
		const uint64_t low = v4 ? 0 : __builtin_bswap64(op->low);

		out[i] = (struct lpm_prefix){
		    .next_hop = op_next_hop(stage, ops, i),
		    .length = (uint8_t)(v4 ? op_length(stage, ops, i) : op->length)};
		memcpy(out[i].address, &high, 8);
		memcpy(out[i].address + 8, &low, 8);
	}
	free(ops);
	return !change.failed;
}
