"""What a chain of policies looks at. In: policies and names. Out: fields of PathAttributes.

Routes that agree in these fields and in all that the chain asks for beside attributes get one
verdict, and one change: ask ``evaluate`` for one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.communities import Kind
from ccn_bgp.policy.conditions import (
    AsPathCondition,
    CommunityCondition,
    Condition,
    GatewayIpCondition,
    NameCondition,
    NeighborCondition,
    NextHopCondition,
    NumberCondition,
    PrefixCondition,
    WordCondition,
)
from ccn_bgp.policy.rules import PolicySet

_HELD_IN = {
    "community": "communities",
    "large-community": "large_communities",
    "extended-community": "extended_communities",
    "route-target": "extended_communities",
}
_NUMBERS = {"local-pref": "local_pref", "med": "med", "tag": "tag"}


def looked_at(
    policies: PolicySet, names: Sequence[str], *, at_site: bool
) -> tuple[str, ...] | None:
    """The fields that the chain ``names`` asks for or changes, sorted, of routes of one session,
    family, route type and class of prefixes that have no gateway IP. ``at_site``: the session is
    that of a router of a data centre, so all are unicast and from one member. None: it asks for
    more than fields. KeyError for a name that is no policy."""
    found: set[str] = set()
    for name in names:
        for statement in policies.policies[name].statements:
            for condition in statement.conditions:
                asked = _asked(condition, at_site)
                if asked is None:
                    return None
                found |= asked
            if statement.change is not None:
                found |= _changed(statement.change)
    return tuple(sorted(found))


def _asked(condition: Condition, at_site: bool) -> set[str] | None:
    if isinstance(condition, PrefixCondition | NeighborCondition | GatewayIpCondition):
        return set()
    if isinstance(condition, CommunityCondition):
        return {_held_in(held.kind) for held in condition.sets}
    if isinstance(condition, AsPathCondition):
        return {"as_path"}
    if isinstance(condition, NextHopCondition):
        return {"next_hop"}
    if isinstance(condition, NumberCondition) and condition.field != "vni":
        return {_NUMBERS[condition.field]}
    if isinstance(condition, WordCondition) and condition.field != "origin-kind":
        return {"origin"} if condition.field == "origin" else set()
    if isinstance(condition, NameCondition | NumberCondition | WordCondition) and at_site:
        return set()
    return None


def _changed(change: Change) -> set[str]:
    found = {_held_in(held.kind) for held in change.communities}
    for field in ("origin", "next_hop", "local_pref", "med", "tag", "preference"):
        if getattr(change, field) is not None:
            found.add(field)
    if change.prepend:
        found.add("as_path")
    return found


def _held_in(kind: Kind) -> str:
    return _HELD_IN[kind.word]
