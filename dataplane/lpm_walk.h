/* SPDX-License-Identifier: Apache-2.0
 *
 * The look-up, included by lpm_lookup.c once for each instruction set: TARGET is the attribute,
 * NAME(x) the name of its function, and above32, above64 count the separators of a line that a key
 * is above (the first `skip` are none). A burst goes down level by level, so that its cache misses
 * overlap; blocks of fewer levels wait in their leaf, without a branch.
 */

static TARGET void NAME(walk32)(const lpm_ref *tables, const uint32_t *addresses, uint32_t *values,
				unsigned count)
{
	const uint8_t *line[LPM_BURST];
	lpm_ref ref[LPM_BURST];
	uint32_t kinds = 0, child[LPM_BURST];

	for (unsigned i = 0; i < count; i++) {
		ref[i] = entry_reference(tables[i]);
		kinds |= 1U << (ref[i] & LPM_KIND);
		__builtin_prefetch(target(ref[i], addresses[i]));
	}
	while (kinds >> LPM_WINDOW) {
		kinds = 0;
		for (unsigned i = 0; i < count; i++)
			kinds |= 1U << descend(&ref[i], addresses[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *block = block_of(ref[i]);
		const uint32_t n =
		    NAME(above32)((const int32_t *)block, addresses[i] ^ 0x80000000U, 1);

		child[i] = n;
		line[i] = (ref[i] & LPM_KIND) > 1 ? block + (1 + n) * LINE : block;
		__builtin_prefetch(line[i]);
	}
	for (unsigned i = 0; kinds & 1U << 3 && i < count; i++) {
		const uint8_t *block = block_of(ref[i]);
		const uint32_t n =
		    NAME(above32)((const int32_t *)line[i], addresses[i] ^ 0x80000000U, 0);
		const uint8_t *leaf =
		    block + (*(const uint16_t *)block + child[i] * 17 + n) * (size_t)LINE;

		line[i] = (ref[i] & LPM_KIND) == 3 ? leaf : line[i];
		__builtin_prefetch(line[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		const uint32_t *leaf = (const uint32_t *)line[i];

		values[i] =
		    leaf[8 + NAME(above32_leaf)((const int32_t *)leaf, addresses[i] ^ 0x80000000U)];
	}
}

/* `blocks`: where the value of each was found. */
static TARGET void NAME(walk64)(const lpm_ref *tables, const uint64_t *keys, uint32_t *values,
				const uint8_t **blocks, unsigned count)
{
	const uint8_t *line[LPM_BURST];
	lpm_ref ref[LPM_BURST];
	uint32_t kinds = 0, child[LPM_BURST];

	for (unsigned i = 0; i < count; i++) {
		ref[i] = entry_reference(tables[i]);
		kinds |= 1U << (ref[i] & LPM_KIND);
		__builtin_prefetch(target(ref[i], keys[i]));
	}
	while (kinds >> LPM_WINDOW) {
		kinds = 0;
		for (unsigned i = 0; i < count; i++)
			kinds |= 1U << descend(&ref[i], keys[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *block = block_of(ref[i]);
		const uint32_t n = NAME(above64)((const int64_t *)block, keys[i] ^ 1ULL << 63, 1);

		blocks[i] = block;
		child[i] = n;
		line[i] = (ref[i] & LPM_KIND) > 1 ? block + (1 + n) * LINE : block;
		__builtin_prefetch(line[i]);
	}
	for (unsigned level = 3; level <= 4; level++) {
		if (!(kinds >> level)) /* nothing but blocks is left */
			continue;
		for (unsigned i = 0; i < count; i++) {
			const uint32_t *offset = (const uint32_t *)blocks[i];
			const uint32_t n = child[i] * 9 + NAME(above64)((const int64_t *)line[i],
									keys[i] ^ 1ULL << 63, 0);
			const bool further = (ref[i] & LPM_KIND) >= level;
			const uint8_t *next = blocks[i] + (offset[level - 3] + n) * (size_t)LINE;

			child[i] = further ? n : child[i];
			line[i] = further ? next : line[i];
			__builtin_prefetch(line[i]);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		const uint32_t n =
		    NAME(above64_leaf)((const int64_t *)line[i], keys[i] ^ 1ULL << 63);

		values[i] = ((const uint32_t *)line[i])[10 + n];
	}
}

static TARGET void NAME(walk128)(const lpm_ref *tables, const uint8_t (*addresses)[16],
				 uint32_t *values, unsigned count)
{
	const uint8_t *block[LPM_BURST];
	uint64_t key[LPM_BURST];
	lpm_ref ref[LPM_BURST];
	uint32_t lower[LPM_BURST];
	uint8_t of[LPM_BURST];
	unsigned n = 0;

	if (count == 0)
		return;
	for (unsigned i = 0; i < count; i++)
		key[i] = load64(addresses[i]);
	NAME(walk64)(tables, key, values, block, count);
	for (unsigned i = 0; i < count; i++) {
		if (values[i] < LPM_LOWER || values[i] == LPM_NONE)
			continue;
		ref[n] = *((const lpm_ref *)block[i] - 1 - (values[i] ^ LPM_LOWER));
		key[n] = load64(addresses[i] + 8);
		of[n++] = (uint8_t)i;
	}
	if (n == 0)
		return;
	NAME(walk64)(ref, key, lower, block, n);
	for (unsigned i = 0; i < n; i++)
		values[of[i]] = lower[i];
}
