"""Messages that differ from one that is known in the value of their one route target alone.

In: the octets around the NLRI of such messages, as decode_fields.py cuts them out. Out: their
attributes, made of those of the known one. A gateway with a table for each of thousands of CCNs
says as many attribute sets, each once; to read every one of them octet by octet would cost more
than all of their routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import RouteTarget
from ccn_bgp.model.path import PathAttributes
from ccn_bgp.session.decode_attributes import attributes_of

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

    def rest(self, around: bytes) -> bytes:
        """The attributes without MP_REACH_NLRI."""
        return around[5 : self.begin] + around[self.behind :]


class _Example(NamedTuple):
    reach: Reach
    attributes: PathAttributes
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]


class Alike(NamedTuple):
    """One message that is like an example: which of those asked about, where its MP_REACH_NLRI is,
    its attributes without that, and the example with the octets of its own route target."""

    number: int
    reach: Reach
    rest: bytes
    example: _Example
    target: bytes

    def made(self) -> PathAttributes:
        """Its attributes."""
        fields = {
            "extended_communities": (*self.example.before, self.target, *self.example.after),
            "route_targets": frozenset((RouteTarget(self.target),)),
        }
        return attributes_of(fields, self.example.attributes)


class Examples:
    """The known messages of one layout; all have their route target at the same place."""

    __slots__ = ("_at", "_known", "_most")

    def __init__(self) -> None:
        self._at = 0
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
        if at != self._at or len(self._known) >= EXAMPLES:
            self._at, self._known = at, {}
        blank = around[: at + _TYPE] + bytes(_TARGET - _TYPE) + around[at + _TARGET :]
        self._known[blank] = _Example(reach, attributes, said[:place], said[place + 1 :])
        if len(self._known) <= self._most:
            return False
        self._most = len(self._known)
        return True

    def alike(self, around: U1) -> Iterator[Alike]:
        """Those of these messages (uint8[n, size], the octets around their NLRI) that are like one
        of the examples."""
        if not self._known:
            return
        at, size = self._at, around.shape[1]
        blank = around.copy()
        blank[:, at + _TYPE : at + _TARGET] = 0
        blanks: list[bytes] = blank.view(f"V{size}").ravel().tolist()
        octets: list[bytes] = around.view(f"V{size}").ravel().tolist()
        find = self._known.get
        for number, (key, said) in enumerate(zip(blanks, octets, strict=True)):
            example = find(key)
            if example is not None:
                reach, target = example.reach, said[at : at + _TARGET]
                yield Alike(number, reach, reach.rest(said), example, target)
