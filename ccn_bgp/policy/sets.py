"""Named sets of a policy file, compiled: prefixes, addresses, neighbors, names, AS paths.

In from read_sets.py, asked by conditions.py. Sets that a set includes are already part of it here.
Communities of all kinds are in communities.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.policy.regex import Regex

REMEMBERED = 4096
"""Answers kept for values that come again."""


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
    """A named set of prefix ranges; ``where`` is its ``file:line:column``.

    Compiled to one dictionary per entry length, so a route costs a look-up per length that occurs,
    however many entries there are.
    """

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

    def holder(self, prefix: Prefix) -> PrefixRange | None:
        """The first range that holds this prefix."""
        for item in self.ranges:
            if item.prefix.covers(prefix) and item.low <= prefix.length <= item.high:
                return item
        return None


@dataclass(frozen=True)
class AddressSet:
    """Addresses by the prefixes that hold them: a next-hop-set."""

    name: str
    where: str
    prefixes: tuple[Prefix, ...]

    @cached_property
    def _held(self) -> PrefixSet:
        ranges = (PrefixRange(p, p.length, (len(p) - 1) * 8) for p in self.prefixes)
        return PrefixSet(self.name, self.where, tuple(ranges))

    def matches(self, address: Ip | None) -> bool:
        """True if one of the prefixes holds it; no address is in no set."""
        return bool(address) and self._held.matches(address.host_prefix)  # type: ignore[union-attr]


@dataclass(frozen=True)
class NameSet:
    """Names, literal or with ``*`` for any run of characters: ccn-, vpc-, idc-, region-sets."""

    name: str
    where: str
    names: tuple[str, ...]

    @cached_property
    def _literal(self) -> frozenset[str]:
        return frozenset(n for n in self.names if "*" not in n)

    @cached_property
    def _wild(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(n.split("*")) for n in self.names if "*" in n)

    def matches(self, name: str) -> bool:
        """True if it is one of them; no name ("") is in no set."""
        if not name:
            return False
        return name in self._literal or any(globbed(parts, name) for parts in self._wild)


@dataclass(frozen=True)
class NeighborSet:
    """Sessions by name (``*`` as in NameSet), by address or by AS."""

    name: str
    where: str
    names: tuple[str, ...]
    prefixes: tuple[Prefix, ...]
    asns: tuple[int, ...]

    @cached_property
    def _parts(self) -> tuple[NameSet, AddressSet, frozenset[int]]:
        names = NameSet(self.name, self.where, self.names)
        return names, AddressSet(self.name, self.where, self.prefixes), frozenset(self.asns)

    def matches(self, name: str, address: Ip | None, asn: int) -> bool:
        """True if the session is one of them by any of the three."""
        names, addresses, asns = self._parts
        return names.matches(name) or addresses.matches(address) or asn in asns


@dataclass(frozen=True, slots=True)
class AsPathMember:
    """One item of an as-path-set; exactly one field is set.

    ``length`` counts as the decision process does (a set is one hop, confederations none).
    """

    regex: Regex | None = None
    contains: int | None = None
    origin: int | None = None
    length: tuple[int, int] | None = None

    @property
    def is_pattern(self) -> bool:
        """Whether it says what a path looks like."""
        return self.regex is not None

    def matches(self, attributes: PathAttributes) -> bool:
        """Whether the AS path of these attributes is meant."""
        if self.regex is not None:
            return self.regex.search(attributes.as_path_text)
        if self.contains is not None:
            return self.contains in attributes.asns
        if self.length is not None:
            return self.length[0] <= attributes.as_path_length <= self.length[1]
        return origin_as(attributes) == self.origin

    def __str__(self) -> str:
        if self.regex is not None:
            return f"regex {self.regex.text}"
        if self.contains is not None:
            return f"contains {self.contains}"
        if self.length is not None:
            return "length " + span(*self.length, 2**32 - 1)
        return f"origin-as {self.origin}"


def origin_as(attributes: PathAttributes) -> int | None:
    """The AS that the route began in: the last of the path; None for a path that is empty or ends
    with a set (RFC 6811 §2 calls that origin NONE)."""
    if not attributes.as_path or attributes.as_path[-1].kind.name.endswith("SET"):
        return None
    return attributes.as_path[-1].asns[-1]


@dataclass(frozen=True)
class AsPathSet:
    """AS paths by regular expression, AS or length."""

    name: str
    where: str
    members: tuple[AsPathMember, ...]

    def matches(self, attributes: PathAttributes) -> bool:
        """True if one member means this path."""
        return self.holder(attributes) is not None

    def holder(self, attributes: PathAttributes) -> AsPathMember | None:
        """The first member that means this path."""
        return next((m for m in self.members if m.matches(attributes)), None)


def globbed(parts: Sequence[str], text: str) -> bool:
    """Whether these parts stand in the text in this order, the first at its beginning and the last
    at its end. In linear time: of every part the first place that is left will do."""
    first, *middle, last = parts
    at, end = len(first), len(text) - len(last)
    if end < at or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def span(low: int, high: int, top: int) -> str:
    """A range of numbers as a text."""
    if low == high:
        return str(low)
    if low == 0:
        return f"at most {high}"
    return f"at least {low}" if high >= top else f"{low}-{high}"
