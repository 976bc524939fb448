/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets that become more: small ones as malloc gives room, from a megabyte or two on in huge pages
 * of the kernel, which grow without being copied and go back to it. All zero: empty.
 */
#ifndef CCN_BUFFER_H
#define CCN_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t length, capacity;
};

/* Room for `more` behind what is there; false: out of memory, and nothing is changed. */
bool buffer_reserve(struct buffer *buffer, size_t more);
bool buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_clear(struct buffer *buffer);

#endif
