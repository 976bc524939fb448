/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking a burst of addresses up, three times over: with AVX-512, AVX2, and for any CPU. What runs
 * is chosen at run time, since users build on one machine and run on another.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <immintrin.h>

#include "lpm_layout.h"

/* What a table without prefixes leads to: one leaf, of both widths. */
static const struct {
	uint32_t word[16];
} __attribute__((aligned(64))) nothing = {.word = {[7] = INT32_MAX,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE,
						   LPM_NONE}};

static inline const uint8_t *block_of(lpm_ref ref)
{
	return (const uint8_t *)(uintptr_t)(ref & ((1ULL << LPM_MASK_AT) - 1 - LPM_KIND));
}

/* What a reference leads to for this key: the entry of a split directory, else its first line (a
 * reference to which has neither shift nor mask). */
static inline const uint8_t *target(lpm_ref ref, uint64_t key)
{
	const uint64_t mask = (ref >> LPM_MASK_AT) & ((1U << (LPM_SHIFT_AT - LPM_MASK_AT)) - 1);

	return block_of(ref) + ((key >> (ref >> LPM_SHIFT_AT)) & mask) * sizeof(lpm_ref);
}

static inline uint64_t load64(const uint8_t *octets)
{
	uint64_t word;

	memcpy(&word, octets, 8);
	return __builtin_bswap64(word);
}

static inline lpm_ref entry_reference(lpm_ref table)
{
	return table ? table : ((lpm_ref)(uintptr_t)&nothing | 1);
}

/* One directory further, if it is one; the kind of what is there. */
static inline uint32_t descend(lpm_ref *ref, uint64_t key)
{
	const uint32_t kind = *ref & LPM_KIND;

	if (kind == LPM_SPLIT) {
		*ref = *(const lpm_ref *)target(*ref, key);
	} else if (kind == LPM_WINDOW) {
		const struct lpm_window *w = (const void *)block_of(*ref);
		const uint64_t at = (key - w->first) >> w->shift;

		*ref = w->entry[at < w->size ? at : w->size];
	} else {
		return kind;
	}
	__builtin_prefetch(target(*ref, key));
	return *ref & LPM_KIND;
}

/* --- any CPU --- */

static inline uint32_t above32_scalar(const int32_t *line, uint32_t key, unsigned skip)
{
	uint32_t n = 0;

	for (unsigned i = skip; i < 16; i++)
		n += line[i] < (int32_t)key;
	return n;
}

static inline uint32_t above32_leaf_scalar(const int32_t *line, uint32_t key)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 7; i++)
		n += line[i] < (int32_t)key;
	return n;
}

static inline uint32_t above64_scalar(const int64_t *line, uint64_t key, unsigned skip)
{
	uint32_t n = 0;

	for (unsigned i = skip; i < 8; i++)
		n += line[i] < (int64_t)key;
	return n;
}

static inline uint32_t above64_leaf_scalar(const int64_t *line, uint64_t key)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < 5; i++)
		n += line[i] < (int64_t)key;
	return n;
}

#define TARGET
#define NAME(x) x##_scalar
#include "lpm_walk.h"
#undef TARGET
#undef NAME

/* --- AVX2 --- */

#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define NAME(x) x##_avx2

static inline TARGET uint32_t above32_avx2(const int32_t *line, uint32_t key, unsigned skip)
{
	const __m256i x = _mm256_set1_epi32((int)key);
	const __m256i low = _mm256_cmpgt_epi32(x, _mm256_load_si256((const __m256i *)line));
	const __m256i high = _mm256_cmpgt_epi32(x, _mm256_load_si256((const __m256i *)(line + 8)));
	uint32_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(low)) |
			(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(high)) << 8;

	return (uint32_t)__builtin_popcount(mask >> skip);
}

static inline TARGET uint32_t above32_leaf_avx2(const int32_t *line, uint32_t key)
{
	const __m256i x = _mm256_set1_epi32((int)key);
	const __m256i low = _mm256_cmpgt_epi32(x, _mm256_load_si256((const __m256i *)line));

	/* its eighth key is padding */
	return (uint32_t)__builtin_popcount((uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(low)));
}

