"""What policy files say, compiled: statements and policies as frozen values.

In from load.py; evaluate.py asks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Path
from ccn_bgp.policy.changes import Change
from ccn_bgp.policy.communities import CommunitySet, Member
from ccn_bgp.policy.conditions import (
    Condition,
    NameCondition,
    NeighborCondition,
    PrefixCondition,
    WordCondition,
)
from ccn_bgp.policy.flight import Context
from ccn_bgp.policy.sets import AddressSet, AsPathMember, AsPathSet, NameSet, NeighborSet, PrefixSet

Then = Literal["accept", "reject", "next-statement", "next-policy"]
THENS: tuple[Then, ...] = ("accept", "reject", "next-statement", "next-policy")
AnySet = PrefixSet | NeighborSet | CommunitySet | AsPathSet | AddressSet | NameSet


@dataclass(frozen=True)
class Statement:
    """One statement: all ``conditions`` must hold; without any it matches every route.

    ``where`` is its ``file:line:column``; ``places`` those of its conditions, in their order.
    """

    policy: str
    name: str
    where: str
    conditions: tuple[Condition, ...]
    change: Change | None
    then: Then
    places: tuple[str, ...] = ()

    @cached_property
    def ends(self) -> bool:
        """Whether the search ends here if it matches."""
        return self.then in ("accept", "reject")

    @cached_property
    def prefix_conditions(self) -> tuple[PrefixCondition, ...]:
        """Its conditions on the prefix."""
        return tuple(c for c in self.conditions if isinstance(c, PrefixCondition))

    def __str__(self) -> str:
        return f"{self.policy}/{self.name} at {self.where}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A named list of statements, tried in order."""

    name: str
    where: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class AggregateRule:
    """One item of ``aggregates:``: ``prefix`` in the place of ``least`` or more routes in it, with
    the attributes that ``change`` makes. ``where`` is its ``file:line:column``."""

    name: str
    where: str
    prefix: Prefix
    summary_only: bool = False
    least: int = 1
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class UndefinedSet:
    """Somebody asks for a set that no file defines; it matches nothing.

    ``kind`` is ``prefix set`` …; ``by`` who asks: ``policy P`` and ``statement S``, or another set.
    """

    kind: str
    name: str
    by: tuple[str, ...]
    where: str
    hint: str

    def __str__(self) -> str:
        return f"{', '.join(self.by)}: {self.kind} '{self.name}' is not defined"


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One item of ``tests:`` (testing.py): a route through a chain, and what is expected of it."""

    name: str
    where: str
    policies: tuple[str, ...]
    default: str
    path: Path
    context: Context
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AggregateTest:
    """One item of ``tests:`` that names an aggregate (testing_aggregates.py): routes through a
    chain, and how the aggregate is expected to stand."""

    name: str
    where: str
    policies: tuple[str, ...]
    default: Literal["accept", "reject"]
    aggregate: str
    routes: tuple[tuple[Path, Context], ...]
    expected: Mapping[str, Any]


AnyTest = PolicyTest | AggregateTest


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies of a topology, whichever file they stand in.

    ``sets`` by (section, name), as in ("prefix-sets", "idc-space"); ``used``: those that a
    statement or another set asks for. ``patterns``: where the regexes and texts with ``*`` stand
    that a set has of its own. ``files``: where all of it was read.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    sets: Mapping[tuple[str, str], AnySet] = field(default_factory=dict)
    undefined: tuple[UndefinedSet, ...] = ()
    used: frozenset[tuple[str, str]] = frozenset()
    tests: tuple[AnyTest, ...] = ()
    aggregates: Mapping[str, AggregateRule] = field(default_factory=dict)
    patterns: Mapping[tuple[str, str], Mapping[AsPathMember | Member, str]] = field(
        default_factory=dict
    )
    files: tuple[FilePath, ...] = field(default=(), compare=False)

    def tells_neighbors_apart(self, names: Sequence[str]) -> bool:
        """Whether a chain asks which session it is."""
        return any(isinstance(c, NeighborCondition) for c in self._asked(names))

    def tells_members_apart(self, names: Sequence[str]) -> bool:
        """Whether a chain asks which member of which CCN a route is from."""
        return any(
            isinstance(c, NameCondition)
            or (isinstance(c, WordCondition) and c.field == "origin-kind")
            for c in self._asked(names)
        )

    def _asked(self, names: Sequence[str]) -> Iterator[Condition]:
        for name in names:
            for statement in self.policies[name].statements:
                yield from statement.conditions
