/* SPDX-License-Identifier: Apache-2.0
 * The checksum of the outer header, and what a device says of it: only a "good" that is about that
 * header takes the place of our own sum; without a device that checks, and whatever it says of other
 * frames, the same frames are forwarded and the same are dropped.
 */
#include "check_eal.h"
#include "check_frames.h"
#include "check_ports.h"
#include "check_tables.h"
#include "fwd.h"
#include "trace.h"

const char *stats_drop_name(unsigned reason)
{
	(void)reason;
	return "";
}

/* Nothing here is for the slow path, or traced. */
void punt(struct worker_stats *stats, struct rte_mbuf *m, enum punt_class class, uint16_t hand_off)
{
	(void)stats, (void)m, (void)class, (void)hand_off;
	CHECK(false);
}

enum punt_class punt_class(const struct address_set *peers, uint32_t interface,
			   const uint8_t *frame, size_t length)
{
	(void)peers, (void)interface, (void)frame, (void)length;
	return PUNT_OTHER;
}

void hand_up(struct worker *w, struct job *job, enum punt_what what, uint16_t mtu)
{
	(void)w, (void)job, (void)what, (void)mtu;
	CHECK(false);
}

bool trace_is_dry(const struct tracer *t)
{
	(void)t;
	return false;
}

static void make_tables(void)
{
	static struct check_records tables;

	check_add(&tables, CCN_CCSI, 0, &(struct ccn_ccsi){.id = 100});
	check_add(&tables, CCN_INTERFACE, 0,
		  &(struct ccn_interface){.id = 1,
					  .role = CCN_UPLINK,
					  .length = 24,
					  .mtu = 1600,
					  .port = "p0",
					  .address = {192, 0, 2, 11},
					  .mac = {2, 0, 0, 0, 0, 9}});
	check_add(&tables, CCN_VNI, 0,
		  &(struct ccn_vni){.vni = CHECK_VNI, .ccsi = 100, .kind = CCN_VNI_VPC});
	check_add(&tables, CCN_VTEP, 0,
		  &(struct ccn_vtep){.vni = CHECK_VNI, .address = {192, 0, 2, 101}});
	check_commit(&tables);
}

/* How a frame can be wrong, or only unusual. `plain`: plain.h may say yes to it. */
static const struct variant {
	const char *name;
	int family;
	bool options; /* of the outer header */
	bool outer_wrong, inner_wrong;
} variants[] = {
    {"right", 4, false, false, false},	    {"right, IPv6 inside", 6, false, false, false},
    {"outer wrong", 4, false, true, false}, {"outer wrong, IPv6 inside", 6, false, true, false},
    {"options", 4, true, false, false},	    {"options, outer wrong", 4, true, true, false},
    {"inner wrong", 4, false, false, true}, {"both wrong", 4, false, true, true},
};

static const uint64_t said[] = {RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
				RTE_MBUF_F_RX_IP_CKSUM_BAD, RTE_MBUF_F_RX_IP_CKSUM_NONE};
/* What a device says that a frame is: nothing, IPv4 with UDP, a tunnel (so that the flags may be of
 * the inner header), IPv6. */
static const uint32_t types[] = {0, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP,
				 RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_TUNNEL_VXLAN |
				     RTE_PTYPE_INNER_L3_IPV4,
				 RTE_PTYPE_L3_IPV6};
/* Also what it says beside that: of the payload, of a tag that it left. */
static const uint64_t beside[] = {0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD,
				  RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD, RTE_MBUF_F_RX_RSS_HASH};

static size_t make(uint8_t *frame, const struct variant *v)
{
	size_t length = check_frame(frame, 4, v->family, 24);

	if (v->inner_wrong)
		frame[plain_ip(4) + 11] ^= 1;
	if (v->options) {
		uint16_t sum;

		memmove(frame + 38, frame + 34, length - 34);
		memset(frame + 34, 1, 4); /* no operation */
		length += 4;
		frame[14] = 0x46;
		check_put16(frame + 16, (unsigned)length - 14);
		memset(frame + 24, 0, 2);
		sum = frame_checksum(frame + 14, 24);
		memcpy(frame + 24, &sum, 2);
	}
	if (v->outer_wrong)
		frame[25] ^= 1;
	return length;
}

static void check_one(struct worker *w, struct rte_mempool *pool, const struct variant *v,
		      uint64_t flags, uint32_t type)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	const bool believed =
	    (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
	    type == types[1];
	const bool outer = v->outer_wrong && !believed;
	const struct worker_stats before = w->stats;
	uint8_t frame[256];
	struct job job;
	bool vouched;
	unsigned n;

	CHECK(m);
	rte_pktmbuf_append(m, (uint16_t)make(frame, v));
	memcpy(rte_pktmbuf_mtod(m, void *), frame, m->data_len);
	m->ol_flags = flags;
	m->packet_type = type;
	n = sort_out(w, fib_current, 0, &m, 1, &job, &vouched);
	CHECK(!vouched); /* nobody has judged a source here */
	if (n != (outer || v->inner_wrong ? 0 : 1))
		fprintf(stderr, "%s, flags %llx, type %x\n", v->name, (unsigned long long)flags,
			type);
	CHECK(n == (outer || v->inner_wrong ? 0 : 1));
	CHECK(w->stats.drop[DROP_OUTER_CHECKSUM] - before.drop[DROP_OUTER_CHECKSUM] == outer);
	CHECK(w->stats.drop[DROP_IP_CHECKSUM] - before.drop[DROP_IP_CHECKSUM] ==
	      (v->inner_wrong && !outer));
	if (n == 0)
		return;
	CHECK(job.packet.ccsi == 100 && job.packet.family == v->family &&
	      job.packet.vni == CHECK_VNI);
	CHECK(job.packet.ip == rte_pktmbuf_mtod_offset(m, uint8_t *, v->options ? 68 : 64));
	CHECK(!memcmp(rte_pktmbuf_mtod(m, void *), frame, m->data_len)); /* not touched yet */
	rte_pktmbuf_free(m);
}

static unsigned count_of(size_t array, size_t each)
{
	return (unsigned)(array / each);
}
#define COUNT(array) count_of(sizeof(array), sizeof(*(array)))

int main(void)
{
	static const struct worker_options options = {.count = 1};
	static struct worker w = {.options = &options};
	struct rte_mempool *pool;

	check_eal();
	CHECK(fib_init() == 0);
	CHECK(origins_init(&w.origins[0]) == 0 && origins_init(&w.origins[1]) == 0);
	neigh_init(true);
	make_tables();
	pool = rte_pktmbuf_pool_create("frames", 63, 0, 0, 2048, SOCKET_ID_ANY);
	CHECK(pool);
	for (unsigned v = 0; v < COUNT(variants); v++)
		for (unsigned s = 0; s < COUNT(said); s++)
			for (unsigned t = 0; t < COUNT(types); t++)
				for (unsigned b = 0; b < COUNT(beside); b++)
					check_one(&w, pool, &variants[v], said[s] | beside[b],
						  types[t]);
	CHECK(rte_mempool_avail_count(pool) == 63);
	rte_mempool_free(pool);
	fib_free(fib_current);
	free(fib_qsbr);
	rte_eal_cleanup();
	return 0;
}
