/* SPDX-License-Identifier: Apache-2.0
 * From counters and ports to DPDK's telemetry data. Runs in DPDK's telemetry thread; reads only.
 */
#include "telemetry.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#include "offence.h"
#include "port.h"
#include "port_report.h"
#include "stats.h"

static unsigned workers;
static bool fan_out;

/* DPDK refuses other names than of letters, digits and '_'. */
static const char *plain(const char *name, char text[48])
{
	snprintf(text, 48, "%s", name);
	for (char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	return text;
}

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define ADD_NUMBER rte_tel_data_add_dict_uint
#else
#define ADD_NUMBER rte_tel_data_add_dict_u64
#endif

static void add(struct rte_tel_data *to, const char *name, uint64_t value)
{
	char text[48];

	ADD_NUMBER(to, plain(name, text), value);
}

/* --- counters, by the scopes that stats_walk gives them --- */

struct gathering {
	const char *scope;	   /* one ("drop"), or what several begin with ("worker ") */
	struct rte_tel_data *into; /* one */
	struct rte_tel_data *parts[RTE_TEL_MAX_DICT_ENTRIES]; /* several: one for each */
	char names[RTE_TEL_MAX_DICT_ENTRIES][48];
	unsigned count;
};

/* One after the other: stats_walk goes scope by scope. */
static void gather(void *context, const struct ccn_counter *counter)
{
	struct gathering *g = context;
	const char *scope = (const char *)counter->scope, *name = (const char *)counter->name;
	const size_t length = strlen(g->scope);

	if (g->into) {
		if (!strcmp(scope, g->scope))
			add(g->into, name, counter->value);
		return;
	}
	if (strncmp(scope, g->scope, length) != 0)
		return;
	scope += length;
	if (g->count == 0 || strcmp(g->names[g->count - 1], scope) != 0) {
		if (g->count == RTE_TEL_MAX_DICT_ENTRIES)
			return;
		g->parts[g->count] = rte_tel_data_alloc();
		rte_tel_data_start_dict(g->parts[g->count]);
		snprintf(g->names[g->count], sizeof(g->names[0]), "%s", scope);
		g->count++;
	}
	add(g->parts[g->count - 1], name, counter->value);
}

static int answer_one(const char *scope, struct rte_tel_data *data)
{
	struct gathering g = {.scope = scope, .into = data};

	rte_tel_data_start_dict(data);
	stats_walk(gather, &g);
	return 0;
}

static int answer_several(const char *prefix, struct rte_tel_data *data)
{
	struct gathering *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->scope = prefix;
	rte_tel_data_start_dict(data);
	stats_walk(gather, g);
	for (unsigned i = 0; i < g->count; i++)
		rte_tel_data_add_dict_container(data, g->names[i], g->parts[i], 0);
	free(g);
	return 0;
}

static int answer_workers(const char *command, const char *parameters, struct rte_tel_data *data)
{
	(void)command, (void)parameters;
	return answer_several("worker ", data);
}

/* The id of a CCSI; 0: what was given is none. */
static uint32_t ccsi_of(const char *parameters)
{
	const size_t length = strlen(parameters);
	const unsigned long number = strtoul(parameters, NULL, 10);

	return length <= 5 && strspn(parameters, "0123456789") == length && number < MAX_CCSIS
		   ? (uint32_t)number
		   : 0;
}

static void add_counter(void *data, const struct ccn_counter *counter)
{
	add(data, (const char *)counter->name, counter->value);
}

static int answer_drops(const char *command, const char *parameters, struct rte_tel_data *data)
{
	(void)command;
	if (!parameters || !*parameters)
		return answer_one("drop", data);
	if (ccsi_of(parameters) == 0)
		return -1;
	rte_tel_data_start_dict(data);
	offences_count(ccsi_of(parameters), add_counter, data);
	return 0;
}

static int answer_slow_path(const char *command, const char *parameters, struct rte_tel_data *data)
{
	(void)command, (void)parameters;
	return answer_one("slow-path", data);
}

static int answer_ccsi(const char *command, const char *parameters, struct rte_tel_data *data)
{
	char scope[48];

	(void)command;
	if (!parameters || !*parameters)
		return answer_several("ccsi ", data);
	if (ccsi_of(parameters) == 0)
		return -1;
	snprintf(scope, sizeof(scope), "ccsi %u", ccsi_of(parameters));
	return answer_one(scope, data);
}

/* --- what is no counter --- */

static int answer_stages(const char *command, const char *parameters, struct rte_tel_data *data)
{
	(void)command, (void)parameters;
	rte_tel_data_start_dict(data);
	for (unsigned i = 0; i < workers; i++) {
		const struct worker_stats *w = stats_worker(i);
		struct rte_tel_data *part = rte_tel_data_alloc();
		const uint64_t packets = w->sampled_packets;
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		rte_tel_data_start_dict(part);
		for (enum stage s = 0; s < STAGE_COUNT; s++)
			add(part, stats_stage_name(s),
			    packets ? (w->stage_cycles[s] + packets / 2) / packets : 0);
		rte_tel_data_add_dict_container(data, name, part, 0);
	}
	return 0;
}

static void add_bits(struct rte_tel_data *to, const char *name, enum port_bits kind, uint64_t bits)
{
	char text[1024];

	port_bit_names(kind, bits, text, sizeof(text));
	text[RTE_TEL_MAX_STRING_LEN - 1] = '\0';
	rte_tel_data_add_dict_string(to, name, text);
}

static int answer_ports(const char *command, const char *parameters, struct rte_tel_data *data)
{
	(void)command, (void)parameters;
	rte_tel_data_start_dict(data);
	for (unsigned i = 0; i < port_count(); i++) {
		const struct port_setup *setup = port_setup(i);
		struct rte_tel_data *part = rte_tel_data_alloc();
		struct ccn_port_status status;
		char scope[48];

		snprintf(scope, sizeof(scope), "port %s", port_name(i));
		port_status(i, &status);
		answer_one(scope, part);
		rte_tel_data_add_dict_string(part, "driver", (const char *)status.driver);
		rte_tel_data_add_dict_string(part, "link", status.up ? "up" : "down");
		add(part, "rx_queues", setup->rx_queues);
		add(part, "tx_queues", setup->tx_queues);
		rte_tel_data_add_dict_string(part, "spread_by",
					     port_spreading(i, workers, fan_out));
		add_bits(part, "rss", PORT_RSS, setup->rss_used);
		add_bits(part, "rx_offloads", PORT_RX_OFFLOADS, setup->rx_used);
		add_bits(part, "tx_offloads", PORT_TX_OFFLOADS, setup->tx_used);
		rte_tel_data_add_dict_container(data, plain(port_name(i), scope), part, 0);
	}
	return 0;
}

void telemetry_start(unsigned worker_count, bool with_fan_out)
{
	workers = worker_count;
	fan_out = with_fan_out;
	rte_telemetry_register_cmd("/ccn/ports", answer_ports,
				   "Each port: driver, link, queues, offloads used, counters.");
	rte_telemetry_register_cmd("/ccn/workers", answer_workers, "The counters of each worker.");
	rte_telemetry_register_cmd("/ccn/stages", answer_stages,
				   "TSC cycles per packet that each stage costs each worker.");
	rte_telemetry_register_cmd("/ccn/drops", answer_drops,
				   "Packets that were dropped, by reason. Parameter: the id of "
				   "a CCSI, whose alone they are.");
	rte_telemetry_register_cmd("/ccn/slow_path", answer_slow_path,
				   "The counters of ARP, ND, echo and taps.");
	rte_telemetry_register_cmd("/ccn/ccsi", answer_ccsi,
				   "The counters of each CCSI that has forwarded packets, the "
				   "first 256. Parameter: the id of one.");
}
