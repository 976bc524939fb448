"""What each peer may not say, asked of the rows of a gateway's tables: owned-space and bogon.

In: the intent (a Topology) and a gateway's tables as columns. Out: Findings that name table, prefix
and peer. Only learned rows are judged, those whose peer is a session of this gateway:

- ``bogon``: overlaps 0/8, 127/8, 169.254/16, 224/3, ::1, fe80::/10 or ff00::/8.
- ``owned-space``, any peer: overlaps a VTEP (of a gateway or a host) or an underlay subnet.
- ``owned-space``, an IDC router: not inside the cidrs of its IDC, or overlaps a CIDR of a VPC of
  the CCN.
- ``owned-space``, any other peer: inside a CIDR of a VPC of the CCN, and not inside a CIDR or a
  declared route of a VPC of the region where the route began (the region of its origin's gateway).

The default route overlaps everything and claims nothing: of it only "inside the cidrs" is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.ccsi import peers
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.model.vms import VmColumns
from ccn_bgp.table.verify.intervals import Bools, IntervalSet
from ccn_bgp.table.verify.space import I8, Ruler, columns_of
from ccn_bgp.table.verify.world import Routes, World

BOGONS = tuple(
    Prefix.parse(p)
    for p in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("::1/128", "fe80::/10", "ff00::/8"),
    )
)


_Question = Callable[[I8, I8, I8], Bools]


class Space(NamedTuple):
    """A prefix that is somebody's, within a group; ``text`` says whose."""

    group: int
    prefix: Prefix
    text: str


