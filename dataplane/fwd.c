/* SPDX-License-Identifier: Apache-2.0
 *
 * The packet loop, top to bottom: receive a burst -> classify each frame (VXLAN to us, plain IP of
 * a hand-off, or for the slow path) -> longest match in its CCSI -> next hop -> VM -> rewrite ->
 * send. Each stage goes over the whole burst, so that its cache misses overlap.
 */
#include "fwd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "classify.h"
#include "fib.h"
#include "frame.h"
#include "log.h"
#include "port.h"
#include "punt.h"
#include "stats.h"

#define BURST 64
#define EMPTY_POLLS_BEFORE_SLEEP 32
#define LONGEST_SLEEP_NS 500000L
#define EMPTY_POLLS_AT_END 64 /* of a pcap file */

struct job {
	struct rte_mbuf *m;
	struct packet packet; /* the IP packet to forward; m's data begins at the frame */
	uint32_t slot;
	const struct next_hop *hop;
	/* encapsulation */
	uint32_t vni, adjacency;
	uint8_t mac[6];
};

struct tx_queue {
	struct rte_mbuf *m[BURST];
	unsigned count;
};

static struct {
	struct fwd_options options;
	pthread_t thread;
	bool stop;
	struct tx_queue tx[MAX_PORTS];
	unsigned empty_polls[MAX_PORTS];
	bool punted;
} loop;

static void drop(struct rte_mbuf *m, enum drop_reason reason)
{
	worker_stats.drop[reason]++;
	rte_pktmbuf_free(m);
}

static void flush(unsigned port)
{
	struct tx_queue *q = &loop.tx[port];
	struct port_stats *stats = &worker_stats.port[port];
	unsigned sent = 0;
	uint64_t octets = 0;

	for (unsigned i = 0; i < q->count; i++)
		octets += q->m[i]->pkt_len;
	for (unsigned attempt = 0; attempt < 8 && sent < q->count; attempt++)
		sent += rte_eth_tx_burst(port_dpdk_id(port), 0, q->m + sent,
					 (uint16_t)(q->count - sent));
	for (unsigned i = sent; i < q->count; i++) {
		octets -= q->m[i]->pkt_len;
		drop(q->m[i], DROP_TX_FULL);
	}
	stats->tx_packets += sent;
	stats->tx_bytes += octets;
	q->count = 0;
}

static void transmit(unsigned port, struct rte_mbuf *m)
{
	struct tx_queue *q = &loop.tx[port];

	q->m[q->count++] = m;
	if (q->count == BURST)
		flush(port);
}

/* --- classify --- */

static void send_up(struct rte_mbuf *m, const struct frame_in *in)
{
	if (in->tagged) { /* the slow path sees untagged frames */
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		memmove(frame + 4, frame, 12);
		rte_pktmbuf_adj(m, 4);
	}
	m->port = in->port;
	m->vlan_tci = in->vlan;
	m->hash.usr = in->role;
	punt(m);
	loop.punted = true;
}

/* True: the job is to be forwarded. False: the frame was dropped or went to the slow path. */
static bool sort_out(const struct fib *fib, const struct interface_table *interfaces,
		     struct rte_mbuf *m, unsigned port, struct job *job)
{
	struct frame_in in = {.data = rte_pktmbuf_mtod(m, uint8_t *),
			      .length = m->data_len,
			      .port = (uint16_t)port,
			      .any_mac = loop.options.any_mac};
	enum verdict verdict;

	if (m->nb_segs > 1) {
		drop(m, DROP_OVERSIZE);
		return false;
	}
	if (m->ol_flags &
	    RTE_MBUF_F_RX_VLAN_STRIPPED) { /* af_packet gets the tag beside the frame */
		in.vlan = m->vlan_tci & 0xfff;
		m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_VLAN);
	}
	verdict = classify(fib, interfaces, &in, &job->packet);
	job->m = m;
	if (verdict == VERDICT_DROP)
		drop(m, in.reason);
	else if (verdict == VERDICT_PUNT)
		send_up(m, &in);
	return verdict == VERDICT_FORWARD;
}

/* --- look up --- */

