"""Columns that grow: numbers beside a list of values, to be indexed by the numbers of the values.

In: one value after another. Out: a NumPy array of all. Room is doubled, so that adding is cheap
however many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Growing:
    """One column; ``column.all`` is a view of what has been added, valid until the next ``add``."""

    __slots__ = ("_room", "size")

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._room: npt.NDArray[Any] = np.zeros(64, dtype)
        self.size = 0

    def add(self, value: Any) -> None:
        """One more."""
        if self.size == len(self._room):
            self._room = np.concatenate((self._room, np.zeros_like(self._room)))
        self._room[self.size] = value
        self.size += 1

    @property
    def all(self) -> npt.NDArray[Any]:
        """Everything added so far."""
        return self._room[: self.size]
