"""Resolution: from the chosen Candidate to what a packet does next, or why that is not known.

In: a Candidate and what type-2 routes say of addresses. Out: a NextHop or Unresolved. RFC 9136
§4.1–4.2 (gateway IP as overlay index), §4.4 (interface-less: next hop and router's MAC).
"""

from __future__ import annotations

from collections.abc import Callable

from ccn_bgp.learn.candidate import Candidate
from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Unicast
from ccn_bgp.model.reason import Unresolved
from ccn_bgp.model.route import Kind, NextHop
from ccn_bgp.model.topology import IdcRouter

VmLookup = Callable[[Ip, str], NextHop | Unresolved | None]
"""Where the chosen type 2 of an address leads within the CCSI at hand, of those of the CCN of the
table named second; None if there is none."""

NO_ADDRESS = Ip(bytes(4))


def resolve(
    candidate: Candidate,
    find_vm: VmLookup,
    router: IdcRouter | None,
    tap: str,
    underlay: int = 4,
) -> NextHop | Unresolved:
    """``router`` and ``tap`` are those of the session for IDC candidates, else None and empty;
    ``underlay`` is its IP version."""
    if candidate.fixed is not None:
        return candidate.fixed
    nlri = candidate.path.nlri
    if isinstance(nlri, EvpnPrefix) and nlri.gateway is not None:
        found = find_vm(nlri.gateway, candidate.origin)
        if found is None:
            return Unresolved(nlri.gateway, "has no type-2 route in this CCN")
        return found
    if isinstance(nlri, Unicast):
        next_hop = candidate.path.attributes.next_hop or NO_ADDRESS
        assert router is not None
        ends = router.ends(next_hop.version)
        theirs, ours = ends or (router.address, router.gateway_address)
        if ends is None or not theirs.subnet.contains(next_hop):
            return Unresolved(next_hop, f"is not in the hand-off subnet {theirs.subnet}")
        if next_hop == ours.address:
            return Unresolved(next_hop, "is our own address")
        return NextHop(Kind.HAND_OFF, ip=next_hop, interface=tap)
    return tunnel(candidate, underlay)


def through(vm: Candidate, underlay: int = 4) -> NextHop | Unresolved:
    """To the VM of a type 2."""
    return vm.fixed if vm.fixed is not None else tunnel(vm, underlay)


def other_underlay(next_hop: Ip, underlay: int) -> Unresolved:
    """A tunnel cannot begin in one IP version and end in the other."""
    return Unresolved(next_hop, f"is not IPv{underlay}: the underlay is")


def tunnel(candidate: Candidate, underlay: int) -> NextHop | Unresolved:
    """To the VTEP in the next hop, with the L3VNI of the route and its router's MAC."""
    nlri, attributes = candidate.path.nlri, candidate.path.attributes
    next_hop = attributes.next_hop or NO_ADDRESS
    if isinstance(nlri, EvpnPrefix):
        if nlri.esi != bytes(10):
            return Unresolved(next_hop, "is behind an Ethernet segment (ESI overlay index)")
        vni = nlri.vni
    elif isinstance(nlri, EvpnMacIp):
        vni = nlri.vni2 or 0
    else:
        return Unresolved(next_hop, "is no EVPN route")
    if vni == 0:
        return Unresolved(next_hop, "comes without an L3VNI")
    if next_hop.version != underlay:
        return other_underlay(next_hop, underlay)
    if attributes.router_mac is None:
        return Unresolved(next_hop, "comes without a router's MAC")
    return NextHop(Kind.VTEP, vni=vni, ip=next_hop, mac=attributes.router_mac)
