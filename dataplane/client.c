/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole messages are handled as they come; one that is nonsense ends its connection. Answers are
 * kept until the client takes them, and while many are waiting no further question is heard.
 */
#include "client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"
#include "crc.h"
#include "log.h"
#include "message.h"
#include "offence.h"
#include "port.h"
#include "stats.h"
#include "trace.h"

#define MAX_TRANSACTION (1ULL << 30)
#define ANSWERS_AT_ONCE (1U << 20)
#define PLACED_AT_ONCE (1U << 20) /* octets, before others have their turn */
#define FIRST_IS_HELLO "the first message must be HELLO"

static const struct client *holder; /* of the transaction that is open */

/* --- answers --- */

static void answer(struct client *client, uint16_t type, const void *record, size_t size)
{
	const struct ccn_header header = {
	    .length = (uint32_t)(sizeof(header) + size), .type = type, .count = 1};

	if (!buffer_append(&client->out, &header, sizeof(header)) ||
	    !buffer_append(&client->out, record, size))
		client->closing = true;
	client->open_type = 0;
}

/* Adds a record to a message of many. */
static int stream(void *context, uint16_t type, const void *record, size_t size)
{
	struct client *client = context;
	struct ccn_header header = {.type = type};

	if (client->open_type == type)
		memcpy(&header, client->out.data + client->open_message, sizeof(header));
	if (client->open_type != type || header.length + size > CCN_MAX_MESSAGE) {
		header = (struct ccn_header){.length = sizeof(header), .type = type};
		client->open_message = client->out.length;
		client->open_type = type;
		if (!buffer_append(&client->out, &header, sizeof(header)))
			return -1;
	}
	if (!buffer_append(&client->out, record, size))
		return -1;
	header.length += (uint32_t)size;
	header.count++;
	memcpy(client->out.data + client->open_message, &header, sizeof(header));
	return 0;
}

static void stream_counter(void *context, const struct ccn_counter *counter)
{
	if (stream(context, CCN_COUNTER, counter, sizeof(*counter)) < 0)
		((struct client *)context)->closing = true;
}

static uint64_t generation(void)
{
	return fib_current ? fib_current->generation : 0;
}

static void acknowledge(struct client *client)
{
	const struct ccn_ack ack = {.generation = generation()};

	answer(client, CCN_ACK, &ack, sizeof(ack));
}

static void give_up(struct client *client)
{
	if (holder == client)
		holder = NULL;
	if (client->prepared)
		commit_give_up(client->prepared);
	client->prepared = NULL;
	client->patience = 0;
	buffer_clear(&client->records);
}

static void refuse(struct client *client, uint32_t code, uint32_t record, const char *text)
{
	struct ccn_nak nak = {.code = code, .record = record, .generation = generation()};

	snprintf((char *)nak.text, sizeof(nak.text), "%s", text);
	answer(client, CCN_NAK, &nak, sizeof(nak));
	give_up(client);
}

/* With a constant as text: it is logged when the connection is closed. */
static void hang_up(struct client *client, uint32_t code, const char *text)
{
	refuse(client, code, 0, text);
	client->closing = true;
	client->fault = text;
}

/* --- messages --- */

static void take_hello(struct client *client, const struct ccn_hello *hello)
{
	struct ccn_hello_ack ack = {.magic = CCN_WIRE_MAGIC,
				    .version = CCN_WIRE_VERSION,
				    .generation = generation(),
				    .pid = (uint32_t)getpid()};

	if (hello->magic != CCN_WIRE_MAGIC || hello->version != CCN_WIRE_VERSION ||
	    memcmp(hello->sizes, message_sizes, sizeof(message_sizes)) != 0) {
		hang_up(client, CCN_NAK_VERSION,
			"this forwarder was built from another ccn_wire.h; install both together");
		return;
	}
	memcpy(ack.sizes, message_sizes, sizeof(message_sizes));
	if (fib_current)
		memcpy(ack.digest, fib_current->digest, sizeof(ack.digest));
	for (unsigned i = 0; i < sizeof(hello->client) && hello->client[i]; i++)
		client->name[i] = isprint(hello->client[i]) ? (char)hello->client[i] : '?';
	client->greeted = true;
	answer(client, CCN_HELLO_ACK, &ack, sizeof(ack));
}

static void take_begin(struct client *client, const struct ccn_begin *begin, bool full)
{
	if (holder) {
		if (holder == client)
			refuse(client, CCN_NAK_SEQUENCE, 0, "BEGIN inside a transaction");
		else
			refuse(client, CCN_NAK_BUSY, 0, "another client holds a transaction");
		return;
	}
	if (!full && begin->base != generation()) {
		refuse(client, CCN_NAK_BASE, 0,
		       "the base is not in force; send a FULL transaction");
		return;
	}
	if (begin->next <= begin->base || begin->next == 0) {
		refuse(client, CCN_NAK_SEQUENCE, 0, "the next generation is not above the base");
		return;
	}
	/* or of two control planes one could go on from the other's tables */
	if (begin->next <= generation()) {
		refuse(client, CCN_NAK_SEQUENCE, 0,
		       "the next generation is not above the one in force");
		return;
	}
	holder = client;
	client->full = full;
	client->next = begin->next;
}

