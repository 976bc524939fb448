/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for tables that packets are looked up in, and what they are made from: cache lines, taken
 * from 2 MiB regions that ask the kernel for huge pages, so that a look-up costs no page walk. One
 * thread allocates and frees.
 */
#ifndef CCN_ARENA_H
#define CCN_ARENA_H

#include <stddef.h>

#define ARENA_LINE 64U

/* What readers look addresses up in lies together, apart from what only changes are made with. */
enum arena { ARENA_LOOKUP, ARENA_ROWS, ARENA_COUNT };

/* Aligned to a line, contents undefined. NULL: out of memory. */
void *arena_alloc(enum arena arena, size_t lines);
/* `lines` as they were asked for. */
void arena_free(enum arena arena, void *memory, size_t lines);
size_t arena_bytes(void); /* asked for and not freed, of all */

/* Zeroed and aligned to a line, from the kernel and back to it; for arrays of a megabyte and up. */
void *arena_map(size_t size);
void arena_unmap(void *memory, size_t size);
/* What arena_map gave becomes larger, in another place; its pages are moved, not copied. Of sizes
 * that are multiples of 2 MiB. NULL: out of memory, and it is what it was. */
void *arena_map_more(void *memory, size_t size, size_t wanted);

/* Room for a while, contents undefined: small as malloc gives it, large as arena_map. */
void *arena_scratch(size_t size);
void arena_scratch_free(void *memory, size_t size);

#endif
