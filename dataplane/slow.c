/* SPDX-License-Identifier: Apache-2.0
 * The slow-path thread: see slow.h. It is a reader of the tables like the packet loop.
 */
#include "slow.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "fib.h"
#include "frame.h"
#include "fwd.h"
#include "icmp6.h"
#include "log.h"
#include "port.h"
#include "stats.h"
#include "tap.h"

#define RING 2048
#define BURST 64
#define TICK_MS 250    /* of neighbours and taps, when nothing is waiting */
#define ASK_BUDGET 512 /* ARP requests of one tick */
#define MAX_TAPS 4096
#define ETHER_ARP 0x0806
#define ETHER_IPV4 0x0800

struct arp {
	uint8_t hardware[2], protocol[2], hardware_size, protocol_size;
	uint8_t operation[2];
	uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

struct tap {
	char name[16];
	int fd;
	uint16_t slot, port, vlan;
	bool wanted;
};

static struct {
	pthread_t thread;
	bool started, stop, kicked;
	int wake_fd, epoll_fd;
	struct rte_ring *punted, *injected;
	struct rte_mempool *pool;
	struct tap *taps[MAX_TAPS];
	unsigned tap_count;
	const struct interface_table *interfaces; /* while online */
} slow = {.wake_fd = -1, .epoll_fd = -1};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}

/* --- between the threads --- */

bool slow_punt(struct rte_mbuf *m)
{
	return rte_ring_enqueue(slow.punted, m) == 0;
}

void slow_wake(void)
{
	uint64_t one = 1;

	if (write(slow.wake_fd, &one, 8) < 0)
		return; /* already awake */
}

void slow_kick(void)
{
	__atomic_store_n(&slow.kicked, true, __ATOMIC_RELEASE);
	slow_wake();
}

unsigned slow_injected(struct rte_mbuf **packets, unsigned most)
{
	return rte_ring_dequeue_burst(slow.injected, (void **)packets, most, NULL);
}

static void drop(struct rte_mbuf *m, enum drop_reason reason)
{
	slow_stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

/* Sends an untagged frame out of an interface. */
static void inject(struct rte_mbuf *m, uint16_t port, uint16_t vlan)
{
	if (vlan) {
		uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);

		if (!frame) {
			drop(m, DROP_OVERSIZE);
			return;
		}
		memmove(frame, frame + 4, 12);
		frame[12] = 0x81;
		frame[13] = 0x00;
		frame[14] = (uint8_t)(vlan >> 8);
		frame[15] = (uint8_t)vlan;
	}
	m->port = port;
	if (rte_ring_enqueue(slow.injected, m) != 0) {
		drop(m, DROP_INJECT_FULL);
		return;
	}
	fwd_wake();
}

/* --- ARP (RFC 826) --- */

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void send_arp(const struct interface *from, uint8_t operation, const uint8_t *to_mac,
		     const uint8_t *target_mac, const uint8_t *target_ip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(slow.pool);
	uint8_t *frame = m ? (uint8_t *)rte_pktmbuf_append(m, 60) : NULL;

	if (!frame)
		return; /* it is asked again */
	memset(frame, 0, 60);
	struct arp *arp = (void *)(frame + frame_ethernet(frame, to_mac, from->mac, 0, ETHER_ARP));

	*arp = (struct arp){.hardware = {0, 1},
			    .protocol = {8, 0},
			    .hardware_size = 6,
			    .protocol_size = 4,
			    .operation = {0, operation}};
	memcpy(arp->sender_mac, from->mac, 6);
	memcpy(arp->sender_ip, from->record.address, 4);
	memcpy(arp->target_mac, target_mac, 6);
	memcpy(arp->target_ip, target_ip, 4);
	inject(m, from->port, from->record.vlan);
}

