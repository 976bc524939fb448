"""Address space: whose it is and whether packets for it arrive. Findings on what a file declares.

In: a Topology. Out: vm-outside-cidr, unresolved-gateway, bogon, owned-space, mtu, capacity.
Prefixes are compared by sorting, so that ten thousand of them cost milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from ccn_bgp.config.identity import owners_of_vpcs
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Topology
from ccn_bgp.model.vms import VmColumns

BOGONS = tuple(
    Prefix.parse(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("::1/128", "fe80::/10", "ff00::/8"),
    )
)
MAX_ROUTES = 1_000_000
MAX_VMS = 1_000_000
"""What one gateway is proven to hold; more may work, but nobody has measured it."""
LEAST_MTU6 = 1280
"""Octets that every link of IPv6 carries, RFC 8200 §5."""


class Claim(NamedTuple):
    """A prefix, who has it and where the file says so."""

    prefix: Prefix
    owner: str
    path: tuple[str | int, ...]


def overlaps(claims: Iterable[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Pairs (covering or equal, covered) of claims, each with its nearest cover that still lasts.

    Sorted by (version, address, length), covers of a prefix form a stack.
    """
    stack: list[Claim] = []
    for claim in sorted(claims, key=lambda c: (len(c.prefix), c.prefix, c.owner, str(c.path))):
        while stack and not stack[-1].prefix.covers(claim.prefix):
            stack.pop()
        for cover in stack:
            yield cover, claim
        stack.append(claim)


def vms_outside(topology: Topology) -> Iterator[Finding]:
    """A VM outside its VPC's CIDRs is never routed to; nor is a gateway address."""
    owners = owners_of_vpcs(topology)
    for name, vpc in topology.vpcs.items():
        ccn = (owners.get(name) or [""])[0]
        cidrs = ", ".join(str(c) for c in vpc.cidrs)
        vms = VmColumns.of(vpc.vms)
        outside = np.ones(len(vms), np.bool_)
        for cidr in vpc.cidrs if len(vms) else ():
            outside &= ~vms.inside(cidr)
        for index in np.flatnonzero(outside).tolist():
            vm = vms[index]
            yield Finding(
                rule="vm-outside-cidr",
                message=f"VM {vm.ip} lies outside the CIDRs of vpc/{name} ({cidrs})",
                where=topology.at("vpcs", name, "vms", index, "ip"),
                ccn=ccn,
                witness={"address": str(vm.ip), "hops": [f"vpc/{name}"]},
            )
        for address in vpc.gateways:
            if not any(c.contains(address) for c in vpc.cidrs):
                yield Finding(
                    rule="vm-outside-cidr",
                    message=f"the gateway address {address} lies outside the CIDRs of vpc/{name}"
                    f" ({cidrs})",
                    where=topology.at("vpcs", name, "gateway"),
                    ccn=ccn,
                    witness={"address": str(address), "hops": [f"vpc/{name}"]},
                )


def unresolved_gateways(topology: Topology) -> Iterator[Finding]:
    """A ``via`` that is no VM of the VPC can never be resolved (RFC 9136 §4.1)."""
    owners = owners_of_vpcs(topology)
    for name, vpc in topology.vpcs.items():
        vias = {route.via for route in vpc.routes if route.via is not None}
        vms = VmColumns.of(vpc.vms).having(vias) if vias else set()
        for index, route in enumerate(vpc.routes):
            if route.via is not None and route.via not in vms:
                yield Finding(
                    rule="unresolved-gateway",
                    message=f"{route.prefix} goes via {route.via}, which is no VM of vpc/{name}",
                    where=topology.at("vpcs", name, "routes", index, "via"),
                    ccn=(owners.get(name) or [""])[0],
                    prefix=str(route.prefix),
                    witness={
                        "address": str(route.prefix.address),
                        "hops": [f"vpc/{name}", f"via {route.via}", "no such VM"],
                    },
                )


