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
State = tuple[str, int]
"""(name of the CCSI, HOLDS or SAYS)."""
Shared = frozenset[tuple[str, str]]
"""(provider, consumer) pairs of CCNs."""


@dataclass(slots=True)
class TargetGraph:
    """The CCSIs by name; sets by route target and by data centre."""

    nodes: dict[str, CcsiNode] = field(default_factory=dict)
    importers: dict[str, set[str]] = field(default_factory=dict)
    exporters: dict[str, set[str]] = field(default_factory=dict)
    into: dict[str, set[str]] = field(default_factory=dict)
    out_of: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, ccsis: Iterable[CcsiNode], idcs: Iterable[tuple[str, str]]) -> TargetGraph:
        """All at once."""
        graph = cls()
        for node in ccsis:
            graph.add(node)
        for source, sink in idcs:
            graph.join(source, sink)
        return graph

    def add(self, node: CcsiNode) -> None:
        """A CCSI that is not there yet."""
        self.nodes[node.name] = node
        for target in node.imports:
            self.importers.setdefault(target, set()).add(node.name)
        for target in node.exports:
            self.exporters.setdefault(target, set()).add(node.name)

    def remove(self, name: str) -> None:
        """Take a CCSI away; its data centres stay known, and lead nowhere without it."""
        node = self.nodes.pop(name)
        for target in node.imports:
            self.importers[target].discard(name)
        for target in node.exports:
            self.exporters[target].discard(name)

    def join(self, source: str, sink: str) -> None:
        """A data centre takes routes from ``source`` into ``sink``."""
        self.into.setdefault(sink, set()).add(source)
        self.out_of.setdefault(source, set()).add(sink)

    def part(self, source: str, sink: str) -> None:
        """The data centre does so no longer."""
        self.into[sink].discard(source)
        self.out_of[source].discard(sink)

    def heard(self, name: str) -> State:
        """Where a route stands that this CCSI has heard."""
        return name, SAYS if self.nodes[name].reexport else HOLDS

    def network(self) -> nx.DiGraph[tuple[str, int | str]]:
        """Edges along which routes travel; a route target is a node of its own."""
        network: nx.DiGraph[tuple[str, int | str]] = nx.DiGraph()
        for name in sorted(self.nodes):
            node = self.nodes[name]
            network.add_edge((name, SAYS), (name, HOLDS))
            network.add_edges_from(((name, SAYS), ("", t)) for t in sorted(node.exports))
            network.add_edges_from((("", t), self.heard(name)) for t in sorted(node.imports))
        for source in sorted(self.out_of.keys() & self.nodes.keys()):
            sinks = sorted(self.out_of[source] & self.nodes.keys())
            network.add_edges_from(((source, HOLDS), (sink, SAYS)) for sink in sinks)
        return network

    def downstream(self, name: str, state: int = SAYS) -> set[str]:
        """Every CCSI that can hold what this one says, or merely holds; itself included."""
        met: set[State] = set()
        asked: set[str] = set()
        work: list[State] = [(name, state)]
        while work:
            at = work.pop()
            if at in met or at[0] not in self.nodes:
                continue
            met.add(at)
            work.extend((sink, SAYS) for sink in self.out_of.get(at[0], ()))
            if at[1] == SAYS:
                for target in self.nodes[at[0]].exports - asked:
                    asked.add(target)
                    work.extend(self.heard(sink) for sink in self.importers.get(target, ()))
        return {state[0] for state in met}


def target_findings(world: World) -> Iterator[Finding]:
    """Every rt-leak and transit-leak of a World, in no particular order."""
    graph = TargetGraph.of(world.ccsis, world.idcs)
    sessions = sessions_of(world)
    for holder in exposed(graph, world.shared_ccns):
        yield from holder_findings(graph, holder, world.shared_ccns, sessions.get(holder, ()))


def sessions_of(world: World) -> dict[str, list[tuple[str, str]]]:
    """(router, data centre) of the sessions of each CCSI."""
    sessions: dict[str, list[tuple[str, str]]] = {}
    for session in sorted(world.sessions):
        sessions.setdefault(session.ccsi, []).append((session.router, session.idc))
    return sessions


