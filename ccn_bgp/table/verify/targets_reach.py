"""What the route targets let happen between CCNs, declared or not, each with a shortest chain.

In: a World. Out: an Answers: who can receive whose routes and by which chain; imports of a foreign
route target without a share; receptions that nobody can answer; cycles through several CCNs.
"Can" is at route-target level: a share bounds prefixes, which the prefix sweep looks at.

``by`` of a chain names what carried the route at each step: a route target, or "idc".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from ccn_bgp.table.verify.targets import HOLDS, SAYS, Chains, Shared, State, TargetGraph, receivers
from ccn_bgp.table.verify.world import World

_Node = tuple[str, int | str]


@dataclass(frozen=True, slots=True, order=True)
class Reception:
    """A CCSI of CCN ``receiver`` can hold routes that began in CCN ``provider``.

    ``chain`` is the shortest of all, in CCSIs, from an origin to a holder; the first by names among
    equals. ``declared``: a share says so. ``returned``: the provider can receive the receiver's
    routes too, by whatever chain.
    """

    provider: str
    receiver: str
    chain: tuple[str, ...]
    by: tuple[str, ...]
    declared: bool
    returned: bool

    @property
    def one_way(self) -> bool:
        """Nothing comes back, and no share says that it is meant so."""
        return not self.declared and not self.returned


@dataclass(frozen=True, slots=True, order=True)
class ForeignImport:
    """CCSI ``table`` imports ``target``, which CCN ``provider`` exports, without a share.

    ``chain``: the first exporter of that CCN by name, and the importer.
    """

    table: str
    target: str
    provider: str
    ccn: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Cycle:
    """Routes can come back through another CCN. ``ccns``: all that are tied in the same knot.

    ``chain`` begins and ends at the knot's first CCSI by name. ``declared``: each of these CCNs
    shares with each other one.
    """

    chain: tuple[str, ...]
    by: tuple[str, ...]
    ccns: tuple[str, ...]
    declared: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """All that was asked for, each kind in a fixed order."""

    receptions: tuple[Reception, ...]
    imports: tuple[ForeignImport, ...]
    cycles: tuple[Cycle, ...]

    @property
    def declared(self) -> bool:
        """Nothing is among them that no share allows."""
        shared = all(r.declared for r in self.receptions) and all(c.declared for c in self.cycles)
        return shared and not self.imports


def answers(world: World, provider: str = "", receiver: str = "") -> Answers:
    """Of all CCNs, or of those that pass routes from ``provider`` or to ``receiver`` only."""
    graph = TargetGraph.of(world.ccsis, world.idcs)
    return Answers(
        tuple(_receptions(world, graph, provider, receiver)),
        tuple(
            sorted(
                found
                for found in _foreign_imports(graph, world.shared_ccns)
                if provider in ("", found.provider) and receiver in ("", found.ccn)
            )
        ),
        tuple(c for c in cycles(world) if {provider, receiver} <= {"", *c.ccns}),
    )


def _receptions(
    world: World, graph: TargetGraph, provider: str, receiver: str
) -> Iterator[Reception]:
    """By (provider, receiver). The search runs once for each receiver, back from all its CCSIs."""
    can = receivers(world)
    holders: dict[str, list[str]] = {}
    for name in sorted(graph.nodes):
        holders.setdefault(graph.nodes[name].ccn, []).append(name)
    wanted: dict[str, set[str]] = {}
    for source, sink in can:
        if source != sink and provider in ("", source) and receiver in ("", sink):
            wanted.setdefault(sink, set()).add(source)
    found = []
    for sink in sorted(wanted):
        chains = Chains(graph, holders[sink])
        nearest: dict[str, tuple[int, str]] = {}
        for origin in chains.origins():
            source = graph.nodes[origin].ccn
            if source in wanted[sink]:
                offer = chains.distance[origin, SAYS], origin
                nearest[source] = min(offer, nearest.get(source, offer))
        for source, (_, origin) in nearest.items():
            chain, by = chains.shortest(origin)
            found.append(
                Reception(
                    provider=source,
                    receiver=sink,
                    chain=tuple(chain),
                    by=tuple(by),
                    declared=(source, sink) in world.shared_ccns,
                    returned=(sink, source) in can,
                )
            )
    yield from sorted(found)


def _foreign_imports(graph: TargetGraph, shared: Shared) -> Iterator[ForeignImport]:
    """In no particular order; each target's exporters are looked through once."""
    for target in graph.importers.keys() & graph.exporters.keys():
        first: dict[str, str] = {}
        for exporter in sorted(graph.exporters[target]):
            first.setdefault(graph.nodes[exporter].ccn, exporter)
        for table in graph.importers[target]:
            own = graph.nodes[table].ccn
            for ccn, exporter in first.items():
                if ccn != own and (ccn, own) not in shared:
                    yield ForeignImport(table, target, ccn, own, (exporter, table))


def cycles(world: World) -> list[Cycle]:
    """Where routes can come back, other than in the mesh of one CCN: for each knot a shortest way
    round that leaves the CCN of its first CCSI by name, and turns at the first by name."""
    graph = TargetGraph.of(world.ccsis, world.idcs)
    network = graph.network()
    found = []
    for part in nx.strongly_connected_components(network):
        states = sorted((name, int(kind)) for name, kind in part if name)
        ccns = sorted({graph.nodes[name].ccn for name, _ in states})
        if len(ccns) < 2:
            continue
        begin, turn = _ends(graph, network.subgraph(part), states)
        there, by_there = Chains(graph, (turn[0],), turn[1]).shortest(*begin)
        back, by_back = Chains(graph, (begin[0],), begin[1]).shortest(*turn)
        found.append(
            Cycle(
                chain=(*there, *back[1:]),
                by=(*by_there, *by_back),
                ccns=tuple(ccns),
                declared=all(a == b or (a, b) in world.shared_ccns for a in ccns for b in ccns),
            )
        )
    return sorted(found)


def _ends(graph: TargetGraph, knot: nx.DiGraph[_Node], states: list[State]) -> tuple[State, State]:
    """Where the shortest way round begins, and where it is in another CCN. Distances, unlike the
    paths that networkx finds, do not depend on the order in which it meets nodes."""
    first = states[0][0]
    far = [state for state in states if graph.nodes[state[0]].ccn != graph.nodes[first].ccn]
    ways = []
    for begin in [state for state in states if state[0] == first]:
        out = nx.single_source_dijkstra_path_length(
            knot, begin, weight=lambda u, v, _: _steps(u, v)
        )
        back = nx.single_source_dijkstra_path_length(
            knot.reverse(copy=False), begin, weight=lambda u, v, _: _steps(v, u)
        )
        ways += [(out[turn] + back[turn], turn, begin) for turn in far]
    _, turn, begin = min(ways)
    return begin, turn


def _steps(source: _Node, sink: _Node) -> int:
    """1 if the edge brings a route into a CCSI, by a route target or a data centre; else 0."""
    return int(bool(sink[0]) and (source[0] != sink[0] or sink[1] != HOLDS))
