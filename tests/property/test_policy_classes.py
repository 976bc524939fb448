"""Rows of one class and equal attributes get the verdict that each of them gets alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Path, PathAttributes, Unicast
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.classes import PrefixClasses
from ccn_bgp.policy.conditions import PrefixCondition
from ccn_bgp.policy.evaluate import evaluate
from ccn_bgp.policy.rules import Policy, PolicySet, Statement
from ccn_bgp.policy.sets import PrefixRange, PrefixSet


@st.composite
def prefixes(draw: st.DrawFn, width: int) -> Prefix:
    """Few bits in use, so that prefixes meet."""
    bits = width * 8
    number = draw(st.integers(0, 7)) << draw(st.sampled_from([0, bits // 2 - 1, bits - 3]))
    lengths = [0, 1, 2, 3, 4, bits // 2, bits // 2 + 1, bits - 2, bits - 1, bits]
    return Prefix.of(number.to_bytes(width, "big"), draw(st.sampled_from(lengths)))


either = st.sampled_from([4, 16]).flatmap(prefixes)


@st.composite
def ranges(draw: st.DrawFn) -> PrefixRange:
    prefix = draw(either)
    bits = (len(prefix) - 1) * 8
    first = draw(st.integers(prefix.length, bits))
    lengths = st.sampled_from([(prefix.length, prefix.length), (prefix.length, bits)])
    return PrefixRange(prefix, *draw(lengths | st.just((first, draw(st.integers(first, bits))))))


@st.composite
def policy_sets(draw: st.DrawFn) -> PolicySet:
    sets = [
        PrefixSet(f"s{n}", "", tuple(draw(st.lists(ranges(), max_size=4))))
        for n in range(draw(st.integers(0, 4)))
    ]
    some = st.lists(st.sampled_from(sets), max_size=3).map(tuple) if sets else st.just(())
    policies = {}
    for name in ("a", "b"):
        statements = tuple(
            Statement(
                name,
                f"{name}{n}",
                "",
                draw(
                    st.lists(st.builds(PrefixCondition, some, st.booleans()), max_size=2).map(tuple)
                ),
                draw(st.none() | st.just(Change(local_pref=n))),
                draw(st.sampled_from(["accept", "reject", "next-statement", "next-policy"])),
            )
            for n in range(draw(st.integers(0, 4)))
        )
        policies[name] = Policy(name, "", statements)
    return PolicySet(policies, {("prefix-sets", held.name): held for held in sets})


@settings(max_examples=300, deadline=None)
@given(
    policy_sets(),
    st.sampled_from([(), ("a",), ("a", "b"), ("b", "a", "b")]),
    st.lists(either, max_size=30),
    st.sampled_from(["accept", "reject"]),
)
def test_every_row(
    policies: PolicySet,
    names: tuple[str, ...],
    rows: list[Prefix],
    default: Literal["accept", "reject"],
) -> None:
    built = PrefixClasses(policies, names)
    attributes = PathAttributes()
    chain = [s for name in names for s in policies.policies[name].statements]
    looked_at = [h for s in chain for c in s.prefix_conditions for h in c.sets]
    matched_of: dict[int, list[bool]] = {0: [False] * len(looked_at)}
    verdict_of: dict[int, object] = {}
    for width in (4, 16):
        mine = [p for p in rows if len(p) == width + 1]
        raw = np.frombuffer(b"".join(mine), np.uint8).reshape(-1, width + 1)
        numbers = built.classes(raw[:, :width], raw[:, width])
        assert numbers.dtype == np.uint32
        for prefix, number in zip(mine, numbers.tolist(), strict=True):
            assert number < built.count
            matched = [held.matches(prefix) for held in looked_at]
            assert matched_of.setdefault(number, matched) == matched
            path = Path("p", Unicast(prefix), attributes)
            verdict = evaluate(policies, names, path, default=default)
            assert verdict_of.setdefault(number, verdict) == verdict
        shown: dict[tuple[int, bool], Prefix] = {}
        for number, prefix in built.cells(width):
            assert len(prefix) == width + 1
            row = np.frombuffer(prefix, np.uint8).reshape(1, -1)
            assert built.classes(row[:, :width], row[:, width]).tolist() == [number]
            shown[number, prefix.length == width * 8] = prefix
        for prefix, number in zip(mine, numbers.tolist(), strict=True):
            assert (number, prefix.length == width * 8) in shown
    assert len({tuple(m) for m in matched_of.values()}) == len(matched_of)
    again = PrefixClasses(policies, names)
    for prefix in rows:
        width = len(prefix) - 1
        raw = np.frombuffer(prefix, np.uint8).reshape(1, -1)
        alone = (raw[:, :width], raw[:, width])
        assert again.classes(*alone).tolist() == built.classes(*alone).tolist()
