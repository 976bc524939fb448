"""The conditions of ``match:``. In: a route in flight. Out: whether it holds, and the reason why.

All conditions of a statement must hold. One that asks for something that the route does not have
(no prefix, no MED …) is met by nothing; ``invert`` is the plain opposite of ``any``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.policy.communities import CommunitySet, Option, texts
from ccn_bgp.policy.flight import Flight
from ccn_bgp.policy.sets import AddressSet, AsPathSet, NameSet, NeighborSet, PrefixSet, span

NameKind = Literal["ccn", "vpc", "idc", "region"]
NumberField = Literal["vni", "local-pref", "med", "tag"]
WordField = Literal["family", "route-type", "origin-kind", "origin"]
TOP = 2**32 - 1


class Condition(Protocol):
    """One key of ``match:``."""

    def holds(self, flight: Flight) -> bool:
        """Whether the route meets it."""

    def why(self, flight: Flight) -> str:
        """What the route has that makes it so."""


def _asked(word: str, names: Iterable[str], option: str) -> str:
    return f"{word} {', '.join(names)}" + ("" if option == "any" else f" ({option})")


@dataclass(frozen=True)
class PrefixCondition:
    """``prefix-set``: the prefix is in one of the sets, or (``invert``) in none."""

    sets: tuple[PrefixSet, ...]
    invert: bool = False

    def matches(self, prefix: Prefix | None) -> bool:
        """The same of a prefix alone."""
        if prefix is not None:
            for held in self.sets:
                if held.matches(prefix):
                    return not self.invert
        return self.invert

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        return self.matches(flight.prefix)

    def why(self, flight: Flight) -> str:
        """See Condition."""
        if flight.prefix is None:
            return "the route has no prefix"
        for held in self.sets:
            if held.matches(flight.prefix):
                return f"{flight.prefix} is in {held.name} ({held.holder(flight.prefix)})"
        return f"{flight.prefix} is in none of them"

    def __str__(self) -> str:
        option = "invert" if self.invert else "any"
        return _asked("prefix-set", (s.name for s in self.sets), option)


@dataclass(frozen=True)
class CommunityCondition:
    """``community-set`` and its kin. ``all`` asks for every member of every set."""

    sets: tuple[CommunitySet, ...]
    option: Option = "any"

    @cached_property
    def union(self) -> CommunitySet:
        """All sets as one."""
        if len(self.sets) == 1:
            return self.sets[0]
        members = tuple(dict.fromkeys(m for held in self.sets for m in held.members))
        name = ", ".join(held.name for held in self.sets)
        return CommunitySet(name, self.sets[0].where, self.sets[0].kind, members)

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        if not self.sets:
            return self.option == "invert"
        union = self.union
        values = union.kind.of(flight.attributes)
        if not values:
            return self.option == "invert"
        return union.matches(values, self.option)

    def why(self, flight: Flight) -> str:
        """See Condition."""
        if not self.sets:
            return "the set is not defined"
        union = self.union
        kind, values = union.kind, union.kind.of(flight.attributes)
        if not values:
            return f"the route has no {kind.word}"
        if not union.members:
            return "the set is empty"
        if self.option == "all":
            missing = union.missing(values)
            return f"it has {texts(kind, values)}" + (f" and not {missing}" if missing else "")
        for value in values:
            if held := union.holder(value):
                return f"it has {kind.text(value)} ({held})"
        return f"it has {texts(kind, values)}"

    def __str__(self) -> str:
        word = self.sets[0].kind.word if self.sets else "community"
        return _asked(f"{word}-set", (s.name for s in self.sets), self.option)


@dataclass(frozen=True)
class AsPathCondition:
    """``as-path-set``."""

    sets: tuple[AsPathSet, ...]
    option: Option = "any"

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        attributes = flight.attributes
        if self.option == "all":
            members = [m for held in self.sets for m in held.members]
            return bool(members) and all(m.matches(attributes) for m in members)
        return any(held.matches(attributes) for held in self.sets) is (self.option == "any")

    def why(self, flight: Flight) -> str:
        """See Condition."""
        attributes = flight.attributes
        said = f"the AS path is {attributes.as_path_text or 'empty'}"
        members = [m for held in self.sets for m in held.members]
        if self.option == "all" and members:
            failed = next((m for m in members if not m.matches(attributes)), None)
            return said if failed is None else f"{said}, not {failed}"
        held = next((m for m in members if m.matches(attributes)), None)
        return said if held is None else f"{said} ({held})"

    def __str__(self) -> str:
        return _asked("as-path-set", (s.name for s in self.sets), self.option)


@dataclass(frozen=True)
class NextHopCondition:
    """``next-hop-set``."""

    sets: tuple[AddressSet, ...]
    invert: bool = False

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        found = any(held.matches(flight.attributes.next_hop) for held in self.sets)
        return found is not self.invert

    def why(self, flight: Flight) -> str:
        """See Condition."""
        return f"the next hop is {flight.attributes.next_hop or 'unset'}"

    def __str__(self) -> str:
        option = "invert" if self.invert else "any"
        return _asked("next-hop-set", (s.name for s in self.sets), option)


@dataclass(frozen=True)
class NeighborCondition:
    """``neighbor-set``: the session at which the policy applies."""

    sets: tuple[NeighborSet, ...]
    invert: bool = False

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        context = flight.context
        said = (context.neighbor, context.address, context.asn)
        return any(held.matches(*said) for held in self.sets) is not self.invert

    def why(self, flight: Flight) -> str:
        """See Condition."""
        context = flight.context
        return f"the neighbor is {context.neighbor or context.address or 'unset'}"

    def __str__(self) -> str:
        option = "invert" if self.invert else "any"
        return _asked("neighbor-set", (s.name for s in self.sets), option)


@dataclass(frozen=True)
class NameCondition:
    """``ccn-set``, ``vpc-set``, ``idc-set``, ``region-set``: what the route is from."""

    kind: NameKind
    sets: tuple[NameSet, ...]
    invert: bool = False

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        name: str = getattr(flight.context, self.kind)
        return any(held.matches(name) for held in self.sets) is not self.invert

    def why(self, flight: Flight) -> str:
        """See Condition."""
        return f"the {self.kind} is {getattr(flight.context, self.kind) or 'unset'}"

    def __str__(self) -> str:
        option = "invert" if self.invert else "any"
        return _asked(f"{self.kind}-set", (s.name for s in self.sets), option)


@dataclass(frozen=True)
class NumberCondition:
    """``vni``, ``local-pref``, ``med``, ``tag``: a number in one of the ranges, or ``unset``."""

    field: NumberField
    ranges: tuple[tuple[int, int], ...]
    unset: bool = False

    def matches(self, value: int | None) -> bool:
        """The same of a number alone."""
        if value is None:
            return self.unset
        return any(low <= value <= high for low, high in self.ranges)

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        return self.matches(number_of(self.field, flight))

    def why(self, flight: Flight) -> str:
        """See Condition."""
        value = number_of(self.field, flight)
        return f"{self.field} is {'unset' if value is None else value}"

    def __str__(self) -> str:
        words = [span(low, high, TOP) for low, high in self.ranges] + ["unset"] * self.unset
        return f"{self.field} {' or '.join(words)}"


def number_of(field: NumberField, flight: Flight) -> int | None:
    """The number that a route in flight has; None if it has none."""
    if field == "vni":
        return flight.vni
    attributes = flight.attributes
    if field == "local-pref":
        return attributes.local_pref
    return attributes.med if field == "med" else attributes.tag


@dataclass(frozen=True)
class WordCondition:
    """``family``, ``route-type``, ``origin-kind``, ``origin``: one of the words."""

    field: WordField
    words: frozenset[str]

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        return word_of(self.field, flight) in self.words

    def why(self, flight: Flight) -> str:
        """See Condition."""
        return f"{self.field} is {word_of(self.field, flight) or 'unset'}"

    def __str__(self) -> str:
        return f"{self.field} {' or '.join(sorted(self.words))}"


def word_of(field: WordField, flight: Flight) -> str:
    """The word that a route in flight has; "" if it has none."""
    if field == "family":
        return flight.nlri.family.text
    if field == "route-type":
        return str(flight.route_type or "")
    if field == "origin":
        return flight.attributes.origin.name.lower()
    return flight.context.origin_kind or ""


@dataclass(frozen=True)
class GatewayIpCondition:
    """``gateway-ip``: whether a type 5 names a gateway IP."""

    wanted: bool

    def holds(self, flight: Flight) -> bool:
        """See Condition."""
        return flight.has_gateway_ip is self.wanted

    def why(self, flight: Flight) -> str:
        """See Condition."""
        return "it has a gateway IP" if flight.has_gateway_ip else "it has no gateway IP"

    def __str__(self) -> str:
        return f"gateway-ip {str(self.wanted).lower()}"
