/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract between the control plane (Python) and the forwarder (C): every octet that crosses
 * the control socket. A unix stream socket carries messages; each is a header and `count` records
 * of one type. Integers are little-endian; addresses are octets in network order; no bit-fields;
 * padding is explicit and zero. The build preprocesses this file into the Python package, where
 * cffi makes the NumPy dtypes from it; HELLO compares version and sizes, so the two cannot drift.
 *
 * A commit:   HELLO -> HELLO_ACK, BEGIN, records..., [PREPARE -> ACK or NAK,] COMMIT -> ACK or NAK.
 * EOF before COMMIT changes nothing. BEGIN.base must be the generation in force (or FULL is set).
 * Static asserts live in message.c: cffi does not read them.
 */
#ifndef CCN_WIRE_H
#define CCN_WIRE_H
#ifndef CCN_WIRE_CDEF /* cffi knows the integer types and takes no system header */
#include <stdint.h>
#endif

/* An enumeration, since the preprocessor would keep macros from cffi. */
enum ccn_wire {
	CCN_WIRE_VERSION = 5,
	CCN_WIRE_MAGIC = 0x314e4343, /* "CCN1" */
	CCN_MAX_MESSAGE = 16777216,  /* octets, header included */
	CCN_MAX_MEMBERS = 16,	     /* of a group of next hops, of a set of VTEPs */
};

enum ccn_message_type {
	/* requests */
	CCN_HELLO = 1,	/* struct ccn_hello; the first message of every connection */
	CCN_BEGIN = 2,	/* struct ccn_begin */
	CCN_COMMIT = 3, /* struct ccn_commit */
	CCN_DUMP = 4,	/* no record; answered by messages of all records held, then ACK */
	CCN_STATS =
	    5, /* no record; answered by COUNTER, PORT_STATUS and OFFENDER records, then ACK */
	CCN_LOOKUP = 6, /* struct ccn_lookup; answered by CCN_LOOKUP_RESULT */
	/* struct ccn_commit; optional, before COMMIT: the records are checked and staged, and ACK says
	 * that a COMMIT with the same `next` will not be refused. No record may follow */
	CCN_TRACE = 7, /* struct ccn_trace; answered by TRACE_STEP and COUNTER records, then ACK */
	CCN_PREPARE = 8,
	CCN_OFFENDERS = 9, /* struct ccn_offenders; answered by OFFENDER records, then ACK */
	/* answers */
	CCN_HELLO_ACK = 16,	/* struct ccn_hello_ack */
	CCN_ACK = 17,		/* struct ccn_ack */
	CCN_NAK = 18,		/* struct ccn_nak */
	CCN_LOOKUP_RESULT = 19, /* struct ccn_lookup_result */
	CCN_COUNTER = 20,	/* struct ccn_counter */
	CCN_PORT_STATUS = 21,	/* struct ccn_port_status */
	CCN_OFFENDER = 22,	/* struct ccn_offender */
	CCN_TRACE_STEP = 23,	/* struct ccn_trace_step */
	/* records of a transaction; with flag CCN_DELETE they remove what they name */
	CCN_INTERFACE = 32,	  /* struct ccn_interface */
	CCN_VNI = 33,		  /* struct ccn_vni */
	CCN_VTEP = 34,		  /* struct ccn_vtep */
	CCN_NEXT_HOP = 35,	  /* struct ccn_next_hop */
	CCN_VM = 36,		  /* struct ccn_vm */
	CCN_ROUTE = 37,		  /* struct ccn_route */
	CCN_CCSI = 38,		  /* struct ccn_ccsi */
	CCN_NEXT_HOP_GROUP = 39,  /* struct ccn_next_hop_group */
	CCN_GATEWAY_ADDRESS = 40, /* struct ccn_gateway_address */
	CCN_ACL_RULE = 41,	  /* struct ccn_acl_rule */
	CCN_VTEP_SET = 42,	  /* struct ccn_vtep_set */
	CCN_PEER = 43,		  /* struct ccn_peer */
	CCN_SOURCE = 44,	  /* struct ccn_source */
	CCN_VTEP_NAME = 45,	  /* struct ccn_vtep_name */
};

