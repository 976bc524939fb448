/* SPDX-License-Identifier: Apache-2.0
 * What was appended stays what it was while the buffer grows, from nothing over a mapping to a larger one.
 */
#include "buffer.h"

#include "check.h"

int main(void)
{
	struct buffer buffer = {0};
	uint32_t word = 0;

	CHECK(buffer_append(&buffer, NULL, 0) && buffer.data == NULL);
	for (size_t part = 1; buffer.length < 20UL << 20; part = part * 3 / 2 + 1) {
		CHECK(buffer_reserve(&buffer, part * 4));
		CHECK(buffer.capacity - buffer.length >= part * 4);
		for (size_t i = 0; i < part; i++, word++)
			CHECK(buffer_append(&buffer, &word, 4));
	}
	CHECK(buffer.length == word * 4UL && buffer.capacity < 4 * buffer.length);
	for (uint32_t i = 0; i < word; i++)
		CHECK(((const uint32_t *)(const void *)buffer.data)[i] == i);
	CHECK(!buffer_reserve(&buffer, 1UL << 60)); /* and is what it was */
	CHECK(buffer.length == word * 4UL && buffer.data[4] == 1);
	buffer_clear(&buffer);
	CHECK(buffer.data == NULL && buffer.length == 0 && buffer.capacity == 0);
	return 0;
}
