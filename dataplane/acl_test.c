/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule sets against a plain reading of their rows, over random rows and packets of few addresses
 * and ports, so that they meet; sharing, counting, and what is taken over by a successor.
 */
#include "acl.h"

#include <string.h>
#include <time.h>

#include <netinet/in.h>

#include "check_eal.h"
#include "classify.h"

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 50};

static void random_range(uint64_t *state, uint16_t range[2])
{
	range[0] = (uint16_t)(1 + random_below(state, 4));
	range[1] = (uint16_t)(range[0] + random_below(state, 4));
}

static void random_prefix(uint64_t *state, bool v6, uint8_t address[16], uint8_t *length)
{
	/* few bits differ: those around the borders of rte_acl's words */
	const unsigned bits = v6 ? 128 : 32;
	const unsigned lengths[] = {0, bits / 4 - 1, bits / 4, bits / 4 + 1, bits - 1, bits};

	*length = (uint8_t)lengths[random_below(state, 6)];
	for (unsigned i = 0; i < 3; i++) {
		unsigned bit = lengths[1 + random_below(state, 4)];

		if (bit < *length && random_below(state, 2))
			address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	}
}

static struct ccn_acl_rule random_row(uint64_t *state, uint32_t sequence)
{
	struct ccn_acl_rule row = {.sequence = sequence,
				   .rule = (uint16_t)(sequence / 2),
				   .action = (uint8_t)(1 + random_below(state, 2)),
				   .family = random_below(state, 2) ? 4 : 6,
				   .any_protocol = random_below(state, 3) == 0,
				   .source_port = {0, 65535},
				   .destination_port = {0, 65535}};

	random_prefix(state, row.family == 6, row.source, &row.source_length);
	random_prefix(state, row.family == 6, row.destination, &row.destination_length);
	if (!row.any_protocol)
		row.protocol = protocols[random_below(state, 5)];
	if (row.protocol == IPPROTO_TCP || row.protocol == IPPROTO_UDP ||
	    row.protocol == IPPROTO_SCTP) {
		if (random_below(state, 2))
			random_range(state, row.source_port);
		if (random_below(state, 2))
			random_range(state, row.destination_port);
	}
	CHECK(acl_rule_fault(&row) == NULL);
	return row;
}

/* What a packet is for a rule. `kind`: 0 whole, 1 first fragment, 2 later fragment, 3 too short. */
struct sample {
	uint8_t octets[128];
	struct packet packet;
	uint8_t source[16], destination[16], protocol;
	uint16_t ports[2]; /* 0: none or not known */
	bool unreadable;
};

static void random_sample(uint64_t *state, struct sample *s)
{
	const bool v6 = random_below(state, 2);
	const unsigned kind = random_below(state, 4), width = v6 ? 16 : 4;
	const bool options = random_below(state, 3) == 0;
	uint8_t *ip = s->octets, *at;
	uint8_t length;
	bool ports;

	memset(s, 0, sizeof(*s));
	s->protocol = protocols[random_below(state, 5)];
	ports =
	    s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP || s->protocol == IPPROTO_SCTP;
	random_prefix(state, v6, s->source, &length);
	random_prefix(state, v6, s->destination, &length);
	if (v6) {
		ip[0] = 0x60;
		ip[6] = s->protocol;
		memcpy(ip + 8, s->source, 16);
		memcpy(ip + 24, s->destination, 16);
		at = ip + 40;
		if (options) { /* destination options of 16 octets */
			ip[6] = IPPROTO_DSTOPTS;
			at[0] = s->protocol;
			at[1] = 1;
			at += 16;
		}
		if (kind == 1 || kind == 2) {
			*(options ? ip + 40 : ip + 6) = IPPROTO_FRAGMENT;
			at[0] = s->protocol;
			at[3] = kind == 1 ? 1 : 8;
			at += 8;
		}
	} else {
		ip[0] = options ? 0x46 : 0x45;
		ip[6] = kind == 1 ? 0x20 : 0;
		ip[7] = kind == 2 ? 1 : 0;
		ip[9] = s->protocol;
		memcpy(ip + 12, s->source, width);
		memcpy(ip + 16, s->destination, width);
		at = ip + (options ? 24 : 20);
	}
	for (unsigned i = 0; i < 2; i++)
		at[2 * i + 1] = (uint8_t)random_below(state, 9);
	if (ports && kind < 2) {
		s->ports[0] = at[1];
		s->ports[1] = at[3];
	}
	s->unreadable = ports && kind == 3;
	s->packet = (struct packet){
	    .ip = ip, .family = v6 ? 6 : 4, .length = (uint16_t)(at - ip + (kind == 3 ? 3 : 8))};
}