enum ccn_message_flags {
	CCN_DELETE = 1, /* records: remove instead of add or replace */
	CCN_FULL = 2,	/* BEGIN: what follows replaces everything, whatever the base */
};

struct ccn_header {
	uint32_t length; /* octets, this header included */
	uint16_t type;
	uint16_t flags;
	uint32_t count; /* records that follow, all of the type's struct */
	uint32_t pad;
};

struct ccn_hello {
	uint32_t magic;
	uint32_t version;
	/* sizeof of: header, hello, hello_ack, begin, commit, ack, nak, interface, vni, vtep,
	 * next_hop, vm, route, ccsi, counter, lookup_result, next_hop_group, gateway_address,
	 * peer, vtep_set, acl_rule, trace, trace_step, source,
	 * offender, vtep_name; then zero */
	uint16_t sizes[32];
	uint8_t client[32]; /* who speaks, for the log */
};

struct ccn_hello_ack {
	uint32_t magic;
	uint32_t version;
	uint16_t sizes[32];
	uint64_t generation; /* in force; 0 = nothing has been committed since the start */
	uint8_t digest[32];  /* of the last commit, as the control plane gave it */
	uint32_t pid;
	uint32_t pad;
};

struct ccn_begin {
	uint64_t base; /* the generation that the changes are against */
	uint64_t next; /* the generation they make; above base and what is in force */
};

struct ccn_commit {
	uint64_t next;
	uint32_t
	    crc; /* CRC-32 (zlib) over all record messages of the transaction, headers included */
	uint32_t patience;  /* of PREPARE: seconds that COMMIT may take; 0: 10, at most 600 */
	uint8_t digest[32]; /* of COMMIT: of all tables as the control plane has them; just kept */
};

struct ccn_ack {
	uint64_t generation;
};

enum ccn_nak_code {
	CCN_NAK_VERSION = 1, /* magic, version or sizes differ */
	CCN_NAK_BASE = 2,    /* base is not in force: send a FULL transaction */
	CCN_NAK_CRC = 3,
	CCN_NAK_SEQUENCE = 4, /* record outside BEGIN..COMMIT, BEGIN twice, COMMIT.next differs */
	CCN_NAK_RECORD = 5,   /* a field out of range, or a name that does not exist */
	CCN_NAK_MEMORY = 6,   /* would exceed the memory bound */
	CCN_NAK_LENGTH = 7,   /* header length and count disagree, or message too long */
	CCN_NAK_BUSY = 8,     /* another client holds a transaction */
};

struct ccn_nak {
	uint32_t code;
	uint32_t record;     /* index of the offending record within its message */
	uint64_t generation; /* in force */
	uint8_t text[112];   /* one line, NUL-padded */
};

enum ccn_interface_role {
	CCN_UPLINK = 1,	  /* underlay: VXLAN to `vtep` is decapsulated */
	CCN_HAND_OFF = 2, /* IDC: plain IP inside CCSI `ccsi` */
};

/* A port, or one VLAN of it. Key: id. The uplinks of a gateway are all of IPv4 (`address`, `via` and
 * `vtep` count) or all of IPv6 (`address` is zero; `address6`, `via6` and `vtep6` count). */
