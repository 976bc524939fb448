/* SPDX-License-Identifier: Apache-2.0
 *
 * A transaction: the record messages between BEGIN and COMMIT, as they came over the socket, are
 * checked as a whole and then put into force as a whole.
 */
#ifndef CCN_COMMIT_H
#define CCN_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fib.h"

struct refusal {
	uint32_t code;	 /* enum ccn_nak_code */
	uint32_t record; /* index within its message */
	char text[112];
};

/* `messages`: well-formed record messages one after the other. On success the tables are those of
 * generation `next`; on -1 nothing has changed and `refusal` says why. */
int commit(const uint8_t *messages, size_t length, bool full, uint64_t next,
	   const uint8_t digest[32], struct refusal *refusal);

/* The two halves of it: all that takes time and can fail, and stores that cannot. At most one
 * transaction is prepared at a time; `messages` must stay until it is published or given up. */
struct change *commit_prepare(const uint8_t *messages, size_t length, bool full,
			      struct refusal *refusal); /* NULL: refused */
void commit_publish(struct change *c, uint64_t next, const uint8_t digest[32]);
void commit_give_up(struct change *c);

/* Gives memory back to the system after a large transaction; takes its time. */
void commit_tidy(size_t length);

#endif
