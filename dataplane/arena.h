/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for tables that packets are looked up in: cache lines, taken from 2 MiB regions that ask
 * the kernel for huge pages, so that a look-up costs no page walk. One thread allocates and frees.
 */
#ifndef CCN_ARENA_H
#define CCN_ARENA_H

#include <stddef.h>

#define ARENA_LINE 64U

/* Aligned to a line, contents undefined. NULL: out of memory. */
void *arena_alloc(size_t lines);
/* `lines` as they were asked for. */
void arena_free(void *memory, size_t lines);
size_t arena_bytes(void); /* asked for and not freed */

/* Zeroed and aligned to a line, from the kernel and back to it; for arrays of a megabyte and up. */
void *arena_map(size_t size);
void arena_unmap(void *memory, size_t size);

#endif