static void send_solicitation(const struct interface *from, const uint8_t *target,
			      const uint8_t *mac)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(slow.pool);
	uint8_t *frame = m ? (uint8_t *)rte_pktmbuf_append(m, ICMP6_ND_SIZE) : NULL;

	if (!frame)
		return; /* it is asked again */
	icmp6_solicit(frame, from->mac, from->record.address6, target, mac);
	inject(m, from->port, from->record.vlan);
}

static void ask(const struct neigh_key *key, const uint8_t *mac)
{
	static const uint8_t unknown[6];
	uint16_t slot;

	slot = slow.interfaces->by_vlan[key->role][key->port][key->vlan];
	if (slot == NO_INTERFACE)
		return;
	slow_stats.neighbor_requests_sent++;
	if (key->family == 4)
		send_arp(&slow.interfaces->at[slot], 1, mac ? mac : broadcast, unknown, key->ip);
	else
		send_solicitation(&slow.interfaces->at[slot], key->ip, mac);
}

static void write_tap(struct rte_mbuf *m, uint16_t slot);

static void take_arp(struct rte_mbuf *m, uint16_t slot)
{
	const struct arp *arp = rte_pktmbuf_mtod_offset(m, const struct arp *, 14);
	bool request, for_us = false;

	if (m->data_len < 14 + sizeof(*arp) || arp->hardware[1] != 1 || arp->protocol[0] != 8 ||
	    arp->hardware_size != 6 || arp->protocol_size != 4 || (arp->sender_mac[0] & 1)) {
		drop(m, DROP_RUNT);
		return;
	}
	request = arp->operation[1] == 1;
	/* an uplink and an untagged hand-off may share the port: each learns, the target answers */
	for (unsigned role = CCN_UPLINK; role <= CCN_HAND_OFF; role++) {
		uint16_t at = slow.interfaces->by_vlan[role][m->port][m->vlan_tci];
		struct neigh_key key = {
		    .port = m->port, .vlan = m->vlan_tci, .role = (uint8_t)role, .family = 4};
		const struct interface *n;

		if (at == NO_INTERFACE)
			continue;
		n = &slow.interfaces->at[at];
		memcpy(key.ip, arp->sender_ip, 4);
		neigh_learn(&key, arp->sender_mac, now_ms());
		if (memcmp(arp->target_ip, n->record.address, 4) != 0)
			continue;
		slot = at;
		for_us = true;
		if (request) {
			slow_stats.neighbor_replies_sent++;
			send_arp(n, 2, arp->sender_mac, arp->sender_mac, arp->sender_ip);
		}
	}
	/* The kernel learns from replies and from announcements (RFC 5227), but answers nothing. */
	if ((request && for_us) || (!for_us && memcmp(arp->sender_ip, arp->target_ip, 4) != 0))
		rte_pktmbuf_free(m);
	else
		write_tap(m, slot);
}

/* --- packets to our own addresses --- */

/* Turns an echo request around in place (RFC 792); false: it is something else. */
static bool answer_echo(struct rte_mbuf *m, const struct interface *n)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + 14, *icmp;
	size_t header, total;
	uint16_t sum;

	if (m->data_len < 14 + 28 || frame[12] != 8 || frame[13] != 0 || ip[9] != IPPROTO_ICMP ||
	    memcmp(ip + 16, n->record.address, 4) != 0 || (ip[6] & 0x3f) || ip[7])
		return false;
	header = (ip[0] & 15) * 4U;
	total = (size_t)(ip[2] << 8 | ip[3]);
	if (header < 20 || total < header + 8 || total + 14 > m->data_len ||
	    frame_checksum(ip, header) != 0)
		return false;
	icmp = ip + header;
	if (icmp[0] != 8 || icmp[1] != 0 || frame_checksum(icmp, total - header) != 0)
		return false;
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, n->mac, 6);
	memcpy(ip + 16, ip + 12, 4);
	memcpy(ip + 12, n->record.address, 4);
	ip[8] = 64;
	icmp[0] = 0;
	memset(icmp + 2, 0, 2);
	sum = frame_checksum(icmp, total - header);
	memcpy(icmp + 2, &sum, 2);
	memset(ip + 10, 0, 2);
	sum = frame_checksum(ip, header);
	memcpy(ip + 10, &sum, 2);
	return true;
}

