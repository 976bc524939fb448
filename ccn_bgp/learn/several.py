"""Which of several tables take rows that carry targets of more than one, or of a share.

In: Imports (importing.py) and rows in columns. Out: for each row which of the tables take it, as
the number of a pattern: rows of one pattern go to the same tables; and of which rows a Claim says
something in one of these tables. What it costs grows with rows times tables, in columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ccn_bgp.learn.importing import Import
from ccn_bgp.learn.keys import I8, U1, Array, Bools
from ccn_bgp.model.ccsi import Peer
from ccn_bgp.model.covering import Covering

PAIRS = 1 << 18
"""Rows times tables that are worked on at once."""


class Suspects(Protocol):
    """Says which rows a Claim says something of."""

    def __call__(self, peer: Peer, ccns: I8, regions: I8, address: U1, length: U1) -> Bools:
        """True for those."""


class Several:
    """Imports of more than one table, or of one as far as a share lets it; ``ccns``: the number of
    the CCN of each. Patterns are numbered in order of arrival, and their numbers stay."""

    def __init__(self, imports: Sequence[Import], ccns: Sequence[int]) -> None:
        self.ccns: I8 = np.array(ccns, np.int64)
        self._shares = [prefixes for _, prefixes in imports]
        self._bounded: I8 = np.array(
            [place for place, prefixes in enumerate(self._shares) if prefixes is not None], np.int64
        )
        self._covering: dict[int, Covering] = {}
        self._numbers: dict[bytes, int] = {}

    def judge(
        self, suspects: Suspects, peer: Peer, region: int, address: U1, length: U1
    ) -> tuple[I8, Bools]:
        """For rows (address: uint8[n, 4 or 16], length: uint8[n]) whose next hop is in this region:
        the number of each row's pattern, and whether it is to be judged by itself."""
        pattern = np.zeros(len(length), np.int64)
        alone = np.zeros(len(length), np.bool_)
        step = max(PAIRS // len(self.ccns), 1)
        for first in range(0, len(length), step):
            some = slice(first, first + step)
            taken = self._taken(address[some], length[some])
            pattern[some] = self._patterns(taken)
            row, table = np.nonzero(taken)
            found = suspects(
                peer,
                self.ccns[table],
                np.full(len(row), region, np.int64),
                address[some][row],
                length[some][row],
            )
            alone[first + row[found]] = True
        return pattern, alone

    def _taken(self, address: U1, length: U1) -> Bools:
        """bool[n, tables]: which tables take each row."""
        taken = np.ones((len(length), len(self.ccns)), np.bool_)
        if len(self._bounded):
            row = np.repeat(np.arange(len(length)), len(self._bounded))
            group = np.tile(np.arange(len(self._bounded)), len(length))
            within = self._bounds(address.shape[1]).covered(address[row], length[row], group)
            taken[:, self._bounded] = within.reshape(len(length), -1)
        return taken

    def _bounds(self, width: int) -> Covering:
        """What shares let through, by the place of their table among the bounded ones."""
        found = self._covering.get(width)
        if found is None:
            bounds = [
                (prefix, group)
                for group, place in enumerate(self._bounded.tolist())
                for prefix in self._shares[place] or ()
                if len(prefix) == width + 1
            ]
            found = self._covering[width] = Covering(
                width, [prefix for prefix, _ in bounds], [group for _, group in bounds]
            )
        return found

    def _patterns(self, taken: Bools) -> I8:
        """The number of each row's pattern."""
        packed = np.packbits(taken, axis=1)
        if bool((packed == packed[0]).all()):
            return np.full(len(packed), self._number(packed[0]), np.int64)
        known, which = np.unique(packed, axis=0, return_inverse=True)
        numbers = np.array([self._number(octets) for octets in known], np.int64)
        found: I8 = numbers[which.reshape(-1)]
        return found

    def _number(self, octets: Array) -> int:
        return self._numbers.setdefault(octets.tobytes(), len(self._numbers))
