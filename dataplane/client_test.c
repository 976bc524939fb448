/* SPDX-License-Identifier: Apache-2.0
 * What a client may say, and when: messages out of order, of wrong length, of two clients at once;
 * what it owes, and for how long it may be silent. Each refusal leaves the tables as they were.
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_client.h"
#include "check_eal.h"
#include "check_ports.h"
#include "commit.h"
#include "crc.h"

#define ACKED 0 /* else the code of the NAK */
#define SILENT -1

/* The last answer of all, which is taken: SILENT, ACKED (or another that is no NAK), a code. */
static int answer(struct client *client)
{
	int found = SILENT;

	for (size_t at = 0; at < client->out.length;) {
		struct ccn_header header;
		struct ccn_nak nak;

		memcpy(&header, client->out.data + at, sizeof(header));
		CHECK(header.length >= sizeof(header) && header.length <= client->out.length - at);
		memcpy(&nak, client->out.data + at + sizeof(header), sizeof(nak.code));
		found = header.type == CCN_NAK ? (int)nak.code : ACKED;
		at += header.length;
	}
	client_answered(client);
	return found;
}

static int say(struct client *client, uint16_t type, uint16_t flags, uint32_t count,
	       const void *body, size_t size)
{
	uint8_t *message = check_message(type, flags, count, body, size);

	/* in two pieces: the place where a message is cut does not matter */
	CHECK(client_hear(client, message, 7));
	CHECK(answer(client) == SILENT);
	CHECK(client_hear(client, message + 7, sizeof(struct ccn_header) + size - 7));
	free(message);
	return answer(client);
}

static int greet(struct client *client)
{
	const struct ccn_hello hello = check_hello();

	return say(client, CCN_HELLO, 0, 1, &hello, sizeof(hello));
}

static int begin(struct client *client, uint64_t base, uint64_t next, bool full)
{
	const struct ccn_begin record = {.base = base, .next = next};

	return say(client, CCN_BEGIN, full ? CCN_FULL : 0, 1, &record, sizeof(record));
}

static int ccsi(struct client *client, uint32_t id, uint32_t *crc)
{
	const struct ccn_ccsi record = {.id = id, .name = "x"};
	uint8_t *message = check_message(CCN_CCSI, 0, 1, &record, sizeof(record));

	*crc = crc_of(message, sizeof(struct ccn_header) + sizeof(record));
	free(message);
	return say(client, CCN_CCSI, 0, 1, &record, sizeof(record));
}

static int end(struct client *client, uint16_t type, uint64_t next, uint32_t crc, uint32_t patience)
{
	const struct ccn_commit record = {.next = next, .crc = crc, .patience = patience};

	return say(client, type, 0, 1, &record, sizeof(record));
}

static struct client greeted(void)
{
	struct client client = {0};

	CHECK(client_owes(&client)); /* a greeting */
	CHECK(greet(&client) == ACKED && !client_owes(&client));
	return client;
}