/* Learns from and answers ICMPv6; true: the frame is done with. */
static bool take_icmp6(struct rte_mbuf *m, const struct interface *n)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct icmp6_seen seen = icmp6_read(frame, m->data_len);
	struct neigh_key key = {
	    .port = n->port, .vlan = n->record.vlan, .role = n->record.role, .family = 6};

	if (seen.neighbor) {
		memcpy(key.ip, seen.neighbor, 16);
		neigh_learn(&key, seen.mac, now_ms());
	}
	if (seen.kind == ICMP6_OTHER || memcmp(seen.target, n->record.address6, 16) != 0)
		return false;
	if (seen.kind == ICMP6_ECHO_REQUEST) {
		slow_stats.echo_replies_sent++;
		icmp6_echo_reply(frame, n->mac);
		inject(m, n->port, n->record.vlan);
		return true;
	}
	if (seen.kind == ICMP6_SOLICITATION) {
		struct rte_mbuf *answer = rte_pktmbuf_alloc(slow.pool);

		if (answer) {
			slow_stats.neighbor_replies_sent++;
			icmp6_advertise((uint8_t *)rte_pktmbuf_append(answer, ICMP6_ND_SIZE),
					n->mac, n->record.address6, frame);
			inject(answer, n->port, n->record.vlan);
		}
		rte_pktmbuf_free(m);
		return true;
	}
	return false;
}

static void take(struct rte_mbuf *m)
{
	uint16_t slot = (uint16_t)m->hash.usr;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct interface *n;

	if (!slow.interfaces || slot >= slow.interfaces->count ||
	    !slow.interfaces->at[slot].present || slow.interfaces->at[slot].port != m->port) {
		drop(m, DROP_NO_INTERFACE); /* it went while the packet waited */
		return;
	}
	n = &slow.interfaces->at[slot];
	if (frame[12] == 8 && frame[13] == 6) {
		take_arp(m, slot);
	} else if (answer_echo(m, n)) {
		slow_stats.echo_replies_sent++;
		inject(m, n->port, n->record.vlan);
	} else if (!take_icmp6(m, n)) {
		write_tap(m, slot);
	}
}

/* --- taps --- */

static struct tap *tap_of(uint16_t slot)
{
	for (unsigned i = 0; i < slow.tap_count; i++)
		if (slow.taps[i]->slot == slot && slow.taps[i]->wanted)
			return slow.taps[i];
	return NULL;
}

static void detach(struct tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd); /* which also leaves the epoll set */
	tap->fd = -1;
}

static void write_tap(struct rte_mbuf *m, uint16_t slot)
{
	struct tap *tap = tap_of(slot);

	if (!tap || tap->fd < 0 ||
	    write(tap->fd, rte_pktmbuf_mtod(m, void *), m->data_len) != m->data_len) {
		if (tap && errno == EBADFD)
			detach(tap);
		drop(m, DROP_TAP);
		return;
	}
	slow_stats.tap_written++;
	rte_pktmbuf_free(m);
}

