/* SPDX-License-Identifier: Apache-2.0
 * From the counters in memory to CCN_COUNTER records.
 */
#include "stats.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rte_mempool.h>

#include "fib.h"
#include "port.h"

struct slow_stats slow_stats;

static const struct worker_stats *workers[MAX_WORKERS];
static unsigned worker_count;

static const char *const reasons[DROP_REASON_COUNT] = {
#define X(id, text) [id] = text,
    DROP_REASONS(X)
#undef X
};

static const char *const stages[STAGE_COUNT] = {
#define X(id, text) [id] = text,
    STAGES(X)
#undef X
};

static const char *const classes[PUNT_CLASSES] = {
#define X(id, name, rate, burst) [id] = name,
    PUNT_CLASSES_OF(X)
#undef X
};

const char *stats_drop_name(unsigned reason)
{
	return reasons[reason];
}

static const struct rte_mempool *buffers;

struct emitter {
	void (*emit)(void *context, const struct ccn_counter *counter);
	void *context;
};

static void emit(const struct emitter *to, const char *scope, const char *name, uint64_t value)
{
	struct ccn_counter counter = {.value = value};

	snprintf((char *)counter.scope, sizeof(counter.scope), "%s", scope);
	snprintf((char *)counter.name, sizeof(counter.name), "%s", name);
	to->emit(to->context, &counter);
}

void stats_add_worker(const struct worker_stats *stats)
{
	workers[worker_count++] = stats;
}

const struct worker_stats *stats_worker(unsigned index)
{
	return workers[index];
}

const char *stats_stage_name(enum stage stage)
{
	return stages[stage];
}

void stats_watch_buffers(const struct rte_mempool *pool)
{
	buffers = pool;
}

/* Of all workers; the counter is named by where it stands in the first. */
static uint64_t sum(size_t offset)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < worker_count; i++)
		total += *(const uint64_t *)((const uint8_t *)workers[i] + offset);
	return total;
}

#define SUM(member) sum(offsetof(struct worker_stats, member))

static void walk_worker(const struct emitter *to, unsigned index)
{
	const struct worker_stats *w = workers[index];
	char scope[32], name[32];

	snprintf(scope, sizeof(scope), "worker %u", index);
	emit(to, scope, "polls", w->polls);
	emit(to, scope, "packets", w->packets);
	emit(to, scope, "busy-cycles", w->busy_cycles);
	emit(to, scope, "sleeps", w->sleeps);
	emit(to, scope, "punted", w->punted);
	emit(to, scope, "injected", w->injected);
	emit(to, scope, "handed-over", w->handed_over);
	emit(to, scope, "sampled-packets", w->sampled_packets);
	for (unsigned i = 0; i < STAGE_COUNT; i++) {
		snprintf(name, sizeof(name), "cycles-%s", stages[i]);
		emit(to, scope, name, w->stage_cycles[i]);
	}
}

static void walk_port(const struct emitter *to, unsigned port)
{
	char scope[32];

	snprintf(scope, sizeof(scope), "port %s", port_name(port));
	emit(to, scope, "rx-packets", SUM(port[port].rx_packets));
	emit(to, scope, "rx-bytes", SUM(port[port].rx_bytes));
	emit(to, scope, "tx-packets", SUM(port[port].tx_packets));
	emit(to, scope, "tx-bytes", SUM(port[port].tx_bytes));
	if (port_is_file(port))
		emit(to, scope, "rx-finished", SUM(port[port].rx_finished) == port_rx_queues(port));
}

/* "acl 100": "permit web", "deny default", ...; what no rule matched is denied. */
static void walk_acl(const struct emitter *to, uint32_t ccsi, const struct ccsi_acl *held)
{
	char scope[32], name[sizeof(((struct ccn_counter *)0)->name)];

	snprintf(scope, sizeof(scope), "acl %u", ccsi);
	for (uint32_t i = 0; i < held->acl->rule_count; i++) {
		const struct ccn_acl_rule *rule = acl_rule(held->acl, i);

		if (!rule)
			continue;
		snprintf(name, sizeof(name), "%s %.32s",
			 rule->action == CCN_ACL_DENY ? "deny" : "permit",
			 (const char *)rule->name);
		emit(to, scope, name, ccsi_acl_hits(held, i));
	}
	emit(to, scope, "unmatched", ccsi_acl_hits(held, held->acl->rule_count));
}

