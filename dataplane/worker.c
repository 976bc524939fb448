/* SPDX-License-Identifier: Apache-2.0
 * A worker's thread: poll, forward, send, and rest when there is nothing to do.
 */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "cpu.h"
#include "fan_out.h"
#include "acl.h"
#include "fib.h"
#include "fwd.h"
#include "lap.h"
#include "log.h"
#include "port.h"
#include "punt.h"
#include "slow.h"
#include "trace.h"
#include "tx.h"

#define EMPTY_POLLS_BEFORE_SLEEP 32
#define LONGEST_SLEEP_NS 500000L
#define EMPTY_POLLS_AT_END 64 /* of a pcap file */

/* Nobody else's line: a worker begins and ends with one of its own. */
_Static_assert(_Alignof(struct worker) == RTE_CACHE_LINE_SIZE, "a worker begins within a line");
_Static_assert(sizeof(struct worker) % RTE_CACHE_LINE_SIZE == 0, "a worker ends within a line");

static struct worker_options options; /* written before the threads start */
static struct worker *workers[MAX_WORKERS];
static unsigned running;
static bool stop;

static void finish(struct worker *w, struct rx_queue *q)
{
	q->finished = true;
	w->stats.port[q->port].rx_finished++;
	if (w->options->once)
		log_line("port %s: the input has been read: %llu packets", port_name(q->port),
			 (unsigned long long)w->stats.port[q->port].rx_packets);
}

/* And asks for the headers of each, of which a NIC has left them in no cache of ours. */
static void count_received(struct port_stats *stats, struct rte_mbuf *const *packets,
			   unsigned count)
{
	uint64_t octets = 0;

	for (unsigned i = 0; i < count; i++) {
		fetch_headers(packets[i]);
		octets += packets[i]->pkt_len;
	}
	stats->rx_bytes += octets;
	stats->rx_packets += count;
}

/* One burst of one queue, to the end; how many were received. */
static unsigned receive(struct worker *w, const struct fib *fib, struct rx_queue *q)
{
	struct rte_mbuf *packets[BURST];
	unsigned count, own;

	if (q->file && (!fib || q->finished))
		return 0; /* a file is read once, with tables to forward by */
	count = own = rte_eth_rx_burst(q->dpdk_port, q->queue, packets, BURST);
	if (count > 0) {
		lap(w, STAGE_RECEIVE, q->fan_out ? 0 : count);
		count_received(&w->stats.port[q->port], packets, count);
		if (q->fan_out) {
			own = fan_out(w, q->port, packets, count);
			lap(w, STAGE_FAN_OUT, own);
		}
		w->stats.packets += own;
		if (own > 0)
			forward(w, fib, q->port, packets, own);
		q->empty_polls = 0;
	} else if (q->ends && ++q->empty_polls >= EMPTY_POLLS_AT_END) {
		finish(w, q);
	}
	return count;
}

/* What another worker has written lies in his cache: all lines of it that are needed are asked for at
 * once, with those of the packets also the one that is looked at when a buffer is freed. */
static void fetch_from_another(struct rte_mbuf *const *packets, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		rte_mbuf_prefetch_part2(packets[i]);
	for (unsigned i = 0; i < count; i++)
		fetch_headers(packets[i]);
}

/* What others received for us, port by port as it comes. */
static unsigned take_over(struct worker *w, const struct fib *fib)
{
	struct rte_mbuf *packets[BURST];
	unsigned count = fan_in(w, packets, BURST);

	fetch_from_another(packets, count);
	for (unsigned i = 0, end; i < count; i = end) {
		unsigned port = packets[i]->port;

		for (end = i + 1; end < count && packets[end]->port == port;)
			end++;
		lap(w, STAGE_RECEIVE, end - i);
		forward(w, fib, port, packets + i, end - i);
	}
	w->stats.packets += count;
	return count;
}

static unsigned inject(struct worker *w, const struct fib *fib)
{
	struct rte_mbuf *packets[BURST];
	unsigned count = punt_injected(packets, BURST), routed;

	for (unsigned i = 0; i < count; i++)
		transmit(w, packets[i]->port, packets[i], 0);
	w->stats.injected += count;
	routed = punt_routed(packets, BURST);
	if (routed > 0)
		forward_own(w, fib, packets, routed);
	return count + routed;
}

static unsigned poll_once(struct worker *w)
{
	const struct fib *fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);
	unsigned total = 0;

	lap_start(w);
	for (unsigned i = 0; i < w->rx_count; i++)
		total += receive(w, fib, &w->rx[i]);
	total += take_over(w, fib);
	if (w->options->once && w->punted) { /* the same in each run: answers before what follows */
		w->punted = false;
		slow_settle();
	}
	if (w->index == 0) { /* one at a time, so that what the kernel sends keeps its order */
		total += inject(w, fib);
		trace_poll(w, fib);
	}
	for (unsigned port = 0; port < port_count(); port++)
		if (w->tx[port].count > 0)
			tx_flush(w, port);
	if (w->punted)
		punt_wake();
	w->punted = false;
	w->stats.polls++;
	return total;
}

