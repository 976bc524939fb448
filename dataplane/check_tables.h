/* SPDX-License-Identifier: Apache-2.0
 * For tests that begin with tables: records, one message for each, as a transaction.
 */
#ifndef CCN_CHECK_TABLES_H
#define CCN_CHECK_TABLES_H

#include <string.h>

#include "check.h"
#include "commit.h"
#include "message.h"

struct check_records {
	uint8_t data[1 << 17];
	size_t length;
};

/* `flags`: 0 or CCN_DELETE. */
static inline void check_add(struct check_records *to, uint16_t type, uint16_t flags,
			     const void *record)
{
	const size_t size = record_size(type);
	const struct ccn_header header = {
	    .length = (uint32_t)(sizeof(header) + size), .type = type, .flags = flags, .count = 1};

	CHECK(to->length + header.length <= sizeof(to->data));
	memcpy(to->data + to->length, &header, sizeof(header));
	memcpy(to->data + to->length + sizeof(header), record, size);
	to->length += header.length;
}

/* The first tables: generation 1. */
static inline void check_commit(const struct check_records *records)
{
	const uint8_t digest[32] = {0};
	struct refusal refusal;

	CHECK(commit(records->data, records->length, true, 1, digest, &refusal) == 0);
}

#endif
