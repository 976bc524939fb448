"""Inline ``tests:`` of policy files. In: a PolicySet with its tests. Out: what failed, and which
statements no test has come to.

A test names a policy (or a chain), a route and what is expected: ``accept``, ``reject``, or a
mapping {result, by, attributes}. Of the attributes those that are named are compared; null: unset.
Tests of aggregates are testing_aggregates.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccn_bgp.model.path import Path
from ccn_bgp.policy import testing_aggregates
from ccn_bgp.policy.at import At
from ccn_bgp.policy.evaluate import Accepted, Default
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.routes import (
    RouteError,
    attributes_json,
    read_attributes,
    read_route,
)
from ccn_bgp.policy.rules import AggregateTest, AnyTest, PolicySet, PolicyTest, Statement
from ccn_bgp.policy.trace import Trace, trace

_LISTS = ("communities", "large-communities", "extended-communities", "route-targets")
KEYS = ("name", "policy", "default", "route", "expect")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test that was run: ``differences`` are lines, none if it passed; ``traces`` the way of
    each of its routes."""

    test: AnyTest
    traces: tuple[Trace, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the tests have come: statements that one of them matched, and the others."""

    reached: tuple[Statement, ...]
    missed: tuple[Statement, ...]


def read_test(
    at: At, index: int, item: Any, policies: Sequence[str], aggregates: Collection[str]
) -> AnyTest | None:
    """One item of ``tests:``; None if it cannot be run (then noted)."""
    before = len(at.problems)
    of_aggregate = isinstance(item, dict) and "aggregate" in item
    keys = testing_aggregates.KEYS if of_aggregate else KEYS
    entry = at.mapping(item, "a test is a mapping with name, policy, route, expect", keys)
    if not entry and len(at.problems) > before:
        return None
    name = entry.get("name", str(index + 1))
    if not isinstance(name, str):
        (at / "name").say(f"name: {name!r} is not a text")
    names = [n for n, _ in at.items(entry.get("policy", []))]
    for asked, place in (at / "policy").items(entry.get("policy", [])):
        if asked not in policies:
            place.say(f"policy: there is no policy '{asked}'")
    if not names:
        at.say("the test names no policy")
    default = entry.get("default", "reject")
    if default not in ("accept", "reject"):
        (at / "default").say(f"default: '{default}' is neither accept nor reject")
    if of_aggregate:
        aggregate = testing_aggregates.read_name(at / "aggregate", entry["aggregate"], aggregates)
        routes = testing_aggregates.read_routes(at / "routes", entry.get("routes"))
        expected = testing_aggregates.read_expected(at / "expect", entry.get("expect"))
        if len(at.problems) > before:
            return None
        of = (aggregate, tuple(routes), expected)
        return AggregateTest(name, at.where, tuple(names), default, *of)
    found: tuple[Path, Context] | None = None
    try:
        found = read_route(entry.get("route"))
    except RouteError as error:
        place = at / "route"
        for word in error.path:
            place = place / word
        place.say(f"route: {error}")
    expected = _expected(at / "expect", entry.get("expect"))
    if found is None or len(at.problems) > before:
        return None
    return PolicyTest(name, at.where, tuple(names), default, *found, expected)


def _expected(at: At, value: Any) -> dict[str, Any]:
    entry = {"result": value} if isinstance(value, str) else value
    entry = at.mapping(
        entry,
        "expect is accept, reject or {result, by, attributes}",
        ("result", "by", "attributes"),
    )
    if (entry or value == {}) and entry.get("result") not in ("accept", "reject"):
        at.say(f"expect: {entry.get('result')!r} is neither accept nor reject")
    why = "expect: a route that is rejected has no attributes"
    testing_aggregates.check_attributes(at, entry, "reject", why)
    return dict(entry)


def run(policies: PolicySet) -> Iterator[Outcome]:
    """Run all tests, in their order."""
    for test in policies.tests:
        if isinstance(test, AggregateTest):
            state, ways = testing_aggregates.stand(policies, test)
            found = [*testing_aggregates.result_differences(test, state)]
            if state["in-force"]:
                found += _otherwise(test.expected, state["attributes"])
            yield Outcome(test, tuple(ways), tuple(found))
            continue
        default: Default = "accept" if test.default == "accept" else "reject"
        told = trace(policies, test.policies, test.path, default=default, context=test.context)
        yield Outcome(test, (told,), tuple(_differences(test, told)))


def _differences(test: PolicyTest, told: Trace) -> Iterator[str]:
    result = "accept" if told.accepted else "reject"
    by = "default"
    if not told.by_default:
        last = told.steps[-1].statement
        by = f"{last.policy}/{last.name}"
    expected = test.expected
    if result != expected["result"]:
        yield f"result: expected {expected['result']}, found {result} by {by}"
    wanted = expected.get("by")
    if wanted is not None and wanted not in (by, by.rpartition("/")[2]):
        yield f"by: expected {wanted}, found {by}"
    if not isinstance(told.result, Accepted):
        return
    found = attributes_json(told.result.attributes)
    found.setdefault("preference", told.result.attributes.preference)
    yield from _otherwise(expected, found)


def _otherwise(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Of the attributes that a test names those that are not as it says."""
    for key, value in (expected.get("attributes") or {}).items():
        mine, theirs = _normal(key, value), _normal(key, found.get(key))
        if mine != theirs:
            yield f"{key}: expected {_shown(mine)}, found {_shown(theirs)}"


def _normal(key: str, value: Any) -> Any:
    """As attributes are written by us, so that equal ones compare equal; lists in order."""
    if value is None or (key in _LISTS and not value):
        return None
    made = read_attributes({key: value})
    shown = attributes_json(made).get(key, value)
    return sorted(shown) if isinstance(shown, list) else shown


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def coverage(policies: PolicySet, outcomes: Sequence[Outcome]) -> Coverage:
    """Of all statements of all policies."""
    hit = {
        (step.statement.policy, step.statement.name)
        for outcome in outcomes
        for told in outcome.traces
        for step in told.steps
        if step.matched
    }
    every = [s for policy in policies.policies.values() for s in policy.statements]
    return Coverage(
        tuple(s for s in every if (s.policy, s.name) in hit),
        tuple(s for s in every if (s.policy, s.name) not in hit),
    )