static void match_routes(const struct fib *fib, struct job *jobs, unsigned count)
{
	const struct lpm *table4[BURST], *table6[BURST];
	uint32_t address4[BURST], slot4[BURST], slot6[BURST];
	uint8_t address6[BURST][16];
	unsigned n4 = 0, n6 = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct job *job = &jobs[i];

		if (job->packet.family == 4) {
			uint32_t address;

			memcpy(&address, job->packet.ip + 16, 4);
			table4[n4] =
			    __atomic_load_n(&fib->lpm[0][job->packet.ccsi], __ATOMIC_ACQUIRE);
			address4[n4++] = rte_be_to_cpu_32(address);
		} else {
			table6[n6] =
			    __atomic_load_n(&fib->lpm[1][job->packet.ccsi], __ATOMIC_ACQUIRE);
			memcpy(address6[n6++], job->packet.ip + 24, 16);
		}
	}
	lpm_lookup_burst4(table4, address4, slot4, n4);
	if (n6 > 0)
		lpm_lookup_burst6(table6, (const uint8_t(*)[16])address6, slot6, n6);
	n4 = n6 = 0;
	for (unsigned i = 0; i < count; i++)
		jobs[i].slot = jobs[i].packet.family == 4 ? slot4[n4++] : slot6[n6++];
}

/* Follows next hops; those that lead to a VM are looked up together. Keeps what survives. */
static unsigned find_next_hops(const struct fib *fib, struct job *jobs, unsigned count)
{
	struct vm_value value[BURST];
	struct job *vm4[BURST], *vm6[BURST];
	uint64_t key4[BURST], found;
	uint32_t vni6[BURST];
	uint8_t ip6[BURST][16];
	unsigned n4 = 0, n6 = 0, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct job *job = &jobs[i];
		const struct next_hop *hop =
		    job->slot == LPM_NONE ? NULL : fib_next_hop(fib, job->slot);
		const uint8_t *ip;
		int family = job->packet.family;

	again:
		job->hop = hop;
		if (!hop || hop->record.kind == CCN_DROP) {
			drop(job->m, hop ? DROP_BLACKHOLE : DROP_NO_ROUTE);
			job->m = NULL;
			continue;
		}
		job->vni = hop->record.vni;
		switch (hop->record.kind) {
		case CCN_REMOTE:
			job->adjacency = hop->adjacency;
			memcpy(job->mac, hop->record.mac, 6);
			continue;
		case CCN_ON_LINK:
			ip = family == 4 ? job->packet.ip + 16 : job->packet.ip + 24;
			break;
		case CCN_VIP:
			ip = hop->record.ip;
			family = hop->record.family;
			break;
		case CCN_GROUP: /* of which no member is a group */
			hop = fib_member(
			    hop, frame_flow_hash(job->packet.ip, family, job->packet.length));
			goto again;
		default:
			continue;
		}
		if (family == 4) {
			uint32_t address;

			memcpy(&address, ip, 4);
			key4[n4] = vm_key4(job->vni, address);
			vm4[n4++] = job;
		} else {
			vni6[n6] = job->vni;
			memcpy(ip6[n6], ip, 16);
			vm6[n6++] = job;
		}
	}
	found = n4 ? vm_lookup_burst4(&fib->vms, key4, value, n4) : 0;
	for (unsigned i = 0; i < n4; i++) {
		if (!(found >> i & 1)) {
			drop(vm4[i]->m, DROP_NO_VM);
			vm4[i]->m = NULL;
			continue;
		}
		vm4[i]->adjacency = value[i].adjacency;
		memcpy(vm4[i]->mac, value[i].mac, 6);
	}
	found = n6 ? vm_lookup_burst6(&fib->vms, vni6, (const uint8_t(*)[16])ip6, value, n6) : 0;
	for (unsigned i = 0; i < n6; i++) {
		if (!(found >> i & 1)) {
			drop(vm6[i]->m, DROP_NO_VM);
			vm6[i]->m = NULL;
			continue;
		}
		vm6[i]->adjacency = value[i].adjacency;
		memcpy(vm6[i]->mac, value[i].mac, 6);
	}
	for (unsigned i = 0; i < count; i++)
		if (jobs[i].m)
			jobs[kept++] = jobs[i];
	return kept;
}

/* --- rewrite and send --- */

