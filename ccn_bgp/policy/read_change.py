"""``set:`` of a statement. In: the mapping as it stands. Out: a Change, or problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.path import HIGHEST_PREFERENCE, Origin
from ccn_bgp.nearest import nearest
from ccn_bgp.policy.at import U32, At
from ccn_bgp.policy.changes import Change, CommunityChange, Med, Prepend
from ccn_bgp.policy.communities import KINDS, CommunitySet, Kind
from ccn_bgp.policy.read_sets import Sets, literal, member

MAX_PREPEND = 32
NUMBERS = {"local-pref": U32, "tag": U32, "preference": HIGHEST_PREFERENCE}
KEYS = ("origin", "next-hop", "local-pref", "med", "tag", "preference", "as-path-prepend", *KINDS)
_RELATIVE = re.compile(r"[+-][0-9]{1,10}\Z")


def read_change(at: At, entry: Any, sets: Sets, by: tuple[str, ...]) -> Change | None:
    """What ``set:`` changes."""
    if entry is None:
        return None
    wanted = "set must be a mapping: {local-pref, med, community, …}"
    entry = at.mapping(entry, wanted, KEYS)
    if not entry:
        return None
    numbers = {key: at.number(entry, key, 0, top) for key, top in NUMBERS.items()}
    return Change(
        origin=_origin(at / "origin", entry["origin"]) if "origin" in entry else None,
        next_hop=_next_hop(at / "next-hop", entry["next-hop"]) if "next-hop" in entry else None,
        local_pref=numbers["local-pref"],
        med=_med(at / "med", entry["med"]) if "med" in entry else None,
        tag=numbers["tag"],
        preference=numbers["preference"],
        prepend=tuple(
            prepend
            for item, place in (at / "as-path-prepend").items(entry.get("as-path-prepend", []))
            for prepend in _prepend(place, item)
        ),
        communities=tuple(
            change
            for word, kind in KINDS.items()
            if word in entry
            for change in _communities(at / word, entry[word], kind, sets, by)
        ),
    )


def _origin(at: At, value: Any) -> Origin | None:
    words = {o.name.lower(): o for o in Origin}
    if not isinstance(value, str) or value not in words:
        at.say(f"origin: {value!r} is not known", nearest(str(value), words, "one of"))
        return None
    return words[value]


def _next_hop(at: At, value: Any) -> Ip | None:
    try:
        return Ip.parse(value if isinstance(value, str) else str(value))
    except ValueError as error:
        at.say(f"next-hop: {error}")
        return None


def _med(at: At, value: Any) -> Med | None:
    """``10``; ``+10`` and ``-5`` are added to what the route has."""
    if isinstance(value, int) and not isinstance(value, bool) and -U32 <= value < 0:
        return Med(value, relative=True)
    if isinstance(value, str) and _RELATIVE.match(value) and abs(int(value)) <= U32:
        return Med(int(value), relative=True)
    found = at.whole(value, "med")
    return None if found is None else Med(found)


def _prepend(at: At, value: Any) -> list[Prepend]:
    """``3`` (our own AS) or ``{count, asn}``."""
    if not isinstance(value, dict):
        count = at.whole(value, "as-path-prepend", 1, MAX_PREPEND)
        return [] if count is None else [Prepend(count)]
    at.known(value, ("count", "asn"))
    count = at.number(value, "count", 1, MAX_PREPEND) if "count" in value else 1
    asn = at.number(value, "asn", 1)
    if "asn" not in value and "count" not in value:
        at.say("as-path-prepend is a number, or {count, asn}")
    return [] if count is None else [Prepend(count, asn or 0)]


def _communities(
    at: At, value: Any, kind: Kind, sets: Sets, by: tuple[str, ...]
) -> Iterator[CommunityChange]:
    form = kind.form.split(",")[0]
    wanted = f"{kind.word} must be a mapping: {{add: [{form}]}}, with add, remove, replace"
    entry = at.mapping(value, wanted, ("add", "remove", "replace"))
    if not entry:
        return
    replace = _literals(at / "replace", entry["replace"], kind) if "replace" in entry else None
    removed = tuple(_removed(at / "remove", entry.get("remove", []), kind, sets, by))
    remove = CommunitySet("remove", (at / "remove").where, kind, removed) if removed else None
    yield CommunityChange(kind, replace, remove, _literals(at / "add", entry.get("add", []), kind))


def _literals(at: At, value: Any, kind: Kind) -> tuple[Any, ...]:
    return tuple(v for item, place in at.items(value) for v in literal(place, item, kind))


def _removed(at: At, value: Any, kind: Kind, sets: Sets, by: tuple[str, ...]) -> Iterator[Any]:
    for item, place in at.items(value):
        if not isinstance(item, dict) or "set" not in item:
            yield from member(place, item, kind)
            continue
        place.known(item, ("set",))
        name = item["set"]
        if not isinstance(name, str):
            (place / "set").say(f"set: {name!r} is not a name")
            continue
        found = sets.get(f"{kind.word}-sets", name, by, place / "set")
        if isinstance(found, CommunitySet):
            yield from found.members
