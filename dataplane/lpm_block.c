/* SPDX-License-Identifier: Apache-2.0
 * Writes a block: sorted intervals into lines of keys, from the leaves up. See lpm_layout.h.
 */
#include <string.h>

#include "lpm_layout.h"

struct shape {
	unsigned leaf;	/* values of a leaf line */
	unsigned inner; /* children of an inner line */
	unsigned root;	/* children of the root */
};

static const struct shape narrow = {.leaf = 8, .inner = 17, .root = 16};
static const struct shape wide = {.leaf = 6, .inner = 9, .root = 8};

static const struct shape *shape_of(enum lpm_stage stage)
{
	return stage == STAGE_IPV4 ? &narrow : &wide;
}

/* Lines of each level, leaves first; returns the levels. The last is the root, one line. */
static unsigned levels(const struct shape *shape, size_t intervals, size_t lines[4])
{
	unsigned depth = 1;

	lines[0] = (intervals + shape->leaf - 1) / shape->leaf;
	if (lines[0] == 1)
		return 1;
	while (lines[depth - 1] > shape->root) {
		lines[depth] = (lines[depth - 1] + shape->inner - 1) / shape->inner;
		depth++;
	}
	lines[depth] = 1;
	return depth + 1;
}

size_t lpm_block_lines(enum lpm_stage stage, size_t intervals)
{
	size_t lines[4], total = 0;
	const unsigned depth = levels(shape_of(stage), intervals, lines);

	for (unsigned i = 0; i < depth; i++)
		total += lines[i];
	return total;
}

/* The separator before `start`; `last`: there is nothing right of it. */
static void put_key(enum lpm_stage stage, uint8_t *line, unsigned at, bool last, uint64_t start)
{
	if (stage == STAGE_IPV4) {
		const int32_t key =
		    last ? INT32_MAX : (int32_t)(((uint32_t)start - 1) ^ 0x80000000U);

		memcpy(line + at * 4, &key, 4);
	} else {
		const int64_t key = last ? INT64_MAX : (int64_t)((start - 1) ^ 1ULL << 63);

		memcpy(line + at * 8, &key, 8);
	}
}

lpm_ref lpm_block_write(enum lpm_stage stage, void *memory, const struct interval *intervals,
			size_t count)
{
	const struct shape *shape = shape_of(stage);
	uint8_t *const block = memory;
	size_t lines[4], first[4], reach[4]; /* of each level: where, intervals under a line */
	const unsigned depth = levels(shape, count, lines);

	first[depth - 1] = 0;
	for (unsigned i = depth - 1; i-- > 0;)
		first[i] = first[i + 1] + lines[i + 1];
	reach[0] = shape->leaf;
	for (unsigned i = 1; i < depth; i++)
		reach[i] = reach[i - 1] * shape->inner;
	for (size_t n = 0; n < lines[0]; n++) {
		uint8_t *line = block + (first[0] + n) * LINE;
		const size_t at = n * shape->leaf;

		for (unsigned i = 0; i < shape->leaf; i++) {
			const size_t right = at + i + 1 < count ? at + i + 1 : 0;
			const size_t held = at + i < count ? at + i : count - 1;
			const size_t values = stage == STAGE_IPV4 ? 32 : 40;

			if (i + 1 < shape->leaf || stage == STAGE_IPV4)
				put_key(stage, line, i, right == 0 || i + 1 == shape->leaf,
					intervals[right].start);
			memcpy(line + values + i * 4, &intervals[held].value, 4);
		}
	}
	for (unsigned level = 1; level < depth; level++) {
		const bool root = level == depth - 1;
		const unsigned keys = root ? shape->root - 1 : shape->inner - 1;

		for (size_t n = 0; n < lines[level]; n++) {
			uint8_t *line = block + (first[level] + n) * LINE;

			for (unsigned i = 0; i < keys; i++) {
				const size_t right = n * reach[level] + (i + 1) * reach[level - 1];

				put_key(stage, line, i + root, right >= count,
					right < count ? intervals[right].start : 0);
			}
		}
	}
	if (depth > 1) {
		uint16_t offset4[2] = {0};
		uint32_t offset6[2] = {0};

		for (unsigned i = 0; i + 2 < depth; i++) {
			offset6[i] = (uint32_t)first[depth - 3 - i];
			offset4[i] = (uint16_t)first[depth - 3 - i];
		}
		if (stage == STAGE_IPV4)
			memcpy(block, offset4, sizeof(offset4));
		else
			memcpy(block, offset6, sizeof(offset6));
	}
	return (lpm_ref)(uintptr_t)block | depth;
}