static void transactions(void)
{
	struct client c = greeted(), other = greeted();
	uint32_t crc = 0;

	CHECK(begin(&c, 0, 1, true) == SILENT && ccsi(&c, 7, &crc) == SILENT);
	CHECK(end(&c, CCN_COMMIT, 1, crc, 0) == ACKED && fib_current->generation == 1);
	CHECK(end(&c, CCN_COMMIT, 2, 0, 0) == CCN_NAK_SEQUENCE);
	CHECK(end(&c, CCN_PREPARE, 2, 0, 0) == CCN_NAK_SEQUENCE);
	CHECK(ccsi(&c, 8, &crc) == CCN_NAK_SEQUENCE);
	CHECK(begin(&c, 0, 2, false) == CCN_NAK_BASE);
	CHECK(begin(&c, 1, 1, false) == CCN_NAK_SEQUENCE);
	CHECK(begin(&c, 0, 1, true) == CCN_NAK_SEQUENCE); /* not above what is in force */

	CHECK(begin(&c, 1, 2, false) == SILENT && client_holds_transaction(&c));
	CHECK(begin(&other, 1, 2, false) == CCN_NAK_BUSY && !client_holds_transaction(&other));
	CHECK(begin(&c, 1, 2, false) == CCN_NAK_SEQUENCE && !client_holds_transaction(&c));

	CHECK(begin(&c, 1, 2, false) == SILENT && ccsi(&c, 8, &crc) == SILENT);
	CHECK(end(&c, CCN_COMMIT, 2, crc + 1, 0) == CCN_NAK_CRC);
	CHECK(begin(&c, 1, 2, false) == SILENT && ccsi(&c, 8, &crc) == SILENT);
	CHECK(end(&c, CCN_COMMIT, 3, crc, 0) == CCN_NAK_SEQUENCE);
	CHECK(begin(&c, 1, 2, false) == SILENT && ccsi(&c, 0, &crc) == SILENT);
	CHECK(end(&c, CCN_COMMIT, 2, crc, 0) == CCN_NAK_RECORD);

	CHECK(begin(&c, 1, 2, false) == SILENT && ccsi(&c, 8, &crc) == SILENT);
	CHECK(end(&c, CCN_PREPARE, 2, crc, 0) == ACKED);
	CHECK(ccsi(&c, 9, &crc) == CCN_NAK_SEQUENCE); /* after PREPARE: it is given up */
	CHECK(end(&c, CCN_COMMIT, 2, crc, 0) == CCN_NAK_SEQUENCE);
	CHECK(begin(&c, 1, 2, false) == SILENT && ccsi(&c, 8, &crc) == SILENT);
	client_forget(&c); /* end of file */
	CHECK(fib_current->generation == 1);
	CHECK(!fib_current->ccsi[8] || !fib_current->ccsi[8]->live);
	CHECK(begin(&other, 1, 2, false) == SILENT);
	CHECK(end(&other, CCN_COMMIT, 2, 0, 0) == ACKED && fib_current->generation == 2);
	client_forget(&other);
}

static void silence(void)
{
	struct client c = greeted();
	const struct ccn_header question = {.length = sizeof(question), .type = CCN_STATS};
	const char *begun;
	uint32_t crc;

	CHECK(begin(&c, 2, 3, false) == SILENT && (begun = client_owes(&c)));
	CHECK(client_patience(&c) == CLIENT_PATIENCE_S);
	CHECK(ccsi(&c, 9, &crc) == SILENT);
	CHECK(end(&c, CCN_PREPARE, 3, crc, 300) == ACKED);
	CHECK(client_owes(&c) && strcmp(client_owes(&c), begun) != 0);
	CHECK(client_patience(&c) == 300);
	CHECK(end(&c, CCN_COMMIT, 3, crc, 0) == ACKED);
	CHECK(!client_owes(&c) && client_patience(&c) == CLIENT_PATIENCE_S);

	CHECK(begin(&c, 3, 4, false) == SILENT);
	CHECK(end(&c, CCN_PREPARE, 4, 0, UINT32_MAX) == ACKED);
	CHECK(client_patience(&c) == CLIENT_MAX_PATIENCE_S);
	client_forget(&c);
	CHECK(!client_owes(&c) && client_patience(&c) == CLIENT_PATIENCE_S);

	CHECK(client_hear(&c, (const void *)&question, sizeof(question)));
	CHECK(client_owes(&c)); /* its answers wait for it */
	CHECK(answer(&c) == ACKED && !client_owes(&c));
	client_forget(&c);
}

static void offenders(void)
{
	struct client c = greeted();
	struct ccn_offenders question = {.ccsi = 7};

	CHECK(say(&c, CCN_OFFENDERS, 0, 1, &question, sizeof(question)) == ACKED);
	for (unsigned i = 0; i < 2; i++) {
		question.ccsi = i * MAX_CCSIS;
		CHECK(say(&c, CCN_OFFENDERS, 0, 1, &question, sizeof(question)) == CCN_NAK_RECORD);
		CHECK(!c.closing);
	}
	client_forget(&c);
}

/* In pieces of any size, put where the client wants them or heard; the last answer. */
static int say_slowly(struct client *client, const uint8_t *message, size_t length, bool place)
{
	int found = SILENT;

	for (size_t at = 0, part = 5; at < length; part = part * 2 % 300007) {
		const struct iovec room = client_room(client);
		const size_t placed = place ? RTE_MIN(RTE_MIN(part, length - at), room.iov_len) : 0;
		const size_t heard = RTE_MIN(part - placed, length - at - placed);

		CHECK(client_is_in_message(client) == (at > 0));
		if (placed > 0)
			memcpy(room.iov_base, message + at, placed);
		client_placed(client, placed);
		CHECK(client_hear(client, message + at + placed, heard));
		at += placed + heard;
		if (client->out.length > 0)
			found = answer(client);
	}
	CHECK(!client_is_in_message(client));
	return found;
}

