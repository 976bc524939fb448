/* SPDX-License-Identifier: Apache-2.0
 * The probe's way between control thread and worker 0, and what is noted of it.
 */
#include "trace.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "acl.h"
#include "fan_out.h"
#include "frame.h"
#include "fwd.h"
#include "port.h"
#include "tx.h"

#define MAX_STEPS 16
#define PATIENCE_MS 2000

enum state { IDLE, WAITING, TAKEN, DONE };

struct tracer {
	struct ccn_trace probe;
	unsigned port;
	bool no_buffer;
	const struct worker_stats *stats;
	uint32_t ccsi; /* that it was routed in, or 0 */
	unsigned count;
	struct ccn_trace_step step[MAX_STEPS];
	/* before it, then what it made of them */
	uint64_t drop[DROP_REASON_COUNT], punted;
	struct port_stats ports[MAX_PORTS];
	struct ccsi_stats in_ccsi;
};

/* One probe at a time: there is one control thread. Whoever moves the state has the rest. */
static struct {
	enum state state;
	struct rte_mempool *pool;
	struct tracer tracer;
} trace;

void trace_init(struct rte_mempool *pool)
{
	trace.pool = pool;
}

/* --- notes --- */

static struct ccn_trace_step *note(struct tracer *t, enum ccn_trace_kind kind)
{
	struct ccn_trace_step *step = &t->step[t->count];

	t->count += t->count < MAX_STEPS - 1;
	*step = (struct ccn_trace_step){.kind = kind};
	return step;
}

static void note_frame(struct tracer *t, enum ccn_trace_kind kind, unsigned port,
		       const struct rte_mbuf *m)
{
	struct ccn_trace_step *step = note(t, kind);

	snprintf((char *)step->name, sizeof(step->name), "%s", port_name(port));
	step->length = m->pkt_len;
	memcpy(step->octets, rte_pktmbuf_mtod(m, const void *),
	       RTE_MIN((size_t)m->data_len, sizeof(step->octets)));
}

static void note_ip(struct ccn_trace_step *step, int family, const uint8_t *ip)
{
	step->family = (uint8_t)family;
	memcpy(step->ip, ip, family == 4 ? 4 : 16);
}

static void note_next_hop(struct tracer *t, enum ccn_trace_kind kind, const struct next_hop *hop,
			  uint32_t slot)
{
	struct ccn_trace_step *step = note(t, kind);

	step->slot = slot;
	step->value = hop->record.kind;
	step->vni = hop->record.vni;
	step->family = hop->record.family;
	memcpy(step->ip, hop->record.ip, sizeof(step->ip));
	memcpy(step->mac, hop->record.mac, sizeof(step->mac));
}

/* An underlay address: four octets may be a name. */
static void note_vtep(struct ccn_trace_step *step, const struct fib *fib, uint32_t vtep)
{
	const struct vtep_names *names = __atomic_load_n(&fib->vtep_names, __ATOMIC_ACQUIRE);
	const uint8_t *address = vtep_is_name(vtep) ? vtep_address_of(names, vtep) : NULL;

	note_ip(step, address ? 6 : 4, address ? address : (const uint8_t *)&vtep);
}

static void note_neighbor(struct tracer *t, const struct egress *out, const struct neigh *neigh,
			  int family, const uint8_t *ip)
{
	struct ccn_trace_step *step = note(t, CCN_TRACE_ADJACENCY);
	uint64_t mac = neigh ? neigh_mac(neigh) : 0;

	note_ip(step, family, ip);
	memcpy(step->mac, &mac, sizeof(step->mac));
	if (neigh)
		snprintf((char *)step->name, sizeof(step->name), "%s", port_name(out->port));
}

static uint32_t hosts_of(const struct fib *fib, uint32_t adjacency)
{
	const struct vtep_set *set =
	    adjacency & SHARED ? vtep_set_at(&fib->vtep_sets, adjacency) : NULL;

	return set ? set->record.count : 1;
}

