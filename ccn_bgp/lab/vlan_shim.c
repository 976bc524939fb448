// SPDX-License-Identifier: Apache-2.0
//
// The 802.1Q side of an IDC router in the lab, for kernels without 802.1Q devices: what the router
// sends gets the tag VLAN, what arrives with that tag loses it, anything else is dropped.
// Compiled by `ccn lab up` with -DVLAN=n and attached with tc (clsact) to the router's veth.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("ingress")
int pop(struct __sk_buff *skb)
{
	if (!skb->vlan_present || (skb->vlan_tci & 0xfff) != VLAN)
		return TC_ACT_SHOT;
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("egress")
int push(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VLAN) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
