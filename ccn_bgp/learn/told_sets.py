"""Numbers for what is said of prefixes: an attribute set, or that export policy denied it.

In: values, one at a time. Out: numbers; equal values have one number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.path import PathAttributes
from ccn_bgp.model.reason import Denied


class ToldSets:
    """``attributes`` by number; where ``denials`` has the number, nothing is said."""

    def __init__(self) -> None:
        self.attributes: list[PathAttributes] = []
        self.denials: dict[int, Denied] = {}
        self._number: dict[PathAttributes | Denied, int] = {}

    def __len__(self) -> int:
        return len(self.attributes)

    def number(self, value: PathAttributes | Denied) -> int:
        """The number of a value."""
        found = self._number.get(value)
        if found is None:
            found = self._number[value] = len(self.attributes)
            if isinstance(value, PathAttributes):
                self.attributes.append(value)
            else:
                self.attributes.append(PathAttributes())
                self.denials[found] = value
        return found

    def find(self, value: PathAttributes | Denied) -> int:
        """The number of a value that may have none: -1."""
        return self._number.get(value, -1)

    def value(self, number: int) -> PathAttributes | Denied:
        """What a number stands for."""
        return self.denials.get(number) or self.attributes[number]

    def said(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which of these numbers (-1: nothing) are told to the peer."""
        if not self.denials:
            found: npt.NDArray[np.bool_] = numbers >= 0
            return found
        known = np.ones(len(self) + 1, np.bool_)
        known[[*self.denials, len(self)]] = False
        return np.asarray(known[numbers])

    def keep(self, live: npt.NDArray[np.int64]) -> tuple[ToldSets, npt.NDArray[np.int64]]:
        """The same with these numbers (ascending) alone, and the new numbers by old ones."""
        kept = ToldSets()
        renumbered = np.full(len(self), -1, np.int64)
        for old in live.tolist():
            renumbered[old] = kept.number(self.value(old))
        return kept, renumbered
