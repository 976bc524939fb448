"""Which rows differ between two states of many tables.

In: two Blocks, before and after, whose tables stand in the same order. Out: the rows of each family
that were added, changed and removed, and the next hops that a table uses from now on, or no longer.
What is alike at both ends is passed over; of the rest the smaller side is looked up in the larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.route import Answer, NextHop
from ccn_bgp.table.tables import I8, Block, BlockRows

Bools = npt.NDArray[np.bool_]

_LENGTH, _TABLE = np.uint64(8), np.uint64(40)
_HOP = np.int64(32)
"""Where prefix length and table, and a table and its next hop, stand in one number."""


class RowChange(NamedTuple):
    """Row numbers of one family, ascending: int64[n] each. ``added`` and ``changed`` are rows of
    the block after, ``removed`` of the block before."""

    added: I8
    changed: I8
    removed: I8

    @property
    def put(self) -> I8:
        """Those that are to be sent as add-or-replace, ascending."""
        if not self.changed.size:
            return self.added
        if not self.added.size:
            return self.changed
        return np.sort(np.concatenate((self.added, self.changed)))


class TableChanges(NamedTuple):
    """The rows of all tables that differ. ``before`` and ``after`` have the same tables in the same
    order, by id; one that is new or goes is in ``came`` or ``gone`` (its places) and has no rows on
    the other side. ``hop_before``, ``hop_after``: for each answer of the blocks the number of its
    next hop among ``hops``."""

    before: Block
    after: Block
    came: frozenset[int]
    gone: frozenset[int]
    hops: Sequence[NextHop]
    hop_before: I8
    hop_after: I8
    v4: RowChange
    v6: RowChange

    @classmethod
    def of(
        cls, before: Block, after: Block, came: frozenset[int], gone: frozenset[int]
    ) -> TableChanges:
        """Compare all."""
        numbers: dict[NextHop, int] = {}
        old = _hop_numbers(before.answers, numbers)
        new = _hop_numbers(after.answers, numbers)
        v4, v6 = (
            _difference(left, right, old, new)
            for left, right in ((before.v4, after.v4), (before.v6, after.v6))
        )
        return cls(before, after, came, gone, list(numbers), old, new, v4, v6)

    @property
    def rows_stay(self) -> bool:
        """True if no row is added, changed or removed."""
        return not any(len(rows) for change in (self.v4, self.v6) for rows in change)

    @property
    def removed_of_kept(self) -> tuple[I8, I8]:
        """The removed rows, IPv4 and IPv6, of tables that do not go themselves."""
        if not self.gone:
            return self.v4.removed, self.v6.removed
        kept = np.ones(len(self.before.heads), np.bool_)
        kept[list(self.gone)] = False
        v4, v6 = (
            change.removed[kept[_tables(rows, change.removed)]]
            for change, rows in ((self.v4, self.before.v4), (self.v6, self.before.v6))
        )
        return v4, v6

    def counts(self, most: int) -> tuple[int, list[tuple[str, list[int]]]]:
        """How many tables have rows that differ, and of the first by id, ``most`` at most, (CCN,
        how many rows were added, changed and removed)."""
        total = np.zeros((3, len(self.after.heads)), np.int64)
        for change, left, right in (
            (self.v4, self.before.v4, self.after.v4),
            (self.v6, self.before.v6, self.after.v6),
        ):
            for kind, (rows, of) in enumerate(zip(change, (right, right, left), strict=True)):
                if len(rows):
                    total[kind] += np.diff(np.searchsorted(rows, of.bounds))
        places = np.flatnonzero(total.any(axis=0))
        found = []
        for place in places[:most].tolist():
            head = (self.before if place in self.gone else self.after).heads[place]
            found.append((head.ccn, total[:, place].tolist()))
        return len(places), found

    def next_hops(self) -> tuple[list[NextHop], list[NextHop]]:
        """(used from now on, no longer used): by table, and sorted; once for each table."""
        old = _of_tables(self.before, self.hop_before)
        new = _of_tables(self.after, self.hop_after)
        return self._named(_without(new, old)), self._named(_without(old, new))

    def _named(self, pairs: I8) -> list[NextHop]:
        names = zip((pairs >> _HOP).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True)
        found: list[NextHop] = []
        for _, group in groupby(names, lambda pair: pair[0]):
            hops = [self.hops[number] for _, number in group]
            found += sorted(hops) if len(hops) > 1 else hops
        return found


def _hop_numbers(answers: Sequence[Answer], numbers: dict[NextHop, int]) -> I8:
    """``numbers`` grows by those that it does not have."""
    return np.array([numbers.setdefault(way.next_hop, len(numbers)) for way in answers], np.int64)


def _of_tables(block: Block, hops: I8) -> I8:
    """(place of the table, number of the next hop) as one number, of all that are used; each once,
    sorted."""
    table = np.repeat(np.arange(len(block.heads)), np.diff(block.bounds))
    pairs = np.sort(table << _HOP | hops)
    found: I8 = pairs[np.diff(pairs, prepend=-1) != 0]
    return found


def _without(values: I8, other: I8) -> I8:
    """Those that are not among ``other``; both sorted, each once."""
    found: I8 = np.setdiff1d(values, other, assume_unique=True)
    return found


def _difference(before: BlockRows, after: BlockRows, old_hop: I8, new_hop: I8) -> RowChange:
    head = _alike(before, after)
    tail = _alike(before, after, head)
    old, new = slice(head, len(before.length) - tail), slice(head, len(after.length) - tail)
    left, right = _keys(before, old), _keys(after, new)
    fewer, more = (left, right) if len(left) <= len(right) else (right, left)
    place = np.searchsorted(more, fewer)
    met = place < len(more)
    met[met] = more[place[met]] == fewer[met]
    both = np.flatnonzero(met), place[met]
    held, stays = both if fewer is left else both[::-1]
    # In both: what is alike at the ends, and what was found in the middle.
    ends = len(after.length) - tail
    pairs = (
        (slice(0, head), slice(0, head)),
        (held + head, stays + head),
        (slice(old.stop, len(before.length)), slice(ends, None)),
    )
    numbers = np.arange(len(after.length))
    changed = [
        numbers[there][old_hop[before.answer[here]] != new_hop[after.answer[there]]]
        for here, there in pairs
    ]
    return RowChange(
        _others(len(right), stays) + head,
        np.concatenate(changed),
        _others(len(left), held) + head,
    )


def _others(count: int, rows: I8) -> I8:
    """0 .. count-1 without these."""
    kept = np.ones(count, np.bool_)
    kept[rows] = False
    return np.flatnonzero(kept)


def _alike(before: BlockRows, after: BlockRows, head: int | None = None) -> int:
    """How many rows are of the same table and prefix: from the front, or if ``head`` are that, from
    the back."""
    sizes = len(before.length), len(after.length)
    common = min(sizes) - (head or 0)
    begins = (0, 0) if head is None else (sizes[0] - common, sizes[1] - common)
    if not common:
        return 0
    edge = 0 if head is None else common - 1
    old, new = (slice(begin + edge, begin + edge + 1) for begin in begins)
    if not _same(before, after, old, new).all():
        return 0
    old, new = (slice(begin, begin + common) for begin in begins)
    same = _same(before, after, old, new)
    if same.all():
        return common
    return int(np.argmin(same if head is None else same[::-1]))


def _same(before: BlockRows, after: BlockRows, old: slice, new: slice) -> Bools:
    same: Bools = before.length[old] == after.length[new]
    left = before.address[old].view(np.uint32)
    right = after.address[new].view(np.uint32)
    for word in range(left.shape[1]):
        same &= left[:, word] == right[:, word]
    if len(before.bounds) > 2:
        same &= _tables(before, old) == _tables(after, new)
    return same


def _tables(rows: BlockRows, some: slice | I8) -> I8:
    """The place of the table of each."""
    if isinstance(some, slice) and some.stop - some.start == 1:
        return np.searchsorted(rows.bounds, [some.start], "right") - 1
    return np.repeat(np.arange(len(rows.bounds) - 1), np.diff(rows.bounds))[some]


def _keys(rows: BlockRows, some: slice) -> npt.NDArray[Any]:
    """A sorted, comparable key for each: table, address and length."""
    address, length = rows.address[some], rows.length[some]
    table = _tables(rows, some)
    if address.shape[1] == 4:
        key = address.view(">u4").reshape(-1).astype(np.uint64) << _LENGTH
        key |= length
        key |= table.astype(np.uint64) << _TABLE
        return key
    number = table.astype(">u4").view(np.uint8).reshape(-1, 4)
    packed = np.concatenate((number, address, length[:, None]), axis=1)
    return np.ascontiguousarray(packed).view("S21").reshape(-1)
