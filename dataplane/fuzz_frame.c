/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer: a frame in a buffer of exactly its length. In: one octet of port and tag, then the
 * frame. Whatever is forwarded lies within the frame and belongs to the CCSI that its port, VLAN,
 * VNI and outer source allow; what is for ourselves is read and answered.
 */
#include <stdlib.h>
#include <string.h>

#define CHECK_PORTS 2
#include "check_ports.h"
#include "check_tables.h"
#include "classify.h"
#include "fragment.h"
#include "frame.h"
#include "icmp4.h"
#include "icmp6.h"
#include "icmp_error.h"
#include "interface.h"
#include "plain.h"
#include "punt_class.h"

static struct interface_table *over_ipv6; /* the same hand-offs, and an uplink of IPv6 */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "p0" is the uplink, "p1" has a hand-off untagged and one on VLAN 201. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct check_records tables;
	uint32_t odd;

	(void)argc;
	(void)argv;
	CHECK(fib_init() == 0);
	for (uint32_t id = 100; id <= 200; id += 100) {
		struct ccn_interface hand_off = {.id = id,
						 .role = CCN_HAND_OFF,
						 .length = 30,
						 .vlan = id == 200 ? 201 : 0,
						 .ccsi = id,
						 .mtu = 1500,
						 .length6 = 64,
						 .port = "p1",
						 .address = {169, 254, 1, 1},
						 .address6 = {0xfd, [15] = 1}};
		struct ccn_vtep host = {.vni = 10000 + id, .address = {192, 0, 2, (uint8_t)id}};

		check_add(&tables, CCN_CCSI, 0, &(struct ccn_ccsi){.id = id});
		check_add(&tables, CCN_INTERFACE, 0, &hand_off);
		check_add(&tables, CCN_VNI, 0,
			  &(struct ccn_vni){.vni = 10000 + id, .ccsi = id, .kind = CCN_VNI_VPC});
		check_add(&tables, CCN_VTEP, 0, &host);

		struct ccn_vtep_name name = {.name = {224, 0, 2, (uint8_t)id},
					     .address = {0x20, 1, [15] = (uint8_t)id}};

		memcpy(host.address, name.name, 4);
		check_add(&tables, CCN_VTEP_NAME, 0, &name);
		check_add(&tables, CCN_VTEP, 0, &host);
	}
	check_add(&tables, CCN_INTERFACE, 0,
		  &(struct ccn_interface){.id = 1,
					  .role = CCN_UPLINK,
					  .length = 24,
					  .mtu = 1600,
					  .port = "p0",
					  .address = {192, 0, 2, 11}});
	check_commit(&tables);
	over_ipv6 = interfaces_copy(fib_current->interfaces, 0);
	CHECK(over_ipv6 &&
	      !interfaces_apply(over_ipv6,
				&(struct ccn_interface){.id = 1,
							.role = CCN_UPLINK,
							.length6 = 64,
							.mtu = 1600,
							.port = "p0",
							.address6 = {0x20, 1, [15] = 11}},
				false));
	CHECK(!interfaces_index(over_ipv6, &odd));
	return 0;
}

/* The error about it, and its fragments. */
static void refused(const struct packet *packet)
{
	static const uint8_t us[16] = {10, 0, 0, 1};
	uint8_t *out = malloc(ICMP_ERROR_SIZE);
	struct fragmenter f;
	size_t told = 0, length;

	CHECK(out);
	if (icmp_error_is_owed(packet->ip, packet->family, packet->length)) {
		length = icmp_error_write(out, ICMP_TOO_BIG, 576, us, packet->ip, packet->family,
					  packet->length);
		CHECK(length <= ICMP_ERROR_SIZE);
		CHECK(!icmp_error_is_owed(out, packet->family, length));
	}
	if (packet->family == 4 && fragment_begin(&f, packet->ip, packet->length, 576))
		while ((length = fragment_next(&f, out)) > 0) {
			CHECK(length <= 576 && frame_checksum(out, (out[0] & 15) * 4U) == 0);
			told += length - (out[0] & 15) * 4U;
		}
	CHECK(told == 0 || told == packet->length - (packet->ip[0] & 15) * 4U);
	free(out);
}

