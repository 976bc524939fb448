/* SPDX-License-Identifier: Apache-2.0
 *
 * The forwarding tables of one generation, and their commit.
 *
 * Readers (the packet loop, the slow path) take `fib_current` once per burst and follow pointers
 * without locks; they report quiescent states to `fib_qsbr`. The control thread is the only writer.
 * A FULL commit builds a whole new struct fib and swaps the pointer. An incremental one changes the
 * current fib in this order: rows that others will refer to, a grace period if they judge packets,
 * routing tables (each by one pointer), grace period, rows that nothing refers to any more. Nothing is freed before a grace period.
 */
#ifndef CCN_FIB_H
#define CCN_FIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <emmintrin.h>
#include <rte_rcu_qsbr.h>

#include "acl.h"
#include "address_set.h"
#include "ccn_wire.h"
#include "encap.h"
#include "encap6.h"
#include "group.h"
#include "keymap.h"
#include "lpm.h"
#include "neigh.h"
#include "origin.h"
#include "source_table.h"
#include "stats.h"
#include "underlay.h"
#include "vm_table.h"
#include "vtep_names.h"
#include "vtep_set.h"

#define NO_INTERFACE UINT16_MAX
#define MAX_INTERFACES 4096
#define NO_ADJACENCY UINT32_MAX
#define MAX_VLAN 4096
#define PAGE 4096U /* entries of a page of the VNI and next-hop tables */
#define WAY_LINES (PAGE / 4)

/* Numbers in fib_qsbr; worker i is READER_WORKER + i. */
enum reader { READER_SLOW, READER_WORKER, READER_COUNT = READER_WORKER + MAX_WORKERS };

struct interface {
	struct ccn_interface record;
	bool present;
	uint16_t port;
	uint8_t mac[6];		     /* of frames on the wire */
	uint8_t router_mac[6];	     /* uplink: source of inner frames */
	uint32_t address, mask, via; /* network order */
	uint32_t tunnel;	     /* uplink: what VXLAN comes to and leaves from; else 0 */
	uint8_t family;		     /* uplink: of its underlay, 4 or 6; hand-off: 0 */
	uint8_t tunnel6[16];	     /* as `tunnel`, over IPv6; else zero */
};

/* Whether it has a router to what is not on-link. */
static inline bool interface_has_router(const struct interface *interface)
{
	static const uint8_t none[16];

	return interface->via != 0 || memcmp(interface->record.via6, none, 16) != 0;
}

/* Whether the address is the interface's own, or the tunnel address that every uplink stands for; one
 * without an IPv6 address has not even "::". */
static inline bool interface_has6(const struct interface *interface, const uint8_t *ip)
{
	static const uint8_t none[16];

	return (!memcmp(ip, interface->record.address6, 16) ||
		!memcmp(ip, interface->tunnel6, 16)) &&
	       memcmp(ip, none, 16) != 0;
}

/* A port whose untagged frames are of an uplink and no hand-off: what nearly all of them look like. */
struct plain_uplink {
	int outer;	 /* family of the underlay, 4 or 6; 0: there is no such uplink */
	uint64_t mac[2]; /* the port's and the interface's, as memcpy puts them in a word */
	/* VXLAN to that address: of its first 64 octets those where the mask has ones */
	uint8_t line[64] __attribute__((aligned(16))), mask[64] __attribute__((aligned(16)));
};

/* Immutable. `slot`s are stable for the life of an interface. For what comes in only. */
struct interface_table {
	uint16_t count;
	uint8_t port_mac[MAX_PORTS][6];
	struct plain_uplink plain[MAX_PORTS];
	struct underlay *underlay;		  /* of which states and buckets change */
	uint16_t by_vlan[3][MAX_PORTS][MAX_VLAN]; /* [role][port][vlan] -> slot or NO_INTERFACE */
	struct interface at[];
};

/* All that the packet loop must know of an interface to send out of it. A copy, made anew with the
 * interfaces: what leads out of one CCN's hand-off never meets another interface in its place. */
struct egress {
	uint32_t address; /* source of tunnels over IPv4, network order; else 0 */
	uint16_t port, vlan, mtu;
	uint8_t mac[6], router_mac[6];
};

