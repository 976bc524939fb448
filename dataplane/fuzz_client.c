/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer: what a client of the control socket may say. In: operations of a few octets, made into
 * messages whose lengths, counts and CRC are right unless the operation says otherwise, so that
 * what is tried are the tables. After each input all tables can be walked, and are given back.
 */
#include <stdlib.h>
#include <string.h>

#include "check_client.h"
#include "check_eal.h"
#include "check_ports.h"
#include "commit.h"
#include "crc.h"
#include "message.h"

static uint64_t generation;
static uint8_t records[1 << 16];
static size_t recorded;

/* As the socket's thread does: where the client has room for it, else in a piece of its own. */
static void hear(struct client *client, const uint8_t *message, size_t length)
{
	const size_t head = RTE_MIN(length, sizeof(struct ccn_header) + 3);
	struct iovec room;

	CHECK(client_hear(client, message, head));
	room = client_room(client);
	room.iov_len = RTE_MIN(room.iov_len, length - head);
	if (room.iov_len > 0)
		memcpy(room.iov_base, message + head, room.iov_len);
	client_placed(client, room.iov_len);
	CHECK(client_hear(client, message + head + room.iov_len, length - head - room.iov_len));
}

static void say(struct client *client, uint16_t type, uint16_t flags, uint32_t count,
		const void *body, size_t size)
{
	const size_t length = sizeof(struct ccn_header) + size;
	uint8_t *message = check_message(type, flags, count, body, size);

	if (record_size(type) && recorded + length <= sizeof(records)) {
		memcpy(records + recorded, message, length);
		recorded += length;
	}
	hear(client, message, length);
	free(message);
}

static void greet(struct client *client)
{
	const struct ccn_hello hello = check_hello();

	say(client, CCN_HELLO, 0, 1, &hello, sizeof(hello));
	CHECK(client->greeted);
}

static void begin(struct client *client, uint16_t flags)
{
	const struct ccn_begin record = {.base = generation, .next = generation + 1};

	recorded = 0;
	say(client, CCN_BEGIN, flags, 1, &record, sizeof(record));
}

/* COMMIT or PREPARE. */
static void end(struct client *client, uint16_t type)
{
	struct ccn_commit record = {.next = generation + 1, .patience = 300};

	if (recorded)
		record.crc = crc_of(records, recorded);
	say(client, type, 0, 1, &record, sizeof(record));
	if (type == CCN_PREPARE)
		return;
	recorded = 0;
	generation = fib_current ? fib_current->generation : 0;
}

/* Small numbers where a table is keyed by a number, so that records meet. */
static void tame(uint16_t type, uint8_t *record)
{
	const size_t keyed = type == CCN_ROUTE ? 2 : 1;

	for (size_t i = 0; i < keyed; i++)
		memset(record + 4 * i + 1, 0, 3);
	if (type == CCN_GATEWAY_ADDRESS || type == CCN_PEER) {
		record[4] = record[4] & 1 ? 4 : 6;
		memset(record + 5, 0, 3);
		memset(record + 12, 0, 12);
	}
	for (size_t i = 0; type == CCN_NEXT_HOP_GROUP && i < CCN_MAX_MEMBERS; i++)
		memset(record + 17 + 16 * i, 0, 3);
	if (type == CCN_ACL_RULE) {
		record[4] &= 7; /* few rows, each with its action and version */
		memset(record + 5, 0, 3);
		record[9] = 0;
		record[10] = 1 + (record[10] & 1);
		record[11] = record[11] & 1 ? 4 : 6;
		record[14] &= record[15] &= 1;
		memset(record + 24, 0, 32);
		if (record[13]) /* any protocol, any port */
			memcpy(record + 16, "\0\0\377\377\0\0\377\377", 8);
	}
	if (type == CCN_VM && record[5] == 1)
		memset(record + 29, 0, 3);
	if (type == CCN_CCSI)
		memset(record + 5, 0, 3);
	if (type == CCN_VTEP_NAME)
		record[0] = (uint8_t)(0xe0 | (record[0] & 15));
	if (type == CCN_VTEP)
		memset(record + 9, 0, 3);
	if (type == CCN_SOURCE)
		memset(record + 25, 0, 3);
	if (type == CCN_INTERFACE) {
		memset(record + 20, 0, 32);
		memcpy(record + 20, "p0", 2);
		record[12] |= 4; /* an MTU */
	}
}

static size_t one_operation(struct client *client, const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {
	    CCN_INTERFACE, CCN_VNI,	 CCN_VTEP,	     CCN_NEXT_HOP,	  CCN_VM,
	    CCN_ROUTE,	   CCN_CCSI,	 CCN_NEXT_HOP_GROUP, CCN_GATEWAY_ADDRESS, CCN_PEER,
	    CCN_VTEP_SET,  CCN_ACL_RULE, CCN_SOURCE,	     CCN_VTEP_NAME};
	uint8_t body[1024] = {0};
	size_t used, want;
	uint16_t type = types[(data[0] & 15) % RTE_DIM(types)];

	switch (data[0] >> 4) {
	case 0:
		begin(client, data[0] & 1 ? CCN_FULL : 0);
		return 1;
	case 1:
		end(client, data[0] & 1 ? CCN_PREPARE : CCN_COMMIT);
		return 1;
	case 2:
		if (data[0] & 2) {
			used = size - 1 < 24 ? size - 1 : 24;
			memcpy(body, data + 1, used);
			say(client, CCN_TRACE, 0, 1, body, sizeof(struct ccn_trace));
			return 1 + used;
		}
		if (data[0] & 4) {
			used = size - 1 < 4 ? size - 1 : 4;
			memcpy(body, data + 1, used);
			say(client, CCN_OFFENDERS, 0, 1, body, sizeof(struct ccn_offenders));
			return 1 + used;
		}
		say(client, data[0] & 1 ? CCN_DUMP : CCN_STATS, 0, 0, NULL, 0);
		return 1;
	case 3:
		used = size - 1 < 24 ? size - 1 : 24;
		memcpy(body, data + 1, used);
		say(client, CCN_LOOKUP, 0, 1, body, sizeof(struct ccn_lookup));
		return 1 + used;
	case 4: /* anything at all */
		used = size - 1 < 64 ? size - 1 : 64;
		CHECK(client_hear(client, data + 1, used));
		return 1 + used;
	default:
		want = record_size(type);
		used = size - 1 < want ? size - 1 : want;
		memcpy(body, data + 1, used);
		if (!(data[0] & 0x20))
			tame(type, body);
		say(client, type, data[0] & 0x40 ? CCN_DELETE : 0, 1, body, want);
		return 1 + used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t emptied; /* the generation that holds nothing */
	struct client client = {0};

	if (!fib_qsbr) {
		check_eal();
		CHECK(fib_init() == 0);
	}
	greet(&client);
	while (size > 0 && !client.closing) {
		size_t used = one_operation(&client, data, size);

		data += used;
		size -= used;
		client_answered(&client);
	}
	client_forget(&client); /* a transaction that was left open is nobody's now */
	if (!fib_current || fib_current->generation == emptied)
		return 0;
	memset(&client, 0, sizeof(client));
	generation = fib_current->generation;
	greet(&client);
	say(&client, CCN_DUMP, 0, 0, NULL, 0);
	client_answered(&client);
	begin(&client, CCN_FULL);
	end(&client, CCN_COMMIT);
	CHECK(fib_current->routes == 0 && fib_current->next_hops == 0);
	emptied = fib_current->generation;
	client_forget(&client);
	return 0;
}
