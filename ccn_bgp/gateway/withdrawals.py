"""What peers took back lately, for ``ccn explain`` to name. Bounded; the oldest goes first."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ccn_bgp.model.path import Nlri

REMEMBERED = 10_000
"""Routes."""


class Withdrawn(NamedTuple):
    """A route that a peer took back: when (seconds since 1970) and why."""

    peer: str
    nlri: Nlri
    when: float
    why: str


class Withdrawals:
    """The last routes taken back, of all peers."""

    def __init__(self) -> None:
        self._gone: dict[tuple[str, bytes], Withdrawn] = {}

    def remember(self, peer: str, nlris: Sequence[Nlri], held: Collection[bytes], why: str) -> None:
        """Keep those of ``nlris`` that were held (by key) until now."""
        now = time.time()
        for nlri in nlris:
            key = nlri.key
            if key in held:
                self._gone.pop((peer, key), None)
                self._gone[peer, key] = Withdrawn(peer, nlri, now, why)
        while len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def __iter__(self) -> Iterator[Withdrawn]:
        return iter(self._gone.values())
