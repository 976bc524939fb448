"""Statements that no route can come to: in comes a PolicySet, out come `unreachable-statement`.

Every statement ends the search, so one whose every prefix range lies inside a range of an earlier
statement is never asked. Ranges are compared one to one: what is told is so, but a range that only
several earlier ones cover together is not told.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.finding import Finding
from ccn_bgp.policy.conditions import PrefixCondition
from ccn_bgp.policy.rules import Policy, PolicySet, Statement
from ccn_bgp.policy.sets import PrefixRange


def unreachable_statements(policies: PolicySet) -> list[Finding]:
    """A warning for each such statement, by its position."""
    return [f for name in sorted(policies.policies) for f in _of(policies.policies[name])]


def _of(policy: Policy) -> Iterator[Finding]:
    for number, statement in enumerate(policy.statements):
        hider = next((s for s in policy.statements[:number] if _hides(s, statement)), None)
        if hider is None:
            hider = _together(policy.statements[:number], statement)
        if hider is not None:
            yield Finding(
                rule="unreachable-statement",
                message=f"policy {policy.name}, statement {statement.name}: every route that it"
                f" matches is decided before, last by statement {hider.name}",
                where=statement.where,
                witness={
                    "chain": [
                        f"policy {policy.name}",
                        f"statement {hider.name}",
                        f"statement {statement.name}",
                    ]
                },
            )


def _ranges(statement: Statement) -> list[PrefixRange]:
    """Of its first prefix condition; others can only narrow it."""
    wanted = [c for c in statement.prefix_conditions if not c.invert][:1]
    return [r for condition in wanted for held in condition.sets for r in held.ranges]


def _hides(earlier: Statement, later: Statement) -> bool:
    if earlier.then == "next-statement":
        return False
    if not earlier.conditions:
        return True
    return bool(_ranges(later)) and all(_covered(r, earlier) for r in _ranges(later))


def _covered(wanted: PrefixRange, earlier: Statement) -> bool:
    [only, *more] = earlier.conditions or [None]
    if more or not isinstance(only, PrefixCondition) or earlier.then == "next-statement":
        return False
    return any(
        held.prefix.covers(wanted.prefix) and held.low <= wanted.low and wanted.high <= held.high
        for held in _ranges(earlier)
    )


def _together(earlier: tuple[Statement, ...], later: Statement) -> Statement | None:
    """The last of the earlier statements that only together leave nothing to the later one."""
    last = -1
    for wanted in _ranges(later):
        hiders = [n for n, statement in enumerate(earlier) if _covered(wanted, statement)]
        if not hiders:
            return None
        last = max(last, hiders[0])
    return earlier[last] if last >= 0 else None
