/* SPDX-License-Identifier: Apache-2.0
 * A ring and a meter for each class, two rings back, and an event to wake each side.
 */
#include "punt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "fib.h"
#include "log.h"
#include "stats.h"

#define RING 2048
#define INJECTED 2048

static const struct {
	const char *name;
	unsigned rate, burst; /* frames per second, at once */
} classes[PUNT_CLASSES] = {
#define X(id, name, rate, burst) [id] = {name, rate, burst},
    PUNT_CLASSES_OF(X)
#undef X
};

/* Of one CCSI, so that no CCN takes from another what all of them share. */
static const struct {
	enum punt_class class;
	unsigned rate, burst;
} kinds[PUNT_WHATS] = {
    [PUNT_TO_GATEWAY] = {PUNT_VM, 2000, 500},  [PUNT_VM_NEIGHBOR] = {PUNT_VM, 2000, 500},
    [PUNT_CUT] = {PUNT_FRAGMENT, 5000, 500},   [PUNT_TIME_EXCEEDED] = {PUNT_ERROR, 500, 100},
    [PUNT_NO_ROUTE] = {PUNT_ERROR, 200, 50},   [PUNT_NO_HOST] = {PUNT_ERROR, 200, 50},
    [PUNT_PROHIBITED] = {PUNT_ERROR, 200, 50}, [PUNT_TOO_BIG] = {PUNT_ERROR, 1000, 200},
};
static struct {
	struct rte_ring *punted[PUNT_CLASSES], *injected, *routed;
	int slow_fd, loop_fd;
	bool unmetered;
} queues = {.slow_fd = -1, .loop_fd = -1};

/* TSC when a bucket will be full again. One for all workers, written only for a frame that is let
 * through, to a ring that they share anyway; a flood that is refused only reads it. */
static struct {
	uint64_t full_at;
} __rte_cache_aligned meters[PUNT_CLASSES];
static uint64_t full_at_of[PUNT_WHATS][MAX_CCSIS];
/* Of one hand-off: its routers are another CCN's than those of the next. */
static uint64_t full_at_by[PUNT_VM][MAX_INTERFACES];

int punt_init(bool metered)
{
	queues.unmetered = !metered;
	queues.slow_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	queues.loop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queues.slow_fd < 0 || queues.loop_fd < 0) {
		log_line("cannot start: %s (raise the limit on open files)", strerror(errno));
		return -1;
	}
	queues.injected = rte_ring_create("injected", INJECTED, SOCKET_ID_ANY, RING_F_SC_DEQ);
	queues.routed = rte_ring_create("routed", INJECTED, SOCKET_ID_ANY, RING_F_SC_DEQ);
	for (unsigned i = 0; i < PUNT_CLASSES; i++) {
		char name[RTE_RING_NAMESIZE];

		snprintf(name, sizeof(name), "punt-%s", classes[i].name);
		queues.punted[i] = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (!queues.punted[i] || !queues.injected || !queues.routed) {
			log_line("cannot start: no room for the slow path (raise --memory)");
			return -1;
		}
	}
	return 0;
}

