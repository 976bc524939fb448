"""What ``set:`` does. In: attributes. Out: the changed ones, equal sets staying one object.

The order inside of one ``set:`` is that of the fields of Change, whatever the order in the file;
of communities: replace, remove, add.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ccn_bgp.model.bgp import Asn, Ip, RouteTarget
from ccn_bgp.model.path import Origin, PathAttributes, Segment, SegmentType, changed
from ccn_bgp.policy.communities import CommunitySet, Kind, texts
from ccn_bgp.policy.flight import NOWHERE, Context

_CACHE_BOUND = 4096
_TOP = 2**32 - 1
LONGEST_SEGMENT = 255


@dataclass(frozen=True, slots=True)
class Med:
    """A MED: a number, or what is added to the one that the route has (unset counts as 0)."""

    value: int
    relative: bool = False

    def of(self, before: int | None) -> int:
        """The new MED; it stays in 32 bits."""
        if not self.relative:
            return self.value
        return min(max((before or 0) + self.value, 0), _TOP)


@dataclass(frozen=True, slots=True)
class Prepend:
    """``count`` times ``asn`` before the AS path; 0 is our own AS."""

    count: int
    asn: int = 0


@dataclass(frozen=True, slots=True)
class CommunityChange:
    """What becomes of the communities of one kind. ``replace`` None: they stay."""

    kind: Kind
    replace: tuple[Hashable, ...] | None = None
    remove: CommunitySet | None = None
    add: tuple[Hashable, ...] = ()

    def of(self, values: tuple[Any, ...], context: Context) -> tuple[Any, ...]:
        """The new ones: those that stay in their order; if any is new, all sorted (extended ones:
        the new ones sorted behind)."""
        kept = values if self.replace is None else ()
        if self.remove is not None:
            kept = tuple(v for v in kept if not self.remove.holds(v))
        wanted = {*(self.replace or ()), *self.add}
        allowed = [v for v in wanted if v not in kept and not self.forbidden(v, context, values)]
        if not allowed:
            return kept
        if self.kind.word in ("extended-community", "route-target"):
            return (*kept, *sorted(allowed))  # type: ignore[type-var]
        return tuple(sorted({*kept, *allowed}))

    def forbidden(self, value: Any, context: Context, values: tuple[Any, ...]) -> bool:
        """Whether it is a route target that the CCN may not export; ``values``: what the route
        has."""
        if not isinstance(value, bytes) or not RouteTarget.is_target(value):
            return False
        if context.narrows and value not in values:
            return True
        return context.exportable is not None and RouteTarget(value) not in context.exportable


@dataclass(frozen=True)
class Change:
    """What a statement sets. None leaves an attribute alone."""

    origin: Origin | None = None
    next_hop: Ip | None = None
    local_pref: int | None = None
    med: Med | None = None
    tag: int | None = None
    preference: int | None = None
    prepend: tuple[Prepend, ...] = ()
    communities: tuple[CommunityChange, ...] = ()
    # Paths of one UPDATE share one attribute object, and so must the changed ones: the cache is by
    # identity (hashing all fields costs more than the change) and keeps its keys alive.
    _cache: dict[tuple[int, int], tuple[PathAttributes, Context, PathAttributes]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def apply(self, attributes: PathAttributes, context: Context = NOWHERE) -> PathAttributes:
        """The changed attributes; the same object if nothing changes."""
        where = context if self.looks_around else NOWHERE
        key = (id(attributes), id(where))
        if (held := self._cache.get(key)) is not None:
            return held[2]
        made = self._changed(attributes, where)
        if len(self._cache) >= _CACHE_BOUND:
            self._cache.clear()
        self._cache[key] = (attributes, where, made)
        return made

    @cached_property
    def targets(self) -> frozenset[RouteTarget]:
        """The route targets that it names to be set."""
        return frozenset(
            RouteTarget(value)
            for change in self.communities
            for value in (*(change.replace or ()), *change.add)
            if isinstance(value, bytes) and RouteTarget.is_target(value)
        )

    @property
    def looks_around(self) -> bool:
        """Whether what it does depends on the Context."""
        return bool(self.prepend or self.communities) and (
            any(not p.asn for p in self.prepend)
            or any(c.kind.word in ("extended-community", "route-target") for c in self.communities)
        )

    def _changed(self, attributes: PathAttributes, context: Context) -> PathAttributes:
        fields = {
            name: value
            for name, value in self._wanted(attributes, context)
            if value != getattr(attributes, name)
        }
        return changed(attributes, **fields) if fields else attributes

    def _wanted(self, attributes: PathAttributes, context: Context) -> Iterator[tuple[str, Any]]:
        """(field of PathAttributes, its new value)."""
        for name in ("origin", "next_hop", "local_pref", "tag", "preference"):
            if (value := getattr(self, name)) is not None:
                yield name, value
        if self.med is not None:
            yield "med", self.med.of(attributes.med)
        if self.prepend:
            yield "as_path", prepended(attributes.as_path, self.prepend, context.own_asn)
        extended = attributes.extended_communities
        for change in self.communities:
            word = change.kind.word
            if word == "community":
                yield "communities", change.of(attributes.communities, context)
            elif word == "large-community":
                yield "large_communities", change.of(attributes.large_communities, context)
            elif word == "extended-community":
                extended = change.of(extended, context)
            else:
                targets = tuple(c for c in extended if RouteTarget.is_target(c))
                others = tuple(c for c in extended if not RouteTarget.is_target(c))
                made = change.of(targets, context)
                extended = extended if made == targets else (*others, *made)
        if extended is not attributes.extended_communities:
            yield "extended_communities", extended

    def notes(self, before: PathAttributes, context: Context) -> tuple[str, ...]:
        """What it changes of these attributes, for a trace: ``local-pref unset → 200``."""
        after = self.apply(before, context)
        found = [
            f"{word} {_text(getattr(before, name))} → {_text(getattr(after, name))}"
            for word, name in _FIELDS
            if getattr(before, name) != getattr(after, name)
        ]
        for change in self.communities:
            was, now = change.kind.of(before), change.kind.of(after)
            if was != now:
                kind = change.kind
                found.append(f"{kind.word} {texts(kind, was)} → {texts(kind, now)}")
            for value in (*(change.replace or ()), *change.add):
                if change.forbidden(value, context, was):
                    why = f"CCN {context.ccn} may not export it"
                    if context.narrows:
                        why = "the route has not been exported with it"
                    found.append(f"{change.kind.text(value)} not added: {why}")
        if any(not p.asn for p in self.prepend) and not context.own_asn:
            found.append("own AS not prepended: it is not known here")
        return tuple(found)


_FIELDS = (
    ("origin", "origin"),
    ("next-hop", "next_hop"),
    ("local-pref", "local_pref"),
    ("med", "med"),
    ("tag", "tag"),
    ("preference", "preference"),
    ("as-path", "as_path_text"),
)


def _text(value: Any) -> str:
    if isinstance(value, Origin):
        return value.name.lower()
    return "unset" if value is None else str(value) or "empty"


def prepended(
    as_path: tuple[Segment, ...], prepends: tuple[Prepend, ...], own: int
) -> tuple[Segment, ...]:
    """RFC 4271 §5.1.2: into the first sequence, or a new one where there is none or it is full."""
    for item in prepends:
        asn = item.asn or own
        for _ in range(item.count if asn else 0):
            first = as_path[0] if as_path else None
            if (
                first is not None
                and first.kind is SegmentType.AS_SEQUENCE
                and len(first.asns) < LONGEST_SEGMENT
            ):
                joined = Segment(SegmentType.AS_SEQUENCE, (Asn(asn), *first.asns))
                as_path = (joined, *as_path[1:])
            else:
                as_path = (Segment(SegmentType.AS_SEQUENCE, (Asn(asn),)), *as_path)
    return as_path
