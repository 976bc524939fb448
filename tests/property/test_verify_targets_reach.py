"""Who can receive whose routes, by which chain, and what comes back: against trying all ways."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify.targets import BY_IDC, receivers
from ccn_bgp.table.verify.targets_reach import Cycle, answers, cycles
from ccn_bgp.table.verify.world import CcsiNode, World, routes_of

NAMES = [f"gw{n}/x" for n in range(5)]
CCNS = "abc"


def world_of(
    nodes: list[CcsiNode],
    idcs: set[tuple[str, str]] | frozenset[tuple[str, str]] = frozenset(),
    shared: frozenset[tuple[str, str]] = frozenset(),
) -> World:
    v4, v6 = routes_of([])
    return World(
        tables=(),
        owners=(),
        external=np.zeros(0, np.bool_),
        v4=v4,
        v6=v6,
        ccsis=tuple(nodes),
        idcs=tuple(sorted(idcs)),
        shared_ccns=shared,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = NAMES[: draw(st.integers(1, 5))]
    targets = st.frozensets(st.sampled_from("1234"), max_size=2)
    nodes = [
        CcsiNode(n, draw(st.sampled_from(CCNS)), draw(targets), draw(targets), draw(st.booleans()))
        for n in names
    ]
    name, ccn = st.sampled_from(names), st.sampled_from(CCNS)
    idcs = draw(st.sets(st.tuples(name, name), max_size=3))
    shared = draw(st.frozensets(st.tuples(ccn, ccn), max_size=3))
    return world_of(draw(st.permutations(nodes)), idcs, shared)


def reached(world: World) -> dict[str, set[str]]:
    """Who can hold whose routes, by handing them on until nothing changes."""
    found = {}
    for origin in world.ccsis:
        holds, says, before = {origin.name}, {origin.name}, (0, 0)
        while before != (len(holds), len(says)):
            before = len(holds), len(says)
            for a, b in itertools.product(world.ccsis, repeat=2):
                if a.name in says and a.exports & b.imports:
                    holds.add(b.name)
                    says |= {b.name} if b.reexport else set()
            for source, sink in world.idcs:
                if source in holds:
                    holds.add(sink)
                    says.add(sink)
        found[origin.name] = holds
    return found


def can_go(world: World, chain: tuple[str, ...], by: tuple[str, ...] | None = None) -> bool:
    """Can a route that begins at the first go exactly this way, carried by these?"""
    nodes = {n.name: n for n in world.ccsis}
    says = True
    for step, (a, b) in enumerate(itertools.pairwise(chain)):
        over_idc = (a, b) in world.idcs
        over = nodes[a].exports & nodes[b].imports if says else frozenset()
        if by is not None:
            over_idc, over = over_idc and by[step] == BY_IDC, over & {by[step]}
        if not over_idc and not over:
            return False
        says = over_idc or nodes[b].reexport
    return True


def first_way(world: World, sources: list[str], sinks: list[str]) -> tuple[str, ...]:
    """The first by (length, names) of all ways from one of these to one of those."""
    names = sorted(n.name for n in world.ccsis)
    for length in range(2 * len(names)):
        for source in sorted(sources):
            for middle in itertools.product(names, repeat=length):
                for sink in sorted(sinks):
                    if can_go(world, (source, *middle, sink)):
                        return (source, *middle, sink)
    raise AssertionError("no way at all")


@settings(max_examples=500, deadline=None)
@given(worlds())
def test_each_pair_of_ccns_has_its_shortest_chain(world: World) -> None:
    owner = {n.name: n.ccn for n in world.ccsis}
    pairs = {(owner[a], owner[b]) for a, held in reached(world).items() for b in held}
    assert receivers(world) == pairs
    found = answers(world)
    said = [(r.provider, r.receiver) for r in found.receptions]
    assert said == sorted((a, b) for a, b in pairs if a != b)
    for r in found.receptions:
        assert r.declared == ((r.provider, r.receiver) in world.shared_ccns)
        assert r.returned == ((r.receiver, r.provider) in pairs)
        assert r.one_way == (not r.declared and not r.returned)
        assert len(r.by) == len(r.chain) - 1
        assert can_go(world, r.chain, r.by)
        of = {ccn: [n for n in owner if owner[n] == ccn] for ccn in (r.provider, r.receiver)}
        assert r.chain == first_way(world, of[r.provider], of[r.receiver])


@settings(max_examples=500, deadline=None)
@given(worlds())
def test_each_foreign_import_is_there_once(world: World) -> None:
    expected = {
        (b.name, target, a.ccn)
        for a, b in itertools.product(world.ccsis, repeat=2)
        for target in a.exports & b.imports
        if a.ccn != b.ccn and (a.ccn, b.ccn) not in world.shared_ccns
    }
    found = answers(world)
    assert [(i.table, i.target, i.provider) for i in found.imports] == sorted(expected)
    nodes = {n.name: n for n in world.ccsis}
    for i in found.imports:
        exporters = [n.name for n in world.ccsis if n.ccn == i.provider and i.target in n.exports]
        assert i.chain == (min(exporters), i.table)
        assert nodes[i.table].ccn == i.ccn
    undeclared = {(r.provider, r.receiver) for r in found.receptions if not r.declared}
    assert {(i.provider, i.ccn) for i in found.imports} <= undeclared
    assert found.declared == (not undeclared)


@settings(max_examples=500, deadline=None)
@given(worlds())
def test_cycles_go_round_through_two_ccns(world: World) -> None:
    owner = {n.name: n.ccn for n in world.ccsis}
    found = cycles(world)
    for cycle in found:
        assert cycle.chain[0] == cycle.chain[-1]
        assert set(cycle.ccns) >= {owner[n] for n in cycle.chain}
        assert len({owner[n] for n in cycle.chain}) > 1
        assert len(cycle.by) == len(cycle.chain) - 1
        assert can_go(world, cycle.chain, cycle.by)
        # Not once only: what has come round can go round again.
        assert can_go(world, cycle.chain + cycle.chain[1:], cycle.by * 2)
        for length in range(1, min(len(cycle.chain) - 2, 4)):
            for middle in itertools.product(sorted(owner), repeat=length):
                way = (cycle.chain[0], *middle, cycle.chain[0])
                abroad = len({owner[n] for n in way}) > 1
                assert not (abroad and can_go(world, way + way[1:]))
        pairs = {(a, b) for a in cycle.ccns for b in cycle.ccns if a != b}
        assert cycle.declared == (pairs <= world.shared_ccns)
        # All that is tied in one knot hears all the others.
        assert pairs <= receivers(world)
    turned = World(**{**fields_of(world), "ccsis": world.ccsis[::-1], "idcs": world.idcs[::-1]})
    assert answers(turned) == answers(world)


def fields_of(world: World) -> dict[str, object]:
    return {name: getattr(world, name) for name in World.__slots__}


@settings(max_examples=300, deadline=None)
@given(worlds(), st.sampled_from(["", *CCNS]), st.sampled_from(["", *CCNS]))
def test_a_narrower_question_has_a_part_of_the_answer(world: World, source: str, sink: str) -> None:
    every, some = answers(world), answers(world, source, sink)
    assert some.receptions == tuple(
        r for r in every.receptions if source in ("", r.provider) and sink in ("", r.receiver)
    )
    assert some.imports == tuple(
        i for i in every.imports if source in ("", i.provider) and sink in ("", i.ccn)
    )
    assert some.cycles == tuple(
        c for c in every.cycles if (not source or source in c.ccns) and (not sink or sink in c.ccns)
    )


def node(name: str, ccn: str, imports: str, exports: str, reexport: bool = True) -> CcsiNode:
    return CcsiNode(name, ccn, frozenset(imports), frozenset(exports), reexport)


def test_a_ring_through_two_ccns_is_a_cycle_and_a_mesh_is_not() -> None:
    assert cycles(world_of([node("gw0/x", "a", "1", "1"), node("gw1/x", "a", "1", "1")])) == []
    ring = [node("gw0/x", "a", "1", "2"), node("gw1/x", "b", "2", "1")]
    way = ("gw0/x", "gw1/x", "gw0/x")
    assert cycles(world_of(ring)) == [Cycle(way, ("2", "1"), ("a", "b"), False)]
    both = frozenset({("a", "b"), ("b", "a")})
    assert cycles(world_of(ring, shared=both)) == [Cycle(way, ("2", "1"), ("a", "b"), True)]
    one_way_only = frozenset({("a", "b")})
    assert [c.declared for c in cycles(world_of(ring, shared=one_way_only))] == [False]
    open_ring = [node("gw0/x", "a", "1", "2", False), node("gw1/x", "b", "2", "1")]
    assert cycles(world_of(open_ring)) == []


def test_a_cycle_by_data_centres() -> None:
    held = [node("gw0/x", "a", "1", "2", False), node("gw1/x", "b", "2", "1", False)]
    joined = {("gw0/x", "gw0/x"), ("gw1/x", "gw1/x")}
    (cycle,) = cycles(world_of(held, joined))
    assert cycle.ccns == ("a", "b")
    assert cycle.by.count(BY_IDC) == 2
    across = [node("gw0/x", "a", "", "", False), node("gw1/x", "b", "", "", False)]
    (cycle,) = cycles(world_of(across, {("gw0/x", "gw1/x"), ("gw1/x", "gw0/x")}))
    assert cycle.chain == ("gw0/x", "gw1/x", "gw0/x")
    assert cycle.by == (BY_IDC, BY_IDC)