void stats_walk(void (*callback)(void *context, const struct ccn_counter *counter), void *context)
{
	const struct emitter to = {callback, context};
	const struct slow_stats *s = &slow_stats;
	char scope[32];

	for (unsigned i = 0; i < worker_count; i++)
		walk_worker(&to, i);
	for (unsigned i = 0; i < port_count(); i++)
		walk_port(&to, i);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		emit(&to, "drop", reasons[i], SUM(drop[i]) + s->drop[i]);
	for (unsigned i = 0; i < PUNT_CLASSES; i++) {
		snprintf(scope, sizeof(scope), "punt %s", classes[i]);
		emit(&to, scope, "taken", SUM(punt[i].taken));
		emit(&to, scope, "refused", SUM(punt[i].refused));
	}
	emit(&to, "slow-path", "neighbor-requests-sent", s->neighbor_requests_sent);
	emit(&to, "slow-path", "neighbor-replies-sent", s->neighbor_replies_sent);
	emit(&to, "slow-path", "echo-replies-sent", s->echo_replies_sent);
	emit(&to, "slow-path", "errors-sent", s->errors_sent);
	emit(&to, "slow-path", "fragments-sent", s->fragments_sent);
	emit(&to, "slow-path", "tap-written", s->tap_written);
	emit(&to, "slow-path", "tap-read", s->tap_read);
	if (buffers) {
		emit(&to, "buffers", "size", buffers->size);
		emit(&to, "buffers", "free", rte_mempool_avail_count(buffers));
	}
	for (unsigned i = 0; i < MAX_CCSIS; i++) {
		uint64_t packets = SUM(ccsi[i].packets);

		if (packets == 0)
			continue;
		snprintf(scope, sizeof(scope), "ccsi %u", i);
		emit(&to, scope, "packets", packets);
		emit(&to, scope, "bytes", SUM(ccsi[i].bytes));
	}
}

/* "uplink eth1": what is known of it, and how many of 512 flows to routed VTEPs leave by it. */
static void walk_uplink(const struct emitter *to, const struct underlay *u,
			const struct uplink *uplink)
{
	const uint8_t state = __atomic_load_n(&uplink->state, __ATOMIC_RELAXED);
	const ptrdiff_t index = uplink - u->at;
	uint64_t flows = 0;
	char scope[32];

	for (unsigned b = 0; uplink->router && b < GROUP_BUCKETS; b++)
		flows += __atomic_load_n(&u->bucket[b], __ATOMIC_RELAXED) == index;
	snprintf(scope, sizeof(scope), "uplink %s", port_name(uplink->port));
	/* what is wrong is not zero */
	emit(to, scope, "link-down", state == UPLINK_LINK_DOWN);
	if (!uplink->router)
		return;
	emit(to, scope, "router-silent",
	     neigh_mac(uplink->router) == 0 || neigh_is_silent(uplink->router));
	emit(to, scope, "flows-of-512", flows);
	emit(to, scope, "failures", __atomic_load_n(&uplink->failures, __ATOMIC_RELAXED));
}

void stats_walk_tables(const struct fib *fib,
		       void (*callback)(void *context, const struct ccn_counter *counter),
		       void *context)
{
	const struct emitter to = {callback, context};
	const struct underlay *u = fib ? fib->interfaces->underlay : NULL;

	for (unsigned i = 0; u && i < u->count; i++)
		walk_uplink(&to, u, &u->at[i]);
	for (unsigned i = 0; fib && i < MAX_CCSIS; i++)
		if (fib->acl[i])
			walk_acl(&to, i, fib->acl[i]);
}