/* The kernel's devices offer no wake-up to the poll-mode drivers, so sleeps grow while idle. */
static void rest(struct worker *w, unsigned empty)
{
	long nanoseconds = 20000L << RTE_MIN((empty - EMPTY_POLLS_BEFORE_SLEEP) / 8, 8U);

	rte_rcu_qsbr_thread_offline(fib_qsbr, w->reader);
	if (fan_in_sleep(w, RTE_MIN(nanoseconds, LONGEST_SLEEP_NS)))
		w->stats.sleeps++;
	rte_rcu_qsbr_thread_online(fib_qsbr, w->reader);
}

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu == NO_CPU)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		log_line("--cpu %d: has gone; not pinned", cpu);
}

static void *run(void *of)
{
	struct worker *w = of;
	unsigned empty = 0;

	pin(w->options->cpu[w->index]);
	rte_thread_register(); /* for the buffer pool's per-thread cache */
	rte_rcu_qsbr_thread_online(fib_qsbr, w->reader);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t before = rte_rdtsc();

		if (poll_once(w) > 0) {
			w->stats.busy_cycles += rte_rdtsc() - before;
			empty = 0;
		} else if (++empty > EMPTY_POLLS_BEFORE_SLEEP && !w->options->busy_poll) {
			rest(w, empty);
		}
		rte_rcu_qsbr_quiescent(fib_qsbr, w->reader);
	}
	rte_rcu_qsbr_thread_offline(fib_qsbr, w->reader);
	rte_thread_unregister();
	return NULL;
}

/* --- who polls and sends what --- */

static struct worker *make_worker(unsigned index)
{
	struct worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*w));

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->options = &options;
	w->index = index;
	w->reader = READER_WORKER + index;
	if (origins_init(&w->origins[0]) < 0 || origins_init(&w->origins[1]) < 0) {
		free(w);
		return NULL;
	}
	for (unsigned port = 0; port < port_count(); port++) {
		struct tx_queue *q = &w->tx[port];

		q->dpdk_port = port_dpdk_id(port);
		q->queue = (uint16_t)(index % port_tx_queues(port));
		q->lock = port_tx_lock(port, q->queue);
	}
	stats_add_worker(&w->stats);
	offences_watch(&w->offences);
	return w;
}

/* Queue i of a port to worker i where there are enough; ports with fewer are dealt in turn. */
static int deal_queues(void)
{
	unsigned next = 0;

	for (unsigned port = 0; port < port_count(); port++) {
		const unsigned queues = port_rx_queues(port);
		unsigned to = queues >= options.count ? 0 : next;

		for (unsigned queue = 0; queue < queues; queue++, to++) {
			struct worker *w = workers[to % options.count];

			if (w->rx_count == MAX_RX_QUEUES) {
				log_line("port %s: %u queues are too many for %u workers (raise "
					 "--workers, or lower `ethtool -L`)",
					 port_name(port), queues, options.count);
				return -1;
			}
			w->rx[w->rx_count++] = (struct rx_queue){
			    .port = (uint16_t)port,
			    .dpdk_port = port_dpdk_id(port),
			    .queue = (uint16_t)queue,
			    .fan_out = options.fan_out && queues < options.count,
			    .file = port_is_file(port),
			    .ends = port_is_file(port) && !port_is_endless(port),
			};
		}
		if (queues < options.count)
			next = to;
	}
	for (unsigned i = 0; i < options.count && !options.fan_out; i++) {
		if (workers[i]->rx_count > 0)
			continue;
		log_line("--workers %u: the ports have too few queues, %u would have nothing to do "
			 "(give --fan-out, or fewer workers; --ports says what each has)",
			 options.count, options.count - i);
		return -1;
	}
	return 0;
}

int workers_start(const struct worker_options *wanted)
{
	options = *wanted;
	acl_set_workers(options.count);
	for (unsigned i = 0; i < options.count; i++) {
		workers[i] = make_worker(i);
		if (!workers[i]) {
			log_line("cannot start %u workers: out of memory", options.count);
			return -1;
		}
		rte_rcu_qsbr_thread_register(fib_qsbr, workers[i]->reader);
	}
	if (fan_out_init(options.count) < 0 || deal_queues() < 0)
		return -1;
	for (; running < options.count; running++) {
		struct worker *w = workers[running];
		char name[16];

		if (pthread_create(&w->thread, NULL, run, w) != 0) {
			log_line("cannot start worker %u: %s (raise the limits on threads and "
				 "files)",
				 running, strerror(errno));
			return -1;
		}
		snprintf(name, sizeof(name), "ccn-worker-%u", running);
		pthread_setname_np(w->thread, name);
	}
	return 0;
}

void workers_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < running; i++) {
		fan_out_wake(i);
		pthread_join(workers[i]->thread, NULL);
	}
}
