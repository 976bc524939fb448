/* SPDX-License-Identifier: Apache-2.0
 *
 * One client of the control socket: in come octets, out go answers and commits. No sockets here;
 * one thread has all clients.
 */
#ifndef CCN_CLIENT_H
#define CCN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "buffer.h"
#include "ccn_wire.h"

#define CLIENT_PATIENCE_S 10 /* without an octet, while others wait or memory is held */
#define CLIENT_MAX_PATIENCE_S 600U

struct change;

/* All zero: a client that has said nothing yet. */
struct client {
	char name[sizeof(((struct ccn_hello *)0)->client) + 1];
	bool greeted;
	bool closing;	   /* to be closed once it has taken its answers */
	const char *fault; /* why it is closed; NULL: it said nothing wrong */
	bool committed;	   /* there are new tables; whoever acts on it clears it */
	size_t tidy;	   /* octets of transactions to tidy up after, once they are answered */
	bool full;
	struct change *prepared; /* of its transaction, after PREPARE */
	unsigned patience;	 /* seconds that it may be silent then */
	uint64_t next;
	struct buffer in, out, records;
	size_t missing;	     /* octets of the message of records that is under way */
	bool refused;	     /* they are passed over */
	size_t open_message; /* offset in out of the record message being filled */
	uint16_t open_type;
};

/* Takes octets as they came; false: no memory for them. */
bool client_hear(struct client *client, const uint8_t *data, size_t length);
/* The same without a copy: where octets of records may be put that are expected next, which are then
 * to be told of before any other. Of length 0: there is no such place. */
struct iovec client_room(const struct client *client);
void client_placed(struct client *client, size_t length);
bool client_is_in_message(const struct client *client);
/* Goes on with what was heard, if answers that were in the way are gone. */
void client_handle(struct client *client);
/* All of `out` has been taken. */
void client_answered(struct client *client);
bool client_holds_transaction(const struct client *client);
/* What it owes: the reason to hang up on it after client_patience seconds without an octet. NULL: it
 * may be silent for ever. */
const char *client_owes(const struct client *client);
unsigned client_patience(const struct client *client);
/* Gives up its transaction and its memory. */
void client_forget(struct client *client);

#endif