/* What an adjacency has of an IPv6 VTEP in the place of `outer` and `neigh`, which say nothing then. */
struct adjacency6 {
	struct encap6 outer;
	struct neigh *neigh;
	uint32_t plain_most;		 /* as of the adjacency, which has 0 */
	uint8_t address[16], source[16]; /* of the VTEP, of tunnels to it */
};

/* How a VTEP is reached. */
struct adjacency {
	struct encap outer;  /* headers on the uplink, if it is untagged */
	struct neigh *neigh; /* NULL: no uplink leads there, or it is ourselves */
	/* Longest IP packet that goes by it with no more ado; 0: none does, since there are several
	 * ways, or none, or a VLAN. */
	uint32_t plain_most;
	struct egress out;	     /* the uplink */
	uint32_t vtep;		     /* network order; of IPv6 its name */
	struct adjacency_ways *ways; /* NULL: no other uplink leads there */
	struct adjacency6 *six;	     /* NULL: the VTEP is IPv4 */
} __rte_cache_aligned;

static inline struct neigh *adjacency_neigh(const struct adjacency *to)
{
	return to->six ? to->six->neigh : to->neigh;
}

/* The outer addresses on the way there. */
static inline void adjacency_address(const struct adjacency *to, struct encapsulation *what)
{
	what->src = to->out.address;
	what->dst = to->vtep;
	what->src6 = to->six ? to->six->source : NULL;
	what->dst6 = to->six ? to->six->address : NULL;
}

/* The same VTEP by each of several uplinks. */
struct adjacency_ways {
	const struct underlay *underlay;
	const struct uplink *direct; /* its subnet holds the VTEP; or NULL */
	struct adjacency by[];	     /* as many as uplinks; `neigh` is NULL without a router */
};

struct adjacency_table {
	uint32_t count, capacity;
	struct keymap *replaced; /* an index that goes together with this table, or NULL */
	struct adjacency at[];
};

/* Who names each adjacency: the control thread's. `idle` are those that nobody names, or did not for
 * a while; adjacencies_sweep looks at them. `spare` are free to be another VTEP's. */
struct adjacency_uses {
	struct adjacency_use {
		uint32_t references; /* VMs, next hops, sets of VTEPs */
		bool idle;
	} * of;
	uint32_t *idle, *spare;
	uint32_t capacity, idle_count, spare_count;
};

/* How find_next_hops goes on from a next hop. */
enum leads {
	LEADS_ELSEWHERE = 0, /* out of a hand-off, into a group, nowhere: struct next_hop knows */
	LEADS_AWAY,	     /* REMOTE */
	LEADS_TO_VM,	     /* of IPv4; of what is on-link, of the packet's family */
};

/* All that the packet loop needs of most next hops: as many octets as one store changes, four to a
 * cache line. */
struct way {
	uint32_t vni; /* and above its 24 bits enum leads */
	union {
		struct { /* LEADS_AWAY: the rest of a struct vm_value */
			uint8_t mac[6];
			uint16_t pad;
			uint32_t adjacency;
		};
		struct {		  /* LEADS_TO_VM */
			uint32_t address; /* of a VIP, network order; else 0 */
			uint32_t
			    mask; /* what of the packet's destination is added: all or nothing */
			uint32_t pad2;
		};
	};
} __attribute__((aligned(16)));

struct next_hop {
	struct vm_value to; /* REMOTE */
	struct way way;
	struct neigh *neigh;	      /* NEIGHBOR */
	struct next_hop_group *group; /* GROUP */
	struct ccn_next_hop record;
	struct egress out; /* NEIGHBOR */
} __rte_cache_aligned;

static inline enum leads way_leads(__m128i way)
{
	return (enum leads)((uint32_t)_mm_cvtsi128_si32(way) >> 24);
}

/* Fills what follows from the record; `adjacency`: of a REMOTE's VTEP. */
void next_hop_prepare(struct next_hop *hop, uint32_t adjacency);

struct next_hop_entry {
	struct next_hop *live; /* what readers see */
	struct next_hop *staged;
	uint32_t references; /* routes */
	uint32_t groups;     /* whose member it is */
	bool doomed;	     /* the transaction removes it */
};

