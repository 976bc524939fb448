"""The route-target graph after any changes: as if it had been made so at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify.targets import target_findings
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
