"""A route and the names of policies come in; accepted attributes or the reason why not go out.

Pure. The statements of the named policies are tried in order, each on the route as the statements
before it have left it; the first that accepts or rejects decides. trace.py tells every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.path import Path, PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.policy.flight import NOWHERE, Context, Flight
from ccn_bgp.policy.rules import PolicySet, Statement

Default = Literal["accept", "reject"]
NO_POLICY = Denied("default of idc sessions", "RFC 8212")
"""No policy is named on a session that needs one (RFC 8212 §2.1)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The route may pass. ``attributes`` is the very object that came in if nothing was changed.

    ``trace`` holds the statements that matched; ``by_default``: none of them has decided.
    """

    attributes: PathAttributes
    trace: tuple[Statement, ...] = ()
    by_default: bool = False

    def __str__(self) -> str:
        if not self.trace:
            return "accepted by default"
        through = ", ".join(str(s) for s in self.trace)
        return f"accepted by {'default after ' if self.by_default else ''}policy {through}"


Result = Accepted | Denied


def evaluate(
    policies: PolicySet,
    names: Sequence[str],
    path: Path,
    *,
    default: Default,
    context: Context = NOWHERE,
) -> Result:
    """What the chain of policies ``names`` makes of one route.

    ``default`` decides when no statement does: ``reject`` on IDC sessions (RFC 8212), ``accept``
    on gateway, reflector and host sessions. An unknown policy name is a KeyError: load_topology
    refuses such a file.
    """
    flight = Flight.of(path, context)
    hits: tuple[Statement, ...] = ()
    for name in names:
        for statement in policies.policies[name].statements:
            for condition in statement.conditions:
                if not condition.holds(flight):
                    break
            else:
                then = statement.then
                if then == "reject":
                    return Denied(statement.policy, statement.name, statement.where)
                if statement.change is not None:
                    flight.attributes = statement.change.apply(flight.attributes, context)
                hits = (*hits, statement)
                if then == "accept":
                    return Accepted(flight.attributes, hits)
                if then == "next-policy":
                    break
    return undecided(names, flight.attributes, hits, default)


def undecided(
    names: Sequence[str],
    attributes: PathAttributes,
    hits: tuple[Statement, ...],
    default: Default,
) -> Result:
    """The word of the default, when the chain has come to its end."""
    if default == "accept":
        return Accepted(attributes, hits, by_default=True)
    if not names:
        return NO_POLICY
    nobody = "none decided" if hits else "none matched"
    return Denied(", ".join(names), f"{nobody} (default reject, RFC 8212)")


def targets_set(result: Accepted) -> frozenset[RouteTarget]:
    """The route targets of an accepted route that statements have named, not its sender alone."""
    named: set[RouteTarget] = set()
    for statement in result.trace:
        if statement.change is not None:
            named |= statement.change.targets
    return frozenset(named & result.attributes.route_targets) if named else frozenset()
