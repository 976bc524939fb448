"""rt-leak against an oracle that hands routes from CCSI to CCSI until nothing changes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify import World, verify_world
from ccn_bgp.table.verify.world import CcsiNode, IdcSession, routes_of

NAMES = [f"gw{n}/x" for n in range(6)]


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    names = NAMES[: draw(st.integers(1, 6))]
    targets = st.frozensets(st.sampled_from(["1", "2", "3", "4"]), max_size=2)
    nodes = [
        CcsiNode(n, draw(st.sampled_from("abc")), draw(targets), draw(targets), draw(st.booleans()))
        for n in names
    ]
    pairs = st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=3)
    owners = st.sampled_from("abc")
    return {
        "nodes": draw(st.permutations(nodes)),
        "idcs": draw(pairs),
        "shared": draw(st.frozensets(st.tuples(owners, owners), max_size=3)),
    }


def holders(network: dict[str, Any], origin: CcsiNode) -> tuple[set[str], set[str]]:
    """(who holds, who says) a route of ``origin``, by repeated hand-over."""
    holds, says = {origin.name}, {origin.name}
    nodes = {n.name: n for n in network["nodes"]}
    while True:
        before = len(holds), len(says)
        for a, b in itertools.product(nodes.values(), repeat=2):
            if a.name in says and a.exports & b.imports:
                holds.add(b.name)
                if b.reexport:
                    says.add(b.name)
        for a, b in network["idcs"]:
            if nodes[a].name in holds:
                holds.add(b)
                says.add(b)
        if (len(holds), len(says)) == before:
            return holds, says


def is_chain(network: dict[str, Any], names: tuple[str, ...]) -> bool:
    """Can a route go exactly this way?"""
    nodes = {n.name: n for n in network["nodes"]}
    says = {names[0]: True}
    state = True
    for a, b in itertools.pairwise(names):
        by_idc = (a, b) in network["idcs"]
        by_target = state and bool(nodes[a].exports & nodes[b].imports)
        if not (by_idc or by_target):
            return False
        state = by_idc or nodes[b].reexport
        says[b] = state
    return True


def shortest(network: dict[str, Any], source: str, sink: str) -> tuple[str, ...]:
    """The first by (length, names) of all ways, by trying them."""
    names = sorted(n.name for n in network["nodes"])
    for length in range(len(names) + 1):
        for middle in itertools.product(names, repeat=length):
            if is_chain(network, (source, *middle, sink)):
                return (source, *middle, sink)
    raise AssertionError("no chain at all")


def world_of(network: dict[str, Any], sessions: tuple[IdcSession, ...] = ()) -> World:
    v4, v6 = routes_of([])
    return World(
        tables=(),
        owners=(),
        external=np.zeros(0, np.bool_),
        v4=v4,
        v6=v6,
        ccsis=tuple(network["nodes"]),
        idcs=tuple(network["idcs"]),
        shared_ccns=network["shared"],
        sessions=sessions,
    )


@settings(max_examples=1500, deadline=None)
@given(networks())
def test_every_pair(network: dict[str, Any]) -> None:
    expected = set()
    for origin in network["nodes"]:
        for name in holders(network, origin)[0]:
            owner = next(n.ccn for n in network["nodes"] if n.name == name)
            if owner != origin.ccn and (origin.ccn, owner) not in network["shared"]:
                expected.add((origin.name, name))
    sessions = tuple(IdcSession("r1", "idc", n.name) for n in network["nodes"])
    findings = verify_world(world_of(network, sessions))
    leaks = [f for f in findings if f.rule == "rt-leak"]
    said = [(f.witness["chain"][0], f.witness["chain"][-1]) for f in leaks]
    assert len(said) == len(set(said))
    assert set(said) == expected
    for finding in leaks:
        chain = finding.witness["chain"]
        assert len(finding.witness["by"]) == len(chain) - 1
        if len(chain) <= 4:
            assert tuple(chain) == shortest(network, chain[0], chain[-1])
        else:
            assert is_chain(network, tuple(chain))
            with_three = itertools.product(sorted(n.name for n in network["nodes"]), repeat=2)
            assert not any(is_chain(network, (chain[0], *m, chain[-1])) for m in with_three)
    owners = {n.name: n.ccn for n in network["nodes"]}
    transits = [f for f in findings if f.rule == "transit-leak"]
    assert {(owners[f.witness["chain"][0]], f.table) for f in transits} == {
        (owners[u], v) for u, v in expected
    }
