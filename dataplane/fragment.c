/* SPDX-License-Identifier: Apache-2.0
 * See fragment.h. A packet may be a fragment itself.
 */
#include "fragment.h"

#include <string.h>

#include "frame.h"

#define MORE 0x2000
#define COPIED 0x80 /* option type: it stands in every fragment */

bool fragment_begin(struct fragmenter *f, const uint8_t *ip, size_t length, size_t mtu)
{
	*f = (struct fragmenter){.ip = ip, .length = length, .mtu = mtu};
	return !(ip[6] & 0x40) && mtu >= (ip[0] & 15) * 4U + 8;
}

/* The options of a fragment beyond the first: those that are copied, padded; their octets. */
static size_t copy_options(uint8_t *out, const uint8_t *option, const uint8_t *end)
{
	size_t length = 0;

	while (option < end && *option != 0) {
		size_t size = *option == 1 ? 1 : option + 1 < end ? option[1] : 0;

		if (size == 0 || size > (size_t)(end - option))
			break;
		if (*option & COPIED) {
			memcpy(out + length, option, size);
			length += size;
		}
		option += size;
	}
	while (length % 4)
		out[length++] = 0;
	return length;
}

size_t fragment_next(struct fragmenter *f, uint8_t *out)
{
	const size_t whole = (f->ip[0] & 15) * 4U, payload = f->length - whole;
	const uint16_t field = (uint16_t)(f->ip[6] << 8 | f->ip[7]);
	size_t header = whole, take;
	uint16_t offset, sum;

	if (f->at >= payload)
		return 0;
	memcpy(out, f->ip, whole);
	if (f->at > 0)
		header = 20 + copy_options(out + 20, f->ip + 20, f->ip + whole);
	take = (f->mtu - header) & ~(size_t)7;
	if (f->mtu - header >= payload - f->at)
		take = payload - f->at;
	memcpy(out + header, f->ip + whole + f->at, take);
	offset = (uint16_t)(field + f->at / 8);
	f->at += take;
	if (f->at < payload)
		offset |= MORE;
	out[0] = (uint8_t)(0x40 | header / 4);
	out[2] = (uint8_t)((header + take) >> 8);
	out[3] = (uint8_t)(header + take);
	out[6] = (uint8_t)(offset >> 8);
	out[7] = (uint8_t)offset;
	memset(out + 10, 0, 2);
	sum = frame_checksum(out, header);
	memcpy(out + 10, &sum, 2);
	return header + take;
}
