"""Columns of an Adj-RIB-Out seen as a mapping of NLRI keys: what ``ccn show advertised`` reads.

In: ToldRows and the sets they number. Out: the NLRI of a row and what is said of it, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.path import Nlri

V = TypeVar("V")
Row = tuple[int, int, Prefix]
"""Width, table and prefix of a row."""


class ToldView(Mapping[bytes, V]):
    """What is said of keys; ``objects`` hold some of them, rows the others.

    ``rows`` gives all rows with their numbers, ``find`` the row of a key (or None) with its number,
    ``value`` what a row and its number stand for, or None where the view leaves it out.
    """

    def __init__(
        self,
        objects: Mapping[bytes, V],
        count: int,
        rows: Callable[[], Iterator[tuple[Nlri, int]]],
        find: Callable[[bytes], tuple[Nlri, int] | None],
        value: Callable[[Nlri, int], V | None],
    ) -> None:
        self._objects = objects
        self._count = count
        self._rows = rows
        self._find = find
        self._value = value

    def __len__(self) -> int:
        return len(self._objects) + self._count

    def __iter__(self) -> Iterator[bytes]:
        yield from self._objects
        if self._count:
            for nlri, number in self._rows():
                if self._value(nlri, number) is not None:
                    yield nlri.key

    def by_key(self) -> list[tuple[bytes, V]]:
        """All in the order of their keys; a look-up for each would cost ten times as much."""
        found = list(self._objects.items())
        for nlri, number in self._rows() if self._count else ():
            if (value := self._value(nlri, number)) is not None:
                found.append((nlri.key, value))
        found.sort(key=lambda item: item[0])
        return found

    def __getitem__(self, key: bytes) -> V:
        if (held := self._objects.get(key)) is not None:
            return held
        found = self._find(key) if self._count else None
        value = self._value(*found) if found is not None else None
        if value is None:
            raise KeyError(key)
        return value
