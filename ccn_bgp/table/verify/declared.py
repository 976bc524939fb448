"""What all gateways would hold if everything declared were announced: the World of a topology.

In: a Topology. Out: a World for verify_world(), so that a file that leaks is found before any
network is touched. Announced are VPC CIDRs, ``via`` routes whose VIP is a declared VM of the CCN,
and the cidrs of an IDC at each of its routers. A blackhole is meant: it is a drop wherever its
route would be held, and no fault. A route goes to every CCSI whose imports meet the exports of the
CCSI where it stands, or whose share allows it, and from there again only where ``reexport`` is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.bgp import Ip, Prefix, RouteTarget
from ccn_bgp.model.ccsi import Ccsi, ccsis
from ccn_bgp.model.topology import Topology
from ccn_bgp.model.vms import VmColumns
from ccn_bgp.table.verify.world import (
    DELIVER,
    DROP,
    CcsiNode,
    Claim,
    IdcSession,
    Row,
    ShareRow,
    World,
    routes_of,
)


class _Offer(NamedTuple):
    """A route that stands in a table: compared, the better one first.

    ``steps``: tables that it has come through. ``foreign``: its origin is of another CCN.
    """

    steps: int
    foreign: bool
    origin: int
    following: int


class _Said(NamedTuple):
    """A prefix as its CCSI of origin announces it, and what is done with its packets there."""

    prefix: Prefix
    origin: int
    following: int


def declared_world(topology: Topology) -> World:
    """Every CCSI of every gateway, its routes, and what its sessions are told.

    Of several offers of one prefix a table holds the one that came through the fewest tables, then
    its own CCN's, then the first by name; an offer of another CCN that lost is a claim.
    """
    found = [c for name in sorted(topology.gateways) for c in _of_gateway(topology, name)]
    offers: dict[tuple[int, Prefix], set[_Offer]] = {}
    for number, ccsi in enumerate(found):
        for prefix, following in _local(topology, ccsi):
            offers.setdefault((number, prefix), set()).add(_Offer(0, False, number, following))
    takers = _takers(found)
    for said in _announced(topology, found):
        _spread(found, takers, offers, said)
    rows, claims = [], []
    for (table, prefix), held in offers.items():
        best, *lost = sorted(held)
        rows.append(Row(table, prefix, best.origin, best.following))
        owner = found[best.origin].ccn
        claims += [Claim(table, prefix, o.origin) for o in lost if found[o.origin].ccn != owner]
    v4, v6 = routes_of(rows)
    return World(
        tables=tuple(c.name for c in found),
        owners=tuple(c.ccn for c in found),
        external=np.zeros(len(found), np.bool_),
        v4=v4,
        v6=v6,
        shares=tuple(
            ShareRow(number, share.provider, prefix)
            for number, ccsi in enumerate(found)
            for share in ccsi.shares
            for prefix in share.prefixes
        ),
        ccsis=tuple(_node(c) for c in found),
        shared_ccns=frozenset((s.provider, s.consumer) for s in topology.shares),
        claims=tuple(claims),
        sessions=tuple(
            IdcSession(router.name, router.idc, ccsi.name)
            for ccsi in found
            for router in ccsi.routers
        ),
    )


def _of_gateway(topology: Topology, name: str) -> tuple[Ccsi, ...]:
    return ccsis(topology, topology.gateways[name])


def _node(ccsi: Ccsi) -> CcsiNode:
    targets = set(ccsi.import_rts).union(*(s.targets for s in ccsi.shares))
    return CcsiNode(
        name=ccsi.name,
        ccn=ccsi.ccn,
        imports=frozenset(str(t) for t in targets),
        exports=frozenset(str(t) for t in ccsi.export_rts),
        reexport=ccsi.reexport,
    )


def _local(topology: Topology, ccsi: Ccsi) -> Iterator[tuple[Prefix, int]]:
    """(prefix, next) of what a CCSI has by itself."""
    vias = {r.via for vpc in ccsi.vpcs for r in vpc.routes if r.via is not None}
    vips: set[Ip] = set()
    for attachment in topology.ccns[ccsi.ccn].attach if vias else ():
        if attachment.kind == "vpc" and attachment.name in topology.vpcs:
            vips |= VmColumns.of(topology.vpcs[attachment.name].vms).having(vias)
    for vpc in ccsi.vpcs:
        if f"vpc/{vpc.name}" in ccsi.silent:
            continue
        for cidr in vpc.cidrs:
            yield cidr, DELIVER
        for route in vpc.routes:
            if route.via is None:
                yield route.prefix, DROP
            elif route.via in vips:
                yield route.prefix, DELIVER
    for router in ccsi.routers:
        if f"idc/{router.idc}" not in ccsi.silent:
            for cidr in topology.idcs[router.idc].cidrs:
                yield cidr, DELIVER


def _announced(topology: Topology, found: list[Ccsi]) -> Iterator[_Said]:
    """Each prefix of each CCSI once; a drop wins over a delivery."""
    for number, ccsi in enumerate(found):
        said: dict[Prefix, int] = {}
        for prefix, following in _local(topology, ccsi):
            said[prefix] = min(following, said.get(prefix, following))
        for prefix, following in said.items():
            yield _Said(prefix, number, following)


_Takers = Mapping[RouteTarget, Sequence[tuple[int, tuple[Prefix, ...] | None]]]
"""Route target → who takes it: (CCSI, the prefixes that a share bounds it to, or None)."""


def _takers(found: list[Ccsi]) -> _Takers:
    takers: dict[RouteTarget, list[tuple[int, tuple[Prefix, ...] | None]]] = {}
    for number, ccsi in enumerate(found):
        for target in ccsi.import_rts:
            takers.setdefault(target, []).append((number, None))
        for share in ccsi.shares:
            for target in share.targets:
                takers.setdefault(target, []).append((number, share.prefixes))
    return takers


def _spread(
    found: list[Ccsi],
    takers: _Takers,
    offers: dict[tuple[int, Prefix], set[_Offer]],
    said: _Said,
) -> None:
    """Hand one route from table to table; each takes it once, from the nearest that has it."""
    met = {said.origin}
    layer, steps = [said.origin], 0
    while layer:
        steps += 1
        after = []
        for source in layer:
            for target in found[source].export_rts:
                for sink, bounds in takers.get(target, ()):
                    if sink in met:
                        continue
                    if bounds is not None and not any(b.covers(said.prefix) for b in bounds):
                        continue
                    met.add(sink)
                    foreign = found[sink].ccn != found[said.origin].ccn
                    then = DROP if said.following == DROP else source
                    offer = _Offer(steps, foreign, said.origin, then)
                    offers.setdefault((sink, said.prefix), set()).add(offer)
                    if found[sink].reexport:
                        after.append(sink)
        layer = sorted(after)
