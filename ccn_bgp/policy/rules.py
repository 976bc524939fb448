"""What policy files say, compiled: prefix sets, statements and policies as frozen values.

In from load.py; evaluate.py asks them. Prefix sets are compiled to one dictionary per entry length,
so a route costs a look-up per length that occurs, however many entries there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import PathAttributes

_CACHE_BOUND = 4096


@dataclass(frozen=True, slots=True)
class PrefixRange:
    """Prefixes inside ``prefix`` with a length from ``low`` to ``high``."""

    prefix: Prefix
    low: int
    high: int

    def __str__(self) -> str:
        if self.low == self.high == self.prefix.length:
            return str(self.prefix)
        return f"{self.prefix} lengths {self.low}-{self.high}"


@dataclass(frozen=True)
class PrefixSet:
    """A named set of prefix ranges; ``where`` is its ``file:line:column``."""

    name: str
    where: str
    ranges: tuple[PrefixRange, ...]

    @cached_property
    def _compiled(self) -> Mapping[int, tuple[tuple[int, Mapping[int, int]], ...]]:
        """By wire length of the prefix (5 or 17): (bits to drop, kept bits → lengths as a mask)."""
        found: dict[int, dict[int, dict[int, int]]] = {5: {}, 17: {}}
        for item in self.ranges:
            drop = (len(item.prefix) - 1) * 8 - item.prefix.length
            table = found[len(item.prefix)].setdefault(drop, {})
            key = item.prefix.first >> drop
            mask = (1 << (item.high + 1)) - (1 << max(item.low, item.prefix.length))
            table[key] = table.get(key, 0) | mask
        return {
            octets: tuple((drop, dict(tables[drop])) for drop in sorted(tables))
            for octets, tables in found.items()
        }

    def matches(self, prefix: Prefix) -> bool:
        """True if a range holds this prefix: inside it, and of a length that it allows."""
        number = int.from_bytes(prefix[:-1], "big")
        bit = 1 << prefix[-1]
        for drop, table in self._compiled[len(prefix)]:
            if table.get(number >> drop, 0) & bit:
                return True
        return False


@dataclass(frozen=True)
class Change:
    """What a statement sets. None leaves an attribute alone."""

    local_pref: int | None = None
    med: int | None = None
    add_communities: tuple[int, ...] = ()
    # Paths of one UPDATE share one attribute object, and so must the changed ones: the cache is by
    # identity (hashing 14 fields costs more than the change) and keeps its keys alive.
    _cache: dict[int, tuple[PathAttributes, PathAttributes]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def apply(self, attributes: PathAttributes) -> PathAttributes:
        """The changed attributes; the same object if nothing changes."""
        if (held := self._cache.get(id(attributes))) is not None:
            return held[1]
        changed = self._changed(attributes)
        if len(self._cache) >= _CACHE_BOUND:
            self._cache.clear()
        self._cache[id(attributes)] = (attributes, changed)
        return changed

    def _changed(self, attributes: PathAttributes) -> PathAttributes:
        local_pref = attributes.local_pref if self.local_pref is None else self.local_pref
        med = attributes.med if self.med is None else self.med
        communities = attributes.communities
        if new := [c for c in self.add_communities if c not in communities]:
            communities = tuple(sorted((*communities, *new)))
        elif local_pref == attributes.local_pref and med == attributes.med:
            return attributes
        # Half the time of dataclasses.replace(), and what was worked out of the other attributes
        # (route targets, length of the path) is kept: it depends on none of the three.
        changed = object.__new__(PathAttributes)
        vars(changed).update(
            vars(attributes), local_pref=local_pref, med=med, communities=communities
        )
        return changed


@dataclass(frozen=True)
class Statement:
    """One statement. Without ``sets`` it matches every route; with several, any of them will do.

    ``where`` is its ``file:line:column``.
    """

    policy: str
    name: str
    where: str
    sets: tuple[PrefixSet, ...] | None
    change: Change | None
    then: Literal["accept", "reject"]

    def __str__(self) -> str:
        return f"{self.policy}/{self.name} at {self.where}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A named list of statements, tried in order."""

    name: str
    where: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class UndefinedSet:
    """A statement asks for a prefix set that no file defines; it matches nothing."""

    name: str
    policy: str
    statement: str
    where: str
    hint: str

    def __str__(self) -> str:
        at = f"policy {self.policy}, statement {self.statement}"
        return f"{at}: prefix set '{self.name}' is not defined"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All policies of a topology, whichever file they stand in."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    prefix_sets: Mapping[str, PrefixSet] = field(default_factory=dict)
    undefined: tuple[UndefinedSet, ...] = ()
