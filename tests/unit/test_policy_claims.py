"""What lint and diff say of all routes, and what an empty set matches, where it was once wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.policy.automata import COMMUNITIES, automaton, text_for
from ccn_bgp.policy.difference import prove
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.lint import lint
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.regex import Regex
from ccn_bgp.policy.routes import read_route
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.trace import trace


def policies(tmp_path: Path, document: dict[str, Any], name: str = "p.yaml") -> PolicySet:
    file = tmp_path / name
    file.write_text(json.dumps(document))
    return load_policies([file])


def accepted(held: PolicySet, route: Any) -> bool:
    path, context = read_route(route)
    return isinstance(evaluate(held, ["p"], path, default="reject", context=context), Accepted)


def unreachable(held: PolicySet) -> list[str]:
    return [f.message for f in lint(held) if f.rule == "unreachable-statement"]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("community", {}),
        ("community", {"communities": ["1:1"]}),
        ("large-community", {}),
        ("route-target", {"route-targets": ["1:1"]}),
        ("as-path", {}),
        ("as-path", {"as-path": "65001"}),
    ],
)
def test_all_of_an_empty_set_matches_nothing(
    tmp_path: Path, kind: str, attributes: dict[str, Any]
) -> None:
    statement = {"name": "s", "match": {f"{kind}-set": {"all": "none"}}, "then": "accept"}
    held = policies(tmp_path, {f"{kind}-sets": {"none": []}, "policies": {"p": [statement]}})
    route = {"prefix": "10.0.0.0/8", "attributes": attributes}
    assert not accepted(held, route)
    assert unreachable(held)
    path, context = read_route(route)
    (step,) = trace(held, ["p"], path, default="reject", context=context).steps
    assert not step.matched


def test_vni_zero_comes_to_a_statement(tmp_path: Path) -> None:
    """A type 5 with a gateway IP may have it (RFC 9136 §3.2)."""
    statements = [
        {"name": "some", "match": {"vni": {"ge": 1}}, "then": "reject"},
        {"name": "unset", "match": {"vni": "unset"}, "then": "reject"},
        {"name": "zero", "then": "accept"},
    ]
    held = policies(tmp_path, {"policies": {"p": statements}})
    assert accepted(
        held, {"family": "evpn", "type": 5, "prefix": "10.0.0.0/8", "gateway": "10.0.0.1", "vni": 0}
    )
    assert not unreachable(held)


def test_a_repetition_without_least_is_a_text(tmp_path: Path) -> None:
    """RE2 takes ``{,3}`` literally."""
    statements = [
        {"name": "few", "match": {"as-path-set": "few"}, "then": "reject"},
        {"name": "two", "match": {"as-path-set": "two"}, "then": "accept"},
    ]
    sets = {"few": ["^1{,3}$"], "two": ["^11$"]}
    held = policies(tmp_path, {"as-path-sets": sets, "policies": {"p": statements}})
    assert accepted(held, {"prefix": "10.0.0.0/8", "attributes": {"as-path": "11"}})
    assert not unreachable(held)


@pytest.mark.parametrize(
    "text", ["[:digit:]", "1[:digit:]1", "[[:digit:]]", "[^[:digit:]]", "[][:digit:]]", r"\[:1"]
)
def test_posix_classes_are_read_as_re2_reads_them(text: str) -> None:
    made = automaton(text, COMMUNITIES.alphabet)
    assert made is not None
    found, certain = text_for(COMMUNITIES, [made], [])
    assert certain
    there = ["1:1", "2:2", "1:0"]
    regex = Regex(text, underscore=False)
    assert (found is not None) is any(map(regex.search, there))
    assert found is None or regex.search(found)


def test_a_statement_that_was_left_out_changes_nothing(tmp_path: Path) -> None:
    """next-policy leaves the rest of its policy: what stands there counts on one side alone."""
    leave = {"name": "leave", "match": {"community-set": "c"}, "then": "next-policy"}
    change = {"name": "change", "set": {"local-pref": 200}, "then": "next-statement"}
    sets = {"community-sets": {"c": ["1:1"]}}
    last = [{"name": "all", "then": "accept"}]
    old = policies(tmp_path, sets | {"policies": {"p": [leave, change], "q": last}}, "old.yaml")
    new = policies(tmp_path, sets | {"policies": {"p": [change], "q": last}}, "new.yaml")
    (both,) = prove(old, new, ["p", "q"], "reject").found
    assert both.attributes == {"local-pref": (None, 200)}
    assert prove(old, old, ["p", "q"], "reject").equal


def test_names_of_different_things_are_not_called_equal(tmp_path: Path) -> None:
    found = []
    for kind in ("ccn", "vpc"):
        statement = {"name": "s", "match": {f"{kind}-set": "names"}, "then": "accept"}
        document = {f"{kind}-sets": {"names": ["a*"]}, "policies": {"p": [statement]}}
        found.append(policies(tmp_path, document, f"{kind}.yaml"))
    assert not prove(found[0], found[1], ["p"], "reject").equal
    assert prove(found[0], found[0], ["p"], "reject").equal


def test_a_large_set_that_grew_is_not_called_equal(tmp_path: Path) -> None:
    found = []
    for size in (400, 401):
        document = {
            "community-sets": {"many": [f"1:{n}" for n in range(size)]},
            "policies": {
                "p": [{"name": "s", "match": {"community-set": {"all": "many"}}, "then": "accept"}]
            },
        }
        found.append(policies(tmp_path, document, f"{size}.yaml"))
    assert not prove(found[0], found[1], ["p"], "reject").equal
