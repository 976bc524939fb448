"""Which prefix of a fixed set covers each of a million others: arrays in, arrays out.

In: the members, prefixes of one family in groups (a group is whatever the caller numbers: a CCN, a
CCN's region, or nothing). Out, for rows of (group, address, length): the longest member that covers
each, whether any does, whether any overlaps. Members lie sorted by (group, address, length), each
with the nearest member that covers it; of what covers a row, the row's predecessor in that order
knows the rest. No loop runs over rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
U1 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

WORD_BITS = 63
"""Bits of a sort key that may be used: keys are signed."""
AT_ONCE = 1 << 16
"""Rows to ask for in one call: what is worked out on the way then stays in the cache."""
_LARGE = 4096
_Word = TypeVar("_Word", bound=np.integer)


class Covering:
    """Members of one family; ``width`` is the octets of an address, ``groups`` numbers >= 0 (all 0
    if not given).

    Rows are ``address``: uint8[n, width] with host bits cleared, ``length``: uint8[n], ``group``:
    int64[n] or one number; a group without members, or below 0, has nothing that covers. ValueError
    if groups are so many that (group, IPv4 address, length) does not fit a word: 2**25.
    """

    def __init__(
        self, width: int, prefixes: Sequence[Prefix], groups: Sequence[int] | I8 | None = None
    ) -> None:
        self.width = width
        raw = np.frombuffer(b"".join(prefixes), np.uint8).reshape(-1, width + 1)
        length = raw[:, width].astype(np.int64)
        group = np.zeros(len(raw), np.int64) if groups is None else np.asarray(groups, np.int64)
        words = _words(np.ascontiguousarray(raw[:, :width]))
        if len(group) and int(group.max()) >= 1 << 25:
            raise ValueError(f"{int(group.max())} is over the highest number of a group, 2**25 - 1")
        order = np.lexsort((length, *reversed(words), group))
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = False
        for column in (group, *words, length):
            placed = column[order]
            fresh[1:] |= placed[1:] != placed[:-1]
        self.member: I8 = order[fresh]
        """int64[m]: for each distinct member, in order, its index in ``prefixes`` (the first)."""
        self._group: I8 = group[self.member]
        self._words: list[U8] = [word[self.member] for word in words]
        self._length: I8 = length[self.member]
        self._masks = _masks(width)
        self._kept = [mask[self._length] for mask in self._masks]
        self._line = _Line(width, self._group, self._words)
        self._key = self._line.keys(self._group, self._words, self._length)
        self.parent: I8 = self._parents()
        """int64[m]: the place in ``member`` of the nearest that covers each, -1 if none does."""
        self._outermost = self._roots()

    def longest(self, address: U1, length: U1, group: I8 | int = 0) -> I8:
        """int64[n]: the index in ``prefixes`` of the longest member that covers each row, or -1."""
        if not len(self.member):
            return np.full(len(length), -1, np.int64)
        words = _words(address)
        numbers = np.broadcast_to(np.asarray(group, np.int64), length.shape)
        place = self._before(numbers, words, length)
        active = np.flatnonzero(place >= 0)
        while len(active):
            there = place[active]
            held = self._covers(there, numbers[active], [word[active] for word in words])
            active, there = active[~held], there[~held]
            place[active] = self.parent[there]
            active = active[place[active] >= 0]
        return np.where(place >= 0, self.member[place], -1)

    def covered(self, address: U1, length: U1, group: I8 | int = 0) -> Bools:
        """bool[n]: does a member hold the whole of each row?"""
        if not len(self.member):
            return np.zeros(len(length), np.bool_)
        words = _words(address)
        numbers = np.broadcast_to(np.asarray(group, np.int64), length.shape)
        return self._held(self._before(numbers, words, length), numbers, words)

    def overlaps(self, address: U1, length: U1, group: I8 | int = 0) -> Bools:
        """bool[n]: does a member have an address in common with each row?"""
        if not len(self.member):
            return np.zeros(len(length), np.bool_)
        words = _words(address)
        numbers = np.broadcast_to(np.asarray(group, np.int64), length.shape)
        place = self._before(numbers, words, length)
        # What lies inside the row begins behind it: if anything does, the next member does.
        behind = np.minimum(place + 1, len(self.member) - 1)
        inside = (place + 1 < len(self.member)) & (self._group[behind] == numbers)
        for own, word, mask in zip(self._words, words, self._masks, strict=True):
            inside &= (own[behind] & mask[length]) == word
        found: Bools = self._held(place, numbers, words) | inside
        return found

    def _held(self, place: I8, numbers: I8, words: list[U8]) -> Bools:
        """Does the outermost member around each predecessor cover the row?"""
        found: Bools = (place >= 0) & self._covers(self._outermost[place], numbers, words)
        return found

    def _covers(self, place: I8, numbers: I8, words: list[U8]) -> Bools:
        """Does the member at ``place`` hold the first address of each row?

        It is then no longer than the row: it comes before it in the order.
        """
        found: Bools = self._group[place] == numbers
        for own, kept, word in zip(self._words, self._kept, words, strict=True):
            found &= (word & kept[place]) == own[place]
        return found

    def _before(self, numbers: I8, words: list[U8], length: U1) -> I8:
        """The place of the last member at or before each row, -1 if there is none."""
        keys = self._line.keys(numbers, words, length.astype(np.int64))
        return _up_to(self._key, keys) - 1

    def _parents(self) -> I8:
        """Pointer jumping: who does not cover is replaced by its own candidate, for all at once;
        what lies between the two cannot cover either."""
        parent = np.arange(-1, len(self.member) - 1, dtype=np.int64)
        active = np.flatnonzero(parent >= 0)
        while len(active):
            there = parent[active]
            words = [word[active] for word in self._words]
            active = active[~self._covers(there, self._group[active], words)]
            parent[active] = parent[parent[active]]
            active = active[parent[active] >= 0]
        return parent

    def _roots(self) -> I8:
        root = np.where(self.parent >= 0, self.parent, np.arange(len(self.parent)))
        while bool((root[root] != root).any()):
            root = root[root]
        return root


def covered(prefixes: Iterable[Prefix], address: U1, length: U1) -> Bools:
    """bool[n]: does one of the prefixes (of any family) hold the whole of each row?

    Rows as for ``Covering``.
    """
    width = address.shape[1]
    return Covering(width, [p for p in prefixes if len(p) == width + 1]).covered(address, length)


class _Line:
    """Sort keys of (group, address, length), as far as needed to tell what lies before what.

    An IPv4 key holds all three. Of an IPv6 address it holds for each word an odd number if a member
    has this word, and the even number between its neighbours if none has.
    """

    def __init__(self, width: int, group: I8, words: list[U8]) -> None:
        self.width = width
        if width == 4:
            return
        self._known = [_distinct(word) for word in words]
        high, low = (2 * len(known) + 1 for known in self._known)
        groups = int(group.max(initial=0)) + 1
        self._folded: I8 | None = None
        if (groups * high * low << 8).bit_length() > WORD_BITS:
            self._folded = _distinct(group * high + _number(words[0], self._known[0]))

    def keys(self, group: I8, words: list[U8], length: I8) -> I8:
        """int64[n], in the order of (group, address, length)."""
        if self.width == 4:
            return group << 38 | words[0].astype(np.int64) << 6 | length
        high, low = (_number(w, known) for w, known in zip(words, self._known, strict=True))
        first = group * (2 * len(self._known[0]) + 1) + high
        if self._folded is not None:
            first = _number(first, self._folded)
        return (first * (2 * len(self._known[1]) + 1) + low) << 8 | length


def _number(words: npt.NDArray[_Word], known: npt.NDArray[_Word]) -> I8:
    """2i + 1 for the word known[i], an even number for what lies between two."""
    after = _up_to(known, words)
    if not len(known):
        return after
    found: I8 = 2 * after - ((after > 0) & (known[after - 1] == words))
    return found


def _up_to(known: npt.NDArray[_Word], words: npt.NDArray[_Word]) -> I8:
    """How many of ``known`` (ascending) are at most each word."""
    if len(known) < _LARGE or len(words) < _LARGE or bool((words[1:] >= words[:-1]).all()):
        return np.searchsorted(known, words, "right").astype(np.int64, copy=False)
    # Neighbouring look-ups share their cache lines: sorting costs less than it saves.
    order = np.argsort(words)
    found = np.empty(len(words), np.int64)
    found[order] = np.searchsorted(known, words[order], "right")
    return found


def _distinct(words: npt.NDArray[_Word]) -> npt.NDArray[_Word]:
    found = np.sort(words)
    fresh = np.ones(len(found), np.bool_)
    fresh[1:] = found[1:] != found[:-1]
    return found[fresh]


def _words(address: U1) -> list[U8]:
    """Addresses as numbers: one word for IPv4, high and low word for IPv6."""
    address = np.ascontiguousarray(address)
    if address.shape[1] == 4:
        return [address.view(">u4").astype(np.uint64).reshape(-1)]
    words = address.view(">u8").astype(np.uint64).reshape(-1, 2)
    return [np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])]


def _masks(width: int) -> list[U8]:
    """For each word, the bits that a prefix of each length keeps: uint64[bits + 1]."""
    bits = width * 8
    word_bits = min(bits, 64)
    numbers = [((1 << length) - 1) << (bits - length) for length in range(bits + 1)]
    ones = (1 << word_bits) - 1
    return [
        np.array([number >> shift & ones for number in numbers], np.uint64)
        for shift in range(bits - word_bits, -1, -word_bits)
    ]
