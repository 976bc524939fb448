"""What is proved equal is equal for every route; what is shown to differ does."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.plain_policy import Route
from oracle.policy_documents import built, documents, routes
from property.test_policy_ways import EXACT, loaded

from ccn_bgp.policy.difference import differing, prove
from ccn_bgp.policy.evaluate import Accepted, evaluate

CHAINS = st.sampled_from([["p"], ["p", "q"]])


def edited(document: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """One small edit: a statement goes, moves, or gets another word."""
    found = copy.deepcopy(document)
    statements = found["policies"]["p"]
    at = data.draw(st.integers(0, max(len(statements) - 1, 0)))
    what = data.draw(st.sampled_from(["nothing", "drop", "first", "then", "match", "again"]))
    if not statements or what == "nothing":
        return found
    if what == "drop":
        del statements[at]
    elif what == "first":
        statements.insert(0, statements.pop(at))
    elif what == "again":
        statements.append({**statements[at], "name": "again"})
    elif what == "then":
        statements[at]["then"] = data.draw(st.sampled_from(["accept", "reject"]))
    elif statements[at]["match"]:
        statements[at]["match"].popitem()
    return found


@settings(max_examples=80, deadline=None)
@given(documents(), st.data(), st.lists(routes(), min_size=5, max_size=30), CHAINS)
def test_no_route_differs_where_none_is_said_to(
    document: dict[str, Any], data: st.DataObject, given_routes: list[Route], chain: list[str]
) -> None:
    before, after = loaded(document), loaded(edited(document, data))
    proof = prove(before, after, chain, "reject")
    groups, count = differing(before, after, chain, map(built, given_routes), "reject")
    assert count == len(given_routes)
    assert not (groups and proof.equal)
    for both in proof.found:
        results = [
            evaluate(p, chain, both.path, default="reject", context=both.context)
            for p in (before, after)
        ]
        kinds = [isinstance(r, Accepted) for r in results]
        assert kinds[0] is not kinds[1] or results[0].attributes != results[1].attributes  # type: ignore[union-attr]


@settings(max_examples=60, deadline=None)
@given(documents(), st.data())
def test_of_what_is_exact_nothing_is_left_open(
    document: dict[str, Any], data: st.DataObject
) -> None:
    for statements in document["policies"].values():
        for statement in statements:
            statement["set"] = {}
            statement["match"] = {k: v for k, v in statement["match"].items() if k in EXACT}
    before, after = loaded(document), loaded(edited(document, data))
    proof = prove(before, after, ["p"], "reject")
    assert not proof.open
    assert prove(before, before, ["p"], "reject").equal