class Territory:
    """Who owns what, from the topology; groups are numbers of CCNs, (CCN, region) and IDCs."""

    def __init__(self, topology: Topology, gateway: Gateway) -> None:
        self.idc_of: dict[str, str] = {}
        self.learned = {p.name for p in peers(topology, gateway)}
        for peer in peers(topology, gateway):
            if peer.router is not None:
                self.idc_of[peer.name] = peer.router.idc
        self.ccns = {name: i for i, name in enumerate(topology.ccns)}
        self.idcs = {name: i for i, name in enumerate(topology.idcs)}
        regions = sorted({g.region for g in topology.gateways.values()})
        self.regions = {name: i for i, name in enumerate(regions)}
        self.region_of = {g.name: self.regions[g.region] for g in topology.gateways.values()}
        self.bogons = [Space(0, b, f"{b}, which is never routed") for b in BOGONS]
        self.underlay = sorted(set(_underlay(topology)))
        self.allowed = [
            Space(self.idcs[i.name], cidr, "") for i in topology.idcs.values() for cidr in i.cidrs
        ]
        self.vpcs: list[Space] = []
        self.homes: list[Space] = []
        for name, ccn in topology.ccns.items():
            for attachment in ccn.attach:
                vpc = topology.vpcs.get(attachment.name) if attachment.kind == "vpc" else None
                if vpc is None:
                    continue
                group = self.ccns[name]
                own = [Space(group, cidr, f"vpc/{vpc.name}'s {cidr}") for cidr in vpc.cidrs]
                self.vpcs += own
                if vpc.region in self.regions:
                    home = group * len(self.regions) + self.regions[vpc.region]
                    held = [*vpc.cidrs, *(route.prefix for route in vpc.routes)]
                    self.homes += [Space(home, prefix, "") for prefix in held]

        self._sets = {octets: self._laid_out(octets) for octets in (5, 17)}
        self._mine: dict[tuple[int, int], list[Space]] = {}
        for space in self.vpcs:
            self._mine.setdefault((space.group, len(space.prefix)), []).append(space)

    def _laid_out(self, octets: int) -> tuple[Ruler, list[IntervalSet]]:
        nobodys = [*self.bogons, *self.underlay]
        sets = [self.bogons, self.underlay, self.allowed, self.vpcs, self.homes, nobodys]
        sets = [[s for s in spaces if len(s.prefix) == octets] for spaces in sets]
        ruler = Ruler([s.prefix for spaces in sets for s in spaces], octets - 1)
        return ruler, [
            IntervalSet(
                np.array([s.group for s in spaces], np.int64),
                *ruler.positions(*columns_of([s.prefix for s in spaces], octets - 1)),
                ruler.stride,
            )
            for spaces in sets
        ]

    def findings(self, world: World) -> Iterator[Finding]:
        """The faults of both families, in no particular order."""
        learned = np.array([p in self.learned for p in world.peers] or [False], np.bool_)
        for routes in (world.v4, world.v6):
            chosen = learned[routes.peer] & (routes.peer >= 0)
            if chosen.any():
                yield from self._family(world, routes, chosen)

    def _family(self, world: World, rows: Routes, chosen: Bools) -> Iterator[Finding]:
        ruler, built = self._sets[rows.address.shape[1] + 1]
        n = len(rows)
        bogon, underlay, allowed, vpcs, homes, nobodys = built
        start, end = ruler.positions(rows.address, rows.length)
        some = chosen & (rows.length > 0)
        zero = np.zeros(n, np.int64)
        ccn = np.array([self.ccns.get(o, -1) for o in world.owners], np.int64)[rows.table]
        idcs = [self.idc_of.get(p, "") for p in world.peers]
        idc = np.array([self.idcs.get(i, -1) for i in idcs], np.int64)[rows.peer]
        of_idc = chosen & (idc >= 0)

        def asked(question: _Question, of: Bools, group: I8) -> Bools:
            """Of those rows alone that may be wrong, mostly few or none."""
            wrong = np.zeros(n, np.bool_)
            places = np.flatnonzero(of)
            if len(places):
                wrong[places] = question(group[places], start[places], end[places])
            return wrong

        never = some & nobodys.overlaps(zero, start, end)
        inside = asked(vpcs.covers, some & ~of_idc, ccn)
        if inside.any():
            names = [t.rpartition("/")[0] for t in world.tables]
            region = np.array([self.region_of.get(g, -1) for g in names], np.int64)[rows.origin]
            home = np.where(region >= 0, ccn * len(self.regions) + region, -1)
            inside &= ~asked(homes.covers, inside, home)
        refused: list[tuple[str, Bools, Sequence[Space], I8, str]] = [
            ("bogon", asked(bogon.overlaps, never, zero), self.bogons, zero, ""),
            ("owned-space", asked(underlay.overlaps, never, zero), self.underlay, zero, ""),
            ("owned-space", asked(vpcs.overlaps, some & of_idc, ccn), self.vpcs, ccn, ""),
            ("owned-space", inside, self.vpcs, ccn, ""),
            (
                "owned-space",
                of_idc & ~asked(allowed.covers, of_idc, idc),
                (),
                idc,
                "outside the cidrs of its IDC",
            ),
        ]
        said = np.zeros(n, np.bool_)
        for rule, wrong, owned, group, text in refused:
            for row in np.flatnonzero(wrong & ~(said & (rule == "owned-space"))).tolist():
                prefix = rows.prefix(row)
                mine = owned
                if owned is self.vpcs:
                    mine = self._mine[int(group[row]), len(prefix)]
                what = text or _whose(mine, int(group[row]), prefix)
                yield _finding(world, rows, row, rule, what)
            if rule == "owned-space":
                said |= wrong


def _underlay(topology: Topology) -> Iterable[Space]:
    for gateway in topology.gateways.values():
        yield Space(0, gateway.vtep.host_prefix, f"the VTEP of {gateway.name}")
        for uplink in gateway.uplinks:
            yield Space(0, uplink.address.subnet, f"the underlay of {gateway.region}")
    for vpc in topology.vpcs.values():
        for host in VmColumns.of(vpc.vms).hosts_used if len(vpc.vms) else ():
            yield Space(0, host.host_prefix, f"the VTEP of host {host}")


def _whose(spaces: Sequence[Space], group: int, prefix: Prefix) -> str:
    return next(s.text for s in spaces if s.group == group and s.prefix.overlaps(prefix))


def _finding(world: World, rows: Routes, row: int, rule: str, what: str) -> Finding:
    table, prefix = int(rows.table[row]), rows.prefix(row)
    peer = world.peer(int(rows.peer[row]))
    last = prefix.host(prefix.last - prefix.first)
    joined = what if what.startswith("outside") else f"which overlaps {what}"
    return Finding(
        rule=rule,
        message=f"{peer} announces {prefix}, {joined}",
        where=f"peer {peer}",
        ccn=world.owners[table],
        table=world.tables[table],
        prefix=str(prefix),
        peer=peer,
        witness={
            "address": str(prefix.address),
            "ranges": [[str(prefix.address), str(last)]],
            "hops": [f"peer {peer}", world.tables[table]],
        },
    )
