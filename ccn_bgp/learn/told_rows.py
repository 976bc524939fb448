"""What a peer has been told of prefixes of one width, in columns.

In: sorted keys (keys.py) with numbers of what is to be said of them. Out: what that changes. Twelve
octets for an IPv4 prefix, twenty-five for an IPv6 one, however many peers share them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.learn.keys import OF_WIDTH, Array, Keys, member

I8 = npt.NDArray[np.int64]
I4 = npt.NDArray[np.int32]
NONE = -1


class ToldRows:
    """``keys`` are sorted, each once; ``numbers``: int32, what is said of each."""

    def __init__(self, width: int) -> None:
        self.of: Keys = OF_WIDTH[width]
        self.width = width
        self.keys: Array = np.empty(0, self.of.dtype)
        self.numbers: I4 = np.empty(0, np.int32)
        self._offers: list[tuple[Array, I4]] = []

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def pending(self) -> bool:
        """Something has been offered since ``take``."""
        return bool(self._offers)

    def offer(self, keys: Array, numbers: I4) -> None:
        """Say these numbers of these keys (in any order) from now on; NONE: nothing."""
        if len(keys):
            self._offers.append((keys, numbers))

    def offered(self) -> tuple[Array, I4]:
        """All offers: keys sorted, each once, the last offer of a key counts."""
        if len(self._offers) > 1:
            keys = np.concatenate([keys for keys, _ in self._offers])
            numbers = np.concatenate([numbers for _, numbers in self._offers])
        elif self._offers:
            keys, numbers = self._offers[0]
        else:
            return self.keys[:0], self.numbers[:0]
        if not bool((keys[1:] > keys[:-1]).all()):
            order = np.argsort(keys, kind="stable")
            keys, numbers = keys[order], numbers[order]
            last = np.ones(len(keys), np.bool_)
            np.not_equal(keys[1:], keys[:-1], out=last[:-1])
            if not last.all():
                keys, numbers = keys[last], numbers[last]
        self._offers = [(keys, numbers)]
        return keys, numbers

    def take(self) -> tuple[Array, I4, I4]:
        """Count all offers as told: keys that change, what is said of them now, and was before."""
        keys, numbers = self.offered()
        self._offers = []
        if not len(self.keys):
            # The first words to a peer: there is nothing to compare with.
            some = numbers != NONE
            if not some.all():
                keys, numbers = keys[some], numbers[some]
            self.keys, self.numbers = keys.copy(), numbers.copy()
            return keys, numbers, np.full(len(keys), NONE, np.int32)
        place, found = member(self.keys, keys)
        before = np.full(len(keys), NONE, np.int32)
        before[found] = self.numbers[place[found]]
        differs = before != numbers
        if not differs.all():
            keys, numbers, before = keys[differs], numbers[differs], before[differs]
            place, found = place[differs], found[differs]
        stays = found & (numbers != NONE)
        self.numbers[place[stays]] = numbers[stays]
        new = ~found
        if new.any():
            self.keys = np.insert(self.keys, place[new], keys[new])
            self.numbers = np.insert(self.numbers, place[new], numbers[new])
        gone = found & (numbers == NONE)
        if gone.any():
            self.drop(keys[gone])
        return keys, numbers, before

    def drop(self, keys: Array) -> None:
        """Forget these (sorted) keys, where they are held."""
        place, found = member(self.keys, keys)
        if found.any():
            self.keys = np.delete(self.keys, place[found])
            self.numbers = np.delete(self.numbers, place[found])

    def forget(self, rows: Array) -> None:
        """The same of rows by where they stand, in any order."""
        self.keys = np.delete(self.keys, rows)
        self.numbers = np.delete(self.numbers, rows)

    def keep_offers(self, keep: Sequence[bool] | npt.NDArray[np.bool_]) -> None:
        """Forget some of what ``offered`` gave."""
        keys, numbers = self.offered()
        mask = np.asarray(keep)
        self._offers = [(keys[mask], numbers[mask])]

    def frozen(self) -> ToldRows:
        """What has been told so far, for itself."""
        held = copy.copy(self)
        held.numbers, held._offers = self.numbers.copy(), []
        return held

    def clear(self) -> None:
        """Nothing has been told."""
        self.keys, self.numbers = self.keys[:0], self.numbers[:0]
        self._offers = []

    def find(self, key: Any) -> int:
        """What is said of one key, a scalar of ``of.one``; NONE if nothing."""
        place = int(np.searchsorted(self.keys, np.array(key, self.of.dtype)))
        if place < len(self.keys) and self.keys[place] == np.array(key, self.of.dtype):
            return int(self.numbers[place])
        return NONE

    def renumber(self, numbers: I8) -> None:
        """New numbers by old ones."""
        self.numbers = numbers[self.numbers].astype(np.int32)


def grouped(numbers: Array) -> I8 | None:
    """The order in which equal numbers stand together, in the order in which they occur first;
    None if they do already."""
    if not len(numbers):
        return None
    first = np.full(int(numbers.max()) + 1, len(numbers), np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    rank = first[numbers]
    if bool((rank[1:] >= rank[:-1]).all()):
        return None
    return np.argsort(rank, kind="stable")
