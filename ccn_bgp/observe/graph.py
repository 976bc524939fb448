"""What there is to draw of a topology, free of any form. In: a Topology, its declared World and its
findings. Out: a Picture: bands (CCNs), cells (a CCN in a region), members, who reaches whom, and
for each finding the elements that its witness runs through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ccn_bgp.model.ccsi import ccsis, export_targets
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import Attachment, Ccn, Topology
from ccn_bgp.table.verify.world import World

MAX_BANDS = 60
"""CCNs in one picture: those with findings first; nobody reads more."""
MAX_MARKS = 40
"""Findings whose witness is drawn."""
MAX_LINES = 4


@dataclass(frozen=True, slots=True)
class Member:
    """A VPC or IDC. ``key`` is ``vpc/NAME`` or ``idc/NAME``; ``silent``: its routes stay out."""

    key: str
    lines: tuple[str, ...]
    silent: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A CCN in a region: the gateways that hold a table of it there, and its members there."""

    ccn: str
    region: str
    gateways: tuple[str, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """One CCN: its cells, by region."""

    ccn: str
    lines: tuple[str, ...]
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Reach:
    """``consumer`` can reach these prefixes of ``provider``; ``shared``: it may."""

    provider: str
    consumer: str
    prefixes: tuple[str, ...]
    shared: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding and the keys of the elements that its witness runs through, in order.

    A key is ``GATEWAY/CCN``, ``vpc/NAME``, ``idc/NAME``, ``ccn NAME`` or ``gateway NAME``.
    """

    number: int
    finding: Finding
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it, in a fixed order. ``gateways``: by region, with a line of detail each."""

    name: str
    gateways: Mapping[str, tuple[tuple[str, str], ...]]
    bands: tuple[Band, ...]
    hidden: int
    reaches: tuple[Reach, ...]
    marks: tuple[Mark, ...]
    unmarked: int


def picture_of(topology: Topology, world: World, findings: Sequence[Finding]) -> Picture:
    """The same picture for the same topology and findings, whatever else happens."""
    told = [f for f in findings if not f.suppressed]
    told.sort(key=lambda f: f.severity != "error")  # stable: else in the order of the file
    troubled = [f.ccn for f in told]
    order = sorted(topology.ccns, key=lambda n: n not in troubled)[:MAX_BANDS]
    shown = [name for name in topology.ccns if name in order]
    regions = sorted({g.region for g in topology.gateways.values()})
    tables = {
        c.name: c.ccn
        for g in topology.gateways.values()
        for c in ccsis(topology, g)
        if c.ccn in order
    }
    gateways = {
        region: tuple(
            (name, f"AS {g.asn} · VTEP {g.vtep}")
            for name, g in sorted(topology.gateways.items())
            if g.region == region
        )
        for region in regions
    }
    return Picture(
        name=topology.name,
        gateways=gateways,
        bands=tuple(_band(topology, topology.ccns[n], regions, tables) for n in shown),
        hidden=len(topology.ccns) - len(shown),
        reaches=tuple(r for r in _reaches(topology, world) if {r.provider, r.consumer} <= {*shown}),
        marks=tuple(
            Mark(number, finding, tuple(_path(topology, finding)))
            for number, finding in enumerate(told[:MAX_MARKS], 1)
        ),
        unmarked=max(0, len(told) - MAX_MARKS),
    )


def _band(topology: Topology, ccn: Ccn, regions: list[str], tables: Mapping[str, str]) -> Band:
    cells = {}
    for region in regions:
        here = sorted(n for n, g in topology.gateways.items() if g.region == region)
        members = [
            _member(topology, ccn, attachment)
            for attachment in ccn.attach
            if _region(topology, attachment) == region
        ]
        holding = tuple(g for g in here if f"{g}/{ccn.name}" in tables)
        if members or holding:
            cells[region] = Cell(ccn.name, region, holding, tuple(members))
    targets = " ".join(sorted(str(t) for t in export_targets(topology, ccn)))
    lines = [f"id {ccn.id} · VNI {ccn.vni}", f"exports {targets}"]
    if ccn.import_rts is not None:
        lines.append("imports " + " ".join(str(t) for t in ccn.import_rts))
    if ccn.reexport:
        lines.append("re-exports what it imports")
    return Band(ccn.name, tuple(lines), cells)


def _region(topology: Topology, attachment: Attachment) -> str:
    if attachment.kind == "vpc":
        return topology.vpcs[attachment.name].region
    return topology.idcs[attachment.name].region


def _member(topology: Topology, ccn: Ccn, attachment: Attachment) -> Member:
    lines: list[str]
    if attachment.kind == "vpc":
        vpc = topology.vpcs[attachment.name]
        lines = _few([str(c) for c in vpc.cidrs])
        lines += _few(
            [f"{r.prefix} " + (f"via {r.via}" if r.via else "blackhole") for r in vpc.routes]
        )
        lines.append(f"VNI {vpc.vni} · {len(vpc.vms)} VM" + ("" if len(vpc.vms) == 1 else "s"))
    else:
        idc = topology.idcs[attachment.name]
        lines = _few([str(c) for c in idc.cidrs])
        lines += _few(
            [
                f"{r.name} AS {r.asn} at {r.gateway} {r.port}" + (f".{r.vlan}" if r.vlan else "")
                for r in idc.routers
                if r.ccn == ccn.name
            ]
        )
    return Member(str(attachment), tuple(lines), not attachment.propagate)


def _few(lines: list[str]) -> list[str]:
    if len(lines) <= MAX_LINES:
        return lines
    return [*lines[: MAX_LINES - 1], f"and {len(lines) - MAX_LINES + 1} more"]


def _reaches(topology: Topology, world: World) -> Iterator[Reach]:
    """Which CCN holds whose routes, from the tables that the file would make."""
    names = {name: number for number, name in enumerate(sorted(set(world.owners)))}
    owner = np.array([names[o] for o in world.owners] or [0], np.int64)
    by_number = list(names)
    found: dict[tuple[str, str], set[str]] = {}
    for routes in (world.v4, world.v6):
        mine, theirs = owner[routes.table], owner[routes.origin]
        for row in np.flatnonzero(mine != theirs).tolist():
            pair = by_number[theirs[row]], by_number[mine[row]]
            found.setdefault(pair, set()).add(str(routes.prefix(row)))
    shares = {(s.provider, s.consumer) for s in topology.shares}
    for provider, consumer in sorted(found.keys() | shares):
        prefixes = tuple(sorted(found.get((provider, consumer), ())))
        yield Reach(provider, consumer, prefixes, (provider, consumer) in shares)


def _path(topology: Topology, finding: Finding) -> Iterator[str]:
    """The elements of a witness, each once in a row; where it names none, the finding's own."""
    last, any_found = "", False
    words = [*finding.witness.get("hops", ()), *finding.witness.get("chain", ())]
    for word in words:
        key = _element(topology, str(word))
        if key and key != last:
            any_found = True
            last = key
            yield key
    if not any_found:
        if finding.table:
            yield finding.table
        elif finding.ccn:
            yield f"ccn {finding.ccn}"


def _element(topology: Topology, word: str) -> str:
    """The key of what a word of a witness names, or nothing."""
    kind, _, name = word.partition("/")
    if kind == "vpc" and name in topology.vpcs:
        return word
    if kind == "idc" and name in topology.idcs:
        return word
    if kind in topology.gateways and name in topology.ccns:
        return word
    if word.removeprefix("ccn ") in topology.ccns and word.startswith("ccn "):
        return word
    for text in (word, word.partition(" ")[0], word.rpartition(" ")[2]):
        if text in topology.gateways:
            return f"gateway {text}"
        for idc in topology.idcs.values():
            if any(r.name == text for r in idc.routers):
                return f"idc/{idc.name}"
    return ""
