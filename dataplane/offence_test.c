/* SPDX-License-Identifier: Apache-2.0
 * Whom drops hit, of two workers: the first and the last of each reason, of all packets and of each
 * CCSI; and what a device does not take is its CCSI's.
 */
#define CHECK_PORTS 2
#include "offence.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "check_eal.h"
#include "check_ports.h"
#include "classify.h"
#include "tx.h"

#define FRAMES 5
#define TAKEN 2

const char *stats_drop_name(unsigned reason)
{
	return reason == DROP_TX_FULL ? "tx-full" : reason == DROP_NO_ROUTE ? "no-route" : "other";
}

struct seen {
	unsigned count;
	struct ccn_offender at[8];
};

static void keep(void *context, const struct ccn_offender *offender)
{
	struct seen *seen = context;

	CHECK(seen->count < 8);
	seen->at[seen->count++] = *offender;
}

static struct seen offenders(uint32_t ccsi)
{
	struct seen seen = {0};

	offences_walk(ccsi, keep, &seen);
	return seen;
}

static void add(void *context, const struct ccn_counter *counter)
{
	CHECK(!strcmp((const char *)counter->scope, "drop-ccsi 7"));
	*(uint64_t *)context += counter->value;
}

static void note(struct worker *w, uint16_t ccsi, uint32_t vni)
{
	const struct packet packet = {.ccsi = ccsi, .vni = vni};

	offence_note(&w->offences, DROP_NO_ROUTE, &packet);
}

static void of_two_workers(struct worker *one, struct worker *other)
{
	uint64_t of_seven = 0;
	struct seen seen;

	CHECK(offenders(0).count == 0 && offenders(7).count == 0);
	note(one, 7, 1);
	note(other, 8, 2);
	note(other, 7, 3);
	note(one, 8, 4);
	note(one, 0, 5); /* whose, nobody knows */
	seen = offenders(0);
	CHECK(seen.count == 2 && seen.at[0].vni == 1 && seen.at[1].vni == 5);
	seen = offenders(7);
	CHECK(seen.count == 2 && seen.at[0].vni == 1 && seen.at[1].vni == 3);
	CHECK(!seen.at[0].last && seen.at[1].last && seen.at[0].at <= seen.at[1].at);
	seen = offenders(8);
	CHECK(seen.count == 2 && seen.at[0].vni == 2 && seen.at[1].vni == 4);
	CHECK(offenders(9).count == 0);
	offences_count(7, add, &of_seven);
	CHECK(of_seven == 2);
}

static uint16_t take_two(void *queue, struct rte_mbuf **m, uint16_t count)
{
	static bool asked;
	const uint16_t taken = asked ? 0 : RTE_MIN(count, TAKEN);

	(void)queue;
	asked = true;
	rte_pktmbuf_free_bulk(m, taken);
	return taken;
}

static void of_a_full_port(struct worker *w)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("tx", 63, 0, 0, 2048, SOCKET_ID_ANY);
	struct seen seen;

	CHECK(pool);
	rte_eth_fp_ops[0].tx_pkt_burst = take_two;
	rte_eth_fp_ops[0].txq.data = (void *[]){NULL};
	for (uint16_t i = 0; i < FRAMES; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		CHECK(m && rte_pktmbuf_append(m, 100));
		transmit(w, 1, m, i == FRAMES - 1 ? 0 : (uint16_t)(20 + i));
	}
	tx_flush(w, 1);
	CHECK(w->stats.port[1].tx_packets == TAKEN && w->stats.port[1].tx_bytes == TAKEN * 100);
	CHECK(w->stats.drop[DROP_TX_FULL] == FRAMES - TAKEN && w->tx[1].count == 0);
	CHECK(offenders(20).count == 0 && offenders(21).count == 0); /* their frames have left */
	for (uint32_t ccsi = 22; ccsi < 24; ccsi++) {
		seen = offenders(ccsi);
		CHECK(seen.count == 2 && !strcmp((const char *)seen.at[0].reason, "tx-full"));
		CHECK(!strcmp((const char *)seen.at[0].port, "p1") && seen.at[0].family == 0);
	}
	CHECK(rte_mempool_avail_count(pool) == 63);
	rte_mempool_free(pool);
}

int main(void)
{
	static struct worker workers[2];

	check_eal();
	for (unsigned i = 0; i < 2; i++)
		offences_watch(&workers[i].offences);
	of_two_workers(&workers[0], &workers[1]);
	of_a_full_port(&workers[1]);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned ccsi = 0; ccsi < MAX_CCSIS; ccsi++)
			free(workers[i].offences.of_ccsi[ccsi]);
	rte_eal_cleanup();
	return 0;
}