/* Leaves the mbuf with the IP packet alone. */
static void strip(struct job *job)
{
	uint16_t front = (uint16_t)(job->packet.ip - rte_pktmbuf_mtod(job->m, uint8_t *));

	rte_pktmbuf_adj(job->m, front);
	rte_pktmbuf_trim(job->m, (uint16_t)(job->m->data_len - job->packet.length));
}

static enum drop_reason encapsulate(const struct fib *fib, struct job *job, unsigned *port)
{
	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	const struct adjacency *to;
	uint64_t mac;
	uint8_t *frame;

	if (job->adjacency >= __atomic_load_n(&table->count, __ATOMIC_ACQUIRE))
		return DROP_NO_NEIGHBOR;
	to = &table->at[job->adjacency];
	if (!to->neigh)
		return DROP_NO_UPLINK;
	if (job->packet.length + OUTER_L3 > to->out.mtu)
		return DROP_MTU;
	mac = neigh_mac(to->neigh);
	if (!mac)
		return DROP_NO_NEIGHBOR;
	strip(job);

	const struct encapsulation what = {
	    .outer_dst = (const uint8_t *)&mac,
	    .outer_src = to->out.mac,
	    .inner_dst = job->mac,
	    .inner_src = to->out.router_mac,
	    .vlan = to->out.vlan,
	    .vni = job->vni,
	    .src = to->out.address,
	    .dst = to->vtep,
	    .tos = frame_tos(job->packet.ip, job->packet.family),
	    .entropy = frame_flow_hash(job->packet.ip, job->packet.family, job->packet.length),
	    .ip_length = job->packet.length,
	    .ether_type = job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6,
	};

	frame = (uint8_t *)rte_pktmbuf_prepend(job->m, (uint16_t)frame_vxlan_size(&what));
	if (!frame)
		return DROP_OVERSIZE;
	frame_vxlan(frame, &what);
	*port = to->out.port;
	return DROP_REASON_COUNT;
}

static enum drop_reason hand_off(struct job *job, unsigned *port)
{
	const struct egress *out = &job->hop->out;
	uint64_t mac;
	uint8_t *frame;

	if (job->packet.length > out->mtu)
		return DROP_MTU;
	mac = neigh_mac(job->hop->neigh);
	if (!mac)
		return DROP_NO_NEIGHBOR;
	strip(job);
	frame = (uint8_t *)rte_pktmbuf_prepend(job->m, out->vlan ? 18 : 14);
	if (!frame)
		return DROP_OVERSIZE;
	frame_ethernet(frame, (const uint8_t *)&mac, out->mac, out->vlan,
		       job->packet.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	*port = out->port;
	return DROP_REASON_COUNT;
}

static void rewrite(const struct fib *fib, struct job *job)
{
	enum drop_reason reason;
	unsigned port = 0;

	if (!frame_forwardable(job->packet.ip, job->packet.family)) {
		drop(job->m, DROP_TTL);
		return;
	}
	if (job->packet.ecn == 3 && (frame_tos(job->packet.ip, job->packet.family) & 3) == 0) {
		drop(job->m, DROP_ECN);
		return;
	}
	if (job->hop->record.kind == CCN_NEIGHBOR)
		reason = hand_off(job, &port);
	else
		reason = encapsulate(fib, job, &port);
	if (reason != DROP_REASON_COUNT) {
		drop(job->m, reason);
		return;
	}
	frame_hop(job->packet.ip, job->packet.family, job->packet.ecn);
	worker_stats.ccsi[job->packet.ccsi].packets++;
	worker_stats.ccsi[job->packet.ccsi].bytes += job->packet.length;
	transmit(port, job->m);
}

static void forward(const struct fib *fib, unsigned port, struct rte_mbuf **packets, unsigned count)
{
	const struct interface_table *interfaces =
	    fib ? __atomic_load_n(&fib->interfaces, __ATOMIC_ACQUIRE) : NULL;
	struct job jobs[BURST];
	struct port_stats *stats = &worker_stats.port[port];
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(packets[i], void *));
	for (unsigned i = 0; i < count; i++) {
		stats->rx_bytes += packets[i]->pkt_len;
		n += sort_out(fib, interfaces, packets[i], port, &jobs[n]);
	}
	stats->rx_packets += count;
	if (n == 0)
		return;
	match_routes(fib, jobs, n);
	n = find_next_hops(fib, jobs, n);
	for (unsigned i = 0; i < n; i++)
		rewrite(fib, &jobs[i]);
}

