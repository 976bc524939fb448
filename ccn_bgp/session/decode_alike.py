"""Messages that differ from one that is known in the values of their one route target and of their
communities alone.

In: the octets around the NLRI of such messages, as decode_fields.py cuts them out. Out: their
attributes, made of those of the known one. A gateway with a table for each of thousands of CCNs
says as many attribute sets, each once; to read every one of them octet by octet would cost more
than all of their routes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.path import PathAttributes, holding

I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]

EXAMPLES = 64
"""Known messages that are kept for one layout."""
_TYPE, _TARGET = 2, 8
"""Octets of a route target: its type and sub-type, which must be the same; all of it."""


class Reach(NamedTuple):
    """The octets around the NLRI, from the type of the message on: ``begin`` to ``behind`` is the
    beginning of MP_REACH_NLRI, the blob of attributes begins at octet 5. ``next_hop`` as said."""

    begin: int
    behind: int
    next_hop: bytes


class _Example(NamedTuple):
    reach: Reach
    attributes: PathAttributes
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]


class Alike(NamedTuple):
    """Messages that are like one example: which of those asked about, where their MP_REACH_NLRI
    is, the attributes of each without that, the octets of its route target, and its communities if
    there are any."""

    numbers: I8
    example: _Example
    rests: list[bytes]
    targets: list[bytes]
    communities: list[tuple[int, ...]]

    def made(self, places: Iterable[int]) -> list[PathAttributes]:
        """The attributes of some of them."""
        some = list(places)
        said = [self.targets[place] for place in some]
        _, base, before, after = self.example
        fields = base.__dict__
        meant = map(frozenset, zip(map(RouteTarget, said), strict=True))
        made = []
        for target, targets in zip(said, meant, strict=True):
            mine = fields.copy()
            mine["extended_communities"] = (*before, target, *after)
            mine["route_targets"] = targets
            made.append(holding(mine))
        if self.communities:
            for attributes, place in zip(made, some, strict=True):
                attributes.__dict__["communities"] = self.communities[place]
        return made


class Examples:
    """The known messages of one layout; all have their route target at the same place, and their
    communities."""

    __slots__ = ("_at", "_communities", "_known", "_most")

    def __init__(self) -> None:
        self._at = 0
        self._communities = slice(0, 0)
        self._known: dict[bytes, _Example] = {}
        self._most = 0

    def add(self, around: bytes, reach: Reach, attributes: PathAttributes) -> bool:
        """A message without fault; true if there are more examples than there ever were. It is none
        if it has not just one route target, or if the octets of that stand there twice."""
        said = attributes.extended_communities
        targets = [place for place, c in enumerate(said) if RouteTarget.is_target(c)]
        if len(targets) != 1:
            return False
        (place,) = targets
        at = around.find(said[place])
        if (at < reach.behind and not 5 <= at < reach.begin) or around.rfind(said[place]) != at:
            return False
        communities = _communities(around, reach, attributes)
        if (at, communities) != (self._at, self._communities) or len(self._known) >= EXAMPLES:
            self._at, self._communities, self._known = at, communities, {}
        blank = bytearray(around)
        blank[at + _TYPE : at + _TARGET] = bytes(_TARGET - _TYPE)
        blank[communities] = bytes(communities.stop - communities.start)
        self._known[bytes(blank)] = _Example(reach, attributes, said[:place], said[place + 1 :])
        if len(self._known) <= self._most:
            return False
        self._most = len(self._known)
        return True

    def alike(self, around: U1) -> Iterator[Alike]:
        """Those of these messages (uint8[n, size], the octets around their NLRI) that are like one
        of the examples, by example."""
        if not self._known:
            return
        at, size = self._at, around.shape[1]
        blank = around.copy()
        blank[:, at + _TYPE : at + _TARGET] = 0
        blank[:, self._communities] = 0
        blanks: list[bytes] = blank.view(f"V{size}").ravel().tolist()
        found: dict[bytes, list[int]] = {}
        for number, key in enumerate(blanks):
            if key in self._known:
                found.setdefault(key, []).append(number)
        for key, some in found.items():
            example, numbers = self._known[key], np.array(some, np.int64)
            octets = around[numbers]
            targets = octets[:, at : at + _TARGET]
            reach = example.reach
            rests = np.concatenate((octets[:, 5 : reach.begin], octets[:, reach.behind :]), axis=1)
            said = np.ascontiguousarray(octets[:, self._communities]).view(">u4").tolist()
            communities = list(map(tuple, said)) if said[0] else []
            yield Alike(numbers, example, _each(rests), _each(targets), communities)


def _communities(around: bytes, reach: Reach, attributes: PathAttributes) -> slice:
    """Where the communities of a message stand; nowhere if their octets stand there twice."""
    said = attributes.communities
    packed = struct.pack(f">{len(said)}I", *said)
    at = around.find(packed)
    if not said or around.rfind(packed) != at or not (at >= reach.behind or 5 <= at < reach.begin):
        return slice(0, 0)
    return slice(at, at + len(packed))


def _each(octets: U1) -> list[bytes]:
    """The rows of uint8[n, m]."""
    rows = np.ascontiguousarray(octets)
    found: list[bytes] = rows.view(f"V{rows.shape[1]}").ravel().tolist()
    return found
