"""What this gateway says by itself. In: its CCSIs. Out: Candidates of declared prefixes and VMs.

docs/concepts.md, "Who announces what": VPC CIDRs and ``via`` routes as type 5, VMs as type 2, next
hop our own VTEP, the CCN's VNI, our router MAC, the CCN's export targets, encapsulation VXLAN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ccn_bgp.learn.candidate import OURSELVES, Candidate, Source
from ccn_bgp.model.bgp import Ip, Mac, Prefix, RouteTarget
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.path import EvpnMacIp, EvpnPrefix, Path, PathAttributes
from ccn_bgp.model.route import Kind, NextHop
from ccn_bgp.model.topology import Gateway, Vpc

ENCAPSULATION_VXLAN = b"\x03\x0c" + bytes(4) + b"\x00\x08"
NO_ESI = bytes(10)


def tunnel_communities(targets: Iterable[RouteTarget], router_mac: Mac) -> tuple[bytes, ...]:
    """Route targets (sorted), encapsulation VXLAN (RFC 9012), router's MAC (RFC 9135)."""
    return (*sorted(targets), ENCAPSULATION_VXLAN, b"\x06\x03" + router_mac)


def own_attributes(gateway: Gateway, ccsi: Ccsi) -> PathAttributes:
    """The attributes of everything that a CCSI originates: one object for all."""
    return PathAttributes(
        next_hop=gateway.vtep,
        extended_communities=tunnel_communities(ccsi.export_rts, gateway.mac),
    )


def declared_prefixes(gateway: Gateway, ccsi: Ccsi) -> Iterator[Candidate]:
    """VPC CIDRs, ``via`` routes and blackholes of the VPCs in this region that propagate."""
    attributes = own_attributes(gateway, ccsi)
    first: dict[Prefix, str] = {}
    for vpc in ccsi.vpcs:
        if f"vpc/{vpc.name}" in ccsi.silent:
            continue
        said = [
            _prefix(ccsi, attributes, cidr, None, NextHop(Kind.ON_LINK, vni=vpc.vni))
            for cidr in vpc.cidrs
        ]
        said += [
            _prefix(
                ccsi,
                attributes,
                route.prefix,
                route.via,
                NextHop(Kind.DROP) if route.via is None else None,
            )
            for route in vpc.routes
        ]
        for prefix, candidate in said:
            # Of two VPCs with one prefix the first by name wins; the other stays to be seen.
            second = first.setdefault(prefix, vpc.name) != vpc.name
            key = candidate.key + (vpc.name.encode() if second else b"")
            yield candidate._replace(key=key)


def vm_nlri(ccsi: Ccsi, vpc: Vpc, ip: Ip, mac: Mac) -> EvpnMacIp:
    """The type 2 of a VM of our region."""
    return EvpnMacIp(ccsi.rd, NO_ESI, 0, mac, ip, vpc.vni, ccsi.vni)


def vm_candidate(ccsi: Ccsi, attributes: PathAttributes, vpc: Vpc, ip: Ip, mac: Mac) -> Candidate:
    """The type 2 that we originate for a VM of our region, as a candidate of its CCSI."""
    nlri = vm_nlri(ccsi, vpc, ip, mac)
    return Candidate(
        path=Path("", nlri, attributes),
        key=nlri.key,
        source=Source.DECLARED,
        speaker=OURSELVES,
        origin=ccsi.name,
        fixed=NextHop(Kind.VIP, vni=vpc.vni, ip=ip),
    )


def _prefix(
    ccsi: Ccsi, attributes: PathAttributes, prefix: Prefix, via: Ip | None, fixed: NextHop | None
) -> tuple[Prefix, Candidate]:
    nlri = EvpnPrefix(ccsi.rd, NO_ESI, 0, prefix, via, ccsi.vni)
    candidate = Candidate(
        path=Path("", nlri, attributes),
        key=nlri.key,
        source=Source.DECLARED,
        speaker=OURSELVES,
        origin=ccsi.name,
        fixed=fixed,
    )
    return prefix, candidate
