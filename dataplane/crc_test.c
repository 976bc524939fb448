/* SPDX-License-Identifier: Apache-2.0
 * The CRC of messages of all lengths around a step, and of large ones, is that of bit by bit.
 */
#include "crc.h"

#include <stdlib.h>

#include "check.h"
#include "check_eal.h"

static uint32_t bit_by_bit(const uint8_t *data, size_t length)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

int main(void)
{
	static uint8_t data[100003];
	uint64_t state = 1;

	check_eal();
	CHECK(crc_of("123456789", 9) == 0xcbf43926);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random_u64(&state);
	for (size_t length = 1; length < 700; length++)
		for (size_t at = 0; at < 3; at++)
			CHECK(crc_of(data + at, length) == bit_by_bit(data + at, length));
	CHECK(crc_of(data, sizeof(data)) == bit_by_bit(data, sizeof(data)));
	rte_eal_cleanup();
	return 0;
}
