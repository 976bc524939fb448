"""Policies as they are loaded, evaluated and traced, against a naive reading of the document."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.plain_policy import Route, interpret
from oracle.policy_documents import built, documents, plain, routes

from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.trace import trace


@settings(max_examples=120, deadline=None)
@given(
    documents(),
    st.lists(routes(), min_size=1, max_size=8),
    st.sampled_from([["p"], ["p", "q"], ["q", "p"], []]),
    st.sampled_from(["accept", "reject"]),
)
def test_as_the_document_says(
    document: dict[str, Any], given_routes: list[Route], chain: list[str], default: Any
) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "p.yaml"
        file.write_text(json.dumps(document))
        policies = load_policies([file])
    for route in given_routes:
        expected = interpret(document, chain, route, default)
        path, context = built(route)
        found = evaluate(policies, chain, path, default=default, context=context)
        told = trace(policies, chain, path, default=default, context=context)
        assert told.result == found
        if expected[0] == "reject":
            assert not isinstance(found, Accepted)
            if expected[1]:
                assert f"{found.policy}/{found.statement}" == expected[1]
            assert told.by_default is (expected[1] == "")
            continue
        assert isinstance(found, Accepted)
        _, attributes, hits = expected
        attributes["extended-community"].sort()
        assert plain(found.attributes) == attributes
        assert [f"{s.policy}/{s.name}" for s in found.trace] == hits
        assert [s.statement for s in told.steps if s.matched] == list(found.trace)
        assert list(told.lines())
        assert path.attributes == built(route)[0].attributes
