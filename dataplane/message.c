/* SPDX-License-Identifier: Apache-2.0
 *
 * The sizes of the contract with the control plane, as this build has them: those of a change that
 * was not meant fail to compile.
 */
#include "message.h"

#include "address_set.h"

_Static_assert(sizeof(struct ccn_header) == 16, "header");
_Static_assert(sizeof(struct ccn_hello) == 104, "hello");
_Static_assert(sizeof(struct ccn_hello_ack) == 120, "hello_ack");
_Static_assert(sizeof(struct ccn_begin) == 16, "begin");
_Static_assert(sizeof(struct ccn_commit) == 48, "commit");
_Static_assert(sizeof(struct ccn_ack) == 8, "ack");
_Static_assert(sizeof(struct ccn_nak) == 128, "nak");
_Static_assert(sizeof(struct ccn_interface) == 116, "interface");
_Static_assert(sizeof(struct ccn_ccsi) == 40, "ccsi");
_Static_assert(sizeof(struct ccn_vni) == 16, "vni");
_Static_assert(sizeof(struct ccn_vtep) == 12, "vtep");
_Static_assert(sizeof(struct ccn_next_hop) == 40, "next_hop");
_Static_assert(sizeof(struct ccn_vm) == 32, "vm");
_Static_assert(sizeof(struct ccn_route) == 32, "route");
_Static_assert(sizeof(struct ccn_source) == 28, "source");
_Static_assert(sizeof(struct ccn_offender) == 120, "offender");
_Static_assert(sizeof(struct ccn_counter) == 88, "counter");
_Static_assert(sizeof(struct ccn_port_status) == 64, "port_status");
_Static_assert(sizeof(struct ccn_lookup) == 24, "lookup");
_Static_assert(sizeof(struct ccn_lookup_result) == 1088, "lookup_result");
_Static_assert(sizeof(struct ccn_next_hop_group) == 264, "next_hop_group");
_Static_assert(sizeof(struct ccn_gateway_address) == sizeof(struct address_key), "gateway_address");
_Static_assert(sizeof(struct ccn_peer) == sizeof(struct address_key), "peer");
_Static_assert(sizeof(struct ccn_vtep_set) == 72, "vtep_set");
_Static_assert(sizeof(struct ccn_vtep_name) == 20, "vtep_name");
_Static_assert(sizeof(struct ccn_acl_rule) == 88, "acl_rule");
_Static_assert(sizeof(struct ccn_trace) == 536, "trace");
_Static_assert(sizeof(struct ccn_trace_step) == 272, "trace_step");

const uint16_t message_sizes[32] = {
    sizeof(struct ccn_header),
    sizeof(struct ccn_hello),
    sizeof(struct ccn_hello_ack),
    sizeof(struct ccn_begin),
    sizeof(struct ccn_commit),
    sizeof(struct ccn_ack),
    sizeof(struct ccn_nak),
    sizeof(struct ccn_interface),
    sizeof(struct ccn_vni),
    sizeof(struct ccn_vtep),
    sizeof(struct ccn_next_hop),
    sizeof(struct ccn_vm),
    sizeof(struct ccn_route),
    sizeof(struct ccn_ccsi),
    sizeof(struct ccn_counter),
    sizeof(struct ccn_lookup_result),
    sizeof(struct ccn_next_hop_group),
    sizeof(struct ccn_gateway_address),
    sizeof(struct ccn_peer),
    sizeof(struct ccn_vtep_set),
    sizeof(struct ccn_acl_rule),
    sizeof(struct ccn_trace),
    sizeof(struct ccn_trace_step),
    sizeof(struct ccn_source),
    sizeof(struct ccn_offender),
    sizeof(struct ccn_vtep_name),
};

size_t record_size(uint16_t type)
{
	switch (type) {
	case CCN_INTERFACE:
		return sizeof(struct ccn_interface);
	case CCN_VNI:
		return sizeof(struct ccn_vni);
	case CCN_VTEP:
		return sizeof(struct ccn_vtep);
	case CCN_NEXT_HOP:
		return sizeof(struct ccn_next_hop);
	case CCN_NEXT_HOP_GROUP:
		return sizeof(struct ccn_next_hop_group);
	case CCN_GATEWAY_ADDRESS:
		return sizeof(struct ccn_gateway_address);
	case CCN_PEER:
		return sizeof(struct ccn_peer);
	case CCN_VTEP_NAME:
		return sizeof(struct ccn_vtep_name);
	case CCN_VTEP_SET:
		return sizeof(struct ccn_vtep_set);
	case CCN_VM:
		return sizeof(struct ccn_vm);
	case CCN_ROUTE:
		return sizeof(struct ccn_route);
	case CCN_CCSI:
		return sizeof(struct ccn_ccsi);
	case CCN_ACL_RULE:
		return sizeof(struct ccn_acl_rule);
	case CCN_SOURCE:
		return sizeof(struct ccn_source);
	default:
		return 0;
	}
}

size_t request_size(uint16_t type)
{
	switch (type) {
	case CCN_HELLO:
		return sizeof(struct ccn_hello);
	case CCN_BEGIN:
		return sizeof(struct ccn_begin);
	case CCN_PREPARE:
	case CCN_COMMIT:
		return sizeof(struct ccn_commit);
	case CCN_LOOKUP:
		return sizeof(struct ccn_lookup);
	case CCN_TRACE:
		return sizeof(struct ccn_trace);
	case CCN_OFFENDERS:
		return sizeof(struct ccn_offenders);
	default:
		return 0; /* DUMP and STATS carry nothing */
	}
}

bool message_length_is_right(const struct ccn_header *header)
{
	size_t record = record_size(header->type);

	if (record)
		return header->length == sizeof(*header) + (uint64_t)record * header->count;
	record = request_size(header->type);
	return header->length == sizeof(*header) + record && header->count == (record ? 1 : 0);
}
