"""What is said of all routes is true of each: statements that no route comes to, and examples."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.plain_policy import Route
from oracle.policy_documents import built, documents, routes

from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.trace import trace
from ccn_bgp.policy.ways import Ways

EXACT = {"prefix-set", "community-set", "large-community-set", "as-path-set", "local-pref", "med"}
EXACT |= {"family", "route-type", "gateway-ip", "origin", "tag", "vni"}


def loaded(document: dict[str, Any]) -> PolicySet:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "p.yaml"
        file.write_text(json.dumps(document))
        return load_policies([file])


@settings(max_examples=60, deadline=None)
@given(
    documents(),
    st.lists(routes(), min_size=1, max_size=20),
    st.sampled_from([["p"], ["p", "q"], ["q", "p", "q"]]),
)
def test_no_route_comes_where_none_is_said_to(
    document: dict[str, Any], given_routes: list[Route], chain: list[str]
) -> None:
    policies = loaded(document)
    ways = Ways(policies, chain)
    possible = [
        ways.possible([*ways.coming(n), *ways.matching(n)]) for n in range(len(ways.statements))
    ]
    undecided = ways.possible(ways.undecided())
    for route in given_routes:
        path, context = built(route)
        told = trace(policies, chain, path, default="reject", context=context)
        for step in told.steps:
            numbers = [n for n, s in enumerate(ways.statements) if s is step.statement]
            assert not step.matched or any(possible[n] for n in numbers), step.statement
        assert not told.by_default or undecided


@settings(max_examples=60, deadline=None)
@given(documents())
def test_of_what_is_exact_every_example_goes_its_way(document: dict[str, Any]) -> None:
    """Without changes in flight, and with conditions that are told apart exactly."""
    for statements in document["policies"].values():
        for statement in statements:
            if statement["then"].startswith("next"):
                statement["set"] = {}
            statement["match"] = {k: v for k, v in statement["match"].items() if k in EXACT}
    policies = loaded(document)
    for chain in (["p"], ["p", "q"]):
        ways = Ways(policies, chain)
        for number, statement in enumerate(ways.statements):
            clauses = [*ways.coming(number), *ways.matching(number)]
            if not ways.possible(clauses):
                continue
            example = ways.example(clauses)
            assert example is not None
            reached = [s.statement for s in example.trace.steps if s.matched]
            assert statement in reached, (statement, example.path)
        if ways.possible(ways.undecided()):
            example = ways.example(ways.undecided())
            assert example is not None
            assert example.trace.by_default
