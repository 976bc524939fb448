/* SPDX-License-Identifier: Apache-2.0
 * The worker's thread: poll, forward, send, and rest when there is nothing to do.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "fib.h"
#include "fwd.h"
#include "log.h"
#include "port.h"
#include "punt.h"
#include "tx.h"

#define EMPTY_POLLS_BEFORE_SLEEP 32
#define LONGEST_SLEEP_NS 500000L
#define EMPTY_POLLS_AT_END 64 /* of a pcap file */

static struct worker *worker;
static bool stop;

static void finish(struct worker *w, unsigned port)
{
	w->stats.port[port].rx_finished = 1;
	if (w->options.once)
		log_line("port %s: the input has been read: %llu packets", port_name(port),
			 (unsigned long long)w->stats.port[port].rx_packets);
}

static unsigned poll_once(struct worker *w)
{
	const struct fib *fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);
	struct rte_mbuf *packets[BURST];
	unsigned total = 0, count;

	for (unsigned port = 0; port < port_count(); port++) {
		if (port_is_file(port) && (!fib || w->stats.port[port].rx_finished))
			continue; /* a file is read once, with tables to forward by */
		count = rte_eth_rx_burst(port_dpdk_id(port), 0, packets, BURST);
		if (count > 0)
			forward(w, fib, port, packets, count);
		w->empty_polls[port] = count ? 0 : w->empty_polls[port] + 1;
		if (port_is_file(port) && !port_is_endless(port) &&
		    w->empty_polls[port] >= EMPTY_POLLS_AT_END)
			finish(w, port);
		total += count;
	}
	count = punt_injected(packets, BURST);
	for (unsigned i = 0; i < count; i++)
		transmit(w, packets[i]->port, packets[i]);
	w->stats.injected += count;
	for (unsigned port = 0; port < port_count(); port++)
		if (w->tx[port].count > 0)
			tx_flush(w, port);
	if (w->punted)
		punt_wake();
	w->punted = false;
	w->stats.polls++;
	w->stats.packets += total;
	return total + count;
}

/* The kernel's devices offer no wake-up to the poll-mode drivers, so sleeps grow while idle. */
static void rest(struct worker *w, unsigned empty)
{
	long nanoseconds = 20000L << RTE_MIN((empty - EMPTY_POLLS_BEFORE_SLEEP) / 8, 8U);
	struct timespec limit = {0, RTE_MIN(nanoseconds, LONGEST_SLEEP_NS)};
	struct pollfd wake = {.fd = punt_loop_fd(), .events = POLLIN};
	uint64_t ignored;

	rte_rcu_qsbr_thread_offline(fib_qsbr, w->reader);
	if (ppoll(&wake, 1, &limit, NULL) > 0 && read(punt_loop_fd(), &ignored, 8) < 0)
		ignored = 0;
	rte_rcu_qsbr_thread_online(fib_qsbr, w->reader);
	w->stats.sleeps++;
}

static void *run(void *of)
{
	struct worker *w = of;
	unsigned empty = 0;

	if (w->options.cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)w->options.cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
			log_line("--cpu %d: cannot be used (is that CPU there?); not pinned",
				 w->options.cpu);
	}
	rte_thread_register(); /* for the buffer pool's per-thread cache */
	rte_rcu_qsbr_thread_online(fib_qsbr, w->reader);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t before = rte_rdtsc();

		if (poll_once(w) > 0) {
			w->stats.busy_cycles += rte_rdtsc() - before;
			empty = 0;
		} else if (++empty > EMPTY_POLLS_BEFORE_SLEEP && !w->options.busy_poll) {
			rest(w, empty);
		}
		rte_rcu_qsbr_quiescent(fib_qsbr, w->reader);
	}
	rte_rcu_qsbr_thread_offline(fib_qsbr, w->reader);
	rte_thread_unregister();
	return NULL;
}

int workers_start(const struct worker_options *options)
{
	worker = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*worker));
	if (!worker) {
		log_line("cannot start the packet loop: out of memory");
		return -1;
	}
	memset(worker, 0, sizeof(*worker));
	worker->options = *options;
	worker->reader = READER_WORKER;
	stats_add_worker(&worker->stats);
	if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
		log_line("cannot start the packet loop: %s (raise the limits on threads and files)",
			 strerror(errno));
		return -1;
	}
	pthread_setname_np(worker->thread, "ccn-worker");
	return 0;
}

void workers_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	punt_wake_loop();
	pthread_join(worker->thread, NULL);
}
