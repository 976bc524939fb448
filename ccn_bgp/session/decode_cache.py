"""What one session has said of attributes before: equal octets give the same object.

In: the attributes of an UPDATE without the multiprotocol ones, and next hops. Out: AttributeSets
and PathAttributes, parsed once. Bounded: when full, everything is forgotten at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.session.attributes import Session
from ccn_bgp.session.decode_attributes import AttributeSet, Value, attributes_of, parse, parse_good

CACHED_OCTETS = 32 << 20
"""Memory that one session's caches may take, estimated; then they start anew."""

NOTHING = AttributeSet(PathAttributes(), frozenset(), ())
"""An UPDATE without attributes."""


class AttributeCache:
    """The attributes of one session. ``generation`` is raised whenever they are forgotten."""

    def __init__(self, session: Session) -> None:
        self.sets: dict[bytes, AttributeSet] = {}
        self.generation = 0
        self._session = session
        self._values: dict[bytes, Value] = {}
        self._seen: dict[tuple[int, ...], frozenset[int]] = {}
        self._shared: dict[tuple[bytes, bytes], PathAttributes] = {}
        self._kept = 0

    def __len__(self) -> int:
        return len(self.sets) + len(self._shared)

    def parsed(self, rest: bytes) -> AttributeSet:
        """What ``split`` left of a blob, parsed."""
        found = self.sets.get(rest)
        if found is None:
            if good := parse_good(rest, self._session, self._values):
                found = self._set(*good)
            else:
                found = parse(rest, self._session)
            self.keep(_cost(rest))
            self.sets[rest] = found
        return found

    def common(self, rest: bytes) -> PathAttributes | None:
        """Attributes of common kinds without a fault, if no multiprotocol ones are among them."""
        found = self.sets.get(rest)
        if found is None:
            good = parse_good(rest, self._session, self._values)
            if good is None:
                return None
            self.keep(_cost(rest))
            found = self.sets[rest] = self._set(*good)
        return None if found.faults else found.base

    def _set(self, attributes: PathAttributes, codes: list[int]) -> AttributeSet:
        """Without a fault; most sets have the same few codes."""
        key = tuple(codes)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = frozenset(codes)
        return AttributeSet(attributes, seen, ())

    def good(self, rest: bytes, next_hop: Ip) -> PathAttributes | None:
        """Attributes with the next hop of MP_REACH_NLRI, if they are of common kinds, without a
        fault, and no multiprotocol ones are among them. Nothing is kept."""
        good = parse_good(rest, self._session, self._values, next_hop)
        return good[0] if good else None

    def shared(self, rest: bytes, next_hop: bytes) -> PathAttributes | None:
        """What ``share`` and ``put`` have kept."""
        return self._shared.get((rest, next_hop))

    def shared_by(self, rests: Iterable[bytes], next_hop: bytes) -> list[PathAttributes | None]:
        """The same of many with one next hop."""
        return list(map(self._shared.get, zip(rests, repeat(next_hop))))

    def put_all(
        self, sets: Iterable[PathAttributes], rests: Sequence[bytes], next_hop: bytes
    ) -> None:
        """``put`` for many with one next hop."""
        self.keep(sum(map(_cost, rests)))
        self._shared.update(zip(zip(rests, repeat(next_hop)), sets, strict=True))

    def put(self, attributes: PathAttributes, rest: bytes, next_hop: bytes) -> None:
        """Keep what ``good`` has made; ``shared`` must have had nothing."""
        self.keep(_cost(rest))
        self._shared[rest, next_hop] = attributes

    def share(self, base: PathAttributes, rest: bytes, next_hop: bytes) -> PathAttributes:
        """``base``, parsed from ``rest``, with the next hop of MP_REACH_NLRI."""
        key = (rest, next_hop)
        found = self._shared.get(key)
        if found is None:
            self.keep(800)
            self._shared[key] = found = attributes_of({"next_hop": Ip(next_hop)}, base)
        return found

    def keep(self, cost: int) -> None:
        """Count octets that are kept because of this session; forget everything at the limit."""
        self._kept += cost
        if self._kept > CACHED_OCTETS:
            self.sets.clear()
            self._shared.clear()
            self._values.clear()
            self._seen.clear()
            self._kept = cost
            self.generation += 1

    def dropped(self, cost: int) -> None:
        """Something that ``keep`` has counted is kept no more."""
        self._kept = max(self._kept - cost, 0)


def _cost(rest: bytes) -> int:
    """Octets that an AttributeSet takes: an AS number or a community of 4 takes 40 in Python."""
    return 800 + 12 * len(rest)