static inline TARGET uint32_t mask64_avx2(const int64_t *line, uint64_t key)
{
	const __m256i x = _mm256_set1_epi64x((long long)key);
	const __m256i low = _mm256_cmpgt_epi64(x, _mm256_load_si256((const __m256i *)line));
	const __m256i high = _mm256_cmpgt_epi64(x, _mm256_load_si256((const __m256i *)(line + 4)));

	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(low)) |
	       (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4;
}

static inline TARGET uint32_t above64_avx2(const int64_t *line, uint64_t key, unsigned skip)
{
	return (uint32_t)__builtin_popcount(mask64_avx2(line, key) >> skip);
}

static inline TARGET uint32_t above64_leaf_avx2(const int64_t *line, uint64_t key)
{
	return (uint32_t)__builtin_popcount(mask64_avx2(line, key) & 0x1f);
}

#include "lpm_walk.h"
#undef TARGET
#undef NAME

/* --- AVX-512 --- */

#define TARGET __attribute__((target("avx512f,avx512vl,bmi,bmi2,popcnt")))
#define NAME(x) x##_avx512

static inline TARGET uint32_t above32_avx512(const int32_t *line, uint32_t key, unsigned skip)
{
	const __m512i x = _mm512_set1_epi32((int)key);
	const uint32_t mask = _mm512_cmpgt_epi32_mask(x, _mm512_load_si512(line));

	return (uint32_t)__builtin_popcount(mask >> skip);
}

static inline TARGET uint32_t above32_leaf_avx512(const int32_t *line, uint32_t key)
{
	const __m256i x = _mm256_set1_epi32((int)key);
	const uint32_t mask = _mm256_cmpgt_epi32_mask(x, _mm256_load_si256((const __m256i *)line));

	return (uint32_t)__builtin_popcount(mask);
}

static inline TARGET uint32_t above64_avx512(const int64_t *line, uint64_t key, unsigned skip)
{
	const __m512i x = _mm512_set1_epi64((long long)key);
	const uint32_t mask = _mm512_cmpgt_epi64_mask(x, _mm512_load_si512(line));

	return (uint32_t)__builtin_popcount(mask >> skip);
}

static inline TARGET uint32_t above64_leaf_avx512(const int64_t *line, uint64_t key)
{
	const __m512i x = _mm512_set1_epi64((long long)key);
	const uint32_t mask = _mm512_cmpgt_epi64_mask(x, _mm512_load_si512(line));

	return (uint32_t)__builtin_popcount(mask & 0x1f);
}

#include "lpm_walk.h"
#undef TARGET
#undef NAME

/* --- choosing --- */

lpm_burst4_fn lpm_lookup_burst4 = walk32_scalar;
lpm_burst6_fn lpm_lookup_burst6 = walk128_scalar;

static const struct variant {
	const char *name;
	lpm_burst4_fn burst4;
	lpm_burst6_fn burst6;
} variants[] = {
    {"avx512", walk32_avx512, walk128_avx512},
    {"avx2", walk32_avx2, walk128_avx2},
    {"scalar", walk32_scalar, walk128_scalar},
};

static bool can_run(const struct variant *v)
{
	if (v == &variants[0])
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
		       __builtin_cpu_supports("bmi2");
	return v == &variants[2] ||
	       (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"));
}

static bool use(const struct variant *v)
{
	if (!can_run(v))
		return false;
	lpm_lookup_burst4 = v->burst4;
	lpm_lookup_burst6 = v->burst6;
	return true;
}

bool lpm_use(const char *name)
{
	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(variants[i].name, name))
			return use(&variants[i]);
	return false;
}

const char *lpm_variant(void)
{
	for (unsigned i = 0; i < 3; i++)
		if (variants[i].burst4 == lpm_lookup_burst4)
			return variants[i].name;
	return "";
}

__attribute__((constructor)) static void choose(void)
{
	const char *wanted = getenv("CCN_LPM");

	__builtin_cpu_init();
	if (wanted && lpm_use(wanted))
		return;
	for (unsigned i = 0; i < 3; i++)
		if (use(&variants[i]))
			return;
}
