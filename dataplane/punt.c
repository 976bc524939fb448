/* SPDX-License-Identifier: Apache-2.0
 * A ring and a meter for each class, a ring back, and an event to wake each side.
 */
#include "punt.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "log.h"
#include "stats.h"

#define RING 2048
#define BGP_PORT 179

static const struct {
	const char *ring;
	unsigned rate, burst; /* frames per second, at once; rate 0: as many as come */
} classes[PUNT_CLASSES] = {
    [PUNT_SESSION] = {"punt-session", 0, 0},
    [PUNT_NEIGHBOR] = {"punt-neighbor", 20000, 4096},
    [PUNT_OTHER] = {"punt-other", 20000, 2048},
};

static struct {
	struct rte_ring *punted[PUNT_CLASSES], *injected;
	int slow_fd, loop_fd;
} queues = {.slow_fd = -1, .loop_fd = -1};

/* TSC when the class will have its whole burst again. One for all workers, written only for a frame
 * that is let through, to a ring that they share anyway; a flood that is refused only reads it. */
static struct {
	uint64_t full_at;
} __rte_cache_aligned meters[PUNT_CLASSES];

int punt_init(void)
{
	queues.slow_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	queues.loop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queues.slow_fd < 0 || queues.loop_fd < 0) {
		log_line("cannot start: %s (raise the limit on open files)", strerror(errno));
		return -1;
	}
	queues.injected = rte_ring_create("injected", RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	for (unsigned i = 0; i < PUNT_CLASSES; i++)
		queues.punted[i] =
		    rte_ring_create(classes[i].ring, RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	for (unsigned i = 0; i < PUNT_CLASSES; i++) {
		if (!queues.punted[i] || !queues.injected) {
			log_line("cannot start: no room for the slow path (raise --memory)");
			return -1;
		}
	}
	return 0;
}

enum punt_class punt_class(const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + 14, *tcp;
	uint16_t ports[2];

	if (length < 14 + 20)
		return PUNT_OTHER;
	if (frame[12] == 0x08 && frame[13] == 0x06)
		return PUNT_NEIGHBOR;
	if (frame[12] == 0x86 && frame[13] == 0xdd) {
		if (length < 14 + 40 + 20)
			return PUNT_OTHER;
		if (ip[6] == IPPROTO_ICMPV6)
			return ip[40] >= 133 && ip[40] <= 137 ? PUNT_NEIGHBOR : PUNT_OTHER;
		if (ip[6] != IPPROTO_TCP)
			return PUNT_OTHER;
		tcp = ip + 40;
	} else {
		tcp = ip + (ip[0] & 15) * 4;
		if (ip[9] != IPPROTO_TCP || (ip[6] & 0x1f) || ip[7] || tcp + 20 > frame + length)
			return PUNT_OTHER;
	}
	ports[0] = (uint16_t)(tcp[0] << 8 | tcp[1]);
	ports[1] = (uint16_t)(tcp[2] << 8 | tcp[3]);
	/* with ACK: both ends have spoken, or one lies and the kernel sees that at once */
	return (ports[0] == BGP_PORT || ports[1] == BGP_PORT) && (tcp[13] & 0x10) ? PUNT_SESSION
										  : PUNT_OTHER;
}

/* A token bucket, told by the time at which it is full again. */
static bool within_rate(enum punt_class class)
{
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz(), *full_at = &meters[class].full_at;
	uint64_t seen = __atomic_load_n(full_at, __ATOMIC_RELAXED), from;

	if (classes[class].rate == 0)
		return true;
	do {
		from = seen < now ? now : seen;
		if (from - now > hz / classes[class].rate * classes[class].burst)
			return false;
	} while (!__atomic_compare_exchange_n(full_at, &seen, from + hz / classes[class].rate, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void punt(struct worker_stats *stats, struct rte_mbuf *m)
{
	enum punt_class class = punt_class(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);

	if (!within_rate(class)) {
		stats->drop[DROP_PUNT_RATE]++;
		rte_pktmbuf_free(m);
	} else if (rte_ring_enqueue(queues.punted[class], m) != 0) {
		stats->drop[DROP_PUNT_FULL]++;
		rte_pktmbuf_free(m);
	} else {
		stats->punted++;
	}
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
