"""Point look-ups in the columns of one table, and what differs between two states of it.

In: Tables (table/tables.py), whose columns are sorted by (address, length). Out: row numbers and
prefixes. Addresses are integers. Nothing here copies a column to find one row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.model.bgp import Prefix
from ccn_bgp.model.route import Kind
from ccn_bgp.table.tables import I4, U4, Columns, Table
from ccn_bgp.table.verify.intervals import Bools
from ccn_bgp.table.verify.prefixes_faults import Spans
from ccn_bgp.table.verify.space import I8

Meaning = tuple[I8 | U4 | I4, I8 | U4 | I4, I8 | U4 | I4]
"""(origin, next, peer) of each row, as numbers that hold for both states compared."""

MANY, ROWS_PER_SPAN = 64, 2000
"""Spans from which on every row is looked at: a search for one costs what so many rows do."""


class Rows:
    """One family of one table, asked for single addresses."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.bits = columns.address.shape[1] * 8

    def start(self, row: int) -> int:
        """First address of a row."""
        return int.from_bytes(self.columns.address[row].tobytes(), "big")

    def place(self, address: int, length: int) -> int:
        """Number of rows before (address, length)."""
        wanted = address.to_bytes(self.bits // 8, "big"), length
        address_of, length_of = self.columns.address, self.columns.length
        return bisect_left(
            range(len(length_of)), wanted, key=lambda i: (address_of[i].tobytes(), length_of[i])
        )

    def covering(self, address: int, below: int) -> list[int]:
        """Rows before ``below`` (a row number such that no row from there on begins at or before
        the address and holds it) that hold the address; the longest comes first.

        A row that does not hold it shows how far the next that might agrees with it, so that whole
        branches are passed over: at most one look-up for each bit.
        """
        found: list[int] = []
        at = below - 1
        while at >= 0:
            length = int(self.columns.length[at])
            start = self.start(at)
            agree = self.bits - (start ^ address).bit_length()
            if length <= agree:
                found.append(at)
                at -= 1
                if not length:
                    break
            else:
                free = self.bits - agree
                at = self.place(address >> free << free, agree + 1) - 1
        return found

    def longest(self, address: int) -> int:
        """The row of the longest match of an address, or -1."""
        held = self.covering(address, self.place(address, self.bits + 1))
        return held[0] if held else -1

    def overlapping(self, spans: Spans) -> I8:
        """Rows that have an address in common with the spans, each the sum of whole prefixes;
        sorted."""
        if not len(self.columns) or not spans:
            return np.zeros(0, np.int64)
        if self.bits == 32 and len(spans) > MANY + len(self.columns) // ROWS_PER_SPAN:
            return self._overlapping_many(spans)
        parts: list[I8] = []
        above: set[int] = set()
        for first, last in spans:
            low = self.place(first, 0)
            high = len(self.columns)
            if last + 1 < 1 << self.bits:
                high = self.place(last + 1, 0)
            above.update(self.covering(first, low))
            parts.append(np.arange(low, high))
        inside = np.concatenate(parts)
        before = np.array(sorted(above), np.int64)
        return np.unique(np.concatenate((before, inside))) if len(before) else inside

    def _overlapping_many(self, spans: Spans) -> I8:
        """The same of IPv4 by a look at every row: which span is the first that does not end before
        it begins, and does that begin before it ends?"""
        first = np.ascontiguousarray(self.columns.address).view(">u4").ravel().astype(np.int64)
        last = first + (np.int64(1) << (32 - self.columns.length.astype(np.int64))) - 1
        begins, ends = np.array(spans, np.int64).T
        place = np.searchsorted(ends, first)
        met = place < len(spans)
        met[met] = begins[place[met]] <= last[met]
        return np.flatnonzero(met)

    def at(self, prefix: Prefix) -> int:
        """The row of a prefix, or -1."""
        row = self.place(prefix.first, prefix.length)
        held = row < len(self.columns) and self.columns.prefix(row) == prefix
        return row if held else -1

    def prefixes(self, rows: I8 | slice) -> list[Prefix]:
        """The prefixes of some rows."""
        raw = np.column_stack((self.columns.address[rows], self.columns.length[rows]))
        octets, width = raw.tobytes(), raw.shape[1]
        return [Prefix(octets[i : i + width]) for i in range(0, len(octets), width)]


def taken(columns: Columns, rows: I8) -> Columns:
    """Some rows only."""
    if not len(columns):
        return columns
    return Columns(
        address=columns.address[rows],
        length=columns.length[rows],
        next_hop=columns.next_hop[rows],
        origin=columns.origin[rows],
        peer=columns.peer[rows],
        next_table=columns.next_table[rows],
    )


def changed_prefixes(old: Table, new: Table) -> set[Prefix]:
    """Prefixes whose row came, went, or means something else; and those of changed contenders.

    A next hop counts by what isolation sees of it: a drop, a delivery, or another table.
    """
    found: set[Prefix] = set()
    names = (old.origins, old.peers, old.next_tables, old.next_hops)
    renamed = names != (new.origins, new.peers, new.next_tables, new.next_hops)
    for before, after in ((old.v4, new.v4), (old.v6, new.v6)):
        if renamed or before is not after:
            found |= _changed(old, before, new, after)
    if old.contenders != new.contenders:
        found |= {c.prefix for c in set(old.contenders) ^ set(new.contenders)}
    return found


def _changed(old: Table, before: Columns, new: Table, after: Columns) -> set[Prefix]:
    """Trims what is alike at both ends, then compares the rest by key."""
    a = _Run(before, _meaning(old, before, new), slice(0, len(before)))
    b = _Run(after, _meaning(new, after, new), slice(0, len(after)))
    common = min(len(before), len(after))
    head = a.cut(0, common).same(b.cut(0, common))
    if len(before) == len(after) and a.same_prefixes(b).all():
        return set(Rows(after).prefixes(np.flatnonzero(~head)))
    first = common if head.all() else int(np.argmin(head))
    a, b = a.cut(first, len(before)), b.cut(first, len(after))
    common -= first
    ends = len(before) - common, len(after) - common
    tail = a.cut(ends[0], len(before)).same(b.cut(ends[1], len(after)))
    last = common if tail.all() else int(np.argmin(tail[::-1]))
    return a.cut(first, len(before) - last).differing(b.cut(first, len(after) - last))


class _Run(NamedTuple):
    """Consecutive rows of one state; ``meaning`` and ``columns`` are of all rows."""

    columns: Columns
    meaning: Meaning
    rows: slice

    def cut(self, first: int, end: int) -> _Run:
        return self._replace(rows=slice(first, end))

    def same_prefixes(self, other: _Run) -> Bools:
        """bool[k], row by row; both have k rows."""
        left = self.columns.address.view(np.uint32)[self.rows]
        right = other.columns.address.view(np.uint32)[other.rows]
        same: Bools = self.columns.length[self.rows] == other.columns.length[other.rows]
        for word in range(left.shape[1]):
            same &= left[:, word] == right[:, word]
        return same

    def same(self, other: _Run) -> Bools:
        """bool[k]: equal in all that counts."""
        same = self.same_prefixes(other)
        for mine, theirs in zip(self.meaning, other.meaning, strict=True):
            same &= mine[self.rows] == theirs[other.rows]
        return same

    def differing(self, other: _Run) -> set[Prefix]:
        """Prefixes of one side only, or with another meaning."""
        if self.rows.start == self.rows.stop:
            return set(Rows(other.columns).prefixes(other.rows))
        if other.rows.start == other.rows.stop:
            return set(Rows(self.columns).prefixes(self.rows))
        left, right = self.keys(), other.keys()
        place = np.minimum(np.searchsorted(right, left), len(right) - 1)
        both = right[place] == left
        other_meaning = np.zeros(len(left), np.bool_)
        for mine, theirs in zip(self.meaning, other.meaning, strict=True):
            other_meaning |= both & (mine[self.rows] != theirs[other.rows][place])
        fresh = np.ones(len(right), np.bool_)
        fresh[place[both]] = False
        gone = np.flatnonzero(~both | other_meaning) + self.rows.start
        come = np.flatnonzero(fresh) + other.rows.start
        return {*Rows(self.columns).prefixes(gone), *Rows(other.columns).prefixes(come)}

    def keys(self) -> I8 | npt.NDArray[np.bytes_]:
        """Address and length as one number, or as octets, which sort as the rows do."""
        columns = self.columns
        if columns.address.shape[1] == 4:
            number = columns.address.view(">u4").reshape(-1)[self.rows].astype(np.int64)
            return number << 8 | columns.length[self.rows]
        raw = np.column_stack((columns.address[self.rows], columns.length[self.rows]))
        keys: npt.NDArray[np.bytes_] = np.ascontiguousarray(raw).view(f"S{raw.shape[1]}")
        return keys.reshape(-1)


def _meaning(table: Table, columns: Columns, reference: Table) -> Meaning:
    """The columns in the numbering of ``reference``; a name that it does not have is below -9."""

    def numbers(names: tuple[str, ...], known: tuple[str, ...], index: U4 | I4) -> I8 | U4 | I4:
        if names == known:
            return index
        place = {name: i for i, name in enumerate(known)}
        found = [place.get(name, -10 - i) for i, name in enumerate(names)]
        numbered: I8 = np.array([*found, -1], np.int64)[index]
        return numbered

    following = numbers(table.next_tables, reference.next_tables, columns.next_table)
    if any(h.kind is Kind.DROP for h in table.next_hops):
        drops = np.array([h.kind is Kind.DROP for h in table.next_hops], np.bool_)
        dropped = drops[columns.next_hop] & (columns.next_table < 0)
        following = np.where(dropped, -2, following)
    return (
        numbers(table.origins, reference.origins, columns.origin),
        following,
        numbers(table.peers, reference.peers, columns.peer),
    )


def joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """The same addresses, in order and merged."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return tuple(found)


def within(spans: Spans, bounds: Spans) -> list[tuple[int, int]]:
    """The addresses that are in both; both in order."""
    found = []
    i = j = 0
    while i < len(spans) and j < len(bounds):
        first, last = max(spans[i][0], bounds[j][0]), min(spans[i][1], bounds[j][1])
        if first <= last:
            found.append((first, last))
        if spans[i][1] < bounds[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(spans: Spans, bounds: Spans) -> list[tuple[int, int]]:
    """The addresses of ``spans`` that are not in ``bounds``; both in order."""
    found, at = [], 0
    for begin, last in spans:
        first = begin
        while at < len(bounds) and bounds[at][1] < first:
            at += 1
        cut = at
        while cut < len(bounds) and bounds[cut][0] <= last:
            if bounds[cut][0] > first:
                found.append((first, bounds[cut][0] - 1))
            first = bounds[cut][1] + 1
            cut += 1
        if first <= last:
            found.append((first, last))
        at = max(at, cut - 1)
    return found
