"""Sets of policy files. In: the lists of all files. Out: compiled sets, or problems with positions.

A set may include sets of its kind ({set: NAME}), from whichever file; they are joined here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.at import U32, At
from ccn_bgp.policy.communities import KINDS, WELL_KNOWN, CommunitySet, Kind, Member
from ccn_bgp.policy.regex import Regex
from ccn_bgp.policy.rules import AnySet, UndefinedSet
from ccn_bgp.policy.sets import (
    AddressSet,
    AsPathMember,
    AsPathSet,
    NameSet,
    NeighborSet,
    PrefixRange,
    PrefixSet,
)

MAX_NESTED = 50
MAX_MEMBERS = 2_000_000
"""Of all sets together, included ones counted where they are included."""
MAX_REGEXES = 2_000
_NAMES = re.compile(r"[A-Za-z0-9_.*-]{1,253}\Z")
_WILD = {
    "community": re.compile(r"[0-9*]{1,5}:[0-9*]{1,5}\Z"),
    "large-community": re.compile(r"[0-9*]{1,10}:[0-9*]{1,10}:[0-9*]{1,10}\Z"),
    "extended-community": re.compile(r"(rt|soo):[0-9.*]+:[0-9*]+\Z|[0-9a-f*]{1,16}\Z"),
    "route-target": re.compile(r"[0-9.*]+:[0-9*]+\Z"),
}
Key = tuple[str, str]


def prefix_range(at: At, item: Any) -> list[PrefixRange]:
    """One entry of a prefix set: ``PREFIX`` or ``{prefix, ge, le}``."""
    entry = {"prefix": item} if isinstance(item, str) else item
    if not isinstance(entry, dict):
        at.say("a prefix set lists prefixes or {prefix, ge, le}")
        return []
    at.known(entry, ("prefix", "ge", "le"))
    text = entry.get("prefix")
    try:
        if not isinstance(text, str):
            raise ValueError("the key 'prefix' is missing or is no text")
        prefix = Prefix.parse(text)
    except ValueError as error:
        (at / "prefix").say(str(error))
        return []
    bits = (len(prefix) - 1) * 8
    low = at.number(entry, "ge", prefix.length, bits)
    high = at.number(entry, "le", prefix.length, bits)
    if low is not None and high is not None and low > high:
        (at / "ge").say(f"ge {low} is over le {high}: nothing can match")
    if high is None:
        high = prefix.length if low is None else bits
    return [PrefixRange(prefix, prefix.length if low is None else low, high)]


def member(at: At, item: Any, kind: Kind) -> list[Member]:
    """One entry of a set of communities, or of what is removed: a literal, a text with ``*``, or
    {regex}."""
    if isinstance(item, dict):
        regex = _regex(at, item, f"a {kind.word} is {kind.form}, {{regex}} or {{set}}")
        return [] if regex is None else [Member(kind, regex.text, regex=regex)]
    if isinstance(item, str) and "*" in item:
        if _WILD[kind.word].match(item):
            return [Member(kind, item)]
        at.say(f"'{item}' is not a {kind.word} with *; write it as {kind.form}, * for any part")
        return []
    return [Member(kind, kind.text(v), v) for v in literal(at, item, kind)]


def literal(at: At, item: Any, kind: Kind) -> list[Hashable]:
    """One community as it stands."""
    try:
        if not isinstance(item, str):
            wanted = f"write it as {kind.form}, in quotes"
            raise ValueError(f"{item!r} is not a {kind.word}; {wanted}")
        return [kind.parse(item)]
    except ValueError as error:
        words = nearest(str(item), WELL_KNOWN, "or one of") if kind.word == "community" else ""
        at.say(str(error), words)
        return []


def _regex(at: At, item: dict[str, Any], wanted: str, *, underscore: bool = False) -> Regex | None:
    at.known(item, ("regex",))
    text = item.get("regex")
    if not isinstance(text, str):
        (at / "regex").say(wanted)
        return None
    try:
        return Regex(text, underscore=underscore)
    except ValueError as error:
        (at / "regex").say(str(error))
        return None


def _as_path(at: At, item: Any) -> list[AsPathMember]:
    wanted = "an as-path set lists regexes, {contains: AS}, {origin-as: AS} or {length: {ge, le}}"
    if isinstance(item, int) and not isinstance(item, bool):
        at.say(wanted, f"write {{contains: {item}}} or '_{item}_'")
        return []
    entry = {"regex": item} if isinstance(item, str) else item
    if not isinstance(entry, dict) or len(entry) != 1:
        at.say(wanted)
        return []
    at.known(entry, ("regex", "contains", "origin-as", "length"))
    if "regex" in entry:
        regex = _regex(at, entry, wanted, underscore=True)
        return [] if regex is None else [AsPathMember(regex=regex)]
    if "length" in entry:
        span = (at / "length").span(entry["length"], "length", 0, U32)
        return [] if span is None else [AsPathMember(length=span)]
    contains, origin = at.number(entry, "contains", 1), at.number(entry, "origin-as", 1)
    if contains is None and origin is None:
        return []
    return [AsPathMember(contains=contains, origin=origin)]


def _address(at: At, item: Any) -> list[Prefix]:
    """``192.0.2.1`` or ``192.0.2.0/24``."""
    try:
        if not isinstance(item, str):
            raise ValueError(f"{item!r} is not an address or prefix")
        return [Prefix.parse(item) if "/" in item else Ip.parse(item).host_prefix]
    except ValueError as error:
        at.say(str(error))
        return []


def _name(at: At, item: Any) -> list[str]:
    if isinstance(item, str) and _NAMES.match(item):
        return [item]
    at.say(f"{item!r} is not a name", "a name, or * for any characters in it")
    return []


def _neighbor(at: At, item: Any) -> list[tuple[str, Any]]:
    """(kind, value): a session's name, an address, or {asn}."""
    if isinstance(item, dict):
        at.known(item, ("asn",))
        found = at.number(item, "asn", 1)
        return [] if found is None else [("asn", found)]
    if isinstance(item, str) and ("/" in item or ":" in item or re.fullmatch(r"[0-9.]+", item)):
        return [("prefix", p) for p in _address(at, item)]
    return [("name", n) for n in _name(at, item)]