static void read_tap(struct tap *tap)
{
	for (unsigned i = 0; i < BURST && tap->fd >= 0; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(slow.pool);
		ssize_t length;

		if (!m)
			return;
		length = read(tap->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
		if (length < 14) {
			rte_pktmbuf_free(m);
			if (length < 0 && errno != EAGAIN && errno != EINTR)
				detach(tap); /* the device was deleted */
			return;
		}
		rte_pktmbuf_append(m, (uint16_t)length);
		slow_stats.tap_read++;
		inject(m, tap->port, tap->vlan);
	}
}

static struct tap *tap_named(const char *name)
{
	struct tap *tap;

	for (unsigned i = 0; i < slow.tap_count; i++)
		if (!strcmp(slow.taps[i]->name, name))
			return slow.taps[i];
	if (slow.tap_count == MAX_TAPS || !(tap = calloc(1, sizeof(*tap))))
		return NULL;
	memcpy(tap->name, name, sizeof(tap->name));
	tap->fd = -1;
	return slow.taps[slow.tap_count++] = tap;
}

/* Makes the list of taps that of the interfaces. */
static void adopt_taps(void)
{
	for (unsigned i = 0; i < slow.tap_count; i++)
		slow.taps[i]->wanted = false;
	for (uint16_t i = 0; slow.interfaces && i < slow.interfaces->count; i++) {
		const struct interface *n = &slow.interfaces->at[i];
		struct tap *tap;

		if (!n->present || !n->record.tap[0] ||
		    !(tap = tap_named((const char *)n->record.tap)))
			continue;
		tap->wanted = true;
		tap->slot = i;
		tap->port = n->port;
		tap->vlan = n->record.vlan;
	}
	for (unsigned i = 0; i < slow.tap_count; i++) {
		if (slow.taps[i]->wanted)
			continue;
		detach(slow.taps[i]);
		free(slow.taps[i]);
		slow.taps[i--] = slow.taps[--slow.tap_count];
	}
}

static void attach_taps(void)
{
	for (unsigned i = 0; i < slow.tap_count; i++) {
		struct tap *tap = slow.taps[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = tap};

		if (tap->fd >= 0 || (tap->fd = tap_attach(tap->name)) < 0)
			continue;
		if (epoll_ctl(slow.epoll_fd, EPOLL_CTL_ADD, tap->fd, &event) < 0)
			detach(tap);
	}
}

/* --- the thread --- */

static void online(void)
{
	const struct fib *fib;

	rte_rcu_qsbr_thread_online(fib_qsbr, READER_SLOW);
	fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);
	slow.interfaces = fib ? __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE) : NULL;
}

static void offline(void)
{
	slow.interfaces = NULL;
	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_SLOW);
}

static void take_punted(void)
{
	struct rte_mbuf *packets[BURST];
	unsigned count;

	do {
		count = rte_ring_dequeue_burst(slow.punted, (void **)packets, BURST, NULL);
		for (unsigned i = 0; i < count; i++)
			take(packets[i]);
	} while (count == BURST);
}

static void *run(void *unused)
{
	uint64_t next_tick = 0;
	int timeout = TICK_MS;

	(void)unused;
	while (!__atomic_load_n(&slow.stop, __ATOMIC_RELAXED)) {
		struct epoll_event events[32];
		int count = epoll_wait(slow.epoll_fd, events, 32, timeout);
		uint64_t ignored, now = now_ms();
		bool kicked;

		online();
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				read_tap(events[i].data.ptr);
			else if (read(slow.wake_fd, &ignored, 8) < 0)
				ignored = 0;
		}
		take_punted();
		kicked = __atomic_exchange_n(&slow.kicked, false, __ATOMIC_ACQ_REL);
		if (kicked)
			adopt_taps();
		if (kicked || now >= next_tick) {
			attach_taps();
			if (slow.interfaces)
				neigh_tick(now, ASK_BUDGET, ask);
			next_tick = now + TICK_MS;
		}
		offline();
		timeout = (int)(next_tick - RTE_MIN(now, next_tick));
	}
	return NULL;
}

int slow_start(struct rte_mempool *pool)
{
	struct epoll_event event = {.events = EPOLLIN};

	slow.pool = pool;
	slow.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	slow.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	slow.punted = rte_ring_create("punted", RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	slow.injected = rte_ring_create("injected", RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (slow.wake_fd < 0 || slow.epoll_fd < 0 || !slow.punted || !slow.injected ||
	    epoll_ctl(slow.epoll_fd, EPOLL_CTL_ADD, slow.wake_fd, &event) < 0 ||
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
	slow_wake();
	pthread_join(slow.thread, NULL);
	for (unsigned i = 0; i < slow.tap_count; i++) {
		detach(slow.taps[i]);
		free(slow.taps[i]);
	}
}