/* Immutable. Members are followed through their slots, which stay as long as the fib. */
struct next_hop_group {
	struct ccn_next_hop_group record;
	const struct next_hop_entry *member[CCN_MAX_MEMBERS];
	uint8_t bucket[GROUP_BUCKETS];
};

struct vni_entry {
	uint32_t live; /* what readers see: ccsi | kind << 16, 0 = none */
	uint32_t staged;
	bool touched;
};

/* Control-plane side of a routing table; readers see fib.lpm only. */
struct ccsi {
	struct ccn_ccsi record, staged_record;
	bool live, after; /* exists now; will exist after the transaction */
	bool touched;	  /* by the transaction */
	bool emptied;	  /* by the transaction, before what it adds */
	struct {
		struct lpm_table *now, *staged;
		bool touched;
	} family[2]; /* IPv4, IPv6 */
	struct ccsi_acl *staged_acl;
	bool acl_touched;
};

struct fib {
	uint64_t generation;
	/* Another one, of no other fib, with each change of VNIs, VTEPs, VMs or CCSIs, behind it: what is
	 * remembered of them (origin.h) holds for an epoch that was loaded before they were read. */
	uint64_t epoch;
	uint8_t digest[32];
	struct interface_table *interfaces;
	struct adjacency_table *adjacencies;
	struct keymap *adjacency_of;	     /* 1 << 32 | VTEP -> index */
	struct vtep_names *vtep_names;	     /* of IPv6 VTEPs */
	struct vtep_names *vtep_names_after; /* the control thread's: as they will be */
	struct adjacency_uses adjacency_uses;
	struct keymap *vteps;		       /* vtep_key */
	struct address_set *gateway_addresses; /* by VNI */
	struct address_set *peers;	       /* by id of the hand-off, or 0 */
	struct vm_table vms;
	struct vtep_sets vtep_sets;
	struct vni_entry *vni_page[(1 << 24) / PAGE];
	struct next_hop_entry *next_hop_page[(1 << 24) / PAGE];
	struct way *way_page[(1 << 24) / PAGE]; /* of the same slots; of an empty one zero */
	lpm_ref lpm[2][MAX_CCSIS];		/* what readers see of IPv4, IPv6 */
	struct ccsi_acl *acl[MAX_CCSIS];	/* NULL: free */
	uint32_t acls;				/* how many are not NULL */
	struct source_table *sources[MAX_CCSIS];
	bool source_open[MAX_CCSIS]; /* sources are not checked */
	struct ccsi *ccsi[MAX_CCSIS];
	size_t routes, next_hops;
};

extern struct fib *fib_current; /* NULL before the first commit */
extern struct rte_rcu_qsbr *fib_qsbr;

int fib_init(void); /* -1: out of memory */

static inline uint64_t vtep_key(uint32_t vni, uint32_t address_be)
{
	return (uint64_t)vni << 32 | address_be;
}

/* ccsi | kind << 16, or 0 */
static inline uint32_t fib_vni(const struct fib *fib, uint32_t vni)
{
	const struct vni_entry *page =
	    __atomic_load_n(&fib->vni_page[vni / PAGE], __ATOMIC_ACQUIRE);

	return page ? __atomic_load_n(&page[vni % PAGE].live, __ATOMIC_RELAXED) : 0;
}

/* Where the entry of a VNI is: to be fetched ahead. */
static inline const void *fib_vni_place(const struct fib *fib, uint32_t vni)
{
	const struct vni_entry *page =
	    __atomic_load_n(&fib->vni_page[vni / PAGE], __ATOMIC_ACQUIRE);

	return page ? &page[vni % PAGE] : NULL;
}

/* Where a next hop's way stands: to be fetched ahead. The slot is one that a route has. */
static inline const struct way *fib_way_place(const struct fib *fib, uint32_t slot)
{
	return &__atomic_load_n(&fib->way_page[slot / PAGE], __ATOMIC_ACQUIRE)[slot % PAGE];
}