/* A token bucket, told by the time at which it is full again. */
static bool within_rate(uint64_t *full_at, unsigned rate, unsigned burst)
{
	uint64_t now = rte_rdtsc(), each = rte_get_tsc_hz() / rate;
	uint64_t seen = __atomic_load_n(full_at, __ATOMIC_RELAXED), from;

	if (queues.unmetered)
		return true;
	do {
		from = seen < now ? now : seen;
		if (from - now > each * burst)
			return false;
	} while (!__atomic_compare_exchange_n(full_at, &seen, from + each, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

static bool class_takes(enum punt_class class)
{
	return within_rate(&meters[class].full_at, classes[class].rate, classes[class].burst);
}

/* Beyond its tenth a session gets what the class has to spare: half a full bucket and most of the
 * ring stay with those who are within theirs. A full table is not slowed down by sessions that say
 * nothing, nor is theirs by it. */
static bool class_spares(enum punt_class class)
{
	return class == PUNT_BGP && rte_ring_count(queues.punted[class]) < RING / 4 &&
	       within_rate(&meters[class].full_at, classes[class].rate, classes[class].burst / 2);
}

static bool hand_off_may(enum punt_class class, uint16_t slot)
{
	return slot == NO_INTERFACE ||
	       within_rate(&full_at_by[class][slot], classes[class].rate / 10,
			   classes[class].burst / 4);
}

void punt(struct worker_stats *stats, struct rte_mbuf *m, enum punt_class class, uint16_t hand_off)
{
	if (hand_off_may(class, hand_off) ? !class_takes(class) : !class_spares(class)) {
		stats->drop[DROP_PUNT_RATE]++;
		stats->punt[class].refused++;
		rte_pktmbuf_free(m);
	} else if (rte_ring_enqueue(queues.punted[class], m) != 0) {
		stats->drop[DROP_PUNT_FULL]++;
		stats->punt[class].refused++;
		rte_pktmbuf_free(m);
	} else {
		stats->punted++;
		stats->punt[class].taken++;
	}
}

static enum drop_reason refused(struct worker_stats *stats, struct rte_mbuf *m,
				enum punt_class class, bool counted, enum drop_reason reason)
{
	stats->punt[class].refused++;
	rte_pktmbuf_free(m);
	if (counted)
		return DROP_REASON_COUNT;
	stats->drop[reason]++;
	return reason;
}

enum drop_reason punt_packet(struct worker_stats *stats, struct rte_mbuf *m,
			     const struct punt_note *note)
{
	const enum punt_class class = kinds[note->what].class;
	const bool counted = note->what >= PUNT_TIME_EXCEEDED;
	void *front;

	if (!within_rate(&full_at_of[note->what][note->ccsi], kinds[note->what].rate,
			 kinds[note->what].burst) ||
	    !class_takes(class) || !(front = rte_pktmbuf_prepend(m, sizeof(*note))))
		return refused(stats, m, class, counted, DROP_PUNT_RATE);
	memcpy(front, note, sizeof(*note));
	if (rte_ring_enqueue(queues.punted[class], m) != 0)
		return refused(stats, m, class, counted, DROP_PUNT_FULL);
	stats->punt[class].taken++;
	stats->punted += !counted;
	return DROP_REASON_COUNT;
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, 8) < 0)
		return; /* already awake */
}

void punt_wake(void)
{
	wake(queues.slow_fd);
}

void punt_wake_loop(void)
{
	wake(queues.loop_fd);
}

int punt_loop_fd(void)
{
	return queues.loop_fd;
}

int punt_slow_fd(void)
{
	return queues.slow_fd;
}

unsigned punt_injected(struct rte_mbuf **packets, unsigned most)
{
	return rte_ring_dequeue_burst(queues.injected, (void **)packets, most, NULL);
}

unsigned punt_routed(struct rte_mbuf **packets, unsigned most)
{
	return rte_ring_dequeue_burst(queues.routed, (void **)packets, most, NULL);
}

unsigned punt_next(enum punt_class class, struct rte_mbuf **packets, unsigned most)
{
	return rte_ring_dequeue_burst(queues.punted[class], (void **)packets, most, NULL);
}

void punt_inject(struct rte_mbuf *m, uint16_t port, uint16_t vlan)
{
	uint8_t *frame;

	if (vlan) {
		frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);
		if (!frame) {
			slow_stats.drop[DROP_OVERSIZE]++;
			rte_pktmbuf_free(m);
			return;
		}
		memmove(frame, frame + 4, 12);
		frame[12] = 0x81;
		frame[13] = 0x00;
		frame[14] = (uint8_t)(vlan >> 8);
		frame[15] = (uint8_t)vlan;
	}
	m->port = port;
	if (rte_ring_enqueue(queues.injected, m) != 0) {
		slow_stats.drop[DROP_INJECT_FULL]++;
		rte_pktmbuf_free(m);
		return;
	}
	punt_wake_loop();
}

void punt_route(struct rte_mbuf *m, uint16_t ccsi, int family, uint8_t ecn)
{
	m->vlan_tci = ccsi;
	m->hash.usr = (uint32_t)family | (uint32_t)ecn << 8;
	if (rte_ring_enqueue(queues.routed, m) != 0) {
		slow_stats.drop[DROP_INJECT_FULL]++;
		rte_pktmbuf_free(m);
		return;
	}
	punt_wake_loop();
}