struct ccn_interface {
	uint32_t id;
	uint8_t role;
	uint8_t length;	  /* of the IPv4 subnet */
	uint16_t vlan;	  /* 0 = untagged */
	uint32_t ccsi;	  /* hand-off only */
	uint16_t mtu;	  /* IP octets that may be sent */
	uint16_t length6; /* of the IPv6 subnet; 0 = none */
	uint8_t port[16]; /* name given by --port, NUL-padded */
	uint8_t tap[16];  /* persistent tap for punt and inject; empty = none */
	uint8_t mac[6];	  /* source MAC; zero = the port's own */
	uint16_t site;	  /* hand-off: whose struct ccn_source it may send; 0 = nobody's */
	uint8_t address[4];
	uint8_t via[4]; /* router for what is not on-link; zero = none */
	uint8_t address6[16];
	uint8_t vtep[4];   /* uplink: the tunnel address, the same of all; zero = `address` */
	uint8_t via6[16];  /* router, may be a link-local address; zero = none */
	uint8_t vtep6[16]; /* uplink: the tunnel address, the same of all; zero = `address6` */
};

enum ccn_ccsi_flags {
	CCN_SOURCE_OPEN = 1, /* inner sources are not checked */
};

/* A routing table. Key: id. Deleting it deletes its routes and sources. */
struct ccn_ccsi {
	uint32_t id;	/* the CCN's id, 1..65535 */
	uint32_t flags; /* enum ccn_ccsi_flags */
	uint8_t name[32];
};

enum ccn_vni_kind {
	CCN_VNI_VPC = 1, /* hosts of the region send here */
	CCN_VNI_L3 = 2,	 /* gateways send here */
};

/* VNI -> CCSI. Key: vni. */
struct ccn_vni {
	uint32_t vni;
	uint32_t ccsi;
	uint8_t kind;
	uint8_t pad[7];
};

/* The address of a VTEP takes four octets in every record that has `vtep` or is a struct ccn_vtep:
 * IPv4 stands there as it is; of IPv6 there is a name in 224.0.0.0/4, which is no VTEP's address, and
 * this record says whose. So rows are as small over IPv6 as over IPv4. A name stands for its address
 * for ever, and an address has one name at a time. Added before and removed after what names it. Key:
 * name. */
struct ccn_vtep_name {
	uint8_t name[4];
	uint8_t address[16];
};

enum ccn_vtep_flags {
	CCN_VTEP_REGION = 1,   /* a gateway of this region: our VMs may have sent it the packet */
	CCN_VTEP_HAND_OFF = 2, /* a gateway where an IDC router of the CCN hands off */
};

/* An outer source that may send on this VNI. Key: vni, address. */
struct ccn_vtep {
	uint32_t vni;
	uint8_t address[4];
	uint32_t flags; /* enum ccn_vtep_flags; L3 VNIs only */
};

enum ccn_next_hop_kind {
	CCN_DROP = 0,
	CCN_ON_LINK = 1, /* vni: look the destination itself up in the VM table */
	CCN_VIP = 2,	 /* vni, ip: look that address up in the VM table */
	/* vni, ip (VTEP: IPv4, or IPv6 that has a struct ccn_vtep_name), mac (router MAC): tunnel to
	 * another gateway */
	CCN_REMOTE = 3,
	CCN_NEIGHBOR = 4, /* interface, ip: hand-off to a neighbour */
	CCN_GROUP = 5,	  /* only in answers: the slot holds a struct ccn_next_hop_group */
};

/* Key: slot, 0..2^24-1. Replacing one is one store, whatever the routes behind it: so a slot that a
 * transaction frees gets another meaning in a later one at the earliest, or packets under way would
 * follow it there. */
struct ccn_next_hop {
	uint32_t slot;
	uint8_t kind;
	uint8_t family; /* of ip: 4, 6 or 0 */
	uint16_t pad;
	uint32_t vni;
	uint32_t interface;
	uint8_t ip[16]; /* IPv4 in the first four octets */
	uint8_t mac[6];
	uint8_t pad2[2];
};

/* `key` says who it is, whatever its slot: flows of members that stay do not move. */
struct ccn_group_member {
	uint64_t key;
	uint32_t slot;	/* of a next hop, never of a group */
	uint8_t weight; /* 1..255, relative to the others' */
	uint8_t pad[3];
};

/* Spreads flows over its members. Key: slot, of the same numbers as next hops; what holds a group
 * never becomes another next hop in the same transaction, nor the other way round. Its members are
 * added before and removed after it; one that is replaced is still one store. */
