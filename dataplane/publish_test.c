/* SPDX-License-Identifier: Apache-2.0
 * The order in which a transaction is put into force, as a reader meets it; and which of many records a
 * refusal names.
 */
#include "commit.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "check_eal.h"
#include "check_ports.h"
#include "check_tables.h"
#include "reclaim.h"

static bool stop;

static bool in_force(const struct check_records *messages, bool full)
{
	static const uint8_t digest[32];
	const uint64_t now = fib_current ? fib_current->generation : 0;
	struct refusal refusal;

	return commit(messages->data, messages->length, full, now + 1, digest, &refusal) == 0;
}

/* A slot that routes alone have left may become another table's next hop by the next transaction:
 * not while a reader is still on its way there. */
static void *put_last(void *messages)
{
	CHECK(in_force(messages, false));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void check_slot_used_again(void)
{
	static struct check_records first, moved, again;
	struct ccn_route route = {.ccsi = 1, .next_hop = 5, .family = 4};
	struct ccn_next_hop hop = {.slot = 5, .kind = CCN_ON_LINK, .vni = 101};
	const struct ccn_ccsi ccsi = {.id = 1};
	pthread_t writer;
	uint32_t slot, address = 0;

	check_add(&first, CCN_CCSI, 0, &ccsi);
	check_add(&first, CCN_NEXT_HOP, 0, &hop);
	hop.slot = 9;
	check_add(&first, CCN_NEXT_HOP, 0, &hop);
	check_add(&first, CCN_ROUTE, 0, &route);
	CHECK(in_force(&first, true));

	rte_rcu_qsbr_thread_online(fib_qsbr, READER_WORKER);
	lpm_lookup_burst4(&fib_current->lpm[0][1], &address, &slot, 1);
	route.next_hop = 9;
	check_add(&moved, CCN_ROUTE, 0, &route);
	CHECK(in_force(&moved, false)); /* waits for nobody */

	hop.slot = 5;
	hop.vni = 102; /* another table's */
	check_add(&again, CCN_NEXT_HOP, 0, &hop);
	CHECK(pthread_create(&writer, NULL, put_last, &again) == 0);
	for (int i = 0; i < 100; i++) {
		usleep(500);
		CHECK(slot == 5 && fib_next_hop(fib_current, slot)->record.vni == 101);
	}
	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_WORKER);
	pthread_join(writer, NULL);
	CHECK(stop && fib_next_hop(fib_current, slot)->record.vni == 102);
	stop = false;
}

/* A route that comes with an access list is not there for a packet that the list has not seen. */
static void check_list_before_route(void)
{
	static struct check_records first, both;
	const struct ccn_ccsi ccsi = {.id = 1};
	const struct ccn_next_hop hop = {.slot = 5, .kind = CCN_ON_LINK, .vni = 101};
	const struct ccn_route route = {.ccsi = 1, .next_hop = 5, .family = 4};
	const struct ccn_acl_rule rule = {.ccsi = 1,
					  .action = CCN_ACL_DENY,
					  .family = 4,
					  .any_protocol = 1,
					  .source_port = {0, 65535},
					  .destination_port = {0, 65535}};
	pthread_t writer;

	check_add(&first, CCN_CCSI, 0, &ccsi);
	check_add(&first, CCN_NEXT_HOP, 0, &hop);
	CHECK(in_force(&first, true));
	check_add(&both, CCN_ROUTE, 0, &route);
	check_add(&both, CCN_ACL_RULE, 0, &rule);
	rte_rcu_qsbr_thread_online(fib_qsbr, READER_WORKER);
	CHECK(!fib_current->acl[1]); /* what this packet has seen of it */
	CHECK(pthread_create(&writer, NULL, put_last, &both) == 0);
	for (int i = 0; i < 100; i++) {
		usleep(500);
		CHECK(!__atomic_load_n(&fib_current->lpm[0][1], __ATOMIC_ACQUIRE));
	}
	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_WORKER);
	pthread_join(writer, NULL);
	CHECK(stop && fib_current->lpm[0][1] && fib_current->acl[1]);
	stop = false;
}

/* One message of routes in two tables, of which each in turn is the first that is wrong. */
static void check_record_named(void)
{
	enum { ROUTES = 600 };
	static struct {
		struct ccn_header header;
		struct ccn_route route[ROUTES];
	} message = {{.length = sizeof(message), .type = CCN_ROUTE, .count = ROUTES}, {{0}}};
	static struct check_records first;
	static const uint8_t digest[32];
	struct ccn_next_hop hop = {.slot = 5, .kind = CCN_ON_LINK, .vni = 101};
	struct refusal refusal;

	for (uint32_t id = 1; id <= 2; id++)
		check_add(&first, CCN_CCSI, 0, &(struct ccn_ccsi){.id = id});
	check_add(&first, CCN_NEXT_HOP, 0, &hop);
	CHECK(in_force(&first, true));
	for (uint32_t i = 0; i < ROUTES; i++)
		message.route[i] = (struct ccn_route){
		    .ccsi = 1 + i / 310,
		    .next_hop = 5,
		    .prefix = {10, (uint8_t)(i >> 8), (uint8_t)i},
		    .family = 4,
		    .length = 24,
		};
	for (uint32_t i = 0; i < ROUTES; i++) {
		struct ccn_route *r = &message.route[i];
		const struct ccn_route right = *r;

		if (i % 4 == 0)
			r->prefix[3] = 1; /* beyond the length */
		else if (i % 4 == 1)
			r->next_hop = i % 8 == 1 ? 6 : 1 << 24;
		else if (i % 4 == 2)
			r->ccsi = i % 8 == 2 ? 3 : 1 << 16;
		else
			r->family = 5;
		CHECK(commit((const void *)&message, sizeof(message), false,
			     fib_current->generation + 1, digest, &refusal) < 0);
		CHECK(refusal.code == CCN_NAK_RECORD && refusal.record == i);
		*r = right;
	}
	CHECK(commit((const void *)&message, sizeof(message), false, fib_current->generation + 1,
		     digest, &refusal) == 0);
	CHECK(fib_current->routes == ROUTES);
}

int main(void)
{
	check_eal();
	CHECK(fib_init() == 0);
	check_slot_used_again();
	check_list_before_route();
	check_record_named();
	reclaim_all();
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
