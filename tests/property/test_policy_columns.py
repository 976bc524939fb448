"""Rows that are judged in columns get the verdict that each of them gets alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.plain_policy import Route
from oracle.policy_documents import PREFIXES, built, documents, routes

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import EvpnPrefix, Nlri, Unicast
from ccn_bgp.model.path import Path as BgpPath
from ccn_bgp.policy.columns import Columns
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.flight import Flight
from ccn_bgp.policy.load import load_policies


def at(nlri: Nlri, prefix: Prefix) -> Nlri:
    return nlri._replace(prefix=prefix) if isinstance(nlri, EvpnPrefix) else Unicast(prefix)


@settings(max_examples=80, deadline=None)
@given(
    documents(),
    st.lists(routes(), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(PREFIXES)), max_size=20),
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
        mine = [(b, p) for b, t in rows if b < len(made) and len(p := Prefix.parse(t)) == width + 1]
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