/* Where the next hop leads, as find_next_hops has left it in the job. */
static void note_way(struct tracer *t, const struct fib *fib, const struct job *job, unsigned count)
{
	const struct next_hop *first = job->slot == LPM_NONE ? NULL : fib_next_hop(fib, job->slot);
	const struct next_hop *hop = job->hop ? job->hop : first;
	const struct packet *packet = &job->packet;
	struct ccn_trace_step *step;
	const uint32_t flow = frame_flow_hash(packet->ip, packet->family, packet->length);
	uint32_t adjacency = job->to.adjacency;

	if (!first)
		return;
	note_next_hop(t, CCN_TRACE_NEXT_HOP, first, job->slot);
	if (hop != first)
		note_next_hop(t, CCN_TRACE_MEMBER, hop, hop->record.slot);
	if (count == 0)
		return;
	if (hop->record.kind == CCN_NEIGHBOR) {
		note_neighbor(t, &hop->out, hop->neigh, hop->record.family, hop->record.ip);
		return;
	}
	if (hop->record.kind == CCN_ON_LINK || hop->record.kind == CCN_VIP) {
		step = note(t, CCN_TRACE_VM);
		step->vni = job->to.vni;
		memcpy(step->mac, job->to.mac, sizeof(step->mac));
		step->value = hosts_of(fib, adjacency);
		if (hop->record.kind == CCN_VIP)
			note_ip(step, hop->record.family, hop->record.ip);
		else
			note_ip(step, packet->family, packet->ip + (packet->family == 4 ? 16 : 24));
		adjacency = vtep_set_member(&fib->vtep_sets, adjacency, flow);
	}

	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);

	if (adjacency < __atomic_load_n(&table->count, __ATOMIC_ACQUIRE)) {
		const struct adjacency *to = adjacency_way(&table->at[adjacency], flow);

		note_neighbor(t, &to->out, adjacency_neigh(to), to->six ? 6 : 4,
			      to->six ? to->six->address : (const uint8_t *)&to->vtep);
	}
}

void trace_stage(struct tracer *t, const struct fib *fib, enum stage stage, const struct job *job,
		 unsigned count)
{
	struct ccn_trace_step *step;

	switch (stage) {
	case STAGE_SORT_OUT:
		if (count == 0)
			return;
		step = note(t, CCN_TRACE_CLASSIFIED);
		step->ccsi = t->ccsi = job->packet.ccsi;
		step->vni = job->packet.vni;
		t->in_ccsi = t->stats->ccsi[t->ccsi];
		if (job->packet.vni)
			note_vtep(step, fib, job->packet.vtep);
		return;
	case STAGE_SOURCES:
		if (count == 0)
			return;
		step = note(t, CCN_TRACE_SOURCE);
		step->value = __atomic_load_n(&fib->source_open[t->ccsi], __ATOMIC_RELAXED);
		note_ip(step, job->packet.family,
			job->packet.ip + (job->packet.family == 4 ? 12 : 8));
		return;
	case STAGE_MATCH:
		if (count == 0)
			return;
		step = note(t, CCN_TRACE_ROUTE);
		step->ccsi = job->packet.ccsi;
		step->slot = job->slot;
		note_ip(step, job->packet.family,
			job->packet.ip + (job->packet.family == 4 ? 16 : 24));
		return;
	case STAGE_NEXT_HOP:
		note_way(t, fib, job, count);
		return;
	default:
		return;
	}
}

void trace_acl(struct tracer *t, const struct ccsi_acl *acl, const struct acl_verdict *verdict)
{
	struct ccn_trace_step *step = note(t, CCN_TRACE_ACL);
	const struct ccn_acl_rule *rule =
	    verdict->row == UINT32_MAX ? NULL : acl_rule(acl->acl, verdict->rule);

	step->ccsi = t->ccsi;
	step->value = verdict->deny ? CCN_ACL_DENY : CCN_ACL_PERMIT;
	step->slot = verdict->row;
	if (rule)
		memcpy(step->name, rule->name, sizeof(step->name));
	else
		snprintf((char *)step->name, sizeof(step->name), "unmatched");
}

