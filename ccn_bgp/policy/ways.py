"""The ways through a chain of policies, as formulas. In: a chain. Out: whether a route comes to a
statement, whether one is decided by none, and such a route.

A condition that looks at what an earlier statement has changed is left open: it may hold or not.
So what is told never to happen does not; a route that is shown has been tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ccn_bgp.model.path import Path
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.conditions import (
    AsPathCondition,
    CommunityCondition,
    Condition,
    NextHopCondition,
    NumberCondition,
    WordCondition,
)
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.rules import PolicySet, Statement
from ccn_bgp.policy.solve import Clause, Literal, TooHardError
from ccn_bgp.policy.space import Space
from ccn_bgp.policy.trace import Trace, trace


class Example(NamedTuple):
    """A route that goes a way, as it was tried."""

    path: Path
    context: Context
    trace: Trace


class Ways:
    """The statements of a chain and what it takes to come to them."""

    def __init__(
        self, policies: PolicySet, names: Sequence[str], space: Space | None = None
    ) -> None:
        self.policies = policies
        self.names = tuple(names)
        self.space = space or Space(policies, names)
        self.statements: list[Statement] = []
        self.conditions: list[list[Literal]] = []
        self.matches: list[Literal] = []
        self._passed: list[list[Clause]] = []
        changed: dict[str, tuple[int, ...]] = {}
        for name in names:
            leaving: list[Literal] = []
            for statement in policies.policies[name].statements:
                self._add(statement, changed, leaving)
                number = len(self.statements) - 1
                if statement.then == "next-policy":
                    leaving.append(self.matches[-1])
                if not statement.ends and statement.change is not None:
                    for field in fields_of(statement.change):
                        changed[field] = (*changed.get(field, ()), number)

    def _add(
        self, statement: Statement, changed: dict[str, tuple[int, ...]], leaving: list[Literal]
    ) -> None:
        space = self.space
        literals = [self._literal(c, changed.get(field_of(c), ())) for c in statement.conditions]
        self.statements.append(statement)
        self.conditions.append(literals)
        self.matches.append(space.both(literals))
        # Not come to, or not matched: then it has decided nothing.
        passed: list[Clause] = []
        if statement.ends:
            passed.append((space.negated(self.matches[-1]), *leaving))
        self._passed.append(passed)

    def _literal(self, condition: Condition, changers: tuple[int, ...]) -> Literal:
        """A condition behind statements that may change what it looks at: as if they were not, if
        none of them matches."""
        space = self.space
        original = space.literal(condition)
        if not changers:
            return original
        found = space.literal(condition, (self.names, changers))
        matched = [self.matches[number] for number in changers]
        space.clauses.append((*matched, space.negated(found), original))
        space.clauses.append((*matched, found, space.negated(original)))
        return found

    def coming(self, number: int, since: int = 0) -> list[Clause]:
        """That a route is left to statement ``number`` by those from ``since`` on."""
        statement = self.statements[number]
        clauses = [c for passed in self._passed[since:number] for c in passed]
        for earlier in range(since, number):
            other = self.statements[earlier]
            if other.policy == statement.policy and other.then == "next-policy":
                clauses.append((self.space.negated(self.matches[earlier]),))
        return clauses

    def matching(self, number: int) -> list[Clause]:
        """That the conditions of a statement hold."""
        return [(literal,) for literal in self.conditions[number]]

    def undecided(self) -> list[Clause]:
        """That no statement decides."""
        return [clause for passed in self._passed for clause in passed]

    def handed_on(self) -> Clause:
        """That one of the statements matches that let a route go on."""
        return tuple(
            match
            for match, statement in zip(self.matches, self.statements, strict=True)
            if not statement.ends
        )

    def possible(self, clauses: Sequence[Clause]) -> bool:
        """Whether there may be such a route; also if nobody can tell."""
        try:
            return self.space.find(clauses) is not None
        except TooHardError:
            return True

    def example(self, clauses: Sequence[Clause]) -> Example | None:
        """A route for which these hold, tried; the caller looks whether it went the way."""
        try:
            state = self.space.find(clauses)
        except TooHardError:
            return None
        found = None if state is None else self.space.route(state)
        if found is None:
            return None
        path, context = found
        told = trace(self.policies, self.names, path, default="reject", context=context)
        return Example(path, context, told)


def field_of(condition: Condition) -> str:
    """What a condition looks at, if a change can change it."""
    if isinstance(condition, CommunityCondition) and condition.sets:
        word = condition.union.kind.word
        return "extended-community" if word == "route-target" else word
    if isinstance(condition, AsPathCondition):
        return "as-path"
    if isinstance(condition, NextHopCondition):
        return "next-hop"
    if isinstance(condition, (NumberCondition, WordCondition)):
        return condition.field
    return ""


def fields_of(change: Change) -> Iterator[str]:
    """What a change changes, in the same words."""
    named = {
        "origin": change.origin,
        "next-hop": change.next_hop,
        "local-pref": change.local_pref,
        "med": change.med,
        "tag": change.tag,
        "preference": change.preference,
    }
    yield from (field for field, value in named.items() if value is not None)
    if change.prepend:
        yield "as-path"
    for community in change.communities:
        word = community.kind.word
        yield "extended-community" if word == "route-target" else word
