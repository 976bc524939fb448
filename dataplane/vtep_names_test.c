/* SPDX-License-Identifier: Apache-2.0
 * Names of IPv6 VTEPs against a plain list of them.
 */
#include "vtep_names.h"

#include "check.h"

#define NAMES 3000U

static uint8_t address[NAMES][16];
static uint32_t name[NAMES];

static void draw(uint64_t *state)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		/* of a few racks, as addresses are: most octets are the same */
		const uint8_t made[16] = {0x20,
					  0x01,
					  0x0d,
					  0xb8,
					  [6] = (uint8_t)(i % 7),
					  [7] = (uint8_t)(i % 3),
					  [13] = 0,
					  (uint8_t)(i >> 8),
					  (uint8_t)i};

		memcpy(address[i], made, 16);
		memcpy(&name[i],
		       (uint8_t[]){0xe0 | (i & 15), (uint8_t)(i >> 4), (uint8_t)(i >> 12),
				   (uint8_t)random_below(state, 256)},
		       4);
	}
}

int main(void)
{
	uint64_t state = 5;
	const uint8_t nobody[16] = {0xfd};
	struct vtep_names *names = vtep_names_new(0);

	CHECK(names && vtep_name_of(names, nobody) == 0 && !vtep_address_of(names, name[0]));
	vtep_names_free(names);
	draw(&state);
	for (uint32_t count = 1; count <= NAMES; count += 1 + random_below(&state, 400)) {
		names = vtep_names_new(count);
		CHECK(names);
		for (uint32_t i = 0; i < count; i++)
			vtep_names_add(names, name[i], address[i]);
		CHECK(names->count == count && vtep_name_of(names, nobody) == 0);
		for (uint32_t i = 0; i < NAMES; i++) {
			const uint8_t *held = vtep_address_of(names, name[i]);

			CHECK(vtep_is_name(name[i]));
			CHECK(vtep_name_of(names, address[i]) == (i < count ? name[i] : 0));
			CHECK(i < count ? held && !memcmp(held, address[i], 16) : !held);
		}
		vtep_names_free(names);
	}
	return 0;
}
