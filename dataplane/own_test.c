/* SPDX-License-Identifier: Apache-2.0
 * What an IPv6 uplink says and believes: whom it asks and from which address, what it answers for its
 * own and for its tunnel address, who moves a neighbour's MAC and who does not, and what is left to
 * the kernel.
 */
#include "own.h"

#include <string.h>

#include <rte_mbuf.h>

#include "arp.h"
#include "check_eal.h"
#include "check_ports.h"
#include "frame.h"
#include "icmp6.h"
#include "interface.h"
#include "punt.h"
#include "tap.h"

struct slow_stats slow_stats;

static uint8_t said[256]; /* the last frame that left */
static unsigned said_size, kernel;

void punt_inject(struct rte_mbuf *m, uint16_t port, uint16_t vlan)
{
	CHECK(port == 0 && vlan == 0 && m->data_len <= sizeof(said));
	said_size = m->data_len;
	memcpy(said, rte_pktmbuf_mtod(m, void *), said_size);
	rte_pktmbuf_free(m);
}

void tap_write(struct rte_mbuf *m, unsigned role)
{
	CHECK(role == CCN_UPLINK);
	kernel++;
	rte_pktmbuf_free(m);
}

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, router_mac[6] = {2, 0, 0, 0, 1, 1},
		     other_mac[6] = {2, 0, 0, 0, 6, 6};
static const uint8_t us[16] = {0x20, 1, [15] = 11}, tunnel[16] = {0x20, 1, 1, [15] = 255},
		     host[16] = {0x20, 1, [15] = 101}, router[16] = {0xfe, 0x80, [15] = 1},
		     nobody[16], all_nodes[16] = {0xff, 2, [15] = 1};
/* of our MAC: RFC 4291 appendix A */
static const uint8_t our_link[16] = {0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 1};

static struct rte_mempool *pool;
static struct interface_table *interfaces;

static void hear(const uint8_t *frame, unsigned size)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	CHECK(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)size), frame, size);
	m->port = 0;
	m->vlan_tci = 0;
	m->hash.usr = CCN_UPLINK;
	said_size = kernel = 0;
	own_take(interfaces, m);
}

static struct neigh *hold(const uint8_t *ip)
{
	struct neigh_key key = {.role = CCN_UPLINK, .family = 6};
	struct neigh *n;

	memcpy(key.ip, ip, 16);
	n = neigh_hold(&key);
	CHECK(n);
	return n;
}

static bool has_mac(const struct neigh *n, const uint8_t *mac)
{
	const uint64_t held = neigh_mac(n);

	return held && !memcmp(&held, mac, 6);
}

/* --- asking --- */

static void ask(const struct neigh *n, const uint8_t *mac)
{
	said_size = 0;
	own_ask(interfaces, &n->key, mac);
	CHECK(said_size == ICMP6_ND_SIZE);
	CHECK(icmp6_read(said, said_size).kind == ICMP6_SOLICITATION);
	CHECK(!memcmp(said + 6, our_mac, 6) && !memcmp(said + 62, n->key.ip, 16));
	CHECK(!memcmp(icmp6_read(said, said_size).mac, our_mac, 6));
}

static void who_is_asked_and_from_where(const struct neigh *far, const struct neigh *near)
{
	ask(far, NULL);
	CHECK(!memcmp(said, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6));
	CHECK(!memcmp(said + 22, our_link, 16)); /* who has no address but on the link */
	ask(near, NULL);
	CHECK(!memcmp(said, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 101}, 6));
	CHECK(!memcmp(said + 22, us, 16) && said[38] == 0xff);
	ask(near, router_mac);
	CHECK(!memcmp(said, router_mac, 6) && !memcmp(said + 38, host, 16));
}

/* --- being told --- */

/* An advertisement of `target`'s MAC with these flags. */
static void advertise(const uint8_t *target, const uint8_t *mac, uint8_t flags, uint8_t hops)
{
	uint8_t asked[ICMP6_ND_SIZE], frame[ICMP6_ND_SIZE];

	icmp6_solicit(asked, our_mac, us, target, mac);
	icmp6_advertise(frame, mac, target, asked);
	frame[21] = hops;
	frame[58] = flags;
	if (!(flags & 0x40))
		memcpy(frame + 38, all_nodes, 16);
	icmp6_seal(frame + 14, 32);
	hear(frame, sizeof(frame));
	CHECK(said_size == 0 && kernel == 1); /* the kernel learns by itself */
}

static void whose_word_counts(const struct neigh *far)
{
	uint8_t asked[ICMP6_ND_SIZE];

	CHECK(neigh_mac(far) == 0);
	advertise(router, router_mac, 0x60, 64); /* it has come over a router */
	CHECK(neigh_mac(far) == 0);
	advertise(router, router_mac, 0x60, 255);
	CHECK(has_mac(far, router_mac));
	advertise(router, other_mac, 0x40, 255); /* RFC 4861 section 7.2.5 */
	CHECK(has_mac(far, router_mac));
	advertise(router, other_mac, 0x20, 255); /* a router that takes over says so to all */
	CHECK(has_mac(far, other_mac));
	advertise(router, router_mac, 0xe0, 255);
	CHECK(has_mac(far, router_mac));

	icmp6_solicit(asked, other_mac, router, us, NULL); /* it asks, and tells who it is */
	hear(asked, sizeof(asked));
	CHECK(has_mac(far, other_mac) && said_size == ICMP6_ND_SIZE && kernel == 0);
	advertise(router, router_mac, 0x60, 255);
}

