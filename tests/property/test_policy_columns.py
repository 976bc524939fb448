"""Rows that are judged in columns get the verdict that each of them gets alone."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.plain_policy import Route
from oracle.policy_documents import CONDITIONS, PREFIXES, SECTIONS, built, documents, routes

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnPrefix, Nlri, Unicast
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.policy.columns import Columns
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.flight import Flight
from ccn_bgp.policy.load import load_policies


def at(nlri: Nlri, prefix: Prefix) -> Nlri:
    return nlri._replace(prefix=prefix) if isinstance(nlri, EvpnPrefix) else Unicast(prefix)


@st.composite
def telling_prefixes_apart(draw: st.DrawFn) -> dict[str, Any]:
    """Documents in which prefix sets matter: without that all rows of a body are one class."""
    document = copy.deepcopy(draw(documents()))
    for held in document["prefix-sets"].values():
        held.extend(draw(st.lists(SECTIONS["prefix-sets"], min_size=1, max_size=2)))
    for name, statements in document["policies"].items():
        for number in range(draw(st.integers(1, 3))):
            statement = {
                "name": f"{name}-sets-{number}",
                "match": {"prefix-set": draw(CONDITIONS["prefix-set"])},
                "set": {"tag": number},
                "then": draw(st.sampled_from(["accept", "reject", "next-statement"])),
            }
            statements.insert(draw(st.integers(0, len(statements))), statement)
    return document


@settings(max_examples=80, deadline=None)
@given(
    telling_prefixes_apart(),
    st.lists(routes(), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(PREFIXES)), min_size=5, max_size=30),
    st.sampled_from([["p"], ["p", "q"], ["q", "p"], []]),
    st.sampled_from(["accept", "reject"]),
)
def test_every_row(
    document: dict[str, Any],
    bodies: list[Route],
    rows: list[tuple[int, str]],
    chain: list[str],
    default: Any,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "p.yaml"
        file.write_text(json.dumps(document))
        policies = load_policies([file])
    columns = Columns(policies, chain, default)
    made = [built(route) for route in bodies]
    made = [(path, c) for path, c in made if isinstance(path.nlri, (Unicast, EvpnPrefix))]
    for width in (4, 16):
        any_prefix = Prefix(bytes(width + 1))
        flights = [Flight(at(p.nlri, any_prefix), p.attributes, c) for p, c in made]
        told = [(b % len(made), Prefix.parse(t)) for b, t in rows] if made else []
        mine = [(b, p) for b, p in told if len(p) == width + 1]
        raw = np.frombuffer(b"".join(p for _, p in mine), np.uint8).reshape(-1, width + 1)
        which = np.array([b for b, _ in mine], np.int64)
        judged = columns.judge(flights, which, raw[:, :width], raw[:, width])
        for row, (body, prefix) in enumerate(mine):
            path, context = made[body]
            alone = BgpPath("", at(path.nlri, prefix), path.attributes)
            expected = evaluate(policies, chain, alone, default=default, context=context)
            assert judged.verdicts[int(judged.which[row])] == expected
            assert bool(judged.accepted[row]) is isinstance(expected, Accepted)
        assert [f.attributes for f in flights] == [p.attributes for p, _ in made]