/* As a whole, whatever is written meanwhile. In a register: on the stack its parts would be waited for. */
static inline __m128i way_load(const struct way *place)
{
	return *(const volatile __m128i *)place;
}

static inline void way_store(struct way *place, const struct way *way)
{
	*(volatile __m128i *)place = _mm_load_si128((const __m128i *)way);
}

static inline const struct next_hop *fib_next_hop(const struct fib *fib, uint32_t slot)
{
	const struct next_hop_entry *page =
	    __atomic_load_n(&fib->next_hop_page[slot / PAGE], __ATOMIC_ACQUIRE);

	return page ? __atomic_load_n(&page[slot % PAGE].live, __ATOMIC_ACQUIRE) : NULL;
}

/* The member of a GROUP that this flow takes. */
static inline const struct next_hop *fib_member(const struct next_hop *group, uint32_t flow_hash)
{
	const struct next_hop_group *g = group->group;

	return __atomic_load_n(&g->member[g->bucket[group_bucket(flow_hash)]]->live,
			       __ATOMIC_ACQUIRE);
}

/* Whether a VM (the adjacency of its value) is on a host: of one behind several, on any of them. */
static inline bool fib_vm_is_at(const struct fib *fib, uint32_t adjacency, uint32_t vtep_be)
{
	const struct adjacency_table *table = __atomic_load_n(&fib->adjacencies, __ATOMIC_ACQUIRE);
	const struct vtep_set *set = NULL;

	if (adjacency & SHARED) {
		set = vtep_set_at(&fib->vtep_sets, adjacency);
		for (unsigned i = 0; set && i < set->record.count; i++)
			if (!memcmp(set->record.vtep[i], &vtep_be, 4))
				return true;
		return false;
	}
	return adjacency < __atomic_load_n(&table->count, __ATOMIC_ACQUIRE) &&
	       table->at[adjacency].vtep == vtep_be;
}

/* How a flow gets to a VTEP: of several uplinks, by the one on whose subnet it is while that has a
 * link, else by one of those that have a router. */
static inline const struct adjacency *adjacency_way(const struct adjacency *to, uint32_t flow_hash)
{
	const struct adjacency_ways *ways = to->ways;

	if (!ways || (ways->direct && uplink_has_link(ways->direct)))
		return to;
	return &ways->by[underlay_way(ways->underlay, flow_hash) - ways->underlay->at];
}

/* Control thread only, from here. */

struct fib *fib_new(void); /* NULL: out of memory */
/* After a grace period. */
void fib_free(struct fib *fib);
void fib_begin_epoch(struct fib *fib);
void fib_wait_for_readers(void);
void next_hop_free(struct next_hop *hop);

void egress_of(struct egress *out, const struct interface *interface);

/* The uplink and neighbour for every VTEP of `old`, with room for `more`; NULL: out of memory. */
struct adjacency_table *adjacencies_make(const struct adjacency_table *old, uint32_t more,
					 const struct interface_table *interfaces);
void adjacencies_free(struct adjacency_table *table);
/* Index for a VTEP, made if there is room for one; else NO_ADJACENCY. */
uint32_t adjacency_index(struct fib *fib, struct adjacency_table *table, uint32_t vtep_be);
/* How many more the table needs room for, if it has none for one. */
uint32_t adjacencies_growth(const struct fib *fib);
int adjacency_uses_reserve(struct adjacency_uses *uses, uint32_t capacity); /* -1: out of memory */
/* A row that readers will see names it, or none does any more. Sets and NO_ADJACENCY are passed over. */
void adjacency_hold(struct fib *fib, uint32_t index);
void adjacency_release(struct fib *fib, uint32_t index);
/* Gives up those that nobody names, with a grace period if readers may see the tables. */
void adjacencies_sweep(struct fib *fib, bool readers);

/* The row a packet to `ip` in this CCSI meets. */
void fib_lookup(const struct fib *fib, const struct ccn_lookup *question,
		struct ccn_lookup_result *answer);

/* Calls `emit` for every record, type by type in the order of DUMP. -1 as soon as emit says -1. */
int fib_dump(const struct fib *fib,
	     int (*emit)(void *context, uint16_t type, const void *record, size_t size),
	     void *context);

#endif