def _neighbors(name: str, where: str, members: Iterable[tuple[str, Any]]) -> NeighborSet:
    held: dict[str, list[Any]] = {"name": [], "prefix": [], "asn": []}
    for kind, value in members:
        held[kind].append(value)
    return NeighborSet(name, where, tuple(held["name"]), tuple(held["prefix"]), tuple(held["asn"]))


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of set: what reads an item, and what makes the set of all members."""

    item: Callable[[At, Any], list[Any]]
    make: Callable[[str, str, tuple[Any, ...]], AnySet]


def _communities(word: str) -> Section:
    kind = KINDS[word]
    return Section(
        lambda at, item: member(at, item, kind),
        lambda name, where, members: CommunitySet(name, where, kind, members),
    )


SECTIONS: dict[str, Section] = {
    "prefix-sets": Section(prefix_range, PrefixSet),
    "neighbor-sets": Section(_neighbor, _neighbors),
    **{f"{word}-sets": _communities(word) for word in KINDS},
    "as-path-sets": Section(_as_path, AsPathSet),
    "next-hop-sets": Section(_address, AddressSet),
    **{f"{word}-sets": Section(_name, NameSet) for word in ("ccn", "vpc", "idc", "region")},
}


def kind_name(section: str) -> str:
    """``prefix-sets`` → ``prefix set``."""
    return f"{section.removesuffix('-sets')} set"


class Sets:
    """The sets of all files: ``add`` them all, then ask."""

    def __init__(self) -> None:
        self._raw: dict[Key, tuple[At, list[Any]]] = {}
        self._own: dict[Key, tuple[list[Any], list[tuple[str, At]]]] = {}
        self._members: dict[Key, tuple[Any, ...]] = {}
        self._made: dict[Key, AnySet] = {}
        self._count = 0
        self._regexes = 0
        self.undefined: list[UndefinedSet] = []
        self.used: set[Key] = set()
        self.patterns: dict[Key, dict[Any, str]] = {}
        """Where the patterns stand that a set has of its own."""

    def add(self, section: str, name: str, at: At, items: list[Any]) -> None:
        """One set as it stands in a file."""
        self._raw[section, name] = (at, items)

    def all(self) -> dict[Key, AnySet]:
        """Every set there is; what is wrong with it has been noted."""
        return {key: self._set(*key) for key in self._raw}

    def get(self, section: str, name: str, by: tuple[str, ...], at: At) -> AnySet | None:
        """A set that somebody asks for; None: it is not defined (then noted)."""
        if (section, name) in self._raw:
            self.used.add((section, name))
            return self._set(section, name)
        known = [n for s, n in self._raw if s == section]
        hint = nearest(name, known, f"{kind_name(section)}s")
        hint = hint or f"no {kind_name(section)} is defined"
        self.undefined.append(UndefinedSet(kind_name(section), name, by, at.where, hint))
        return None

    def _set(self, section: str, name: str) -> AnySet:
        key = section, name
        if key not in self._made:
            at, _ = self._raw[key]
            members = self._joined(key, ())
            self._made[key] = SECTIONS[section].make(name, at.where, members)
        return self._made[key]

    def _joined(self, key: Key, above: tuple[Key, ...]) -> tuple[Any, ...]:
        """The members of a set and of all that it includes, each once."""
        if key in self._members:
            return self._members[key]
        members, included = self._read(key)
        found = dict.fromkeys(members)
        section, name = key
        for other, at in included:
            circle = (*above, key)
            if (section, other) in circle:
                words = " → ".join(n for _, n in (*circle, (section, other)))
                at.say(f"{kind_name(section)} {name} includes itself: {words}")
            elif len(circle) > MAX_NESTED:
                at.say(f"{kind_name(section)}s are nested deeper than {MAX_NESTED} levels")
            elif self._count > MAX_MEMBERS:
                at.say(f"all sets together hold more than {MAX_MEMBERS} members")
                break
            elif (section, other) not in self._raw:
                self.get(section, other, (f"{kind_name(section)} {name}",), at)
            else:
                self.used.add((section, other))
                found.update(dict.fromkeys(self._joined((section, other), circle)))
        self._count += len(found)
        joined = self._members[key] = tuple(found)
        return joined

    def _read(self, key: Key) -> tuple[list[Any], list[tuple[str, At]]]:
        """(own members, included sets); read once, so that a problem is noted once."""
        if key in self._own:
            return self._own[key]
        at, items = self._raw[key]
        reader = SECTIONS[key[0]].item
        members: list[Any] = []
        included: list[tuple[str, At]] = []
        for index, item in enumerate(items):
            here = at / index
            if isinstance(item, dict) and "set" in item:
                here.known(item, ("set",))
                if isinstance(item["set"], str):
                    included.append((item["set"], here / "set"))
                else:
                    (here / "set").say(f"set: {item['set']!r} is not a name")
                continue
            if self._regexes > MAX_REGEXES:
                here.say(f"more than {MAX_REGEXES} regexes are in use")
                break
            found = reader(here, item)
            for pattern in found:
                if isinstance(pattern, (AsPathMember, Member)) and pattern.is_pattern:
                    self._regexes += pattern.regex is not None
                    self.patterns.setdefault(key, {}).setdefault(pattern, here.where)
            members += found
        self._own[key] = members, included
        return members, included
