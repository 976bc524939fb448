"""What peers took back lately, for ``ccn explain`` to name. Bounded; the oldest goes first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ccn_bgp.model.path import Nlri
from ccn_bgp.model.rows import Bools, PrefixRows, Vocabulary

REMEMBERED = 10_000
"""Routes."""


class Withdrawn(NamedTuple):
    """A route that a peer took back: when (by the monotonic clock) and why."""

    peer: str
    nlri: Nlri
    when: float
    why: str


class _Rows(NamedTuple):
    """Many at once; they are told apart when somebody asks."""

    peer: str
    rows: PrefixRows
    words: Vocabulary
    generation: int
    when: float


class Withdrawals:
    """The last routes taken back, of all peers."""

    def __init__(self) -> None:
        self._gone: deque[Withdrawn | _Rows] = deque()
        self._count = 0

    def remember(self, peer: str, nlris: Sequence[Nlri], held: Collection[bytes], why: str) -> None:
        """Keep those of ``nlris`` that were held (by key) until now."""
        now = time.monotonic()
        for nlri in nlris if held else ():
            if nlri.key in held:
                self._add(Withdrawn(peer, nlri, now, why), 1)

    def remember_rows(self, peer: str, rows: PrefixRows, words: Vocabulary, held: Bools) -> None:
        """The same of many; ``held``: bool[n]."""
        chosen = np.flatnonzero(held)[-REMEMBERED:]
        if len(chosen):
            self._add(
                _Rows(peer, rows.taken(chosen), words, words.generation, time.monotonic()),
                len(chosen),
            )

    def _add(self, gone: Withdrawn | _Rows, count: int) -> None:
        self._gone.append(gone)
        self._count += count
        while self._count > REMEMBERED:
            oldest = self._gone[0]
            size = len(oldest.rows) if isinstance(oldest, _Rows) else 1
            if isinstance(oldest, _Rows) and self._count - size < REMEMBERED:
                cut = np.arange(self._count - REMEMBERED, size)
                self._gone[0] = oldest._replace(rows=oldest.rows.taken(cut))
                self._count = REMEMBERED
                return
            self._gone.popleft()
            self._count -= size

    def __iter__(self) -> Iterator[Withdrawn]:
        """Each route once, as it was taken back last; the oldest first."""
        last: dict[tuple[str, bytes], Withdrawn] = {}
        for gone in self._gone:
            for one in _each(gone):
                last.pop((one.peer, one.nlri.key), None)
                last[one.peer, one.nlri.key] = one
        return iter(last.values())


def _each(gone: Withdrawn | _Rows) -> Iterator[Withdrawn]:
    if isinstance(gone, Withdrawn):
        yield gone
        return
    if gone.generation != gone.words.generation:
        return  # their numbers have become those of others
    for nlri in gone.rows.nlris(gone.words):
        yield Withdrawn(gone.peer, nlri, gone.when, "withdrawn")