def holder_findings(
    graph: TargetGraph, holder: str, shared: Shared, sessions: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    """What one CCSI can hold although it may not, and which data centres are told of it."""
    node = graph.nodes[holder]
    chains = Chains(graph, (holder,))
    told: dict[str, tuple[int, list[str]]] = {}
    for origin in chains.origins():
        source = graph.nodes[origin]
        if source.ccn == node.ccn or (source.ccn, node.ccn) in shared:
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
        for router, idc in sessions:
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


def exposed(graph: TargetGraph, shared: Shared) -> list[str]:
    """The CCSIs that can hold a route of a CCN which is neither theirs nor shared with theirs."""
    owners = sorted({node.ccn for node in graph.nodes.values()})
    bit = {owner: 1 << number for number, owner in enumerate(owners)}
    allowed = dict(bit)
    for provider, consumer in shared:
        if provider in bit and consumer in bit:
            allowed[consumer] |= bit[provider]
    held = _held(graph, bit)
    return [name for name in sorted(graph.nodes) if held[name] & ~allowed[graph.nodes[name].ccn]]


def receivers(world: World) -> frozenset[tuple[str, str]]:
    """(A, B): a CCSI of CCN B can hold a route that began in CCN A, by any chain."""
    graph = TargetGraph.of(world.ccsis, world.idcs)
    owners = sorted({node.ccn for node in graph.nodes.values()})
    held = _held(graph, {owner: 1 << number for number, owner in enumerate(owners)})
    of_owner = dict.fromkeys(owners, 0)
    for name, node in graph.nodes.items():
        of_owner[node.ccn] |= held[name]
    return frozenset(
        (owners[number], owner)
        for owner, bits in of_owner.items()
        for number in range(bits.bit_length())
        if bits >> number & 1
    )


def _held(graph: TargetGraph, bit: Mapping[str, int]) -> dict[str, int]:
    """The owners, one bit each, of all that each CCSI can hold.

    Strongly connected parts hold the same; sets flow down the rest.
    """
    network = graph.network()
    condensed = nx.condensation(network)
    member: Mapping[tuple[str, int | str], int] = condensed.graph["mapping"]
    held = [0] * condensed.number_of_nodes()
    for name, node in graph.nodes.items():
        held[member[name, SAYS]] |= bit[node.ccn]
    for part in nx.topological_sort(condensed):
        for after in condensed.successors(part):
            held[after] |= held[part]
    return {name: held[member[name, HOLDS]] for name in graph.nodes}


class Chains:
    """Shortest chains into what any of some CCSIs holds or says, in CCSIs passed; found
    backwards."""

    def __init__(self, graph: TargetGraph, holders: Iterable[str], state: int = HOLDS) -> None:
        self.graph = graph
        self.distance: dict[State, int] = {}
        self._onward: dict[State, tuple[State, str]] = {}
        self._layers: list[set[str]] = []
        asked: set[str] = set()
        layer: list[State] = [(holder, state) for holder in holders]
        hops = 0
        while layer:
            found: list[State] = []
            for met in layer:
                for reached in (met, (met[0], SAYS)):
                    if reached not in self.distance:
                        self.distance[reached] = hops
                        found.append(reached)
            self._layers.append({name for name, _ in found})
            layer = []
            for name, stands in found:
                if (name, stands) == graph.heard(name) or stands == HOLDS:
                    for target in graph.nodes[name].imports - asked:
                        asked.add(target)
                        layer.extend((x, SAYS) for x in graph.exporters.get(target, ()))
                if stands == SAYS:
                    joined = graph.into.get(name, ())
                    layer.extend((x, HOLDS) for x in joined if x in graph.nodes)
            hops += 1

    def origins(self) -> list[str]:
        """Every CCSI whose own routes can come here, by name; the holders are among them."""
        return sorted(name for name, state in self.distance if state == SAYS)

    def shortest(self, origin: str, state: int = SAYS) -> tuple[list[str], list[str]]:
        """(names from origin to a holder, what carried the route at each step), the first by
        names among equals. KeyError: no chain leads from there."""
        at: State = (origin, state)
        names, by = [origin], []
        while self.distance[at]:
            at, carrier = self._step(at)
            names.append(at[0])
            by.append(carrier)
        return names, by

    def _step(self, at: State) -> tuple[State, str]:
        """The next CCSI of a shortest chain, the first by name; SAYS where both are possible."""
        if at in self._onward:
            return self._onward[at]
        graph, wanted = self.graph, self.distance[at] - 1
        name, state = at
        best: tuple[str, int, str] | None = None
        for sink in graph.out_of.get(name, ()):
            if self.distance.get((sink, SAYS)) == wanted:
                best = min(best or (sink, -SAYS, BY_IDC), (sink, -SAYS, BY_IDC))
        if state == SAYS:
            for target in sorted(graph.nodes[name].exports):
                # Many may import, or many be so far away: look through the fewer.
                near, importers = self._layers[wanted], graph.importers.get(target, ())
                few = len(near) < len(importers)
                for sink in near if few else importers:
                    if few and target not in graph.nodes[sink].imports:
                        continue
                    heard = graph.heard(sink)
                    if self.distance.get(heard) == wanted:
                        step = (sink, -heard[1], target)
                        best = min(best or step, step)
        assert best is not None
        self._onward[at] = (best[0], -best[1]), best[2]
        return self._onward[at]