static bool covers(const uint8_t *prefix, unsigned length, const uint8_t *address)
{
	for (unsigned bit = 0; bit < length; bit++)
		if ((prefix[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool in_range(const uint16_t range[2], uint16_t port)
{
	return port >= range[0] && port <= range[1];
}

static struct acl_verdict plainly(const struct ccn_acl_rule *rows, uint32_t count, uint32_t rules,
				  const struct sample *s)
{
	for (uint32_t i = 0; i < count && !s->unreadable; i++) {
		const struct ccn_acl_rule *r = &rows[i];

		if (r->family == s->packet.family &&
		    covers(r->source, r->source_length, s->source) &&
		    covers(r->destination, r->destination_length, s->destination) &&
		    (r->any_protocol || r->protocol == s->protocol) &&
		    in_range(r->source_port, s->ports[0]) &&
		    in_range(r->destination_port, s->ports[1]))
			return (struct acl_verdict){i, r->rule, r->action == CCN_ACL_DENY};
	}
	return (struct acl_verdict){UINT32_MAX, rules, true};
}

static struct ccsi_acl *make(const struct ccn_acl_rule *rows, uint32_t count)
{
	const char *fault;
	bool memory;
	struct ccsi_acl *made = ccsi_acl_make(rows, count, &fault, &memory);

	CHECK(made);
	return made;
}

/* Bursts of both versions and of two CCSIs; every verdict and every counter as expected. */
static unsigned compare(uint64_t *state)
{
	struct ccn_acl_rule rows[2][24];
	struct ccsi_acl *acls[2], *of[ACL_BURST];
	static struct sample samples[ACL_BURST];
	const struct packet *packets[ACL_BURST];
	struct acl_verdict verdicts[ACL_BURST], expected;
	uint64_t counted[2][16] = {0};
	unsigned denied = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t count = 1 + random_below(state, 24);

		for (uint32_t j = 0; j < count; j++)
			rows[i][j] = random_row(state, j);
		acls[i] = make(rows[i], count);
	}
	for (unsigned i = 0; i < ACL_BURST; i++) {
		random_sample(state, &samples[i]);
		packets[i] = &samples[i].packet;
		of[i] = acls[random_below(state, 2)];
	}
	acl_judge(of, packets, ACL_BURST, 1, verdicts);
	for (unsigned i = 0; i < ACL_BURST; i++) {
		unsigned which = of[i] == acls[1];

		expected = plainly(rows[which], of[i]->acl->row_count, of[i]->acl->rule_count,
				   &samples[i]);
		CHECK(verdicts[i].row == expected.row);
		CHECK(verdicts[i].rule == expected.rule && verdicts[i].deny == expected.deny);
		counted[which][expected.rule]++;
		denied += expected.deny;
	}
	for (unsigned i = 0; i < 2; i++) {
		for (uint32_t j = 0; j <= acls[i]->acl->rule_count; j++)
			CHECK(ccsi_acl_hits(acls[i], j) == counted[i][j]);
		ccsi_acl_free(acls[i]);
	}
	return denied;
}

static void share_and_take_over(uint64_t *state)
{
	struct ccn_acl_rule rows[8];
	struct ccsi_acl *first, *second, *third;
	struct sample s;
	const struct packet *packet = &s.packet;
	struct acl_verdict verdict;

	for (uint32_t i = 0; i < 8; i++) {
		rows[i] = random_row(state, i);
		rows[i].action = CCN_ACL_DENY;
		rows[i].name[0] = (uint8_t)('a' + rows[i].rule);
	}
	first = make(rows, 8);
	second = make(rows, 8);
	CHECK(first->acl == second->acl && first->acl->references == 2);
	CHECK(first->hits != second->hits);
	for (unsigned i = 0; i < 1000; i++) {
		random_sample(state, &s);
		acl_judge(&first, &packet, 1, i % 2, &verdict);
	}
	CHECK(ccsi_acl_hits(first, 0) > 0 && ccsi_acl_hits(second, 0) == 0);
	rows[7].any_protocol ^= 1;
	rows[7].protocol = 0;
	rows[6].rule = rows[7].rule = 3;
	rows[6].name[0] = rows[7].name[0] = 'z'; /* another rule now */
	third = make(rows, 7);
	CHECK(third->acl != first->acl);
	ccsi_acl_take_over(third, first);
	for (uint32_t i = 0; i < 3; i++)
		CHECK(ccsi_acl_hits(third, i) == ccsi_acl_hits(first, i));
	CHECK(ccsi_acl_hits(third, 3) == 0);
	CHECK(ccsi_acl_hits(third, 4) == ccsi_acl_hits(first, 4)); /* unmatched */
	ccsi_acl_free(first);
	CHECK(second->acl->references == 1);
	acl_judge(&second, &packet, 1, 0, &verdict);
	ccsi_acl_free(second);
	ccsi_acl_free(third);
}

/* A thousand rules in each of many CCSIs are taken over by one commit, and told by one STATS. */
static void many_rules(void)
{
	static struct ccn_acl_rule rows[ACL_MAX_ROWS];
	struct ccsi_acl *first, *second;
	const clock_t begun = clock();

	for (uint32_t i = 0; i < ACL_MAX_ROWS; i++) {
		rows[i] = (struct ccn_acl_rule){.sequence = i,
						.rule = (uint16_t)i,
						.action = CCN_ACL_PERMIT,
						.family = 4,
						.protocol = IPPROTO_TCP,
						.source_port = {0, 65535},
						.destination_port = {1, 1}};
		memcpy(rows[i].name, &i, sizeof(i));
	}
	first = make(rows, ACL_MAX_ROWS);
	rows[7].destination_port[1] = 2;
	second = make(rows, ACL_MAX_ROWS);
	for (uint32_t i = 0; i < ACL_MAX_ROWS; i++)
		first->hits[i] = i;
	for (unsigned i = 0; i < 20; i++)
		ccsi_acl_take_over(second, first);
	for (uint32_t i = 0; i < ACL_MAX_ROWS; i++) {
		CHECK(ccsi_acl_hits(second, i) == 20 * i);
		CHECK(acl_rule(second->acl, i) == &second->acl->row[i]);
	}
	CHECK(!acl_rule(second->acl, ACL_MAX_ROWS));
	CHECK(clock() - begun < 2 * CLOCKS_PER_SEC);
	ccsi_acl_free(first);
	ccsi_acl_free(second);
}

static void faults(uint64_t *state)
{
	static struct ccn_acl_rule rows[ACL_MAX_ROWS + 1];
	struct ccn_acl_rule good = {.action = CCN_ACL_PERMIT,
				    .family = 4,
				    .protocol = IPPROTO_TCP,
				    .source_port = {0, 65535},
				    .destination_port = {22, 22}};
	struct ccn_acl_rule bad;
	const char *fault;
	bool memory;

	CHECK(acl_rule_fault(&good) == NULL);
#define BAD(change)                                                                                \
	do {                                                                                       \
		bad = good;                                                                        \
		bad.change;                                                                        \
		CHECK(acl_rule_fault(&bad));                                                       \
	} while (0)
	BAD(family = 5);
	BAD(action = 0);
	BAD(action = 3);
	BAD(rule = ACL_MAX_RULES);
	BAD(source_length = 33);
	BAD(source[0] = 10);
	BAD(destination[15] = 1);
	BAD(destination_port[0] = 0);
	BAD(destination_port[0] = 23);
	BAD(any_protocol = 1);
	BAD(protocol = IPPROTO_ICMP);
	for (uint32_t i = 0; i <= ACL_MAX_ROWS; i++) {
		rows[i] = random_row(state, i);
		rows[i].family = 4;
		rows[i].source_length = rows[i].destination_length = 0;
	}
	CHECK(!ccsi_acl_make(rows, ACL_MAX_ROWS + 1, &fault, &memory) && !memory);
}

int main(void)
{
	uint64_t state = 2026;
	unsigned denied = 0;

	check_eal();
	acl_set_workers(2);
	for (unsigned i = 0; i < 300; i++)
		denied += compare(&state);
	CHECK(denied > 1000 && denied < 300 * ACL_BURST - 1000);
	for (unsigned i = 0; i < 20; i++)
		share_and_take_over(&state);
	many_rules();
	faults(&state);
	rte_eal_cleanup();
	return 0;
}
