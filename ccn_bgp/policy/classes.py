"""Prefixes that a chain of policies cannot tell apart: columns in, numbers of classes out.

What ``evaluate`` makes of a path depends on its prefix only through the prefix sets of the chain.
Rows with equal attributes in one class therefore get one verdict: ask ``evaluate`` for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.covering import AT_ONCE, Covering
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.policy.sets import PrefixSet

I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
Own = list[tuple[int, int, int]]
"""(number of a set, lowest length, highest length), of the ranges with one prefix."""


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """One family: the classes of what lies in a range's prefix and in no longer one.

    ``profile``: int64[m + 1], by range prefix, the last for none. ``table``: uint32[p, bits + 1],
    class by profile and length of a row.
    """

    prefixes: list[Prefix]
    covering: Covering
    profile: I8
    table: U4


class PrefixClasses:
    """The classes of the chain of policies ``names``; KeyError for a name that is no policy.

    ``count``: how many there are, numbered from 0, where no set matches; a number depends on the
    policies alone, never on the rows. ``more``: prefix sets to tell apart beside those of the
    chain.
    """

    def __init__(
        self, policies: PolicySet, names: Sequence[str], more: Sequence[PrefixSet] = ()
    ) -> None:
        # By identity: to compare two sets costs a look at each of their ranges.
        sets: dict[int, PrefixSet] = {id(held): held for held in more}
        for name in names:
            for statement in policies.policies[name].statements:
                for condition in statement.prefix_conditions:
                    sets.update((id(held), held) for held in condition.sets)
        self._bit = {key: 1 << number for number, key in enumerate(sets)}
        self._numbers: dict[int, int] = {0: 0}  # sets that match, as bits → number of the class
        self._laid = {width: self._lay_out(tuple(sets.values()), width) for width in (4, 16)}

    @property
    def count(self) -> int:
        """How many classes there are; 1 if no statement tells prefixes apart."""
        return len(self._numbers)

    @property
    def bits(self) -> Sequence[int]:
        """By class: which sets hold its prefixes, as bits_of() numbers them."""
        return tuple(self._numbers)

    def bits_of(self, sets: Sequence[PrefixSet]) -> int:
        """Sets of the chain as bits."""
        found = 0
        for held in sets:
            found |= self._bit[id(held)]
        return found

    def classes(self, address: U1, length: U1) -> U4:
        """uint32[n]: the class of each row.

        ``address``: uint8[n, 4 or 16], host bits cleared; ``length``: uint8[n].
        """
        found = np.zeros(len(length), np.uint32)
        laid = self._laid[address.shape[1]]
        if laid is None:
            return found
        for first in range(0, len(length), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            profile = laid.profile[laid.covering.longest(address[some], length[some])]
            found[some] = laid.table[profile, length[some]]
        return found

    def cells(self, width: int) -> Iterator[tuple[int, Prefix]]:
        """(class, a prefix) for every class that a prefix of this family is in, once for host
        prefixes and once for others. The prefix of least address of the longest range comes first.
        """
        seen: set[tuple[int, bool]] = set()
        bits = width * 8
        laid = self._laid[width]
        if laid is None:
            yield 0, Prefix(bytes(width + 1))
            yield 0, Prefix(bytes(width) + bytes((bits,)))
            return
        children: dict[int, list[Prefix]] = {}
        for prefix, parent in zip(laid.prefixes, laid.covering.parent.tolist(), strict=True):
            children.setdefault(parent, []).append(prefix)
        everything = Prefix(bytes(width + 1))
        for node, prefix in enumerate([*laid.prefixes, everything]):
            inside = children.get(-1 if node == len(laid.prefixes) else node, [])
            for length in range(prefix.length, bits + 1):
                class_ = int(laid.table[laid.profile[node], length])
                if (class_, length == bits) in seen:
                    continue
                if (found := _outside(prefix, length, inside)) is not None:
                    seen.add((class_, length == bits))
                    yield class_, found

    def _lay_out(self, sets: tuple[PrefixSet, ...], width: int) -> _Laid | None:
        ranges: dict[Prefix, Own] = {}
        for number, held in enumerate(sets):
            for item in held.ranges:
                if len(item.prefix) == width + 1:
                    own = ranges.setdefault(item.prefix, [])
                    own.append((number, max(item.low, item.prefix.length), item.high))
        if not ranges:
            return None
        prefixes = sorted(ranges)
        covering = Covering(width, prefixes)
        # Profile 0: no set matches. What lies in a range's prefix is matched by the sets that match
        # around it and by those of its own ranges, as its length allows.
        patterns: list[list[int]] = [[0] * (width * 8 + 1)]
        known: dict[tuple[int, tuple[tuple[int, int, int], ...]], int] = {}
        profile: list[int] = []
        for prefix, parent in zip(prefixes, covering.parent.tolist(), strict=True):
            around = 0 if parent < 0 else profile[parent]
            key = (around, tuple(ranges[prefix]))
            found = known.get(key)
            if found is None:
                found = known[key] = len(patterns)
                patterns.append(_with(patterns[around], ranges[prefix]))
            profile.append(found)
        table = np.array([[self._number(p) for p in pattern] for pattern in patterns], np.uint32)
        return _Laid(prefixes, covering, np.array([*profile, 0], np.int64), table)

    def _number(self, matched: int) -> int:
        return self._numbers.setdefault(matched, len(self._numbers))


def _outside(prefix: Prefix, length: int, inside: Sequence[Prefix]) -> Prefix | None:
    """The first prefix of a length that lies in one prefix and in none of those ``inside`` it."""
    drop = (len(prefix) - 1) * 8 - length
    at, last = prefix.first >> drop, prefix.last >> drop
    for held in inside:  # in the order of their addresses; none overlaps another
        if held.length > length:
            continue
        if held.first >> drop > at:
            break
        at = max(at, (held.last >> drop) + 1)
    if at > last:
        return None
    return Prefix((at << drop).to_bytes(len(prefix) - 1, "big") + bytes((length,)))


def _with(pattern: list[int], ranges: Own) -> list[int]:
    """The sets that match, by length, when these ranges are added."""
    found = list(pattern)
    for number, low, high in ranges:
        for length in range(low, high + 1):
            found[length] |= 1 << number
    return found