def bogons(topology: Topology) -> Iterator[Finding]:
    """Space that no network may use; the default route is not meant by it."""
    owners = owners_of_vpcs(topology)
    claims = [
        (Claim(cidr, f"vpc/{name}", ("vpcs", name, "cidrs", i)), (owners.get(name) or [""])[0])
        for name, vpc in topology.vpcs.items()
        for i, cidr in enumerate(vpc.cidrs)
    ]
    claims += [
        (
            Claim(route.prefix, f"vpc/{name}", ("vpcs", name, "routes", i, "prefix")),
            (owners.get(name) or [""])[0],
        )
        for name, vpc in topology.vpcs.items()
        for i, route in enumerate(vpc.routes)
    ]
    claims += [
        (Claim(cidr, f"idc/{name}", ("idcs", name, "cidrs", i)), "")
        for name, idc in topology.idcs.items()
        for i, cidr in enumerate(idc.cidrs)
    ]
    for claim, ccn in claims:
        held = next((b for b in BOGONS if b.overlaps(claim.prefix)), None)
        if held is not None and claim.prefix.length:
            common = max(held, claim.prefix, key=lambda p: p.length)
            yield Finding(
                rule="bogon",
                message=f"{claim.prefix} of {claim.owner} is not usable: {held} is reserved",
                where=topology.at(*claim.path),
                ccn=ccn,
                prefix=str(claim.prefix),
                witness={"address": str(common.address), "hops": [claim.owner]},
            )


def _idc_ccns(topology: Topology) -> dict[str, list[str]]:
    """IDC → CCNs that attach it or in which it has a router, sorted."""
    found: dict[str, set[str]] = {name: set() for name in topology.idcs}
    for ccn in topology.ccns.values():
        for attachment in ccn.attach:
            if attachment.kind == "idc":
                found[attachment.name].add(ccn.name)
    for router in topology.routers:
        found[router.idc].add(router.ccn)
    return {name: sorted(ccns) for name, ccns in found.items()}


def claims_of(topology: Topology, ccn: str, idcs: dict[str, list[str]]) -> list[Claim]:
    """The CIDRs of the members of one CCN."""
    vpcs = [a.name for a in topology.ccns[ccn].attach if a.kind == "vpc"]
    found = [
        Claim(cidr, f"vpc/{name}", ("vpcs", name, "cidrs", i))
        for name in vpcs
        for i, cidr in enumerate(topology.vpcs[name].cidrs)
    ]
    return found + [
        Claim(cidr, f"idc/{name}", ("idcs", name, "cidrs", i))
        for name in idcs.get(ccn, [])
        for i, cidr in enumerate(topology.idcs[name].cidrs)
    ]


def idcs_of_ccns(topology: Topology) -> dict[str, list[str]]:
    """CCN → the IDCs that are in it, sorted."""
    found: dict[str, list[str]] = {}
    for idc, ccns in _idc_ccns(topology).items():
        for ccn in ccns:
            found.setdefault(ccn, []).append(idc)
    return found


