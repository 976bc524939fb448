"""Sortable keys of rows: a number (a table, a distinguisher) and a prefix in one comparable value.

In: columns of numbers, addresses and lengths. Out: one array whose order is (number, address,
length). IPv4 fits a uint64 (26 bits of number, 32 of address, 6 of length), which NumPy sorts and
searches fastest; IPv6 takes 21 octets (4, 16, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix

Array = npt.NDArray[Any]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]
U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

WIDTHS = (4, 16)
"""Octets of an IPv4 and an IPv6 address; each width has arrays of its own."""
FEW = 1024
"""Up to so many values a search costs less than a column."""
PIECES = 256
"""So many runs of rows are copied one by one."""
AT_ONCE = 1 << 16
"""So many rows are worked on at once: what is made on the way stays in the cache, and is no memory
to be had from the system each time."""
_ADDRESS, _NUMBER = np.uint64(6), np.uint64(38)
_LENGTH_MASK, _ADDRESS_MASK = np.uint64(63), np.uint64(0xFFFFFFFF)
_PREFIX_MASK = np.uint64((1 << 38) - 1)


class Keys(Protocol):
    """How keys of one width are made and read. All arrays have the same length n."""

    dtype: np.dtype[Any]

    def make(self, number: Array, address: U1, length: U1) -> Array:
        """Keys of (number, address: uint8[n, width], length: uint8[n])."""

    def number(self, keys: Array) -> U4:
        """The numbers."""

    def renumbered(self, keys: Array, number: Array) -> Array:
        """The keys of the same prefixes with other numbers."""

    def address(self, keys: Array) -> U1:
        """The addresses: uint8[n, width]."""

    def length(self, keys: Array) -> U1:
        """The prefix lengths."""

    def prefixes(self, keys: Array) -> list[Prefix]:
        """The prefixes as values."""

    def one(self, number: int, prefix: Prefix) -> Any:
        """A single key, as a scalar that compares with those of an array."""

    def many(self, keys: Iterable[Any]) -> Array:
        """Scalars of ``one`` as a sorted array."""

    def begin(self, numbers: Array) -> Array:
        """The least key of each number."""


class _Keys4:
    dtype: np.dtype[Any] = np.dtype(np.uint64)

    def make(self, number: Array, address: U1, length: U1) -> Array:
        found = np.ascontiguousarray(address).view(">u4").reshape(-1).astype(np.uint64)
        found <<= _ADDRESS
        found |= length
        if np.ndim(number) or number:
            found |= np.asarray(number, np.uint64) << _NUMBER
        return found

    def number(self, keys: Array) -> U4:
        return (keys >> _NUMBER).astype(np.uint32)

    def renumbered(self, keys: Array, number: Array) -> Array:
        return keys & _PREFIX_MASK | number.astype(np.uint64) << _NUMBER

    def address(self, keys: Array) -> U1:
        found = (keys >> _ADDRESS & _ADDRESS_MASK).astype(">u4")
        return found.view(np.uint8).reshape(-1, 4)

    def length(self, keys: Array) -> U1:
        return (keys & _LENGTH_MASK).astype(np.uint8)

    def prefixes(self, keys: Array) -> list[Prefix]:
        rows = np.concatenate((self.address(keys), self.length(keys)[:, None]), axis=1)
        octets = rows.tobytes()
        return [Prefix(octets[i : i + 5]) for i in range(0, len(octets), 5)]

    def one(self, number: int, prefix: Prefix) -> Any:
        return number << 38 | int.from_bytes(prefix[:4], "big") << 6 | prefix[4]

    def many(self, keys: Iterable[Any]) -> Array:
        return np.sort(np.fromiter(keys, np.uint64))

    def begin(self, numbers: Array) -> Array:
        return np.asarray(numbers, np.uint64) << _NUMBER


class _Keys6:
    dtype: np.dtype[Any] = np.dtype("S21")

    def make(self, number: Array, address: U1, length: U1) -> Array:
        octets = np.empty((len(length), 21), np.uint8)
        numbers = np.broadcast_to(np.asarray(number, ">u4"), len(length))
        octets[:, :4] = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 4)
        octets[:, 4:20] = address
        octets[:, 20] = length
        return octets.view("S21").reshape(-1)

    def _octets(self, keys: Array) -> U1:
        return np.ascontiguousarray(keys).view(np.uint8).reshape(-1, 21)

    def number(self, keys: Array) -> U4:
        head = np.ascontiguousarray(self._octets(keys)[:, :4])
        return head.view(">u4").reshape(-1).astype(np.uint32)

    def renumbered(self, keys: Array, number: Array) -> Array:
        octets = self._octets(keys).copy()
        octets[:, :4] = number.astype(">u4").view(np.uint8).reshape(-1, 4)
        return octets.view("S21").reshape(-1)

    # Copies always: a view of one key would keep all keys alive.
    def address(self, keys: Array) -> U1:
        return self._octets(keys)[:, 4:20].copy()

    def length(self, keys: Array) -> U1:
        return self._octets(keys)[:, 20].copy()

    def prefixes(self, keys: Array) -> list[Prefix]:
        octets = np.ascontiguousarray(self._octets(keys)[:, 4:]).tobytes()
        return [Prefix(octets[i : i + 17]) for i in range(0, len(octets), 17)]

    def one(self, number: int, prefix: Prefix) -> Any:
        # NumPy compares fixed strings as if NULs at the end were not there; so do their scalars.
        return (number.to_bytes(4, "big") + prefix).rstrip(b"\0")

    def many(self, keys: Iterable[Any]) -> Array:
        return np.sort(np.array(list(keys), self.dtype))

    def begin(self, numbers: Array) -> Array:
        count = len(np.atleast_1d(numbers))
        return self.make(
            np.atleast_1d(numbers), np.zeros((count, 16), np.uint8), np.zeros(count, np.uint8)
        )


_4: Keys = _Keys4()
_6: Keys = _Keys6()
OF_WIDTH: dict[int, Keys] = {4: _4, 16: _6}


def of(prefix: Prefix) -> int:
    """The width of a prefix."""
    return len(prefix) - 1


def member(sorted_keys: Array, wanted: Array) -> tuple[I8, Bools]:
    """For each wanted key where it stands (or would stand) in the sorted ones, and whether it is
    there."""
    begin = run(sorted_keys, wanted)
    if begin >= 0:
        return np.arange(begin, begin + len(wanted)), np.ones(len(wanted), np.bool_)
    place = np.searchsorted(sorted_keys, wanted)
    found = place < len(sorted_keys)
    found[found] = sorted_keys[place[found]] == wanted[found]
    return place, found


def run(sorted_keys: Array, wanted: Array) -> int:
    """Where many wanted keys begin that stand one behind another among the sorted ones, as those
    of a table or of a peer often do; -1 if they do not, or are few. Seen at a glance: a search for
    each takes twenty times as long."""
    count = len(wanted)
    if not FEW < count <= len(sorted_keys):
        return -1
    begin = int(np.searchsorted(sorted_keys, wanted[0]))
    end = begin + count
    if end > len(sorted_keys) or sorted_keys[end - 1] != wanted[-1]:
        return -1
    return begin if np.array_equal(sorted_keys[begin:end], wanted) else -1


def parts(count: int) -> Iterator[slice]:
    """``count`` rows in parts of AT_ONCE."""
    for first in range(0, count, AT_ONCE):
        yield slice(first, min(first + AT_ONCE, count))


def gap(sorted_keys: Array, wanted: Array) -> int:
    """Where many wanted keys, ascending, would all stand between two of the sorted ones; -1 if
    they would not, or are few."""
    if len(wanted) <= FEW:
        return -1
    begin = int(np.searchsorted(sorted_keys, wanted[0]))
    if begin < len(sorted_keys) and not wanted[-1] < sorted_keys[begin]:
        return -1
    return begin if bool((wanted[1:] >= wanted[:-1]).all()) else -1


def numbered(values: Array, count: int) -> tuple[I8, I8]:
    """Which of the numbers below ``count`` occur, ascending, and for each value which of them it
    is: np.unique with its inverse, without a sort where there are many."""
    if len(values) < FEW:
        known, which = np.unique(values, return_inverse=True)
        return known.astype(np.int64), which
    used = np.zeros(count, np.bool_)
    used[values] = True
    found = np.flatnonzero(used)
    place = np.zeros(count, np.int64)
    place[found] = np.arange(len(found))
    return found, place[values]


def taken(column: Array, at: I8) -> Array:
    """These rows of a column, in any order; a view where they stand together."""
    # The ends alone do not tell: of the rows 0, 2, 2 they are as far apart as of 0, 1, 2.
    if len(at) and at[0] >= 0 and at[-1] - at[0] == len(at) - 1 and rising(at):
        return column[at[0] : at[-1] + 1]
    return column[at]


def put(column: Array, at: I8, value: Array | int) -> None:
    """Write a value, or one for each, into these rows (ascending, each once)."""
    if len(at) and at[-1] - at[0] == len(at) - 1:
        column[at[0] : at[-1] + 1] = value
    else:
        column[at] = value


class Splice:
    """Puts values among the rows of columns of one length: before the rows ``at`` (ascending;
    None: behind all), ``count`` in all. Where they go in few places, rows are copied in runs."""

    def __init__(self, length: int, at: I8 | None, count: int) -> None:
        self._size = length + count
        self._pieces = [(length, 0, count)]
        self._rest: Bools | None = None
        if at is None:
            return
        begin, size = runs(at)
        if len(begin) <= PIECES:
            self._pieces = list(zip(at[begin].tolist(), begin.tolist(), size.tolist(), strict=True))
        else:
            self._new = at + np.arange(count)
            self._rest = np.ones(self._size, np.bool_)
            self._rest[self._new] = False

    def __call__(self, column: Array, values: Array | int) -> Array:
        """The column with the values (one for each row, or one for all). It may be ``values``
        itself, where there was nothing before."""
        if not len(column) and not isinstance(values, int) and values.base is None:
            return values
        found = np.empty(self._size, column.dtype)
        if self._rest is not None:
            found[self._new] = values
            found[self._rest] = column
            return found
        before = 0
        for at, first, size in self._pieces:
            found[before + first : at + first] = column[before:at]
            part = values if isinstance(values, int) else values[first : first + size]
            found[at + first : at + first + size] = part
            before = at
        found[self._size - len(column) + before :] = column[before:]
        return found


def runs(column: Array) -> tuple[I8, I8]:
    """Where the runs of equal values begin, and how long each is."""
    new = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=new[1:])
    begin = np.flatnonzero(new)
    return begin, np.diff(begin, append=len(column))


def rising(column: Array) -> bool:
    """Whether each value is greater than the one before."""
    return bool((column[1:] > column[:-1]).all())


def distinct(sorted_keys: Array) -> Array:
    """Sorted keys, each once."""
    if len(sorted_keys) < 2:
        return sorted_keys
    first = np.ones(len(sorted_keys), np.bool_)
    np.not_equal(sorted_keys[1:], sorted_keys[:-1], out=first[1:])
    return sorted_keys if first.all() else sorted_keys[first]
