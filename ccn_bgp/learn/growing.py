"""Columns that grow: facts beside a list of values, to be indexed by the numbers of the values.

In: one row of facts after another. Out: a structured NumPy array of all. Rows wait in a list until
somebody looks, and room is doubled, so that adding is cheap however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST = 64


class Growing:
    """Rows of a structured dtype, in the order in which they were added."""

    __slots__ = ("_room", "_size", "_waiting")

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._room: npt.NDArray[Any] = np.zeros(LEAST, dtype)
        self._size = 0
        self._waiting: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return self._size + len(self._waiting)

    def add(self, *facts: Any) -> None:
        """One row more."""
        self._waiting.append(facts)

    def extend(self, count: int, columns: Mapping[str, npt.ArrayLike]) -> None:
        """``count`` rows more; a column, or one value for all, of every field."""
        self._make_room(count)
        for field, column in columns.items():
            self._room[field][self._size : self._size + count] = column
        self._size += count

    def __getitem__(self, field: str) -> npt.NDArray[Any]:
        """One column, of everything added so far: a view, to be read at once."""
        if self._waiting:
            self._take_in()
        return self._room[: self._size][field]

    def _take_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._make_room(len(waiting))
        end = self._size + len(waiting)
        self._room[self._size : end] = np.array(waiting, self._room.dtype)
        self._size = end

    def _make_room(self, count: int) -> None:
        if self._waiting:
            self._take_in()
        end = self._size + count
        if end > len(self._room):
            room = np.zeros(max(2 * len(self._room), end), self._room.dtype)
            room[: self._size] = self._room[: self._size]
            self._room = room