/* --- the worker --- */

bool trace_is_dry(const struct tracer *t)
{
	return t->probe.dry_run;
}

static void flush_all(struct worker *w)
{
	for (unsigned port = 0; port < port_count(); port++)
		if (w->tx[port].count > 0)
			tx_flush(w, port);
}

/* The counters as they are (sign 1), or what they have gained since (-1). */
static void count(struct tracer *t, const struct worker_stats *stats, bool since)
{
#define TAKE(to, from) (to) = since ? (from) - (to) : (from)
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		TAKE(t->drop[i], stats->drop[i]);
	for (unsigned i = 0; i < port_count(); i++) {
		TAKE(t->ports[i].tx_packets, stats->port[i].tx_packets);
		TAKE(t->ports[i].tx_bytes, stats->port[i].tx_bytes);
	}
	TAKE(t->punted, stats->punted);
#undef TAKE
}

static void go(struct worker *w, const struct fib *fib, struct tracer *t)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(trace.pool);
	char *frame = m ? rte_pktmbuf_append(m, (uint16_t)t->probe.length) : NULL;

	t->no_buffer = !frame;
	if (!frame) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(frame, t->probe.frame, t->probe.length);
	m->port = (uint16_t)t->port;
	note_frame(t, CCN_TRACE_RECEIVED, t->port, m);
	flush_all(w); /* so that what is queued afterwards is the probe */
	count(t, &w->stats, false);
	t->stats = &w->stats;
	w->tracer = t;
	forward(w, fib, t->port, &m, 1);
	w->tracer = NULL;
	for (unsigned port = 0; port < port_count(); port++) {
		struct tx_queue *q = &w->tx[port];

		for (unsigned i = 0; i < q->count; i++)
			note_frame(t, CCN_TRACE_SENT, port, q->m[i]);
		if (t->probe.dry_run && q->count > 0) {
			rte_pktmbuf_free_bulk(q->m, q->count);
			q->count = 0;
		}
	}
	flush_all(w);
	count(t, &w->stats, true);
	t->in_ccsi.packets = w->stats.ccsi[t->ccsi].packets - t->in_ccsi.packets;
	t->in_ccsi.bytes = w->stats.ccsi[t->ccsi].bytes - t->in_ccsi.bytes;
}