struct ccn_next_hop_group {
	uint32_t slot;
	uint8_t count; /* 2..CCN_MAX_MEMBERS */
	uint8_t pad[3];
	struct ccn_group_member member[16];
};

/* The hosts of a VM that is behind several: flows are spread over them. Key: name, which stands for
 * its members for ever: who has others has another name, and a name that comes again with others is
 * refused. Added before and removed after the VMs that name it. */
struct ccn_vtep_set {
	uint8_t name[4];
	uint8_t count; /* 2..CCN_MAX_MEMBERS */
	uint8_t pad[3];
	uint8_t vtep[16][4]; /* different ones */
};

/* Key: vni, family, ip. */
struct ccn_vm {
	uint32_t vni;
	uint8_t family;
	uint8_t shared; /* 1: `vtep` is the name of a struct ccn_vtep_set */
	uint8_t mac[6];
	uint8_t ip[16];
	uint8_t vtep[4];
};

/* Key: ccsi, family, prefix, length. */
struct ccn_route {
	uint32_t ccsi;
	uint32_t next_hop; /* slot; ignored by DELETE */
	uint8_t prefix[16];
	uint8_t family;
	uint8_t length;
	uint8_t pad[6];
};

/* The router's own address inside a VPC: what its VMs send through. Answered by ARP, ND and echo,
 * and the source of ICMP errors. Key: all of it. */
struct ccn_gateway_address {
	uint32_t vni;
	uint8_t family;
	uint8_t pad[3];
	uint8_t ip[16];
};

/* A configured BGP neighbour: its packets are punted in a class of their own. Key: all of it. */
struct ccn_peer {
	uint32_t interface; /* hand-off it is reached by; 0 = the uplinks */
	uint8_t family;
	uint8_t pad[3];
	uint8_t ip[16];
};

enum ccn_source_flags {
	CCN_SOURCE_GATEWAYS = 1, /* gateways may send it on the L3 VNI without a route back */
};

/* Who may send from these addresses although no route of the CCSI leads back the same way. The
 * longest prefix counts. Key: ccsi, family, prefix, length. */
struct ccn_source {
	uint32_t ccsi;
	uint16_t site; /* hand-offs of this site may, if some route leads back; 0 = none */
	uint8_t family;
	uint8_t length;
	uint8_t prefix[16];
	uint32_t flags; /* enum ccn_source_flags */
};

enum ccn_acl_action {
	CCN_ACL_PERMIT = 1,
	CCN_ACL_DENY = 2,
};

/* A row of a CCSI's access list: the first by `sequence` that matches a packet decides. A CCSI with
 * rows denies what none of them matches; one without is free. Key: ccsi, sequence. Deleting a CCSI
 * deletes its rows. */
struct ccn_acl_rule {
	uint32_t ccsi;
	uint32_t sequence;
	uint16_t rule;	/* rows of one number are counted together, and named by the first */
	uint8_t action; /* enum ccn_acl_action */
	uint8_t family;
	uint8_t protocol;
	uint8_t any_protocol; /* 1: whatever the protocol */
	uint8_t source_length;
	uint8_t destination_length;
	/* First and last; {0, 65535} is any, and the only range that a packet without ports, or with
	 * a port 0, is in. Others need TCP, UDP or SCTP. */
	uint16_t source_port[2];
	uint16_t destination_port[2];
	uint8_t source[16];
	uint8_t destination[16];
	uint8_t name[32];
};

/* A frame that goes through the packet path as if it had come by `port`, alone in its burst. */
struct ccn_trace {
	uint8_t port[16];
	uint32_t length;    /* octets of the frame */
	uint32_t dry_run;   /* 1: what would leave is dropped instead */
	uint8_t frame[512]; /* to MAC zero: to the port's own */
};

