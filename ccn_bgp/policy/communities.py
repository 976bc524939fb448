"""Communities of all kinds as policies see them: texts, patterns and sets of them.

In: what stands in a policy file, and the values that attributes hold. Out: whether they match.
RFC 1997, 8092, 4360, 4364 §4.3.1 (route targets are extended communities with a list of their own).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.policy.regex import Regex
from ccn_bgp.policy.sets import REMEMBERED

WELL_KNOWN = {
    "graceful-shutdown": 0xFFFF0000,  # RFC 8326
    "accept-own": 0xFFFF0001,  # RFC 7611
    "blackhole": 0xFFFF029A,  # RFC 7999
    "no-export": 0xFFFFFF01,  # RFC 1997
    "no-advertise": 0xFFFFFF02,
    "no-export-subconfed": 0xFFFFFF03,
    "no-peer": 0xFFFFFF04,  # RFC 3765
}
Option = Literal["any", "all", "invert"]
_ROUTE_TARGET, _ROUTE_ORIGIN = "rt:", "soo:"
_COMMUNITY = re.compile(r"([0-9]{1,5}):([0-9]{1,5})\Z")
_LARGE = re.compile(r"([0-9]{1,10}):([0-9]{1,10}):([0-9]{1,10})\Z")
_HEX = re.compile(r"[0-9a-fA-F]{16}\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of community: how it is written, and where attributes hold it."""

    word: str
    form: str
    parse: Callable[[str], Hashable]
    text: Callable[[Any], str]
    of: Callable[[PathAttributes], tuple[Any, ...]]


def _community(text: str) -> int:
    if text in WELL_KNOWN:
        return WELL_KNOWN[text]
    found = _COMMUNITY.match(text)
    high, low = (int(found[1]), int(found[2])) if found else (1 << 16, 0)
    if high > 0xFFFF or low > 0xFFFF:
        raise ValueError(f"'{text}' is not a community; write it as ASN:NUMBER")
    return high << 16 | low


def _large(text: str) -> tuple[int, int, int]:
    found = _LARGE.match(text)
    values = tuple(int(word) for word in found.groups()) if found else (1 << 32,)
    if max(values) >= 1 << 32:
        raise ValueError(f"'{text}' is not a large community; write it as ASN:NUMBER:NUMBER")
    return values  # type: ignore[return-value]


def _extended(text: str) -> bytes:
    if _HEX.match(text):
        return bytes.fromhex(text)
    word, _, rest = text.partition(":")
    if word in ("rt", "soo"):
        try:
            target = RouteTarget.parse(rest)
        except ValueError as error:
            raise ValueError(f"'{text}': {error}") from None
        return bytes(target) if word == "rt" else target[:1] + b"\x03" + target[2:]
    raise ValueError(
        f"'{text}' is not an extended community; write it as rt:ASN:NUMBER, soo:ASN:NUMBER or 16"
        " hexadecimal digits"
    )


def extended_text(value: bytes) -> str:
    """As policies write it: ``rt:64600:100``, ``soo:64600:1``, or 16 hexadecimal digits."""
    if value[0] in (0, 1, 2) and value[1] == 0x02:
        return _ROUTE_TARGET + str(RouteTarget(value))
    if value[0] in (0, 1, 2) and value[1] == 0x03:
        return _ROUTE_ORIGIN + str(RouteTarget(value[:1] + b"\x02" + value[2:]))
    return value.hex()


def _targets(attributes: PathAttributes) -> tuple[bytes, ...]:
    return tuple(c for c in attributes.extended_communities if RouteTarget.is_target(c))


def community_text(value: int) -> str:
    """``65000:1``; well-known ones, too, are two numbers."""
    return f"{value >> 16}:{value & 0xFFFF}"


KINDS = {
    kind.word: kind
    for kind in (
        Kind("community", "ASN:NUMBER", _community, community_text, lambda a: a.communities),
        Kind(
            "large-community",
            "ASN:NUMBER:NUMBER",
            _large,
            lambda value: ":".join(map(str, value)),
            lambda a: a.large_communities,
        ),
        Kind(
            "extended-community",
            "rt:ASN:NUMBER, soo:ASN:NUMBER or 16 hexadecimal digits",
            _extended,
            extended_text,
            lambda a: a.extended_communities,
        ),
        Kind(
            "route-target",
            "ASN:NUMBER",
            lambda text: bytes(RouteTarget.parse(text)),
            lambda value: str(RouteTarget(value)),
            _targets,
        ),
    )
}


@dataclass(frozen=True)
class Member:
    """One item of a set: a literal, a text with ``*`` for any part, or a regex on the text."""

    kind: Kind
    text: str
    value: Hashable = None
    regex: Regex | None = None
    _known: dict[Hashable, bool] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def is_pattern(self) -> bool:
        """Whether it may mean more than one community."""
        return self.value is None

    @cached_property
    def _wild(self) -> re.Pattern[str]:
        parts = re.sub(r"[*]+", "*", self.text).split("*")
        return re.compile("[^:]*".join(re.escape(part) for part in parts))

    def matches(self, value: Hashable) -> bool:
        """Whether this one community is meant."""
        if self.value is not None:
            return value == self.value
        found = self._known.get(value)
        if found is None:
            text = self.kind.text(value)
            if self.regex is not None:
                found = self.regex.search(text)
            else:
                found = self._wild.fullmatch(text) is not None
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[value] = found
        return found

    def __str__(self) -> str:
        return f"regex {self.text}" if self.regex is not None else self.text


@dataclass(frozen=True)
class CommunitySet:
    """A set of communities of one kind."""

    name: str
    where: str
    kind: Kind
    members: tuple[Member, ...]

    @cached_property
    def _parts(self) -> tuple[frozenset[Hashable], tuple[Member, ...]]:
        literal = frozenset(m.value for m in self.members if m.value is not None)
        return literal, tuple(m for m in self.members if m.value is None)

    def holds(self, value: Hashable) -> bool:
        """Whether one member means this community."""
        literal, others = self._parts
        return value in literal or any(m.matches(value) for m in others)

    def holder(self, value: Hashable) -> Member | None:
        """The first member that means this community."""
        return next((m for m in self.members if m.matches(value)), None)

    def matches(self, values: tuple[Any, ...], option: Option) -> bool:
        """Of the communities of a route: ``any`` is in the set; ``all`` members of the set are
        met; ``invert``: none is in the set."""
        if option == "all":
            literal, others = self._parts
            return bool(self.members) and (
                literal.issubset(values) and all(any(m.matches(v) for v in values) for m in others)
            )
        literal, others = self._parts
        found = not literal.isdisjoint(values)
        if others and not found:
            found = any(m.matches(v) for m in others for v in values)
        return found is (option == "any")

    def missing(self, values: tuple[Any, ...]) -> Member | None:
        """For ``all``: the first member that no community meets."""
        return next((m for m in self.members if not any(m.matches(v) for v in values)), None)


def texts(kind: Kind, values: Iterable[Any]) -> str:
    """Communities as one text."""
    return " ".join(kind.text(v) for v in values) or "none"
