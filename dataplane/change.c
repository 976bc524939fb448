/* SPDX-License-Identifier: Apache-2.0
 * What every step of a transaction needs: saying why not, and counting its records.
 */
#include "change.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int change_refuse(struct change *c, uint32_t code, uint32_t record, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	c->refusal->code = code;
	c->refusal->record = record;
	vsnprintf(c->refusal->text, sizeof(c->refusal->text), format, arguments);
	va_end(arguments);
	return -1;
}

int change_no_memory(struct change *c)
{
	return change_refuse(c, CCN_NAK_MEMORY, 0, "out of memory; nothing was changed");
}

size_t change_count(const struct change *c, uint16_t type)
{
	size_t count = 0;

	for (size_t at = 0; at < c->length;) {
		struct ccn_header header;

		memcpy(&header, c->messages + at, sizeof(header));
		count += header.type == type ? header.count : 0;
		at += header.length;
	}
	return count;
}