/* What the frame met, in its order. */
enum ccn_trace_kind {
	CCN_TRACE_RECEIVED = 1,	  /* name: port; octets */
	CCN_TRACE_CLASSIFIED = 2, /* vni (0: a hand-off), ccsi, ip: outer source */
	CCN_TRACE_SOURCE = 3,	  /* ip: the inner source; value: 0 legal, 1 not checked here */
	CCN_TRACE_ACL = 4,	/* ccsi; name: of the rule; value: enum ccn_acl_action; slot: row */
	CCN_TRACE_ROUTE = 5,	/* ip/length: longest match; slot */
	CCN_TRACE_NEXT_HOP = 6, /* slot; value: its kind; vni, ip, mac as of the next hop */
	CCN_TRACE_MEMBER = 7,	/* the same, of a group the member that the flow takes */
	CCN_TRACE_VM = 8,	/* vni, ip, mac; value: hosts that it is behind */
	CCN_TRACE_ADJACENCY = 9, /* ip: VTEP or neighbour; name: port; mac: zero = not resolved */
	CCN_TRACE_SENT = 10,	 /* name: port; octets: as they left, or would have */
	CCN_TRACE_DROPPED = 11,	 /* name: the reason */
	CCN_TRACE_PUNTED = 12,	 /* to the slow path */
};

struct ccn_trace_step {
	uint32_t kind; /* enum ccn_trace_kind; what follows is zero where it says nothing */
	uint32_t ccsi;
	uint32_t vni;
	uint32_t slot;
	uint32_t value;
	uint32_t length; /* RECEIVED, SENT: octets of the frame; ROUTE: of the prefix */
	uint8_t ip[16];
	uint8_t mac[6];
	uint8_t family; /* of ip: 4, 6 or 0 */
	uint8_t pad;
	uint8_t name[32];
	uint8_t octets[192]; /* the first of the frame */
};

/* A counter. `scope` names what it is of: "worker 0", "port eth1", "ccsi 100", "drop",
 * "acl 100" (of CCSI 100, one for each rule). */
struct ccn_counter {
	uint8_t scope[32];
	uint8_t name[48];
	uint64_t value;
};

struct ccn_port_status {
	uint8_t name[16];
	uint8_t driver[32];
	uint8_t mac[6];
	uint8_t up;
	uint8_t pad[9];
};

/* A packet that was dropped: of each reason the first and the last since the start. What the frame
 * was not read far enough for is zero. */
struct ccn_offender {
	uint8_t reason[32]; /* the name of the "drop" counter */
	uint64_t at;	    /* nanoseconds since 1970 */
	uint8_t port[16];
	uint32_t vni;	     /* 0 = plain */
	uint32_t interface;  /* plain: id of the hand-off */
	uint8_t vtep[16];    /* outer source; IPv4 in the first four octets */
	uint8_t vtep_family; /* of it: 4, 6 or 0 */
	uint8_t family;	     /* of the inner addresses; 0 = none */
	uint8_t last;	     /* 0 the first, 1 the last */
	uint8_t pad[5];
	uint8_t source[16];
	uint8_t destination[16];
};

/* Whom it hit among the packets of one CCSI: OFFENDER records as of STATS, but of these alone. */
struct ccn_offenders {
	uint32_t ccsi; /* 1..65535 */
	uint32_t pad;
};

struct ccn_lookup {
	uint32_t ccsi;
	uint8_t family;
	uint8_t pad[3];
	uint8_t ip[16];
};

struct ccn_lookup_result {
	uint8_t found;	  /* 1: next_hop holds the longest match */
	uint8_t vm_found; /* 1: vm holds the row that ON_LINK or VIP leads to */
	uint8_t pad[6];
	struct ccn_route route; /* prefix and length of the match where known, else zero */
	struct ccn_next_hop next_hop;
	struct ccn_vm vm;
	/* next_hop is a GROUP: itself, and what its members' slots hold, in its order */
	struct ccn_next_hop_group group;
	struct ccn_next_hop member[16];
	struct ccn_vtep_set vtep_set; /* vm is shared: by whom */
};
#endif
