/* SPDX-License-Identifier: Apache-2.0
 * For tests of the control socket without one: messages as a client writes them. There is no packet
 * path to trace, and no log. Included once in a program, in the place of trace.c and log.c.
 */
#ifndef CCN_CHECK_CLIENT_H
#define CCN_CHECK_CLIENT_H

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "client.h"
#include "log.h"
#include "message.h"
#include "trace.h"

const char *trace_probe(const struct ccn_trace *probe, trace_emit emit, void *context)
{
	(void)emit;
	(void)context;
	return probe->dry_run ? "no port has this name" : NULL;
}

void log_line(const char *format, ...)
{
	(void)format;
}

/* In a buffer of exactly its length, to be freed. */
static inline uint8_t *check_message(uint16_t type, uint16_t flags, uint32_t count,
				     const void *body, size_t size)
{
	const struct ccn_header header = {.length = (uint32_t)(sizeof(header) + size),
					  .type = type,
					  .flags = flags,
					  .count = count};
	uint8_t *message = malloc(sizeof(header) + size);

	CHECK(message);
	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), body, size);
	return message;
}

/* A greeting of our version. */
static inline struct ccn_hello check_hello(void)
{
	struct ccn_hello hello = {.magic = CCN_WIRE_MAGIC, .version = CCN_WIRE_VERSION};

	memcpy(hello.sizes, message_sizes, sizeof(message_sizes));
	return hello;
}

#endif
