"""Which rows differ between two states of many tables.

In: pairs of Tables, before and after. Out: for each pair the rows that were added, changed and
removed. Small IPv4 tables are compared many at once, as one table whose keys begin with the number
of the pair; of others what is alike at both ends is passed over first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.table.snapshot import Columns, Table

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

SMALL = 1 << 12
"""Rows of a table that is compared together with others."""
TOGETHER = 1 << 17
"""Rows, roughly, that are compared at once: what the caches hold."""
_NONE: I8 = np.zeros(0, np.int64)
_LENGTH, _PAIR = np.uint64(8), np.uint64(40)


class Rows(NamedTuple):
    """Row numbers in the columns of a Table, ascending: int64[n] for each family."""

    v4: I8
    v6: I8

    def __len__(self) -> int:
        return self.v4.size + self.v6.size


NO_ROWS = Rows(_NONE, _NONE)
Difference = tuple[Rows, Rows, Rows]
"""Added and changed rows of the state after, removed rows of the state before."""
_Split = tuple[I8, I8, I8]
_SAME: _Split = (_NONE, _NONE, _NONE)


def every_row(table: Table) -> Rows:
    """All rows of a table."""
    return Rows(_counted(table.v4.length.size), _counted(table.v6.length.size))


_numbers: list[I8] = [np.arange(1024)]
_numbers[0].flags.writeable = False


def _counted(count: int) -> I8:
    """0 .. count-1; small ones share their memory."""
    return _numbers[0][:count] if count <= len(_numbers[0]) else np.arange(count)


def differences(pairs: Sequence[tuple[Table, Table]]) -> list[Difference]:
    """Of each pair (before, after)."""
    moved = [_moved(before, after) for before, after in pairs]
    v4 = [_SAME] * len(pairs)
    for batch in _batches(pairs):
        if len(batch) > 1:
            found = _together([pairs[i] for i in batch], [moved[i] for i in batch])
        else:
            before, after = pairs[batch[0]]
            found = [_alone(before.v4, after.v4, moved[batch[0]])]
        for place, split in zip(batch, found, strict=True):
            v4[place] = split
    answer = []
    for (before, after), of4, hops in zip(pairs, v4, moved, strict=True):
        either = before.v6.length.size or after.v6.length.size
        of6 = _alone(before.v6, after.v6, hops) if either else _SAME
        added, changed, removed = (
            Rows(rows4, rows6) if rows4.size or rows6.size else NO_ROWS
            for rows4, rows6 in zip(of4, of6, strict=True)
        )
        answer.append((added, changed, removed))
    return answer


def _batches(pairs: Sequence[tuple[Table, Table]]) -> Iterator[list[int]]:
    """Numbers of pairs that are compared together in IPv4; large ones come alone."""
    batch: list[int] = []
    held = 0
    for place, (before, after) in enumerate(pairs):
        size = before.v4.length.size + after.v4.length.size
        if size > SMALL:
            yield [place]
        elif size:
            batch.append(place)
            held += size
            if held > TOGETHER:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch


def _moved(before: Table, after: Table) -> list[int]:
    """The number after of each next hop before, -1 where it is used no more."""
    count = len(before.next_hops)
    if before.next_hops == after.next_hops[:count]:
        return list(range(count))
    index = {hop: number for number, hop in enumerate(after.next_hops)}
    return [index.get(hop, -1) for hop in before.next_hops]


# -- many small tables --------------------------------------------------------------------------


def _together(pairs: Sequence[tuple[Table, Table]], moved: Sequence[list[int]]) -> list[_Split]:
    old = _Joined.of([before.v4 for before, _ in pairs])
    new = _Joined.of([after.v4 for _, after in pairs])
    first = [0, *accumulate(map(len, moved))]
    to = np.array([number for numbers in moved for number in numbers], np.int64)
    hop = old.next_hop + np.repeat(np.array(first[:-1], np.int64), np.diff(old.bounds))
    place = np.searchsorted(old.keys, new.keys)
    held = place < len(old.keys)
    held[held] = old.keys[place[held]] == new.keys[held]
    kept = np.zeros(len(old.keys), np.bool_)
    kept[place[held]] = True
    same = np.flatnonzero(held)
    differs = to[hop[place[same]]] != new.next_hop[same]
    return list(
        zip(
            new.split(np.flatnonzero(~held)),
            new.split(same[differs]),
            old.split(np.flatnonzero(~kept)),
            strict=True,
        )
    )


class _Joined(NamedTuple):
    """IPv4 columns one behind the other. ``bounds``: where each begins, and where the last ends."""

    keys: U8
    next_hop: I8
    bounds: I8

    @classmethod
    def of(cls, columns: Sequence[Columns]) -> _Joined:
        count = np.array([len(c) for c in columns], np.int64)
        keys = np.concatenate([c.address for c in columns]).view(">u4").reshape(-1)
        keys = keys.astype(np.uint64) << _LENGTH
        keys |= np.concatenate([c.length for c in columns])
        keys |= np.repeat(np.arange(len(columns), dtype=np.uint64) << _PAIR, count)
        next_hop = np.concatenate([c.next_hop for c in columns]).astype(np.int64)
        return cls(keys, next_hop, np.concatenate(([0], np.cumsum(count))))

    def split(self, rows: I8) -> list[I8]:
        """Ascending row numbers of all, as those of each."""
        if not len(rows):
            return [_NONE] * (len(self.bounds) - 1)
        cuts = np.searchsorted(rows, self.bounds)
        own = rows - np.repeat(self.bounds[:-1], np.diff(cuts))
        return [own[a:b] for a, b in pairwise(cuts.tolist())]


# -- one table ----------------------------------------------------------------------------------


def _alone(before: Columns, after: Columns, moved: list[int]) -> _Split:
    to = np.array([*moved, -1], np.int64)
    common = min(len(before), len(after))
    head = _alike(before, after, slice(0, common), slice(0, common))
    common -= head
    tail = _alike(
        before,
        after,
        slice(len(before) - common, len(before)),
        slice(len(after) - common, len(after)),
        from_end=True,
    )
    old, new = slice(head, len(before) - tail), slice(head, len(after) - tail)
    left, right = _keys(before, old), _keys(after, new)
    place = np.searchsorted(left, right)
    held = place < len(left)
    held[held] = left[place[held]] == right[held]
    kept = np.zeros(len(left), np.bool_)
    kept[place[held]] = True
    same = np.flatnonzero(held)
    middle = same[to[before.next_hop[old][place[same]]] != after.next_hop[new][same]] + head
    ends = len(after) - tail
    first = np.flatnonzero(to[before.next_hop[:head]] != after.next_hop[:head])
    last = np.flatnonzero(to[before.next_hop[len(before) - tail :]] != after.next_hop[ends:]) + ends
    return (
        np.flatnonzero(~held) + head,
        np.concatenate((first, middle, last)),
        np.flatnonzero(~kept) + head,
    )


def _alike(
    before: Columns, after: Columns, old: slice, new: slice, *, from_end: bool = False
) -> int:
    """How many rows of these (as many of each) have the same prefixes, from one end on."""
    same: Bools = before.length[old] == after.length[new]
    left = before.address[old].view(np.uint32)
    right = after.address[new].view(np.uint32)
    for word in range(left.shape[1]):
        same &= left[:, word] == right[:, word]
    if same.all():
        return len(same)
    return int(np.argmin(same[::-1] if from_end else same))


def _keys(columns: Columns, rows: slice) -> npt.NDArray[Any]:
    """A sorted, comparable key for each row: address and length."""
    address, length = columns.address[rows], columns.length[rows]
    if address.shape[1] == 4:
        return address.view(">u4").reshape(-1).astype(np.uint64) << _LENGTH | length
    packed = np.concatenate((address, length[:, None]), axis=1)
    return np.ascontiguousarray(packed).view("S17").reshape(-1)
