/* SPDX-License-Identifier: Apache-2.0
 * Attaches to existing tap devices, reads and writes them.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "punt.h"

#define BURST 64
#define MAX_TAPS 4096

struct tap {
	char name[16];
	int fd;
	uint16_t port, vlan;
	uint8_t role;
	bool wanted;
	bool carrierless; /* as told to the kernel */
};

static struct {
	struct rte_mempool *pool;
	int epoll_fd;
	struct tap *at[MAX_TAPS];
	unsigned count;
	struct tap *by_vlan[3][MAX_PORTS][MAX_VLAN]; /* [role][port][vlan] */
} taps;

void taps_init(struct rte_mempool *pool, int epoll_fd)
{
	taps.pool = pool;
	taps.epoll_fd = epoll_fd;
}

/* File descriptor of the existing tap device NAME, non-blocking; -1: not there (yet) or busy. */
static int attach(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd;

	/* TUNSETIFF would create a missing device, which then died with this process */
	if (if_nametoindex(name) == 0)
		return -1;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return fd;
	close(fd);
	return -1;
}

static void detach(struct tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd); /* which also leaves the epoll set */
	tap->fd = -1;
	tap->carrierless = false; /* who attaches gets one with a carrier */
}

void tap_write(struct rte_mbuf *m, unsigned role)
{
	struct tap *tap = taps.by_vlan[role][m->port][m->vlan_tci];

	if (!tap || tap->fd < 0 ||
	    write(tap->fd, rte_pktmbuf_mtod(m, void *), m->data_len) != m->data_len) {
		if (tap && errno == EBADFD)
			detach(tap);
		slow_stats.drop[DROP_TAP]++;
	} else {
		slow_stats.tap_written++;
	}
	rte_pktmbuf_free(m);
}

void tap_read(void *readable)
{
	struct tap *tap = readable;

	for (unsigned i = 0; i < BURST && tap->fd >= 0; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(taps.pool);
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
		punt_inject(m, tap->port, tap->vlan);
	}
}

static struct tap *named(const char *name)
{
	struct tap *tap;

	for (unsigned i = 0; i < taps.count; i++)
		if (!strcmp(taps.at[i]->name, name))
			return taps.at[i];
	if (taps.count == MAX_TAPS || !(tap = calloc(1, sizeof(*tap))))
		return NULL;
	memcpy(tap->name, name, sizeof(tap->name));
	tap->fd = -1;
	return taps.at[taps.count++] = tap;
}

void taps_adopt(const struct interface_table *interfaces)
{
	for (unsigned i = 0; i < taps.count; i++) {
		struct tap *tap = taps.at[i];

		taps.by_vlan[tap->role][tap->port][tap->vlan] = NULL;
		tap->wanted = false;
	}
	for (uint16_t i = 0; interfaces && i < interfaces->count; i++) {
		const struct interface *n = &interfaces->at[i];
		struct tap *tap;

		if (!n->present || !n->record.tap[0] || !(tap = named((const char *)n->record.tap)))
			continue;
		tap->wanted = true;
		tap->role = n->record.role;
		tap->port = n->port;
		tap->vlan = n->record.vlan;
		taps.by_vlan[tap->role][tap->port][tap->vlan] = tap;
	}
	for (unsigned i = 0; i < taps.count; i++) {
		if (taps.at[i]->wanted)
			continue;
		detach(taps.at[i]);
		free(taps.at[i]);
		taps.at[i--] = taps.at[--taps.count];
	}
}

void taps_attach(void)
{
	for (unsigned i = 0; i < taps.count; i++) {
		struct tap *tap = taps.at[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = tap};

		if (tap->fd >= 0 || (tap->fd = attach(tap->name)) < 0)
			continue;
		if (epoll_ctl(taps.epoll_fd, EPOLL_CTL_ADD, tap->fd, &event) < 0)
			detach(tap);
	}
}

void tap_carrier(uint16_t port, uint16_t vlan, unsigned role, bool carrier)
{
	struct tap *tap = taps.by_vlan[role][port][vlan];
	int on = carrier;

	if (!tap || tap->fd < 0 || tap->carrierless == !carrier)
		return;
	if (ioctl(tap->fd, TUNSETCARRIER, &on) == 0)
		tap->carrierless = !carrier;
}

void taps_close(void)
{
	taps_adopt(NULL);
}
