/* SPDX-License-Identifier: Apache-2.0
 * From the counters in memory to CCN_COUNTER records.
 */
#include "stats.h"

#include <stdio.h>
#include <string.h>

#include "port.h"

struct worker_stats worker_stats;
struct slow_stats slow_stats;

static const char *const reasons[DROP_REASON_COUNT] = {
#define X(id, text) [id] = text,
    DROP_REASONS(X)
#undef X
};

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

void stats_walk(void (*callback)(void *context, const struct ccn_counter *counter), void *context)
{
	const struct emitter to = {callback, context};
	const struct worker_stats *w = &worker_stats;
	const struct slow_stats *s = &slow_stats;
	char scope[32];

	emit(&to, "worker 0", "polls", w->polls);
	emit(&to, "worker 0", "packets", w->packets);
	emit(&to, "worker 0", "busy-cycles", w->busy_cycles);
	emit(&to, "worker 0", "sleeps", w->sleeps);
	emit(&to, "worker 0", "punted", w->punted);
	emit(&to, "worker 0", "injected", w->injected);
	for (unsigned i = 0; i < port_count(); i++) {
		const struct port_stats *p = &w->port[i];

		snprintf(scope, sizeof(scope), "port %s", port_name(i));
		emit(&to, scope, "rx-packets", p->rx_packets);
		emit(&to, scope, "rx-bytes", p->rx_bytes);
		emit(&to, scope, "tx-packets", p->tx_packets);
		emit(&to, scope, "tx-bytes", p->tx_bytes);
		if (port_is_file(i))
			emit(&to, scope, "rx-finished", p->rx_finished);
	}
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		emit(&to, "drop", reasons[i], w->drop[i] + s->drop[i]);
	emit(&to, "slow-path", "neighbor-requests-sent", s->neighbor_requests_sent);
	emit(&to, "slow-path", "neighbor-replies-sent", s->neighbor_replies_sent);
	emit(&to, "slow-path", "echo-replies-sent", s->echo_replies_sent);
	emit(&to, "slow-path", "tap-written", s->tap_written);
	emit(&to, "slow-path", "tap-read", s->tap_read);
	for (unsigned i = 0; i < MAX_CCSIS; i++) {
		if (w->ccsi[i].packets == 0)
			continue;
		snprintf(scope, sizeof(scope), "ccsi %u", i);
		emit(&to, scope, "packets", w->ccsi[i].packets);
		emit(&to, scope, "bytes", w->ccsi[i].bytes);
	}
}
