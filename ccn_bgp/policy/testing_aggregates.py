"""``tests:`` of aggregates. In: an item that names an aggregate, a chain and routes. Out: how the
aggregate stands if a table holds what the chain accepts of them (aggregation.py), against what is
expected: ``in-force``, ``not-in-force``, or a mapping {result, contributing, attributes}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ccn_bgp.model.path import Path
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.aggregation import Aggregation
from ccn_bgp.policy.at import At
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.routes import ATTRIBUTES, RouteError, read_attributes, read_route
from ccn_bgp.policy.rules import AggregateTest, PolicySet
from ccn_bgp.policy.trace import Trace, trace

KEYS = ("name", "policy", "default", "aggregate", "routes", "expect")
EXPECTED = ("result", "contributing", "attributes")
RESULTS = ("in-force", "not-in-force")


def read_routes(at: At, value: Any) -> list[tuple[Path, Context]]:
    """The routes of a test; what is wrong with them is reported."""
    found: list[tuple[Path, Context]] = []
    if not isinstance(value, list):
        at.say("routes must be a list of routes")
        return found
    for item, at_item in at.items(value):
        try:
            found.append(read_route(item))
        except RouteError as error:
            place = at_item
            for word in error.path:
                place = place / word
            place.say(f"routes: {error}")
    return found


def read_name(at: At, value: Any, aggregates: Collection[str]) -> str:
    """The aggregate of a test; one that there is not is reported."""
    if value not in aggregates:
        hint = nearest(str(value), aggregates, "there are")
        at.say(f"aggregate: there is no aggregate '{value}'", hint)
    return str(value)


def read_expected(at: At, value: Any) -> dict[str, Any]:
    """What a test expects; what is wrong with it is reported."""
    entry = {"result": value} if isinstance(value, str) else value
    what = "expect is in-force, not-in-force or {result, contributing, attributes}"
    entry = at.mapping(entry, what, EXPECTED)
    if entry and entry.get("result") not in RESULTS:
        at.say(f"expect: {entry.get('result')!r} is neither in-force nor not-in-force")
    at.number(entry, "contributing")
    why = "expect: an aggregate that is not in force has no attributes"
    check_attributes(at, entry, "not-in-force", why)
    return dict(entry)


def check_attributes(at: At, entry: Mapping[str, Any], without: str, why: str) -> None:
    """Report what is wrong with the attributes that a test expects; with the result ``without``
    there are none: ``why``."""
    place, attributes = at / "attributes", entry.get("attributes") or {}
    if attributes and entry.get("result") == without:
        place.say(why)
    attributes = place.mapping(attributes, "attributes must be a mapping", ATTRIBUTES)
    try:
        read_attributes({k: v for k, v in attributes.items() if v is not None})
    except RouteError as error:
        (place / error.path[-1]).say(f"expect: {error}")


def stand(policies: PolicySet, test: AggregateTest) -> tuple[dict[str, Any], list[Trace]]:
    """How the aggregate of a test stands, and the way of each route."""
    aggregation = Aggregation(policies)
    told = []
    for path, context in test.routes:
        one = trace(policies, test.policies, path, default=test.default, context=context)
        aggregation.add(path, one.result)
        told.append(one)
    return aggregation.state(test.aggregate, counted=True) or {}, told


def result_differences(test: AggregateTest, state: dict[str, Any]) -> Iterator[str]:
    """What is otherwise than expected, but for the attributes."""
    result = "in-force" if state["in-force"] else "not-in-force"
    count, least = state["contributing"], state["min-contributing"]
    expected = test.expected
    if result != expected["result"]:
        counted = f"{count} contributing, min-contributing {least}"
        yield f"result: expected {expected['result']}, found {result} ({counted})"
    wanted = expected.get("contributing")
    if wanted is not None and wanted != count:
        yield f"contributing: expected {wanted}, found {count}"