void trace_poll(struct worker *w, const struct fib *fib)
{
	enum state expected = WAITING;

	if (likely(__atomic_load_n(&trace.state, __ATOMIC_RELAXED) != WAITING))
		return;
	if (!__atomic_compare_exchange_n(&trace.state, &expected, TAKEN, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	go(w, fib, &trace.tracer);
	__atomic_store_n(&trace.state, DONE, __ATOMIC_RELEASE);
}

/* --- the control thread --- */

/* False: no worker has taken it, and none will. */
static bool wait_for_worker(void)
{
	const struct timespec moment = {.tv_nsec = 100000};
	enum state expected = WAITING;

	__atomic_store_n(&trace.state, WAITING, __ATOMIC_RELEASE);
	fan_out_wake(0);
	for (unsigned i = 0; i < PATIENCE_MS * 10; i++) {
		if (__atomic_load_n(&trace.state, __ATOMIC_ACQUIRE) == DONE)
			return true;
		nanosleep(&moment, NULL);
	}
	if (__atomic_compare_exchange_n(&trace.state, &expected, IDLE, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return false;
	while (__atomic_load_n(&trace.state, __ATOMIC_ACQUIRE) != DONE)
		nanosleep(&moment, NULL);
	return true;
}

/* No commit can have happened since: this thread makes them. */
static void complete_route(struct ccn_trace_step *step)
{
	struct ccn_lookup question = {.ccsi = step->ccsi, .family = step->family};
	struct ccn_lookup_result answer;

	memcpy(question.ip, step->ip, sizeof(question.ip));
	fib_lookup(fib_current, &question, &answer);
	if (!answer.found)
		return;
	memcpy(step->ip, answer.route.prefix, sizeof(step->ip));
	step->length = answer.route.length;
}

static int emit_counter(trace_emit emit, void *context, const char *kind, const char *of,
			const char *name, uint64_t value)
{
	struct ccn_counter counter = {.value = value};

	if (value == 0)
		return 0;
	snprintf((char *)counter.scope, sizeof(counter.scope), "%s%s", kind, of);
	snprintf((char *)counter.name, sizeof(counter.name), "%s", name);
	return emit(context, CCN_COUNTER, &counter, sizeof(counter));
}

static int emit_counters(const struct tracer *t, trace_emit emit, void *context)
{
	char ccsi[16];
	int result = 0;

	snprintf(ccsi, sizeof(ccsi), "%u", t->ccsi);
	for (unsigned i = 0; i < t->count; i++) {
		const struct ccn_trace_step *step = &t->step[i];
		char name[48];

		if (step->kind != CCN_TRACE_ACL)
			continue;
		snprintf(name, sizeof(name), "%s%.32s",
			 step->slot == UINT32_MAX      ? ""
			 : step->value == CCN_ACL_DENY ? "deny "
						       : "permit ",
			 (const char *)step->name);
		result |= emit_counter(emit, context, "acl ", ccsi, name, 1);
	}
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		result |= emit_counter(emit, context, "drop", "", stats_drop_name(i), t->drop[i]);
	for (unsigned i = 0; i < port_count(); i++) {
		result |= emit_counter(emit, context, "port ", port_name(i), "tx-packets",
				       t->ports[i].tx_packets);
		result |= emit_counter(emit, context, "port ", port_name(i), "tx-bytes",
				       t->ports[i].tx_bytes);
	}
	result |= emit_counter(emit, context, "worker 0", "", "punted", t->punted);
	if (t->ccsi == 0)
		return result;
	result |= emit_counter(emit, context, "ccsi ", ccsi, "packets", t->in_ccsi.packets);
	return result | emit_counter(emit, context, "ccsi ", ccsi, "bytes", t->in_ccsi.bytes);
}

static void finish(struct tracer *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->step[i].kind == CCN_TRACE_ROUTE)
			complete_route(&t->step[i]);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		if (t->drop[i] > 0)
			snprintf((char *)note(t, CCN_TRACE_DROPPED)->name, sizeof(t->step[0].name),
				 "%s", stats_drop_name(i));
	if (t->punted > 0)
		note(t, CCN_TRACE_PUNTED);
}

const char *trace_probe(const struct ccn_trace *probe, trace_emit emit, void *context)
{
	static const uint8_t nobody[6];
	struct tracer *t = &trace.tracer;
	const int port = probe->port[sizeof(probe->port) - 1] ? -1 : port_find(probe->port);

	if (port < 0)
		return "TRACE: no port has this name";
	if (probe->length < 14 || probe->length > sizeof(probe->frame))
		return "TRACE: a frame has 14 to 512 octets";
	if (!fib_current)
		return "TRACE: no tables have been committed yet";
	*t = (struct tracer){.probe = *probe, .port = (unsigned)port};
	if (!memcmp(t->probe.frame, nobody, sizeof(nobody)))
		memcpy(t->probe.frame, port_mac(t->port), sizeof(nobody));
	if (!wait_for_worker())
		return "TRACE: worker 0 has not answered for two seconds";
	if (t->no_buffer)
		return "TRACE: no packet buffer is free";
	finish(t);
	for (unsigned i = 0; i < t->count; i++)
		if (emit(context, CCN_TRACE_STEP, &t->step[i], sizeof(t->step[i])) < 0)
			return "TRACE: out of memory";
	return emit_counters(t, emit, context) < 0 ? "TRACE: out of memory" : NULL;
}
