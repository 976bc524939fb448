/* SPDX-License-Identifier: Apache-2.0
 * The slow-path thread: see slow.h. It is a reader of the tables like the packet loop.
 */
#include "slow.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_mbuf.h>

#include "fib.h"
#include "inner.h"
#include "log.h"
#include "neigh.h"
#include "own.h"
#include "port.h"
#include "punt.h"
#include "tap.h"

#define BURST 64
#define BURSTS 8    /* of one class in one round: a flood must not keep the tables from changing */
#define TICK_MS 250 /* of neighbours and taps, when nothing is waiting */
#define ASK_BUDGET 512 /* requests of one tick */

static struct {
	pthread_t thread;
	bool started, stop, kicked;
	int epoll_fd;
	const struct fib *fib;			  /* while online */
	const struct interface_table *interfaces; /* while online */
	uint64_t asked, answered;		  /* slow_settle */
} slow = {.epoll_fd = -1};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}

void slow_kick(void)
{
	__atomic_store_n(&slow.kicked, true, __ATOMIC_RELEASE);
	punt_wake();
}

/* --- the thread --- */

static void online(void)
{
	const struct fib *fib;

	rte_rcu_qsbr_thread_online(fib_qsbr, READER_SLOW);
	slow.fib = fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);
	slow.interfaces = fib ? __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE) : NULL;
}

static void offline(void)
{
	slow.interfaces = NULL;
	slow.fib = NULL;
	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_SLOW);
}

static void take(enum punt_class class, struct rte_mbuf *m)
{
	if (class < PUNT_VM)
		own_take(slow.interfaces, m);
	else if (slow.fib)
		inner_take(slow.fib, m);
	else
		rte_pktmbuf_free(m);
}

/* True: there may be more. */
static bool take_punted(void)
{
	struct rte_mbuf *packets[BURST];
	bool more = false;

	for (enum punt_class class = 0; class < PUNT_CLASSES; class ++) {
		unsigned count = BURST;

		for (unsigned i = 0; i < BURSTS && count == BURST; i++) {
			count = punt_next(class, packets, BURST);
			for (unsigned j = 0; j < count; j++)
				take(class, packets[j]);
		}
		more |= count == BURST;
	}
	return more;
}

static void ask(const struct neigh_key *key, const uint8_t *mac)
{
	own_ask(slow.interfaces, key, mac);
}

/* An uplink has died or come back: say so, and let the kernel take the others' routes. */
static void uplink_changed(const struct underlay *underlay, const struct uplink *uplink)
{
	static const char *const text[] = {
	    [UPLINK_USED] = "is used",
	    [UPLINK_LINK_DOWN] = "has no link",
	    [UPLINK_SILENT] = "leads to a router that does not answer",
	};

	log_line("uplink %s %s%s", port_name(uplink->port), text[uplink->state],
		 underlay_avoids(underlay, uplink) ? "; its flows go by the others" : "");
}

static void watch_uplinks(struct underlay *underlay)
{
	if (!underlay)
		return;
	underlay_refresh(underlay, port_has_link, uplink_changed);
	for (unsigned i = 0; i < underlay->count; i++)
		tap_carrier(underlay->at[i].port, 0, CCN_UPLINK,
			    !underlay_avoids(underlay, &underlay->at[i]));
}

static void *run(void *unused)
{
	uint64_t next_tick = 0;
	int timeout = TICK_MS;

	(void)unused;
	while (!__atomic_load_n(&slow.stop, __ATOMIC_RELAXED)) {
		struct epoll_event events[32];
		int count = epoll_wait(slow.epoll_fd, events, 32, timeout);
		uint64_t ignored, asked, now = now_ms();
		bool kicked, more;

		online();
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				tap_read(events[i].data.ptr);
			else if (read(punt_slow_fd(), &ignored, 8) < 0)
				ignored = 0;
		}
		asked = __atomic_load_n(&slow.asked, __ATOMIC_ACQUIRE);
		more = take_punted();
		if (!more)
			__atomic_store_n(&slow.answered, asked, __ATOMIC_RELEASE);
		kicked = __atomic_exchange_n(&slow.kicked, false, __ATOMIC_ACQ_REL);
		if (kicked)
			taps_adopt(slow.interfaces);
		if (kicked || now >= next_tick) {
			taps_attach();
			if (slow.interfaces) {
				neigh_tick(now, ASK_BUDGET, ask);
				watch_uplinks(slow.interfaces->underlay);
			}
			next_tick = now + TICK_MS;
		}
		offline();
		timeout = more ? 0 : (int)(next_tick - RTE_MIN(now, next_tick));
	}
	return NULL;
}

void slow_settle(void)
{
	const uint64_t wanted = __atomic_add_fetch(&slow.asked, 1, __ATOMIC_RELEASE);
	const uint64_t patience = now_ms() + 1000;

	punt_wake();
	while (__atomic_load_n(&slow.answered, __ATOMIC_ACQUIRE) < wanted && now_ms() < patience)
		sched_yield();
}

int slow_start(struct rte_mempool *pool)
{
	struct epoll_event event = {.events = EPOLLIN};

	slow.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	own_init(pool);
	inner_init(pool);
	taps_init(pool, slow.epoll_fd);
	if (slow.epoll_fd < 0 ||
	    epoll_ctl(slow.epoll_fd, EPOLL_CTL_ADD, punt_slow_fd(), &event) < 0 ||
	    pthread_create(&slow.thread, NULL, run, NULL) != 0) {
		log_line("cannot start the slow path: %s (raise the limits on threads and files)",
			 strerror(errno));
		return -1;
	}
	slow.started = true;
	pthread_setname_np(slow.thread, "ccn-slow");
	return 0;
}

void slow_stop(void)
{
	if (!slow.started)
		return;
	__atomic_store_n(&slow.stop, true, __ATOMIC_RELAXED);
	punt_wake();
	pthread_join(slow.thread, NULL);
	taps_close();
}
