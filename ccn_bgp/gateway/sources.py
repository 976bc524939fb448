"""Which inner sources are legal although no route of a CCSI leads back the same way.

In: the topology, one gateway of it. Out: entries of table/snapshot.py, sorted. The forwarder asks
them about packets that the routes do not vouch for (docs/concepts.md, Sources); everything here is
declared, so nothing that a peer says can widen it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import Ccsi, ccsis
from ccn_bgp.model.topology import Attachment, Ccn, Gateway, Topology
from ccn_bgp.table.snapshot import SourceEntry

SITES = 65535


def unchecked(topology: Topology, gateway: Gateway) -> tuple[int, ...]:
    """Ids of the CCSIs whose CCN says ``source-check: off``."""
    found = (c.id for c in ccsis(topology, gateway) if not topology.ccns[c.ccn].source_check)
    return tuple(sorted(found))


def sites(topology: Topology) -> Mapping[str, int]:
    """A number from 1 to 65535 for each data centre, made of its name; no two have the same."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(topology.idcs):
        digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
        number = int.from_bytes(digest, "big") % SITES
        while number in taken:
            number = (number + 1) % SITES
        taken.add(number)
        found[name] = number + 1
    return found


def sources(topology: Topology, gateway: Gateway) -> tuple[SourceEntry, ...]:
    """Of every CCSI of the gateway.

    Gateways may bring, without a route back: members that announce nothing; members of the CCNs
    that this one's prefixes are shared to (one share is one way); and what routers of data centres
    say of themselves, from the addresses of their links. Hand-offs of a data centre with several
    routers may all bring its cidrs, but for what is somebody else's.
    """
    site_of = sites(topology)
    return tuple(
        sorted(
            SourceEntry(ccsi.id, prefix, site, prefix in brought)
            for ccsi in ccsis(topology, gateway)
            for brought in (frozenset(_brought(topology, gateway, ccsi)),)
            for prefix, site in {
                **dict.fromkeys(brought, 0),
                **_of_sites(topology, ccsi, site_of),
            }.items()
        )
    )


def _brought(topology: Topology, gateway: Gateway, ccsi: Ccsi) -> Iterator[Prefix]:
    """What gateways may bring without a route back."""
    own = topology.ccns[ccsi.ccn]
    consumers = {s.consumer for s in topology.shares if s.provider == ccsi.ccn}
    providers = {s.provider for s in topology.shares if s.consumer == ccsi.ccn}
    yield from _spaces(topology, (a for a in own.attach if not a.propagate))
    for name in consumers:
        yield from _spaces(topology, topology.ccns[name].attach)
    for router in topology.routers:
        if router.gateway != gateway.name and router.ccn in {ccsi.ccn} | consumers | providers:
            for ends in (router.ends(4), router.ends(6)):
                if ends is not None:
                    yield Prefix.of(ends[0].address, ends[0].length)


def _of_sites(topology: Topology, ccsi: Ccsi, site_of: Mapping[str, int]) -> dict[Prefix, int]:
    """cidrs of data centres with several routers in the CCN, one of them here → their site; and
    what others hold in the middle of them → 0."""
    ccn = topology.ccns[ccsi.ccn]
    several = {
        router.idc
        for router in ccsi.routers
        if sum(r.idc == router.idc and r.ccn == ccn.name for r in topology.routers) > 1
    }
    found = {cidr: site_of[idc] for idc in several for cidr in topology.idcs[idc].cidrs}
    if not found:
        return found
    for foreign in _foreign(topology, ccn, several):
        if any(_covers(cidr, foreign) for cidr, site in found.items() if site):
            found[foreign] = 0
    return found


def _foreign(topology: Topology, ccn: Ccn, several: Iterable[str]) -> Iterator[Prefix]:
    """All that the CCN knows of others than these data centres."""
    yield from _spaces(
        topology, (a for a in ccn.attach if a.kind == "vpc" or a.name not in several)
    )
    for share in topology.shares:
        if share.consumer == ccn.name:
            yield from share.prefixes
        if share.provider == ccn.name:
            yield from _spaces(topology, topology.ccns[share.consumer].attach)


def _spaces(topology: Topology, members: Iterable[Attachment]) -> Iterator[Prefix]:
    """The addresses of members: their cidrs, and what lies behind their VMs."""
    for member in members:
        if member.kind == "idc":
            yield from topology.idcs[member.name].cidrs
        else:
            vpc = topology.vpcs[member.name]
            yield from vpc.cidrs
            yield from (route.prefix for route in vpc.routes if route.via is not None)


def _covers(outer: Prefix, inner: Prefix) -> bool:
    return (
        outer.version == inner.version
        and outer.length <= inner.length
        and Prefix.of(inner.address, outer.length) == outer
    )