def owned_space(topology: Topology) -> Iterator[Finding]:
    """An IDC must not be allowed to announce what belongs to a VPC of its CCN or to the underlay.

    A declared default route is allowed: what it covers is judged when it is announced.
    """
    underlay = [
        Claim(g.vtep.host_prefix, f"the VTEP of gateway {name}", ())
        for name, g in topology.gateways.items()
    ]
    underlay += [
        Claim(u.address.subnet, f"the underlay of region {g.region}", ())
        for g in topology.gateways.values()
        for u in g.uplinks
        if u.address.length
    ]
    idcs = idcs_of_ccns(topology)
    said: set[tuple[Prefix, str, str]] = set()

    def clash(claim: Claim, other: Claim, ccn: str) -> Finding:
        common = max(claim.prefix, other.prefix, key=lambda p: p.length)
        return Finding(
            rule="owned-space",
            message=f"{claim.owner} may announce {claim.prefix},"
            f" but {other.prefix} is {other.owner}" + (f" of ccn {ccn}" if ccn else ""),
            where=topology.at(*claim.path),
            ccn=ccn,
            prefix=str(claim.prefix),
            witness={"address": str(common.address), "hops": [claim.owner, other.owner]},
        )

    for ccn in topology.ccns:
        for cover, covered in overlaps(claims_of(topology, ccn, idcs)):
            for claim, other in ((cover, covered), (covered, cover)):
                idc_in_vpc = claim.owner.startswith("idc/") and other.owner.startswith("vpc/")
                if idc_in_vpc and claim.prefix.length:
                    yield clash(claim, other, ccn)
    claims = [
        Claim(cidr, f"idc/{name}", ("idcs", name, "cidrs", i))
        for name, idc in topology.idcs.items()
        for i, cidr in enumerate(idc.cidrs)
        if cidr.length
    ]
    for cover, covered in overlaps(claims + underlay):
        for claim, other in ((cover, covered), (covered, cover)):
            key = (claim.prefix, claim.owner, other.owner)
            if claim.path and not other.path and key not in said:
                said.add(key)
                yield clash(claim, other, "")


def mtu(topology: Topology) -> Iterator[Finding]:
    """The outer headers must fit: 50 octets over IPv4, 70 over IPv6 (RFC 7348 §4.3); and IPv6 has a
    least MTU."""
    vteps = [g.vtep for g in topology.gateways.values()]
    for vpc in topology.vpcs.values():
        vteps += VmColumns.of(vpc.vms).hosts_used if len(vpc.vms) else ()
    over_ipv6 = any(len(ip) == 16 for ip in vteps)
    extra = 70 if over_ipv6 else 50
    fabric = topology.fabric
    if fabric.mtu + extra > fabric.underlay_mtu:
        yield Finding(
            rule="mtu",
            message=f"a VPC's packet of {fabric.mtu} octets needs {fabric.mtu + extra} in the"
            f" underlay, which carries {fabric.underlay_mtu}",
            where=topology.at("fabric", "mtu"),
            witness={
                "chain": [
                    f"mtu {fabric.mtu}",
                    f"+{extra} VXLAN over IPv{6 if over_ipv6 else 4}",
                    f"underlay-mtu {fabric.underlay_mtu}",
                ]
            },
        )
    uplinks = (uplink for g in topology.gateways.values() for uplink in g.uplinks)
    if fabric.underlay_mtu < LEAST_MTU6 and any(u.address.address.version == 6 for u in uplinks):
        yield Finding(
            rule="mtu",
            message=f"IPv6 uplinks need an underlay that carries {LEAST_MTU6} octets (RFC 8200 §5):"
            f" on a device of {fabric.underlay_mtu} the kernel has no IPv6, and BGP no session",
            where=topology.at("fabric", "underlay-mtu"),
            witness={"chain": [f"underlay-mtu {fabric.underlay_mtu}", f"IPv6 {LEAST_MTU6}"]},
        )


def capacity(topology: Topology) -> Iterator[Finding]:
    """More than a gateway is proven to hold. Each gateway is asked for all of its tables."""
    owners = owners_of_vpcs(topology)
    for name, gateway in topology.gateways.items():
        here = [
            v for v in topology.vpcs.values() if v.region == gateway.region and v.name in owners
        ]
        vms = sum(len(v.vms) for v in here)
        bounds = [r.most_prefixes or 0 for r in topology.routers if r.gateway == name]
        routes = sum(bounds) + sum(len(v.cidrs) + len(v.routes) for v in here)
        for count, limit, what in (
            (routes, MAX_ROUTES, "routes (max-prefixes of its IDC routers included)"),
            (vms, MAX_VMS, "VMs"),
        ):
            if count > limit:
                yield Finding(
                    rule="capacity",
                    message=f"gateway {name} may have to hold {count} {what};"
                    f" it is proven for {limit}",
                    where=topology.at("gateways", name),
                    witness={"chain": [f"gateway {name}", f"{count} {what.split()[0]}"]},
                )
