"""Summary-only: what is held back because an aggregate says it. In: the aggregates that a peer is
told. Out: for prefixes, one by one or in columns, the reason why the peer is not told of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ccn_bgp.learn.keys import I8
from ccn_bgp.model.aggregate import Aggregate
from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.covering import Covering
from ccn_bgp.model.outgoing import U1
from ccn_bgp.model.reason import Summarised


class Summaries:
    """Of one group of peers. ``aggregates``: those that it is told, of one family or both."""

    def __init__(self, aggregates: Sequence[Aggregate] = ()) -> None:
        self.aggregates = sorted(aggregates, key=lambda a: (a.prefix, a.name))
        self.reasons = [
            Summarised(a.peer, f"summary-only {a.prefix}", a.where) for a in self.aggregates
        ]
        self._covering: dict[int, Covering | None] = {}

    def __bool__(self) -> bool:
        return bool(self.aggregates)

    def reason(self, prefix: Prefix) -> Summarised | None:
        """Why a route is held back, or None."""
        for aggregate, reason in zip(self.aggregates, self.reasons, strict=True):
            if aggregate.gathers(prefix):
                return reason
        return None

    def rows(self, address: U1, length: U1) -> I8:
        """The same of many, int64[n]: an index into ``reasons``, or -1. No aggregate's own prefix
        may be among them. address: uint8[n, 4 or 16], host bits cleared; length: uint8[n]."""
        width = address.shape[1]
        numbers = [n for n, a in enumerate(self.aggregates) if len(a.prefix) == width + 1]
        if not numbers:
            return np.full(len(length), -1, np.int64)
        covering = self._covering.get(width)
        if covering is None:
            prefixes = [self.aggregates[n].prefix for n in numbers]
            covering = self._covering[width] = Covering(width, prefixes)
        # The first of those around it, as reason() says: what lies in no other one.
        place = covering.longest(address, length)
        outer = np.array([self._first(numbers, n) for n in numbers] + [-1], np.int64)
        found: I8 = outer[place]
        return found

    def _first(self, numbers: Sequence[int], number: int) -> int:
        inner = self.aggregates[number].prefix
        return next(n for n in numbers if self.aggregates[n].prefix.covers(inner))


NO_SUMMARIES = Summaries()