/* --- the thread --- */

static void finish(unsigned port)
{
	worker_stats.port[port].rx_finished = 1;
	if (loop.options.once)
		log_line("port %s: the input has been read: %llu packets", port_name(port),
			 (unsigned long long)worker_stats.port[port].rx_packets);
}

static unsigned poll_once(void)
{
	const struct fib *fib = __atomic_load_n(&fib_current, __ATOMIC_ACQUIRE);
	struct rte_mbuf *packets[BURST];
	unsigned total = 0, count;

	for (unsigned port = 0; port < port_count(); port++) {
		if (port_is_file(port) && (!fib || worker_stats.port[port].rx_finished))
			continue; /* a file is read once, with tables to forward by */
		count = rte_eth_rx_burst(port_dpdk_id(port), 0, packets, BURST);
		if (count > 0)
			forward(fib, port, packets, count);
		loop.empty_polls[port] = count ? 0 : loop.empty_polls[port] + 1;
		if (port_is_file(port) && !port_is_endless(port) &&
		    loop.empty_polls[port] >= EMPTY_POLLS_AT_END)
			finish(port);
		total += count;
	}
	count = punt_injected(packets, BURST);
	for (unsigned i = 0; i < count; i++)
		transmit(packets[i]->port, packets[i]);
	worker_stats.injected += count;
	for (unsigned port = 0; port < port_count(); port++)
		if (loop.tx[port].count > 0)
			flush(port);
	if (loop.punted)
		punt_wake();
	loop.punted = false;
	worker_stats.polls++;
	worker_stats.packets += total;
	return total + count;
}

/* The kernel's devices offer no wake-up to the poll-mode drivers, so sleeps grow while idle. */
static void rest(unsigned empty)
{
	long nanoseconds = 20000L << RTE_MIN((empty - EMPTY_POLLS_BEFORE_SLEEP) / 8, 8U);
	struct timespec limit = {0, RTE_MIN(nanoseconds, LONGEST_SLEEP_NS)};
	struct pollfd wake = {.fd = punt_loop_fd(), .events = POLLIN};
	uint64_t ignored;

	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_WORKER);
	if (ppoll(&wake, 1, &limit, NULL) > 0 && read(punt_loop_fd(), &ignored, 8) < 0)
		ignored = 0;
	rte_rcu_qsbr_thread_online(fib_qsbr, READER_WORKER);
	worker_stats.sleeps++;
}

static void *run(void *unused)
{
	unsigned empty = 0;

	(void)unused;
	if (loop.options.cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((unsigned)loop.options.cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
			log_line("--cpu %d: cannot be used (is that CPU there?); not pinned",
				 loop.options.cpu);
	}
	rte_thread_register(); /* for the buffer pool's per-thread cache */
	rte_rcu_qsbr_thread_online(fib_qsbr, READER_WORKER);
	while (!__atomic_load_n(&loop.stop, __ATOMIC_RELAXED)) {
		uint64_t before = rte_rdtsc();

		if (poll_once() > 0) {
			worker_stats.busy_cycles += rte_rdtsc() - before;
			empty = 0;
		} else if (++empty > EMPTY_POLLS_BEFORE_SLEEP && !loop.options.busy_poll) {
			rest(empty);
		}
		rte_rcu_qsbr_quiescent(fib_qsbr, READER_WORKER);
	}
	rte_rcu_qsbr_thread_offline(fib_qsbr, READER_WORKER);
	rte_thread_unregister();
	return NULL;
}

int fwd_start(const struct fwd_options *options)
{
	loop.options = *options;
	if (pthread_create(&loop.thread, NULL, run, NULL) != 0) {
		log_line("cannot start the packet loop: %s (raise the limits on threads and files)",
			 strerror(errno));
		return -1;
	}
	pthread_setname_np(loop.thread, "ccn-worker");
	return 0;
}

void fwd_stop(void)
{
	__atomic_store_n(&loop.stop, true, __ATOMIC_RELAXED);
	punt_wake_loop();
	pthread_join(loop.thread, NULL);
}
