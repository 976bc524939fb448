"""The route-target graph after any changes: as if it had been made so at once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify.targets import cycles, receivers, target_findings
from ccn_bgp.table.verify.targets_incremental import TargetVerifier
from ccn_bgp.table.verify.world import CcsiNode, IdcSession, World, routes_of

NAMES = [f"gw{n}/x" for n in range(6)]


def nodes(name: str) -> st.SearchStrategy[CcsiNode]:
    targets = st.frozensets(st.sampled_from("1234"), max_size=2)
    return st.builds(
        CcsiNode, st.just(name), st.sampled_from("abc"), targets, targets, st.booleans()
    )


def steps() -> st.SearchStrategy[tuple[Any, ...]]:
    names = st.sampled_from(NAMES)
    return st.one_of(
        names.flatmap(nodes).map(lambda n: ("put", n)),
        names.map(lambda n: ("drop", n)),
        st.tuples(st.just("join"), names, names),
        st.tuples(st.just("part"), names, names),
    )


def world_of(
    held: dict[str, CcsiNode], idcs: set[tuple[str, str]], shared: frozenset[tuple[str, str]]
) -> World:
    v4, v6 = routes_of([])
    return World(
        tables=(),
        owners=(),
        external=np.zeros(0, np.bool_),
        v4=v4,
        v6=v6,
        ccsis=tuple(held.values()),
        idcs=tuple((a, b) for a, b in idcs if a in held and b in held),
        shared_ccns=shared,
        sessions=tuple(IdcSession("r1", "idc", name) for name in NAMES[::2]),
    )


def told(findings: Any) -> list[Any]:
    return [f.as_json() for f in sorted(findings, key=lambda f: f.sort_key)]


owners = st.sampled_from("abc")


@settings(max_examples=600, deadline=None)
@given(
    start=st.tuples(*[nodes(name) for name in NAMES]),
    changes=st.lists(steps(), max_size=12),
    shared=st.frozensets(st.tuples(owners, owners), max_size=3),
)
def test_as_if_made_at_once(
    start: tuple[CcsiNode, ...], changes: list[Any], shared: frozenset[tuple[str, str]]
) -> None:
    held = {node.name: node for node in start}
    idcs: set[tuple[str, str]] = set()
    verifier = TargetVerifier(world_of(held, idcs, shared))
    for what, *of in changes:
        match what:
            case "put":
                held[of[0].name] = of[0]
                verifier.put(of[0])
            case "drop" if of[0] in held:
                del held[of[0]]
                verifier.drop(of[0])
            case "join":
                idcs.add((of[0], of[1]))
                verifier.join(*of)
            case "part" if tuple(of) in idcs:
                idcs.discard((of[0], of[1]))
                verifier.part(*of)
        assert told(verifier.findings()) == told(target_findings(world_of(held, idcs, shared)))


def reached(world: World) -> dict[str, set[str]]:
    """Who can hold whose routes, by handing them on until nothing changes."""
    found = {}
    for origin in world.ccsis:
        holds, says, before = {origin.name}, {origin.name}, (0, 0)
        while before != (len(holds), len(says)):
            before = len(holds), len(says)
            for a in world.ccsis:
                for b in world.ccsis:
                    if a.name in says and a.exports & b.imports:
                        holds.add(b.name)
                        says |= {b.name} if b.reexport else set()
            for source, sink in world.idcs:
                if source in holds:
                    holds.add(sink)
                    says.add(sink)
        found[origin.name] = holds
    return found


@settings(max_examples=300, deadline=None)
@given(
    start=st.tuples(*[nodes(name) for name in NAMES]),
    idcs=st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=4),
)
def test_who_can_receive_whose_routes(
    start: tuple[CcsiNode, ...], idcs: set[tuple[str, str]]
) -> None:
    world = world_of({node.name: node for node in start}, idcs, frozenset())
    holds, owner = reached(world), {node.name: node.ccn for node in start}
    assert receivers(world) == {(owner[a], owner[b]) for a in holds for b in holds[a]}
    joined = {(a, b) for a, b in idcs if a != b}
    for cycle in cycles(world):
        assert cycle[0] == cycle[-1] and len(cycle) > 2
        for a, b in itertools.pairwise(cycle):
            one, two = (next(n for n in start if n.name == x) for x in (a, b))
            assert one.exports & two.imports or (a, b) in joined


def test_a_ring_through_two_ccns_is_a_cycle_and_a_mesh_is_not() -> None:
    def node(name: str, ccn: str, imports: str, exports: str) -> CcsiNode:
        return CcsiNode(name, ccn, frozenset(imports), frozenset(exports), True)

    mesh = [node("gw0/x", "a", "1", "1"), node("gw1/x", "a", "1", "1")]
    assert cycles(world_of({n.name: n for n in mesh}, set(), frozenset())) == []
    ring = [node("gw0/x", "a", "1", "2"), node("gw1/x", "b", "2", "1")]
    assert cycles(world_of({n.name: n for n in ring}, set(), frozenset())) == [
        ("gw0/x", "gw1/x", "gw0/x")
    ]
    by_idc = [
        CcsiNode("gw0/x", "a", frozenset("1"), frozenset("2")),
        CcsiNode("gw1/x", "b", frozenset("2"), frozenset("1")),
    ]
    joined = {("gw0/x", "gw0/x"), ("gw1/x", "gw1/x")}
    assert len(cycles(world_of({n.name: n for n in by_idc}, joined, frozenset()))) == 1
