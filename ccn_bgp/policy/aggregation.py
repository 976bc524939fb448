"""What an edit of policies does to aggregates. In: the aggregates of two versions of policy files,
and routes with what both versions make of them. Out: how each aggregate would stand before and
after, as JSON values.

What a CCN names, and which of several routes for a prefix is chosen, policy files do not know: each
aggregate is taken as if a table held what the chain accepts, every prefix once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Origin, Path, PathAttributes
from ccn_bgp.policy.evaluate import Accepted, Result
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.routes import attributes_json
from ccn_bgp.policy.rules import AggregateRule, PolicySet

Json = dict[str, Any]


def prefix_of(path: Path) -> Prefix | None:
    """What a route is for; None of one that is for no prefix."""
    found = getattr(path.nlri, "prefix", None)
    return found if isinstance(found, Prefix) else None


def gathers(rule: AggregateRule, prefix: Prefix) -> bool:
    """Whether a route of this prefix can contribute (model/aggregate.py)."""
    return prefix.length > rule.prefix.length and rule.prefix.covers(prefix)


@dataclass(slots=True)
class _Gathered:
    """The routes that contribute to one aggregate."""

    prefixes: set[Prefix] = field(default_factory=set)
    origin: Origin = Origin.IGP
    has_path: bool = False

    def add(self, prefix: Prefix, attributes: PathAttributes) -> None:
        self.prefixes.add(prefix)
        self.origin = max(self.origin, attributes.origin)
        self.has_path |= bool(attributes.as_path)


class Aggregation:
    """The aggregates of one version of the files, and what contributes to each."""

    def __init__(self, policies: PolicySet) -> None:
        self.rules: Mapping[str, AggregateRule] = policies.aggregates
        self._gathered = {name: _Gathered() for name in self.rules}

    def add(self, path: Path, result: Result) -> None:
        """One route, and what the chain makes of it."""
        prefix = prefix_of(path)
        if prefix is not None and isinstance(result, Accepted):
            for name, rule in self.rules.items():
                if gathers(rule, prefix):
                    self._gathered[name].add(prefix, result.attributes)

    def contributing(self, name: str) -> set[Prefix]:
        """To an aggregate, or nothing if there is none."""
        return self._gathered[name].prefixes if name in self._gathered else set()

    def state(self, name: str, *, counted: bool) -> Json | None:
        """How it stands; ``counted``: with routes. None if there is no such aggregate."""
        rule = self.rules.get(name)
        if rule is None:
            return None
        found: Json = {
            "prefix": str(rule.prefix),
            "summary-only": rule.summary_only,
            "min-contributing": rule.least,
        }
        held = self._gathered[name]
        if counted:
            count = len(held.prefixes)
            found |= {"contributing": count, "in-force": count >= rule.least}
        if not counted or found["in-force"]:
            made = PathAttributes(origin=held.origin, atomic_aggregate=held.has_path)
            if rule.change is not None:
                made = rule.change.apply(made, Context())
            shown = {k: v for k, v in attributes_json(made).items() if v}
            found["attributes"] = shown | ({"atomic-aggregate": True} if held.has_path else {})
        return found


def changes(before: Aggregation, after: Aggregation, *, counted: bool) -> Iterator[Json]:
    """Each aggregate that stands otherwise, by name: ``before`` and ``after`` (None: there is
    none), and of routes that contribute no longer, or now, the first."""
    for name in sorted(before.rules.keys() | after.rules.keys()):
        old, new = before.state(name, counted=counted), after.state(name, counted=counted)
        was, now = before.contributing(name), after.contributing(name)
        if old == new and was == now:
            continue
        found: Json = {"name": name, "before": old, "after": new}
        for key, some in (("no-longer", was - now), ("besides", now - was)):
            if some:
                found[key] = {"routes": len(some), "example": str(min(some))}
        yield found
