"""Isolation at route-target level: who can come to hold whose routes, by any chain.

In: the CCSIs of a World, the data centres that join two of them, and the pairs of CCNs that share.
Out: one `rt-leak` for each (origin, holder) with the shortest chain as witness, lexicographically
first among equals, and one `transit-leak` (RFC 7908) for each data-centre router that is told the
routes of a foreign CCN.

A CCSI has two nodes: *holds* and *says*. What it originates, it says. Saying leads over the route
targets to every importer's *holds*, and to its *says* if it re-exports. A data centre that takes
routes from x into y leads from x *holds* to y *says*. Saying implies holding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import networkx as nx

from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.world import CcsiNode, World

HOLDS, SAYS = 0, 1
BY_IDC = "idc"
"""In the witness's ``by``, which names the route target of each step of the chain: no target."""
State = tuple[int, int]
"""(index of the CCSI, HOLDS or SAYS)."""


@dataclass(slots=True)
class _Graph:
    """The CCSIs by index, in the order of their names."""

    nodes: list[CcsiNode]
    importers: dict[str, list[int]] = field(default_factory=dict)
    exporters: dict[str, list[int]] = field(default_factory=dict)
    into: dict[int, list[int]] = field(default_factory=dict)
    out_of: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, ccsis: Iterable[CcsiNode], idcs: Iterable[tuple[str, str]]) -> _Graph:
        graph = cls(sorted(ccsis, key=lambda c: c.name))
        index = {node.name: number for number, node in enumerate(graph.nodes)}
        for number, node in enumerate(graph.nodes):
            for target in node.imports:
                graph.importers.setdefault(target, []).append(number)
            for target in node.exports:
                graph.exporters.setdefault(target, []).append(number)
        for source, sink in sorted(set(idcs)):
            graph.into.setdefault(index[sink], []).append(index[source])
            graph.out_of.setdefault(index[source], []).append(index[sink])
        return graph

    def heard(self, number: int) -> State:
        """Where a route stands that this CCSI has heard."""
        return number, SAYS if self.nodes[number].reexport else HOLDS

    def network(self) -> nx.DiGraph[tuple[int, int | str]]:
        """Edges along which routes travel; a route target is a node of its own."""
        network: nx.DiGraph[tuple[int, int | str]] = nx.DiGraph()
        for number, node in enumerate(self.nodes):
            network.add_edge((number, SAYS), (number, HOLDS))
            network.add_edges_from(((number, SAYS), (-1, t)) for t in node.exports)
            network.add_edges_from(((-1, t), self.heard(number)) for t in node.imports)
        for source, sinks in self.out_of.items():
            network.add_edges_from(((source, HOLDS), (sink, SAYS)) for sink in sinks)
        return network


def target_findings(world: World) -> Iterator[Finding]:
    """Every rt-leak and transit-leak of a World, in no particular order."""
    graph = _Graph.of(world.ccsis, world.idcs)
    sessions: dict[str, list[tuple[str, str]]] = {}
    for session in sorted(world.sessions):
        sessions.setdefault(session.ccsi, []).append((session.router, session.idc))
    for holder in _exposed(graph, world.shared_ccns):
        node = graph.nodes[holder]
        chains = _Chains(graph, holder)
        told: dict[str, tuple[int, list[str]]] = {}
        for origin in chains.origins():
            source = graph.nodes[origin]
            if source.ccn == node.ccn or (source.ccn, node.ccn) in world.shared_ccns:
                continue
            chain, by = chains.shortest(origin)
            yield Finding(
                rule="rt-leak",
                message=f"{node.name} can hold routes of {source.name} (CCN {source.ccn}) by "
                f"{_ways(by)}, and no share allows it",
                ccn=node.ccn,
                table=node.name,
                witness={"chain": chain, "by": by},
            )
            if source.ccn not in told or len(chain) < told[source.ccn][0]:
                told[source.ccn] = len(chain), chain
        for ccn, (_, chain) in sorted(told.items()):
            for router, idc in sessions.get(node.name, ()):
                yield Finding(
                    rule="transit-leak",
                    message=f"routes of CCN {ccn} reach data centre {idc} by its router {router}, "
                    "and no share allows it",
                    ccn=node.ccn,
                    table=node.name,
                    peer=router,
                    witness={"chain": [*chain, router]},
                )


