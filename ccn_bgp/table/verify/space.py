"""Prefixes as intervals on a line of positions, and the longest match everywhere at once.

In: the routes of one family. Out: for each table its *elementary intervals*, the stretches within
which one route is the longest match, and for each route its parent, the next shorter prefix that
covers it. IPv4 positions are the addresses; IPv6 positions are ranks among all borders that occur,
so that 128 bits fit a machine word. Intervals are half open. No loop runs over routes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.table.verify.world import Routes, ShareRow

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
U1 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP = np.uint64(64)
LENGTH_BITS = 8
_NONE: I8 = np.zeros(0, np.int64)


class Space:
    """One family's intervals, routes sorted by (table, address, length).

    ``row``: int64[n], index into the Routes for each sorted route. ``table``: int64[n]. ``start``,
    ``end``: int64[n], positions. ``parent``: int64[n], sorted index or -1. ``border``: int64[m],
    sorted keys (table * stride + position); ``winner``: int64[m], the sorted index of the longest
    match from that border to the next, or -1 for none. ``share_start``, ``share_end``: positions of
    the shares given. ``ranks``: (high, low) words of each IPv6 border, None for IPv4.

    Parents and borders are made when they are first asked for: clean tables need none.
    """

    def __init__(self, routes: Routes, shares: list[ShareRow]) -> None:
        """Lay out the routes of one family; ``shares`` are of the same family."""
        start, end, self.stride, self.ranks = positions(routes, [s.prefix for s in shares])
        n = len(routes)
        begins = routes.table * self.stride + start[:n]
        self.row = _order(begins, routes.length.astype(np.int64))
        self.table = routes.table[self.row]
        self.start, self.end = start[:n][self.row], end[:n][self.row]
        self.share_start, self.share_end = start[n:], end[n:]

    @cached_property
    def _ends(self) -> tuple[I8, I8]:
        base = self.table * self.stride
        return base + self.start, base + self.end

    @cached_property
    def parent(self) -> I8:
        """The next shorter prefix of the same table that covers each route."""
        return _parents(*self._ends)

    @cached_property
    def _cuts(self) -> tuple[I8, I8]:
        return _intervals(*self._ends, self.parent)

    @property
    def border(self) -> I8:
        """Where an interval begins."""
        return self._cuts[0]

    @property
    def winner(self) -> I8:
        """The longest match in each interval."""
        return self._cuts[1]

    def number(self, position: int) -> int:
        """The address of a position, as an integer; what is behind all addresses is 2**bits."""
        if self.ranks is None:
            return position
        if position == len(self.ranks[0]):
            return 1 << 128
        return int(self.ranks[0][position]) << 64 | int(self.ranks[1][position])

    def match(self, table: int, position: int) -> int:
        """Sorted index of the longest match of one position in one table, or -1."""
        place = int(np.searchsorted(self.border, table * self.stride + position, "right")) - 1
        if place < 0 or self.border[place] < table * self.stride:
            return -1
        return int(self.winner[place])

    def winning(self) -> npt.NDArray[np.bool_]:
        """bool[n]: true for routes that are the longest match of some address."""
        wins = np.zeros(len(self.row), np.bool_)
        wins[self.winner[self.winner >= 0]] = True
        return wins

    def stretches(self, chosen: npt.NDArray[np.bool_]) -> tuple[I8, I8, I8]:
        """(route, start, end) of every interval whose winner is chosen (bool[n])."""
        if not chosen.any():
            return _NONE, _NONE, _NONE
        place = np.flatnonzero(self.winner >= 0)
        place = place[chosen[self.winner[place]]]
        route = self.winner[place]
        base = self.table[route] * self.stride
        return route, self.border[place] - base, self.border[place + 1] - base


def positions(routes: Routes, prefixes: list[Prefix]) -> tuple[I8, I8, int, tuple[U8, U8] | None]:
    """(start, end, stride, ranks) of the routes and then of further prefixes of their family.

    ``stride`` is above every position.
    """
    width = routes.address.shape[1]
    further = columns_of(prefixes, width)
    address = np.concatenate((routes.address, further[0]))
    length = np.concatenate((routes.length, further[1])).astype(np.int64)
    if width == 4:
        start = address.copy().view(">u4").astype(np.int64).reshape(-1)
        return start, start + (np.int64(1) << (32 - length)), (1 << 32) + 1, None
    start, end, ranks = _ranked(address, length)
    return start, end, len(ranks[0]) + 2, ranks


def columns_of(prefixes: list[Prefix], width: int) -> tuple[U1, U1]:
    """(address, length) columns of prefixes of one family; ``width``: octets of an address."""
    raw = np.frombuffer(b"".join(prefixes), np.uint8).reshape(-1, width + 1)
    return raw[:, :width], raw[:, width]


class Ruler:
    """Positions for comparing any prefixes with fixed ones, whose borders are known beforehand.

    IPv4 positions are the addresses. A border of IPv6 has an odd number for each of its two words,
    what lies between two borders the even number between theirs: enough to tell on which side of
    a fixed border it is, and no more. Two that are both between the same borders look the same.
    """

    def __init__(self, fixed: list[Prefix], width: int) -> None:
        self.width = width
        self.stride = (1 << 32) + 1
        if width == 4:
            return
        high, low, over = _borders(*columns_of(fixed, width))
        self._high, self._low = np.unique(high[~over]), np.unique(low[~over])
        self._words = 2 * len(self._low) + 1
        self.stride = (2 * len(self._high) + 2) * self._words + 1

    def positions(self, address: U1, length: U1) -> tuple[I8, I8]:
        """(start, end) of each prefix; ``end`` is exclusive."""
        if self.width == 4:
            start = np.ascontiguousarray(address).view(">u4").astype(np.int64).reshape(-1)
            return start, start + (np.int64(1) << (32 - length.astype(np.int64)))
        high, low, over = _borders(address, length)
        found = _number(high, self._high) * self._words + _number(low, self._low)
        found[over] = self.stride - 1
        n = len(length)
        return found[:n], found[n:]


def _number(words: U8, known: U8) -> I8:
    """2i + 1 for the word known[i], an even number for what lies between two."""
    after = np.searchsorted(known, words, "right").astype(np.int64)
    before = np.searchsorted(known, words, "left")
    return after + before


def _borders(address: U1, length: npt.NDArray[np.integer]) -> tuple[U8, U8, Bools]:
    """(high, low, over) words of where IPv6 prefixes begin, then of where they end; ``over``: true
    where the end is 2**128, which has no words."""
    words = np.ascontiguousarray(address).view(">u8").astype(np.uint64).reshape(-1, 2)
    high, low = words[:, 0], words[:, 1]
    bits = (128 - length.astype(np.int64)).astype(np.uint64)
    # A shift by 64 is undefined in C: each word's host mask is made from 0..63 bits or is all ones.
    low_host = np.where(bits >= _TOP, _ONES, (np.uint64(1) << (bits % _TOP)) - np.uint64(1))
    high_bits = np.where(bits > _TOP, bits - _TOP, np.uint64(0))
    high_host = np.where(
        high_bits >= _TOP, _ONES, (np.uint64(1) << (high_bits % _TOP)) - np.uint64(1)
    )
    after_low = (low | low_host) + np.uint64(1)
    after_high = (high | high_host) + (after_low == 0).astype(np.uint64)
    over = np.concatenate((np.zeros(len(low), np.bool_), (after_low == 0) & (after_high == 0)))
    return np.concatenate((high, after_high)), np.concatenate((low, after_low)), over


def _ranked(address: npt.NDArray[np.uint8], length: I8) -> tuple[I8, I8, tuple[U8, U8]]:
    """Positions of IPv6 prefixes among the sorted distinct borders; 2**128 ranks behind all."""
    all_high, all_low, over = _borders(address, length)
    order = np.lexsort((all_low, all_high))
    sorted_high, sorted_low = all_high[order], all_low[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (sorted_high[1:] != sorted_high[:-1]) | (sorted_low[1:] != sorted_low[:-1])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(fresh) - 1
    values = (sorted_high[fresh], sorted_low[fresh])
    rank[over] = len(values[0])
    n = len(length)
    return rank[:n], rank[n:], values


def _order(begins: I8, length: I8) -> I8:
    """Sort by (table, address, length); one key if it fits a word, since tables come sorted."""
    if len(begins) and int(begins.max()) >= 1 << (63 - LENGTH_BITS):
        return np.lexsort((length, begins))
    keys = begins << LENGTH_BITS | length
    if (keys[1:] >= keys[:-1]).all():
        return np.arange(len(keys))
    return np.argsort(keys, kind="stable")


def _parents(begins: I8, ends: I8) -> I8:
    """The nearest earlier interval that covers each; intervals are sorted and never cross.

    Pointer jumping: a candidate that does not cover is replaced by its own candidate, for all
    intervals at once; what lies between the two cannot cover either.
    """
    n = len(begins)
    parent = np.arange(-1, n - 1, dtype=np.int64)
    if n == 0:
        return parent
    reach = np.maximum.accumulate(ends)
    parent[0] = -1
    parent[1:][reach[:-1] <= begins[1:]] = -1
    active = np.flatnonzero(parent >= 0)
    active = active[ends[parent[active]] <= begins[active]]
    while len(active):
        parent[active] = parent[parent[active]]
        active = active[parent[active] >= 0]
        active = active[ends[parent[active]] <= begins[active]]
    return parent


def _intervals(begins: I8, ends: I8, parent: I8) -> tuple[I8, I8]:
    """Borders and the longest match from each to the next."""
    # Both halves are nearly sorted, which a stable sort turns to account (and np.unique does not).
    border = np.sort(np.concatenate((begins, ends)), kind="stable")
    border = border[np.append(border[1:] != border[:-1], True)] if len(border) else border
    winner = np.searchsorted(begins, border, "right") - 1
    active = np.flatnonzero(ends[winner] <= border) if len(border) else border
    while len(active):
        winner[active] = parent[winner[active]]
        active = active[winner[active] >= 0]
        active = active[ends[winner[active]] <= border[active]]
    return border, winner