/* Checks and stages the transaction, once: by PREPARE, or by a COMMIT without one. */
static bool prepare(struct client *client, const struct ccn_commit *end, const char *without_begin)
{
	struct refusal refusal = {0};
	uint32_t crc = 0;

	if (holder != client || end->next != client->next) {
		refuse(client, CCN_NAK_SEQUENCE, 0,
		       holder == client ? "another generation is named than in BEGIN"
					: without_begin);
		return false;
	}
	if (client->prepared)
		return true;
	if (client->records.length > 0)
		crc = crc_of(client->records.data, client->records.length);
	if (crc != end->crc) {
		refuse(client, CCN_NAK_CRC, 0, "the CRC-32 of the records differs");
		return false;
	}
	client->prepared =
	    commit_prepare(client->records.data, client->records.length, client->full, &refusal);
	if (!client->prepared) {
		log_line("generation %llu of %s refused: %s", (unsigned long long)end->next,
			 client->name, refusal.text);
		refuse(client, refusal.code, refusal.record, refusal.text);
	}
	return client->prepared != NULL;
}

static void take_prepare(struct client *client, const struct ccn_commit *end)
{
	if (!prepare(client, end, "PREPARE without BEGIN"))
		return;
	client->patience = RTE_MIN(end->patience, CLIENT_MAX_PATIENCE_S);
	acknowledge(client);
}

static void take_commit(struct client *client, const struct ccn_commit *end)
{
	if (!prepare(client, end, "COMMIT without BEGIN"))
		return;
	commit_publish(client->prepared, end->next, end->digest);
	client->prepared = NULL;
	if (client->full)
		log_line("generation %llu of %s is in force: %zu routes, %zu VMs",
			 (unsigned long long)end->next, client->name, fib_current->routes,
			 vm_count(&fib_current->vms, 4) + vm_count(&fib_current->vms, 6));
	client->committed = true;
	client->tidy = RTE_MAX(client->tidy, client->records.length);
	give_up(client);
	acknowledge(client);
}

static void stream_offender(void *context, const struct ccn_offender *offender)
{
	if (stream(context, CCN_OFFENDER, offender, sizeof(*offender)) < 0)
		((struct client *)context)->closing = true;
}

static void take_stats(struct client *client)
{
	stats_walk(stream_counter, client);
	stats_walk_tables(fib_current, stream_counter, client);
	offences_count(0, stream_counter, client);
	for (unsigned i = 0; i < port_count(); i++) {
		struct ccn_port_status status;

		port_status(i, &status);
		if (stream(client, CCN_PORT_STATUS, &status, sizeof(status)) < 0)
			client->closing = true;
	}
	offences_walk(0, stream_offender, client);
	acknowledge(client);
}

static void take_offenders(struct client *client, const struct ccn_offenders *question)
{
	if (question->ccsi == 0 || question->ccsi >= MAX_CCSIS) {
		refuse(client, CCN_NAK_RECORD, 0, "OFFENDERS: CCSI not in 1..65535");
		return;
	}
	offences_walk(question->ccsi, stream_offender, client);
	acknowledge(client);
}

static void take_trace(struct client *client, const struct ccn_trace *probe)
{
	const char *fault = trace_probe(probe, stream, client);

	if (fault)
		refuse(client, CCN_NAK_RECORD, 0, fault);
	else
		acknowledge(client);
}

/* Of records: what follows goes where those of the transaction are or, of a message that is refused,
 * nowhere. */
static void take_head(struct client *client, const struct ccn_header *header)
{
	client->missing = header->length - sizeof(*header);
	client->refused = true;
	if (!client->greeted)
		hang_up(client, CCN_NAK_SEQUENCE, FIRST_IS_HELLO);
	else if (holder != client || client->prepared)
		refuse(client, CCN_NAK_SEQUENCE, 0,
		       "a record outside BEGIN..COMMIT, or after PREPARE");
	else if (client->records.length + header->length > MAX_TRANSACTION ||
		 !buffer_reserve(&client->records, header->length))
		refuse(client, CCN_NAK_MEMORY, 0, "the transaction is too large");
	else
		client->refused = !buffer_append(&client->records, header, sizeof(*header));
}

