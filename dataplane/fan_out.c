/* SPDX-License-Identifier: Apache-2.0
 * A ring and an event for each worker. Only these are written by several.
 */
#include "fan_out.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_ether.h>
#include <rte_ring.h>

#include "frame.h"
#include "log.h"
#include "punt.h"

#define RING 2048

static struct mailbox {
	struct rte_ring *ring; /* NULL: there is but one worker */
	int wake_fd;
	bool asleep;
} __rte_cache_aligned boxes[MAX_WORKERS];

_Static_assert(sizeof(struct mailbox) == RTE_CACHE_LINE_SIZE, "mailboxes share a line");

int fan_out_init(unsigned workers)
{
	for (unsigned i = 0; i < workers; i++) {
		struct mailbox *box = &boxes[i];
		char name[16];

		/* what the slow path injects wakes the first, who sends it */
		box->wake_fd = i == 0 ? punt_loop_fd() : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (box->wake_fd < 0) {
			log_line("cannot start: %s (raise the limit on open files)",
				 strerror(errno));
			return -1;
		}
		if (workers == 1)
			break;
		snprintf(name, sizeof(name), "worker-%u", i);
		box->ring = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (!box->ring) {
			log_line("cannot start: no room for the rings of %u workers (raise "
				 "--memory)",
				 workers);
			return -1;
		}
	}
	return 0;
}

unsigned fan_out_owner(const struct rte_mbuf *m, unsigned workers)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t l2 = 14, length = m->data_len;
	uint32_t hash;

	if (length < 18 + 40 + 4)
		return 0;
	if (frame[12] == 0x81 && frame[13] == 0x00)
		l2 += 4;
	if (frame[l2 - 2] == 0x08 && frame[l2 - 1] == 0x00)
		hash = frame_flow_hash(frame + l2, 4, length - l2);
	else if (frame[l2 - 2] == 0x86 && frame[l2 - 1] == 0xdd)
		hash = frame_flow_hash(frame + l2, 6, length - l2);
	else
		return 0;
	return (unsigned)((uint64_t)hash * workers >> 32);
}

void fan_out_wake(unsigned worker)
{
	uint64_t one = 1;

	if (write(boxes[worker].wake_fd, &one, 8) < 0)
		return; /* already awake */
}

static void hand_over(struct worker *w, unsigned to, struct rte_mbuf **packets, unsigned count)
{
	struct mailbox *box = &boxes[to];
	unsigned taken = rte_ring_enqueue_burst(box->ring, (void **)packets, count, NULL);

	w->stats.handed_over += taken;
	for (unsigned i = taken; i < count; i++)
		drop(w, packets[i], DROP_FAN_OUT_FULL);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the look: see fan_in_sleep */
	if (__atomic_load_n(&box->asleep, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&box->asleep, false, __ATOMIC_RELAXED))
		fan_out_wake(to);
}

unsigned fan_out(struct worker *w, unsigned port, struct rte_mbuf **packets, unsigned count)
{
	const unsigned workers = w->options->count;
	struct rte_mbuf *theirs[MAX_WORKERS][BURST];
	unsigned counts[MAX_WORKERS] = {0}, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned owner = fan_out_owner(packets[i], workers);

		if (owner == w->index) {
			packets[kept++] = packets[i];
		} else {
			packets[i]->port = (uint16_t)port;
			theirs[owner][counts[owner]++] = packets[i];
		}
	}
	for (unsigned i = 0; i < workers; i++)
		if (counts[i] > 0)
			hand_over(w, i, theirs[i], counts[i]);
	return kept;
}

unsigned fan_in(struct worker *w, struct rte_mbuf **packets, unsigned most)
{
	struct rte_ring *ring = boxes[w->index].ring;

	return ring ? rte_ring_sc_dequeue_burst(ring, (void **)packets, most, NULL) : 0;
}

bool fan_in_sleep(struct worker *w, long nanoseconds)
{
	struct mailbox *box = &boxes[w->index];
	const struct timespec limit = {0, nanoseconds};
	struct pollfd wake = {.fd = box->wake_fd, .events = POLLIN};
	uint64_t ignored;

	/* either we see what was handed over, or who hands over sees that we sleep */
	__atomic_store_n(&box->asleep, true, __ATOMIC_SEQ_CST);
	if (box->ring && !rte_ring_empty(box->ring)) {
		__atomic_store_n(&box->asleep, false, __ATOMIC_RELAXED);
		return false;
	}
	if (ppoll(&wake, 1, &limit, NULL) > 0 && read(box->wake_fd, &ignored, 8) < 0)
		ignored = 0;
	__atomic_store_n(&box->asleep, false, __ATOMIC_RELAXED);
	return true;
}
