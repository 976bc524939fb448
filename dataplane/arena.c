/* SPDX-License-Identifier: Apache-2.0
 *
 * Free pieces are kept by size, in steps of an eighth from 16 lines up, and used again for that
 * size; what is larger than 64 KiB comes from the kernel and goes back.
 */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

#include <sys/mman.h>

#define REGION (2UL << 20)
#define LARGEST 1024U /* lines of a piece of a region */
#define CLASSES 80

struct piece {
	struct piece *next;
};

static struct state {
	struct piece *free[CLASSES];
	uint8_t *at, *end; /* of the newest region */
	size_t lines;	   /* in use */
} arenas[ARENA_COUNT];

void *arena_map(size_t size)
{
	const size_t whole = (size + 4095) / 4096 * 4096;
	uint8_t *memory;

	if (whole < REGION) {
		memory =
		    mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return memory == MAP_FAILED ? NULL : memory;
	}
	/* more than needed, and of that the part that begins where a huge page does */
	memory =
	    mmap(NULL, whole + REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	const size_t before = (REGION - (uintptr_t)memory % REGION) % REGION;

	if (before > 0)
		munmap(memory, before);
	munmap(memory + before + whole, REGION - before);
	madvise(memory + before, whole, MADV_HUGEPAGE); /* a wish: without it all works, slower */
	return memory + before;
}

void *arena_map_more(void *memory, size_t size, size_t wanted)
{
	uint8_t *grown = arena_map(wanted);

	if (!grown)
		return NULL;
	if (mremap(memory, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, grown) == MAP_FAILED) {
		arena_unmap(grown, wanted);
		return NULL;
	}
	return grown;
}

void arena_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, (size + 4095) / 4096 * 4096);
}

void *arena_scratch(size_t size)
{
	return size < REGION ? malloc(size) : arena_map(size);
}

void arena_scratch_free(void *memory, size_t size)
{
	if (size < REGION)
		free(memory);
	else
		arena_unmap(memory, size);
}

#if defined(__SANITIZE_ADDRESS__) || defined(CCN_PLAIN_ARENA)
/* Each piece by itself, so that the sanitizer sees its ends. */
void *arena_alloc(enum arena arena, size_t lines)
{
	void *memory = aligned_alloc(ARENA_LINE, lines * ARENA_LINE);

	if (memory)
		arenas[arena].lines += lines;
	return memory;
}

void arena_free(enum arena arena, void *memory, size_t lines)
{
	if (memory)
		arenas[arena].lines -= lines;
	free(memory);
}
#else
/* `*rounded`: what a piece of the class has. */
static unsigned class_of(size_t lines, size_t *rounded)
{
	if (lines <= 16) {
		*rounded = lines;
		return (unsigned)lines;
	}
	const unsigned shift = 63U - (unsigned)__builtin_clzl(lines - 1) - 3U; /* of a step */
	const size_t steps = (lines + (1UL << shift) - 1) >> shift;	       /* 9..16 */

	*rounded = steps << shift;
	return 8 + shift * 8 + (unsigned)steps - 8;
}

void *arena_alloc(enum arena arena, size_t lines)
{
	struct state *const a = &arenas[arena];
	size_t rounded;
	unsigned class;
	struct piece *piece;

	if (lines > LARGEST) {
		piece = arena_map(lines * ARENA_LINE);
		a->lines += piece ? lines : 0;
		return piece;
	}
	class = class_of(lines, &rounded);
	piece = a->free[class];
	if (piece) {
		a->free[class] = piece->next;
	} else {
		if ((size_t)(a->end - a->at) < rounded * ARENA_LINE) {
			uint8_t *region = arena_map(REGION);

			if (!region)
				return NULL;
			a->at = region;
			a->end = region + REGION;
		}
		piece = (void *)a->at;
		a->at += rounded * ARENA_LINE;
	}
	a->lines += lines;
	return piece;
}

void arena_free(enum arena arena, void *memory, size_t lines)
{
	struct state *const a = &arenas[arena];
	struct piece *piece = memory;
	size_t rounded;

	if (!memory)
		return;
	a->lines -= lines;
	if (lines > LARGEST) {
		arena_unmap(memory, lines * ARENA_LINE);
		return;
	}
	const unsigned class = class_of(lines, &rounded);

	piece->next = a->free[class];
	a->free[class] = piece;
}
#endif

size_t arena_bytes(void)
{
	size_t lines = 0;

	for (unsigned i = 0; i < ARENA_COUNT; i++)
		lines += arenas[i].lines;
	return lines * ARENA_LINE;
}