/* Records of some megabytes, which are not kept in one place while they become more. */
static void large(void)
{
	enum { VTEPS = 300000 };
	static struct ccn_vtep record[VTEPS];
	struct client c = greeted();
	const uint64_t base = fib_current->generation;
	uint8_t *message;
	uint32_t crc;

	for (uint32_t i = 0; i < VTEPS; i++) {
		record[i].vni = 1 + i % 100;
		memcpy(record[i].address + 1, &i, 3);
	}
	message = check_message(CCN_VTEP, 0, VTEPS, record, sizeof(record));
	crc = crc_of(message, sizeof(struct ccn_header) + sizeof(record));
	for (unsigned i = 0; i < 2; i++) {
		CHECK(begin(&c, base + i, base + i + 1, false) == SILENT);
		CHECK(say_slowly(&c, message, sizeof(struct ccn_header) + sizeof(record), i) ==
		      SILENT);
		CHECK(c.records.length == sizeof(struct ccn_header) + sizeof(record));
		CHECK(end(&c, CCN_COMMIT, base + i + 1, crc, 0) == ACKED);
		CHECK(c.records.data == NULL && c.in.data == NULL);
		CHECK(fib_current->vteps->live == VTEPS);
	}
	/* outside a transaction it is refused at its head, and nothing of it is kept */
	CHECK(say_slowly(&c, message, sizeof(struct ccn_header) + sizeof(record), true) ==
	      CCN_NAK_SEQUENCE);
	CHECK(c.records.data == NULL && c.in.data == NULL && !c.closing);
	CHECK(begin(&c, base + 2, base + 3, false) == SILENT);
	CHECK(end(&c, CCN_COMMIT, base + 3, 0, 0) == ACKED);
	free(message);
	client_forget(&c);
}

/* What ends a connection, each by itself. */
static void nonsense(void)
{
	static const struct {
		struct ccn_header header;
		int code;
		bool greet;
	} said[] = {
	    {{.length = 0, .type = CCN_STATS}, CCN_NAK_LENGTH, true},
	    {{.length = 15, .type = CCN_STATS}, CCN_NAK_LENGTH, true},
	    {{.length = 17, .type = CCN_STATS}, CCN_NAK_LENGTH, true},
	    {{.length = 16, .type = CCN_STATS, .count = 1}, CCN_NAK_LENGTH, true},
	    {{.length = 16, .type = CCN_ROUTE, .count = 1U << 31}, CCN_NAK_LENGTH, true},
	    {{.length = CCN_MAX_MESSAGE + 16, .type = CCN_ROUTE, .count = CCN_MAX_MESSAGE / 32},
	     CCN_NAK_LENGTH,
	     true},
	    {{.length = UINT32_MAX, .type = CCN_HELLO, .count = 1}, CCN_NAK_LENGTH, false},
	    {{.length = 16, .type = CCN_ACK}, CCN_NAK_SEQUENCE, true}, /* an answer */
	    {{.length = 16, .type = 65535}, CCN_NAK_SEQUENCE, true},
	    {{.length = 16, .type = CCN_DUMP}, CCN_NAK_SEQUENCE, false},
	};

	for (unsigned i = 0; i < sizeof(said) / sizeof(*said); i++) {
		struct client c = {0};

		CHECK(!said[i].greet || greet(&c) == ACKED);
		CHECK(client_hear(&c, (const void *)&said[i].header, sizeof(said[i].header)));
		CHECK(answer(&c) == said[i].code && c.closing && c.fault);
		CHECK(client_hear(&c, (const void *)&said[i].header, sizeof(said[i].header)));
		CHECK(answer(&c) == SILENT); /* nothing more is heard */
		client_forget(&c);
	}
}

int main(void)
{
	check_eal();
	CHECK(fib_init() == 0);
	transactions();
	silence();
	offenders();
	large();
	nonsense();
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
