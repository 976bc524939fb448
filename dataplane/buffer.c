/* SPDX-License-Identifier: Apache-2.0
 * The room doubles. What of a mapping is not used costs nothing: the kernel gives it when it is.
 */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define MAPPED (2UL << 20) /* capacity from which on it is a mapping, and a multiple of it */

static bool is_mapped(const struct buffer *buffer)
{
	return buffer->capacity >= MAPPED;
}

static uint8_t *grow(struct buffer *buffer, size_t capacity)
{
	uint8_t *grown;

	if (capacity < MAPPED)
		return realloc(buffer->data, capacity);
	if (is_mapped(buffer))
		return arena_map_more(buffer->data, buffer->capacity, capacity);
	grown = arena_map(capacity);
	if (!grown)
		return NULL;
	if (buffer->length > 0)
		memcpy(grown, buffer->data, buffer->length);
	free(buffer->data);
	return grown;
}

bool buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t capacity = buffer->length + more;
	uint8_t *grown;

	if (capacity <= buffer->capacity)
		return true;
	capacity += buffer->capacity + 4096;
	if (capacity >= MAPPED)
		capacity = (capacity + MAPPED - 1) / MAPPED * MAPPED;
	grown = grow(buffer, capacity);
	if (!grown)
		return false;
	buffer->data = grown;
	buffer->capacity = capacity;
	return true;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t length)
{
	if (length == 0)
		return true;
	if (!buffer_reserve(buffer, length))
		return false;
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	return true;
}

void buffer_clear(struct buffer *buffer)
{
	if (is_mapped(buffer))
		arena_unmap(buffer->data, buffer->capacity);
	else
		free(buffer->data);
	*buffer = (struct buffer){0};
}
