"""``match:`` of a statement. In: the mapping as it stands. Out: conditions, or problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ccn_bgp.model.bgp import Family
from ccn_bgp.model.path import Origin
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.at import U32, At
from ccn_bgp.policy.communities import KINDS, Option
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
from ccn_bgp.policy.flight import ORIGIN_KINDS
from ccn_bgp.policy.read_sets import Sets
from ccn_bgp.policy.rules import AnySet

COMMUNITY_SETS = tuple(f"{word}-set" for word in KINDS)
WITH_ALL = (*COMMUNITY_SETS, "as-path-set")
NAME_SETS = ("ccn-set", "vpc-set", "idc-set", "region-set")
SET_KEYS = (
    "prefix-set",
    "neighbor-set",
    *COMMUNITY_SETS,
    "as-path-set",
    "next-hop-set",
    *NAME_SETS,
)
NUMBERS = {"vni": (1, 2**24 - 1), "local-pref": (0, U32), "med": (0, U32), "tag": (0, U32)}
MAY_BE_UNSET = ("local-pref", "med", "tag", "vni")
WORDS: dict[str, tuple[str, ...]] = {
    "family": tuple(f.text for f in Family),
    "route-type": ("1", "2", "3", "4", "5"),
    "origin-kind": ORIGIN_KINDS,
    "origin": tuple(o.name.lower() for o in Origin),
}
KEYS = (*SET_KEYS, *WORDS, "gateway-ip", *NUMBERS)


def read_match(
    at: At, entry: Any, sets: Sets, by: tuple[str, ...]
) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
    """The conditions in the order of the file, and where each stands; ``by`` names the asker in
    what is said of sets that are not defined."""
    if entry is None:
        return (), ()
    entry = at.mapping(entry, "match must be a mapping: {prefix-set: NAME}", KEYS)
    found = [
        (condition, (at / key).where)
        for key, value in entry.items()
        if key in KEYS
        for condition in _condition(at / key, key, value, sets, by)
    ]
    return tuple(c for c, _ in found), tuple(w for _, w in found)


def _condition(
    at: At, key: str, value: Any, sets: Sets, by: tuple[str, ...]
) -> Iterator[Condition]:
    if key in SET_KEYS:
        yield from _of_sets(at, key, value, sets, by)
    elif key in WORDS:
        words = [w for item, place in at.items(value) for w in _word(place, key, item)]
        yield WordCondition(cast(Any, key), frozenset(words))
    elif key in NUMBERS:
        yield _numbers(at, key, value)
    elif isinstance(value, bool):
        yield GatewayIpCondition(value)
    else:
        at.say(f"{key}: {value!r} is neither true nor false")


def _of_sets(at: At, key: str, value: Any, sets: Sets, by: tuple[str, ...]) -> Iterator[Condition]:
    option: Option = "any"
    names, place = value, at
    if isinstance(value, dict):
        options = ("any", "all", "invert") if key in WITH_ALL else ("any", "invert")
        if len(value) != 1 or not value.keys() <= set(options):
            said = ", ".join(f"{{{o}: NAMES}}" for o in options)
            at.say(f"{key} is a name, a list of names, or one of {said}")
            return
        option, names = next(iter(value.items()))
        place = at / option
    held: list[Any] = []
    asked = place.items(names)
    for name, here in asked:
        if not isinstance(name, str):
            here.say(f"{key}: {name!r} is not a name")
        elif (found := sets.get(f"{key}s", name, by, here)) is not None:
            held.append(found)
    yield _made(key, tuple(held), option, len(held) < len(asked))


def _made(key: str, held: tuple[Any, ...], option: Option, lacking: bool) -> Condition:
    """``lacking``: a set is not defined; then nothing is inverted, so that nothing matches."""
    some: tuple[AnySet, ...] = () if lacking and option != "any" else held
    invert = option == "invert" and not lacking
    option = "any" if lacking else option
    if key == "prefix-set":
        return PrefixCondition(cast(Any, some), invert)
    if key == "neighbor-set":
        return NeighborCondition(cast(Any, some), invert)
    if key == "next-hop-set":
        return NextHopCondition(cast(Any, some), invert)
    if key == "as-path-set":
        return AsPathCondition(cast(Any, some), option)
    if key in NAME_SETS:
        return NameCondition(cast(Any, key.removesuffix("-set")), cast(Any, some), invert)
    return CommunityCondition(cast(Any, some), option)


def _word(at: At, key: str, value: Any) -> list[str]:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text in WORDS[key]:
        return [text]
    at.say(f"{key}: {value!r} is not known", nearest(str(value), WORDS[key], "one of"))
    return []


def _numbers(at: At, key: str, value: Any) -> NumberCondition:
    low, high = NUMBERS[key]
    ranges: list[tuple[int, int]] = []
    unset = False
    for item, place in at.items(value):
        if item == "unset" and key in MAY_BE_UNSET:
            unset = True
        elif (found := place.span(item, key, low, high)) is not None:
            ranges.append(found)
    return NumberCondition(cast(Any, key), tuple(ranges), unset)