/* --- being asked --- */

static void answers(const uint8_t *address)
{
	uint8_t asked[ICMP6_ND_SIZE];
	struct icmp6_seen seen;

	icmp6_solicit(asked, other_mac, host, address, NULL);
	hear(asked, sizeof(asked));
	seen = icmp6_read(said, said_size);
	CHECK(seen.kind == ICMP6_ADVERTISEMENT && kernel == 0);
	CHECK(!memcmp(said, other_mac, 6) && !memcmp(said + 38, host, 16));
	CHECK(!memcmp(seen.target, address, 16) && !memcmp(seen.mac, our_mac, 6) && seen.override);
}

/* Who looks whether our address is free is told, with all others, that it is not, and teaches nobody
 * anything: not of our address nor of its neighbours'. */
static void duplicates(const struct neigh *far)
{
	uint8_t asked[ICMP6_ND_SIZE];

	icmp6_solicit(asked, other_mac, nobody, us, NULL);
	asked[78] = 14; /* a nonce in the place of its MAC (RFC 7527) */
	icmp6_seal(asked + 14, 32);
	hear(asked, sizeof(asked));
	CHECK(said_size == ICMP6_ND_SIZE && kernel == 0 && !memcmp(said + 38, all_nodes, 16));
	CHECK(icmp6_read(said, said_size).kind == ICMP6_ADVERTISEMENT);

	icmp6_solicit(asked, other_mac, nobody, router, NULL); /* that of the router */
	hear(asked, sizeof(asked));
	CHECK(said_size == 0 && has_mac(far, router_mac));
	icmp6_solicit(asked, other_mac, nobody, us, NULL); /* with a MAC: section 7.1.1 */
	hear(asked, sizeof(asked));
	CHECK(said_size == 0);
}

static void pings(void)
{
	uint8_t ping[70] = {0};

	frame_ethernet(ping, our_mac, other_mac, 0, ETHER_IPV6);
	ping[14] = 0x60;
	ping[19] = 16;
	ping[20] = IPPROTO_ICMPV6;
	ping[21] = 3;
	memcpy(ping + 22, host, 16);
	memcpy(ping + 38, tunnel, 16);
	ping[54] = 128;
	icmp6_seal(ping + 14, 16);
	hear(ping, sizeof(ping));
	CHECK(said_size == sizeof(ping) && said[54] == 129 && said[21] == 64);
	CHECK(!memcmp(said, other_mac, 6) && !memcmp(said + 22, tunnel, 16) &&
	      !memcmp(said + 38, host, 16));
	memcpy(ping + 22, all_nodes, 16);
	icmp6_seal(ping + 14, 16);
	hear(ping, sizeof(ping));
	CHECK(said_size == 0);
}

/* A router's advertisement changes nothing here; the kernel's taps do not accept any (linux/taps.py). */
static void routers_are_not_believed(const struct neigh *far)
{
	uint8_t frame[78] = {0};

	frame_ethernet(frame, our_mac, other_mac, 0, ETHER_IPV6);
	frame[14] = 0x60;
	frame[19] = 24;
	frame[20] = IPPROTO_ICMPV6;
	frame[21] = 255;
	memcpy(frame + 22, router, 16);
	memcpy(frame + 38, all_nodes, 16);
	memcpy(frame + 54, (uint8_t[]){134, 0, 0, 0, 64, 0, 7, 8}, 8);
	memcpy(frame + 70, (uint8_t[]){1, 1, 2, 0, 0, 0, 6, 6}, 8); /* its MAC */
	icmp6_seal(frame + 14, 24);
	hear(frame, sizeof(frame));
	CHECK(said_size == 0 && kernel == 1 && has_mac(far, router_mac));
}

int main(void)
{
	struct ccn_interface uplink = {
	    .id = 1, .role = CCN_UPLINK, .length6 = 64, .mtu = 1600, .port = "p0"};
	struct neigh *far, *near;
	uint32_t odd;

	check_eal();
	CHECK(fib_init() == 0);
	pool = rte_pktmbuf_pool_create("frames", 63, 0, 0, 2048, SOCKET_ID_ANY);
	CHECK(pool);
	own_init(pool);
	memcpy(uplink.address6, us, 16);
	memcpy(uplink.vtep6, tunnel, 16);
	memcpy(uplink.via6, router, 16);
	interfaces = calloc(1, sizeof(*interfaces) + 2 * sizeof(struct interface));
	CHECK(interfaces && !interfaces_apply(interfaces, &uplink, false));
	CHECK(!interfaces_index(interfaces, &odd));
	far = hold(router);
	near = hold(host);
	who_is_asked_and_from_where(far, near);
	whose_word_counts(far);
	answers(us);
	CHECK(has_mac(near, other_mac)); /* it told its own when it asked */
	answers(tunnel);
	duplicates(far);
	pings();
	routers_are_not_believed(far);
	CHECK(rte_mempool_avail_count(pool) == 63);
	neigh_release(far);
	neigh_release(near);
	interfaces_free(interfaces);
	rte_mempool_free(pool);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