def _ways(by: list[str]) -> str:
    """``route target 64600:100, then a data centre``."""
    return ", then ".join("a data centre" if way == BY_IDC else f"route target {way}" for way in by)


def _exposed(graph: _Graph, shared: frozenset[tuple[str, str]]) -> list[int]:
    """The CCSIs that can hold a route of a CCN which is neither theirs nor shared with theirs.

    Strongly connected parts hold the same; sets of owners, one bit each, flow down the rest.
    """
    owners = sorted({node.ccn for node in graph.nodes})
    bit = {owner: 1 << number for number, owner in enumerate(owners)}
    allowed = dict(bit)
    for provider, consumer in shared:
        if provider in bit and consumer in bit:
            allowed[consumer] |= bit[provider]
    network = graph.network()
    condensed = nx.condensation(network)
    member: Mapping[tuple[int, int | str], int] = condensed.graph["mapping"]
    held = [0] * condensed.number_of_nodes()
    for number, node in enumerate(graph.nodes):
        held[member[number, SAYS]] |= bit[node.ccn]
    for part in nx.topological_sort(condensed):
        for after in condensed.successors(part):
            held[after] |= held[part]
    return [
        number
        for number, node in enumerate(graph.nodes)
        if held[member[number, HOLDS]] & ~allowed[node.ccn]
    ]


class _Chains:
    """Shortest chains into one CCSI, in CCSIs passed; found backwards from it."""

    def __init__(self, graph: _Graph, holder: int) -> None:
        self.graph = graph
        self.distance: dict[State, int] = {}
        self._onward: dict[State, tuple[State, str]] = {}
        asked: set[str] = set()
        layer: list[State] = [(holder, HOLDS)]
        hops = 0
        while layer:
            found: list[State] = []
            for number, state in layer:
                for reached in ((number, state), (number, SAYS)):
                    if reached not in self.distance:
                        self.distance[reached] = hops
                        found.append(reached)
            layer = []
            for number, state in found:
                if (number, state) == graph.heard(number) or state == HOLDS:
                    for target in graph.nodes[number].imports - asked:
                        asked.add(target)
                        layer.extend((x, SAYS) for x in graph.exporters.get(target, ()))
                if state == SAYS:
                    layer.extend((x, HOLDS) for x in graph.into.get(number, ()))
            hops += 1

    def origins(self) -> list[int]:
        """Every CCSI whose own routes can come here, by name; the holder itself is among them."""
        return sorted(number for number, state in self.distance if state == SAYS)

    def shortest(self, origin: int) -> tuple[list[str], list[str]]:
        """(names from origin to holder, what carried the route at each step)."""
        at: State = (origin, SAYS)
        names, by = [self.graph.nodes[origin].name], []
        while self.distance[at]:
            at, carrier = self._step(at)
            names.append(self.graph.nodes[at[0]].name)
            by.append(carrier)
        return names, by

    def _step(self, at: State) -> tuple[State, str]:
        """The next CCSI of a shortest chain, the first by name; SAYS where both are possible."""
        if at in self._onward:
            return self._onward[at]
        graph, wanted = self.graph, self.distance[at] - 1
        number, state = at
        best: tuple[int, int, str] | None = None
        for sink in graph.out_of.get(number, ()):
            if self.distance.get((sink, SAYS)) == wanted:
                best = min(best or (sink, -SAYS, BY_IDC), (sink, -SAYS, BY_IDC))
        if state == SAYS:
            for target in sorted(graph.nodes[number].exports):
                for sink in graph.importers.get(target, ()):
                    heard = graph.heard(sink)
                    if self.distance.get(heard) == wanted:
                        step = (sink, -heard[1], target)
                        best = min(best or step, step)
        assert best is not None
        self._onward[at] = (best[0], -best[1]), best[2]
        return self._onward[at]
