"""Why the forwarder drops packets: for each reason of dataplane/stats.h what it means and what an
operator does about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Drop(NamedTuple):
    """One reason: what is so, and what to do."""

    means: str
    do: str


_LINK = "look at the sender's port and VLAN"
_SENDER = "look at the sender named here: it makes broken packets, or the line does"
_SPOOF = "find the sender named here; if it is right to send so, declare it in the topology"

DROPS: Mapping[str, Drop] = {
    "no-interface": Drop("no interface has this port and VLAN", _LINK),
    "runt": Drop("a frame ends within its Ethernet or outer IP header", _SENDER),
    "oversize": Drop("a frame is longer than a buffer", "lower the MTU of what is connected"),
    "other-mac": Drop("unicast to a MAC address that is not ours", "a switch floods: let it learn"),
    "not-ours": Drop("an underlay packet to another address", "look at the underlay's routes"),
    "outer-header": Drop("the version or header length of the outer packet is wrong", _SENDER),
    "outer-length": Drop("the outer packet is longer than its frame", _SENDER),
    "outer-extension": Drop("an IPv6 extension header before VXLAN", _SENDER),
    "outer-fragment": Drop(
        "a VXLAN packet came in fragments", "raise the MTU of the underlay to fabric.underlay-mtu"
    ),
    "outer-checksum": Drop("the checksum of the outer header is wrong", _SENDER),
    "not-vxlan": Drop("neither IP nor ARP", "nothing, unless it is much: LLDP and the like"),
    "vxlan-length": Drop("the UDP length and the packet disagree", _SENDER),
    "vxlan-flags": Drop("VXLAN without a VNI", _SENDER),
    "unknown-vni": Drop(
        "no VPC of this region and no CCN of this gateway has the VNI",
        "attach the VPC to a CCN, or find out why the sender uses the VNI",
    ),
    "unknown-vtep": Drop(
        "the outer source is no host with a VM in this VNI, and no gateway of its CCN", _SPOOF
    ),
    "inner-multicast": Drop("an inner frame to a group of stations", "nothing: VPCs are routed"),
    "inner-type": Drop("an inner frame that is neither IPv4 nor IPv6", "nothing: VPCs are routed"),
    "ip-header": Drop("the version, header length or options of a packet are wrong", _SENDER),
    "ip-length": Drop("the lengths of a packet disagree", _SENDER),
    "ip-checksum": Drop("the checksum of a packet's IPv4 header is wrong", _SENDER),
    "source-route": Drop("a packet chooses its own way (RFC 7126)", _SPOOF),
    "martian": Drop("to or from an address that is never routed", "look at the sender's addresses"),
    "source-no-vm": Drop("a host sent from an address that none of its VMs has or routes", _SPOOF),
    "source-other-host": Drop(
        "a host sent from the address of a VM on another host",
        "see `ccn show vms`: the VM has just moved, or somebody uses its address",
    ),
    "source-gateway": Drop("a gateway brought a source that nothing leads back to", _SPOOF),
    "source-hand-off": Drop(
        "a data centre sent from an address that no route leads back to there",
        "see `ccn explain ADDRESS`: let the data centre announce it, or find who forges it",
    ),
    "acl": Drop("the CCN's access list denies it", "see the counters of the access list"),
    "no-route": Drop("no route in the CCN", "see `ccn explain ADDRESS`"),
    "blackhole": Drop(
        "the route says so: a blackhole, or a hole in an aggregate", "nothing, if it is meant"
    ),
    "no-vm": Drop("no VM has the destination", "see `ccn show vms`; the VM may have been removed"),
    "no-uplink": Drop("no uplink reaches the VTEP", "give the uplink a via in the topology"),
    "no-neighbor": Drop(
        "the MAC address of the next hop is not known (yet)",
        "if it grows: does the next hop answer ARP or neighbour discovery?",
    ),
    "ttl": Drop("the packet has made too many hops", "nothing, unless it is much: a loop"),
    "ecn": Drop("congestion outside that the inner packet cannot be told of", "nothing"),
    "mtu": Drop("longer than the way out takes", "see fabric.mtu; path MTU discovery is answered"),
    "tx-full": Drop("the port cannot keep up", "more ports, or less traffic"),
    "fan-out-full": Drop("a worker cannot keep up", "more workers, or ports with more queues"),
    "punt-rate": Drop("more for ourselves than is taken", "see the counters of the punt classes"),
    "punt-full": Drop("the slow path cannot keep up", "see the counters of the punt classes"),
    "off-link": Drop("to our hand-off address from beyond its subnet", _SPOOF),
    "vm-neighbor": Drop("ARP or ND of a VM for nothing of ours", "nothing"),
    "gateway-address": Drop("to a VPC's gateway, which only answers echo", "nothing"),
    "answer": Drop("an ICMP message of ours that leads nowhere", "see `ccn explain ADDRESS`"),
    "tap": Drop("no tap, or it is full", "see whether `ccn run` is up"),
    "inject-full": Drop("the kernel sends more than the port takes", "less traffic of the host"),
}