static void take_request(struct client *client, const struct ccn_header *header,
			 const uint8_t *message)
{
	union {
		struct ccn_hello hello;
		struct ccn_begin begin;
		struct ccn_commit commit;
		struct ccn_lookup lookup;
		struct ccn_trace trace;
		struct ccn_offenders offenders;
	} body;
	struct ccn_lookup_result result;

	if (!client->greeted && header->type != CCN_HELLO) {
		hang_up(client, CCN_NAK_SEQUENCE, FIRST_IS_HELLO);
		return;
	}
	memcpy(&body, message + sizeof(*header), request_size(header->type));
	switch (header->type) {
	case CCN_HELLO:
		take_hello(client, &body.hello);
		break;
	case CCN_BEGIN:
		take_begin(client, &body.begin, header->flags & CCN_FULL);
		break;
	case CCN_PREPARE:
		take_prepare(client, &body.commit);
		break;
	case CCN_COMMIT:
		take_commit(client, &body.commit);
		break;
	case CCN_DUMP:
		if (fib_dump(fib_current, stream, client) < 0)
			client->closing = true;
		acknowledge(client);
		break;
	case CCN_STATS:
		take_stats(client);
		break;
	case CCN_OFFENDERS:
		take_offenders(client, &body.offenders);
		break;
	case CCN_LOOKUP:
		if (body.lookup.family != 4 && body.lookup.family != 6) {
			refuse(client, CCN_NAK_RECORD, 0, "LOOKUP: family is not 4 or 6");
			break;
		}
		fib_lookup(fib_current, &body.lookup, &result);
		answer(client, CCN_LOOKUP_RESULT, &result, sizeof(result));
		break;
	case CCN_TRACE:
		take_trace(client, &body.trace);
		break;
	default:
		hang_up(client, CCN_NAK_SEQUENCE, "not a request");
	}
}

/* Octets of records that are expected; how many of these they are. */
static size_t take_records(struct client *client, const uint8_t *data, size_t length)
{
	const size_t part = RTE_MIN(length, client->missing);

	if (!client->refused) /* there is room for all of the message */
		buffer_append(&client->records, data, part);
	client->missing -= part;
	return part;
}

/* Takes what is whole, and of records all that has come. How many octets that is. */
static size_t take(struct client *client, const uint8_t *data, size_t length)
{
	struct ccn_header header;
	size_t at = 0;

	while (!client->closing && client->out.length < ANSWERS_AT_ONCE) {
		at += take_records(client, data + at, length - at);
		if (length - at < sizeof(header))
			break;
		memcpy(&header, data + at, sizeof(header));
		if (header.length > CCN_MAX_MESSAGE || !message_length_is_right(&header)) {
			hang_up(client, CCN_NAK_LENGTH,
				"type, length and count of the header disagree");
		} else if (record_size(header.type)) {
			at += sizeof(header);
			take_head(client, &header);
		} else if (length - at < header.length) {
			break;
		} else {
			take_request(client, &header, data + at);
			at += header.length;
		}
	}
	return client->closing ? length : at;
}

void client_handle(struct client *client)
{
	if (client->in.length == 0)
		return;

	const size_t done = take(client, client->in.data, client->in.length);

	if (done == client->in.length) {
		buffer_clear(&client->in);
	} else {
		memmove(client->in.data, client->in.data + done, client->in.length - done);
		client->in.length -= done;
	}
}

bool client_hear(struct client *client, const uint8_t *data, size_t length)
{
	size_t done;

	if (client->in.length > 0) {
		if (!buffer_append(&client->in, data, length))
			return false;
		client_handle(client);
		return true;
	}
	done = take(client, data, length);
	return buffer_append(&client->in, data + done, length - done);
}

struct iovec client_room(const struct client *client)
{
	if (client->refused || client->missing == 0 || client->in.length > 0)
		return (struct iovec){0};
	return (struct iovec){.iov_base = client->records.data + client->records.length,
			      .iov_len = RTE_MIN(client->missing, PLACED_AT_ONCE)};
}

void client_placed(struct client *client, size_t length)
{
	client->records.length += length;
	client->missing -= length;
}

bool client_is_in_message(const struct client *client)
{
	return client->missing > 0 || client->in.length > 0;
}

bool client_holds_transaction(const struct client *client)
{
	return holder == client;
}

const char *client_owes(const struct client *client)
{
	if (!client->greeted)
		return "it does not say HELLO";
	if (client->out.length > 0)
		return "it does not take its answers";
	if (holder != client)
		return NULL;
	return client->prepared ? "it has prepared a transaction and does not commit it"
				: "it has begun a transaction and does not go on";
}

unsigned client_patience(const struct client *client)
{
	return RTE_MAX(client->patience, (unsigned)CLIENT_PATIENCE_S);
}

void client_answered(struct client *client)
{
	buffer_clear(&client->out);
	client->open_type = 0;
}

void client_forget(struct client *client)
{
	give_up(client);
	buffer_clear(&client->in);
	buffer_clear(&client->out);
}
