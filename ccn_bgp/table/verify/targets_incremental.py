"""The route-target graph kept between changes: one edge more or less is answered for by itself.

In: the CCSIs of a World, then one CCSI or data-centre edge at a time. Out: the findings of
target_findings() on what there is now, always the same. A change at one place can matter only to
CCSIs downstream of it, before or after; and of those only to one that has a finding already, or
that may not hold what comes from upstream.
"""

from __future__ import annotations

from collections.abc import Iterable

from ccn_bgp.model.finding import Finding
from ccn_bgp.table.verify.targets import (
    HOLDS,
    SAYS,
    Chains,
    Shared,
    TargetGraph,
    exposed,
    holder_findings,
    sessions_of,
)
from ccn_bgp.table.verify.world import CcsiNode, World


class TargetVerifier:
    """The graph and what is wrong with it, by the CCSI that can hold what it may not."""

    def __init__(self, world: World) -> None:
        self._graph = TargetGraph.of(world.ccsis, world.idcs)
        self._shared: Shared = world.shared_ccns
        self._sessions = sessions_of(world)
        self._found: dict[str, list[Finding]] = {}
        for holder in exposed(self._graph, self._shared):
            self._answer(holder)

    def findings(self) -> list[Finding]:
        """Every rt-leak and transit-leak, sorted by content."""
        found = [finding for held in self._found.values() for finding in held]
        return sorted(found, key=lambda f: f.sort_key)

    def put(self, node: CcsiNode) -> None:
        """A CCSI that is new, or says or hears something else than before."""
        graph = self._graph
        before = set()
        if node.name in graph.nodes:
            before = graph.downstream(node.name)
            graph.remove(node.name)
        graph.add(node)
        self._change(before, node.name)

    def drop(self, name: str) -> None:
        """A CCSI that is no more. KeyError: there is no such."""
        before = self._graph.downstream(name)
        self._graph.remove(name)
        self._found.pop(name, None)
        for holder in before & self._found.keys():
            self._answer(holder)

    def join(self, source: str, sink: str) -> None:
        """A data centre now takes routes from one CCSI into another."""
        self._graph.join(source, sink)
        if source in self._graph.nodes and sink in self._graph.nodes:
            self._change(set(), sink)

    def part(self, source: str, sink: str) -> None:
        """It does so no longer. KeyError: it never did."""
        before = self._graph.downstream(sink)
        self._graph.part(source, sink)
        for holder in before & self._found.keys():
            self._answer(holder)

    def _change(self, before: Iterable[str], name: str) -> None:
        """Answer again where routes that pass ``name`` come or came."""
        graph = self._graph
        foreign: set[str] = set()
        for state in (HOLDS, SAYS):
            origins = Chains(graph, (name,), state).origins()
            upstream = {graph.nodes[origin].ccn for origin in origins}
            for holder in graph.downstream(name, state):
                own = graph.nodes[holder].ccn
                if any(ccn != own and (ccn, own) not in self._shared for ccn in upstream):
                    foreign.add(holder)
        for holder in foreign.union(before, graph.downstream(name)):
            if holder in foreign or holder in self._found:
                self._answer(holder)

    def _answer(self, holder: str) -> None:
        found = list(
            holder_findings(self._graph, holder, self._shared, self._sessions.get(holder, ()))
        )
        if found:
            self._found[holder] = found
        else:
            self._found.pop(holder, None)