static void forwarded(const struct frame_in *in, struct packet *packet, bool six)
{
	const size_t front = (size_t)(packet->ip - in->data);
	static const uint8_t outer6[16];
	uint8_t *out;

	CHECK(front <= in->length && packet->length <= in->length - front);
	CHECK(packet->length >= (packet->family == 4 ? 20 : 40));
	if (in->port == 1) {
		CHECK(packet->ccsi == (in->vlan == 201 ? 200 : 100));
	} else {
		const uint8_t *outer = in->data + (in->tagged ? 18 : 14);

		CHECK(packet->ccsi == outer[six ? 23 : 15] &&
		      outer[six ? 8 : 12] == (six ? 0x20 : 192));
	}
	refused(packet);
	if (!frame_forwardable(packet->ip, packet->family))
		return;

	const struct encapsulation what = {
	    .outer_dst = in->data,
	    .outer_src = in->data,
	    .inner_dst = in->data,
	    .inner_src = in->data,
	    .vlan = in->vlan,
	    .vni = 1,
	    .tos = frame_tos(packet->ip, packet->family),
	    .entropy = frame_flow_hash(packet->ip, packet->family, packet->length),
	    .ip_length = packet->length,
	    .src6 = six ? outer6 : NULL,
	    .dst6 = six ? outer6 : NULL,
	    .ether_type = 0x0800,
	};

	out = malloc(frame_vxlan_size(&what));
	CHECK(out);
	frame_vxlan(out, &what);
	free(out);
	frame_hop(packet->ip, packet->family, packet->ecn);
}

/* As packets for ourselves are read: untagged. */
static void ours(uint8_t *frame, size_t size)
{
	static const uint8_t mac[6] = {2}, address[4] = {192, 0, 2, 11};
	uint8_t answer[ICMP6_ND_SIZE];
	struct icmp6_seen seen;

	CHECK(punt_class(fib_current->peers, 0, frame, size) < PUNT_CLASSES);
	seen = icmp6_read(frame, size);
	if (seen.kind == ICMP6_SOLICITATION)
		icmp6_advertise(answer, mac, frame, frame);
	if (seen.kind == ICMP6_ECHO_REQUEST)
		icmp6_echo_reply(frame, mac);
	else if (icmp4_echo_reply(frame, size, mac, address))
		CHECK(!icmp4_echo_reply(frame, size, mac, address)); /* it is a reply now */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_in in = {0};
	struct packet packet = {0};
	enum verdict verdict;
	const struct interface_table *interfaces;
	int plain, outer;

	if (size < 1)
		return 0;
	in.port = data[0] & 1;
	in.any_mac = data[0] & 2;
	in.vlan = data[0] & 4 ? 201 : 0;
	interfaces = data[0] & 8 ? over_ipv6 : fib_current->interfaces;
	in.length = size - 1;
	in.data = malloc(in.length + 1);
	CHECK(in.data);
	memcpy(in.data, data + 1, in.length);
	/* the end of the frame is the end of the memory */
	uint8_t *exact = in.length ? realloc(in.data, in.length) : in.data;

	in.data = exact;
	outer = interfaces->plain[in.port].outer;
	plain = outer && in.vlan == 0 ? plain_is(&interfaces->plain[in.port], in.data, in.length,
						 in.any_mac, false, outer)
				      : 0;
	verdict = classify(fib_current, interfaces, &in, &packet);
	CHECK(!plain ||
	      (verdict == VERDICT_FORWARD && packet.ip == in.data + plain_ip(outer) &&
	       packet.family == plain && packet.length == plain_length(packet.ip, plain)) ||
	      (verdict == VERDICT_DROP &&
	       (in.reason == DROP_UNKNOWN_VNI || in.reason == DROP_UNKNOWN_VTEP)));
	switch (verdict) {
	case VERDICT_FORWARD:
		forwarded(&in, &packet, data[0] & 8);
		break;
	case VERDICT_PUNT:
		CHECK(in.role == CCN_UPLINK || in.role == CCN_HAND_OFF);
		if (!in.tagged)
			ours(in.data, in.length);
		break;
	case VERDICT_NEIGHBOR:
		CHECK(packet.ip >= in.data + 14 &&
		      packet.ip + packet.length <= in.data + in.length);
		if (packet.family == 6)
			icmp6_read(packet.ip - 14, packet.length + 14U);
		break;
	case VERDICT_DROP:
		CHECK(in.reason < DROP_REASON_COUNT);
	}
	free(in.data);
	return 0;
}
